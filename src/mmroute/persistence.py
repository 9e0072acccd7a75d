"""Trained routers in one safetensors file: numbers as tensors, structure as JSON, no code.

A pickle runs whatever its author wanted. Here nothing of a file is run, and nothing that it
names is imported: the reader says which class it expects, and the annotations of that class say
which attributes an instance has and which classes they hold. An object is made without calling
its constructor. What only a function could rebuild is not stored.

All numbers of a type lie in one tensor, one array after the other. The order is that of the
structure, which is JSON in the header and says what each of them is:

- ``null``, ``true``, whole and finite numbers, strings, and ``{...}`` with string keys:
  themselves;
- ``[kind, ...]``: anything else; ``_Decoder`` has the kinds.

Classes are listed once, as ``module:name``, and meant by their number.
A digest of the structure and the tensors shows damage, and the file's place in the folder of its
run, see ``storage.place_of``, that it is another one's.
"""

import dataclasses
import hashlib
import importlib
import inspect
import json
import math
import re
import sys
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copyreg import __newobj__  # type: ignore[attr-defined]
from functools import cache
from pathlib import Path
from types import BuiltinFunctionType, FunctionType
from typing import Any, ClassVar, get_args, get_origin, get_type_hints

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from mmroute.errors import InputError, one_line, raise_disk_fault
from mmroute.storage import atomic, check_place, damaged, place_of

KEY = "mmroute.persistence.2"
"""Of the structure in the header's metadata."""

_PACKAGE = __name__.split(".")[0]
_DIGEST_LENGTH = 32
"""Characters before the structure: the digest, in hexadecimal."""
_CONSTRUCTED = re.compile(r"sklearn\.tree\._tree:Tree|sklearn\._loss\._loss:Cy\w+")
"""Classes in C, made by calling them with the file's numbers; others are not called."""
_NOT_FOR_USE = re.compile(r"__main__|callback|conftest|_*test(s|ing|_.*)?")
"""Parts of a module's name that no router is made of; importing some of them runs programs, and a
callback of scikit-learn opens a socket as soon as it has its state."""
_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_FUNCTIONS = re.compile(r"torch\.nn\.functional:[a-z]\w*")
"""Functions that a network may hold."""
_PADDING = 16
"""How many times more an array of texts may take than its texts: each is as long as the longest."""

_SEQUENCES = {kind.__name__: kind for kind in (list, tuple, set, frozenset)}
_MAPPINGS = {kind.__name__: kind for kind in (dict, OrderedDict, Counter)}
_SCALARS = {kind.__name__: kind for kind in np.sctypeDict.values()}
_TENSORS = frozenset(
    [f"{kind}{bits}" for kind in ("int", "float") for bits in (16, 32, 64)]
    + ["bool", "uint8", "int8", "bfloat16", "complex64", "complex128"]
)
_MOST_ODD_KEYS = 1000
"""Of a dict or set, besides texts and small whole numbers: others can be made to collide."""
_BIT_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")


def write(path: Path, value: Any) -> None:
    """Write a trained router, or anything it may hold, so that ``read`` returns its like.

    Stored are ``None``, numbers, strings, lists, tuples, sets, dicts (``Counter`` and
    ``OrderedDict`` too), NumPy arrays, scalars, types and random generators, and objects of the
    classes that ``read`` admits for one like ``value``. Equal content gives equal bytes.

    Arrays and tensors keep type, shape and order of the axes in memory, which rounding
    can depend on; numbers come back in native byte order, tensors on the CPU. What is
    held twice is stored twice.

    Raises
    ------
    InputError
        If something in it cannot be stored, naming the path of attributes that leads there.
    """
    kind = type(value)
    trusted = [] if _is_ours(kind) or not _is_class(kind) else [_package(kind)]
    encoder = _Encoder(_Admission(kind, trusted))
    try:
        structure = {
            "place": place_of(path),
            "value": encoder.encode(value, kind.__name__),
            "classes": list(encoder.classes),
            "functions": list(encoder.functions),
        }
    except RecursionError:
        raise InputError(
            f"{kind.__name__}: nested too deeply to be stored; keep fitted state flat"
        ) from None
    text = json.dumps(structure, separators=(",", ":"), allow_nan=False)
    tensors = {name: np.concatenate(parts) for name, parts in encoder.parts.items()}
    with atomic(path) as partial:
        try:
            partial.write_bytes(save(tensors, {KEY: _digest(text, tensors) + text}))
        except SafetensorError as error:
            raise InputError(
                f"{kind.__name__}: cannot be stored ({one_line(error)}); keep numbers in arrays"
            ) from error


def read(
    path: Path,
    kind: type | None = None,
    trusted: Sequence[str] = (),
    parameters: Mapping[str, Any] | None = None,
) -> Any:
    """Read what ``write`` has written, without running anything that the file brings.

    Admitted are ``kind`` and the classes that its annotations name, theirs included, each with
    the attributes that it has annotated or takes in its constructor, all of them, and with
    finite numbers only. So what a router can be made of stands in its own class.
    Only code is kept out: nothing vouches for the numbers of a stranger's file.

    Parameters
    ----------
    path
        The file.
    kind
        The class of what it holds; by default it may hold no object at all.
    trusted
        Modules whose classes the file may name too, with any attributes: a user's own. So may
        it those of the packages that an annotation of a ``kind`` from there names.
    parameters
        What it was constructed with, as far as that is known. It is compared before anything is
        built from what the file says.

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
        admission = _Admission(kind, trusted)
        admission.check(path, structure["classes"], structure["functions"])
        return _Decoder(tensors, admission, structure).finish(kind, parameters or {})
    except InputError:
        raise
    except ImportError as error:
        raise InputError(
            f"{path}: names a module that cannot be imported ({one_line(error)}); install what "
            "it needs, or run where it lies"
        ) from error
    except MemoryError as error:
        raise InputError(f"{path}: too little memory to read it; give more") from error
    # The file may be anybody's: what it can make NumPy, torch or a class's own __setstate__ raise
    # has no end.
    except Exception as error:
        raise_disk_fault(error, path)
        raise damaged(path, f"not readable as a trained router ({one_line(error)})") from error


class _Admission:
    """Which classes a file may name, which attributes these have, and what the attributes hold.

    Attributes
    ----------
    kinds
        Class by ``module:name``.
    attributes
        By ``module:name``, each attribute with the names of the classes that it may hold;
        None for a class whose state is not a dict of attributes.
    trusted
        Modules all of whose classes are admitted.
    packages
        Packages that a trusted class names in its annotations; what they have for tests and
        the like is not admitted.
    """

    def __init__(self, kind: type | None, trusted: Sequence[str]) -> None:
        self.kinds: dict[str, type] = {}
        self.attributes: dict[str, dict[str, frozenset[str]] | None] = {}
        self.trusted = list(trusted)
        self.packages: set[str] = set()
        pending = [kind] if kind is not None and _is_class(kind) else []
        while pending:
            kind = pending.pop()
            held = {name: _named(hint) for name, hint in _hints(kind).items()}
            if self.trusts(kind.__module__):
                packages = {_package(named) for named in set().union(*held.values())}
                self.packages |= {_USED.get(name, name) for name in packages - {_PACKAGE}}
                pending += filter(_is_ours, set().union(*held.values()))
            elif _name_of(kind) not in self.kinds:
                self.kinds[_name_of(kind)] = kind
                self.attributes[_name_of(kind)] = (
                    {name: frozenset(map(_name_of, named)) for name, named in held.items()}
                    if _is_ours(kind)
                    else None
                )
                pending += set().union(*held.values())

    def trusts(self, module: str) -> bool:
        """Tell whether all classes of a module are admitted."""
        return _is_below(module, self.trusted) or (
            _is_below(module, self.packages)
            and not any(map(_NOT_FOR_USE.fullmatch, module.split(".")))
        )

    def names(self, name: str) -> bool:
        """Tell whether a file may name a class."""
        return name in self.kinds or bool(_NAME.fullmatch(name) and self.trusts(_module_of(name)))

    def names_function(self, name: str) -> bool:
        """Tell whether a file may name a function."""
        return bool(_FUNCTIONS.fullmatch(name)) and self.trusts(_module_of(name))

    def check(self, path: Path, classes: Sequence[str], functions: Sequence[str]) -> None:
        """Raise InputError for the first name that a file may not use."""
        for name in [name for name in classes if not self.names(name)]:
            raise InputError(
                f"{path}: names the class {name!r:.200}, which nothing that belongs here is made "
                f"of ({', '.join([*self.kinds, *self.trusted]) or 'numbers and text'}); read "
                "only files of authors you trust, and name the module of a router of your own as "
                "trusted"
            )
        for name in [name for name in functions if not self.names_function(name)]:
            raise InputError(
                f"{path}: names the function {name!r:.200}, which nothing that belongs here is "
                "made of; do not use the file"
            )

    def kind(self, name: str) -> type:
        """Return the class under a name that ``check`` has passed."""
        if name in self.kinds:
            return self.kinds[name]
        kind = _lookup(name)
        if not isinstance(kind, type) or _name_of(kind) != name:
            raise ValueError(f"{name!r} is no class that is defined there")
        return kind

    def fault(self, name: str, state: Mapping[str, Any]) -> str:
        """Say what is wrong with the attributes of an object; empty if nothing is."""
        if name not in self.kinds:
            hidden = [key for key in state if key.startswith("__")]
            return f"attribute {hidden[0]!r:.80}" if hidden else ""
        expected = self.attributes[name]
        if expected is None or state.keys() == expected.keys():
            return ""
        strange = sorted(state.keys() ^ expected.keys())[0]
        return f"{'no ' if strange in expected else ''}attribute {strange!r:.80}"


_USED = {"torch": "torch.nn"}
"""What of a package is admitted, where that is not all."""
_NO_CLASSES = ("builtins", "collections", "numpy", "types", "typing")
"""Modules of what an annotation names besides classes: numbers, text, arrays, containers."""


def _is_below(module: str, packages: Iterable[str]) -> bool:
    return any(f"{module}.".startswith(f"{name}.") for name in packages)


def _package(kind: type) -> str:
    return kind.__module__.split(".")[0]


def _is_ours(kind: type) -> bool:
    return _package(kind) == _PACKAGE


def _is_class(kind: type) -> bool:
    return _package(kind) not in _NO_CLASSES


def _hints(kind: type) -> dict[str, Any]:
    """Return the attributes that an instance has, with their annotations.

    They are what our classes, and a user's, annotate in their bodies, and what a constructor
    takes unless the class is a dataclass, which annotates all it has.
    """
    hints: dict[str, Any] = {}
    if (
        not dataclasses.is_dataclass(kind)
        and inspect.getattr_static(kind, "__init__") is not object.__init__
    ):
        hints |= {name: Any for name in inspect.signature(kind).parameters}
    if _is_ours(kind) or not kind.__module__.startswith(("sklearn.", "torch.")):
        try:
            annotated = get_type_hints(kind)
        except NameError as error:
            raise InputError(
                f"{_name_of(kind)}: {error}, which an annotation of an attribute names; import it "
                "where the module runs, too"
            ) from error
        hints |= {
            name: hint
            for name, hint in annotated.items()
            if ClassVar not in (hint, get_origin(hint))
        }
    return hints


def _named(hint: Any) -> set[type]:
    """Return the classes that an annotation names, an abstract one by those of its module."""
    named = set().union(*map(_named, get_args(hint)))
    kind = get_origin(hint) or hint
    if not isinstance(kind, type) or not _is_class(kind):
        return named
    if not inspect.isabstract(kind):
        return named | {kind}
    return named | {
        other
        for other in vars(sys.modules[kind.__module__]).values()
        if isinstance(other, type) and issubclass(other, kind) and not inspect.isabstract(other)
    }


def _digest(text: str, tensors: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.blake2b(text.encode(), digest_size=_DIGEST_LENGTH // 2)
    for _, tensor in sorted(tensors.items()):
        digest.update(tensor.data)
    return digest.hexdigest()


def _function(name: str) -> Callable[..., Any]:
    function = _lookup(name)
    defined = isinstance(function, FunctionType) and _name_of(function) == name
    if not defined and not isinstance(function, BuiltinFunctionType):
        raise ValueError(f"{name!r} is no function that is defined there")
    return function


def _lookup(name: str) -> Any:
    module, attribute = name.split(":")
    # Not getattr: a module may import what it is asked for.
    return vars(importlib.import_module(module)).get(attribute)


def _name_of(value: Any) -> str:
    return f"{value.__module__}:{value.__qualname__}"


def _module_of(name: str) -> str:
    return name.split(":")[0]


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

    Parameters
    ----------
    admission
        Of the classes that may be stored.

    Attributes
    ----------
    parts
        Name of a type to the flat arrays of it, in the order of the structure.
    classes, functions
        ``module:name`` to number.
    """

    def __init__(self, admission: _Admission) -> None:
        self.admission = admission
        self.parts: dict[str, list[np.ndarray]] = {}
        self.classes: dict[str, int] = {}
        self.functions: dict[str, int] = {}
        self._open: set[int] = set()
        self._finite = False
        """Whether the numbers that are stored now have to be."""

    def encode(self, value: Any, where: str) -> Any:
        """Return the node of ``value``; ``where`` leads to it."""
        kind = type(value)
        if value is None or kind in (bool, int, str):
            return value
        if kind is float and math.isfinite(value):
            return value
        if kind is float:
            self._require_finite(value, where)
            return ["float", str(value)]
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
        if (kept := _stored(array.dtype)) is None:
            raise _refusal(where, f"an array of {array.dtype}")
        name, stored = kept
        array = np.asarray(array, array.dtype.newbyteorder("="))
        if array.dtype.kind in "fc":
            self._require_finite(array, where)
        # The order of the axes in which the numbers lie one after the other, if there is one.
        order = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
        if array.flags.c_contiguous or not array.transpose(order).flags.c_contiguous:
            order = list(range(array.ndim))
        flat = array.transpose(order).ravel().view(stored)
        self.parts.setdefault(name, []).append(flat)
        node = ["array", array.dtype.str[1:], shape]
        return node if order == sorted(order) else [*node, order]

    def _require_finite(self, numbers: Any, where: str) -> None:
        if self._finite and not np.isfinite(numbers).all():
            raise InputError(
                f"{where}: holds numbers that are not finite, as after a training that diverged; "
                "lower the learning rate, or look for outcomes without any bounds"
            )

    def _records(self, array: np.ndarray, where: str) -> list[Any]:
        fields = [(name, array.dtype[name]) for name in array.dtype.names or ()]
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
        if not self.admission.names(_name_of(kind)):
            raise refusal
        try:
            reduced: tuple[Any, ...] = value.__reduce_ex__(4)
            rebuilt, arguments, state, *rest = (*reduced, None)
        except (TypeError, ValueError, AttributeError):
            raise refusal from None
        constructed = rebuilt is kind and _CONSTRUCTED.fullmatch(_name_of(kind))
        plain = rebuilt is __newobj__ and arguments == (kind,)
        if not (constructed or plain) or any(item is not None for item in rest):
            raise refusal
        if state is None and _name_of(kind) in self.admission.kinds:
            state = {}
        node = ["object", self._class(kind, where)]
        if constructed:
            held = [self.encode(item, f"{where}({index})") for index, item in enumerate(arguments)]
            node = ["constructed", node[1], held]
        if isinstance(state, dict) and all(type(key) is str for key in state):
            if fault := self.admission.fault(_name_of(kind), state):
                raise InputError(
                    f"{where}: a {_name_of(kind).replace(':', '.')} with {fault} cannot be "
                    "stored; annotate in the class's body all that an instance has once it is "
                    "fitted, and set all of it"
                )
            before, self._finite = self._finite, _name_of(kind) in self.admission.kinds
            attributes = {key: self.encode(item, f"{where}.{key}") for key, item in state.items()}
            self._finite = before
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
        if not self.admission.names_function(name):
            raise _refusal(where, "a function")
        return self.functions.setdefault(name, len(self.functions))


def _refusal(where: str, what: str) -> InputError:
    return InputError(
        f"{where}: {what} cannot be stored; keep arrays, numbers and text, and objects of classes "
        "that the router's body names where it annotates the attribute that holds them"
    )


class _Decoder:
    """Turns JSON and tensors into a value.

    Parameters
    ----------
    tensors
        Name of a type to all numbers of it.
    admission
        Of the classes that the structure may name; it has passed the check.
    structure
        ``value``, ``classes`` and ``functions``.
    """

    def __init__(
        self,
        tensors: Mapping[str, np.ndarray],
        admission: _Admission,
        structure: Mapping[str, Any],
    ) -> None:
        self.tensors = tensors
        self.admission = admission
        self.node = structure["value"]
        self.names: list[str] = structure["classes"]
        self.classes = [admission.kind(name) for name in self.names]
        self.functions = [_function(name) for name in structure["functions"]]
        self.taken = dict.fromkeys(tensors, 0)
        self.finite = False
        """Whether the numbers that are read now have to be."""
        self.held: frozenset[str] | None = None
        """Classes of the objects that may stand here; None: any that is admitted."""

    def finish(self, kind: type | None, parameters: Mapping[str, Any]) -> Any:
        """Return the value of the outermost node, which takes all numbers and is a ``kind``."""
        for name, told in parameters.items():
            state = self.node[-1] if isinstance(self.node, list) else None
            stored = self.decode(state[name]) if isinstance(state, dict) and name in state else None
            if stored != told:
                raise ValueError(f"{name} is {stored!r:.80}, not {told!r:.80}")
        self.held = frozenset() if kind is None else frozenset([_name_of(kind)])
        value = self.decode(self.node)
        if kind is not None and type(value) is not kind:
            raise ValueError(f"it holds a {type(value).__name__}, not a {kind.__name__}")
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
            case ["float", "nan" | "inf" | "-inf" as text] if not self.finite:
                return float(text)
            case [kind, *items] if kind in _SEQUENCES:
                values = [self.decode(item) for item in items]
                return _SEQUENCES[kind](_hashable(values) if "set" in kind else values)
            case [kind, *pairs] if kind in _MAPPINGS:
                keys = _hashable([self.decode(key) for key, _ in pairs])
                values = [self.decode(item) for _, item in pairs]
                return _MAPPINGS[kind](dict(zip(keys, values, strict=True)))
            case ["array", *_]:
                return self._numbers(node).copy(order="K")
            case ["records", shape, bool(aligned), fields]:
                return self._records(shape, aligned, fields)
            case ["text", shape, list(strings)]:
                return _texts(strings).reshape(_lengths(shape))
            case ["objects", shape, items]:
                return self._objects(shape, self.decode(items))
            case ["scalar", array]:
                return self.decode(array)[()]
            case ["dtype", str(name)]:
                return np.dtype(name)
            case ["type", str(name)]:
                return _SCALARS[name]
            case ["random", kind, name, state] if name in _BIT_GENERATORS:
                return self._generator(kind, name, self.decode(state))
            case ["function", int(number)]:
                return self.functions[number]
            case ["object", int(number), state]:
                kind = self.classes[number]
                return _with_state(object.__new__(kind), self._state(number, state))
            case ["constructed", int(number), list(arguments), state]:
                return self._constructed(number, arguments, state)
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
        if (kept := _stored(dtype)) is None or sorted(order) != list(range(len(shape))):
            raise ValueError(f"no array can be {json.dumps(node)[:60]}")
        name, stored = kept
        count = math.prod(shape) * dtype.itemsize // stored.itemsize
        tensor, start = self.tensors[name], self.taken[name]
        if tensor.dtype != stored or tensor.ndim != 1 or start + count > tensor.size:
            raise ValueError(f"fewer numbers of {name} than its structure names")
        self.taken[name] = start + count
        flat = tensor[start : start + count].view(dtype)
        if self.finite and dtype.kind in "fc" and not np.isfinite(flat).all():
            raise ValueError("numbers that are not finite")
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

    def _constructed(self, number: int, arguments: list[Any], state: Any) -> Any:
        kind = self.classes[number]
        if not _CONSTRUCTED.fullmatch(_name_of(kind)):
            raise ValueError(f"{_name_of(kind)} may not be called")
        values, attributes = [self.decode(item) for item in arguments], self._state(number, state)
        if kind.__name__ == "Tree":
            _check_tree(attributes, *values)
        return _with_state(kind(*values), attributes)

    def _state(self, number: int, node: Any) -> Any:
        """Return the state of an object that may stand here."""
        name = self.names[number]
        if self.held is not None and name not in self.held:
            raise ValueError(f"a {name} where none belongs")
        if not isinstance(node, dict):
            if name in self.admission.kinds:
                raise ValueError(f"a {name} without attributes")
            return self.decode(node)
        if fault := self.admission.fault(name, node):
            raise ValueError(f"a {name} with {fault}")
        expected = self.admission.attributes.get(name)
        before = self.held, self.finite
        state = {}
        for attribute, item in node.items():
            if name in self.admission.kinds:
                self.finite = True
                self.held = frozenset() if expected is None else expected[attribute]
            else:
                self.held, self.finite = None, False
            state[attribute] = self.decode(item)
        self.held, self.finite = before
        return state

    def _tensor(self, kind: str, name: str, requires_grad: bool, array: list[Any]) -> Any:
        import torch

        if name not in _TENSORS:
            raise ValueError(f"no tensor can be of {name!r:.80}")
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


def _hashable(values: list[Any]) -> list[Any]:
    """Return what is to be keys, of which few may be of a kind that can be made to collide."""
    odd = [
        value
        for value in values
        if not (isinstance(value, str) or (isinstance(value, int) and abs(value) < 2**32))
    ]
    if len(odd) > _MOST_ODD_KEYS:
        raise ValueError(f"a dict or set with {len(odd)} keys that are neither text nor small")
    return values


def _texts(strings: list[str]) -> np.ndarray:
    """Return an array of texts that takes not much more memory than they do."""
    longest = max(map(len, strings), default=0)
    if longest * len(strings) > _PADDING * (sum(map(len, strings)) + len(strings)):
        raise ValueError(f"a text of {longest} characters among {len(strings)} short ones")
    return np.array(strings, str)


def _check_tree(
    state: Mapping[str, Any], n_features: int, n_classes: np.ndarray, n_outputs: int
) -> None:
    """Raise ValueError for a decision tree on which a walk would not end or leave its memory."""
    nodes, values = state["nodes"], state["values"]
    left, right, feature = nodes["left_child"], nodes["right_child"], nodes["feature"]
    count = state["node_count"]
    place = np.arange(count)
    leaf = left == -1
    inner = (left > place) & (left < count) & (right > place) & (right < count)
    sound = (
        type(n_features) is type(n_outputs) is type(count) is int
        and count > 0
        and nodes.shape == (count,)
        and n_classes.shape == (n_outputs,)
        and values.shape == (count, n_outputs, n_classes.max())
        and bool(np.where(leaf, right == -1, inner & (feature >= 0) & (feature < n_features)).all())
    )
    if not sound:
        raise ValueError("a decision tree whose nodes lead nowhere")
