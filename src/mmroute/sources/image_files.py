"""Image files below a source's root: which there are, and what they contain."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pandas as pd

from mmroute.errors import InputError, is_utf8
from mmroute.images import each, joined
from mmroute.storage import digest_file, is_file, leaves_folder

UNKNOWN = "unknown "
"""What the digest of an image that is not at hand begins with; its name follows."""
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
        (N,) paths below ``root``, several as ``mmroute.images.joined`` has them, null for none.
    unknown
        (N,) names of images that are not at hand, null for none. They stand for a content:
        of two samples with the same question, nobody knows whether they show the same.

    Raises
    ------
    InputError
        If an image cannot be opened.
    """
    named = {own: each(own) for own in images.dropna().unique()}
    distinct = list(dict.fromkeys(path for paths in named.values() for path in paths))
    with ThreadPoolExecutor() as pool:
        try:
            content = list(pool.map(lambda image: digest_file(root / image), distinct))
        except OSError as error:
            raise InputError(
                f"{error.filename}: the image cannot be read ({error.strerror}); "
                "make it readable or remove it"
            ) from error
    digest = dict(zip(distinct, content, strict=True))
    found = images.map(
        {own: joined(digest[path] for path in paths) for own, paths in named.items()}
    )
    return found if unknown is None else found.astype(object).fillna(UNKNOWN + unknown)


class Located(NamedTuple):
    """The images of N samples: what is at hand of those that they name.

    Attributes
    ----------
    image, image_digest
        (N,) as an outcome table has them; a digest covers also what is not at hand.
    lost
        Paths below the root of those that are no files, by the sample's label.
    """

    image: pd.Series
    image_digest: pd.Series
    lost: pd.Series


def locate(named: pd.Series, root: Path, below: str = "") -> Located:
    """Look which images are files, and digest them.

    Parameters
    ----------
    named
        (N,) paths below ``root/below``, several as ``mmroute.images.joined`` has them, empty for
        none.
    root
        The source's root.
    below
        Empty, or a folder and a slash.
    """
    lists = {own: each(own) for own in named.unique()}
    names = list(dict.fromkeys(name for own in lists.values() for name in own))
    files = {name: below + name for name in names if is_file(root / (below + name))}
    digest = digests(
        pd.Series([files.get(name) for name in names], dtype=object),
        root,
        pd.Series(names, dtype=object),
    )
    contents = dict(zip(names, digest, strict=True))
    image, image_digest = (
        named.map(
            {own: joined(found.get(name, "") for name in lists[own]) or None for own in lists}
        )
        for found in (files, contents)
    )
    lost = named.map(
        {own: [below + name for name in lists[own] if name not in files] for own in lists}
    )
    return Located(image, image_digest, lost.explode().dropna())


def spelled_each(lists: pd.Series, spell: Callable[[pd.Series], pd.Series]) -> list[str]:
    """Return the images of N samples, each a list of text, as ``spell`` spells them, joined."""
    # A row without any stands there as one that is empty.
    spelled = iter(spell(lists.explode().fillna("")))
    return [joined(islice(spelled, max(1, len(own)))) for own in lists]
