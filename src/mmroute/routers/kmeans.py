"""Clusters of queries, each with the models' mean outcomes (MMR-Bench S8)."""

from typing import Annotated, ClassVar, Self

import numpy as np
from annotated_types import Ge
from sklearn.cluster import KMeans as Clustering
from sklearn.metrics import pairwise_distances_argmin

from mmroute.routers import Router, fill_missing_means, observed_means

MOST_CLUSTERED = 100_000
"""The most training samples from which centres are learned; of more, as many are drawn."""


class KMeans(Router):
    """Mean outcomes of the training samples in the nearest of ``n_clusters`` clusters.

    k-means++ on the training features, ``MOST_CLUSTERED`` of them at most. Missing outcomes are
    left out of a mean; where a cluster has none for a model, the model's training mean stands in.

    Published
    ---------
    ``src/mmrbench/routers/kmeans.py`` of https://github.com/Hunter-Wrynn/MMR-Bench. Departures:

    - Missing outcomes are left out, where the code fills them with the models' means over
      training and test samples together, which leaks.
    """

    name: ClassVar[str] = "kmeans"
    fusion: ClassVar[str] = "adaptive"
    centers_: np.ndarray
    utility_: np.ndarray
    cost_: np.ndarray

    def __init__(self, n_clusters: Annotated[int, Ge(1)] = 20, random_state: int = 0) -> None:
        self.n_clusters = n_clusters
        self.random_state = random_state

    def fit(self, Z: np.ndarray, U: np.ndarray, C: np.ndarray) -> Self:
        """Cluster the features and average the outcomes in each cluster."""
        drawn = Z
        if len(Z) > MOST_CLUSTERED:
            generator = np.random.default_rng(self.random_state)
            drawn = Z[generator.choice(len(Z), MOST_CLUSTERED, replace=False)]
        clusters = Clustering(
            n_clusters=min(self.n_clusters, len(np.unique(drawn, axis=0))),
            n_init=1,
            random_state=self.random_state,
        ).fit(drawn)
        self.centers_ = clusters.cluster_centers_
        labels = clusters.labels_ if drawn is Z else pairwise_distances_argmin(Z, self.centers_)
        member = labels == np.arange(len(self.centers_))[:, None]
        self.utility_, self.cost_ = (_cluster_means(member, Y) for Y in (U, C))
        return self

    def predict(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Look up each sample's cluster."""
        cluster = pairwise_distances_argmin(Z, self.centers_)
        return self.utility_[cluster], self.cost_[cluster]


def _cluster_means(member: np.ndarray, Y: np.ndarray) -> np.ndarray:
    observed = np.isfinite(Y)
    with np.errstate(invalid="ignore"):
        means = (member @ np.where(observed, Y, 0)) / (member @ observed.astype(float))
    return fill_missing_means(means, observed_means(Y))
