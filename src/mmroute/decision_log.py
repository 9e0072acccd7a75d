"""A decision log: what a router decided, and what came of it, one JSON object a line.

A line with ``time`` is a decision, see ``Decision``; one without is an outcome, see ``Outcome``,
which comes later, into the same log or another file, and is joined by ``id``. A log holds no text
and no image unless its writer is asked to.

A line is written at once or not at all, so that a kill loses at most the last one. A log that
grows too large goes on anew: ``log.jsonl`` becomes ``log-0001.jsonl``, then ``log-0002.jsonl``.
"""

import errno
import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

import numpy as np
from pydantic import AwareDatetime, Field, StrictBool, ValidationError, model_validator

from mmroute.config import Strict, describe
from mmroute.confined import reading
from mmroute.errors import InputError, is_utf8

LARGEST = 100 * 2**20
"""Bytes at which a log goes on in a new file."""
_ROTATED = "{stem}-{number:04d}{suffix}"

Text = Annotated[str, Field(min_length=1)]
Number = Annotated[float, Field(strict=True)]
Predicted = Annotated[Number, Field(ge=-1e6, le=1e6)]
Usd = Annotated[Number, Field(ge=0, le=1e6)]
Seconds = Annotated[Number, Field(ge=0, le=1e9)]
_Line = TypeVar("_Line", bound=Strict)


class Decision(Strict):
    """What was decided for one query."""

    id: Text
    """Of the query; no other decision has it."""
    time: AwareDatetime
    """When, with its zone; it is written in UTC."""
    model: Text
    """Which was called."""
    router: str = ""
    """Digest of the router's folder, see ``card.folder_digest``; empty: there was no router."""
    row: str = ""
    """The router's row of the main table."""
    candidates: tuple[Text, ...] = ()
    """The models that could be called; none: all of the router's."""
    utility: dict[str, Predicted] = Field(default_factory=dict)
    """By model, what the router predicted."""
    cost_usd: dict[str, Predicted] = Field(default_factory=dict)
    """By model, what the router predicted a call to cost."""
    foreseen_usd: Usd | None = None
    """What the call was foreseen to cost."""
    paid_usd: Usd | None = None
    """What it has cost, where that is known by then."""
    latency_s: Seconds | None = None
    """Seconds that the call took."""
    propensity: Annotated[Number, Field(gt=0, le=1)] | None = None
    """Probability of calling this model for this query: 1 where nothing was random."""
    budget: Number | None = None
    """USD per 1,000 queries that were asked to be kept."""
    trade_off: Number | None = None
    """Lambda that was asked for."""
    threshold: Number | None = None
    """The policy's parameter that was used."""
    dataset: str = ""
    """What the query belongs to."""
    group: str = ""
    """What it shares with others of its data set, such as a conversation; empty: nothing."""
    text: str | None = None
    """The question, if texts are logged."""
    image_digest: str | None = None
    """Of its images, likewise."""

    @model_validator(mode="after")
    def _is_a_candidate(self) -> Self:
        if self.candidates and self.model not in self.candidates:
            raise ValueError(f"model: {self.model!r:.80} is not among the candidates")
        return self


class Outcome(Strict):
    """What came of a call."""

    id: Text
    """Of the query."""
    model: Text | None = None
    """Whose answer it is of; None: the one that was called."""
    utility: Annotated[Number, Field(ge=0, le=1)] | None = None
    correct: StrictBool | None = None
    """In place of ``utility``."""
    cost_usd: Usd | None = None
    """What was paid."""
    latency_s: Seconds | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.utility is not None and self.correct is not None:
            raise ValueError("utility, correct: got both; give one of them")
        if all(own is None for own in (self.utility, self.correct, self.cost_usd, self.latency_s)):
            raise ValueError(
                "utility: missing, and so are correct, cost_usd and latency_s; give one, or time "
                "if it is a decision"
            )
        return self

    @property
    def amounts(self) -> dict[str, float]:
        """What is known of the call."""
        utility = self.utility if self.correct is None else float(self.correct)
        told = {"utility": utility, "cost_usd": self.cost_usd, "latency_s": self.latency_s}
        return {name: own for name, own in told.items() if own is not None}


class DecisionLog:
    """Appends to a log; several threads and processes may write to one.

    Parameters
    ----------
    path
        The log; it need not exist.
    with_texts
        Whether texts and the digests of images are kept.
    largest
        Bytes at which the log goes on in a new file.
    """

    def __init__(self, path: Path, with_texts: bool = False, largest: int = LARGEST) -> None:
        self.path = path
        self.with_texts = with_texts
        self._largest = largest

    def write(self, entry: Decision | Outcome) -> None:
        """Append one line.

        Raises
        ------
        OSError
            If the system refuses it, a full disk for instance, naming the file; the log is then
            as before.
        """
        hidden = set() if self.with_texts else {"text", "image_digest"}
        content = entry.model_dump(mode="json", exclude_unset=True, exclude=hidden)
        if isinstance(entry, Decision):
            content["time"] = entry.time.astimezone(UTC).isoformat()
        self._append(json.dumps(content, allow_nan=False).encode() + b"\n")

    def _append(self, line: bytes) -> None:
        while True:
            # For itself alone: a log may hold what its users asked.
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                if not self._is_current(handle):
                    continue
                size = _mend(handle)
                if size and size + len(line) > self._largest:
                    self.path.replace(self._next_name())
                    continue
                if os.write(handle, line) < len(line):
                    os.ftruncate(handle, size)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return
            except OSError as error:
                if error.filename is None and error.errno is not None:
                    raise OSError(error.errno, os.strerror(error.errno), str(self.path)) from error
                raise
            finally:
                os.close(handle)

    def _is_current(self, handle: int) -> bool:
        """Whether no other writer has given the file another name meanwhile."""
        try:
            return os.path.samestat(os.fstat(handle), self.path.stat())
        except FileNotFoundError:
            return False

    def _next_name(self) -> Path:
        last = max(_numbers(self.path), default=0)
        return self.path.with_name(
            _ROTATED.format(stem=self.path.stem, number=last + 1, suffix=self.path.suffix)
        )


def _mend(handle: int) -> int:
    """End a last line, or cut it off where a kill has left it half written; return the size."""
    size = end = os.fstat(handle).st_size
    while end and os.pread(handle, 1, end - 1) != b"\n":
        begin = max(end - 4096, 0)
        end = begin + os.pread(handle, end - begin, begin).rfind(b"\n") + 1
    if end == size:
        return size
    last = os.pread(handle, size - end, end)
    try:
        json.loads(last)
    except ValueError:
        if _is_cut(last):
            os.ftruncate(handle, end)
            return end
    return size + os.write(handle, b"\n")


def _is_cut(line: bytes) -> bool:
    """Whether a line that is no JSON may be what a kill has left of one."""
    return line.startswith(b"{") and not line.endswith(b"\n")


def _numbers(path: Path) -> dict[int, Path]:
    """The files that a log went on from, by their number."""
    name = re.compile(rf"{re.escape(path.stem)}-(\d{{4,}}){re.escape(path.suffix)}")
    found = ((name.fullmatch(other.name), other) for other in path.parent.iterdir())
    return {int(match[1]): other for match, other in found if match}


def files_of(path: Path) -> list[Path]:
    """The files of a log, the oldest first; InputError if there is none."""
    if not path.parent.is_dir():
        raise InputError(f"{path}: no such file; name a decision log")
    numbers = _numbers(path)
    files = [*(numbers[number] for number in sorted(numbers)), *[path] * os.path.lexists(path)]
    if not files:
        raise InputError(f"{path}: no such file; name a decision log")
    return files


@dataclass
class Log:
    """Decisions and what came of them.

    Attributes
    ----------
    decisions
        In the order of the log.
    outcomes
        By id and model what is known of the call: ``utility``, ``cost_usd``, ``latency_s``.
    remarks
        What a reader has to know.
    """

    decisions: list[Decision] = field(default_factory=list)
    outcomes: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def add(self, query: str, model: str, told: Mapping[str, float | None], where: str) -> None:
        """Add what is known of a call; InputError if it was known otherwise."""
        known = self.outcomes.setdefault((query, model), {})
        for name, value in told.items():
            if value is not None and known.setdefault(name, value) != value:
                raise InputError(
                    f"{where}: {name} of model {model!r:.80} on {query!r:.80} is {value:g}, and "
                    f"was {known[name]:g} before; keep the one that is right"
                )

    def paid(self, decision: Decision) -> dict[str, float]:
        """What is known of the call that was decided."""
        return self.outcomes.get((decision.id, decision.model), {})

    def outcome(self, name: str, models: Sequence[str]) -> np.ndarray:
        """(N, K) amounts of the decisions' calls by their name, NaN where unknown."""
        column = {model: index for index, model in enumerate(models)}
        rows = {decision.id: row for row, decision in enumerate(self.decisions)}
        matrix = np.full((len(rows), len(column)), np.nan)
        for (query, model), known in self.outcomes.items():
            if name in known and model in column:
                matrix[rows[query], column[model]] = known[name]
        return matrix


def read_log(path: Path, outcomes: Path | None = None) -> Log:
    """Read a log with all files that it went on from.

    Parameters
    ----------
    path
        As it was written to.
    outcomes
        A file or log of outcomes beside it.

    Raises
    ------
    InputError
        Naming file and line, for what is no line of a log, a second decision of one id, or
        outcomes that contradict each other. A last line that was cut short is only remarked.
    """
    log = Log()
    models: dict[str, str] = {}
    told: list[tuple[str, Outcome]] = []
    for file in [*files_of(path), *(files_of(outcomes) if outcomes else [])]:
        for where, content in _lines(file, log.remarks):
            if "time" not in content:
                told.append((where, _parsed(Outcome, content, where)))
                continue
            decision = _parsed(Decision, content, where)
            if decision.id in models:
                raise InputError(
                    f"{where}: id {decision.id!r:.80} was decided before; give each query an id "
                    "of its own"
                )
            models[decision.id] = decision.model
            log.decisions.append(decision)
            paid = {"cost_usd": decision.paid_usd, "latency_s": decision.latency_s}
            log.add(decision.id, decision.model, paid, where)
    unknown = [one.id for _, one in told if one.id not in models]
    if unknown:
        log.remarks.append(
            f"{path}: {len(unknown):,} outcomes are of no decision, and are left out (such as of "
            f"{unknown[0]!r:.80})"
        )
    for where, one in told:
        if one.id in models:
            log.add(one.id, one.model or models[one.id], one.amounts, where)
    return log


def _lines(path: Path, remarks: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the object of each line, and how messages name the line."""
    with reading(path), path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            where = f"{path}, line {number}"
            if not line.strip():
                continue
            try:
                content = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except (ValueError, RecursionError) as error:
                if _is_cut(line):
                    remarks.append(f"{where}: was cut short, and is left out")
                    return
                raise InputError(
                    f"{where}: not readable as JSON ({error!s:.200}); correct or remove it"
                ) from None
            if not isinstance(content, dict):
                raise InputError(f"{where}: holds no object; correct or remove it")
            yield where, content


def _parsed(kind: type[_Line], content: dict[str, Any], where: str) -> _Line:
    try:
        entry = kind.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{where}: {describe(error, model=kind)}; correct it") from None
    # As all that tables hold; JSON may spell half a character.
    if not is_utf8(json.dumps(content, ensure_ascii=False)):
        raise InputError(f"{where}: holds no text in UTF-8; correct it")
    return entry
