"""Image cells: images that stand in a table itself, in base64, and the files made of them."""

import base64
import binascii
import re
from collections.abc import Iterable
from pathlib import Path

from mmroute.sources.image_tables import IMAGES, LONGEST_CELL, LONGEST_POINTER, suffix_of
from mmroute.storage import atomic_folder, digest_bytes

_DATA_URL = re.compile(r"data:image/[\w.+-]{1,50};base64,")
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]+={0,2}\s*")
_HEAD = 64
"""Of characters: what tells an image's format by."""


def image_file(cell: str) -> str | None:
    """Return the path of the file that ``write_images`` makes of a cell, or None.

    It is none where the cell is no image in base64, with or without ``data:`` before it, but a
    path for instance. The path begins with ``IMAGES``.
    """
    given = _DATA_URL.match(cell)
    body = cell[given.end() :] if given else cell
    if not LONGEST_POINTER < len(body) <= LONGEST_CELL or not _BASE64.fullmatch(body):
        return None
    head = "".join(body[:_HEAD].split())
    suffix = suffix_of(base64.b64decode(head[: len(head) // 4 * 4]))
    return None if suffix is None else f"{IMAGES}/{digest_bytes(cell.encode())}{suffix}"


def write_images(cells: Iterable[str], folder: Path) -> None:
    """Make files of the images in cells, below ``folder/IMAGES``, which it replaces.

    One in base64 that is not valid to its end is left out.
    """
    with atomic_folder(folder / IMAGES) as images:
        for cell in cells:
            name = image_file(cell)
            if name is None:
                continue
            body = "".join(_DATA_URL.sub("", cell, count=1).split())
            try:
                content = base64.b64decode(body, validate=True)
            except binascii.Error:
                continue
            (images / Path(name).name).write_bytes(content)
