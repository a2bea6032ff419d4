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
    drawn.push(Plotly.newPlot(place, figure.data, figure.layout, figure.config).then(() => place));
  }
  Promise.all(drawn).then((places) => {
    document.body.dataset.drawn = String(places.length);
    // paper is narrower than a window: figures are drawn again for it
    const PAPER = 680, HALF = 325;
    window.addEventListener("beforeprint", () => places.forEach((place) =>
      Plotly.relayout(place, {width: place.closest(".grid") ? HALF : PAPER, autosize: false})));
    window.addEventListener("afterprint", () => places.forEach((place) =>
      Plotly.relayout(place, {width: null, autosize: true})));
  });
})();
