"""Neighbours that vote for models (VL-RouterBench)."""

from abc import abstractmethod
from typing import Annotated, ClassVar, Self

import numpy as np
from annotated_types import Ge

from mmroute.routers import OneChoice, observed_means
from mmroute.routers.nearest import nearest
from mmroute.routers.soft_labels import cheapest_first, is_correct, taught
from mmroute.routers.standardiser import Standardiser


class VotingNeighbours(OneChoice):
    """The model for which most of the ``n_neighbors`` nearest training samples vote.

    Nearness is cosine distance of the standardised features, over the samples that some
    model solves. Votes are counted as shares of the votes that could be had, as a model that
    was not observed on a sample could have none there.

    A subclass says how a sample votes, and how much it weighs.
    """

    standardiser_: Standardiser
    features_: np.ndarray
    votes_: np.ndarray
    possible_: np.ndarray

    def __init__(self, n_neighbors: Annotated[int, Ge(1)]) -> None:
        self.n_neighbors = n_neighbors

    @abstractmethod
    def _votes(self, U: np.ndarray, C: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the (n, K) votes that each model gets, and those that it could get."""

    @abstractmethod
    def _weights(self, distance: np.ndarray) -> np.ndarray:
        """Return the (N, k) weights of neighbours."""

    def fit(self, Z: np.ndarray, U: np.ndarray, C: np.ndarray) -> Self:
        """Keep the training samples and how they vote."""
        self.mean_utility_, self.mean_cost_ = observed_means(U), observed_means(C)
        kept = taught(U)
        self.standardiser_ = Standardiser.fit(Z[kept])
        self.features_ = self.standardiser_.apply(Z[kept])
        self.votes_, self.possible_ = self._votes(U[kept], C[kept])
        self.mean_score_ = _share(self.votes_.sum(axis=0), self.possible_.sum(axis=0), 0.0)
        return self

    def predict_scores(self, Z: np.ndarray) -> np.ndarray:
        """Return each model's share of its neighbours' votes; without any, its mean share."""
        features = self.standardiser_.apply(Z)
        return np.concatenate(
            [self._shares(*near) for near in nearest(self.features_, features, self.n_neighbors)]
        )[None]

    def _shares(self, distance: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
        """Return the (N, K) shares of the votes of (N, k) neighbours."""
        weights = self._weights(distance)[:, :, None]
        votes, possible = (
            (weights * counts[neighbours]).sum(axis=1) for counts in (self.votes_, self.possible_)
        )
        return _share(votes, possible, self.mean_score_)


class PRkNN(VotingNeighbours):
    """Pairwise comparisons of the models on the ``n_neighbors`` nearest samples.

    On a neighbour, one model wins against another if it is right and the other is not, or if
    both are right or wrong alike and it is cheaper. A neighbour weighs 1 / (1e-6 + distance);
    the model of most weighted wins is chosen (Copeland).

    Published
    ---------
    ``routers/prknn/router.py`` of https://github.com/yutao1024/SCOPE-Router. Departures:

    - k = 7, as in the paper; the code's default is 5.
    - Wins are shares of the comparisons made, which is the same where no outcome is missing;
      the code has no missing outcomes.
    """

    name: ClassVar[str] = "prknn"
    fusion: ClassVar[str] = "concat"

    def __init__(self, n_neighbors: Annotated[int, Ge(1)] = 7) -> None:
        super().__init__(n_neighbors)

    def _votes(self, U: np.ndarray, C: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        observed, right = np.isfinite(U), is_correct(U)
        wins, made = np.zeros(U.shape), np.zeros(U.shape)
        for other in range(U.shape[1]):
            compared = observed & observed[:, [other]]
            compared[:, other] = False
            ahead = right & ~right[:, [other]]
            cheaper = (right == right[:, [other]]) & (C[:, [other]] > C)
            wins += compared & (ahead | cheaper)
            made += compared
        return wins, made

    def _weights(self, distance: np.ndarray) -> np.ndarray:
        return 1 / (1e-6 + distance)


class KNNVL(VotingNeighbours):
    """The cheapest model that is right, by a vote of the ``n_neighbors`` nearest samples.

    A neighbour weighs one over its distance.

    Published
    ---------
    ``routers/knn/router.py`` of https://github.com/yutao1024/SCOPE-Router. Departures:

    - Distances below 1e-12 are rounding and weigh alike, as zeros do there; the other
      neighbours are outvoted by them all the same.
    - Votes are shares of those that a model could get, which is the same where no outcome is
      missing; the code has no missing outcomes.
    """

    name: ClassVar[str] = "knn_vl"
    fusion: ClassVar[str] = "concat"

    def __init__(self, n_neighbors: Annotated[int, Ge(1)] = 5) -> None:
        super().__init__(n_neighbors)

    def _votes(self, U: np.ndarray, C: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return cheapest_first(C, is_correct(U)).astype(float), np.isfinite(U).astype(float)

    def _weights(self, distance: np.ndarray) -> np.ndarray:
        return 1 / np.maximum(distance, 1e-12)


def _share(part: np.ndarray, whole: np.ndarray, fallback: np.ndarray | float) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.where(whole > 0, part / whole, fallback)
