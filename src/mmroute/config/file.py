"""Configuration files: YAML, read strictly, before anything takes them for a config."""

from pathlib import Path
from typing import Any

import yaml

from mmroute.errors import InputError
from mmroute.storage import is_file

LARGEST = 2**20
"""Bytes; one that lists every model of a large pool takes a hundredth."""
DEEPEST = 50
MOST_VALUES = 100_000
"""Of a file whose aliases are written out; one of a few lines may stand for more than memory."""


def read(path: Path) -> dict[str, Any]:
    """Read a config's mapping.

    Raises
    ------
    InputError
        If the file is no YAML, holds no mapping, names a key twice, or nests deeper or
        holds more than any config does.
    """
    try:
        if not is_file(path):
            raise InputError(f"{path}: no such file; name a config")
        if path.stat().st_size > LARGEST:
            raise InputError(f"{path}: more than {LARGEST:,} bytes, which no config has")
        text = path.read_text(encoding="utf-8")
        _Nesting(path).follow(text)
        content = yaml.safe_load(text)
    except InputError:
        raise
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not readable as YAML ({reason}); give a config") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no mapping; a config has at least name and source")
    return content


class _Level:
    """A mapping or a list that the parser is in."""

    def __init__(self, event: yaml.CollectionStartEvent) -> None:
        self.anchor = event.anchor
        self.is_mapping = isinstance(event, yaml.MappingStartEvent)
        self.values = 1
        self.key: str | None = None
        self.lines: dict[str, int] = {}


class _Nesting:
    """Follows the parser's events, which take no memory, through the levels of a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.levels: list[_Level] = []
        self.anchored: dict[str | None, int] = {}

    def follow(self, text: str) -> None:
        for event in yaml.parse(text, yaml.SafeLoader):
            match event:
                case yaml.CollectionStartEvent():
                    self.levels.append(_Level(event))
                    if len(self.levels) > DEEPEST:
                        raise self._refusal(event, f"nests deeper than {DEEPEST} levels")
                case yaml.CollectionEndEvent():
                    level = self.levels.pop()
                    self._add(event, level.values, level.anchor, None)
                case yaml.ScalarEvent():
                    self._add(event, 1, event.anchor, event.value)
                case yaml.AliasEvent():
                    # Inside of what it stands for it would have no end.
                    is_endless = any(level.anchor == event.anchor for level in self.levels)
                    values = MOST_VALUES if is_endless else self.anchored.get(event.anchor, 1)
                    self._add(event, values, None, None)

    def _add(self, event: yaml.Event, values: int, anchor: str | None, text: str | None) -> None:
        """Count a value that is whole, and take it for a key where the mapping wants one."""
        if anchor:
            self.anchored[anchor] = values
        if not self.levels:
            return
        level = self.levels[-1]
        level.values += values
        if level.values > MOST_VALUES:
            raise self._refusal(event, f"holds more than {MOST_VALUES:,} values")
        if not level.is_mapping:
            return
        if level.key is not None:
            level.key = None
            return
        level.key = text or ""
        line = _line(event)
        if text in level.lines:
            keys = ".".join(above.key for above in self.levels if above.key)
            raise InputError(
                f"{self.path}: line {line}: config key {keys!r:.200} stands in line "
                f"{level.lines[text]} already; keep one of the two"
            )
        if text is not None:
            level.lines[text] = line

    def _refusal(self, event: yaml.Event, what: str) -> InputError:
        return InputError(
            f"{self.path}: line {_line(event)}: {what}; no config does, give one that is less"
        )


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0
