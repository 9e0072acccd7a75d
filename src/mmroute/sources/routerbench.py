"""RouterBench: one wide table of eleven models' answers and costs."""

import re
import reprlib
import warnings
from ast import literal_eval
from collections.abc import Hashable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmroute.errors import InputError
from mmroute.outcome_table import OutcomeTable
from mmroute.sources.cells import (
    CORRECTNESS_WORDS,
    is_table,
    numbers,
    outcome_table,
    read_cells,
)
from mmroute.sources.pickles import read_pickle
from mmroute.sources.release import Release, clean, scenarios
from mmroute.sources.survey import Recognised, Survey

FILE = "routerbench_0shot.pkl"
_PICKLE = re.compile(r"routerbench_[^/]*\.pkl(\.gz)?")
SAMPLE_ID, PROMPT, EVAL_NAME = "sample_id", "prompt", "eval_name"
ORACLE = "oracle_model_to_route_to"
RESPONSE, COST = "|model_response", "|total_cost"

SMALL = 50
"""Samples below which a random fifth of them may well be none or all."""
SMALL_DATASET = "small evaluations"

_STRING = r"""(?:'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+")"""
_LIST_OF_STRINGS = re.compile(rf"\[{_STRING}(?:, {_STRING})*+\]", re.DOTALL)


class RouterBench(Release):
    """The RouterBench release, or any table in its layout.

    It is a pandas pickle, which gzip may have compressed, or any other form of a table that
    ``mmroute.sources.cells`` reads.

    One row per sample: ``sample_id``, ``prompt``, ``eval_name``, and per model ``M``
    its score ``M`` in [0, 1], its answer ``M|model_response`` and its cost
    ``M|total_cost`` in USD. Prompts and answers may be lists of texts, or be written
    like one; their parts are joined by a blank line.

    Each ``eval_name`` is a data set. If several have fewer than ``SMALL`` samples,
    too few to be split by chance, these are one data set together. The scenario is
    what stands before the first ``-`` or ``.`` of an ``eval_name`` if another one begins
    alike, as with ``mmlu-...``.

    Parameters
    ----------
    path
        The table, or a folder with the file called ``file``.
    file
        The table's name in the folder or data set.
    group
        The column of what samples that are variants of each other have in common.
    """

    name = "routerbench"

    def __init__(
        self,
        path: str | None = None,
        repo: str | None = None,
        revision: str | None = None,
        file: str = "routerbench_0shot.pkl",
        group: str = "group",
    ) -> None:
        super().__init__(path, repo, revision)
        self.file = file
        self.group = group

    @classmethod
    def recognise(cls, there: Survey) -> Recognised | None:
        """Recognise a pickle by its name, which nothing is unpacked for, a table by its columns."""
        found = [name for name in there.names if _PICKLE.fullmatch(name)]
        for name in there.tables():
            columns = there.columns(name) if "/" not in name else []
            has_cost = any(column + COST in columns for column in columns)
            if has_cost and {SAMPLE_ID, PROMPT, EVAL_NAME} <= set(columns):
                found.append(name)
        if not found:
            return None
        if there.path != there.root:
            return Recognised({"path": str(there.path)})
        file = sorted(found, key=lambda name: (name != FILE, found.index(name)))[0]
        others = [name for name in found if name != file]
        beside = (("path", f"{file} is read, and not {', '.join(others):.300} beside it"),)
        return Recognised(
            {"path": str(there.path)} | ({} if file == FILE else {"file": file}),
            beside if others else (),
        )

    @property
    def wanted(self) -> str:
        """The table's name."""
        return self.file

    def choose(self, paths: Sequence[str]) -> list[str]:
        """Pick the one table."""
        return [path for path in paths if path == self.file]

    def read(self, root: Path) -> OutcomeTable:
        """Read the table and each model's columns."""
        (path,) = self.files(root)
        frame = _cells(path) if is_table(path) else read_pickle(path)
        models = _find_models(frame, path, self.group)
        for name in (SAMPLE_ID, EVAL_NAME):
            nameless = np.flatnonzero(_filled(frame[name], path) == "")
            if nameless.size:
                raise InputError(
                    f"{path}: column {name!r} is empty in row {nameless[0] + 1}; fill it"
                )
        ids = _filled(frame[SAMPLE_ID], path)
        frame = frame.set_axis(pd.Index(ids, dtype=object))
        matrices = {
            name: np.full((len(frame), len(models)), np.nan)
            for name in ("utility", "cost", "prompt_tokens", "completion_tokens")
        }
        matrices["prediction"] = np.full((len(frame), len(models)), None, dtype=object)
        for j, model in enumerate(models):
            matrices["utility"][:, j] = numbers(
                _filled(frame[model], path), path, CORRECTNESS_WORDS, highest=1
            )
            matrices["cost"][:, j] = numbers(_filled(frame[model + COST], path), path)
            if model + RESPONSE in frame:
                matrices["prediction"][:, j] = _texts(frame[model + RESPONSE], path)
        evaluation = _filled(frame[EVAL_NAME], path)
        dataset = _join_small(evaluation, path)
        samples = pd.DataFrame(
            {
                "sample_id": ids.to_numpy(),
                "dataset": dataset.to_numpy(),
                "scenario": scenarios(dataset, "-.").to_numpy(),
                "group": _filled(frame[self.group], path).to_numpy() if self.group in frame else "",
                "question": [text or "" for text in _texts(frame[PROMPT], path)],
                "answer": None,
                "image": None,
                "image_digest": None,
                "tag_eval_name": evaluation.to_numpy(),
            }
        )
        return outcome_table(samples, models, matrices)


def _cells(path: Path) -> pd.DataFrame:
    cells = read_cells(path).astype(object)
    return cells.where(cells != "", None)


def _find_models(frame: Any, path: Path, group: str) -> list[str]:
    """List the models, which have a score and a cost; say which columns belong to none."""
    if not isinstance(frame, pd.DataFrame):
        raise InputError(
            f"{path}: holds a {type(frame).__name__}, not a pandas DataFrame; "
            "give a table in RouterBench's layout"
        )
    names = frame.columns
    bad = names[names.duplicated() | np.array([not isinstance(name, str) for name in names], bool)]
    if len(bad):
        raise InputError(f"{path}: column {bad[0]!r} appears twice or is no text; rename it")
    for name in (SAMPLE_ID, PROMPT, EVAL_NAME, *([group] if group != "group" else [])):
        if name not in frame:
            raise InputError(f"{path}: no column {name!r}; RouterBench's layout needs it")
    models = [name for name in names if name + COST in frame]
    if not models:
        raise InputError(
            f"{path}: no model columns; a model M needs its score M and its cost M{COST}"
        )
    used = {SAMPLE_ID, PROMPT, EVAL_NAME, ORACLE, group}
    used |= {model + suffix for model in models for suffix in ("", RESPONSE, COST)}
    unread = [name for name in names if name not in used]
    if unread:
        warnings.warn(
            f"{path}: {len(unread)} columns such as {unread[0]!r} belong to no sample's "
            "description and to no model with both a score and a cost; they are not read",
            stacklevel=3,
        )
    return models


def _filled(column: pd.Series, path: Path) -> pd.Series:
    """Return a column as text, empty where it is missing."""
    values = column.astype(object).where(column.notna(), "")
    return values.map(lambda value: _plain(value, column.name, path))


def _texts(column: pd.Series, path: Path) -> list[str | None]:
    """Return texts, lists of texts joined, None where missing."""
    with warnings.catch_warnings():
        # What looks like an escape in a text is no concern of the reader.
        warnings.simplefilter("ignore")
        return [_text(value, column.name, path) for value in column]


def _text(value: Any, name: Hashable, path: Path) -> str | None:
    if isinstance(value, str) and _LIST_OF_STRINGS.fullmatch(value):
        with suppress(ValueError, SyntaxError):
            value = literal_eval(value)
    if isinstance(value, np.ndarray):
        value = value.ravel().tolist()
    if isinstance(value, list | tuple):
        return "\n\n".join(_plain(part, name, path) for part in value)
    missing = value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value))
    return None if missing else _plain(value, name, path)


def _plain(value: Any, name: Hashable, path: Path) -> str:
    if not isinstance(value, str | int | float | np.generic):
        raise InputError(
            f"{path}: column {name!r} holds {reprlib.repr(value)}, which is neither text nor a "
            "number; correct the cell"
        )
    return clean(str(value))


def _join_small(evaluation: pd.Series, path: Path) -> pd.Series:
    """Name each sample's data set; evaluations too small to be split stand together."""
    sizes = evaluation.value_counts(sort=False)
    small = sizes.index[sizes < SMALL]
    if len(small) < 2:
        return evaluation
    warnings.warn(
        f"{path}: {len(small)} evaluations such as {small[0]!r} have fewer than {SMALL} samples; "
        f"they are one data set {SMALL_DATASET!r}, apart by tag_eval_name",
        stacklevel=3,
    )
    return evaluation.where(~evaluation.isin(small), SMALL_DATASET)
