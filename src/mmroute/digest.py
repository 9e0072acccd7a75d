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


def code_digest(
    *entries: Code,
    partly: Collection[tuple[Path, str]] = (),
    without: Collection[str] = (),
) -> str:
    """A digest of some code and of all first-party code that it reaches.

    Parameters
    ----------
    entries
        Where to start. Beside the package, modules that lie beside an entry, or where the program
        was started, are followed.
    partly
        Classes to start from, too, that the job calls some methods of only.
    without
        Methods of those classes that the job does not call, nor others of their methods do.
    """
    texts: dict[_Reached, str] = {}
    pending: list[_Reached] = []
    dropped = _uncalled(partly, set(without))
    for file, name in partly:
        kept = _module(file).of(_kept(_module(file).statements[name], dropped))
        texts[file, name] = kept.text
        pending += [(file, ""), *kept.names]
    for entry in entries:
        match entry:
            case (file, name):
                pending.append((file, name))
            case Path():
                pending += _everything(entry)
            case _:
                pending += _resolve(entry.split("."))
    while pending:
        file, name = reached = pending.pop()
        if reached not in texts:
            part = _module(file).part(name)
            texts[reached] = part.text
            pending += [*part.names, (file, "")]
    digest = hashlib.blake2b(digest_size=16)
    # Other folders may have files of the same name.
    parts = (f"{_label(file)}\0{name}\0{text}\0" for (file, name), text in texts.items())
    digest.update("".join(sorted(parts)).encode())
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
        self.imports: dict[str, list[list[str]]] = {}
        for name, dotted in _imports(tree):
            self.imports.setdefault(name, []).append(dotted)
        self._beside = frozenset() if path.is_relative_to(_ROOT) else frozenset(_beside(tree, path))
        self.statements: dict[str, list[ast.stmt]] = {"": []}
        for statement in tree.body:
            for name in _defined(statement):
                self.statements.setdefault(name, []).append(statement)

    def part(self, name: str) -> _Part:
        """Return what defines a name; of none, what importing the module runs."""
        if name not in self._parts:
            self._parts[name] = self.of(self.statements[name], () if name else self._beside)
        return self._parts[name]

    def of(self, statements: list[ast.stmt], beside: Collection[Path] = ()) -> _Part:
        """What some of its statements say and name, and all of some other modules."""
        text = "\n".join(map(ast.unparse, statements))
        names = {reached for node in statements for reached in self._names(node)}
        return _Part(text, frozenset(names.union(*map(_everything, beside))))

    def _names(self, node: ast.AST) -> Iterator[_Reached]:
        match node:
            # A text may be an annotation.
            case ast.Name() | ast.Attribute() | ast.Constant(value=str()):
                dotted = _dotted(node)
                if dotted and dotted[0] in self.statements:
                    yield self._path, dotted[0]
                if dotted and dotted[0] in self.imports:
                    for imported in self.imports[dotted[0]]:
                        yield from _resolve([*imported, *dotted[1:]])
                elif not dotted:
                    for child in ast.iter_child_nodes(node):
                        yield from self._names(child)
            case _:
                for child in ast.iter_child_nodes(node):
                    yield from self._names(child)


@cache
def _module(path: Path) -> _Module:
    return _Module(path)


def _uncalled(classes: Collection[tuple[Path, str]], methods: set[str]) -> set[str]:
    """Of some methods those that no other method of the classes names."""
    statements = [node for file, name in classes for node in _module(file).statements[name]]
    named = {
        node.attr
        for statement in _kept(statements, methods)
        for node in ast.walk(statement)
        if isinstance(node, ast.Attribute)
    }
    return _uncalled(classes, methods - named) if named & methods else methods


def _kept(statements: list[ast.stmt], dropped: Collection[str]) -> list[ast.stmt]:
    """Statements, their classes without some methods."""
    kept: list[ast.stmt] = []
    for node in statements:
        if isinstance(node, ast.ClassDef):
            body = [part for part in node.body if getattr(part, "name", "") not in dropped]
            node = ast.ClassDef(**dict(ast.iter_fields(node)) | {"body": body or [ast.Pass()]})
        kept.append(node)
    return kept


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


def _beside(tree: ast.Module, importer: Path) -> Iterator[Path]:
    """The modules that a user's module may import, wherever they lie; all of them counts."""
    here = Path.cwd()
    roots = {importer.parent, here, *(up for up in importer.parents if up.is_relative_to(here))}
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                for alias in aliases:
                    for root in roots:
                        yield from _files(root, alias.name.split("."))
            case ast.ImportFrom(module=origin, names=aliases, level=level):
                for alias in aliases:
                    parts = [*(origin.split(".") if origin else []), alias.name]
                    for root in [importer.parents[level - 1]] if level else roots:
                        yield from _files(root, parts)


def _files(root: Path, parts: list[str]) -> Iterator[Path]:
    """The modules on the way from a folder to a dotted name below it."""
    for end in range(1, len(parts) + 1):
        base = root.joinpath(*parts[:end])
        yield from (
            path for path in (base / "__init__.py", base.with_suffix(".py")) if path.is_file()
        )


def _resolve(dotted: list[str]) -> Iterator[_Reached]:
    """Find a dotted name in the package, and what importing it runs on the way."""
    if dotted[0] != PACKAGE:
        return
    files = list(_files(_ROOT.parent, [_ROOT.name, *dotted[1:]]))
    for file in files:
        yield file, ""
    rest = dotted[len(files) :]
    yield from _find(files[-1], rest[0]) if rest else _everything(files[-1])


def _find(file: Path, name: str) -> Iterator[_Reached]:
    """Find a name in a module: defined, imported there, or made when it is asked for."""
    module = _module(file)
    if name in module.statements:
        yield file, name
    elif name in module.imports:
        for imported in module.imports[name]:
            yield from _resolve(imported)
    else:
        yield from _everything(file)


def _label(file: Path) -> str:
    return str(file.relative_to(_ROOT)) if file.is_relative_to(_ROOT) else file.name
