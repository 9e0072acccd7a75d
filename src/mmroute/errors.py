"""What a user can put right: bad input, files that rot, what the system refuses."""

import errno
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DISK_FAULTS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})
"""Errors of a disk that is full, read-only or broken, whatever was to be read or written."""
EXTRAS = {
    "llm": ("requests",),
    "serve": (
        *("fastapi", "h11", "httpx2", "prometheus_client", "starlette", "threadpoolctl", "uvicorn"),
    ),
    "near": ("faiss",),
    "torch": ("open_clip", "torch", "torchvision"),
    "transformers": ("sentence_transformers", "transformers"),
    "run": (
        "altair",
        "huggingface_hub",
        "jinja2",
        "matplotlib",
        "nbconvert",
        "papermill",
        "pyarrow",
        "python_calamine",
        "seaborn",
        "snakemake",
        "vl_convert",
    ),
}
"""Modules that come with an extra of the package, and not without."""
_CREDENTIALS = re.compile(r"(?<=:/)(/?)[^/\s'\"@]*@")
"""Of a URL, also of one that was taken for a path, which has one slash only."""


class InputError(ValueError):
    """Bad input: a file, a column or a config key that cannot be used as it is.

    The message is one line that names the file, the column or key, the
    offending value and the way out. It is shown to the user without a
    traceback.
    """


class Undecided(InputError):
    """Data that can be read in several ways, of which the config has to name one.

    Parameters
    ----------
    message
        What there is to choose from.
    keys
        What to write beside ``kind`` in the config's ``source`` to take one of the ways.

    Attributes
    ----------
    keys
        As given.
    """

    def __init__(self, message: str, keys: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        # Another process makes it of the message alone, and adds these.
        self.keys = dict(keys or {})


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
    path, wrong, way
        As given.
    """

    def __init__(self, path: Path, wrong: str, way: str) -> None:
        super().__init__(f"{path}: {wrong}; {way}")
        self.path = path
        self.wrong = wrong
        self.way = way

    def __reduce__(self) -> tuple[type["DamagedFile"], tuple[Path, str, str]]:
        """Return what another process makes it of again."""
        return DamagedFile, (self.path, self.wrong, self.way)


@contextmanager
def naming_extra(what: str) -> Iterator[None]:
    """Raise InputError where ``what`` needs a module that one of ``EXTRAS`` brings, naming it."""
    try:
        yield
    except ModuleNotFoundError as error:
        module = str(error.name).split(".")[0]
        for extra, modules in EXTRAS.items():
            if module in modules:
                raise InputError(
                    f'{what} needs {module}: pip install "mmroute[{extra}]"'
                ) from error
        raise


def raise_disk_fault(error: BaseException, path: Path) -> None:
    """Raise the fault of a disk, see ``DISK_FAULTS``, if one is behind an error.

    Parameters
    ----------
    error
        What was caught, whatever it makes of its cause.
    path
        What was read or written, to be named where the fault names nothing.

    Raises
    ------
    OSError
        The fault.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in DISK_FAULTS:
            named = cause.filename or str(path)
            raise OSError(cause.errno, os.strerror(cause.errno), named) from error
        cause = cause.__cause__ or cause.__context__


def refusal(error: OSError) -> str | None:
    """Say in one line what the system refuses; None for an error that is no file's or disk's."""
    if error.filename is None and error.errno not in DISK_FAULTS:
        return None
    named = "the disk" if error.filename is None else error.filename
    return f"{named}: {error.strerror}; make it readable and writable, with room left on the disk"


def plain(text: str) -> str:
    """Text from anywhere, so that it cannot steer a terminal and shows no password of a URL."""
    parts = re.split(r"([\n\t])", text)
    shown = "".join(part if part in ("\n", "\t") else printable(part) for part in parts)
    return _CREDENTIALS.sub(r"\1…@", shown)


def one_line(error: Exception) -> str:
    """What an error of another library says, in at most 200 characters of one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def is_utf8(name: str) -> bool:
    """Tell whether the name of a file is UTF-8, as all that data name and tables hold."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
