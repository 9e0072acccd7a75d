"""Calls: what the logs of applications have in common, one call per sample and model."""

import json
import reprlib
import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from textwrap import shorten
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from annotated_types import Gt

from mmroute.confined import reading
from mmroute.errors import InputError, Undecided, is_utf8
from mmroute.outcome_table import LATENCY, OutcomeTable
from mmroute.sources import Source
from mmroute.sources.cells import LONGEST_ANSWER, nullable, outcome_table
from mmroute.sources.release import clean
from mmroute.sources.token_counts import BYTES_PER_TOKEN, estimate, is_too_low
from mmroute.storage import is_file

UNSCALED = "scales are of scores up to 1; leave them out of source.scale if these are from 0 to 1"
AMOUNTS = ("utility", "cost", "prompt_tokens", "completion_tokens", LATENCY)


class Call(NamedTuple):
    """What a log says of one call; a number is NaN where it says nothing.

    Attributes
    ----------
    sample
        What tells the sample from others of its data set.
    dataset, scenario, group, question, answer
        Of the sample, empty where unknown.
    model
        Which was called.
    scores
        By metric, the numbers that may be the utility.
    main
        The metrics among which the utility is unless the config names one; empty for all.
    cost
        In USD.
    prompt_tokens, completion_tokens
        Counts.
    prediction
        The answer; None where the log keeps none.
    failed
        Whether the call gave no answer to judge.
    place
        Where it stands, for messages.
    latency_s
        Seconds that it took.
    """

    sample: str
    dataset: str
    scenario: str
    group: str
    question: str
    answer: str
    model: str
    scores: Mapping[str, float]
    main: Sequence[str]
    cost: float
    prompt_tokens: float
    completion_tokens: float
    prediction: str | None
    failed: bool
    place: str
    latency_s: float = np.nan


class Log(NamedTuple):
    """The calls of one file or folder that a run has written, whole or not, and its date.

    Of several runs of a model on a data set a whole one counts, one of the most samples, the
    last.
    """

    path: Path
    whole: bool
    date: str
    calls: list[Call]


class CallLogs(Source):
    """Logs of an application below a folder, or one file of them.

    Parameters
    ----------
    path
        The folder, or one log.
    metrics
        The metric that is the utility of a data set, or of all of a scenario, where there are
        several that differ.
    failures
        What failed calls and empty answers are: missing or wrong.
    scale
        The score of the best possible answer of a data set, or of all of a scenario, where it is
        not 1: 100 for percent.

    Raises
    ------
    InputError
        If ``failures`` is unknown.
    """

    def __init__(
        self,
        path: str,
        metrics: dict[str, str] | None = None,
        failures: Literal["missing", "wrong"] = "missing",
        scale: dict[str, Annotated[float, Gt(0)]] | None = None,
    ) -> None:
        if failures not in ("missing", "wrong"):
            raise InputError(f"source.failures: {failures!r} is unknown; use 'missing' or 'wrong'")
        self.path = Path(path)
        self.metrics = metrics or {}
        self.failures = failures
        self.scale = scale or {}

    @property
    @abstractmethod
    def wanted(self) -> str:
        """What the logs are called, for messages."""

    @abstractmethod
    def find(self, root: Path) -> list[Path]:
        """List the files below a folder that may be logs, or what a log begins with."""

    @abstractmethod
    def read_log(self, path: Path, remark: Callable[[str, str], None]) -> Log | None:
        """Read a log of those found; None for a file that is none.

        ``remark`` takes what a reader has to know, and an example of it.
        """

    def companions(self, path: Path) -> list[Path]:
        """List the files that are read beside a log that was found; some may not be there."""
        return []

    def local_files(self) -> list[Path]:
        """List the logs, and what is read beside them."""
        found = self._found()
        beside = [other for path in found for other in self.companions(path) if is_file(other)]
        return list(dict.fromkeys([*found, *beside]))

    def fetch(self, folder: Path) -> Path:
        """Return the folder, or the one log's; nothing is copied."""
        self._found()
        return self.path.parent if is_file(self.path) else self.path

    def origin(self, root: Path) -> Path:
        """Return what ``path`` names."""
        return self.path

    def read(self, root: Path) -> OutcomeTable:
        """Read each model's best run on each data set."""
        gathered = _Gathered(self.path, self.metrics, self.failures, self.scale)
        for path in self._found():
            with reading(path):
                log = self.read_log(path, gathered.remark)
            if log is None:
                gathered.remark("files are no logs and were skipped", str(path))
            else:
                gathered.add(log)
        return gathered.table(self.wanted)

    def _found(self) -> list[Path]:
        if is_file(self.path):
            return [self.path]
        found = [path for path in self.find(self.path) if is_file(path) and is_utf8(str(path))]
        if not found:
            raise InputError(f"{self.path}: no {self.wanted} below it; set source.path to the logs")
        return sorted(found)


class _Gathered:
    """The calls read so far, by data set and model, each of the best run alone."""

    def __init__(
        self, root: Path, metrics: Mapping[str, str], failures: str, scale: Mapping[str, float]
    ) -> None:
        self.root = root
        self.metrics = metrics
        self.failures = failures
        self.scale = scale
        self.runs: dict[tuple[str, str], tuple[Log, list[Call]]] = {}
        self.remarks: dict[str, tuple[int, str]] = {}
        self.used: dict[str, None] = {}
        self.highest: dict[str, float] = {}

    def remark(self, kind: str, example: str) -> None:
        count, first = self.remarks.get(kind, (0, example))
        self.remarks[kind] = (count + 1, first)

    def add(self, log: Log) -> None:
        """Keep the calls of a log, unless a better one of the same data set and model is there."""
        own: dict[tuple[str, str], list[Call]] = {}
        for call in log.calls:
            own.setdefault((call.dataset, call.model), []).append(call)
        for key, calls in own.items():
            other = self.runs.get(key)
            if other is not None:
                if other[0].date == log.date:
                    raise InputError(
                        f"{log.path}: model {key[1]!r:.80} on {key[0]!r:.80} is in "
                        f"{other[0].path}, too; set source.path to one of the two, or remove one"
                    )
                worse, _ = min(other, (log, calls), key=_worth)
                self.remark(
                    "runs are not used, as there is a later, larger or whole one of the same model "
                    "and data set",
                    f"{key[1]} on {key[0]} in {worse.path}",
                )
                if worse is log:
                    continue
            self.runs[key] = log, calls

    def table(self, wanted: str) -> OutcomeTable:
        """Average the calls of each pair, and lay them out as N samples by K models.

        Raises InputError, asking for what is ``wanted``, if no call has a score.
        """
        models = sorted({model for _, model in self.runs})
        samples: dict[str, Call] = {}
        pairs: dict[tuple[str, str], list[tuple[Call, float]]] = {}
        for _, calls in sorted(self.runs.values(), key=lambda run: (run[0].path, run[1][0].model)):
            for call in calls:
                if not call.sample:
                    raise InputError(
                        f"{call.place}: the sample has no id, a text or number; remove it or run "
                        "the model again"
                    )
                sample_id = f"{call.dataset}_{call.sample}"
                first = samples.setdefault(sample_id, call)
                if first.dataset != call.dataset:
                    raise InputError(
                        f"{call.place}: sample id {sample_id!r:.80} is taken by data set "
                        f"{first.dataset!r:.80}; rename one of the two"
                    )
                if first.question != call.question:
                    self.remark(
                        "questions differ from the one that another model got; the first is kept",
                        sample_id,
                    )
                pairs.setdefault((sample_id, call.model), []).append((call, self._utility(call)))
        ids = {sample_id: row for row, sample_id in enumerate(samples)}
        matrices = {name: np.full((len(ids), len(models)), np.nan) for name in AMOUNTS}
        prediction = np.full((len(ids), len(models)), None, dtype=object)
        for (sample_id, model), repeats in pairs.items():
            kept = [one for one in repeats if np.isfinite(one[1])]
            if not kept:
                continue
            if len(kept) > 1:
                self.remark("outcomes are means over repeated calls", f"{sample_id} of {model}")
            cell = ids[sample_id], models.index(model)
            # Of a call from a cache neither cost nor latency is known, though it is of others.
            amounts = [self._amounts(*one) for one in kept]
            for name, told in zip(AMOUNTS, zip(*amounts, strict=True), strict=True):
                known = [amount for amount in told if np.isfinite(amount)]
                matrices[name][cell] = sum(known) / len(known) if known else np.nan
            prediction[cell] = clean(kept[0][0].prediction or "")[:LONGEST_ANSWER] or None
        self._check_used()
        seen = np.isfinite(matrices["utility"]).any(axis=0)
        if not seen.any():
            said = "; ".join(self._said()) or "the logs hold no calls"
            raise InputError(f"{self.root}: no call has a score: {said:.1000}; give {wanted}")
        for column in np.flatnonzero(~seen):
            self.remark("models have no outcome and are left out", models[column])
        for words in self._said():
            warnings.warn(f"{self.root}: {words}", stacklevel=3)
        return outcome_table(
            _frame(samples),
            [models[column] for column in np.flatnonzero(seen)],
            {name: own[:, seen] for name, own in {**matrices, "prediction": prediction}.items()},
        )

    def _utility(self, call: Call) -> float:
        """Return a call's utility, NaN where it is missing."""
        if call.failed:
            what = "missing" if self.failures == "missing" else "wrong"
            self.remark(
                f"calls failed or gave an empty answer, and count as {what} (source.failures)",
                call.place,
            )
            return np.nan if self.failures == "missing" else 0.0
        key = call.dataset if call.dataset in self.metrics else call.scenario
        metric, scores = self.metrics.get(key), call.scores
        if metric is not None:
            self.used[key] = None
        elif call.main:
            scores = {name: scores[name] for name in call.main if name in scores}
        scaled = call.dataset if call.dataset in self.scale else call.scenario
        utility, _ = chosen_score(scores, call.place, key, metric, self.scale.get(scaled, 1.0))
        if scaled in self.scale:
            self.highest[scaled] = np.fmax(utility, self.highest.get(scaled, 0.0))
        if np.isnan(utility):
            what = "score" if metric is None else f"score {metric!r:.80}"
            named = ""
            if call.scores:
                listed = shorten(", ".join(call.scores), 300, placeholder=" ...")
                named = (
                    f", which has {listed}; write 'metrics: {{{key}: <one of them>}}' below source"
                )
            self.remark(f"outcomes have no {what} and are missing", f"{call.place}{named}")
        return utility

    def _amounts(self, call: Call, utility: float) -> list[float]:
        """Return the amounts of a call; tokens are estimated where there is no cost either."""
        counts = [call.prompt_tokens, call.completion_tokens]
        if is_too_low(call.completion_tokens, call.prediction):
            counts[1] = np.nan
            self.remark(
                "counts of completion tokens are too low for the answer, and are unknown",
                f"{call.place}: {call.completion_tokens:g}",
            )
        if np.isnan(call.cost) and np.isnan(counts).any():
            texts = pd.Series([call.question, call.prediction], dtype=object)
            counts = np.where(np.isnan(counts), estimate(texts), counts).tolist()
            self.remark(
                f"token counts are estimated from the texts, {BYTES_PER_TOKEN} bytes each, "
                "without images",
                call.place,
            )
        return [utility, call.cost, *counts, call.latency_s]

    def _check_used(self) -> None:
        for key, named, used in (
            ("metrics", self.metrics, self.used),
            ("scale", self.scale, self.highest),
        ):
            unknown = next((name for name in named if name not in used), None)
            if unknown is not None:
                datasets = ", ".join(dict.fromkeys(dataset for dataset, _ in self.runs))
                raise InputError(
                    f"source.{key}: {self.root} has no data set {unknown!r:.80}; it has "
                    f"{datasets:.500}"
                )
        for name, highest in self.highest.items():
            if is_unscaled(highest, self.scale[name]):
                self.remark(UNSCALED, f"{name}: {self.scale[name]:g}")

    def _said(self) -> list[str]:
        """Put what a reader has to know into words, each kind once."""
        return [
            f"{count:,} {kind} (such as {first})" for kind, (count, first) in self.remarks.items()
        ]


def _worth(run: tuple[Log, list[Call]]) -> tuple[bool, int, str]:
    log, calls = run
    return log.whole, len({call.sample for call in calls}), log.date


def _frame(samples: Mapping[str, Call]) -> pd.DataFrame:
    calls = list(samples.values())
    return pd.DataFrame(
        {
            "sample_id": list(samples),
            **{
                name: [getattr(call, name) for call in calls]
                for name in ("dataset", "scenario", "group", "question")
            },
            "answer": nullable(pd.Series([call.answer for call in calls], dtype=str)),
            "image": pd.Series([None] * len(calls), dtype=object),
            "image_digest": pd.Series([None] * len(calls), dtype=object),
        }
    )


def is_unscaled(highest: float, scale: float) -> bool:
    """Tell whether the highest utility on a scale above 1 was no more than 1 before it."""
    return scale > 1 and 0 < highest * scale <= 1


def way_to_scale(task: str) -> str:
    """Return the way out for a score of a task that is too high, for messages."""
    return (
        "if it is right, give the score of the best possible answer by "
        f"'scale: {{{task}: <score>}}' below source, 100 for percent"
    )


def chosen_score(
    scores: Mapping[str, float], place: str, task: str, metric: str | None, scale: float = 1.0
) -> tuple[float, frozenset[str]]:
    """Return the utility that scores agree on, and the names of those that hold it.

    Parameters
    ----------
    scores
        By ``metric`` or ``metric.part``.
    place, task
        Where they stand and of which task, for messages.
    metric
        The one that counts, if it is named.
    scale
        The score of the best possible answer, by which the utility is divided.

    Returns
    -------
    NaN and none where there is none.

    Raises
    ------
    InputError
        If they differ, or the utility is not in [0, 1].
    """
    if metric is not None:
        scores = {
            name: value
            for name, value in scores.items()
            if name == metric or name.startswith(f"{metric}.")
        }
    if len(set(scores.values())) > 1:
        listed = ", ".join(f"{name} is {reprlib.repr(value)}" for name, value in scores.items())
        likely = next((name for name, value in scores.items() if 0 <= value <= scale), "")
        message = (
            f"{place}: {shorten(listed, 500, placeholder=' ...')}; name the one that is the "
            f"utility: 'metrics: {{{task}: {likely or '<metric>'}}}' below source"
        )
        if likely:
            raise Undecided(message, {"metrics": {task: likely}})
        raise InputError(message)
    if not scores:
        return np.nan, frozenset()
    name, value = next(iter(scores.items()))
    if not 0 <= value <= scale:
        cure = (
            f"name another by 'metrics: {{{task}: <metric>}}' below source, or give your own "
            f"table, or take the logs of {task!r:.80} out of the folder"
        )
        raise InputError(
            f"{place}: the metric {name!r} is {reprlib.repr(value)}, not in [0, {scale:g}]; "
            + (f"{way_to_scale(task)}, or {cure}" if value > scale else cure)
        )
    return float(value) / scale, frozenset(scores)


def load_json(content: bytes, place: str) -> Any:
    """Parse JSON; raise InputError, naming ``place``, if it is not whole."""
    try:
        return json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{place}: not readable as JSON ({shorten(str(error), 200)}); give a whole file"
        ) from error


def read_json_file(path: Path) -> Any:
    """Read a file of JSON; raise InputError if it is none, or not whole."""
    with reading(path):
        return load_json(path.read_bytes(), str(path))


def at(value: Any, *keys: str) -> Any:
    """Return what stands at a path of keys in nested objects, None where there is nothing."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def text(value: Any) -> str:
    """Return a text that a table can hold, a number as it is written, empty for anything else."""
    written = isinstance(value, str | int | float) and not isinstance(value, bool)
    return clean(str(value)) if written else ""


def amount(value: Any) -> float:
    """Return a number of at least 0, NaN for anything else."""
    counted = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if counted and 0 <= value < 2**53 else np.nan


def scored(values: Mapping[str, Any]) -> dict[str, float]:
    """Return those of some values that are numbers or bools, as numbers."""
    return {
        name: float(value) if abs(value) < 2**53 else np.inf
        for name, value in values.items()
        if isinstance(value, bool | int | float) and value == value
    }
