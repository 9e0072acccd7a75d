"""Soft labels over models, on which the routers of VL-RouterBench are trained."""

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Annotated, Self

import numpy as np
from annotated_types import Ge, Gt

from mmroute.routers import GridRouter, observed_means

GRID = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Lambdas, ascending from 0. Ours, as the paper prints no grid: from indifference to cost
to the cheapest correct model, in half decades of the normalised cost's inverse."""


def is_correct(U: np.ndarray) -> np.ndarray:
    """Return whether each outcome counts as right: a utility above 0.5, so never a missing one.

    The paper has utilities of 0 and 1 only; the threshold is that of ``auroc``.
    """
    return U > 0.5


def soft_labels(U: np.ndarray, C: np.ndarray, grid: np.ndarray, scale: float) -> np.ndarray:
    """Return the soft labels of each lambda (VL-RouterBench; definitions, section 6).

    t_i(m) = 1[m is right on i] exp(-lambda s C_im), normalised over the models. If no
    model is right, all mass is on the cheapest observed one; models of equal cost
    share alike.

    Parameters
    ----------
    U, C
        (n, K) utility and normalised cost, NaN where missing.
    grid
        (G,) finite lambdas, not negative, however large.
    scale
        s, which turns a normalised cost into the unit of lambda.

    Returns
    -------
    np.ndarray
        (G, n, K) float64. Each row sums to 1, or to 0 if the sample has no outcome;
        a missing outcome gets 0.
    """
    correct = is_correct(U)
    observed = np.where(np.isfinite(U), C, np.inf)
    cheapest = np.isfinite(U) & (observed == observed.min(axis=1, keepdims=True))
    eligible = np.where(correct.any(axis=1, keepdims=True), correct, cheapest)
    eligible_cost = np.where(eligible, C, np.inf)
    # Beyond the cheapest eligible cost, at least one exponent is 0 whatever lambda is.
    excess = np.where(eligible, C - eligible_cost.min(axis=1, keepdims=True), 0)
    with np.errstate(over="ignore"):
        weights = eligible * np.exp(-np.multiply.outer(grid, scale * excess))
    total = weights.sum(axis=2, keepdims=True)
    return np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)


@dataclass(eq=False, repr=False, kw_only=True)
class SoftLabelRouter(GridRouter):
    """A classifier over models on soft labels, one per lambda of ``lambdas``.

    A subclass learns in ``_learn``. A model that was not observed on a sample is no
    candidate there: it is left out of the sample's normalisation instead of counting as
    wrong.

    Parameters
    ----------
    lambdas
        Of the grid, 0 always among them; None: ``GRID``.
    scale
        s of the labels.
    """

    lambdas: list[Annotated[float, Ge(0)]] | None = None
    scale: Annotated[float, Gt(0)] = 1.0
    mean_utility_: np.ndarray = field(init=False)
    mean_cost_: np.ndarray = field(init=False)
    mean_label_: np.ndarray = field(init=False)

    @property
    def grid(self) -> np.ndarray:
        """(G,) lambdas, ascending from 0."""
        return np.union1d(0.0, GRID if self.lambdas is None else self.lambdas)

    def fit(self, Z: np.ndarray, U: np.ndarray, C: np.ndarray) -> Self:
        """Make the labels of every lambda and learn them all."""
        self.mean_utility_, self.mean_cost_ = observed_means(U), observed_means(C)
        labelled = np.isfinite(U).any(axis=1)
        labels = self._labels(U[labelled], C[labelled])
        self.mean_label_ = np.nanmean(labels[0], axis=0)
        self._learn(Z[labelled], labels)
        return self

    def _labels(self, U: np.ndarray, C: np.ndarray) -> np.ndarray:
        """Return the (G, n, K) labels, NaN where an outcome is missing."""
        labels = soft_labels(U, C, self.grid, self.scale)
        labels[:, np.isnan(U)] = np.nan
        return labels

    @abstractmethod
    def _learn(self, Z: np.ndarray, labels: np.ndarray) -> None:
        """Learn (G, n, K) labels, NaN where an outcome is missing, from (n, d) features."""

    def predict(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return scores as utilities, and each model's mean training cost.

        At lambda 0 a score tells how likely the model is to be right, but shared with
        the other models that are. Over the model's mean label it is a lift, which
        multiplies the model's mean utility; no utility exceeds 1.
        """
        scores = self.predict_scores(Z)[0]
        lift = np.divide(
            scores, self.mean_label_, out=np.ones_like(scores), where=self.mean_label_ > 0
        )
        return np.clip(lift * self.mean_utility_, 0, 1), np.tile(self.mean_cost_, (len(Z), 1))
