"""A remark, and how it is worded: counts, examples, lines of a config to paste."""

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from mmroute.errors import InputError

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")
NAMED = 5
"""Samples that a remark names; it counts the others."""
PLAIN = r"([A-Za-z_/]|\.\.?/)[A-Za-z0-9_./+-]*"
"""What YAML takes for a string without quotes, but for ``YAML_WORDS``."""
YAML_WORDS = frozenset(
    {"y", "n", "yes", "no", "on", "off", "true", "false", "null", ".inf", ".nan"}
)


@dataclass(frozen=True)
class Remark:
    """Something that a reader should know before a run.

    Attributes
    ----------
    level
        ``error``: a run would stop. ``warning``: it would go on, with data or settings
        that are likely wrong. ``note``: good to know.
    message
        What was found.
    cure
        The lines of the config to change, or what to do with a file; empty where
        nothing is to be done. ``...`` in a line is what stands there already.
    """

    level: Level
    message: str
    cure: str = ""

    @classmethod
    def of(cls, error: Exception, line: str = "") -> "Remark":
        """Part an error's message from its way out, and add the line that takes it."""
        message, _, way_out = str(error).rpartition("; ")
        if not message:
            message, way_out = way_out, ""
        return cls("error", message, "\n".join(filter(None, (way_out, line))))


@contextmanager
def stopping(found: list[Remark], line: str = "") -> Iterator[None]:
    """Take down what would end a run, and go on behind the block."""
    try:
        yield
    except (InputError, OSError) as error:
        found.append(Remark.of(error, line))


def some(items: Iterable[str], count: int = NAMED) -> str:
    """List the first items and count the others."""
    items = list(items)
    more = f" and {len(items) - count:,} more" if len(items) > count else ""
    return ", ".join(items[:count]) + more


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, in the plural where it takes one."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def close(name: str, names: Iterable[str]) -> list[str]:
    """Return the names that are spelled like one, but for its case."""
    by_case = {one.casefold(): one for one in names}
    return [by_case[one] for one in difflib.get_close_matches(name.casefold(), by_case)]


def with_close(name: str, names: Iterable[str]) -> str:
    """Return a name that is unknown, with the known ones that may be meant."""
    alike = close(name, names)
    return f"{name} (there is {' or '.join(alike)})" if alike else name


def flow(value: Any) -> str:
    """Write YAML in one line."""
    match value:
        case str() if re.fullmatch(PLAIN, value) and value.lower() not in YAML_WORDS:
            return value
        case Mapping():
            return "{" + ", ".join(f"{flow(key)}: {flow(own)}" for key, own in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(flow, value)) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)


def pool_line(names: list[str]) -> str:
    """Return the line of a config that chooses these models; empty for none."""
    return f"pool: {flow(names)}" if names else ""
