"""Image tables: TSV files that hold a data set's images in base64, and the files made of them.

``<DATASET>.tsv`` has a column ``index`` and a column ``image`` or ``image_path``. A cell
of ``image`` is base64; at most 64 characters are the index of another row, whose image
is meant; a list stands for several images, of which the first is used.
"""

import base64
import binascii
import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from mmroute.confined import reading
from mmroute.errors import InputError, raise_disk_fault
from mmroute.storage import (
    atomic_folder,
    folder_name,
    is_file,
    leaves_folder,
    read_json,
    read_table,
    write_frame,
    write_json,
)

LONGEST_POINTER = 64
LONGEST_CELL = 2**28
"""Of characters: 192 MiB of image, which bounds the memory that a row takes."""
LONGEST_HEADER = 2**20
"""Of characters."""

IMAGES = "images"
INDEX = "index.parquet"
REMARKS = "remarks.json"

_FIRST_OF_LIST = re.compile(r"""\[\s*(["'])(.*?)\1\s*(,?)""", re.DOTALL)
_MAGIC = {
    b"\xff\xd8\xff": ".jpg",
    b"\x89PNG\r\n\x1a\n": ".png",
    b"GIF8": ".gif",
    b"BM": ".bmp",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
}

Remarks = dict[str, list[Any]]
"""What was found, to how often and one example."""


def find_tables(folders: Iterable[Path], datasets: Iterable[str]) -> dict[str, Path]:
    """Find the image table of each data set that has one, in the first folder that has it.

    The file may spell the data set's name in another case or without underscores.
    """
    by_name: dict[str, Path] = {}
    for folder in folders:
        tables = filter(is_file, sorted(folder.glob("*.tsv")))
        for key in (lambda name: name, _plain):
            for table in tables:
                by_name.setdefault(key(table.stem), table)
    found = {dataset: by_name.get(dataset, by_name.get(_plain(dataset))) for dataset in datasets}
    return {dataset: table for dataset, table in found.items() if table is not None}


def named_files(table: Path) -> Iterator[str]:
    """Yield the paths of the image files that a table may mean where it holds no image itself.

    Raises InputError if the table cannot be read to its end.
    """
    with table.open(encoding="utf-8-sig", errors="replace") as stream:
        if "image_path" not in stream.readline(LONGEST_HEADER):
            return
    for row in _rows(table):
        if not _first(row.get("image", ""))[0]:
            path, _ = _first(row.get("image_path", ""))
            yield from map(str, _candidates(table, path) if path else ())


def _candidates(table: Path, named: str) -> list[Path]:
    """Return where an image may lie that a table names; empty if it leads elsewhere."""
    here = table.parent
    path = named.removeprefix(f"{here.resolve().as_posix()}/")
    if leaves_folder(path):
        return []
    return [here / path, here / "images" / table.stem / path]


def extract(tables: Mapping[str, Path], folder: Path) -> None:
    """Write the images of some tables as files below ``folder/images``, which it replaces.

    ``folder/images`` appears only when every table is done. It holds
    ``<data set>/<index>.<suffix>``, percent-encoded, and what ``load`` reads.

    Parameters
    ----------
    tables
        The table of each data set.
    folder
        Where ``images`` goes.

    Raises
    ------
    InputError
        If a table cannot be read to its end or has no ``index`` or no image column.
    """
    rows: list[tuple[str, str, str, str | None]] = []
    remarks: Remarks = {}
    with atomic_folder(folder / IMAGES) as images:
        with tqdm(desc="images", unit=" rows", mininterval=1) as progress:
            for dataset, table in tables.items():
                rows += _Extraction(dataset, table, images, remarks).run(progress)
        columns = ["dataset", "index", "id", "image"]
        write_frame(images / INDEX, pd.DataFrame(rows, columns=columns, dtype="str"))
        write_json(images / REMARKS, remarks)


def load(folder: Path) -> tuple[pd.DataFrame, Remarks]:
    """Read what ``extract`` has noted.

    Returns
    -------
    rows
        ``dataset``, ``index``, ``id`` (empty if the table has none) and ``image``, a
        path below ``folder``, null where there is none.
    remarks
        What a reader must know of the tables.
    """
    images = folder / IMAGES
    return read_table(images / INDEX).to_pandas(), read_json(images / REMARKS)


class _Extraction:
    """One table on its way to files."""

    def __init__(self, dataset: str, table: Path, folder: Path, remarks: Remarks) -> None:
        self.dataset = dataset
        self.table = table
        self.folder = folder
        self.remarks = remarks
        self.below = folder_name(dataset)

    def run(self, progress: "tqdm[Any]") -> Iterator[tuple[str, str, str, str | None]]:
        (self.folder / self.below).mkdir()
        ids: dict[str, str] = {}
        images: dict[str, str | None] = {}
        pointers: dict[str, str] = {}
        for row in _rows(self.table):
            progress.update()
            index = row["index"]
            if index in images:
                self._remark("rows repeat the index of a row before them and are left out", index)
                continue
            ids[index] = row.get("id", "")
            images[index] = None
            cell, more = _first(row.get("image", ""))
            if more:
                self._remark("rows hold several images, of which the first is used", index)
            if not cell:
                images[index] = self._copy(index, row.get("image_path", ""))
            elif len(cell) <= LONGEST_POINTER:
                pointers[index] = cell
            else:
                images[index] = self._decode(index, cell)
        # Each is followed once, however long a chain they make.
        pending = dict(pointers)
        for index in pointers:
            chain, target = [], index
            while target in pending:
                chain.append(target)
                target = pending.pop(target)
            images |= dict.fromkeys(chain, images.get(target))
            if images[index] is None:
                self._remark("rows point to a row without an image and have none", index)
        return ((self.dataset, index, ids[index], image) for index, image in images.items())

    def _decode(self, index: str, cell: str) -> str | None:
        try:
            content = base64.b64decode(cell.strip(), validate=True)
        except (binascii.Error, ValueError):
            content = b""
        return self._write(index, content)

    def _copy(self, index: str, cell: str) -> str | None:
        """Copy an image that the table names by its path, from the table's own folder."""
        named, more = _first(cell)
        if not named:
            return None
        if more:
            self._remark("rows hold several images, of which the first is used", index)
        candidates = _candidates(self.table, named)
        if not candidates:
            here = self.table.parent
            self._remark(f"rows name an image outside of {here} and have none", index)
            return None
        for candidate in candidates:
            if is_file(candidate):
                return self._write(index, candidate.read_bytes())
        self._remark("rows name an image file that is not there and have none", index)
        return None

    def _write(self, index: str, content: bytes) -> str | None:
        suffix = suffix_of(content)
        if suffix is None:
            self._remark(
                "rows hold no image in valid base64 and a known format, and have none", index
            )
            return None
        image = f"{self.below}/{folder_name(index)}{suffix}"
        (self.folder / image).write_bytes(content)
        return f"{IMAGES}/{image}"

    def _remark(self, what: str, index: str) -> None:
        entry = self.remarks.setdefault(
            f"image tables: {what}", [0, f"{self.dataset} {index!r:.80}"]
        )
        entry[0] += 1


def _rows(table: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a table as text, one in memory at a time."""
    with _long_cells(), reading(table):
        try:
            with table.open(encoding="utf-8-sig", newline="") as stream:
                rows = csv.reader(stream, delimiter="\t")
                names = next(rows, [])
                if "index" not in names or not {"image", "image_path"} & set(names):
                    raise InputError(
                        f"{table}: columns {', '.join(names)!r:.200}; an image table needs "
                        "'index' and 'image' or 'image_path'"
                    )
                for number, row in enumerate(rows, start=1):
                    if len(row) != len(names):
                        raise ValueError(f"row {number} has {len(row)} cells, not {len(names)}")
                    yield dict(zip(names, row, strict=True))
        except (OSError, ValueError, csv.Error) as error:
            raise_disk_fault(error, table)
            raise InputError(
                f"{table}: not readable as TSV ({error!s:.200}); give a whole table"
            ) from error


@contextmanager
def _long_cells() -> Iterator[None]:
    """Let the csv module, for all of the process, take cells as long as an image."""
    before = csv.field_size_limit(LONGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _first(cell: str) -> tuple[str, bool]:
    """Return a cell's only or first entry, and whether there are more."""
    entry = _FIRST_OF_LIST.match(cell)
    return (cell, False) if entry is None else (entry[2], bool(entry[3]))


def suffix_of(content: bytes) -> str | None:
    """Return the suffix of an image file by how it begins, None if it is no known format."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return ".webp"
    return next((suffix for magic, suffix in _MAGIC.items() if content.startswith(magic)), None)


def _plain(name: str) -> str:
    return name.lower().replace("_", "")
