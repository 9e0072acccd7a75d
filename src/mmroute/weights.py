"""Trained routers in one safetensors file: numbers as tensors, structure as JSON, no code.

A pickle runs whatever its author wanted. Here nothing of a file is run: it names
classes, these must be defined in a package that is admitted, and an object is made
without calling its constructor. What only a function could rebuild is not stored.

All numbers of a type lie in one tensor, one array after the other, as a forest has
tens of thousands of them. The order is that of the structure, which is JSON in the
header and says what each of them is:

- ``null``, ``true``, whole and finite numbers, strings, and ``{...}`` with string keys:
  themselves;
- ``[kind, ...]``: anything else; ``_Decoder`` has the kinds.

Classes and functions are listed once, as ``module:name``, and meant by their number.
A digest of the structure and the tensors shows damage, and the file's place in the folder of its
run, see ``storage.place_of``, that it is another one's.
"""

import hashlib
import importlib
import json
import math
import re
import sys
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copyreg import __newobj__
from enum import Enum
from functools import cache
from pathlib import Path
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from mmroute.errors import InputError, raise_disk_fault
from mmroute.storage import atomic, check_place, damaged, place_of

KEY = "mmroute.weights.1"
"""Of the structure in the header's metadata."""
ADMITTED = (
    "mmroute",
    "sklearn",
    "scipy.sparse",
    "torch.nn",
    "open_clip",
    "timm.layers",
    "timm.models",
    "torchvision.transforms",
)
"""Packages whose classes a file may name. Not all of scipy: its distributions run text that
they find in their state."""

_DIGEST_LENGTH = 32
"""Characters before the structure: the digest, in hexadecimal."""
_CONSTRUCTED = re.compile(r"sklearn\.tree\._tree:Tree|sklearn\._loss\._loss:Cy\w+")
"""Classes in C, made by calling them with the file's numbers; others are not called."""
_NOT_FOR_USE = re.compile(r"__main__|callback|conftest|_*test(s|ing|_.*)?")
"""Parts of a module's name that no router is made of; importing some of them runs programs, and a
callback of scikit-learn opens a socket as soon as it has its state."""
_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_FUNCTIONS = re.compile(
    r"torch\.nn\.functional:[a-z]\w*|open_clip\.tokenizer:_clean_(canonicalize|lower|whitespace)"
)
"""Functions that a network or a tokenizer may hold."""

_SEQUENCES = {kind.__name__: kind for kind in (list, tuple, set, frozenset)}
_MAPPINGS = {kind.__name__: kind for kind in (dict, OrderedDict, Counter)}
_PATTERNS = {"re:Pattern": "re", "_regex:Pattern": "regex"}
"""Class of a compiled pattern to the module that compiles it."""
_BIT_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")


def write(path: Path, value: Any) -> None:
    """Write a trained router, or anything it may hold, so that ``read`` returns its like.

    Stored are ``None``, numbers, strings, lists, tuples, sets, dicts (``Counter`` and
    ``OrderedDict`` too), NumPy arrays, scalars, types and random generators, PyTorch
    tensors and modules, functions of ``torch.nn.functional``, members of an ``Enum``, compiled
    patterns, and objects that are no more than a class and its attributes, such as
    scikit-learn's estimators and dataclasses. Equal content gives equal bytes.

    Arrays and tensors keep type, shape and order of the axes in memory, which rounding
    can depend on; numbers come back in native byte order, tensors on the CPU. What is
    held twice is stored twice.

    Raises
    ------
    InputError
        If something in it cannot be stored, naming the path of attributes that leads there.
    """
    encoder = _Encoder()
    try:
        structure = {
            "place": place_of(path),
            "value": encoder.encode(value, type(value).__name__),
            "classes": list(encoder.classes),
            "functions": list(encoder.functions),
        }
    except RecursionError:
        raise InputError(
            f"{type(value).__name__}: nested too deeply to be stored; keep fitted state flat"
        ) from None
    text = json.dumps(structure, separators=(",", ":"), allow_nan=False)
    tensors = {name: np.concatenate(parts) for name, parts in encoder.parts.items()}
    with atomic(path) as partial:
        try:
            partial.write_bytes(save(tensors, {KEY: _digest(text, tensors) + text}))
        except SafetensorError as error:
            raise InputError(
                f"{type(value).__name__}: cannot be stored ({_one_line(error)}); "
                "keep numbers in arrays"
            ) from error


def read(path: Path, trusted: Sequence[str] = ()) -> Any:
    """Read what ``write`` has written, without running anything that the file brings.

    Only code is kept out. Nothing vouches for the numbers of a stranger's file, nor for what
    its router does by design: ``llm`` sends queries, and the key it is told to use, to the
    endpoint that it is told.

    Parameters
    ----------
    path
        The file.
    trusted
        Top-level modules whose classes the file may name too: a user's own router's.

    Raises
    ------
    DamagedFile
        If the file cannot be read, is damaged, was not written by ``write``, or was written
        as another one.
    InputError
        If it names a class that is not admitted, of which nothing is imported, or one that
        cannot be imported here.
    """
    try:
        with safe_open(path, "np") as file:
            text = (file.metadata() or {}).get(KEY)
            if text is None:
                raise damaged(
                    path, f"no router of this version of mmroute: no {KEY!r} in its metadata"
                )
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
        digest, text = text[:_DIGEST_LENGTH], text[_DIGEST_LENGTH:]
        if digest != _digest(text, tensors):
            raise damaged(path, "damaged: its digest is another")
        structure = json.loads(text)
        check_place(path, structure.get("place", ""))
        classes, functions = structure["classes"], structure["functions"]
        _check_admitted(path, classes, functions, trusted)
        decoder = _Decoder(
            tensors, [_class(name) for name in classes], [_function(name) for name in functions]
        )
        return decoder.finish(structure["value"])
    except InputError:
        raise
    except ImportError as error:
        raise InputError(
            f"{path}: names a module that cannot be imported ({_one_line(error)}); install what "
            "it needs, or run where it lies"
        ) from error
    except MemoryError as error:
        raise InputError(f"{path}: too little memory to read it; give more") from error
    # The file may be anybody's: what it can make NumPy, torch or a class's own __setstate__ raise
    # has no end.
    except Exception as error:
        raise_disk_fault(error, path)
        raise damaged(path, f"not readable as a trained router ({_one_line(error)})") from error


def _digest(text: str, tensors: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.blake2b(text.encode(), digest_size=_DIGEST_LENGTH // 2)
    for _, tensor in sorted(tensors.items()):
        digest.update(tensor)
    return digest.hexdigest()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _check_admitted(
    path: Path, classes: Sequence[str], functions: Sequence[str], trusted: Sequence[str]
) -> None:
    for name in classes:
        if not _NAME.fullmatch(name) or not _is_admitted(name.split(":")[0], trusted):
            raise InputError(
                f"{path}: names the class {name!r}, which is not of an admitted package "
                f"({', '.join([*ADMITTED, *trusted])}); read only files of authors you trust, and "
                "name the module of a router of your own as trusted"
            )
    for name in functions:
        if not _FUNCTIONS.fullmatch(name):
            raise InputError(
                f"{path}: names the function {name!r}, which is not of torch.nn.functional; "
                "do not use the file"
            )


def _is_admitted(module: str, trusted: Sequence[str]) -> bool:
    parts = module.split(".")
    if parts[0] in trusted:
        return True
    return any(f"{module}.".startswith(f"{package}.") for package in ADMITTED) and not any(
        _NOT_FOR_USE.fullmatch(part) for part in parts
    )


def _class(name: str) -> type:
    """Return the class that is defined under a name that ``_check_admitted`` has passed."""
    found = _lookup(name)
    if not isinstance(found, type) or _name_of(found) != name:
        raise ValueError(f"{name!r} is no class that is defined there")
    return found


def _function(name: str) -> Callable[..., Any]:
    found = _lookup(name)
    defined = isinstance(found, FunctionType) and _name_of(found) == name
    if not defined and not isinstance(found, BuiltinFunctionType):
        raise ValueError(f"{name!r} is no function that is defined there")
    return found


def _lookup(name: str) -> Any:
    module, attribute = name.split(":")
    # Not getattr: a module may import what it is asked for.
    return vars(importlib.import_module(module)).get(attribute)


def _name_of(value: Any) -> str:
    return f"{value.__module__}:{value.__qualname__}"


@cache
def _stored(dtype: np.dtype) -> tuple[str, np.dtype] | None:
    """Return name and type of what holds such numbers or times in a file, None if nothing does."""
    match dtype.kind, dtype.itemsize:
        case (("b" | "i" | "u" | "f"), (1 | 2 | 4 | 8)):
            stored = dtype.newbyteorder("=")
        case "c", (8 | 16) as size:
            stored = np.dtype(f"f{size // 2}")
        case (("M" | "m"), _):
            stored = np.dtype("i8")
        case _:
            return None
    return stored.name, stored


class _Encoder:
    """Turns a value into JSON and arrays.

    Attributes
    ----------
    parts
        Name of a type to the flat arrays of it, in the order of the structure.
    classes, functions
        ``module:name`` to number.
    """

    def __init__(self) -> None:
        self.parts: dict[str, list[np.ndarray]] = {}
        self.classes: dict[str, int] = {}
        self.functions: dict[str, int] = {}
        self._open: set[int] = set()

    def encode(self, value: Any, where: str) -> Any:
        """Return the node of ``value``; ``where`` leads to it."""
        kind = type(value)
        if value is None or kind in (bool, int, str):
            return value
        if kind is float:
            return value if math.isfinite(value) else ["float", str(value)]
        with self._once(value, where):
            if kind in _SEQUENCES.values():
                return self._sequence(value, where)
            if kind in _MAPPINGS.values():
                return self._mapping(value, where)
            if kind in (np.ndarray, np.memmap):
                return self._array(value, where)
            if isinstance(value, np.generic):
                return ["scalar", self._array(np.asarray(value), where)]
            if isinstance(value, np.dtype) and _stored(value):
                return ["dtype", value.str]
            if isinstance(value, type) and issubclass(value, np.generic):
                return ["type", value.__name__]
            if kind in (np.random.RandomState, np.random.Generator):
                return self._generator(value, where)
            if _name_of(kind) in _PATTERNS and isinstance(value.pattern, str):
                return ["pattern", _PATTERNS[_name_of(kind)], value.pattern, value.flags]
            if isinstance(value, Enum):
                return ["member", self._class(kind, where), value.name]
            if isinstance(value, FunctionType | BuiltinFunctionType):
                return ["function", self._function(value, where)]
            torch = sys.modules.get("torch")
            if torch and isinstance(value, torch.Tensor):
                return self._tensor(value, where)
            if torch and isinstance(value, torch.Size):
                return ["size", *value]
            return self._object(value, where)

    @contextmanager
    def _once(self, value: Any, where: str) -> Iterator[None]:
        if id(value) in self._open:
            raise InputError(f"{where}: refers back to what holds it; store it without the cycle")
        self._open.add(id(value))
        try:
            yield
        finally:
            self._open.remove(id(value))

    def _sequence(self, value: Any, where: str) -> list[Any]:
        # A set has no order of its own that would last.
        items = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
        return [
            type(value).__name__,
            *(self.encode(item, f"{where}[{index}]") for index, item in enumerate(items)),
        ]

    def _mapping(self, value: dict[Any, Any], where: str) -> Any:
        if type(value) is dict and all(type(key) is str for key in value):
            return {key: self.encode(item, f"{where}[{key!r}]") for key, item in value.items()}
        return [
            type(value).__name__,
            *(
                [self.encode(key, f"{where}, key {key!r}"), self.encode(item, f"{where}[{key!r}]")]
                for key, item in value.items()
            ),
        ]

    def _array(self, array: np.ndarray, where: str) -> list[Any]:
        shape = list(array.shape)
        if array.dtype.names:
            return self._records(array, where)
        if array.dtype.kind == "U":
            return ["text", shape, array.ravel().tolist()]
        if array.dtype.kind == "O":
            return ["objects", shape, self.encode(array.ravel().tolist(), where)]
        if _stored(array.dtype) is None:
            raise _refusal(where, f"an array of {array.dtype}")
        name, stored = _stored(array.dtype)
        array = np.asarray(array, array.dtype.newbyteorder("="))
        # The order of the axes in which the numbers lie one after the other, if there is one.
        order = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
        if array.flags.c_contiguous or not array.transpose(order).flags.c_contiguous:
            order = list(range(array.ndim))
        flat = array.transpose(order).ravel().view(stored)
        self.parts.setdefault(name, []).append(flat)
        node = ["array", array.dtype.str[1:], shape]
        return node if order == sorted(order) else [*node, order]

    def _records(self, array: np.ndarray, where: str) -> list[Any]:
        fields = [(name, array.dtype[name]) for name in array.dtype.names]
        aligned = np.dtype(fields, align=True) == array.dtype
        plain = all(_stored(dtype) and dtype.isnative for _, dtype in fields)
        if not plain or np.dtype(fields, align=aligned) != array.dtype:
            raise _refusal(where, f"an array of {array.dtype}")
        columns = [[name, self._array(array[name], where)] for name, _ in fields]
        return ["records", list(array.shape), aligned, columns]

    def _generator(self, value: Any, where: str) -> list[Any]:
        legacy = isinstance(value, np.random.RandomState)
        state = value.get_state(legacy=False) if legacy else value.bit_generator.state
        return ["random", type(value).__name__, state["bit_generator"], self.encode(state, where)]

    def _tensor(self, tensor: Any, where: str) -> list[Any]:
        import torch

        parameter = type(tensor) is torch.nn.Parameter
        plain = tensor.layout == torch.strided and not tensor.is_quantized and not tensor.is_meta
        if not plain or not (parameter or type(tensor) is torch.Tensor):
            raise _refusal(where, f"a {tensor.layout} tensor of class {type(tensor).__name__}")
        values = tensor.detach().cpu().resolve_conj().resolve_neg()
        name = str(values.dtype).removeprefix("torch.")
        if not hasattr(np, name):
            # NumPy has no such numbers, only their bits.
            values = values.view(getattr(torch, f"int{8 * values.itemsize}"))
        kind = "parameter" if parameter else "tensor"
        return [kind, name, tensor.requires_grad, self._array(values.numpy(), where)]

    def _object(self, value: Any, where: str) -> list[Any]:
        kind = type(value)
        refusal = _refusal(where, f"a {_name_of(kind).replace(':', '.')}")
        try:
            rebuilt, arguments, state, *rest = (*value.__reduce_ex__(4), None)
        except (TypeError, ValueError, AttributeError):
            raise refusal from None
        constructed = rebuilt is kind and _CONSTRUCTED.fullmatch(_name_of(kind))
        plain = rebuilt is __newobj__ and arguments == (kind,)
        if not (constructed or plain) or any(item is not None for item in rest):
            raise refusal
        node = ["object", self._class(kind, where)]
        if constructed:
            given = [self.encode(item, f"{where}({index})") for index, item in enumerate(arguments)]
            node = ["constructed", node[1], given]
        if isinstance(state, dict) and all(type(key) is str for key in state):
            attributes = {key: self.encode(item, f"{where}.{key}") for key, item in state.items()}
            return [*node, attributes]
        if state is None or hasattr(kind, "__setstate__"):
            return [*node, self.encode(state, where)]
        raise refusal

    def _class(self, kind: type, where: str) -> int:
        name = _name_of(kind)
        named = vars(sys.modules.get(kind.__module__, object)).get(kind.__qualname__)
        if named is not kind or kind.__module__ == "__main__":
            raise _refusal(where, f"a {name.replace(':', '.')}, found in no module,")
        return self.classes.setdefault(name, len(self.classes))

    def _function(self, value: Any, where: str) -> int:
        module = value.__module__
        functional = sys.modules.get("torch.nn.functional")
        if getattr(functional, value.__name__, None) is value:
            module = "torch.nn.functional"
        name = f"{module}:{value.__qualname__}"
        if not _FUNCTIONS.fullmatch(name):
            raise _refusal(where, "a function")
        return self.functions.setdefault(name, len(self.functions))


def _refusal(where: str, what: str) -> InputError:
    return InputError(
        f"{where}: {what} cannot be stored; keep arrays, numbers, text, scikit-learn estimators, "
        "torch modules and objects of importable classes with plain attributes"
    )


class _Decoder:
    """Turns JSON and tensors into a value.

    Parameters
    ----------
    tensors
        Name of a type to all numbers of it.
    classes, functions
        What the structure may name, by number.
    """

    def __init__(
        self,
        tensors: Mapping[str, np.ndarray],
        classes: Sequence[type],
        functions: Sequence[Callable[..., Any]],
    ) -> None:
        self.tensors = tensors
        self.classes = classes
        self.functions = functions
        self.taken = dict.fromkeys(tensors, 0)

    def finish(self, node: Any) -> Any:
        """Return the value of the outermost node, which takes all numbers."""
        value = self.decode(node)
        if any(self.taken[name] != tensor.size for name, tensor in self.tensors.items()):
            raise ValueError("more numbers than its structure names")
        return value

    def decode(self, node: Any) -> Any:
        """Return the value of a node; what is raised on a malformed one can be anything."""
        if isinstance(node, dict):
            return {key: self.decode(item) for key, item in node.items()}
        if not isinstance(node, list):
            return node
        match node:
            case ["float", "nan" | "inf" | "-inf" as text]:
                return float(text)
            case [kind, *items] if kind in _SEQUENCES:
                return _SEQUENCES[kind](self.decode(item) for item in items)
            case [kind, *pairs] if kind in _MAPPINGS:
                return _MAPPINGS[kind]({self.decode(key): self.decode(item) for key, item in pairs})
            case ["array", *_]:
                return self._numbers(node).copy(order="K")
            case ["records", shape, bool(aligned), fields]:
                return self._records(shape, aligned, fields)
            case ["text", shape, list(strings)]:
                return np.array(strings, str).reshape(_lengths(shape))
            case ["objects", shape, items]:
                return self._objects(shape, self.decode(items))
            case ["scalar", array]:
                return self.decode(array)[()]
            case ["dtype", str(name)]:
                return np.dtype(name)
            case ["type", str(name)] if issubclass(getattr(np, name), np.generic):
                return getattr(np, name)
            case ["random", kind, name, state] if name in _BIT_GENERATORS:
                return self._generator(kind, name, self.decode(state))
            case ["pattern", "re" | "regex" as module, str(pattern), int(flags)]:
                return importlib.import_module(module).compile(pattern, flags)
            case ["function", int(number)]:
                return self.functions[number]
            case ["member", int(number), str(name)] if issubclass(self.classes[number], Enum):
                return self.classes[number].__members__[name]
            case ["object", int(number), state]:
                kind = self.classes[number]
                return _with_state(object.__new__(kind), self.decode(state))
            case ["constructed", int(number), list(arguments), state]:
                return self._constructed(self.classes[number], arguments, state)
            case ["tensor" | "parameter" as kind, str(dtype), bool(requires_grad), array]:
                return self._tensor(kind, dtype, requires_grad, array)
            case ["size", *lengths]:
                import torch

                return torch.Size(_lengths(lengths))
        raise ValueError(f"a node it does not know: {json.dumps(node)[:60]}")

    def _numbers(self, node: list[Any]) -> np.ndarray:
        """Take the next numbers; return them in their shape, as a view."""
        _, name, shape, *orders = node
        dtype, shape = np.dtype(name), _lengths(shape)
        order = orders[0] if orders else list(range(len(shape)))
        if _stored(dtype) is None or sorted(order) != list(range(len(shape))):
            raise ValueError(f"no array can be {json.dumps(node)[:60]}")
        name, stored = _stored(dtype)
        count = math.prod(shape) * dtype.itemsize // stored.itemsize
        tensor, start = self.tensors[name], self.taken[name]
        if tensor.dtype != stored or tensor.ndim != 1 or start + count > tensor.size:
            raise ValueError(f"fewer numbers of {name} than its structure names")
        self.taken[name] = start + count
        flat = tensor[start : start + count].view(dtype)
        inverse = sorted(range(len(order)), key=order.__getitem__)
        return flat.reshape([shape[axis] for axis in order]).transpose(inverse)

    def _records(self, shape: list[int], aligned: bool, fields: list[Any]) -> np.ndarray:
        columns = {name: self._numbers(node) for name, node in fields}
        dtype = np.dtype([(name, column.dtype) for name, column in columns.items()], align=aligned)
        if not columns or any(column.shape != _lengths(shape) for column in columns.values()):
            raise ValueError("records of columns of other shapes")
        records = np.zeros(_lengths(shape), dtype)
        for name, column in columns.items():
            records[name] = column
        return records

    def _objects(self, shape: list[int], items: list[Any]) -> np.ndarray:
        array = np.empty(len(items), object)
        for index, item in enumerate(items):
            array[index] = item
        return array.reshape(_lengths(shape))

    def _generator(
        self, kind: str, name: str, state: dict[str, Any]
    ) -> np.random.RandomState | np.random.Generator:
        bits = getattr(np.random, name)()
        if kind == "RandomState":
            legacy = np.random.RandomState(bits)
            legacy.set_state(state)
            return legacy
        bits.state = state
        return np.random.Generator(bits)

    def _constructed(self, kind: type, arguments: list[Any], state: Any) -> Any:
        if not _CONSTRUCTED.fullmatch(_name_of(kind)):
            raise ValueError(f"{_name_of(kind)} may not be called")
        return _with_state(kind(*map(self.decode, arguments)), self.decode(state))

    def _tensor(self, kind: str, name: str, requires_grad: bool, array: list[Any]) -> Any:
        import torch

        # A copy: torch aligns its memory by more than NumPy does.
        tensor = torch.from_numpy(self._numbers(array)).clone().view(getattr(torch, name))
        if kind == "parameter":
            return torch.nn.Parameter(tensor, requires_grad)
        return tensor.requires_grad_(requires_grad)


def _with_state(made: Any, state: Any) -> Any:
    if state is not None and hasattr(type(made), "__setstate__"):
        made.__setstate__(state)
    elif state is not None:
        made.__dict__.update(state)
    return made


def _lengths(shape: list[int]) -> tuple[int, ...]:
    if not all(type(length) is int and length >= 0 for length in shape):
        raise ValueError(f"no shape can be {shape}")
    return tuple(shape)
