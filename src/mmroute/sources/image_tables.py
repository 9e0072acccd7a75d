"""Image tables: TSV files that hold a data set's images in base64, and the files made of them.

``<DATASET>.tsv`` has a column ``index`` and a column ``image`` or ``image_path``. A cell
of ``image`` is base64; at most 64 characters are the index of another row, whose image
is meant; a list, of JSON or as Python writes one, stands for several images.
"""

import base64
import binascii
import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from mmroute.confined import reading
from mmroute.errors import InputError, raise_disk_fault
from mmroute.images import MOST_IMAGES, joined
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

_ENTRY = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)')\s*([,\]])""")
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
        if not entries(row.get("image", "")):
            for path in entries(row.get("image_path", "")):
                yield from map(str, _candidates(table, path))


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
    ``<data set>/<index>.<suffix>``, percent-encoded, with ``+2`` and so on behind the index of
    further images of a row, and what ``load`` reads.

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
        path below ``folder``, several as ``mmroute.images.joined`` has them, null where there is
        none.
    remarks
        What a reader must know of the tables.
    """
    images = folder / IMAGES
    return read_table(images / INDEX).to_pandas(), read_json(images / REMARKS)


class _Lost(Exception):
    """Why there is no image."""


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
            held = entries(row.get("image", ""))
            if len(held) == 1 and len(held[0]) <= LONGEST_POINTER:
                pointers[index] = held[0]
            elif held:
                images[index] = joined(self._write(index, held, _decoded)) or None
            else:
                named = entries(row.get("image_path", ""))
                images[index] = joined(self._write(index, named, self._named)) or None
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

    def _write(
        self, index: str, cells: list[str], content_of: Callable[[str], bytes]
    ) -> Iterator[str]:
        """Write the images of a row that are some, and yield their paths."""
        if len(cells) > MOST_IMAGES:
            raise InputError(
                f"{self.table}: the row of index {index!r:.80} has {len(cells):,} images, of "
                f"{MOST_IMAGES:,} that a sample may have; leave some out or remove the row"
            )
        reasons: dict[str, None] = {}
        for number, cell in enumerate(cells, start=1):
            try:
                content = content_of(cell)
            except _Lost as lost:
                reasons[str(lost)] = None
                continue
            further = "" if number == 1 else f"+{number}"
            image = f"{self.below}/{folder_name(index)}{further}{suffix_of(content)}"
            (self.folder / image).write_bytes(content)
            yield f"{IMAGES}/{image}"
        rest = "have none" if len(cells) == 1 else "have only their others"
        for reason in reasons:
            self._remark(f"{reason} {rest}", index)

    def _named(self, path: str) -> bytes:
        """Read an image that the table names by its path, from the table's own folder."""
        candidates = _candidates(self.table, path)
        if not candidates:
            raise _Lost(f"rows name an image outside of {self.table.parent} and")
        file = next(filter(is_file, candidates), None)
        if file is None:
            raise _Lost("rows name an image file that is not there and")
        return _image(file.read_bytes())

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


def entries(cell: str) -> list[str]:
    """Return the texts of a cell that is a list, in order, else the cell; empty ones left out.

    A list is one of JSON, or as Python writes it.
    """
    found = [cell]
    if cell.startswith("["):
        try:
            found = json.loads(cell)
        except (ValueError, RecursionError):
            found = _python_list(cell)
        if not all(isinstance(entry, str | None) for entry in found):
            found = [cell]
    return [entry for entry in found if entry]


def _python_list(cell: str) -> list[str]:
    found, at = [], 1
    while entry := _ENTRY.match(cell, at):
        found.append(entry[1] or entry[2])
        at = entry.end()
    return found if found and cell[at - 1 :].rstrip() == "]" else [cell]


def _decoded(cell: str) -> bytes:
    try:
        return _image(base64.b64decode(cell.strip(), validate=True))
    except (binascii.Error, ValueError):
        return _image(b"")


def _image(content: bytes) -> bytes:
    if suffix_of(content) is None:
        raise _Lost("rows hold no image in valid base64 and a known format, and")
    return content


def suffix_of(content: bytes) -> str | None:
    """Return the suffix of an image file by how it begins, None if it is no known format."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return ".webp"
    return next((suffix for magic, suffix in _MAGIC.items() if content.startswith(magic)), None)


def _plain(name: str) -> str:
    return name.lower().replace("_", "")
