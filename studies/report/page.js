"use strict";
(function () {
  const drawn = [];
  for (const source of document.querySelectorAll('script[type="application/json"]')) {
    const figure = JSON.parse(source.textContent);
    const place = document.getElementById(source.dataset.for);
    const scene = figure.layout.scene;
    if (scene && place.clientWidth < 520) {  // on a phone a scene is cut at its sides: step back
      const eye = scene.camera.eye;
      for (const axis of ["x", "y", "z"]) eye[axis] *= 1.55;
    }
    if (square(figure.layout)) {  // on a phone no taller than it is wide
      figure.layout.height = Math.min(figure.layout.height, place.clientWidth + 60);
      place.style.height = figure.layout.height + "px";
    }
    drawn.push(Plotly.newPlot(place, figure.data, figure.layout, figure.config).then(() => place));
  }
  function square(layout) { return Boolean(layout.yaxis && layout.yaxis.scaleanchor); }
  Promise.all(drawn).then((places) => {
    document.body.dataset.drawn = String(places.length);
    // Paper is narrower than a window. A figure that does not fit moves to the next page and leaves a gap: so with
    // its caption none but one of many rows is taller than a third of a page, which has 994 pixels.
    const PAPER = 680, HALF = 325, LEAST = 260;
    const heights = new Map(places.map((place) => [place, place.layout.height]));
    const onPaper = (place) => {
      if (square(place.layout)) return {width: HALF, height: LEAST};
      const shorter = place.layout.meta === "rows" ? 0.85 : 0.55;  // rows with texts above them would collide
      const height = Math.min(heights.get(place), Math.max(LEAST, shorter * heights.get(place)));
      return {width: place.closest(".grid") ? HALF : PAPER, height: height};
    };
    window.addEventListener("beforeprint", () => places.forEach((place) =>
      Plotly.relayout(place, {...onPaper(place), autosize: false})));
    window.addEventListener("afterprint", () => places.forEach((place) =>
      Plotly.relayout(place, {width: null, height: heights.get(place), autosize: true})));
  });
})();
