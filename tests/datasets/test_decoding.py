"""datasets/decoding.py: every mode, orientation and kind of damage."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from datasets.decoding import UnreadableError, decode, decode_as, shorter_side

GRADIENT = np.stack(np.meshgrid(np.arange(24) * 10, np.arange(24) * 10), axis=-1)  # (24, 24, 2)
RGB = np.concatenate([GRADIENT, np.full((24, 24, 1), 77)], axis=-1).astype(np.uint8)  # (24, 24, 3)


def saved(path: Path, image: Image.Image, **options) -> Path:
    image.save(path, **options)
    return path


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims to be as large as this and holds next to nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_own_size_is_exact(tmp_path, suffix):
    assert np.array_equal(decode(saved(tmp_path / f"a{suffix}", Image.fromarray(RGB)), 24), RGB)


@pytest.mark.parametrize("shape", [(24, 40), (40, 24)])
def test_the_centre_square_is_taken(tmp_path, shape):
    wide = np.zeros((*shape, 3), np.uint8)
    top, left = (shape[0] - 24) // 2, (shape[1] - 24) // 2
    wide[top : top + 24, left : left + 24] = RGB
    path = saved(tmp_path / "a.png", Image.fromarray(wide))
    assert np.array_equal(decode(path, 24), RGB)
    assert shorter_side(path) == 24


@pytest.mark.parametrize("shape", [(8, 24), (24, 8)])
def test_other_proportions_take_the_largest_centred_part(tmp_path, shape):
    path = saved(tmp_path / "a.png", Image.fromarray(RGB))
    top, left = (24 - shape[0]) // 2, (24 - shape[1]) // 2
    assert np.array_equal(decode_as(path, (*shape, 3)), RGB[top : top + shape[0], left : left + shape[1]])


def test_grey_where_the_data_set_is_grey(tmp_path):
    found = decode_as(saved(tmp_path / "a.png", Image.fromarray(RGB)), (24, 24, 1))
    luma = RGB @ np.array([0.299, 0.587, 0.114])
    assert found.shape == (24, 24, 1) and np.abs(found[..., 0] - luma).max() <= 1
    for mode in ("L", "RGB"):
        grey = Image.fromarray(RGB[..., 0]).convert(mode)
        assert np.array_equal(decode_as(saved(tmp_path / "b.png", grey), (24, 24, 1))[..., 0], RGB[..., 0])


def test_resizing_is_antialiased(tmp_path):
    checks = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    small = decode(saved(tmp_path / "a.png", Image.fromarray(checks)), 8)
    assert small.shape == (8, 8, 3) and np.abs(small.astype(int) - 128).max() <= 4


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        (1, lambda a: a),
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.transpose(1, 0, 2)),
        (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: a[::-1, ::-1].transpose(1, 0, 2)),
        (8, lambda a: np.rot90(a, 1)),
    ],
)
def test_exif_orientation(tmp_path, orientation, turned):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "a.png", Image.fromarray(RGB), exif=exif.tobytes())
    assert np.array_equal(decode(path, 24), turned(RGB))
    jpeg = saved(tmp_path / "a.jpg", Image.fromarray(RGB), exif=exif.tobytes(), quality=95)
    plain = saved(tmp_path / "plain.jpg", Image.fromarray(RGB), quality=95)
    assert np.array_equal(decode(jpeg, 24), turned(decode(plain, 24)))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_does_not_cost_the_picture(tmp_path):
    path = saved(tmp_path / "a.jpg", Image.fromarray(RGB), exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff damaged")
    assert decode(path, 24).shape == (24, 24, 3)


def test_transparent_becomes_white(tmp_path):
    rgba = np.dstack([RGB, np.full((24, 24), 255, np.uint8)])
    rgba[:12, :, 3] = 0
    rgba[12, :, 3] = 128
    out = decode(saved(tmp_path / "a.png", Image.fromarray(rgba)), 24).astype(int)
    assert (out[:12] == 255).all()
    assert np.abs(out[12] - (RGB[12].astype(int) + 255) / 2).max() <= 2
    assert np.array_equal(out[13:], RGB[13:])


def test_palette_with_a_transparent_entry(tmp_path):
    image = Image.new("P", (8, 8), 0)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((0, 0), 1)
    plain = decode(saved(tmp_path / "plain.png", image), 8)
    assert plain[0, 0].tolist() == [200, 100, 50] and plain[5, 5].tolist() == [10, 20, 30]
    clear = decode(saved(tmp_path / "clear.png", image, transparency=0), 8)
    assert clear[0, 0].tolist() == [200, 100, 50] and clear[5, 5].tolist() == [255, 255, 255]


def test_grey_alpha_bilevel_and_cmyk(tmp_path):
    assert (decode(saved(tmp_path / "l.png", Image.new("L", (8, 8), 90)), 8) == 90).all()
    assert (decode(saved(tmp_path / "la.png", Image.new("LA", (8, 8), (90, 0))), 8) == 255).all()
    assert (decode(saved(tmp_path / "1.png", Image.new("1", (8, 8), 1)), 8) == 255).all()
    cmyk = decode(saved(tmp_path / "c.jpg", Image.new("CMYK", (8, 8), (0, 255, 255, 0)), quality=95), 8)
    assert np.abs(cmyk.astype(int) - [255, 0, 0]).max() <= 8


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path):
    values = np.array([[0, 257, 32_896, 65_535]] * 4, dtype=np.uint16)
    out = decode(saved(tmp_path / "a.png", Image.fromarray(values)), 4)
    assert out[0].tolist() == [[0] * 3, [1] * 3, [128] * 3, [255] * 3]


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    path = saved(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:])
    assert decode(path, 8)[0, 0].tolist() == [255, 0, 0]


def test_a_large_jpeg_is_decoded_at_a_fraction_and_still_right(tmp_path):
    large = Image.fromarray(RGB).resize((1536, 1536), Image.Resampling.BICUBIC)
    drafted = decode(saved(tmp_path / "a.jpg", large, quality=95), 24)
    whole = decode(saved(tmp_path / "a.png", large), 24)
    assert np.abs(drafted.astype(int) - whole).max() <= 4


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_pixel_bombs_are_refused_by_their_header(tmp_path):
    for side in (10_001, 60_000):
        (tmp_path / "bomb.png").write_bytes(png_header(side, side))
        for look in (lambda path: decode(path, 8), shorter_side):
            with pytest.raises(UnreadableError, match="above the limit of 100 megapixels"):
                look(tmp_path / "bomb.png")


def test_damage(tmp_path):
    whole = saved(tmp_path / "whole.jpg", Image.fromarray(RGB).resize((200, 200))).read_bytes()
    webp = saved(tmp_path / "webp.png", Image.fromarray(RGB), format="WEBP").read_bytes()
    for content, words in (
        (b"", "not a JPEG"),
        (b"hello", "not a JPEG"),
        (webp, "not a JPEG, PNG, BMP or GIF"),
        (whole[:1500], "truncated"),
        (png_header(50, 50), "."),
    ):
        (tmp_path / "bad.jpg").write_bytes(content)
        with pytest.raises(UnreadableError, match=words) as caught:
            decode(tmp_path / "bad.jpg", 8)
        assert str(tmp_path) not in str(caught.value)


def test_what_is_no_regular_file(tmp_path):
    (tmp_path / "circle.jpg").symlink_to(tmp_path / "circle.jpg")
    (tmp_path / "nowhere.jpg").symlink_to(tmp_path / "missing.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    for name in ("circle.jpg", "nowhere.jpg", "pipe.jpg", "absent.jpg"):
        with pytest.raises(UnreadableError, match="not a regular file"):
            decode(tmp_path / name, 8)


def test_no_size_is_refused_for_a_rounding(tmp_path):
    """116 / 224 * 224 is more than 116: Pillow refuses a part that is larger than the picture by that much."""
    path = tmp_path / "a.png"
    for width, height in [(180, 116), (116, 180), *((shorter, 300) for shorter in range(90, 130))]:
        Image.new("RGB", (width, height), "red").save(path)
        for side in (160, 192, 224):
            assert decode(path, side).shape == (side, side, 3)


DOCUMENTED = (Path(__file__).parent.parent.parent / "docs" / "data.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "mode", "options"),
    [
        ("large.jpg", "RGB", {"quality": 90}),
        ("turned.jpg", "RGB", {"exif": 6}),
        ("grey.jpg", "L", {}),
        ("clear.png", "RGBA", {}),
        ("few.gif", "P", {}),
    ],
)
def test_what_the_docs_say_gives_the_same_pictures(tmp_path, name, mode, options):
    code = DOCUMENTED.split("```python\n")[1].split("```")[0]
    scope = {}
    exec(code, scope)
    pixels = np.random.default_rng(0).integers(0, 256, (371, 503, 4), dtype=np.uint8)
    image = Image.fromarray(pixels, "RGBA") if mode == "RGBA" else Image.fromarray(pixels[..., :3]).convert(mode)
    if turn := options.pop("exif", None):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = turn
        options["exif"] = exif
    path = saved(tmp_path / name, image, **options)
    for width, height in ((32, 32), (100, 60), (503, 371), (640, 200)):
        assert np.array_equal(decode_as(path, (height, width, 3)), np.asarray(scope["prepare"](path, width, height)))
