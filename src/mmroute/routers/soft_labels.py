"""Soft labels over models, on which the routers of VL-RouterBench are trained."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from annotated_types import Ge, Gt

from mmroute.rank_score import cost_range, rank_score
from mmroute.routers import LiftRouter, Pool, observed_means

INFINITE = 1e12
"""This lambda and those above stand for infinity, which neither JSON nor the config has."""

GRID = (0.0, 10.0, 100.0, 1000.0, 10000.0, INFINITE)
"""The published lambdas, per USD."""

DEVELOPMENT = 1 / 8
"""Share of the training split held out to stop by where there are no development samples."""


def is_correct(U: np.ndarray) -> np.ndarray:
    """Return whether each outcome counts as right: a utility above 0, so never a missing one."""
    return U > 0


def taught(U: np.ndarray) -> np.ndarray:
    """Return which of n samples a router learns from: those that some model solves.

    Where no model solves any, it is those with an outcome, as something has to be learned.
    """
    solved = is_correct(U).any(axis=1)
    return np.asarray(solved if solved.any() else np.isfinite(U).any(axis=1))


def cheapest_first(C: np.ndarray, eligible: np.ndarray) -> np.ndarray:
    """Return (n, K) whether a model is the cheapest eligible one, of equals the first."""
    cost = np.where(eligible, C, np.inf)
    first = np.arange(C.shape[1]) == cost.argmin(axis=1)[:, None]
    return np.asarray(first & eligible)


def soft_labels(U: np.ndarray, C: np.ndarray, grid: np.ndarray, scale: float) -> np.ndarray:
    """Return the soft labels of each lambda (VL-RouterBench; definitions, section 6).

    t_i(m) = 1[m is right on i] exp(-lambda s C_im), normalised over the models; at an
    infinite lambda all mass is on the cheapest one that is right. If no model is right, it
    is on the cheapest observed one. Of equal costs the first counts as the cheapest.

    Parameters
    ----------
    U, C
        (n, K) utility and cost, NaN where missing.
    grid
        (G,) finite lambdas, not negative; from ``INFINITE`` on they stand for infinity.
    scale
        s, which turns a cost into the unit of 1 / lambda.

    Returns
    -------
    np.ndarray
        (G, n, K) float64. Each row sums to 1, or to 0 if the sample has no outcome;
        a missing outcome gets 0.
    """
    correct = is_correct(U)
    solved = correct.any(axis=1, keepdims=True)
    cheapest = cheapest_first(C, np.where(solved, correct, np.isfinite(U)))
    # Beyond the cheapest correct cost, at least one exponent is 0 whatever lambda is.
    lowest = np.where(correct, C, np.inf).min(axis=1, keepdims=True)
    excess = np.where(correct, C - np.where(solved, lowest, 0), 0)
    with np.errstate(over="ignore"):
        weights = correct * np.exp(-np.multiply.outer(grid, scale * excess))
    shares = weights / np.maximum(weights.sum(axis=2, keepdims=True), 1)
    infinite = np.greater_equal(grid, INFINITE)[:, None, None]
    return np.where(infinite | ~solved, cheapest, shares)


@dataclass(frozen=True)
class Lessons:
    """What the routers that are trained once per lambda learn from n samples.

    Attributes
    ----------
    labels
        (G, n, K), NaN where an outcome is missing.
    taught
        (n,) the samples that they are trained on; the others serve to stop only.
    utility, cost
        (n, K), NaN where missing.
    held
        (n,) the samples to stop by; None: a share of all, drawn at random.
    """

    labels: np.ndarray
    taught: np.ndarray
    utility: np.ndarray
    cost: np.ndarray
    held: np.ndarray | None = None

    @property
    def rows(self) -> dict[str, Any]:
        """Which rows ``gradients.train`` takes for what."""
        return {"taught": self.taught, "held": self.held}

    def rank_scores(self, rows: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Return the (G,) rank scores of choosing the largest of (G, b, K) scores on b samples.

        As published it is over the single models' mean costs on all samples.
        """
        utility, cost = self.utility[rows], self.cost[rows]
        choice = np.where(np.isfinite(utility), scores, -np.inf).argmax(axis=2)
        chosen = np.arange(len(rows)), choice
        bounds = cost_range(np.nanmean(self.cost, axis=0))
        return rank_score(utility[chosen].mean(axis=1), cost[chosen].mean(axis=1), *bounds)


@dataclass(eq=False, repr=False, kw_only=True)
class SoftLabelRouter(LiftRouter):
    """A classifier over models on soft labels, one per lambda of ``lambdas``.

    A subclass learns in ``_learn``. A model that was not observed on a sample is no
    candidate there: it is left out of the sample's normalisation instead of counting as
    wrong.

    Parameters
    ----------
    lambdas
        Of the grid, per USD, 0 always among them; 1e12 stands for infinity; None: the
        published ones.
    scale
        What costs in USD are multiplied by in the labels.
    """

    uses_pool: ClassVar[bool] = True
    stops_by_development: ClassVar[bool] = True
    learns_unsolved: ClassVar[bool] = False
    """Whether samples that no model solves teach too."""
    lambdas: list[Annotated[float, Ge(0)]] | None = None
    scale: Annotated[float, Gt(0)] = 100.0

    @property
    def grid(self) -> np.ndarray:
        """(G,) lambdas, ascending from 0."""
        return np.union1d(0.0, GRID if self.lambdas is None else self.lambdas)

    def fit(self, Z: Any, U: np.ndarray, C: np.ndarray, *pools: Pool) -> Self:
        """Make the labels of every lambda and learn them all."""
        (pool,) = pools
        labelled = np.isfinite(U).any(axis=1)
        Z, U, C = Z[labelled], U[labelled], C[labelled]
        held = None if pool.development is None else pool.development[labelled]
        teaches = np.ones(len(U), bool) if held is None else ~held
        self.mean_utility_, self.mean_cost_ = (observed_means(Y[teaches]) for Y in (U, C))
        labels = soft_labels(U, C, self.grid, self.scale * pool.unit)
        labels[:, np.isnan(U)] = np.nan
        solved = teaches.copy()
        if not self.learns_unsolved:
            solved[teaches] = taught(U[teaches])
        self._learn(Z, Lessons(labels, solved, U, C, held))
        self.mean_score_ = self.predict_scores(Z[teaches])[0].mean(axis=0)
        return self

    @abstractmethod
    def _learn(self, Z: Any, lessons: Lessons) -> None:
        """Learn from n samples, given by their features or as a frame."""
