"""Distance-weighted neighbours that vote for the best correct model (VL-RouterBench)."""

from typing import Annotated, ClassVar, Self

import numpy as np
from annotated_types import Ge

from mmroute.routers import Router, fill_missing_means, observed_means
from mmroute.routers.knn import nearest
from mmroute.routers.soft_labels import is_correct

_NEAREST = 1e-6
"""Distances below this are rounding: such neighbours all weigh the same."""


class PRkNN(Router):
    """Probability of each model being the best correct one, among the nearest samples.

    Each of the ``n_neighbors`` nearest training samples in cosine distance votes, by
    one over its distance, for the cheapest model that is right on it, and for none
    where no model is. The predicted utility is the share of the votes, so it ranks
    the models of a sample and is lower than their utility. The predicted cost is the
    neighbours' mean cost with the same weights. Neighbours on which a model was not
    observed are left out of its means; without any, its training mean stands in.

    The paper routes to the model of most votes, which is the policy's choice at
    lambda 0.
    """

    name: ClassVar[str] = "prknn"
    fusion: ClassVar[str] = "concat"
    features_: np.ndarray
    vote_: np.ndarray
    cost_: np.ndarray
    observed_: tuple[np.ndarray, np.ndarray]
    means_: tuple[np.ndarray, np.ndarray]

    def __init__(self, n_neighbors: Annotated[int, Ge(1)] = 7) -> None:
        self.n_neighbors = n_neighbors

    def fit(self, Z: np.ndarray, U: np.ndarray, C: np.ndarray) -> Self:
        """Find each training sample's best correct model, and keep the features."""
        # A copy: scikit-learn rounds otherwise where the queries are the very same array.
        self.features_ = np.array(Z)
        vote = _best_correct(U, C)
        self.means_ = observed_means(vote), observed_means(C)
        self.observed_ = np.isfinite(vote), np.isfinite(C)
        self.vote_, self.cost_ = np.nan_to_num(vote), np.nan_to_num(C)
        return self

    def predict(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Average the votes and the costs of each sample's neighbours."""
        distance, neighbours = nearest(self.features_, Z, self.n_neighbors)
        weights = 1 / np.maximum(distance, _NEAREST)[:, :, None]
        u_hat, c_hat = (
            _weighted_means(Y[neighbours], observed[neighbours], weights, mean)
            for Y, observed, mean in zip(
                (self.vote_, self.cost_), self.observed_, self.means_, strict=True
            )
        )
        return u_hat, c_hat


def _best_correct(U: np.ndarray, C: np.ndarray) -> np.ndarray:
    """Return (n, K) one vote per sample for its cheapest correct model; equals share it."""
    cost = np.where(is_correct(U), C, np.inf)
    best = np.isfinite(cost) & (cost == cost.min(axis=1, keepdims=True))
    return np.where(np.isnan(U), np.nan, best / np.maximum(best.sum(axis=1, keepdims=True), 1))


def _weighted_means(
    Y: np.ndarray, observed: np.ndarray, weights: np.ndarray, fallback: np.ndarray
) -> np.ndarray:
    """Average the observed entries of (N, k, K) over the k neighbours."""
    with np.errstate(invalid="ignore"):
        means = (weights * Y).sum(axis=1) / (weights * observed).sum(axis=1)
    return fill_missing_means(means, fallback)
