"""What a config can name: sources, encoders, fusions and routers, one class each.

A class is listed by the literal ``name = "..."`` in its body, found by reading
the module's source. Nothing is imported to list names or to check a config, and
no list has to be edited when a module is added: so a new router changes no file
that another router's results depend on. A class from outside the package is named
``module:Class`` and read in the same way.
"""

import ast
import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from annotated_types import Ge, Gt, Le, Lt
from pydantic import AfterValidator

from mmroute.errors import InputError

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

_ANNOTATIONS = {"Url": Url} | {
    known.__name__: known
    for known in (bool, dict, float, int, list, str, Annotated, Ge, Gt, Le, Literal, Lt)
}


@dataclass(frozen=True)
class Entry:
    """A class that a config can name.

    Attributes
    ----------
    module, class_name, file
        Where the class is.
    attributes
        Its class attributes that are literals, such as a router's ``fusion``.
    parameters
        Constructor arguments: name to (type, default or ``REQUIRED``). Types are
        built-in ones, ``Literal`` and ``Annotated`` with bounds of
        ``annotated_types``, as a config cannot hold others.
    """

    module: str
    class_name: str
    file: Path
    attributes: Mapping[str, Any]
    parameters: Mapping[str, tuple[Any, Any]]


@cache
def catalogue(package: str) -> Mapping[str, Entry]:
    """List what ``sources``, ``encoders``, ``features`` or ``routers`` offers, by name."""
    entries: dict[str, Entry] = {}
    package_root = Path(__file__).parent
    for path in sorted(package_root.glob(f"{package}/*.py")):
        module = "mmroute." + ".".join(path.relative_to(package_root).with_suffix("").parts)
        for node in _classes(path):
            name = _literal_attributes(node).get("name")
            if name is None:
                continue
            if name in entries:
                raise InputError(
                    f"{path}: the name {name!r} is taken by {entries[name].module}; "
                    f"give {node.name} another"
                )
            entries[name] = _entry(module, path, node)
    return entries


def find(package: str, name: str) -> Entry:
    """Return the entry called ``name``, or the one at ``module:Class``.

    Raises InputError if there is none; of a name it lists the known ones.
    """
    if ":" in name:
        return _outside(name)
    entries = catalogue(package)
    if name not in entries:
        raise InputError(
            f"unknown {'fusion' if package == 'features' else package[:-1]} {name!r}; choose from: "
            + ", ".join(sorted(entries))
        )
    return entries[name]


@cache
def _outside(name: str) -> Entry:
    module, class_name = name.split(":", 1)
    importlib.invalidate_caches()
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        raise InputError(
            f"{name}: no module {module!r} in Python's path; run where it lies, or install it"
        )
    path = Path(spec.origin)
    nodes = {node.name: node for node in _classes(path)}
    if class_name not in nodes:
        raise InputError(
            f"{path}: no class {class_name!r} in it; it has: {', '.join(nodes) or 'none'}"
        )
    return _entry(module, path, nodes[class_name])


def _classes(path: Path) -> list[ast.ClassDef]:
    """Read the classes that a module defines at its top level."""
    nodes = ast.parse(path.read_text(encoding="utf-8"), str(path)).body
    return [node for node in nodes if isinstance(node, ast.ClassDef)]


def _entry(module: str, path: Path, node: ast.ClassDef) -> Entry:
    return Entry(module, node.name, path, _literal_attributes(node), _parameters(node, path))


def build(package: str, name: str, parameters: Mapping[str, Any]) -> Any:
    """Construct the class called ``name`` with ``parameters``."""
    entry = find(package, name)
    return getattr(importlib.import_module(entry.module), entry.class_name)(**parameters)


def _literal_attributes(node: ast.ClassDef) -> dict[str, Any]:
    attributes = {}
    for statement in node.body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value))
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value))
            ):
                attributes[name] = value
    return attributes


def _parameters(node: ast.ClassDef, path: Path) -> dict[str, tuple[Any, Any]]:
    constructors = [
        statement
        for statement in node.body
        if isinstance(statement, ast.FunctionDef) and statement.name == "__init__"
    ]
    if not constructors:
        return {}
    arguments = constructors[0].args
    positional = arguments.args[1:]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults
    pairs = [*zip(positional, defaults, strict=True)]
    pairs += zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return {
        argument.arg: (
            _annotation(argument, path),
            REQUIRED if default is None else ast.literal_eval(default),
        )
        for argument, default in pairs
    }


def _annotation(argument: ast.arg, path: Path) -> Any:
    source = "Any" if argument.annotation is None else ast.unparse(argument.annotation)
    try:
        return eval(source, {"__builtins__": {}}, _ANNOTATIONS)
    except NameError as error:
        raise InputError(
            f"{path}:{argument.lineno}: constructor argument {argument.arg!r} has the type "
            f"{source}, which a config cannot hold; use one of: {', '.join(_ANNOTATIONS)}"
        ) from error
