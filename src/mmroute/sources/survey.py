"""What lies at a path, looked at cheaply, for a source to recognise its layout there."""

import os
import re
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from mmroute.confined import reading
from mmroute.errors import InputError, Undecided, is_utf8, printable
from mmroute.sources.cells import column_names, head, is_table, suffix
from mmroute.storage import is_file

MOST_ENTRIES = 100_000
"""Files and folders that are listed, those nearest first."""
TRIED_FILES = 20
"""Files of a kind that are looked into."""
HEAD_BYTES = 2**18
"""Of a file of JSON, its keys are taken from so much of it."""
DEEPEST_KEYS = 3
DEEPEST = 20
_TOKEN = re.compile(rb'"((?:[^"\\]|\\.)*+)"?(\s*+:)?|[\[\]{}]', re.DOTALL)


class Recognised(NamedTuple):
    """A layout that a source recognises.

    Attributes
    ----------
    keys
        What stands beside ``kind`` in the config's ``source``.
    guesses
        What was taken for what, where the layout leaves a choice, each with the key it is about.
    """

    keys: dict[str, Any]
    guesses: tuple[tuple[str, str], ...] = ()


class Survey:
    """A file, or what lies below a folder; linked folders are followed once.

    Parameters
    ----------
    path
        The file or folder.

    Attributes
    ----------
    path
        As given.
    root
        The folder, or that of the file.
    names
        The regular files, as POSIX paths below ``root``, those in fewer folders first; the one
        file alone. Names that are no UTF-8 are left out.
    whole
        Whether these are all.

    Raises
    ------
    InputError
        If there is neither, or its name is no UTF-8.
    """

    def __init__(self, path: Path) -> None:
        if not is_utf8(str(path)):
            raise InputError(
                f"{printable(str(path))}: the name is not UTF-8, as all in a config is; rename it"
            )
        self.path = path
        self.whole = True
        if is_file(path):
            self.root, self.names = path.parent, [path.name]
        elif path.is_dir():
            self.root = path
            self.names = list(self._listed())
        else:
            raise InputError(f"{path}: no such file or folder; name a config or logs")
        self._keys: dict[str, frozenset[str]] = {}
        self._columns: dict[str, list[str]] = {}

    def within(self, folder: str) -> "Survey":
        """Return what lies below a folder of this one, without another look."""
        inner = object.__new__(Survey)
        inner.path = inner.root = self.root / folder
        inner.names = [
            name.removeprefix(f"{folder}/") for name in self.names if name.startswith(f"{folder}/")
        ]
        inner.whole, inner._keys, inner._columns = self.whole, {}, {}
        return inner

    def keys(self, name: str) -> frozenset[str]:
        """Return the keys of JSON, or of its lines, at the head of a file; ``outer.inner``.

        Those of objects in a list are those of the list. Empty for what is no JSON, and in a
        folder for what cannot be read.
        """
        if name not in self._keys:
            path, first = self.root / name, b""
            try:
                with reading(path), path.open("rb") as stream:
                    first = stream.read(HEAD_BYTES)
            except OSError:
                if self.path == path:
                    raise
            self._keys[name] = _keys(first)
        return self._keys[name]

    def columns(self, name: str) -> list[str]:
        """Return a table's columns; empty for what is no table."""
        if name not in self._columns:
            path = self.root / name
            self._columns[name] = []
            if is_table(path):
                with suppress(InputError):
                    self._columns[name] = self._names(path)
        return self._columns[name]

    def some(self, *suffixes: str) -> list[str]:
        """Return the first files with one of these suffixes: so many as may be looked into."""
        return [name for name in self.names if name.endswith(suffixes)][:TRIED_FILES]

    def tables(self) -> list[str]:
        """Return the first tables, in as many files as may be looked into."""
        return [name for name in self.names if is_table(Path(name))][:TRIED_FILES]

    def _names(self, path: Path) -> list[str]:
        if suffix(path) in (".json", ".jsonl"):
            first = head(path, HEAD_BYTES)
            marked = {b"{": ".jsonl", b"[": ".json"}.get(first.lstrip()[:1])
            own = marked == suffix(path)
            return sorted(key for key in _keys(first) if "." not in key) if own else []
        try:
            return column_names(path)
        except Undecided as undecided:
            return column_names(path, undecided.keys["encoding"])

    def _listed(self) -> Iterator[str]:
        pending, seen, count = deque([""]), set(), 0
        while pending:
            below = pending.popleft()
            real = os.path.realpath(self.root / below)
            if real in seen:
                continue
            seen.add(real)
            try:
                with os.scandir(self.root / below) as entries:
                    found = []
                    for entry in entries:
                        count += 1
                        if count > MOST_ENTRIES:
                            self.whole = False
                            break
                        found.append(entry)
            except OSError:
                # What may not be read is no one's layout; the root's own fault is said.
                if not below:
                    raise
                continue
            for entry in sorted(found, key=lambda one: one.name):
                name = f"{below}{entry.name}"
                if not is_utf8(name):
                    continue
                if _is(entry.is_dir):
                    if len(PurePosixPath(name).parts) < DEEPEST:
                        pending.append(f"{name}/")
                elif _is(entry.is_file):
                    yield name
            if not self.whole:
                return


def _is(kind: Any) -> bool:
    try:
        return bool(kind())
    except OSError:
        return False


def _keys(head: bytes) -> frozenset[str]:
    found: set[str] = set()
    outer: list[str] = []
    key = ""
    for token in _TOKEN.finditer(head):
        if token[2] is not None:
            key = token[1].decode("utf-8", "replace")
            own = [*filter(None, outer), key] if len(outer) < DEEPEST else []
            if own and len(own) <= DEEPEST_KEYS:
                found.add(".".join(own))
        elif token[0] in (b"{", b"["):
            outer.append(key)
            key = ""
        elif token[1] is None:
            if outer:
                outer.pop()
            key = ""
    return frozenset(found)
