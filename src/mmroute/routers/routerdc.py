"""Dual contrastive learning: queries to models and queries to queries (RouterDC)."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from annotated_types import Ge, Gt
from sklearn.cluster import KMeans as Clustering
from torch import nn

from mmroute.routers.cosinecls import CosineHead
from mmroute.routers.end_to_end import EndToEndRouter, Objective, Samples

_NEVER = -1e4
"""A logit that counts for nothing, yet leaves a finite sum where all others do too."""


@dataclass(eq=False, repr=False, kw_only=True)
class RouterDC(EndToEndRouter):
    """Two contrastive losses on projected features (Chen et al., NeurIPS 2024; VL-RouterBench).

    - Sample to models: a model that is right is drawn to the sample, against the models
      that are wrong. With r the soft labels over the sample's largest, models weigh
      their soft label as positives and 1 - r as negatives. So at lambda 0 the right
      models stand against the wrong ones, and as lambda grows, the cheapest right one
      against all others.
    - Sample to samples, times ``cluster_weight``: a sample is drawn to those of its
      cluster, against those of the others. ``n_clusters`` k-means clusters of the
      features, found once.

    Departures from the published code: all models are positives or negatives, by
    weight, instead of the top and the last three, and all samples of a batch, instead
    of one positive and three negatives drawn from it; a sample on which no model is
    right draws the cheapest, as its soft labels do, instead of being left out; the
    clusters are of the features, not of their t-SNE; and a linear projection on
    normalised embeddings stands in for the text encoder that is trained there, with
    our learning rate.

    Parameters
    ----------
    projection, temperature
        Width of the projected features, and what their cosines are divided by.
    """

    name: ClassVar[str] = "routerdc"
    fusion: ClassVar[str] = "pair"
    projection: Annotated[int, Ge(1)] = 64
    temperature: Annotated[float, Gt(0)] = 1.0
    n_clusters: Annotated[int, Ge(1)] = 8
    cluster_weight: Annotated[float, Ge(0)] = 1.0

    def _head(self, n_features: int, n_lambdas: int, n_models: int) -> nn.Module:
        return CosineHead(n_features, n_lambdas, n_models, self.projection, self.temperature)

    def _learn(self, Z: Samples, labels: np.ndarray) -> None:
        super()._learn(Z, labels)
        # A contrast estimates no label: what tells of a model is its score above its own mean.
        self.mean_label_ = self.predict_scores(Z)[0].mean(axis=0)

    def _objective(self, features: np.ndarray, labels: torch.Tensor) -> Objective:
        clusters = torch.as_tensor(self._clusters(features), device=labels.device)

        def loss(head: CosineHead, features: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
            projected = head.project(features)
            similarity = torch.einsum("agp,bgp->gab", projected, projected) / self.temperature
            return sample_model_loss(
                head.compare(projected), labels[rows]
            ) + self.cluster_weight * sample_sample_loss(similarity, clusters[rows])

        return loss

    def _clusters(self, features: np.ndarray) -> np.ndarray:
        return Clustering(
            n_clusters=min(self.n_clusters, len(np.unique(features, axis=0))),
            n_init=1,
            random_state=self.random_state,
        ).fit_predict(features)


def sample_model_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the mean contrast of the positive models with the negative ones.

    With logits s, labels t and r = t / max t, of each sample and lambda:
    -sum_m t_m log(exp s_m / (exp s_m + sum over n != m of (1 - r_n) exp s_n)).

    Parameters
    ----------
    logits
        (b, G, K) similarities.
    labels
        (b, G, K) soft labels; NaN is neither positive nor negative.
    """
    positive = labels.nan_to_num()
    relative = positive / positive.amax(dim=2, keepdim=True)
    negative = (1 - relative).masked_fill(labels.isnan(), 0)
    # The sum over all n has (1 - r_m) exp s_m too much: r_m exp s_m is left of the model's own.
    others = (logits + _log(negative)).logsumexp(dim=2, keepdim=True)
    total = torch.logaddexp(others, logits + _log(relative))
    return (positive * (total - logits)).sum(dim=2).mean()


def sample_sample_loss(similarity: torch.Tensor, clusters: torch.Tensor) -> torch.Tensor:
    """Return the mean contrast of the samples of a cluster with those of the others.

    Parameters
    ----------
    similarity
        (G, b, b) between samples.
    clusters
        (b,) of the samples. One that is alone in its cluster adds nothing.
    """
    same = clusters[:, None] == clusters
    others = similarity.masked_fill(same, _NEVER).logsumexp(dim=2, keepdim=True)
    contrast = torch.logaddexp(others, similarity) - similarity
    pairs = same.float().fill_diagonal_(0)
    weights = pairs / pairs.sum(dim=1, keepdim=True).clamp(min=1)
    return (weights * contrast).sum(dim=2).mean()


def _log(weights: torch.Tensor) -> torch.Tensor:
    return torch.where(weights > 0, weights.log(), _NEVER)
