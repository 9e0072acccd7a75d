"""Sources: where outcomes, questions and images come from. One module each."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from mmroute.digest import code_digest
from mmroute.known_files import KnownFiles
from mmroute.outcome_table import OutcomeTable

if TYPE_CHECKING:
    from mmroute.sources.survey import Recognised, Survey


class Source(ABC):
    """A place that outcomes are read from.

    A subclass sets ``name``, the config's ``source.kind``; its constructor
    arguments are the other keys of ``source``.
    """

    name: ClassVar[str]
    simulated: ClassVar[bool] = False
    """Whether the outcomes are made up, which is said wherever they show."""
    general: ClassVar[bool] = False
    """Whether what is in its layout may be in another one too, which then counts."""

    @classmethod
    def recognise(cls, there: "Survey") -> "Recognised | None":
        """Return how to read what lies at a path, by names and heads of files; None if it cannot.

        It is as cheap as to list a folder, and raises nothing for what is in no layout.
        """
        return None

    @property
    def wanted(self) -> str:
        """What its files are called, for messages."""
        return ""

    @abstractmethod
    def local_files(self) -> Iterable[Path]:
        """List the user's own files that the outcomes are read from; empty if all is fetched.

        Raises InputError if one that the config names does not exist.
        """

    def image_names(self) -> Iterable[str]:
        """Read from ``local_files`` what they call the user's own images that are read too."""
        return ()

    def image_files(self, names: Sequence[str]) -> list[Path]:
        """List the files that ``image_names`` may mean; some may not be there.

        Of tables that are fetched all names are possible.
        """
        return []

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

    def fingerprint(self, known: KnownFiles | None = None) -> str:
        """Return a digest that changes with what is read, and not with what lies beside it.

        Parameters
        ----------
        known
            What earlier runs know of the files, for speed alone.

        Raises
        ------
        InputError
            As ``local_files``, or if a file cannot be read for what it names.
        """
        known = known or KnownFiles()
        files, names = list(self.local_files()), []
        if files:
            code = code_digest((Path(inspect.getfile(type(self))), type(self).__name__))
            names = known.names(f"{code} {vars(self)}", files, self.image_names)
        read = [*files, *self.image_files(names)]
        return known.fingerprint(read) if read else ""
