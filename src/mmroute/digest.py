"""Digests of the code that a job reaches, so that a rule re-runs when its code changes.

Snakemake sees a rule's script but not the package behind it. What a script reaches is
followed from name to name: a function, class or constant counts if something reached names
it, wherever that stands, and with it the other statements at the top of its module, which
importing runs. Comments, docstrings and layout do not count, nor what else a module holds.
A class that is chosen by name in the config is named by no code: the rule adds it.
"""

import ast
import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGE = "mmroute"
_ROOT = Path(__file__).parent

Code = Path | str | tuple[Path, str]
"""A script, a module such as ``mmroute.routers.knn``, or a class: its file and its name."""
_Reached = tuple[Path, str]
"""A file and a name that it defines; without a name, what importing it runs."""


def code_digest(*entries: Code, without: Collection[str] = ()) -> str:
    """Return a digest of some code and of all first-party code that it reaches.

    Parameters
    ----------
    entries
        Where to start. Beside the package, modules that lie beside an entry are followed.
    without
        Methods of the entries' classes that the job does not call.
    """
    texts: dict[_Reached, str] = {}
    pending: list[_Reached] = []
    for entry in entries:
        match entry:
            case (file, name):
                kept = _without(_module(file), name, frozenset(without))
                texts[file, name] = kept.text
                pending += [(file, ""), *kept.names]
            case Path():
                pending += _everything(entry)
            case _:
                if found := _module_file(entry, _ROOT):
                    pending += _everything(found)
    while pending:
        file, name = reached = pending.pop()
        if reached not in texts:
            part = _module(file).part(name)
            texts[reached] = part.text
            pending += [*part.names, (file, "")]
    digest = hashlib.blake2b(digest_size=16)
    labelled = {f"{_label(file)}\0{name}": text for (file, name), text in texts.items()}
    for label in sorted(labelled):
        digest.update(f"{label}\0{labelled[label]}\0".encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class _Part:
    """Some statements of a module: what they say, and which names of first-party code."""

    text: str
    names: frozenset[_Reached]


class _Module:
    """A file of first-party code, its top-level statements by the names that they define."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._parts: dict[str, _Part] = {}
        tree = _bare(ast.parse(path.read_text(encoding="utf-8"), str(path)))
        self.imports = dict(_imports(tree))
        self.statements: dict[str, list[ast.stmt]] = {"": []}
        for statement in tree.body:
            for name in _defined(statement):
                self.statements.setdefault(name, []).append(statement)

    def part(self, name: str) -> _Part:
        """Return what defines a name; of none, what importing the module runs."""
        if name not in self._parts:
            self._parts[name] = self.of(self.statements[name])
        return self._parts[name]

    def of(self, statements: list[ast.stmt]) -> _Part:
        """Return what some of its statements say and name."""
        text = "\n".join(map(ast.unparse, statements))
        names = {reached for node in statements for reached in self._names(node)}
        return _Part(text, frozenset(names))

    def _names(self, node: ast.AST) -> Iterator[_Reached]:
        match node:
            case ast.Name(id=name) | ast.Constant(value=str(name)) if name in self.statements:
                yield self._path, name
            # A text may be an annotation.
            case ast.Name() | ast.Attribute() | ast.Constant(value=str()):
                dotted = _dotted(node)
                if dotted and dotted[0] in self.imports:
                    yield from _resolve([*self.imports[dotted[0]], *dotted[1:]], self._path)
                else:
                    for child in ast.iter_child_nodes(node):
                        yield from self._names(child)
            case _:
                for child in ast.iter_child_nodes(node):
                    yield from self._names(child)


@cache
def _module(path: Path) -> _Module:
    return _Module(path)


@cache
def _without(module: _Module, name: str, methods: frozenset[str]) -> _Part:
    """Return a class without some of its methods."""
    return module.of(
        [
            ast.ClassDef(
                **dict(ast.iter_fields(node))
                | {"body": [part for part in node.body if getattr(part, "name", "") not in methods]}
            )
            if isinstance(node, ast.ClassDef)
            else node
            # A class within an if is not told from the rest of what importing runs.
            for node in module.statements.get(name, module.statements[""])
        ]
    )


def _everything(file: Path) -> Iterator[_Reached]:
    return ((file, name) for name in _module(file).statements)


def _bare(tree: ast.Module) -> ast.Module:
    """Drop docstrings, also those of attributes: texts that are no part of an expression."""
    for node in ast.walk(tree):
        if isinstance(body := getattr(node, "body", None), list):
            body[:] = [part for part in body if not _is_text(part)] or [ast.Pass()]
    return tree


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(getattr(node.value, "value", None), str)


def _defined(statement: ast.stmt) -> list[str]:
    """Return the names that a statement defines and does nothing beside; else an empty one."""
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=[ast.Tuple(elts=targets)] | targets) if all(
            isinstance(node, ast.Name) for node in targets
        ):
            return [node.id for node in targets if isinstance(node, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case ast.Import() | ast.ImportFrom() | ast.Pass():
            return []
        case ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):
            return []
    return [""]


def _imports(tree: ast.Module) -> Iterator[tuple[str, list[str]]]:
    """Yield what each imported name stands for, wherever in the file it is imported."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                for alias in aliases:
                    if alias.asname:
                        yield alias.asname, alias.name.split(".")
                    else:
                        yield alias.name.split(".")[0], alias.name.split(".")[:1]
            case ast.ImportFrom(module=str(module), names=aliases, level=0):
                for alias in aliases:
                    yield alias.asname or alias.name, [*module.split("."), alias.name]


def _dotted(node: ast.AST) -> list[str]:
    """Return the names of ``a.b.c``, nothing of what begins otherwise."""
    match node:
        case ast.Name(id=name) | ast.Constant(value=str(name)):
            return [name]
        case ast.Attribute(value=value, attr=name):
            before = _dotted(value)
            return [*before, name] if before else []
    return []


def _resolve(dotted: list[str], importer: Path) -> Iterator[_Reached]:
    """Find a dotted name in first-party code, and what importing it runs on the way."""
    file = None
    for end in range(1, len(dotted) + 1):
        deeper = _module_file(".".join(dotted[:end]), importer)
        if deeper is None:
            if file is not None:
                yield from _find(file, dotted[end - 1], importer)
            return
        file = deeper
        yield file, ""
    if file is not None:
        yield from _everything(file)


def _find(file: Path, name: str, importer: Path) -> Iterator[_Reached]:
    """Find a name in a module: defined, imported there, or made when it is asked for."""
    module = _module(file)
    if name in module.statements:
        yield file, name
    elif name in module.imports:
        yield from _resolve(module.imports[name], file)
    else:
        yield from _everything(file)


@cache
def _module_file(module: str, importer: Path) -> Path | None:
    first, *rest = module.split(".")
    if first == PACKAGE:
        base = _ROOT.joinpath(*rest)
    elif importer.is_relative_to(_ROOT):
        return None
    else:
        base = importer.parent.joinpath(first, *rest)
    files = (base / "__init__.py", base.with_suffix(".py"))
    return next((path for path in files if path.is_file()), None)


def _label(file: Path) -> str:
    return str(file.relative_to(_ROOT)) if file.is_relative_to(_ROOT) else file.name
