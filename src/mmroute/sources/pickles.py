"""Pickles without their danger: data is rebuilt, nothing that the file names is called.

A pickle is a program. Its loader imports whatever the program names and calls it with
whatever arguments it likes. Here a name is looked up in ``_ADMITTED`` and nowhere else,
and what stands there is ours: a function or a class of this module that checks its
arguments and builds the object through the public constructors of pandas, NumPy and
Arrow. Even their internals cannot be fed by hand, which with a made-up memory layout
would be as good as running code.

A pickle can also hold one object in many places, and so say little and mean very much: what
is read may nest no deeper, and mean no more, than data does.
"""

import gzip
import mmap
import pickle
import re
import reprlib
import sys
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.api.extensions import ExtensionArray

from mmroute.confined import reading
from mmroute.errors import InputError, raise_disk_fault

GZIP = b"\x1f\x8b"
MOST_UNPACKED = 2**32
DEEPEST = 100
"""Containers in each other."""
LARGEST_KEY, LARGEST_TUPLE = 1_000, 10_000_000
"""Parts of a tuple or frozenset, each counted as often as it is meant: what is hashed has few."""
LONGEST_NUMBER = 1023
"""Bits of a whole number: as many as a float can have before its point."""
LEAST_MEANT, TIMES_MEANT = 2**30, 64
"""Bytes that any pickle may stand for, and how many times its own size a large one may."""
_LEAVES = frozenset({type(None), bool, int, float, complex})
_TEXTS = frozenset({str, bytes, bytearray})

_PLAIN_DTYPE = re.compile(r"[biufc]\d{1,2}|[SU]\d{1,9}|[mM]8|O8?")
# A shape with a zero in it needs no bytes, whatever its other numbers are.
_LONGEST_EMPTY_SHAPE = 1_000_000
_TEXT_TYPES = {"string": pa.string(), "large_string": pa.large_string()}


def read_pickle(path: Path) -> Any:
    """Read a pickle of data, of any protocol, without running what it names.

    Admitted are plain values and containers, NumPy arrays and scalars of numbers, text,
    dates and objects, and pandas tables, series and indexes of them, with categories
    and text of either storage, as written by pandas 1 to 3. Subclasses, nullable numbers,
    time zones, periods, intervals and sparse data are refused, as is all else.

    Parameters
    ----------
    path
        The pickle, as it is or compressed by gzip.

    Returns
    -------
    The object that was pickled.

    Raises
    ------
    InputError
        If the file cannot be read or is broken, names anything that is not admitted, nests
        deeper than ``DEEPEST``, holds itself, or stands for much more than its size.
    """
    try:
        with reading(path), _content(path) as content:
            meant = max(LEAST_MEANT, TIMES_MEANT * len(content))
            value = _Reader(content, meant).load()
            _Scale(meant).weigh(value, 0)
            return value
    except _RefusedError as refused:
        raise InputError(f"{path}: {refused}") from None
    except InputError:
        raise
    # A broken program fails in as many ways as there are instructions.
    except Exception as error:
        raise_disk_fault(error, path)
        reason = shorten(f"{type(error).__name__} {error}", 200, placeholder=" ...")
        raise InputError(
            f"{path}: not readable as a pickle ({reason}); give a whole file, uncompressed or "
            "compressed by gzip"
        ) from error


@contextmanager
def _content(path: Path) -> Iterator[mmap.mmap]:
    """Open a pickle's bytes."""
    with path.open("rb") as stream:
        if stream.read(len(GZIP)) != GZIP:
            with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
                yield content
            return
    with gzip.open(path) as unpacked:
        whole = unpacked.read(MOST_UNPACKED + 1)
    if len(whole) > MOST_UNPACKED:
        raise _RefusedError(f"unpacks to more than {MOST_UNPACKED:,} bytes; unpack the file")
    with mmap.mmap(-1, len(whole)) as content:
        content[:] = whole
        yield content


class _RefusedError(Exception):
    """What the pickle wants is not admitted; the message is the rest of the line."""


def _followed(
    load: Callable[["_Reader"], None], check: Callable[["_Reader"], None]
) -> Callable[["_Reader"], None]:
    """Return an instruction of the reader that does one thing and then another."""

    def both(reader: "_Reader") -> None:
        load(reader)
        check(reader)

    return both


class _Pending(ABC):
    """An object whose state is still to be read, as pickles make them in two steps."""

    @abstractmethod
    def build(self, state: Any) -> Any:
        """Return the object itself."""


def _too_deep() -> _RefusedError:
    return _RefusedError(f"nests more than {DEEPEST} containers in each other; give plain data")


def _too_much(meant: int) -> _RefusedError:
    return _RefusedError(
        f"holds the same data in so many places that it stands for more than {meant / 1e9:.1f} GB; "
        "give plain data"
    )


class _Scale:
    """Finds what a value stands for if all that it shares is counted wherever it is."""

    def __init__(self, most: int) -> None:
        self._most = most
        # With the value itself, or its id could be another one's by and by.
        self._known: dict[int, tuple[Any, int, int]] = {}
        self._open: set[int] = set()

    def weigh(self, value: Any, depth: int) -> tuple[int, int]:
        """Return the bytes and the height of a value; refuse too much, too deep and cycles."""
        if id(value) in self._known:
            return self._known[id(value)][1:]
        if depth > DEEPEST:
            raise _too_deep()
        if id(value) in self._open:
            raise _RefusedError("holds something that holds itself; give plain data")
        self._open.add(id(value))
        size, height = 8 + (value.nbytes if isinstance(value, np.ndarray) else 0), 0
        for items in _parts(value):
            kinds = set(map(type, items))
            if kinds <= _LEAVES:
                size += 8 * len(items)
                continue
            if kinds <= _TEXTS:
                size += sum(map(len, items)) + 8 * len(items)
                continue
            for item in items:
                weight, below = self._of_part(item, depth + 1)
                size, height = size + weight, max(height, below + 1)
            # Before the next one, which may be as large.
            if size > self._most:
                raise _too_much(self._most)
        if size > self._most:
            raise _too_much(self._most)
        if height > DEEPEST:
            raise _too_deep()
        self._open.remove(id(value))
        self._known[id(value)] = value, size, height
        return size, height

    def _of_part(self, item: Any, depth: int) -> tuple[int, int]:
        if type(item) in _TEXTS:
            return len(item) + 8, 0
        return (8, 0) if type(item) in _LEAVES else self.weigh(item, depth)


def _parts(value: Any) -> Iterator[Sequence[Any]]:
    """Yield what a container holds; of arrays and tables only objects can hold more."""
    match value:
        case dict():
            yield list(value)
            yield list(value.values())
        case list() | tuple() | set() | frozenset():
            yield list(value)
        case np.ndarray() if value.dtype.hasobject:
            yield value.ravel().tolist()
        case pd.DataFrame():
            yield [value.columns, value.index]
            yield [value.iloc[:, place].array for place in range(value.shape[1])]
        case pd.Series():
            yield [value.index, value.array, value.name]
        case pd.MultiIndex():
            yield [*value.levels, list(value.names)]
        case pd.Index():
            yield [value.array, value.name]
        case pd.Categorical():
            yield [value.categories]
        case pd.arrays.NumpyExtensionArray() if value.dtype.kind == "O":
            yield value.to_numpy(object).tolist()


class _Reader(pickle._Unpickler):
    """The standard library's unpickler in Python, with its dangerous instructions replaced.

    The one in C is faster, but cannot be kept from setting attributes of what it was
    given, nor from reserving whatever memory a number in the file asks for.
    """

    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)
    # What it inherits, but is not documented to have.
    stack: list[Any]
    memo: dict[int, Any]
    append: Callable[[Any], None]
    read: Callable[[int], bytes]
    pop_mark: Callable[[], list[Any]]
    load_inst: Callable[[], None]
    load_newobj: Callable[[], None]
    load_reduce: Callable[[], None]

    def __init__(self, content: Any, meant: int) -> None:
        super().__init__(content)
        self._meant = meant
        self._left = meant
        # By the id of a tuple or frozenset: how many parts it has, and how deep it is.
        self._shapes: dict[int, tuple[int, int]] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name; refuse any that is not listed."""
        try:
            return _ADMITTED[module, name]
        except KeyError:
            full = shorten(f"{module}.{name}", 100, placeholder=" ...")
            cure = (
                "save its tensors as NumPy arrays, by tensor.numpy(), and pickle it again"
                if module.partition(".")[0] == "torch"
                else "if you trust it, convert it to plain columns and pickle it again"
            )
            raise _RefusedError(
                f"names {full!r}, which is no data of pandas, NumPy or plain containers and "
                f"was not loaded; {cure}"
            ) from None

    def persistent_load(self, pid: Any) -> Any:
        """Refuse a reference to something outside the file."""
        raise _RefusedError(
            f"refers to {reprlib.repr(pid)} outside the file; give a pickle that is whole"
        )

    def get_extension(self, code: int) -> Any:
        """Refuse a number that stands for a name elsewhere."""
        raise _RefusedError(
            f"names something by the extension code {code}; pickle it again without codes"
        )

    def _build(self) -> None:
        state = self.stack.pop()
        pending = self.stack[-1]
        if not isinstance(pending, _Pending):
            raise _RefusedError(
                f"sets the state of a {type(pending).__name__}; give a pickle of plain data"
            )
        built = pending.build(state)
        self.stack[-1] = built
        # Remembered just before its state was read, so near the end.
        for key in reversed(self.memo):
            if self.memo[key] is pending:
                self.memo[key] = built
                break

    dispatch[pickle.BUILD[0]] = _build

    def _bytearray(self) -> None:
        size = int.from_bytes(self.read(8), "little")
        self.append(bytearray(self.read(size)))

    dispatch[pickle.BYTEARRAY8[0]] = _bytearray

    def _take_shape(self) -> None:
        """Note what a tuple or frozenset holds; hashing one goes through all of it, unguarded."""
        value = self.stack[-1]
        parts, height = 1, 0
        for item in value:
            if type(item) in (tuple, frozenset):
                within, below = self._shapes.get(id(item), (1, 0))
                parts, height = parts + within, max(height, below + 1)
            else:
                parts += 1
        if height > DEEPEST:
            raise _too_deep()
        if parts > LARGEST_TUPLE:
            raise _too_much(self._meant)
        self._shapes[id(value)] = parts, height

    def _check_hashed(self, items: Iterable[Any]) -> None:
        for item in items:
            if (
                type(item) in (tuple, frozenset)
                and self._shapes.get(id(item), (1, 0))[0] > LARGEST_KEY
            ):
                raise _RefusedError(
                    f"has a key of more than {LARGEST_KEY} parts; use text or numbers as keys"
                )

    def _check_number(self) -> None:
        bits = int(self.stack[-1]).bit_length()
        if bits > LONGEST_NUMBER:
            raise _RefusedError(
                f"holds a whole number of {bits:,} bits; keep it below {LONGEST_NUMBER + 1}"
            )

    def _check_built(self) -> None:
        """Count the memory of what was made of parts, which can be made of them again and again."""
        built = self.stack[-1]
        if isinstance(built, np.ndarray | pa.Array | pa.ChunkedArray):
            self._left -= built.nbytes
        elif isinstance(built, set | frozenset | dict | bytes | bytearray):
            self._left -= sys.getsizeof(built)
        if self._left < 0:
            raise _too_much(self._meant)
        if type(built) is frozenset:
            self._take_shape()

    def _check_arguments(self, arguments: Iterable[Any]) -> None:
        """Look at what a set or a dictionary may be made of."""
        for argument in arguments:
            if type(argument) in (list, tuple, set, frozenset):
                self._check_hashed(argument)
                pairs = (pair for pair in argument if type(pair) in (list, tuple))
                self._check_hashed(key for pair in pairs for key in pair[:1])

    def _call(self) -> None:
        self._check_arguments(self.stack[-1])
        self.load_reduce()

    def _new(self) -> None:
        self._check_arguments(self.stack[-1])
        self.load_newobj()

    def _instance(self) -> None:
        self._check_arguments(self.stack)
        self.load_inst()

    def _setitems(self) -> None:
        items = self.pop_mark()
        self._set(items[::2], items[1::2])

    def _setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key], [value])

    def _dict(self) -> None:
        items = self.pop_mark()
        self.append({})
        self._set(items[::2], items[1::2])

    def _set(self, keys: list[Any], values: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict):
            raise _RefusedError(f"sets items of a {type(target).__name__}; give plain data")
        self._check_hashed(keys)
        target.update(zip(keys, values, strict=True))

    def _additems(self) -> None:
        items = self.pop_mark()
        target = self.stack[-1]
        if not isinstance(target, set):
            raise _RefusedError(f"adds items to a {type(target).__name__}; give plain data")
        self._check_hashed(items)
        target.update(items)

    def _frozenset(self) -> None:
        items = self.pop_mark()
        self._check_hashed(items)
        self.append(frozenset(items))
        self._take_shape()

    dispatch[pickle.INST[0]] = _instance
    dispatch[pickle.REDUCE[0]] = _call
    dispatch[pickle.NEWOBJ[0]] = _new
    dispatch[pickle.SETITEMS[0]] = _setitems
    dispatch[pickle.SETITEM[0]] = _setitem
    dispatch[pickle.DICT[0]] = _dict
    dispatch[pickle.ADDITEMS[0]] = _additems
    dispatch[pickle.FROZENSET[0]] = _frozenset
    # Ways to make an object that no admitted one is written with.
    for _opcode in (pickle.OBJ, pickle.NEWOBJ_EX):
        del dispatch[_opcode[0]]
    for _check, _opcodes in (
        (_take_shape, (pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3)),
        (_check_number, (pickle.INT, pickle.LONG, pickle.LONG1, pickle.LONG4)),
        (_check_built, (pickle.INST, pickle.REDUCE, pickle.BUILD, pickle.NEWOBJ)),
    ):
        for _opcode in _opcodes:
            dispatch[_opcode[0]] = _followed(dispatch[_opcode[0]], _check)


class _Dtype(_Pending):
    def __init__(self, text: str, *_: Any) -> None:
        if not _PLAIN_DTYPE.fullmatch(text):
            raise _RefusedError(
                f"holds values of dtype {shorten(text, 50)!r}; "
                "save them as numbers, text or objects"
            )
        self._text = text

    def build(self, state: tuple[Any, ...]) -> np.dtype:
        text = self._text
        if text in ("M8", "m8"):
            (unit, count, *_), order = state[8][1], state[1]
            text = f"{text}[{count:d}{unit.decode()}]"
        else:
            order = state[1]
        return np.dtype(text).newbyteorder(order)


_Order = Literal["C", "F"]


class _Array(_Pending):
    def build(self, state: tuple[Any, ...]) -> np.ndarray:
        _, shape, dtype, by_column, content = state
        if not dtype.hasobject:
            return _from_bytes(_new_bytearray(content), dtype, shape, "F" if by_column else "C")
        values = np.empty(len(content), object)
        for position, value in enumerate(content):
            values[position] = value
        return _shaped(values, shape)


def _new_array(*_: Any) -> _Array:
    return _Array()


def _from_bytes(
    content: bytes | bytearray, dtype: np.dtype, shape: Sequence[int], order: _Order = "C"
) -> np.ndarray:
    return _shaped(np.frombuffer(content, _of_values(dtype)), shape, order)


def _shaped(values: np.ndarray, shape: Sequence[int], order: _Order = "C") -> np.ndarray:
    if 0 in shape and max(shape) > _LONGEST_EMPTY_SHAPE:
        raise ValueError(f"an empty array has the shape {shape}")
    return values.reshape(shape, order=order)


def _scalar(dtype: np.dtype, content: bytes) -> Any:
    return np.ndarray((), _of_values(dtype), content)[()]


def _of_values(dtype: np.dtype) -> np.dtype:
    if not isinstance(dtype, np.dtype) or dtype.hasobject:
        raise ValueError(f"bytes stand for values of a {type(dtype).__name__}")
    return dtype


def _text_array(parts: tuple[Any, ...]) -> pa.Array:
    kind, length, _, offset, buffers, *_ = parts
    array = pa.Array.from_buffers(kind, length, buffers, offset=offset)
    array.validate(full=True)
    return array


class _Range(NamedTuple):
    """A range index that is made only where as many rows or columns are there to name."""

    values: range
    name: Any


def _new_index(kind: str, state: dict[str, Any]) -> pd.Index | _Range:
    match kind:
        case "range":
            return _Range(range(state["start"], state["stop"], state["step"]), state["name"])
        case "multi":
            return pd.MultiIndex(state["levels"], state["codes"], names=state["names"])
        case _:
            data = _column(state["data"])
            return pd.Index(data, dtype=data.dtype, name=state["name"])


class _Text(_Pending):
    def __new__(cls, *arguments: Any) -> Any:
        return pd.StringDtype(*arguments) if arguments else super().__new__(cls)

    def build(self, state: dict[str, Any]) -> pd.StringDtype:
        return pd.StringDtype(state["storage"])


class _Categories(_Pending):
    def build(self, state: dict[str, Any]) -> pd.CategoricalDtype:
        return pd.CategoricalDtype(state["categories"], state["ordered"])


class _Backed(_Pending):
    """An extension array that is a NumPy array and a dtype which explains it."""

    def build(self, state: tuple[Any, ...]) -> np.ndarray | ExtensionArray:
        dtype, data = state[:2]
        match dtype:
            case pd.CategoricalDtype():
                return pd.Categorical.from_codes(data, dtype=dtype)
            case pd.StringDtype():
                return pd.array(data, dtype=dtype)
            case np.dtype():
                return data
        raise ValueError(f"an array of dtype {type(dtype).__name__}")


def _new_backed(*_: Any) -> _Backed:
    return _Backed()


class _ArrowText(_Pending):
    def build(self, state: dict[str, Any]) -> ExtensionArray:
        return pd.array(state["_pa_array"], dtype=state["_dtype"])


class _Block(NamedTuple):
    place: slice | np.ndarray
    values: np.ndarray | ExtensionArray


def _new_block(values: Any, place: Any, *_: Any) -> _Block:
    return _Block(place, values)


class _Manager(_Pending):
    """The columns of a table, in blocks of one dtype; its axes are the columns and the rows."""

    def __init__(self, blocks: Sequence[_Block] = (), axes: Sequence[Any] = ()) -> None:
        self.blocks = blocks
        self.axes = axes

    def build(self, state: tuple[Any, ...]) -> "_Manager":
        parts = state[3]["0.14.1"]
        blocks = [_Block(block["mgr_locs"], block["values"]) for block in parts["blocks"]]
        return _Manager(blocks, parts["axes"])


class _Frame(_Pending):
    def build(self, state: dict[str, Any]) -> pd.DataFrame:
        manager = state["_mgr"]
        names, rows = manager.axes
        parts = [_rows(block.values) for block in manager.blocks]
        width = sum(map(len, parts))
        names = _axis(names, width)
        columns: dict[int, Any] = dict.fromkeys(range(width))
        for block, own in zip(manager.blocks, parts, strict=True):
            for place, values in zip(np.arange(width)[block.place], own, strict=True):
                columns[place] = _series(values)
        frame = pd.DataFrame(columns, copy=False)
        frame.index = _axis(rows, len(frame) if columns else None)
        frame.columns = names
        return frame


class _Series(_Pending):
    def build(self, state: dict[str, Any]) -> pd.Series:
        manager = state["_mgr"]
        (block,), (rows,) = manager.blocks, manager.axes
        series = _series(block.values)
        series.index = _axis(rows, len(series))
        return series.rename(state["_name"] if "_name" in state else state["name"])


def _rows(values: Any) -> np.ndarray | list[Any]:
    """Return a block's columns: the rows of a matrix, or the block itself."""
    return values if isinstance(values, np.ndarray) and values.ndim == 2 else [values]


def _column(values: Any) -> np.ndarray | ExtensionArray:
    if not isinstance(values, np.ndarray | ExtensionArray) or values.ndim != 1:
        raise ValueError(f"a {type(values).__name__} stands for a column")
    return values


def _series(values: Any) -> pd.Series:
    values = _column(values)
    return pd.Series(values, dtype=values.dtype, copy=False)


def _axis(index: Any, length: int | None) -> pd.Index:
    if isinstance(index, _Range):
        index = pd.RangeIndex(index.values, name=index.name)
    if not isinstance(index, pd.Index) or length not in (None, len(index)):
        raise ValueError(f"an index does not name {length} rows or columns")
    return index


def _reconstructor(kind: type[_Pending], *_: Any) -> _Pending:
    return kind()


def _encode(text: str, *_: Any) -> bytes:
    return text.encode("latin-1")


def _new_bytes() -> bytes:
    return b""


def _new_bytearray(content: bytes = b"") -> bytearray:
    if not isinstance(content, bytes | bytearray):
        raise TypeError(f"{type(content).__name__} stands for bytes")
    return bytearray(content)


_ADMITTED: dict[tuple[str, str], Any] = {
    (module, name): admitted
    for admitted, modules, names in (
        # Plain values and containers, and what protocols 0 to 2 write them with.
        (set, "builtins __builtin__", "set"),
        (frozenset, "builtins __builtin__", "frozenset"),
        (complex, "builtins __builtin__", "complex"),
        (slice, "builtins __builtin__", "slice"),
        (OrderedDict, "collections", "OrderedDict"),
        (_new_bytearray, "builtins __builtin__", "bytearray"),
        (_new_bytes, "builtins __builtin__", "bytes"),
        (_encode, "_codecs", "encode"),
        (_reconstructor, "copyreg copy_reg", "_reconstructor"),
        ("object", "builtins __builtin__", "object"),
        # NumPy.
        ("array", "numpy", "ndarray"),
        (_Dtype, "numpy", "dtype"),
        (_new_array, "numpy.core.multiarray numpy._core.multiarray", "_reconstruct"),
        (_scalar, "numpy.core.multiarray numpy._core.multiarray", "scalar"),
        (_from_bytes, "numpy.core.numeric numpy._core.numeric", "_frombuffer"),
        # Tables of pandas 1 and 2 in the modules, of pandas 3 in the package.
        (_Frame, "pandas pandas.core.frame", "DataFrame"),
        (_Series, "pandas pandas.core.series", "Series"),
        (_Manager, "pandas.core.internals.managers", "BlockManager SingleBlockManager"),
        (_new_block, "pandas._libs.internals", "_unpickle_block"),
        (_new_index, "pandas.core.indexes.base", "_new_Index"),
        (_new_index, "pandas.core.indexes.datetimes", "_new_DatetimeIndex"),
        (_new_index, "pandas.core.indexes.timedeltas", "_new_TimedeltaIndex"),
        ("plain", "pandas pandas.core.indexes.base", "Index"),
        ("plain", "pandas.core.indexes.numeric", "Int64Index UInt64Index Float64Index"),
        ("plain", "pandas pandas.core.indexes.datetimes", "DatetimeIndex"),
        ("plain", "pandas pandas.core.indexes.timedeltas", "TimedeltaIndex"),
        ("plain", "pandas pandas.core.indexes.category", "CategoricalIndex"),
        ("range", "pandas pandas.core.indexes.range", "RangeIndex"),
        ("multi", "pandas pandas.core.indexes.multi", "MultiIndex"),
        (_new_backed, "pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked"),
        ("categorical", "pandas pandas.core.arrays.categorical", "Categorical"),
        ("dates", "pandas.arrays pandas.core.arrays.datetimes", "DatetimeArray"),
        ("spans", "pandas.arrays pandas.core.arrays.timedeltas", "TimedeltaArray"),
        ("text", "pandas.arrays pandas.core.arrays.string_", "StringArray"),
        (_Categories, "pandas pandas.core.dtypes.dtypes", "CategoricalDtype"),
        (_Text, "pandas pandas.core.arrays.string_", "StringDtype"),
        (pd.NA, "pandas pandas._libs.missing", "NA"),
        # Text in Arrow's memory, which pandas 3 writes.
        (_ArrowText, "pandas.arrays pandas.core.arrays.string_arrow", "ArrowStringArray"),
        (_text_array, "pyarrow.lib", "_restore_array"),
        (_TEXT_TYPES.__getitem__, "pyarrow.lib", "type_for_alias"),
        (pa.py_buffer, "pyarrow.lib", "py_buffer"),
        (pa.chunked_array, "pyarrow.lib", "chunked_array"),
    )
    for module in modules.split()
    for name in names.split()
}
