"""MixInstruct: eleven or so models' answers to instructions, scored by several metrics."""

import math
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
import pandas as pd

from mmroute.errors import InputError, Undecided
from mmroute.outcome_table import OutcomeTable
from mmroute.sources.cells import outcome_table
from mmroute.sources.json_records import records
from mmroute.sources.release import Release, clean
from mmroute.sources.survey import Survey
from mmroute.sources.token_counts import BYTES_PER_TOKEN, estimate

SUFFIX = "_data_prepared"
FILES = tuple(f"{split}{SUFFIX}.jsonl" for split in ("train", "val", "test"))


class MixInstruct(Release):
    """The MixInstruct release, or any data in its layout.

    JSON lines with ``id``, ``instruction``, ``input``, ``output``, and ``candidates``:
    objects with ``model``, ``text`` and ``scores``, a number by metric. The question
    is the instruction and, after a blank line, the input if there is one; the answer is
    ``output``. What stands before the first ``/`` of the id is the data set. The
    release's own splits are joined: the sample id begins with the split, as the
    same id may stand in several files, and the split is a tag.

    The utility is one metric, ``lowest`` to ``highest`` mapped to 0 to 1. There are
    neither costs nor token counts; tokens are estimated from the texts, and a price
    table prices them.

    Parameters
    ----------
    path
        A folder with ``train_data_prepared.jsonl``, ``val_data_prepared.jsonl`` and
        ``test_data_prepared.jsonl`` or some of them, or one such file.
    metric
        The score that becomes the utility.
    lowest, highest
        The scores that become 0 and 1.

    Raises
    ------
    InputError
        Unless there is either ``path``, or ``repo`` and ``revision``, or if ``lowest``
        is not below ``highest``.
    """

    name = "mixinstruct"

    def __init__(
        self,
        path: str | None = None,
        repo: str | None = None,
        revision: str | None = None,
        metric: str = "bertscore",
        lowest: float = 0.0,
        highest: float = 1.0,
    ) -> None:
        super().__init__(path, repo, revision)
        if not lowest < highest:
            raise InputError(
                f"source.lowest and source.highest: {lowest} is not below {highest}; "
                "give the metric's range"
            )
        self.metric = metric
        self.lowest = lowest
        self.highest = highest

    @classmethod
    def is_own(cls, there: Survey, name: str) -> bool:
        """Tell by the candidates."""
        return "candidates.scores" in there.keys(name)

    @property
    def wanted(self) -> str:
        """The JSONL files' names."""
        return " or ".join(FILES)

    def choose(self, paths: Sequence[str]) -> list[str]:
        """Pick the JSONL files of all splits."""
        return [name for name in FILES if name in paths]

    def read(self, root: Path) -> OutcomeTable:
        """Read the files line by line."""
        samples: list[dict[str, str | None]] = []
        places: set[str | None] = set()
        models: dict[str, _Column] = {}
        for path in self.files(root):
            split = path.stem.removesuffix(SUFFIX)
            for where, record in records(path):
                sample = _describe(record, split, where)
                if sample["sample_id"] in places:
                    raise InputError(
                        f"{where}: id {record['id']!r} appears twice in this file; rename one"
                    )
                places.add(sample["sample_id"])
                for model, text, utility in self._candidates(record, where):
                    models.setdefault(model, _Column()).add(len(samples), text, utility)
                samples.append(sample)
        if not samples:
            raise InputError(f"{root}: holds no lines; give a file with at least one")
        self._check_scored(models, root)
        _warn(samples, root)
        frame = pd.DataFrame(samples)
        shape = (len(samples), len(models))
        matrices = {
            name: np.full(shape, np.nan)
            for name in ("utility", "cost", "prompt_tokens", "completion_tokens")
        }
        matrices["prediction"] = np.full(shape, None, dtype=object)
        prompt_tokens = estimate(frame["question"])
        for j, column in enumerate(models.values()):
            rows = np.array(column.rows)
            matrices["utility"][rows, j] = column.utility
            matrices["prompt_tokens"][rows, j] = prompt_tokens[rows]
            matrices["completion_tokens"][rows, j] = estimate(pd.Series(column.texts))
            matrices["prediction"][rows, j] = column.texts
        return outcome_table(frame, list(models), matrices)

    def _candidates(self, record: dict[str, Any], where: str) -> Iterator[tuple[str, str, float]]:
        """Yield each candidate's model, text and utility, NaN if it has no such score."""
        candidates = record.get("candidates")
        if not isinstance(candidates, list):
            raise InputError(f"{where}: key 'candidates' is no list; give one")
        named = set()
        for candidate in candidates:
            match candidate:
                case {"model": str(model), "text": str(text), "scores": dict(scores)}:
                    pass
                case _:
                    raise InputError(
                        f"{where}: a candidate lacks 'model' or 'text' as text, or 'scores' as an "
                        f"object: {shorten(repr(candidate), 80)}; complete or remove it"
                    )
            if model in named:
                raise InputError(f"{where}: model {model!r} is twice a candidate; remove one")
            named.add(model)
            yield clean(model), clean(text), self._utility(scores.get(self.metric), model, where)

    def _utility(self, score: Any, model: str, where: str) -> float:
        if score is None or (isinstance(score, float) and math.isnan(score)):
            return math.nan
        if isinstance(score, bool) or not isinstance(score, int | float):
            raise InputError(
                f"{where}: {self.metric} of model {model!r} is {shorten(repr(score), 50)}, "
                "which is no number; correct it"
            )
        if not self.lowest <= score <= self.highest:
            raise InputError(
                f"{where}: {self.metric} of model {model!r} is {shorten(str(score), 50)}, not from "
                f"{self.lowest:g} to {self.highest:g}; set source.lowest and source.highest to the "
                "metric's range"
            )
        return (score - self.lowest) / (self.highest - self.lowest)

    def _check_scored(self, models: dict[str, "_Column"], root: Path) -> None:
        if all(math.isnan(utility) for column in models.values() for utility in column.utility):
            _, record = next(records(self.files(root)[0]))
            metrics = sorted({name for part in record["candidates"] for name in part["scores"]})
            raise Undecided(
                f"{root}: no candidate has a score {self.metric!r}; set source.metric to one of "
                f"{', '.join(metrics) or 'those it has'}",
                {"metric": metrics[0]} if metrics else {},
            )


class _Column:
    """What one model did: samples by their row, its answers and their utility."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.texts: list[str] = []
        self.utility: list[float] = []

    def add(self, row: int, text: str, utility: float) -> None:
        self.rows.append(row)
        self.texts.append(text)
        self.utility.append(utility)


def _describe(record: dict[str, Any], split: str, where: str) -> dict[str, str | None]:
    texts = {}
    for key in ("id", "instruction", "input", "output"):
        value = record.get(key, "" if key in ("input", "output") else None)
        if key == "id" and isinstance(value, int):
            value = str(value)
        if not isinstance(value, str) or (key == "id" and not value):
            raise InputError(
                f"{where}: key {key!r} holds {shorten(repr(value), 50)}, which is no text; fill it"
            )
        texts[key] = clean(value)
    parts = (texts["instruction"], texts["input"])
    dataset, slash, _ = texts["id"].partition("/")
    return {
        "sample_id": f"{split}_{texts['id']}",
        "dataset": dataset if slash else "MixInstruct",
        "scenario": "MixInstruct",
        "question": "\n\n".join(part for part in parts if part.strip()),
        "answer": texts["output"] or None,
        "image": None,
        "image_digest": None,
        "tag_split": split,
    }


def _warn(samples: list[dict[str, str | None]], root: Path) -> None:
    warnings.warn(
        f"{root}: has no token counts; they are estimated from the question and the answer, "
        f"{BYTES_PER_TOKEN} bytes each",
        stacklevel=3,
    )
    asked = Counter(sample["question"] for sample in samples)
    repeated = [question for question, count in asked.items() if count > 1]
    if repeated:
        warnings.warn(
            f"{root}: {len(repeated)} questions are asked by several samples, such as "
            f"{repeated[0]!r:.80}; training and test samples can be alike",
            stacklevel=3,
        )
