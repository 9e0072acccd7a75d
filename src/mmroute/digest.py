"""Digests of the code that a script reaches, so that a rule re-runs when its code changes.

Snakemake sees a rule's script but not the package behind it. The modules that a
script reaches are found by following its imports through ``mmroute``, wherever
in a file they stand; their sources make the digest. A class that is chosen by
name in the config is no import: its module is added by the rule.
"""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = "mmroute"
_ROOT = Path(__file__).parent


def code_digest(*entries: Path | str) -> str:
    """Return a digest of scripts and modules and of every first-party module they reach.

    Parameters
    ----------
    entries
        Paths of scripts, and names of modules such as ``mmroute.routers.knn``.
    """
    reached: set[Path] = set()
    pending = [entry if isinstance(entry, Path) else _module_file(entry) for entry in entries]
    while pending:
        path = pending.pop()
        if path is not None and path not in reached:
            reached.add(path)
            pending.extend(map(_module_file, _imports(path)))
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(reached):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _module_file(module: str) -> Path | None:
    base = _ROOT.joinpath(*module.split(".")[1:])
    for path in (base / "__init__.py", base.with_suffix(".py")):
        if path.exists():
            return path
    return None


@cache
def _imports(path: Path) -> tuple[str, ...]:
    return tuple(_first_party(ast.parse(path.read_text(encoding="utf-8"), str(path))))


def _first_party(tree: ast.Module) -> Iterator[str]:
    """Yield the first-party modules a module imports, and the packages they lie in."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                imported = [name.name for name in names]
            case ast.ImportFrom(module=str(module), names=names, level=0):
                imported = [module, *(f"{module}.{name.name}" for name in names)]
            case _:
                continue
        for module in imported:
            parts = module.split(".")
            if parts[0] == PACKAGE:
                yield from (".".join(parts[: end + 1]) for end in range(len(parts)))
