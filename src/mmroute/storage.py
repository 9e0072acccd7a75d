"""Files that are either whole or absent, and digests of their content."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path, PurePosixPath
from secrets import token_hex
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from mmroute.confined import reading, writing
from mmroute.errors import DamagedFile, InputError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

# A router in use reads no Parquet, and does without Arrow: the functions that need it import it.

_PLACE, _SCHEMA = b"mmroute.place", b"mmroute.schema"
"""Keys of a Parquet file's metadata: where it was written, and a digest of its schema."""
_RUNS = "results"
"""The folder of all runs' folders."""
_MADE_WHOLE = ".snakemake_timestamp"
"""What Snakemake leaves in a folder that a job has made as one output."""
SHRUNK = "+shrink"
"""What the name of a shrunk row has after its router's."""
LONGEST_NAME = 150
"""Bytes of a name that files are called after; file systems take 255."""
_REPEATED = re.compile(r"(.+)\1{19}$", re.DOTALL)
_ROW_GROUP = 1 << 16
"""Rows that are read together; some rows of a file cost at most two such groups more."""


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; it takes the name on success only.

    Raises
    ------
    OSError
        If the system refuses it, a full disk for instance, naming the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{token_hex(4)}.partial")
    with writing(partial), _naming(path):
        try:
            yield partial
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty sibling of ``folder``; it takes its name, and its place, on success only.

    Raises
    ------
    OSError
        If the system refuses it, a full disk for instance, naming the folder or a file in it.
    """
    partial = folder.with_name(f".{folder.name}.{token_hex(4)}.partial")
    with writing(partial), _naming(folder):
        partial.mkdir(parents=True)
        try:
            yield partial
            if folder.exists():
                shutil.rmtree(folder)
            partial.replace(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name a file in the errors of the system that name none."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise


def is_file(path: Path) -> bool:
    """Tell whether there is a regular file; what cannot be one, or be looked at, is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def file_name(text: str) -> str:
    """Return text as a name for files, cut and told apart by a digest if it cannot be one.

    That is if it leaves no room for what is added, suffixes and the mark of a partial file,
    or ends in a text 20 times, which Snakemake takes for an endless wildcard.
    """
    if len(text.encode()) <= LONGEST_NAME and not _REPEATED.search(text):
        return text
    return f"{text[: LONGEST_NAME // 4]}-{digest_bytes(text.encode())}"


def folder_name(dataset: str) -> str:
    """Return a data set's name as a folder's: percent-encoded, never hidden, not too long."""
    return file_name(re.sub(r"^\.", "%2E", quote(dataset, safe="")))


def leaves_folder(name: str) -> bool:
    """Tell whether a path, taken from a folder, would lead out of it by what it spells."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts


def link_to(link: Path, folder: Path) -> None:
    """Make ``link`` a symbolic link to ``folder``, in place of one that is there."""
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(folder.resolve(), target_is_directory=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text with line feeds, on every platform."""
    with atomic(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, content: Any) -> None:
    """Write JSON with sorted keys, so that equal content is equal bytes."""
    write_text(
        path, json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    )


def read_json(path: Path) -> Any:
    """Read JSON; raise DamagedFile if it is not whole."""
    with _reading(path, "JSON"):
        return json.loads(path.read_text(encoding="utf-8"))


@contextmanager
def _reading(path: Path, kind: str) -> Iterator[None]:
    """Tell a file that is damaged from one that the system refuses, or has no memory for."""
    try:
        yield
    except FileNotFoundError as error:
        raise damaged(path, "no such file") from error
    except MemoryError as error:
        raise InputError(
            f"{path}: too little memory to read it ({error}); give more, and run again"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise damaged(path, f"not readable as {kind} ({error})") from error


@contextmanager
def _parquet(path: Path) -> Iterator["pq.ParquetFile"]:
    """Open a Parquet file; raise DamagedFile if it is not whole."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _reading(path, "Parquet"):
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                yield file
        except MemoryError:
            # Arrow's is one of its exceptions, too.
            raise
        except pa.ArrowException as error:
            raise ValueError(f"{error}") from error


def examine(path: Path) -> None:
    """Raise DamagedFile if a file of a run is not whole, or was written as another one."""
    read = {".json": read_json, ".parquet": read_table}.get(path.suffix)
    if read and place_of(path):
        read(path)


def damaged(path: Path, wrong: str) -> DamagedFile:
    """Return the error for a stored file, with the way to get it back."""
    way = "put a whole one in its place, or delete it and run again"
    if place_of(path):
        way = f"make it anew: mmroute run CONFIG --forcerun {output_of(path)}"
    return DamagedFile(path, wrong, way)


def output_of(path: Path) -> Path:
    """Return the folder above a file that a job has made as a whole, or else the file."""
    return next((folder for folder in path.parents if (folder / _MADE_WHOLE).exists()), path)


def place_of(path: Path) -> str:
    """Return where a file lies in the folder of its run, ``results/<name>``.

    Empty outside of such a folder, and in one that is still to get its name.
    """
    parts = path.absolute().parts
    if _RUNS not in parts or any(
        part.startswith(".") and part.endswith(".partial") for part in parts[:-1]
    ):
        return ""
    return "/".join(parts[len(parts) - parts[::-1].index(_RUNS) + 1 :])


def check_place(path: Path, place: str) -> None:
    """Raise DamagedFile unless a file may have been written as ``place``, see ``place_of``.

    A folder of results may be moved and renamed, but not a file inside it.
    """
    if place and not path.absolute().as_posix().endswith(f"/{place}"):
        raise damaged(path, f"was written as {place!r}")


def write_table(path: Path, table: "pa.Table") -> None:
    """Write a Parquet file, with a checksum of every page and marked with the file's place."""
    import pyarrow.parquet as pq

    marks = {_PLACE: place_of(path), _SCHEMA: _schema_digest(table.schema)}
    with atomic(path) as partial:
        pq.write_table(
            table.replace_schema_metadata({**(table.schema.metadata or {}), **marks}),
            partial,
            row_group_size=_ROW_GROUP,
            compression="zstd",
            write_page_checksum=True,
            # As Arrow names what a list holds, or the schema would be another one when read.
            use_compliant_nested_type=False,
        )


def read_table(path: Path, rows: slice = slice(None)) -> "pa.Table":
    """Read what ``write_table`` has written, or some consecutive rows of it.

    Raises
    ------
    DamagedFile
        If the file is not whole, or was written as another one.
    """
    with _parquet(path) as file:
        table = _read_rows(file, rows)
    marks = table.schema.metadata or {}
    if _PLACE not in marks:
        raise damaged(path, "was not written by this version of the workflow")
    check_place(path, marks[_PLACE].decode(errors="replace"))
    # Only the pages have checksums; what tells the columns has none.
    if _schema_digest(table.schema).encode() != marks.get(_SCHEMA):
        raise damaged(path, "damaged: other columns than written")
    return table


def count_rows(path: Path) -> int:
    """Return the number of rows of a Parquet file; raise DamagedFile if it is not whole."""
    with _parquet(path) as file:
        return file.metadata.num_rows


def _read_rows(file: "pq.ParquetFile", rows: slice) -> "pa.Table":
    sizes = [file.metadata.row_group(index).num_rows for index in range(file.num_row_groups)]
    ends = np.cumsum(sizes, dtype=int)
    start, stop, _ = rows.indices(file.metadata.num_rows)
    needed = np.flatnonzero((ends > start) & (ends - sizes < stop))
    if not len(needed):
        return file.schema_arrow.empty_table()
    skipped = int(ends[needed[0]] - sizes[needed[0]])
    return file.read_row_groups(needed.tolist()).slice(start - skipped, stop - start)


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a data frame as Parquet, without its index."""
    import pyarrow as pa

    write_table(path, pa.Table.from_pandas(frame, preserve_index=False))


def read_parts(paths: Iterable[str], sample_ids: Iterable[str]) -> "list[pa.Table]":
    """Read the files, each by sample, that together hold some samples.

    Parameters
    ----------
    paths
        Files that ``write_table`` has written, with a column ``sample_id``.
    sample_ids
        (N,) the samples of all of them, in order.

    Raises
    ------
    DamagedFile
        If a file is not whole, was written as another one, or holds other samples than
        its share; it is the first such file.
    """
    files = [Path(path) for path in paths]
    tables = [read_table(file) for file in files]
    expected = list(sample_ids)
    for file, table in zip(files, tables, strict=True):
        end = len(expected) if file is files[-1] else len(table)
        check_samples(file, table["sample_id"].to_pylist(), expected[:end])
        expected = expected[end:]
    return tables


def check_samples(path: Path, found: Iterable[str], expected: Iterable[str]) -> None:
    """Raise DamagedFile unless a file holds the samples that are expected, in their order."""
    found, expected = list(found), list(expected)
    if found == expected:
        return
    pairs = zip_longest(found, expected)
    row, (other, own) = next((i, pair) for i, pair in enumerate(pairs) if pair[0] != pair[1])
    raise damaged(
        path,
        f"column sample_id: row {row + 1} of {len(found)} is {_shown(other)} where "
        f"{_shown(own)} of {len(expected)} is expected",
    )


def _shown(sample_id: str | None) -> str:
    return "missing" if sample_id is None else repr(sample_id)


def _schema_digest(schema: "pa.Schema") -> str:
    metadata = schema.metadata or {}
    own = {key: metadata[key] for key in sorted(metadata) if key not in (_PLACE, _SCHEMA)}
    return digest_bytes(schema.with_metadata(own).serialize().to_pybytes())


def write_vectors(path: Path, sample_ids: Iterable[str], vectors: np.ndarray) -> None:
    """Write (N, d) vectors as Parquet: ``sample_id`` and ``vector``."""
    import pyarrow as pa

    ids = pa.array(sample_ids, pa.string())
    write_table(path, pa.table({"sample_id": ids, "vector": vector_array(vectors)}))


def read_vectors(paths: Iterable[str], sample_ids: Iterable[str]) -> np.ndarray:
    """Read the (N, d) vectors that ``write_vectors`` has written; see ``read_parts``."""
    tables = read_parts(paths, sample_ids)
    return np.concatenate([vector_matrix(table["vector"]) for table in tables])


def vector_array(vectors: np.ndarray) -> "pa.FixedSizeListArray":
    """Turn (N, d) into an Arrow column of lists."""
    import pyarrow as pa

    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])


def vector_matrix(column: "pa.ChunkedArray") -> np.ndarray:
    """Turn an Arrow column of lists into (N, d)."""
    return column.combine_chunks().flatten().to_numpy().reshape(-1, column.type.list_size)


def digest_bytes(content: bytes) -> str:
    """Hex blake2b-128 of ``content``."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def digest_file(path: Path) -> str:
    """Hex blake2b-128 of a file's content; InputError if it is no regular file."""
    with reading(path), path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def digest_sha256(path: Path) -> str:
    """Hex SHA-256 of a file's content, as hubs state it."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_listing(paths: Iterable[Path]) -> str:
    """Hex digest of names, sizes and modification times: cheap, and changes when a file does."""
    entries = []
    for path in sorted(paths):
        status = path.stat()
        entries.append(f"{path}\0{status.st_size}\0{status.st_mtime_ns}")
    return digest_bytes("\n".join(entries).encode())
