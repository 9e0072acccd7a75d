"""Cells: any table file read as text, and text read as numbers.

Every format becomes the same thing, a frame of strings in which the empty
string means missing. No cell is guessed at: an answer that reads ``NA`` or
``007`` stays that text, and a number is parsed only where one is expected.
"""

import codecs
import gzip
import io
import json
import math
import re
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial, reduce
from pathlib import Path
from textwrap import shorten
from typing import IO, Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
from python_calamine import CalamineError

from mmroute.confined import reading
from mmroute.errors import InputError, Undecided, raise_disk_fault
from mmroute.outcome_table import PRICE_COLUMNS, SAMPLE_COLUMNS, OutcomeTable

NUMBER_MISSING = frozenset({"", "nan", "none", "null"})
CORRECTNESS_WORDS = {
    "true": 1.0,
    "yes": 1.0,
    "right": 1.0,
    "correct": 1.0,
    "false": 0.0,
    "no": 0.0,
    "wrong": 0.0,
    "incorrect": 0.0,
}

SCALES = (5, 10, 100)
"""Of scores that are not from 0 to 1, the common ones."""
FAILED = "Failed to obtain answer"
"""What VLMEvalKit writes for the answer of a call that failed, or begins it with."""
LONGEST_ANSWER = 1000
"""Characters of an answer that logs keep: some are a whole train of thought."""
TEXT_SUFFIXES = (".csv", ".tsv", ".jsonl", ".json")
PACKED = ".gz"
"""What a text file may end in besides."""
UTF8 = "utf-8"
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""What a text file may begin with, the longer ones first: it says its encoding."""

_UNKNOWN_TO_CP1252 = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")

MAX_UNPACKED_BYTES = 4 * 2**30
MAX_COLUMNS = 100_000
# Of JSON: its cells are as many as its records times the keys of all of them together.
MAX_SPARSE_CELLS = 30_000_000

# Arrow wants a whole row inside one block; questions and predictions can be long.
CSV_BLOCK_BYTES = 64 * 2**20

# The reader of spreadsheets lays a sheet out as one block up to its last cell, and ends
# the whole process where the memory is not there.
MAX_SHEET_CELLS = 30_000_000
MAX_SHEET_BYTES = 2 * 2**30
# A cell holds 32,767 characters at most.
_LONGEST_TEXT_BYTES = 2**20
_CELL = re.compile(rb"""\sr\s*=\s*["']([A-Za-z]*)(\d+)["']""")
# Beyond column Z or row 9,999; only where there is one are all references read.
_FAR_CELL = re.compile(rb"""r\s*=\s*["'](?:[A-Za-z]{2,}\d|[A-Za-z]?\d{5})""")


def read_cells(
    path: Path,
    columns: Sequence[str] | None = None,
    needed: Collection[str] | None = None,
    encoding: str = UTF8,
    lists: Collection[str] = (),
) -> pd.DataFrame:
    """Read a CSV, TSV, JSONL, JSON, Parquet, Feather or Excel (first sheet) file as text.

    Parameters
    ----------
    path
        The file; its suffix names the format. JSON is a list of objects. Those of text may be
        packed, ``.csv.gz`` for instance.
    columns
        The columns to read, all of which it has; None for all.
    needed
        Those that have to hold text or numbers; None for all. Another one of lists or objects
        is left out, and a warning says so.
    encoding
        Of a CSV, TSV, JSONL or JSON that does not begin with a mark of its own.
    lists
        Columns whose lists of text are read too, each as JSON.

    Returns
    -------
    pandas.DataFrame
        One string column per column of the file, ``""`` where a cell is empty or null.

    Raises
    ------
    InputError
        If the file cannot be read, has no rows, names a column twice, or a
        column that is needed holds lists or objects.
    """
    read_table, _ = _format(path)
    with _reading(path):
        table = read_table(path, columns, _encoding(path, encoding))
        names = table.column_names
        _check_width(len(names))
        if len(set(names)) < len(names):
            twice = next(name for name, count in Counter(names).items() if count > 1)
            raise ValueError(f"column {twice!r:.80} appears twice")
        for name in filter(lists.__contains__, names):
            if _is_lists_of_text(table[name].type):
                rows = [json.dumps(own) if own else "" for own in table[name].to_pylist()]
                place = names.index(name)
                table = table.set_column(place, name, pa.array(rows, pa.string()))
        nested = [name for name in names if pa.types.is_nested(table.schema.field(name).type)]
        unread = next((name for name in nested if needed is None or name in needed), None)
        if unread is not None:
            raise ValueError(f"column {unread!r:.80} holds lists or objects, not text or numbers")
        kept = [name for name in names if name not in nested]
        cells = pa.table([_text(table[name]) for name in kept], names=kept)
    if nested:
        warnings.warn(
            f"{path}: columns of lists or objects are left out: {', '.join(nested):.500}",
            stacklevel=2,
        )
    if cells.num_rows == 0:
        raise InputError(f"{path}: holds no rows; give a table with at least one")
    return cells.to_pandas()


def read_lists(path: Path, column: str) -> list[list[str]]:
    """Read a Parquet file's column of lists of text, empty where one is null.

    Raises InputError if the file cannot be read, or the column holds something else.
    """
    with _reading(path):
        cells = _read_parquet(path, [column], UTF8)[column]
        if not _is_lists_of_text(cells.type):
            raise ValueError(f"column {column!r:.80} holds {cells.type!s:.80}, not lists of text")
        return [[name or "" for name in names or []] for names in cells.to_pylist()]


def _is_lists_of_text(kind: pa.DataType) -> bool:
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return is_list and str(kind.value_type) in ("string", "large_string")


def is_table(path: Path) -> bool:
    """Tell by its suffix whether a file is one that ``read_cells`` reads."""
    return suffix(path) in _FORMATS


def head(path: Path, size: int) -> bytes:
    """Return so many first bytes of a text table, unpacked.

    Raises InputError if the file cannot be read.
    """
    with _reading(path), _opened(path) as stream:
        return stream.read(size)


def suffix(path: Path) -> str:
    """Return the suffix that names a table's format, without that of its packing."""
    if path.suffix.lower() == PACKED:
        inner = path.with_suffix("").suffix.lower()
        return inner if inner in TEXT_SUFFIXES else PACKED
    return path.suffix.lower()


def first_line(path: Path, longest: int) -> str:
    """Return a text table's first line, as UTF-8 and at most so many bytes of it.

    Raises InputError if the file cannot be read.
    """
    with _reading(path), _opened(path) as stream:
        return stream.readline(longest).decode(errors="replace")


def column_names(path: Path, encoding: str = UTF8) -> list[str]:
    """List a table file's columns without reading its rows; a JSONL's by its first line.

    Raises InputError if the file cannot be read. ``encoding`` is as for ``read_cells``.
    """
    _, read_names = _format(path)
    with _reading(path):
        return read_names(path, _encoding(path, encoding))


def is_encoding(name: str) -> bool:
    """Tell whether text can be read in an encoding of that name."""
    try:
        b"a".decode(name)
    except (LookupError, ValueError):
        return False
    return True


def numbers(
    cells: pd.Series,
    path: Path,
    words: Mapping[str, float] | None = None,
    highest: float | None = None,
    cure: str = "correct or empty the cell",
) -> np.ndarray:
    """Parse a column of text as numbers, none of them negative.

    Parameters
    ----------
    cells
        (N,) text, named as its column and indexed by what identifies a row.
    path
        The file, for the message.
    words
        Words that stand for a number, in lower case.
    highest
        The largest number that makes sense there, if there is one.
    cure
        The way out, for the message.

    Returns
    -------
    numpy.ndarray
        (N,) float64; NaN where the cell is empty or says that it is missing.

    Raises
    ------
    InputError
        At the first cell that is neither such a number, nor a word, nor missing.
    """
    codes, distinct = pd.factorize(cells)
    values = np.array([_number(text, words or {}) for text in distinct])
    limit = np.finfo(float).max if highest is None else highest
    bad = np.flatnonzero(((values < 0) | (values > limit))[codes])
    if bad.size:
        wanted = "of at least 0" if highest is None else f"from 0 to {highest:g}"
        raise InputError(
            f"{path}: column {cells.name!r:.80} of {cells.index[bad[0]]!r:.80} holds "
            f"{cells.iloc[bad[0]]!r:.80}, which is no finite number {wanted}; {cure}"
        )
    return values[codes]


def utilities(cells: pd.Series, path: Path, scale: float | None = None) -> np.ndarray:
    """Parse a column of utilities: correctness words, or numbers up to a scale.

    Parameters
    ----------
    cells, path
        As for ``numbers``. Of a scale of 100 a number may have ``%`` behind it.
    scale
        The number of the best possible answer, if the source has a key of that name.

    Returns
    -------
    numpy.ndarray
        (N,) in [0, 1], divided by the scale; NaN where missing.

    Raises
    ------
    InputError
        As ``numbers``.
    """
    full, cure = scale or 1.0, "correct or empty the cell"
    if scale is not None:
        cure += (
            ", or set source.scale to the score of the best possible answer: 100 for percent"
            if scale == 1
            else ", or source.scale"
        )
    words = {word: full * value for word, value in CORRECTNESS_WORDS.items()}
    texts = cells.str.rstrip().str.removesuffix("%") if full == 100 else cells
    try:
        found = numbers(texts, path, words, full, cure)
    except InputError as error:
        likely = _likely_scale(cells) if scale == 1 else None
        raise (Undecided(str(error), {"scale": likely}) if likely else error) from None
    if full > 1 and np.isfinite(found).any() and np.nanmax(found) <= 1:
        warnings.warn(
            f"{path}: no number in column {cells.name!r:.80} is above 1, though source.scale is "
            f"{full:g}; leave it out if they are from 0 to 1",
            stacklevel=2,
        )
    return found / full


def _likely_scale(cells: pd.Series) -> int | None:
    """Return the least common scale that all numbers fit in, None if there is none."""
    values = pd.to_numeric(cells.str.rstrip().str.removesuffix("%"), errors="coerce")
    return next((scale for scale in SCALES if 1 < values.max() <= scale), None)


def nullable(cells: pd.Series) -> pd.Series:
    """Turn a column's empty cells into None."""
    return cells.astype(object).where(cells != "", None)


def outcome_table(
    samples: pd.DataFrame, models: list[str], matrices: Mapping[str, np.ndarray]
) -> OutcomeTable:
    """Put an outcome table together, prices unknown.

    Parameters
    ----------
    samples
        N rows with the columns of ``SAMPLE_COLUMNS``, ``group`` only if the source declares
        any, and any ``tag_*``.
    models
        K names.
    matrices
        The N x K fields of ``OutcomeTable`` by name; latencies may be left out.
    """
    tags = [name for name in samples.columns if name not in SAMPLE_COLUMNS]
    samples = samples.assign(group=samples.get("group", ""))
    return OutcomeTable(
        samples=samples[[*SAMPLE_COLUMNS, *tags]].reset_index(drop=True).astype("str"),
        models=pd.DataFrame({"model": models}).assign(**dict.fromkeys(PRICE_COLUMNS, np.nan)),
        **matrices,
    )


def _number(text: str, words: Mapping[str, float]) -> float:
    """Return the number, NaN for a missing one, infinity for what is no finite number."""
    word = text.strip().lower()
    if word in NUMBER_MISSING:
        return math.nan
    if word in words:
        return words[word]
    # Python reads 1_0 as ten; whoever wrote it may have meant anything.
    if "_" in word:
        return math.inf
    try:
        return float(word)
    except ValueError:
        return math.inf


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    return pc.fill_null(column.cast(pa.string()), "")


def _format(path: Path) -> "_Format":
    try:
        return _FORMATS[suffix(path)]
    except KeyError:
        raise InputError(
            f"{path}: the suffix {path.suffix!r} is no known table format; "
            f"use one of {', '.join(_FORMATS)}, or {PACKED} of one of {', '.join(TEXT_SUFFIXES)}"
        ) from None


class _Unpacked(io.RawIOBase):
    """What a gzip holds; ValueError beyond what a table may unpack to."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._content = gzip.GzipFile(fileobj=stream)
        self._left = MAX_UNPACKED_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._content.readinto(buffer)
        self._left -= count
        if self._left < 0:
            raise ValueError(f"it unpacks to more than {MAX_UNPACKED_BYTES:,} bytes")
        return count


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file, and unpack it if it is packed."""
    with path.open("rb") as stream:
        yield io.BufferedReader(_Unpacked(stream)) if path.suffix.lower() == PACKED else stream


# The last five are what a spreadsheet's archive can end in; RuntimeError, if it is encrypted.
_UNREADABLE = (
    OSError,
    ValueError,
    pa.ArrowException,
    CalamineError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    RuntimeError,
)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        with reading(path):
            yield
    except InputError:
        raise
    except _UNREADABLE as error:
        raise_disk_fault(error, path)
        is_text = suffix(path) in TEXT_SUFFIXES and isinstance(error, ValueError)
        if is_text and (odd := _no_utf8(path)):
            raise Undecided(f"{path}: {odd[0]}", {"encoding": odd[1]}) from error
        reason = shorten(str(error), 200, placeholder=" ...")
        raise InputError(
            f"{path}: not readable as {suffix(path)[1:].upper()} ({reason}); "
            "give a whole file of that format"
        ) from error


def _encoding(path: Path, encoding: str) -> str:
    """Return the encoding that a text file's first bytes mark it with, else the one given."""
    if suffix(path) not in TEXT_SUFFIXES:
        return encoding
    with _opened(path) as stream:
        first = stream.read(4)
    return next((name for mark, name in _MARKS.items() if first.startswith(mark)), encoding)


def _no_utf8(path: Path) -> tuple[str, str] | None:
    """Say where a text file is no UTF-8, and what it may be; None where it is."""
    decoder, number = codecs.getincrementaldecoder(UTF8)(), 1
    with suppress(OSError, ValueError, EOFError, zlib.error), _opened(path) as stream:
        # A file without an end of line is not to be in memory at once.
        for block in iter(partial(stream.readline, CSV_BLOCK_BYTES), b""):
            try:
                decoder.decode(block, len(block) < CSV_BLOCK_BYTES)
            except UnicodeDecodeError as error:
                line = error.object
                likely = "latin-1" if _UNKNOWN_TO_CP1252.search(line) else "cp1252"
                around = line[max(0, error.start - 20) : error.end + 20].decode(likely)
                return (
                    f"byte {line[error.start]:#04x} in line {number} is no UTF-8, and may be "
                    f"{likely}, to read {around.strip()!r}; set source.encoding to {likely!r}, or "
                    "save the file as UTF-8"
                ), likely
            number += block.endswith(b"\n")
    return None


def _csv_options(separator: str, encoding: str) -> dict[str, Any]:
    return {
        "read_options": pa.csv.ReadOptions(block_size=CSV_BLOCK_BYTES, encoding=encoding),
        "parse_options": pa.csv.ParseOptions(delimiter=separator, newlines_in_values=True),
    }


def _check_width(columns: int) -> None:
    if columns > MAX_COLUMNS:
        raise ValueError(f"{columns:,} columns, of {MAX_COLUMNS:,} that a table may have")


def _csv_names(path: Path, encoding: str, separator: str) -> list[str]:
    with _opened(path) as stream:
        _check_width(stream.readline(CSV_BLOCK_BYTES).count(separator.encode()) + 1)
    with (
        _opened(path) as stream,
        pa.csv.open_csv(stream, **_csv_options(separator, encoding)) as reader,
    ):
        return reader.schema.names


def _read_csv(path: Path, columns: Sequence[str] | None, encoding: str, separator: str) -> pa.Table:
    as_text = dict.fromkeys(_csv_names(path, encoding, separator), pa.string())
    with _opened(path) as stream:
        return pa.csv.read_csv(
            stream,
            convert_options=pa.csv.ConvertOptions(
                column_types=as_text, null_values=[], include_columns=columns
            ),
            **_csv_options(separator, encoding),
        )


def _jsonl_names(path: Path, encoding: str) -> list[str]:
    with _opened(path) as stream:
        lines = enumerate(io.TextIOWrapper(stream, encoding), 1)
        first = next(((number, line) for number, line in lines if line.strip()), None)
    return [] if first is None else list(_line(*first))


def _read_jsonl(path: Path, columns: Sequence[str] | None, encoding: str) -> pa.Table:
    with _opened(path) as stream:
        lines = enumerate(io.TextIOWrapper(stream, encoding), 1)
        records = [_line(number, line) for number, line in lines if line.strip()]
    return _json_table(records, columns)


def _line(number: int, line: str) -> dict[str, Any]:
    try:
        pairs = json.loads(line, **_AS_PAIRS)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {number}: {error.msg}, character {error.pos + 1}") from error
    return _record(pairs, f"line {number}")


def _json_records(path: Path, encoding: str) -> list[dict[str, Any]]:
    with _opened(path) as stream:
        content = json.load(io.TextIOWrapper(stream, encoding), **_AS_PAIRS)
    if not isinstance(content, list) or isinstance(content, _Pairs):
        raise ValueError("it is no list of objects")
    return [_record(pairs, f"record {number}") for number, pairs in enumerate(content, 1)]


def _json_names(path: Path, encoding: str) -> list[str]:
    return list(dict.fromkeys(name for record in _json_records(path, encoding) for name in record))


def _json_table(records: Sequence[Mapping[str, Any]], columns: Sequence[str] | None) -> pa.Table:
    names = columns or dict.fromkeys(name for record in records for name in record)
    cells, filled = len(records) * len(names), sum(map(len, records))
    if cells > max(MAX_SPARSE_CELLS, 10 * filled):
        raise ValueError(
            f"its {len(records):,} records have {len(names):,} different keys, and few of them each"
        )
    return pa.table({name: _json_column(records, name) for name in names})


def _record(pairs: Any, place: str) -> dict[str, Any]:
    if not isinstance(pairs, _Pairs):
        raise ValueError(f"{place} is no JSON object")
    record = dict(pairs)
    if len(record) < len(pairs):
        raise ValueError(f"{place} names a column twice")
    return record


class _Pairs(list[tuple[str, Any]]):
    """The names and values of a JSON object; one of the two would be lost where a name is twice."""


_AS_PAIRS: dict[str, Any] = {"object_pairs_hook": _Pairs}


def _json_column(records: Sequence[Mapping[str, Any]], name: str) -> pa.Array:
    values = [record.get(name) for record in records]
    if any(isinstance(value, list) for value in values):
        rows = [value if isinstance(value, list) else [value] for value in values]
        if not all(isinstance(item, str | None) for row in rows for item in row):
            return pa.nulls(len(values), pa.list_(pa.null()))
        return pa.array(rows, pa.list_(pa.string()))
    return pa.array(["" if value is None else str(value) for value in values], pa.string())


def _sheet(path: Path, n_rows: int | None = None) -> pd.DataFrame:
    """Read a workbook's first sheet as text: the names in row 0, then the rows."""
    _check_extent(path)
    sheet = pd.read_excel(
        path, engine="calamine", header=None, dtype="str", na_filter=False, nrows=n_rows
    )
    if sheet.empty:
        raise ValueError("the first sheet is empty")
    return sheet


def _check_extent(path: Path) -> None:
    """Raise ValueError for a workbook that says little and unpacks to very much."""
    with zipfile.ZipFile(path) as workbook:
        members = workbook.infolist()
        if sum(member.file_size for member in members) > MAX_SHEET_BYTES:
            raise ValueError(f"it unpacks to more than {MAX_SHEET_BYTES} bytes")
        for member in members:
            rows, columns = 9_999, 26
            with workbook.open(member) as stream:
                tail = b""
                while block := stream.read(_LONGEST_TEXT_BYTES):
                    if len(block) == _LONGEST_TEXT_BYTES and b"<" not in block:
                        raise ValueError(f"a cell of more than {_LONGEST_TEXT_BYTES} bytes")
                    if _FAR_CELL.search(tail + block):
                        for letters, digits in _CELL.findall(tail + block):
                            rows = max(rows, int(digits))
                            columns = max(columns, _column_number(letters))
                    tail = block[-64:]
            if rows * columns > MAX_SHEET_CELLS:
                raise ValueError(f"a sheet may span {rows} rows and {columns} columns")


def _column_number(letters: bytes) -> int:
    return reduce(lambda number, letter: 26 * number + letter - 64, letters.upper(), 0)


def _read_xlsx(path: Path, columns: Sequence[str] | None, _: str) -> pa.Table:
    sheet = _sheet(path)
    table = pa.table(
        [pa.array(sheet[column][1:], pa.string()) for column in sheet],
        names=_header(sheet),
    )
    return table if columns is None else table.select(columns)


def _header(sheet: pd.DataFrame) -> list[str]:
    """Return the names in row 0; a column without one is named as pandas does."""
    return [name or f"Unnamed: {position}" for position, name in enumerate(sheet.iloc[0])]


def _read_parquet(path: Path, columns: Sequence[str] | None, _: str) -> pa.Table:
    return _validated(pq.read_table(path, columns=columns, page_checksum_verification=True))


def _read_feather(path: Path, columns: Sequence[str] | None, _: str) -> pa.Table:
    return _validated(pa.feather.read_table(path, columns))


def _validated(table: pa.Table) -> pa.Table:
    """Raise ArrowInvalid where a damaged file's offsets lead out of its memory, or text is none."""
    table.validate(full=True)
    return table


class _Format(NamedTuple):
    """How to read a format, each with the encoding of its texts, where they may differ."""

    read_table: Callable[[Path, Sequence[str] | None, str], pa.Table]
    read_names: Callable[[Path, str], list[str]]


_FORMATS = {
    ".csv": _Format(partial(_read_csv, separator=","), partial(_csv_names, separator=",")),
    ".tsv": _Format(partial(_read_csv, separator="\t"), partial(_csv_names, separator="\t")),
    ".parquet": _Format(
        _read_parquet,
        lambda path, _: pq.read_schema(path).names,
    ),
    ".jsonl": _Format(_read_jsonl, _jsonl_names),
    ".json": _Format(
        lambda path, columns, encoding: _json_table(_json_records(path, encoding), columns),
        _json_names,
    ),
    ".feather": _Format(
        _read_feather,
        lambda path, _: pa.feather.read_table(path, memory_map=True).column_names,
    ),
    ".xlsx": _Format(_read_xlsx, lambda path, _: _header(_sheet(path, n_rows=1))),
}
