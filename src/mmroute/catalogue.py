"""What a config can name: sources, encoders and routers, one class each.

A class is listed by the literal ``name = "..."`` in its body, found by reading
the module's source. Nothing is imported to list the names, and no list has to
be edited when a module is added: so a new router changes no file that another
router's results depend on.
"""

import ast
import importlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from mmroute.errors import InputError


@cache
def catalogue(package: str) -> Mapping[str, tuple[str, str]]:
    """Map each name to its (module, class name).

    ``package`` is a subpackage of ``mmroute``: ``sources``, ``encoders`` or
    ``routers``.
    """
    entries: dict[str, tuple[str, str]] = {}
    for path in sorted((Path(__file__).parent / package).glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            name = _literal_name(node)
            if name is None:
                continue
            module = f"mmroute.{package}.{path.stem}"
            if name in entries:
                raise InputError(
                    f"{path}: the name {name!r} is taken by {entries[name][0]}; "
                    "give the class another"
                )
            entries[name] = (module, node.name)
    return entries


def find(package: str, name: str) -> type:
    """Import the class called ``name``; raise InputError if there is none."""
    entries = catalogue(package)
    if name not in entries:
        raise InputError(
            f"unknown {package.removesuffix('s')} {name!r}; choose from: "
            + ", ".join(sorted(entries))
        )
    module, class_name = entries[name]
    return getattr(importlib.import_module(module), class_name)


def build(package: str, name: str, parameters: Mapping[str, Any]) -> Any:
    """Construct the class called ``name`` with the config's ``parameters``."""
    return find(package, name)(**parameters)


def _literal_name(node: ast.stmt) -> str | None:
    if not isinstance(node, ast.ClassDef):
        return None
    for statement in node.body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id="name")], value=ast.Constant(str(value)))
                | ast.AnnAssign(target=ast.Name(id="name"), value=ast.Constant(str(value)))
            ):
                return value
    return None
