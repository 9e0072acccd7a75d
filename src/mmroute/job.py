"""How a script of the workflow ends: well, or with one line that says what to put right."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmroute.errors import InputError

logger = logging.getLogger("mmroute")


class _Plain(logging.Formatter):
    """Writes text from data so that it cannot steer a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message with what is not printable spelled out."""
        text = super().format(record)
        return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)


def _log_to(*handlers: logging.Handler) -> None:
    for handler in handlers:
        handler.setFormatter(_Plain())
    logging.basicConfig(level=logging.WARNING, handlers=handlers, force=True)
    logging.captureWarnings(True)
    logger.setLevel(logging.INFO)


@contextmanager
def job(log: str) -> Iterator[None]:
    """Send the package's messages to ``log`` and to stderr, and report bad input in one line.

    An InputError, or a file that the system refuses, ends the process with exit
    code 1 and no traceback. Anything else is a defect of the program and keeps
    its traceback.
    """
    # A log that a full disk has no room for is no reason for a traceback.
    logging.raiseExceptions = False
    _log_to(logging.StreamHandler())
    try:
        Path(log).parent.mkdir(parents=True, exist_ok=True)
        _log_to(logging.StreamHandler(), logging.FileHandler(log, mode="w", encoding="utf-8"))
        yield
    except InputError as error:
        logger.error("error: %s", " ".join(str(error).split()))
        sys.exit(1)
    except OSError as error:
        if error.filename is None:
            raise
        logger.error(
            "error: %s: %s; make it readable and writable, with room left on the disk",
            error.filename,
            error.strerror,
        )
        sys.exit(1)
