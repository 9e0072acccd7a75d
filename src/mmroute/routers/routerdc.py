"""Dual contrastive learning: queries to models and queries to queries (RouterDC)."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from annotated_types import Ge, Gt
from sklearn.cluster import KMeans
from torch import nn
from torch.nn.functional import normalize

from mmroute.routers.cosinecls import CosineCls, sample_model_loss
from mmroute.routers.end_to_end import Objective
from mmroute.routers.gradients import device


@dataclass(eq=False, repr=False, kw_only=True)
class RouterDC(CosineCls):
    """Two contrastive losses (Chen et al., NeurIPS 2024; VL-RouterBench).

    - Sample to models, as ``cosinecls``, by features projected to ``projection``.
    - Sample to samples, times ``cluster_weight``: a sample is drawn to those of a batch that
      are of its cluster, against all others. Clusters are ``n_clusters`` k-means clusters of
      the samples' soft labels at a lambda; samples are alike as their scores of the models are.

    Published
    ---------
    ``routers/routerdc/router.py`` of https://github.com/yutao1024/SCOPE-Router, at 5e-5 in
    place of 2e-5. Departures beside those of ``EndToEndRouter``:

    - A linear projection, of a width of ours, stands in for the backbone's last layer.
    - At an infinite lambda the labels are the cheapest right model, where the code falls back
      to those of 0 and trains the same router twice.
    """

    name: ClassVar[str] = "routerdc"
    finetune_learning_rate: Annotated[float, Gt(0)] = 5e-5
    n_clusters: Annotated[int, Ge(1)] = 5
    cluster_weight: Annotated[float, Ge(0)] = 1.0

    def _objective(self, labels: torch.Tensor, taught: np.ndarray) -> Objective:
        clusters = torch.as_tensor(self._clusters(labels.cpu().numpy(), taught), device=device())

        def loss(head: nn.Module, features: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
            logits = head(features)
            samples = sample_sample_loss(logits, clusters[rows])
            return sample_model_loss(logits, labels[rows]) + self.cluster_weight * samples

        return loss

    def _clusters(self, labels: np.ndarray, taught: np.ndarray) -> np.ndarray:
        """Return the (n, G) clusters of (n, G, K) labels; of samples that teach nothing, 0."""
        clusters = np.zeros(labels.shape[:2], np.int64)
        # Labels that differ by less are no clusters of their own.
        known = np.nan_to_num(labels[taught]).round(6)
        for index, scores in enumerate(known.swapaxes(0, 1)):
            clusters[taught, index] = KMeans(
                n_clusters=min(self.n_clusters, len(np.unique(scores, axis=0))),
                n_init=10,
                random_state=self.random_state,
            ).fit_predict(scores)
        return clusters


def sample_sample_loss(logits: torch.Tensor, clusters: torch.Tensor) -> torch.Tensor:
    """Return the mean of -log(sum of exp over the own cluster / sum of exp over all).

    The exponents are cosines of the samples' logits; the first sum leaves the sample itself
    out. A sample that is alone in its cluster does not count.

    Parameters
    ----------
    logits
        (b, G, K).
    clusters
        (b, G).
    """
    directions = normalize(logits, dim=2).transpose(0, 1)
    likeness = (directions @ directions.transpose(1, 2)).exp()
    own = clusters.T[:, :, None] == clusters.T[:, None, :]
    own = own & ~torch.eye(len(logits), dtype=torch.bool, device=own.device)
    paired = own.any(dim=2)
    contrast = likeness.sum(dim=2).log() - (likeness * own).sum(dim=2).clamp(min=1e-8).log()
    counts = paired.sum(dim=1).clamp(min=1)
    return ((contrast * paired).sum(dim=1) / counts).mean()
