"""Sources: where outcomes, questions and images come from. One module each."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from mmroute.outcomes import OutcomeTable
from mmroute.storage import digest_listing


class Source(ABC):
    """A place that outcomes are read from.

    A subclass sets ``name``, the config's ``source.kind``; its constructor
    arguments are the other keys of ``source``.
    """

    name: ClassVar[str]
    simulated: ClassVar[bool] = False
    """Whether the outcomes are made up, which is said wherever they show."""

    @abstractmethod
    def local_files(self) -> Iterable[Path]:
        """List the user's own files that are read in place; empty if all is fetched.

        Raises InputError if one that the config names does not exist.
        """

    @abstractmethod
    def fetch(self, folder: Path) -> Path:
        """Bring the data to this machine and return its root folder.

        What is downloaded or generated lands below ``folder``, whole or not at
        all. Data that is local already stays where it is, and its own root is
        returned.
        """

    def origin(self, root: Path) -> Path:
        """Return the file that the outcomes are read from, to name in messages."""
        return root

    @abstractmethod
    def read(self, root: Path) -> OutcomeTable:
        """Read the fetched data; raise InputError for anything that cannot be used.

        A data set without a name, ``""``, is called after the file unless a source
        that this one is joined with names it. What a reader should know of choices that
        were made is said by ``warnings.warn``, and stands in the report.
        """

    def fingerprint(self) -> str:
        """Return a digest that changes when one of ``local_files`` does."""
        return digest_listing(self.local_files())
