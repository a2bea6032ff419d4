"""A real browser for the pages that this project writes; without one its tests are skipped with a reason."""

import os
import shutil
from pathlib import Path

import pytest

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--enable-unsafe-swiftshader")


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is missing: extra browser")
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("chromium is missing: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=found, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture
def screenshots(tmp_path):
    """Where tests leave pictures for people to look at: the folder HPO_SCREENSHOTS, else one that pytest keeps."""
    folder = Path(os.environ.get("HPO_SCREENSHOTS", tmp_path / "screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


# Texts of Plotly's that are written over each other, by the figure that they are in.
OVERLAPS = """() => [...document.querySelectorAll('.plot, .plotly-graph-div')].flatMap(plot => {
  const boxes = [...plot.querySelectorAll('.annotation-text, .xtick text, .ytick text, .legendtext, .bartext')]
    .map(e => [e.textContent, e.getBoundingClientRect()]).filter(([t, b]) => t && b.width && b.height);
  const found = [];
  for (let i = 0; i < boxes.length; i++) for (let j = i + 1; j < boxes.length; j++) {
    const [a, b] = [boxes[i][1], boxes[j][1]];
    const w = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const h = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (w > 3 && h > 4) found.push(plot.id + ': ' + boxes[i][0] + ' / ' + boxes[j][0]);
  }
  return found;
})"""
