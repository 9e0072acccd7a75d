"""A router from elsewhere: what it chose stands in a table, and is measured like the others."""

import warnings
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from mmroute.errors import InputError
from mmroute.outcomes.benchmark import Benchmark
from mmroute.predictions import Predictions
from mmroute.routers import Elsewhere
from mmroute.routers.baselines import Cheapest
from mmroute.sources.cells import read_cells
from mmroute.sources.gathered import require_columns

COLUMNS = ("sample_id", "model", "threshold")
"""Of a table of choices; the last may be missing."""
MOST_SCORES = 100_000_000
"""Thresholds times samples times models that are laid out at once, 8 bytes each."""


class Choices(Elsewhere):
    """A router from elsewhere: a table of ``sample_id`` and ``model``, what it chose.

    With a third column, ``threshold``, it has one operating point for each number there, in
    whatever unit; each then has a row for every sample. Nothing is trained, so that no new query
    can be asked: the row stands in the tables of results, and nowhere else. What the router was
    trained on is unknown; it may have seen the samples that it is measured on.

    The samples of the test split must be there. Without those of the training split no operating
    point can be chosen there, and what takes one is undefined. A chosen model that was not
    observed on the sample gives way to the cheapest in training of those that were.

    Parameters
    ----------
    choices
        The table: CSV, TSV, JSONL, JSON (a list of objects), Parquet, Feather or Excel.
    """

    name: ClassVar[str] = "choices"
    fusion: ClassVar[None] = None
    elsewhere: ClassVar[str] = "choices"

    def __init__(self, choices: str) -> None:
        self.choices = choices

    def read(self, benchmark: Benchmark) -> tuple[np.ndarray, np.ndarray]:
        """Read what was chosen, and warn of what in the table does not count.

        Returns
        -------
        thresholds
            (G,) ascending; 0 where the table has none.
        chosen
            (G, N) index of the model for each sample of the benchmark; -1 for one that the
            table does not have.

        Raises
        ------
        InputError
            If the table cannot be read, lacks a column, has a cell that is empty or no number,
            a model that is not in the pool, or a sample twice at one threshold; if it lacks a
            sample of the test split, or has one at some thresholds only; or if it is too large.
        """
        path, table = Path(self.choices), benchmark.table
        rows, known = _rows(path), pd.Index(table.samples["sample_id"])
        sample = known.get_indexer(rows["sample_id"])
        others = rows["sample_id"][sample < 0].unique()
        if (sample < 0).all():
            raise InputError(
                f"{path}: column 'sample_id' names no sample of the benchmark, but such as "
                f"{others[0]!r:.80}; name them as the source does, such as {known[0]!r:.80}"
            )
        if len(others):
            warnings.warn(
                f"{path}: {len(others):,} samples are not in the benchmark and do not count (such "
                f"as {others[0]!r:.80})",
                stacklevel=2,
            )
        rows, sample = rows[sample >= 0], sample[sample >= 0]
        model = pd.Index(table.model_names).get_indexer(rows["model"])
        if (model < 0).any():
            first = rows.iloc[int((model < 0).argmax())]
            raise InputError(
                f"{path}: column 'model' of {first['sample_id']!r:.80} holds "
                f"{first['model']!r:.80}, which is not in the pool; correct it, or add the model "
                "to the source and to the config's pool, which has: "
                f"{', '.join(table.model_names):.500}"
            )
        thresholds, point = np.unique(rows["threshold"], return_inverse=True)
        if len(thresholds) * table.utility.size > MOST_SCORES:
            raise InputError(
                f"{path}: column 'threshold' has {len(thresholds):,} values, too many for "
                f"{len(known):,} samples and {len(table.model_names)} models; keep "
                f"{MOST_SCORES // table.utility.size:,} of them at most"
            )
        chosen = np.full((len(thresholds), len(known)), -1, np.int32)
        chosen[point, sample] = model
        _require_cover(path, thresholds, chosen >= 0, benchmark)
        split = benchmark.in_train | benchmark.in_test
        unseen = np.isnan(table.utility[sample, model]) & split[sample]
        if unseen.any():
            first = rows.iloc[int(unseen.argmax())]
            warnings.warn(
                f"{path}: {int(unseen.sum()):,} of {int(split[sample].sum()):,} choices are of a "
                f"model without an outcome there (such as {first['model']!r:.80} for "
                f"{first['sample_id']!r:.80}); the cheapest model with one stands in for it",
                stacklevel=2,
            )
        return thresholds, chosen

    def predictions(self, benchmark: Benchmark, rows: np.ndarray) -> Predictions:
        """Lay out what was chosen for the samples of an (N,) mask, as ``read`` reads it.

        Returns
        -------
        Scores of which the chosen model's is the largest, the others' by their cost in training;
        NaN for a sample that the table does not have.
        """
        thresholds, chosen = self.read(benchmark)
        table = benchmark.train
        order = Cheapest().fit(np.empty(0), table.utility, table.cost).order_
        steps, rank = np.linspace(1, 0, len(order)), order.argsort()
        own = chosen[:, rows]
        scores = np.full((*own.shape, len(order)), np.nan)
        for score, models in zip(scores, own, strict=True):
            has = np.flatnonzero(models >= 0)
            first = models[has, None]
            place = np.where(np.arange(len(order)) == first, 0, rank + (rank < rank[first]))
            score[has] = steps[place]
        ids = benchmark.table.samples["sample_id"][rows].reset_index(drop=True)
        return Predictions(ids, scores[:1], 1 - scores[:1], thresholds, scores)


def _rows(path: Path) -> pd.DataFrame:
    """Read ``COLUMNS`` of a table, the threshold as a number, one row per sample and threshold."""
    cells = read_cells(path, needed=COLUMNS)
    require_columns(path, list(cells.columns), COLUMNS[:2], "a table of choices")
    rows = cells.reindex(columns=list(COLUMNS), fill_value="0")
    for column in COLUMNS:
        empty = np.flatnonzero(rows[column] == "")
        if empty.size:
            raise InputError(
                f"{path}: column {column!r} is empty in row {empty[0] + 1}; fill the cell, or "
                "remove the row"
            )
    # With 0 added there is no -0.
    numbers = pd.to_numeric(rows["threshold"], errors="coerce").to_numpy(float) + 0.0
    if not np.isfinite(numbers).all():
        odd = int((~np.isfinite(numbers)).argmax())
        raise InputError(
            f"{path}: column 'threshold' of {rows['sample_id'].iloc[odd]!r:.80} holds "
            f"{rows['threshold'].iloc[odd]!r:.80}, which is no finite number; give one"
        )
    rows = rows.assign(threshold=numbers)
    twice = rows.duplicated(["sample_id", "threshold"]).to_numpy()
    if twice.any():
        row = rows.iloc[int(twice.argmax())]
        several = "threshold" in cells
        at = f" at the threshold {row['threshold']:g}" if several else ""
        way = "" if several else ", or tell operating points apart by a column 'threshold'"
        raise InputError(
            f"{path}: column 'sample_id' has {row['sample_id']!r:.80} twice{at}; keep one row{way}"
        )
    return rows


def _require_cover(
    path: Path, thresholds: np.ndarray, has: np.ndarray, benchmark: Benchmark
) -> None:
    """Raise InputError if a sample has no choice at a threshold though it must have one."""
    ids, tested = benchmark.table.samples["sample_id"], benchmark.in_test
    lacking = tested & ~has.any(axis=0)
    if lacking.any():
        raise InputError(
            f"{path}: no choice for {int(lacking.sum()):,} of the {int(tested.sum()):,} test "
            f"samples (salt {benchmark.salt}), such as {ids[lacking].iloc[0]!r:.80}; add rows for "
            "them"
        )
    partly = has.any(axis=0) & ~has
    if partly.any():
        point = int(partly.any(axis=1).argmax())
        raise InputError(
            f"{path}: no choice at the threshold {thresholds[point]:g} for "
            f"{int(partly[point].sum()):,} samples that have one at others, such as "
            f"{ids[partly[point]].iloc[0]!r:.80}; add their rows, or remove the threshold"
        )
