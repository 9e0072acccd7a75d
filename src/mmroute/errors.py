"""Exceptions for what a user can put right and for files that rot, and how names show in them."""

import re
from pathlib import Path

_CREDENTIALS = re.compile(r"(?<=://)[^/\s'\"@]*@")


class InputError(ValueError):
    """Bad input: a file, a column or a config key that cannot be used as it is.

    The message is one line that names the file, the column or key, the
    offending value and the way out. It is shown to the user without a
    traceback.
    """


def printable(text: str) -> str:
    """Return text with each character spelled out that cannot be printed, or written as UTF-8."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class DamagedFile(InputError):
    """A file that the workflow stored is gone, no longer whole, or another one.

    Parameters
    ----------
    path
        The file.
    wrong
        What is wrong with it.
    way
        How to get it back.

    Attributes
    ----------
    path, wrong
        As given.
    """

    def __init__(self, path: Path, wrong: str, way: str) -> None:
        super().__init__(f"{path}: {wrong}; {way}")
        self.path = path
        self.wrong = wrong


def plain(text: str) -> str:
    """Text from anywhere, so that it cannot steer a terminal and shows no password of a URL."""
    printable = "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)
    return _CREDENTIALS.sub("…@", printable)
