"""k nearest neighbours (MMR-Bench S9)."""

from typing import Annotated, ClassVar, Self

import numpy as np
from annotated_types import Ge

from mmroute.routers import Router, fill_missing_means, observed_means
from mmroute.routers.nearest import nearest


class KNN(Router):
    """Mean outcomes of the ``n_neighbors`` training samples nearest in cosine distance.

    Missing outcomes are left out of a mean; where no neighbour has one, the
    model's training mean stands in.

    Published
    ---------
    ``src/mmrbench/routers/knn.py`` of https://github.com/Hunter-Wrynn/MMR-Bench. Departures:

    - The features are fused adaptively, as the paper's table says; the code takes the mean.
    - Missing outcomes are left out, where the code fills them with the models' means over
      training and test samples together, which leaks.
    """

    name: ClassVar[str] = "knn"
    fusion: ClassVar[str] = "adaptive"
    features_: np.ndarray
    outcomes_: tuple[np.ndarray, np.ndarray]
    observed_: tuple[np.ndarray, np.ndarray]
    means_: tuple[np.ndarray, np.ndarray]

    def __init__(self, n_neighbors: Annotated[int, Ge(1)] = 50) -> None:
        self.n_neighbors = n_neighbors

    def fit(self, Z: np.ndarray, U: np.ndarray, C: np.ndarray) -> Self:
        """Keep the training samples."""
        # A copy: scikit-learn rounds otherwise where the queries are the very same array.
        self.features_ = np.array(Z)
        self.means_ = observed_means(U), observed_means(C)
        self.observed_ = np.isfinite(U), np.isfinite(C)
        self.outcomes_ = np.nan_to_num(U), np.nan_to_num(C)
        return self

    def predict(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Average over each sample's neighbours."""
        means = [
            [
                _neighbour_means(Y[neighbours], observed[neighbours], mean)
                for Y, observed, mean in zip(
                    self.outcomes_, self.observed_, self.means_, strict=True
                )
            ]
            for _, neighbours in nearest(self.features_, Z, self.n_neighbors)
        ]
        u_hat, c_hat = map(np.concatenate, zip(*means, strict=True))
        return u_hat, c_hat


def _neighbour_means(Y: np.ndarray, observed: np.ndarray, fallback: np.ndarray) -> np.ndarray:
    """Average the observed entries of (N, k, K) over the k neighbours."""
    with np.errstate(invalid="ignore"):
        return fill_missing_means(Y.sum(axis=1) / observed.sum(axis=1), fallback)
