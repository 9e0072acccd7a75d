"""Image files below a source's root: which there are, and what they contain."""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import pandas as pd

from mmroute.errors import InputError, is_utf8
from mmroute.storage import digest_file, is_file, leaves_folder

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})


def list_images(root: Path) -> list[str]:
    """List the image files below ``root``, shallowest first, as POSIX paths from it.

    Each folder is listed once. Linked folders are followed, so that images can
    lie on another disk, but never in a circle. What no data can name, as its name is
    not UTF-8, or is no file, such as a link to nothing, is left out.
    """
    seen: set[str] = set()
    images: list[PurePosixPath] = []
    for folder, subfolders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        below = PurePosixPath(Path(folder).relative_to(root).as_posix())
        images += [
            below / name
            for name in names
            if is_image(name) and is_utf8(str(below / name)) and is_file(Path(folder, name))
        ]
    return [str(path) for path in sorted(images, key=lambda path: (len(path.parts), path))]


def is_image(name: str) -> bool:
    """Tell whether a file's name has the suffix of an image."""
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def index_by_tail(images: Iterable[str]) -> dict[str, str]:
    """Map every trailing part of each path (``c/1.jpg`` of ``a/b/c/1.jpg``) to the path.

    So a file is found under the folder that the data names, however deep an
    archive nests it. Where two paths share a tail the first one has it.
    """
    index: dict[str, str] = {}
    for image in images:
        parts = image.split("/")
        for start in range(len(parts)):
            index.setdefault("/".join(parts[start:]), image)
    return index


def relative_paths(cells: pd.Series, root: Path, path: Path) -> pd.Series:
    """Spell the images that a table names as POSIX paths from ``root``.

    Parameters
    ----------
    cells
        Text, named as its column and indexed by sample id; empty = no image.
    root
        The folder that relative paths start from.
    path
        The table's file, for the message.

    Raises
    ------
    InputError
        If one leads out of ``root``.
    """
    spelled = _spelled(cells, root)
    outside = spelled.map({text: leaves_folder(text) for text in spelled.unique()})
    if outside.any():
        sample = outside.idxmax()
        raise InputError(
            f"{path}: column {cells.name!r} of {sample!r:.80} holds "
            f"{cells[outside].iloc[0]!r:.80}, "
            f"which is not below {root}; move the image there and give its path from there"
        )
    return spelled.map(
        {text: str(PurePosixPath(text)) if text else "" for text in spelled.unique()}
    )


def paths_below(root: Path, cells: pd.Series) -> list[str]:
    """Return the images that a column names as ``relative_paths`` spells them, each once.

    Those that lead out of ``root`` are left out.
    """
    names = _spelled(cells, root).unique()
    return [str(PurePosixPath(name)) for name in names if name and not leaves_folder(name)]


def _spelled(cells: pd.Series, root: Path) -> pd.Series:
    return cells.str.removeprefix(f"{root.resolve().as_posix()}/")


def digests(images: pd.Series, root: Path, unknown: pd.Series | None = None) -> pd.Series:
    """Digest the content of each image once; null where there is none.

    Parameters
    ----------
    images
        (N,) paths below ``root``, null for none.
    unknown
        (N,) names of images that are not at hand, null for none. They stand for a content:
        of two samples with the same question, nobody knows whether they show the same.

    Raises
    ------
    InputError
        If an image cannot be opened.
    """
    distinct = list(images.dropna().unique())
    with ThreadPoolExecutor() as pool:
        try:
            content = list(pool.map(lambda image: digest_file(root / image), distinct))
        except OSError as error:
            raise InputError(
                f"{error.filename}: the image cannot be read ({error.strerror}); "
                "make it readable or remove it"
            ) from error
    found = images.map(dict(zip(distinct, content, strict=True)))
    return found if unknown is None else found.astype(object).fillna("unknown " + unknown)
