"""Files that are either whole or absent, and digests of their content."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mmroute.errors import InputError

_PLACE, _SCHEMA = b"mmroute.place", b"mmroute.schema"
"""Keys of a Parquet file's metadata: where it was written, and a digest of its schema."""


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; it takes the name on success only.

    Raises
    ------
    OSError
        If the system refuses it, a full disk for instance, naming the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        if error.filename is None and error.errno is not None:
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty sibling of ``folder``; it takes its name, and its place, on success only."""
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        if folder.exists():
            shutil.rmtree(folder)
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


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
    """Read JSON; raise InputError naming the file if it is not whole."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: not readable as JSON ({error}); delete it and run again"
        ) from error


def write_table(path: Path, table: pa.Table) -> None:
    """Write a Parquet file, with a checksum of every page."""
    with atomic(path) as partial:
        pq.write_table(table, partial, compression="zstd", write_page_checksum=True)


def read_table(path: Path) -> pa.Table:
    """Read a Parquet file written by the workflow; raise InputError if it is not whole."""
    try:
        return pq.read_table(path, page_checksum_verification=True)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(
            f"{path}: not readable as Parquet ({error}); delete it and run again"
        ) from error


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a data frame as Parquet, without its index."""
    write_table(path, pa.Table.from_pandas(frame, preserve_index=False))


def write_by_sample(path: Path, columns: Mapping[str, Any]) -> None:
    """Write Parquet with a column ``sample_id``, marked with the file's place.

    The place is the last three names of the path, so that a whole results folder
    may be moved, but not a file inside it.
    """
    table = pa.table(dict(columns))
    marks = {_PLACE: _place(path), _SCHEMA: _schema_digest(table)}
    write_table(path, table.replace_schema_metadata(marks))


def read_by_sample(path: Path) -> pa.Table:
    """Read what ``write_by_sample`` has written.

    Raises
    ------
    InputError
        If the file is not whole, or was written as another one.
    """
    table = read_table(path)
    marks = table.schema.metadata or {}
    found = marks.get(_PLACE, b"").decode(errors="replace")
    if found != _place(path):
        was = f"was written as {found!r}" if found else "was not written by this workflow"
        raise InputError(f"{path}: {was}, not as {_place(path)!r}; delete it and run again")
    # Only the pages have checksums; what tells the columns has none.
    if _schema_digest(table).encode() != marks.get(_SCHEMA):
        raise InputError(f"{path}: damaged: other columns than written; delete it and run again")
    return table


def read_parts(paths: Iterable[str], sample_ids: Iterable[str]) -> list[pa.Table]:
    """Read the files, each by sample, that together hold some samples.

    Parameters
    ----------
    paths
        Files that ``write_by_sample`` has written.
    sample_ids
        (N,) the samples of all of them, in order.

    Raises
    ------
    InputError
        If a file is not whole, was written as another one, or holds other samples than
        its share; the first such file is named.
    """
    files = [Path(path) for path in paths]
    tables = [read_by_sample(file) for file in files]
    expected = list(sample_ids)
    for file, table in zip(files, tables, strict=True):
        end = len(expected) if file is files[-1] else len(table)
        check_samples(file, table["sample_id"].to_pylist(), expected[:end])
        expected = expected[end:]
    return tables


def check_samples(path: Path, found: Iterable[str], expected: Iterable[str]) -> None:
    """Raise InputError unless a file holds the samples that are expected, in their order."""
    found, expected = list(found), list(expected)
    if found == expected:
        return
    pairs = zip_longest(found, expected)
    row, (other, own) = next((i, pair) for i, pair in enumerate(pairs) if pair[0] != pair[1])
    raise InputError(
        f"{path}: column sample_id: row {row + 1} of {len(found)} is {_shown(other)} where "
        f"{_shown(own)} of {len(expected)} is expected; delete it and run again"
    )


def _shown(sample_id: str | None) -> str:
    return "missing" if sample_id is None else repr(sample_id)


def _schema_digest(table: pa.Table) -> str:
    return digest_bytes(table.schema.remove_metadata().serialize().to_pybytes())


def _place(path: Path) -> str:
    return "/".join(path.absolute().parts[-3:])


def write_vectors(path: Path, sample_ids: Iterable[str], vectors: np.ndarray) -> None:
    """Write (N, d) vectors as Parquet: ``sample_id`` and ``vector``."""
    ids = pa.array(sample_ids, pa.string())
    write_by_sample(path, {"sample_id": ids, "vector": vector_array(vectors)})


def read_vectors(paths: Iterable[str], sample_ids: Iterable[str]) -> np.ndarray:
    """Read the (N, d) vectors that ``write_vectors`` has written; see ``read_parts``."""
    tables = read_parts(paths, sample_ids)
    return np.concatenate([vector_matrix(table["vector"]) for table in tables])


def vector_array(vectors: np.ndarray) -> pa.FixedSizeListArray:
    """Turn (N, d) into an Arrow column of lists."""
    values = pa.array(vectors.ravel())
    # Parquet calls what a list holds an element; by another name the schema would change.
    kind = pa.list_(pa.field("element", values.type), vectors.shape[1])
    return pa.FixedSizeListArray.from_arrays(values, type=kind)


def vector_matrix(column: pa.ChunkedArray) -> np.ndarray:
    """Turn an Arrow column of lists into (N, d)."""
    return column.combine_chunks().flatten().to_numpy().reshape(-1, column.type.list_size)


def digest_bytes(content: bytes) -> str:
    """Hex blake2b-128 of ``content``."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def digest_file(path: Path) -> str:
    """Hex blake2b-128 of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def digest_listing(paths: Iterable[Path]) -> str:
    """Hex digest of names, sizes and modification times: cheap, and changes when a file does."""
    entries = []
    for path in sorted(paths):
        status = path.stat()
        entries.append(f"{path}\0{status.st_size}\0{status.st_mtime_ns}")
    return digest_bytes("\n".join(entries).encode())
