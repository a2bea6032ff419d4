"""One picture file to one square RGB array, whatever its format, orientation, mode or state.

Pillow warns of damaged EXIF blocks and large pictures. Callers silence it: warning filters belong to the whole
process, and these functions run in several threads.
"""

import os
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "BMP", "GIF")
SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".gif"})
MAX_PIXELS = 100_000_000  # about 300 MB as RGB; what claims to be larger is refused by its header, undecoded

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class UnreadableError(Exception):
    """A picture cannot be decoded; the message is a short reason without the file's name."""


def _open(path: Path) -> Image.Image:
    """The header only. Raises whatever Pillow raises, and UnreadableError."""
    if not os.path.isfile(path):  # a pipe would block, a symbolic link may lead nowhere or round in a circle
        raise UnreadableError("not a regular file")
    image = Image.open(path, formats=FORMATS)
    width, height = image.size
    if width * height > MAX_PIXELS:
        image.close()
        raise UnreadableError(f"{width} x {height} pixels are above the limit of {MAX_PIXELS // 1_000_000} megapixels")
    if width == 0 or height == 0:
        image.close()
        raise UnreadableError("no pixels")
    return image


def _to_rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB; transparent parts become white, 16-bit grey keeps its upper byte's range."""
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion clips instead of scaling
        values = np.clip(np.asarray(image).astype(np.int64), 0, 65_535)
        return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def decode(path: Path, side: int) -> np.ndarray:
    """The picture's centre square at `side` x `side`, (side, side, 3) uint8.

    The shorter side becomes `side` (bilinear, antialiased), the longer one is cropped evenly. EXIF orientation is
    applied, of an animation the first frame is taken. A large JPEG is decoded at a fraction of its size that is
    at least twice `side`. Raises UnreadableError.
    """
    return decode_as(path, (side, side, 3))


def decode_as(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """The picture as one of a data set whose pictures are (height, width, channels) uint8.

    As `decode`, but for the largest centred part with these proportions; with one channel it becomes grey (ITU-R
    601-2 luma, which leaves a grey picture as it is). Raises UnreadableError.
    """
    height, width, _ = shape
    try:
        with _open(path) as image:
            image.draft(None, (2 * max(height, width), 2 * max(height, width)))
            return fit(image, shape)
    except UnreadableError:
        raise
    except Exception as error:  # of a damaged file Pillow raises nearly anything: OSError, SyntaxError, IndexError...
        raise UnreadableError(_reason(error)) from error


def fit(image: Image.Image, shape: tuple[int, int, int]) -> np.ndarray:
    """An opened picture as `decode_as` gives it. Raises UnreadableError."""
    height, width, channels = shape
    try:
        image.load()
        rgb = _to_rgb(_upright(image))
        scale = min(rgb.width / width, rgb.height / height)
        # the product may exceed what it was divided from by a rounding, which Pillow refuses
        across, down = min(scale * width, rgb.width), min(scale * height, rgb.height)
        left, top = (rgb.width - across) / 2, (rgb.height - down) / 2
        box = (left, top, min(left + across, rgb.width), min(top + down, rgb.height))
        part = rgb.resize((width, height), Image.Resampling.BILINEAR, box=box)
        return np.asarray(part) if channels == 3 else np.asarray(part.convert("L"))[..., None]
    except Exception as error:
        raise UnreadableError(_reason(error)) from error


def shorter_side(path: Path) -> int:
    """From the header alone. Raises UnreadableError."""
    try:
        with _open(path) as image:
            return min(image.size)
    except UnreadableError:
        raise
    except Exception as error:
        raise UnreadableError(_reason(error)) from error


def _upright(image: Image.Image) -> Image.Image:
    """EXIF orientation applied. Not ImageOps.exif_transpose: it fails where the rest of an EXIF block is damaged."""
    try:
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # the block cannot be parsed at all; the pixels are still good
        return image
    return image if turn is None else image.transpose(turn)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"not a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} picture"
    if isinstance(error, Image.DecompressionBombError):
        return f"above the limit of {MAX_PIXELS // 1_000_000} megapixels"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror  # without the path
    return " ".join(str(error).split()) or type(error).__name__
