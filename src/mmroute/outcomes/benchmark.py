"""A benchmark as routers meet it: outcomes, costs in one unit, and one frozen split."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from mmroute.outcome_table import LATENCY, MATRICES, OutcomeTable
from mmroute.outcomes.splits import DEVELOPMENT, SLICE
from mmroute.storage import check_samples, read_json, read_table


@dataclass(frozen=True)
class Benchmark:
    """An outcome table under one split.

    Attributes
    ----------
    table
        All N samples, with the column ``SLICE`` of the splits.
    unit
        USD of a normalised cost of 1.
    in_train, in_test
        (N,) masks. Samples on which no model of the pool was observed are in
        neither.
    salt
        What drew the split.
    development
        (N,) mask of the training samples that no router learns from; None: all teach.
    """

    table: OutcomeTable
    unit: float
    in_train: np.ndarray
    in_test: np.ndarray
    salt: str = "0"
    development: np.ndarray | None = None

    @classmethod
    def read(
        cls,
        outcomes: Path,
        splits: Path,
        salt: str,
        rows: slice = slice(None),
        matrices: Collection[str] = (*MATRICES, LATENCY),
    ) -> "Benchmark":
        """Read the stored outcome table and the split of one salt.

        Parameters
        ----------
        outcomes, splits, salt
            The folder of the table, the file of the splits, and its column.
        rows, matrices
            What to read of the table, see ``OutcomeTable.read``.

        Raises
        ------
        InputError
            If a file is damaged, or the split is of other samples.
        """
        table = OutcomeTable.read(outcomes, rows, matrices)
        split = read_table(splits, rows)
        check_samples(splits, split["sample_id"].to_pylist(), table.samples["sample_id"])
        table.samples[SLICE] = split[SLICE].to_pandas()
        train = split[salt].to_numpy()
        observed = np.isfinite(table.utility).any(axis=1)
        unit = read_json(outcomes / "pool.json")["unit_usd"]
        masks = train & observed, ~train & observed
        held = f"{DEVELOPMENT}{salt}"
        if held not in split.column_names:
            return cls(table, unit, *masks, salt)
        return cls(table, unit, *masks, salt, split[held].to_numpy() & observed)

    @cached_property
    def held_out(self) -> np.ndarray | None:
        """(n,) mask of the development samples among those of the training split, if any."""
        held = None if self.development is None else self.development[self.in_train]
        return held if held is not None and held.any() else None

    @property
    def taught(self) -> "Benchmark":
        """The benchmark without its development samples, for who trains routers anew."""
        if self.development is None:
            return self
        return replace(self, in_train=self.in_train & ~self.development, development=None)

    @cached_property
    def observed(self) -> OutcomeTable:
        """Outcomes of all samples that are in a split."""
        return self.table.take(self.in_train | self.in_test)

    @cached_property
    def train(self) -> OutcomeTable:
        """Outcomes of the training split."""
        return self.table.take(self.in_train)

    @cached_property
    def test(self) -> OutcomeTable:
        """Outcomes of the test split."""
        return self.table.take(self.in_test)
