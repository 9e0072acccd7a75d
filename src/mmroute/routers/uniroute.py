"""A model is the vector of its errors per cluster of queries; a new one joins by a few labels."""

from typing import Annotated, ClassVar, Self

import numpy as np
from annotated_types import Ge
from sklearn.metrics import pairwise_distances_argmin

from mmroute.routers import DynamicRouter, observed_means
from mmroute.routers.kmeans import KMeans

LEVEL, LEVEL_VARIANCE = 1 / 2, 1 / 12
"""Moments of a model's utility before any label, when it is as likely anywhere in [0, 1]."""


class UniRoute(DynamicRouter):
    """Errors of the models per cluster of queries (Jitkrittum et al., ICLR 2026, arXiv 2502.08773).

    The K-means variant: queries are clustered without their labels, a model is the vector of its
    errors per cluster, and 1 - error in the query's cluster is the predicted utility. Its mean cost
    is the predicted cost, as in the paper. So a new model needs a few labelled queries, and neither
    clusters nor other models change. Published, on EmbedLLM's 112 models of which a third were new:
    area .649 and a QNC of 33.7 %, against .636 and 45.9 % of the nearest neighbours.

    Departures: an error is not the mean of a cluster's labels alone, of which a new model has one
    or none. It is expected under a normal prior: anywhere in [0, 1] on average over the clusters,
    and differing between them as the other models do, less what sampling adds to that. So how far
    a mean is believed follows from the other models, and a cluster without labels is foreseen from
    those that have some. With many labels the mean remains. On the demo (three new models in turn,
    eight splits) training with all labels is .011 nAUC better than 16 labels of the new model, and
    .006 better than 64; by the means alone .033 and .013, and .018 lower with all. The number
    of clusters follows from that of the samples, where the paper chooses it on models held out.
    Both modalities, where the paper has text.

    Parameters
    ----------
    n_clusters
        The most clusters.
    samples_per_cluster
        Training samples for each cluster, at least on average.
    """

    name: ClassVar[str] = "uniroute"
    fusion: ClassVar[str] = "adaptive"
    centers_: np.ndarray
    labels_: np.ndarray
    solved_: np.ndarray
    utility_: np.ndarray
    mean_cost_: np.ndarray

    def __init__(
        self,
        n_clusters: Annotated[int, Ge(1)] = 100,
        samples_per_cluster: Annotated[int, Ge(1)] = 20,
        random_state: int = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.samples_per_cluster = samples_per_cluster
        self.random_state = random_state

    def fit(self, Z: np.ndarray, U: np.ndarray, C: np.ndarray) -> Self:
        """Cluster the features and add up the models' utilities in each cluster."""
        n_clusters = max(1, min(self.n_clusters, len(Z) // self.samples_per_cluster))
        self.centers_ = KMeans(n_clusters, self.random_state).fit(Z, U, C).centers_
        self.mean_cost_ = observed_means(C)
        self.labels_, self.solved_ = self._sums(Z, U)
        others = ~np.eye(U.shape[1], dtype=bool)
        self.utility_ = np.column_stack(
            [self._expected(model, row) for model, row in enumerate(others)]
        )
        return self

    def add_model(self, Z: np.ndarray, utility: np.ndarray, cost: np.ndarray) -> Self:
        """Add a model as the last one; its vector is the one that ``fit`` would give it."""
        labels, solved = self._sums(Z, utility[:, None])
        self.labels_ = np.hstack([self.labels_, labels])
        self.solved_ = np.hstack([self.solved_, solved])
        own = self._expected(-1, np.arange(self.labels_.shape[1] - 1))
        self.utility_ = np.column_stack([self.utility_, own])
        self.mean_cost_ = np.append(self.mean_cost_, cost.mean())
        return self

    def predict(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Look up each sample's cluster; the cost is each model's mean."""
        return self.utility_[self._cluster(Z)], np.tile(self.mean_cost_, (len(Z), 1))

    def _cluster(self, Z: np.ndarray) -> np.ndarray:
        cluster: np.ndarray = pairwise_distances_argmin(Z, self.centers_)
        return cluster

    def _sums(self, Z: np.ndarray, U: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The (m, K) numbers of labels in each cluster, and sums of the utilities."""
        member = self._cluster(Z) == np.arange(len(self.centers_))[:, None]
        observed = np.isfinite(U)
        return member @ observed.astype(float), member @ np.where(observed, U, 0.0)

    def _expected(self, model: int, others: np.ndarray) -> np.ndarray:
        """The (m,) expected utilities of a model in the clusters, by its labels and the others."""
        labels, solved = self.labels_[:, model], self.solved_[:, model]
        prior = LEVEL_VARIANCE + _covariance(self.labels_[:, others], self.solved_[:, others])
        seen = labels > 0
        noise = np.diag(_variance(labels, solved) / labels[seen])
        surprise = np.linalg.solve(
            prior[np.ix_(seen, seen)] + noise, solved[seen] / labels[seen] - LEVEL
        )
        return np.clip(LEVEL + prior[:, seen] @ surprise, 0, 1)


def _covariance(labels: np.ndarray, solved: np.ndarray) -> np.ndarray:
    """The (m, m) covariance of m clusters' means about a model's own, over K models.

    And over one more, which differs by as much, and from cluster to cluster independently: what K
    models never do is not impossible.
    """
    n_clusters, n_models = labels.shape
    n_labels = np.maximum(labels, 1)
    deviation = (solved - labels * (solved.sum(axis=0) / labels.sum(axis=0))) / n_labels
    sampling = np.where(labels > 0, _variance(labels, solved) / n_labels, 0).sum(axis=1)
    values, vectors = np.linalg.eigh(deviation @ deviation.T - np.diag(sampling))
    values = np.maximum(values, 0)
    values += values.sum() / (n_clusters * max(n_models, 1))
    covariance: np.ndarray = (vectors * values) @ vectors.T / (n_models + 1)
    return covariance


def _variance(labels: np.ndarray, solved: np.ndarray) -> np.ndarray:
    """Of a model's utilities, as of right and wrong answers: by the rule of succession."""
    share = (solved.sum(axis=0) + 1) / (labels.sum(axis=0) + 2)
    variance: np.ndarray = share * (1 - share)
    return variance
