"""A release: the files of one benchmark, in a folder or in a data set on the hub."""

import re
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pandas as pd
from annotated_types import Ge, Gt

from mmroute.errors import InputError, is_utf8
from mmroute.hub import check_place, download
from mmroute.sources import Source
from mmroute.sources.survey import Recognised, Survey
from mmroute.storage import is_file


class Release(Source):
    """A source of a few files, chosen by their names.

    Parameters
    ----------
    path
        The folder, or one file of it that alone is read.
    repo
        A data set on the hub, ``owner/name``, instead of ``path``.
    revision
        The commit, tag or branch of ``repo``.

    Raises
    ------
    InputError
        Unless there is either ``path``, or ``repo`` and ``revision``.
    """

    def __init__(self, path: str | None, repo: str | None, revision: str | None) -> None:
        check_place(path, repo, revision)
        self.path = None if path is None else Path(path)
        self.repo, self.revision = repo or "", revision or ""

    @classmethod
    def recognise(cls, there: Survey) -> Recognised | None:
        """Recognise the files by their names, and the first one by what it holds."""
        chosen = cls(str(there.root), None, None).choose(there.names)
        own = bool(chosen) and cls.is_own(there, chosen[0])
        return Recognised({"path": str(there.path)}) if own else None

    @classmethod
    def is_own(cls, there: Survey, name: str) -> bool:
        """Tell whether the first of the files that were chosen is of this layout."""
        return True

    @property
    @abstractmethod
    def wanted(self) -> str:
        """What the files are called, for messages."""

    @abstractmethod
    def choose(self, paths: Sequence[str]) -> list[str]:
        """Pick the files to read, in the order of reading; empty if there is none.

        Parameters
        ----------
        paths
            POSIX paths below the release's root.
        """

    def local_files(self) -> list[Path]:
        """List the files that are read; none for a hub."""
        return [] if self.path is None else self.files(self._root(self.path))

    def fetch(self, folder: Path) -> Path:
        """Download the files, or point at the local ones."""
        if self.path is None:
            download(self.repo, self.revision, folder, self._choose_remote)
            return folder
        root = self._root(self.path)
        self.files(root)
        return root

    def origin(self, root: Path) -> Path:
        """Return the file if there is one alone, else the root."""
        files = self.files(root)
        return files[0] if len(files) == 1 else root

    def files(self, root: Path) -> list[Path]:
        """List the files to read below ``root``; raise InputError if there is none."""
        if self.path is not None and self.path.is_file():
            return [root / self.path.name]
        below = sorted(filter(is_file, root.rglob("*")))
        names = (path.relative_to(root).as_posix() for path in below)
        chosen = self.choose(list(filter(is_utf8, names)))
        if not chosen:
            raise InputError(
                f"{root}: no {self.wanted} in this folder; set source.path to a folder with the "
                "release's layout, or to a file of it"
            )
        return [root / path for path in chosen]

    @staticmethod
    def _root(path: Path) -> Path:
        return path.parent if path.is_file() else path

    def _choose_remote(self, paths: Sequence[str]) -> list[str]:
        chosen = self.choose(paths)
        if not chosen:
            raise InputError(
                f"source.repo: {self.repo!r} at revision {self.revision!r} has no {self.wanted}; "
                "name a data set with the release's layout"
            )
        return chosen


class ArchivedRelease(Source):
    """A release that may come as an archive.

    Parameters
    ----------
    repo
        A data set on the hub, ``owner/name``, instead of ``path``.
    revision
        The commit, tag or branch of ``repo``.
    max_members, max_gigabytes
        What the archive may hold: members, and GB once unpacked.
    group
        The column of what samples that are variants of each other have in common.

    Raises
    ------
    InputError
        Unless there is either ``path``, or ``repo`` and ``revision``.
    """

    def __init__(
        self,
        path: str | None = None,
        repo: str | None = None,
        revision: str | None = None,
        max_members: Annotated[int, Ge(1)] = 1_000_000,
        max_gigabytes: Annotated[float, Gt(0)] = 200,
        group: str = "group",
    ) -> None:
        check_place(path, repo, revision)
        self.path = path
        self.repo, self.revision = repo or "", revision or ""
        self.max_members = max_members
        self.max_gigabytes = max_gigabytes
        self.group = group


def scenarios(dataset: pd.Series, separators: str) -> pd.Series:
    """Group data sets by how their names begin.

    Parameters
    ----------
    dataset
        (N,) each sample's data set.
    separators
        Characters that end the beginning of a name, as ``-`` does in ``mmlu-law``.

    Returns
    -------
    pandas.Series
        (N,) the beginning if another data set's name begins alike, else the data set.
    """
    names = pd.Series(dataset.unique())
    begins = names.map(lambda name: re.split(f"[{re.escape(separators)}]", name, maxsplit=1)[0])
    shared = begins.where(begins.duplicated(keep=False), names)
    return dataset.map(dict(zip(names, shared, strict=True)))


def clean(text: str) -> str:
    """Replace halves of surrogate pairs, which JSON and pickles can hold but no table can."""
    return text.encode("utf-8", "replace").decode("utf-8")
