"""k nearest neighbours (MMR-Bench S9)."""

from typing import Annotated, ClassVar, Self

import numpy as np
from annotated_types import Ge
from sklearn.neighbors import NearestNeighbors

from mmroute.routers import Router, fill_missing_means, observed_means


class KNN(Router):
    """Mean outcomes of the ``n_neighbors`` training samples nearest in cosine distance.

    Missing outcomes are left out of a mean; where no neighbour has one, the
    model's training mean stands in.
    """

    name: ClassVar[str] = "knn"
    fusion: ClassVar[str] = "adaptive"

    def __init__(self, n_neighbors: Annotated[int, Ge(1)] = 50) -> None:
        self.n_neighbors = n_neighbors

    def fit(self, Z: np.ndarray, U: np.ndarray, C: np.ndarray) -> Self:
        """Index the training features."""
        self.utility_, self.cost_ = U, C
        self.means_ = observed_means(U), observed_means(C)
        self.index_ = NearestNeighbors(
            n_neighbors=min(self.n_neighbors, len(Z)), metric="cosine"
        ).fit(Z)
        return self

    def predict(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Average over each sample's neighbours."""
        neighbours = self.index_.kneighbors(Z, return_distance=False)
        return (
            _neighbour_means(self.utility_, neighbours, self.means_[0]),
            _neighbour_means(self.cost_, neighbours, self.means_[1]),
        )


def _neighbour_means(Y: np.ndarray, neighbours: np.ndarray, fallback: np.ndarray) -> np.ndarray:
    observed = np.isfinite(Y)
    count = observed[neighbours].sum(axis=1)
    total = np.where(observed, Y, 0)[neighbours].sum(axis=1)
    with np.errstate(invalid="ignore"):
        return fill_missing_means(total / count, fallback)
