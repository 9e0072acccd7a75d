"""Digests of a run's input files, remembered while size, times and place on the disk stay.

A start of the workflow has to know whether the data changed. Their content tells, and reading
it each time would cost too much.
"""

import json
import os
import stat
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from mmroute.storage import digest_bytes, digest_file, digest_sha256, write_json

MOST_CONTENT = 2**30
"""Bytes of files that are told apart by their content: above, by size and time of change."""
_SETTLED_NS = 2 * 10**9
"""A file that changed this short a time ago may change again within a tick of the disk's clock."""
_MISSING = "missing"


class KnownFiles:
    """What is known of files, from earlier runs and from now.

    All that it says is of the files as they are now. Without what an earlier run has kept it
    says the same, and takes longer.

    Parameters
    ----------
    path
        Where it is kept between runs; it may be damaged or gone. None for nowhere.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._kept = _load(path)
        self._digests: dict[str, list[Any]] = {}
        self._names: dict[str, list[str]] = {}

    def fingerprint(self, paths: Iterable[Path]) -> str:
        """Return a digest of files, which may be missing, that changes when one of them does."""
        paths = sorted(set(paths))
        found = {path: status for path in paths if (status := _status(path))}
        if sum(status.st_size for status in found.values()) > MOST_CONTENT:
            states = {
                path: f"{status.st_size} {status.st_mtime_ns}" for path, status in found.items()
            }
        else:
            with ThreadPoolExecutor() as pool:
                digests = pool.map(self._digest, found.keys(), found.values())
                states = dict(zip(found, digests, strict=True))
        entries = (f"{path}\0{states.get(path, _MISSING)}" for path in paths)
        return digest_bytes("\n".join(entries).encode("utf-8", "surrogateescape"))

    def names(
        self, reader: str, paths: Sequence[Path], read: Callable[[], Iterable[str]]
    ) -> list[str]:
        """Return what ``read`` reads from files; it is called only if they have changed.

        Parameters
        ----------
        reader
            Tells this way of reading the files from others.
        paths
            The files.
        read
            Returns what they name.
        """
        found = [status for path in paths if (status := _status(path))]
        key = digest_bytes(repr([reader, *map(str, paths), *map(_identity, found)]).encode())
        names = self._kept["names"].get(key)
        if names is None:
            names = sorted(set(read()))
        if all(map(_is_settled, found)):
            self._names[key] = names
        return names

    def sha256(self, path: Path) -> str | None:
        """Return the hex SHA-256 of a regular file's content; None if there is none."""
        status = _status(path)
        return None if status is None else self._digest(path, status, digest_sha256)

    def keep(self) -> None:
        """Keep what was asked for this time; where that cannot be written, nothing is kept."""
        known = {"digests": self._digests, "names": self._names}
        if self._path and any(known.values()) and known != self._kept:
            with suppress(OSError, UnicodeError):
                write_json(self._path, known)

    def _digest(
        self, path: Path, status: os.stat_result, read: Callable[[Path], str] = digest_file
    ) -> str:
        key = f"{read.__name__} {path}"
        identity, digest = self._kept["digests"].get(key, [None, ""])
        if identity != _identity(status):
            try:
                digest = read(path)
            except OSError:
                # Whoever reads it will say so.
                return "unreadable"
        if _is_settled(status):
            self._digests[key] = [_identity(status), digest]
        return digest


def _status(path: Path) -> os.stat_result | None:
    """Return the status of a regular file, None if there is none."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _identity(status: os.stat_result) -> list[int]:
    """Return what differs after every change: nobody can set back the time of a status."""
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _is_settled(status: os.stat_result) -> bool:
    return time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > _SETTLED_NS


def _load(path: Path | None) -> dict[str, dict[str, Any]]:
    nothing: dict[str, dict[str, Any]] = {"digests": {}, "names": {}}
    try:
        kept = json.loads(path.read_bytes()) if path else nothing
        whole = (
            kept.keys() == nothing.keys()
            and all(
                isinstance(identity, list) and isinstance(digest, str)
                for identity, digest in kept["digests"].values()
            )
            and all(isinstance(name, str) for names in kept["names"].values() for name in names)
        )
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return nothing
    return kept if whole else nothing
