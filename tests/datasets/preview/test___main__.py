"""python -m datasets.preview: two files that show every class, whatever it is called, and nothing of the test split."""

import errno
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.preview.__main__ import command
from tests.browser import browser  # noqa: F401  (fixture)


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        command.main(list(arguments))
    return int(caught.value.code or 0)


def write(tmp_path: Path, dataset: str, *arguments: str) -> tuple[Path, str]:
    cache, out = str(tmp_path / "cache"), tmp_path / "out"
    assert run("--dataset", dataset, "--cache-dir", cache, "--out", str(out), *arguments) == 0
    (picture,), (page,) = out.glob("*.png"), out.glob("*.html")
    assert picture.stem == page.stem
    return picture, page.read_text(encoding="utf-8")


class Reader(HTMLParser):
    """Tags, images with their texts, and all other text."""

    def __init__(self, page: str):
        super().__init__()
        self.tags: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "img":
            self.images.append(dict(attrs))

    def handle_data(self, data):
        self.text += data


def pets(root: Path, names: tuple[str, ...], n: int = 5) -> Path:
    rng = np.random.default_rng(0)
    for number, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for index in range(n + number):
            pixels = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{index}.png")
    return root


def test_a_picture_and_a_page(tmp_path, capsys):
    picture, page = write(tmp_path, "fake:classes=3,size=90")
    assert capsys.readouterr().out.split() == [str(picture), str(picture.with_suffix(".html"))]
    assert picture.name == "fake_32x32x3_3_90.png"
    with Image.open(picture) as image:
        assert image.format == "PNG" and image.width >= 1400
    seen = Reader(page)
    for words in ("72 pictures, 3 classes, 32 x 32 pixels, colour", "24 of each class", "18 pictures, not among these"):
        assert words in seen.text
    assert all(f"class_{number}" in seen.text for number in range(3)) and seen.text.count("33.3%") == 3
    assert re.search(r"digest[0-9a-f]{64} \(SHA-256 of the pictures at 32 x 32", seen.text)
    assert [image["alt"] for image in seen.images][2:] == [f"8 samples of class_{number}" for number in range(3)]
    assert "class_0 33.3%, class_1 33.3%, class_2 33.3%" in str(seen.images[1]["alt"])


def test_the_page_needs_nothing_else(tmp_path):
    _, page = write(tmp_path, "fake:classes=3,size=90")
    seen = Reader(page)
    assert all(str(image["src"]).startswith("data:image/") for image in seen.images)
    assert not {"script", "link", "iframe", "a"} & set(seen.tags) and "http://" not in page and "https://" not in page


def test_any_folder_name_is_shown_and_none_is_obeyed(tmp_path):
    names = ("<script>alert(1)<", "$x^", '"onload="x', "鳥", "a" * 60)
    _, page = write(tmp_path, str(pets(tmp_path / "<b>pets", names)))
    seen = Reader(page)
    assert "script" not in seen.tags and "b" not in seen.tags
    assert all(name in seen.text for name in names)
    assert "from 4 (" in seen.text and "(aaaa" in seen.text
    assert all(set(image) <= {"src", "alt", "class"} for image in seen.images)


def test_a_folder_is_shown_small(tmp_path):
    root = tmp_path / "large"
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
        for index in range(3):
            Image.new("RGB", (150, 130), (index, 0, 0)).save(root / name / f"{index}.png")
    _, page = write(tmp_path, str(root))
    assert "about 130 x 130 pixels (shown at 96 x 96), colour" in page
    assert "at 96 x 96, labels and class names" in page
    assert "data:image/jpeg" in page


def test_some_classes_and_few_samples(tmp_path):
    picture, page = write(tmp_path, f"{pets(tmp_path / 'pets', ('cat', 'cow', 'dog'))}:cat,dog", "--per-class", "2")
    assert picture.name == "pets_cat_dog.png"
    assert "cow" not in page and "2 samples of cat" in page and "2 samples of dog" in page


@pytest.mark.parametrize("augment", ["light", "strong"])
def test_augmented_versions(tmp_path, augment):
    _, page = write(tmp_path, "fake:classes=2,size=20", "--augment", augment)
    seen = Reader(page)
    assert "8 samples of class_1, then 4 changed copies of the first" in [image["alt"] for image in seen.images]
    assert f"changed by {augment} augmentation" in seen.text


def test_the_same_data_give_the_same_page(tmp_path):
    pages = [write(tmp_path / name, "fake:classes=2,size=20", "--augment", "light")[1] for name in "ab"]
    assert pages[0] == pages[1]


def test_refusals_are_one_line(tmp_path, capsys):
    (tmp_path / "file").touch()
    for arguments, words in (
        (("--dataset", "cifar10:cat,dgo"), "Did you mean dog?"),
        (("--dataset", "fake:size=1"), "size must be an integer"),
        (("--augment", "weak"), "'none', 'light', 'strong'"),
        (("--dataset", "fake", "--out", str(tmp_path / "file" / "out")), "cannot be written"),
    ):
        assert run(*arguments) == 2
        message = capsys.readouterr().err
        assert message.startswith("error: ") and message.count("\n") == 1 and words in message


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "dataset", "more", "least"),
    [(390, "fake:classes=3,size=90", (), 36), (390, "fake:classes=30,size=1200", ("--per-class", "20"), 36),
     (1280, "fake:classes=3,size=90", (), 56)],
)  # fmt: skip
def test_on_a_phone_samples_can_be_seen(browser, tmp_path, width, dataset, more, least):  # noqa: F811
    """Nothing makes the page scroll sideways, and a sample is at least so many pixels wide."""
    picture, _ = write(tmp_path, dataset, *more)
    tab = browser.new_page(viewport={"width": width, "height": 844})
    tab.goto(picture.with_suffix(".html").as_uri())
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    across = 20 if more else 8
    assert tab.locator("table img").first.evaluate("e => e.getBoundingClientRect().width") / across >= least
    charts = tab.locator("img.chart")
    assert charts.count() == 2
    assert all(charts.nth(n).evaluate("e => e.getBoundingClientRect().width") >= min(320, width) for n in (0, 1))
    tab.close()


def test_good_files_stay_when_new_ones_cannot_be_written(tmp_path, monkeypatch, capsys):
    picture, _ = write(tmp_path, "digits")
    page = picture.with_suffix(".html")
    before = picture.read_bytes(), page.read_bytes()

    def full(self, path, **_):
        Path(path).write_bytes(b"cut o")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    assert run("--dataset", "digits", "--cache-dir", str(tmp_path / "cache"), "--out", str(tmp_path / "out")) == 2
    assert "cannot be written: No space left on device" in capsys.readouterr().err
    assert (picture.read_bytes(), page.read_bytes()) == before
    assert sorted(tmp_path.joinpath("out").iterdir()) == sorted([picture, page])
