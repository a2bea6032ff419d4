"""A report on paper: what a reader of the PDF sees, page by page."""

import io
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from hpo.reporting.files import print_page
from studies.report.blocks import Picture, Report
from studies.report.chapters import chapter
from studies.report.files import find_browser
from studies.report.gallery import Gallery, ModelPictures
from studies.report.page import render
from tests.studies.conftest import make_record  # noqa: F401  (fixtures)
from tests.studies.report.conftest import curved, evaluated, make_finals, make_material  # noqa: F401

MARGINS = 18, 16  # mm, above and below, of A4


def tool(*words):
    return subprocess.run(words, check=True, capture_output=True).stdout


@pytest.fixture
def printed(evaluated, tmp_path):  # noqa: F811
    """Two chapters with pictures, as PDF."""
    browser = find_browser()
    if browser is None:
        pytest.skip("chromium is missing: apt-get install chromium")
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is missing: apt-get install poppler-utils")
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 200, 3), dtype=np.uint8)).save(stream, "png")
    pictures = tuple(Picture(stream.getvalue(), f"picture {n}", f"picture {n}") for n in range(8))
    of_model = ModelPictures(pictures, "Mistakes.", pictures, "Looks.")
    shown = Gallery(("a", "b", "c"), (3, 2, 1), pictures, "Samples.", {"1": of_model, "2": of_model})
    chapters = tuple(chapter(evaluated(), shown, name) for name in ("one", "two"))
    page, pdf = tmp_path / "index.html", tmp_path / "report.pdf"
    page.write_text(render(Report('custom "cnn" on </style> digits', "Study of a test", chapters)), encoding="utf-8")
    assert print_page(browser, page, pdf) == ""
    return pdf


def fills(pdf, folder):
    """Which share of each page is used, from its first line to the last thing on it."""
    tool("pdftoppm", "-r", "40", "-gray", str(pdf), str(folder / "page"))
    found = []
    for path in sorted(folder.glob("page*.pgm")):
        grey = np.asarray(Image.open(path))
        top, bottom = (round(at / 297 * len(grey)) for at in (MARGINS[0], 297 - MARGINS[1]))
        found.append(np.flatnonzero((grey[top:bottom] < 240).any(axis=1)).max() / (bottom - top))
    return found


@pytest.mark.slow
def test_pages_are_numbered_titled_and_full(printed, tmp_path):
    texts = tool("pdftotext", "-layout", str(printed), "-").decode().split("\f")[:-1]
    lines = [[line.strip() for line in text.splitlines() if line.strip()] for text in texts]
    n = len(texts)
    assert [page[-1] for page in lines] == [f"{number} / {n}" for number in range(1, n + 1)]
    title = 'custom "cnn" on </style> digits'
    assert lines[0][:2] == [title, "Study of a test"]
    assert {page[0] for page in lines[1:]} == {title}

    begins = [number for number, page in enumerate(lines) if page[1] == "Study custom_cnn-digits"]
    assert len(begins) == 1  # the first chapter begins below the contents
    last = {begins[0] - 1, n - 1}
    few = [number for number, share in enumerate(fills(printed, tmp_path)) if share < 2 / 3 and number not in last]
    assert few == []

    figures = ("Accuracy against latency;", "Accuracy against FLOPs;", "All three objectives;")
    assert max(sum(words in text for words in figures) for text in texts) >= 2


@pytest.mark.slow
def test_fonts_are_in_the_file(printed):
    fonts = tool("pdffonts", str(printed)).decode().splitlines()[2:]
    assert fonts
    assert all(line.split()[-5] == "yes" for line in fonts)
