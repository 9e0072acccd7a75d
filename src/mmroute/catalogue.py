"""What a config can name: sources, encoders, fusions, routers, experiments; one class each.

A class is listed by the literal ``name = "..."`` in its body, found by reading
the module's source. Nothing is imported to list names or to check a config, and
no list has to be edited when a module is added: so a new router changes no file
that another router's results depend on. A class from outside the package is named
``module:Class`` and read in the same way.

What a class inherits counts as in Python: of constructors the nearest, written out or a
dataclass's; of literal attributes the nearest of each name. Bases are found through the
imports of the module that names them; those that lie in other installed packages are left
out, as if they had neither.
"""

import ast
import importlib
import importlib.util
import re
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import AfterValidator

from mmroute.errors import InputError, naming_extra

PACKAGE = __name__.split(".")[0]
REQUIRED: Any = object()
"""Stands for the default of a parameter that has none."""


def _bare_url(url: str) -> str:
    """Return a URL that can be shown: its message does not hold what it refuses."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("no URL; give one such as http://127.0.0.1:8000/v1") from None
    if "@" in parts.netloc:
        raise ValueError(
            "holds a user name or a password, which would show in results; give the URL without, "
            "and a key in an environment variable"
        )
    shown = url.isascii() and url.isprintable() and " " not in url and port != 0
    if not shown or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("no URL of http or https; give one such as http://127.0.0.1:8000/v1")
    if parts.query or parts.fragment:
        raise ValueError("holds a query or a fragment; give the base of the URL only")
    return url


Url = Annotated[str, AfterValidator(_bare_url)]
"""The base of an http(s) URL that holds no secret."""

_BUILT_IN: list[type] = [bool, dict, float, int, list, str, tuple, Ge, Gt, Le, Lt, MinLen]
_ANNOTATIONS: dict[str, Any] = {known.__name__: known for known in _BUILT_IN} | {
    "Annotated": Annotated,
    "Literal": Literal,
    "Url": Url,
}


@dataclass(frozen=True)
class Entry:
    """A class that a config can name.

    Attributes
    ----------
    module, class_name
        Where the class is.
    lineage
        File and name of the class, then of its bases, in the order in which they count.
    attributes
        Its class attributes that are literals, such as a router's ``fusion``.
    parameters
        Constructor arguments: name to (type, default or ``REQUIRED``). Types are
        built-in ones, ``Literal`` and ``Annotated`` with bounds of
        ``annotated_types``, as a config cannot hold others.
    docstrings
        Its own, then those of its bases.
    """

    module: str
    class_name: str
    lineage: tuple[tuple[Path, str], ...]
    attributes: Mapping[str, Any]
    parameters: Mapping[str, tuple[Any, Any]]
    docstrings: tuple[str, ...]

    @property
    def descriptions(self) -> dict[str, str]:
        """What docstrings say of each parameter, the nearest first, in one line each."""
        return {
            name: " ".join(text.split())
            for docstring in reversed(self.docstrings)
            for section in re.findall(
                r"^Parameters\n-+\n(.*?)(?=\n\n\w+\n-+\n|\Z)", docstring, re.M | re.S
            )
            for names, text in re.findall(r"^(\S.*)\n((?:\n*^ +.*)+)", section, re.M)
            for name in names.split(", ")
            if name in self.parameters
        }


@cache
def catalogue(package: str) -> Mapping[str, Entry]:
    """What a room offers, such as ``routers`` or ``experiments``, by name.

    Raises InputError for a name that two classes have, and for a class that cannot be read.
    """
    entries: dict[str, Entry] = {}
    root = Path(__file__).parent
    for path in sorted(root.glob(f"{package}/*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        module = _read(".".join([PACKAGE, *parts]).removesuffix(".__init__"), path)
        for node in module.classes.values():
            name = _assigned(node).get("name")
            if not isinstance(name, ast.Constant) or not isinstance(name.value, str):
                continue
            if name.value in entries:
                raise InputError(
                    f"{path}: the name {name.value!r} is taken by {entries[name.value].module}; "
                    f"give {node.name} another"
                )
            entries[name.value] = _entry(_hollow(module, node))
    return entries


def find(package: str, name: str) -> Entry:
    """The entry called ``name``, or the one at ``module:Class``.

    Raises InputError if there is none; of a name it lists the known ones.
    """
    if ":" in name:
        return _outside(name)
    entries = catalogue(package)
    if name not in entries:
        raise InputError(
            f"unknown {_singular(package)} {name!r}; choose from: {', '.join(sorted(entries))}"
        )
    return entries[name]


def _singular(package: str) -> str:
    return "fusion" if package == "features" else package[:-1]


def build(package: str, name: str, parameters: Mapping[str, Any]) -> Any:
    """An object of the class called ``name``, constructed with ``parameters``.

    Raises InputError if there is none, or if it needs an extra that is not installed.
    """
    entry = find(package, name)
    with naming_extra(f"{_singular(package)} {name!r}"):
        kind = getattr(importlib.import_module(entry.module), entry.class_name)
    if lacking := ", ".join(sorted(getattr(kind, "__abstractmethods__", ()))):
        raise InputError(f"{name}: the class has no {lacking}; write it, as its base says")
    return kind(**parameters)


@cache
def _outside(name: str) -> Entry:
    module_name, class_name = name.split(":", 1)
    importlib.invalidate_caches()
    path = _file(module_name, module_name)
    if path is None:
        raise InputError(
            f"{name}: no module {module_name!r} in Python's path; run where it lies, or install it"
        )
    module = _read(module_name, path)
    if class_name not in module.classes:
        raise InputError(
            f"{path}: no class {class_name!r} in it; it has: {', '.join(module.classes) or 'none'}"
        )
    try:
        return _entry(_hollow(module, module.classes[class_name]))
    except RecursionError:
        raise InputError(f"{path}: the bases of {class_name} lead back to it") from None


@dataclass(frozen=True, eq=False)
class _Module:
    """A module's source, as far as it says which classes there are.

    Attributes
    ----------
    bindings
        In their order: a name, its line, and the class statement or the full dotted name of
        what it stands for.
    """

    name: str
    path: Path
    bindings: tuple[tuple[str, int, ast.ClassDef | str], ...]

    @property
    def classes(self) -> dict[str, ast.ClassDef]:
        """The classes that it defines at its top level."""
        return {name: node for name, _, node in self.bindings if isinstance(node, ast.ClassDef)}


class _Hollow:
    """Stands for a class: a subclass for each one, so that Python itself orders the bases."""

    module: _Module
    node: ast.ClassDef


def _file(module: str, asking: str) -> Path | None:
    """Where a module lies, found without importing what it lies in.

    None if there is none, or if it is of another installed package than ``asking``.
    """
    top, *rest = module.split(".")
    if top == PACKAGE:
        base = Path(__file__).parent.joinpath(*rest)
        paths = (base / "__init__.py", base.with_suffix(".py"))
        return next((path for path in paths if path.is_file()), None)
    try:
        spec = importlib.util.find_spec(top)
        for end, _ in enumerate(rest, start=2):
            within = spec.submodule_search_locations if spec else None
            full = ".".join(module.split(".")[:end])
            spec = PathFinder.find_spec(full, within) if within else None
    except (ImportError, ValueError):
        return None
    if not spec or not spec.origin or not spec.origin.endswith(".py"):
        return None
    path = Path(spec.origin)
    known = ("stdlib", "purelib", "platlib")
    installed = any(path.is_relative_to(sysconfig.get_path(name)) for name in known)
    return None if installed and top != asking.split(".")[0] else path


@cache
def _read(name: str, path: Path) -> _Module:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    except (SyntaxError, ValueError) as error:
        raise InputError(f"{path}: no Python that can be read ({error}); correct it") from error
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    return _Module(name, path, tuple(_bindings(tree.body, name, package.split("."))))


def _bindings(
    statements: list[ast.stmt], module: str, package: list[str]
) -> Iterator[tuple[str, int, ast.ClassDef | str]]:
    for statement in statements:
        line = statement.lineno
        match statement:
            case ast.ClassDef(name=name):
                yield name, line, statement
            case ast.Import(names=names):
                for alias in names:
                    top = alias.name.split(".")[0]
                    yield alias.asname or top, line, alias.name if alias.asname else top
            case ast.ImportFrom(module=origin, names=names, level=level):
                base = package[: len(package) + 1 - level] if level else []
                for alias in names:
                    full = ".".join([*base, *([origin] if origin else []), alias.name])
                    yield alias.asname or alias.name, line, full.removesuffix(".*")
            case ast.Assign(targets=[ast.Name(id=name)], value=(ast.Name() | ast.Attribute())):
                yield name, line, f"{module}.{ast.unparse(statement.value)}"
            case ast.If() | ast.Try():
                for part in (statement.body, statement.orelse):
                    yield from _bindings(part, module, package)


def _class(module: _Module, dotted: str, before: float) -> type[_Hollow] | None:
    """The class that a name means in a line of a module; None for one that is not followed."""
    first, _, rest = dotted.partition(".")
    for name, line, node in reversed(module.bindings):
        if line >= before:
            continue
        if isinstance(node, ast.ClassDef):
            if name == dotted:
                return _hollow(module, node)
        elif name == "*":
            if found := _absolute(f"{node}.{dotted}", module.name):
                return found
        elif name == first:
            return _absolute(f"{node}.{rest}".rstrip("."), module.name)
    return None


def _absolute(full: str, asking: str) -> type[_Hollow] | None:
    parts = full.split(".")
    for end in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:end])
        if path := _file(name, asking):
            return _class(_read(name, path), ".".join(parts[end:]), float("inf"))
    return None


@cache
def _hollow(module: _Module, node: ast.ClassDef) -> type[_Hollow]:
    bases = []
    for base in node.bases:
        named = base.value if isinstance(base, ast.Subscript) else base
        if isinstance(named, ast.Name | ast.Attribute):
            bases.append(_class(module, ast.unparse(named), node.lineno))
    followed = [base for base in bases if base]
    try:
        return type(node.name, tuple(followed) or (_Hollow,), {"module": module, "node": node})
    except TypeError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{module.path}:{node.lineno}: class {node.name}: {reason}") from error


def _entry(hollow: type[_Hollow]) -> Entry:
    lineage = _lineage(hollow)
    attributes: dict[str, Any] = {}
    for kind in reversed(lineage):
        for name, value in _assigned(kind.node).items():
            try:
                attributes[name] = ast.literal_eval(value)
            except (ValueError, TypeError):
                if name in attributes:
                    raise InputError(
                        f"{kind.module.path}:{value.lineno}: {name} is read without running the "
                        f"module; write it as a literal, such as {attributes[name]!r}"
                    ) from None
    return Entry(
        hollow.module.name,
        hollow.__name__,
        tuple((kind.module.path, kind.__name__) for kind in lineage),
        attributes,
        _parameters(hollow),
        tuple(ast.get_docstring(kind.node) or "" for kind in lineage),
    )


def _assigned(node: ast.ClassDef) -> dict[str, ast.expr]:
    """What is assigned to names in a class's body."""
    assigned: dict[str, ast.expr] = {}
    for statement in node.body:
        match statement:
            case ast.Assign(targets=targets, value=value):
                assigned |= {target.id: value for target in targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                assigned[name] = value
    return assigned


def _lineage(hollow: type[_Hollow]) -> list[type[_Hollow]]:
    return [kind for kind in hollow.__mro__ if issubclass(kind, _Hollow) and kind != _Hollow]


def _parameters(hollow: type[_Hollow]) -> dict[str, tuple[Any, Any]]:
    """What the nearest constructor takes, be it written out or a dataclass's."""
    for kind in _lineage(hollow):
        for statement in kind.node.body:
            if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
                return _arguments(statement, kind.module.path)
        if _is_dataclass(kind):
            return _fields(kind)
    return {}


def _is_dataclass(kind: type[_Hollow]) -> bool:
    return any("dataclass" in ast.unparse(decorator) for decorator in kind.node.decorator_list)


def _fields(hollow: type[_Hollow]) -> dict[str, tuple[Any, Any]]:
    """What a dataclass's constructor takes: not what is a ``field(init=False)``."""
    fields: dict[str, tuple[Any, Any]] = {}
    for kind in filter(_is_dataclass, reversed(_lineage(hollow))):
        for statement in kind.node.body:
            match statement:
                case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=default):
                    kept = isinstance(default, ast.Call) or "ClassVar" in ast.unparse(annotation)
                    if not kept:
                        argument = ast.arg(name, annotation, lineno=statement.lineno)
                        fields[name] = _parameter(argument, default, kind.module.path)
    return fields


def _arguments(constructor: ast.FunctionDef, path: Path) -> dict[str, tuple[Any, Any]]:
    arguments = constructor.args
    positional = arguments.args[1:]
    required = len(positional) - len(arguments.defaults)
    defaults: list[ast.expr | None] = [*[None] * required, *arguments.defaults]
    pairs = [*zip(positional, defaults, strict=True)]
    pairs += zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return {argument.arg: _parameter(argument, default, path) for argument, default in pairs}


def _parameter(argument: ast.arg, default: ast.expr | None, path: Path) -> tuple[Any, Any]:
    value = REQUIRED if default is None else ast.literal_eval(default)
    return _annotation(argument, path), value


def _annotation(argument: ast.arg, path: Path) -> Any:
    source = "Any" if argument.annotation is None else ast.unparse(argument.annotation)
    try:
        return eval(source, {"__builtins__": {}}, _ANNOTATIONS)
    except NameError as error:
        raise InputError(
            f"{path}:{argument.lineno}: constructor argument {argument.arg!r} has the type "
            f"{source}, which a config cannot hold; use one of: {', '.join(_ANNOTATIONS)}"
        ) from error
