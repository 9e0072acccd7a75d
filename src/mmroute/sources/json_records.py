"""Objects of JSON that others wrote: read with their place, their values as numbers or text."""

import json
import math
import reprlib
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import shorten
from typing import Any

from mmroute.confined import reading
from mmroute.errors import InputError
from mmroute.sources.release import clean


def records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the object of each line, and how messages name the line."""
    with reading(path), path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                where = f"{path}: line {number}"
                yield where, _object(line, where)


def read_object(path: Path) -> dict[str, Any]:
    """Read a file that is one object; raise InputError for any other."""
    with reading(path):
        return _object(path.read_bytes(), str(path))


def _object(content: bytes, where: str) -> dict[str, Any]:
    try:
        record = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{where} is not readable as JSON ({shorten(str(error), 200)}); give a whole file"
        ) from error
    if not isinstance(record, dict):
        raise InputError(f"{where} holds a {type(record).__name__}, not an object; correct it")
    return record


def number(value: Any, key: str, where: str, highest: float = math.inf) -> float:
    """Return what a key holds as a number from 0 to ``highest``, NaN for null.

    Raises InputError for anything else; true and false are 1 and 0.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return math.nan
    if isinstance(value, bool | int | float) and 0 <= value <= min(highest, sys.float_info.max):
        return float(value)
    wanted = "of at least 0" if highest == math.inf else f"from 0 to {highest:g}"
    raise InputError(
        f"{where}: key {key!r} holds {reprlib.repr(value)}, which is no finite number {wanted}; "
        "correct it or make it null"
    )


def text(value: Any) -> str:
    """Return a value as text: empty for null, JSON for lists and objects."""
    if value is None:
        return ""
    return clean(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
