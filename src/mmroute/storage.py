"""Files that are either whole or absent, and digests of their content."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mmroute.errors import InputError


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; it takes the name on success only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(path)
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
    """Write a Parquet file."""
    with atomic(path) as partial:
        pq.write_table(table, partial, compression="zstd")


def read_table(path: Path) -> pa.Table:
    """Read a Parquet file written by the workflow; raise InputError if it is not whole."""
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{path}: not readable as Parquet ({error}); delete it and run again"
        ) from error


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a data frame as Parquet, without its index."""
    write_table(path, pa.Table.from_pandas(frame, preserve_index=False))


def write_vectors(path: Path, sample_ids: Iterable[str], vectors: np.ndarray) -> None:
    """Write (N, d) vectors as Parquet: ``sample_id`` and ``vector``."""
    columns = [pa.array(sample_ids, pa.string()), vector_array(vectors)]
    write_table(path, pa.table(columns, names=["sample_id", "vector"]))


def read_vectors(path: Path) -> np.ndarray:
    """Read the (N, d) vectors that ``write_vectors`` has written."""
    return vector_matrix(read_table(path)["vector"])


def vector_array(vectors: np.ndarray) -> pa.FixedSizeListArray:
    """Turn (N, d) into an Arrow column of lists."""
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])


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
