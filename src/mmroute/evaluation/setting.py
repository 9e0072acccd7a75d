"""What a benchmark is measured with, and the slices that it is measured on."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmroute.evaluation.bootstrap import evaluation_weights
from mmroute.evaluation.curve import Policy
from mmroute.outcome_table import OutcomeTable, rows_by_label
from mmroute.outcomes.benchmark import Benchmark
from mmroute.outcomes.splits import SLICE


@dataclass(frozen=True)
class Slice:
    """Some evaluation samples that are measured together.

    Attributes
    ----------
    level
        ``dataset``; ``rest`` for the small data sets of a scenario together; ``full`` for
        all samples.
    name
        The data set, the rest (see ``outcomes.splits.slices``), or ``full``.
    rows
        Indices into the evaluation samples.
    """

    level: str
    name: str
    rows: np.ndarray


def slices(samples: pd.DataFrame) -> Iterator[Slice]:
    """Yield each slice of the splits, else each data set, by first appearance; then ``full``."""
    labels = samples.get(SLICE, samples["dataset"])
    for name, rows in rows_by_label(labels).items():
        yield Slice(level_of(name, samples["dataset"].iloc[rows[0]]), name, rows)
    yield Slice("full", "full", np.arange(len(samples)))


def level_of(name: str, dataset: str) -> str:
    """The level of a slice that samples of a data set are in."""
    return "dataset" if name == dataset else "rest"


@dataclass(frozen=True)
class Setting:
    """A benchmark, and how all its routers are measured.

    Attributes
    ----------
    benchmark
        Outcomes under one split.
    policy
        Policy family of the operating curve.
    n_resamples, seed
        The bootstrap's.
    """

    benchmark: Benchmark
    policy: Policy
    n_resamples: int
    seed: int

    @classmethod
    def read(cls, outcomes: Path, splits: Path, salt: str, **how: Any) -> "Setting":
        """Read the stored benchmark; ``how`` holds ``policy``, ``n_resamples`` and ``seed``."""
        return cls(Benchmark.read(outcomes, splits, salt), **how)

    @property
    def table(self) -> OutcomeTable:
        """Outcomes of the evaluation samples."""
        return self.benchmark.test

    @property
    def training(self) -> OutcomeTable:
        """Outcomes of the training samples."""
        return self.benchmark.train

    @property
    def unit(self) -> float:
        """USD of a normalised cost of 1."""
        return self.benchmark.unit

    def weights(self) -> np.ndarray:
        """The (1 + B, N) weights, the same for every router."""
        return evaluation_weights(self.benchmark, self.n_resamples, self.seed)
