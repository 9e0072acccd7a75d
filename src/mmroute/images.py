"""Image files that nobody vouches for, decoded to upright RGB or not at all."""

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image, ImageOps

from mmroute.confined import reading
from mmroute.errors import InputError, raise_disk_fault

# Decoders of what data sets hold. Others stay shut: some of them start another program.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
# An A3 page scanned at 600 dpi has 70 million pixels.
PIXEL_LIMIT = 100_000_000
# Encoders scale the shorter side up to hundreds of pixels, and the longer one with it; what is
# longer than so many times its width is squeezed.
ASPECT_LIMIT = 1000
# Of a picture, that are put on white at once.
ROWS = 256

BETWEEN = "//"
"""Between the paths of a sample's images, where it has several: no spelled-out path has it."""
MOST_IMAGES = 1000
"""Of one sample."""


class Picture(NamedTuple):
    """A decoded image and the size it has in its file, upright, in pixels."""

    image: Image.Image
    width: int
    height: int


def joined(paths: Iterable[str]) -> str:
    """Return the paths of one sample's images, in order, as one text; empty ones are left out."""
    return BETWEEN.join(filter(None, paths))


def each(images: Any) -> list[str]:
    """Return the paths that ``joined`` has made one text of; none where there is no text."""
    return images.split(BETWEEN) if isinstance(images, str) and images else []


def counts(images: Iterable[Any]) -> np.ndarray:
    """Return the (N,) numbers of images that N samples have."""
    return np.array([len(each(own)) for own in images], int)


def paths_below(root: Path, images: Iterable[Any]) -> pd.Series:
    """Paths of images that samples name below a source's ``root``, None where there is none."""
    return pd.Series(
        [joined(str(root / path) for path in each(own)) or None for own in images], dtype=object
    )


def decode(path: Path, longest_side: int | None = None) -> Picture | None:
    """Decode the first frame of an image file as upright RGB on white.

    Parameters
    ----------
    path
        A file that may be missing, broken or hostile.
    longest_side
        Shrink the image to fit this many pixels, keeping its aspect ratio; a
        JPEG is then decoded at a fraction of its size. By default it stays as
        large as it is.

    Returns
    -------
    Picture | None
        None if there is no such file, if it is not whole or not one of
        ``FORMATS``, or if it exceeds ``PIXEL_LIMIT``. An image whose sides differ by more
        than ``ASPECT_LIMIT`` is squeezed along the longer one.

    Raises
    ------
    InputError
        If the memory ends, which says nothing of the file.
    OSError
        If the disk is broken.
    """
    try:
        if not path.is_file():
            return None
        with reading(path), Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            if width * height > PIXEL_LIMIT:
                return None
            if longest_side is not None:
                ratio = longest_side / max(width, height)
                image.draft(None, (max(1, int(width * ratio)), max(1, int(height * ratio))))
            stored = image.size
            ImageOps.exif_transpose(image, in_place=True)
            if image.size != stored:
                width, height = height, width
            upright = _squeezed(_on_white(image))
        if longest_side is not None:
            upright.thumbnail((longest_side, longest_side), Image.Resampling.BOX)
        return Picture(upright, width, height)
    except InputError:
        raise
    # A broken file reaches code in the decoders that raises anything, from SyntaxError to
    # struct.error; whatever it is, there is no image.
    except Exception as error:
        raise_disk_fault(error, path)
        return None


@contextmanager
def quiet_decoding() -> Iterator[None]:
    """Keep Pillow's remarks on broken files off the log.

    Enter it once, around all threads that decode: the filters of warnings
    belong to the process.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def _squeezed(image: Image.Image) -> Image.Image:
    most = ASPECT_LIMIT * min(image.size)
    if max(image.size) <= most:
        return image
    width, height = image.size
    return image.resize((min(width, most), min(height, most)), Image.Resampling.BOX)


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode == "I" or image.mode.startswith("I;16"):
        # Pillow clips 16-bit grey at 255 instead of scaling it.
        grey = np.array(image, np.float32)
        grey /= 257
        np.clip(grey, 0, 255, out=grey)
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        # Part by part, which takes a third of the memory.
        whole = Image.new("RGB", image.size)
        for top in range(0, image.height, ROWS):
            box = (0, top, image.width, min(top + ROWS, image.height))
            layer = image.crop(box).convert("RGBA")
            white = Image.new("RGBA", layer.size, "white")
            whole.paste(Image.alpha_composite(white, layer).convert("RGB"), box)
        return whole
    return image.convert("RGB")
