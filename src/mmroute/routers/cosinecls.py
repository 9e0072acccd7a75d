"""Cosine classifier over learned model embeddings (VL-RouterBench)."""

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from annotated_types import Ge
from torch import nn
from torch.nn.functional import normalize

from mmroute.routers.end_to_end import EndToEndRouter, Objective
from mmroute.routers.gradients import drawn

POSITIVES = 3
"""How many models, those of the largest labels, a sample is drawn to."""


class CosineHead(nn.Module):
    """Projects features once per lambda, and compares them with an embedding per model.

    The cosines are multiplied by a learned scale, which begins at 1 / 0.07. The lambdas share
    no weight, as if each had a network of its own.

    Parameters
    ----------
    n_features, n_lambdas, n_models
        d, G and K.
    projection
        Width of the projections and of the models' embeddings.
    """

    def __init__(self, n_features: int, n_lambdas: int, n_models: int, projection: int) -> None:
        super().__init__()
        self.projections = nn.Sequential(
            nn.Linear(n_features, n_lambdas * projection), nn.Unflatten(1, (n_lambdas, projection))
        )
        self.models = drawn(n_lambdas, n_models, projection)
        self.logit_scale = nn.Parameter(torch.full((n_lambdas, 1), -math.log(0.07)))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the (b, G, K) scaled cosines of (b, d) features to the models' embeddings."""
        projected = normalize(self.projections(features), dim=2)
        models = normalize(self.models, dim=2)
        return torch.einsum("bgp,gkp->bgk", projected, models) * self.logit_scale.exp()


@dataclass(eq=False, repr=False, kw_only=True)
class CosineCls(EndToEndRouter):
    """Cosine of the features, projected to ``projection``, to a learned embedding per model.

    InfoNCE: the 3 models of the largest soft labels, of equal ones the first, against all; the
    scale of the cosines is learned.

    Published
    ---------
    ``routers/cosinecls/router.py`` of https://github.com/yutao1024/SCOPE-Router. Departures
    beside those of ``EndToEndRouter``:

    - A linear projection, of a width of ours, stands in for the backbone's last layer.
    - The code adds the sample-sample loss of ``routerdc``, with which the two routers would be
      one method. The 3 models of the smallest labels, which it picks too, do nothing there.
    - At an infinite lambda the labels are the cheapest right model, where the code falls back
      to those of 0 and trains the same router twice.
    """

    name: ClassVar[str] = "cosinecls"
    fusion: ClassVar[str] = "pair"
    projection: Annotated[int, Ge(1)] = 64

    def _head(self, n_features: int, n_lambdas: int, n_models: int) -> nn.Module:
        return CosineHead(n_features, n_lambdas, n_models, self.projection)

    def _objective(self, labels: torch.Tensor, taught: np.ndarray) -> Objective:
        def loss(head: nn.Module, features: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
            return sample_model_loss(head(features), labels[rows])

        return loss


def sample_model_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the mean of -log(sum of exp over the positives / sum of exp over all models).

    Parameters
    ----------
    logits
        (b, G, K).
    labels
        (b, G, K) soft labels; the models with the 3 largest are the positives, of equal labels
        the first. A model with NaN takes no part.
    """
    missing = labels.isnan()
    order = labels.nan_to_num(nan=-1).argsort(dim=2, descending=True, stable=True)
    positive = torch.zeros_like(missing).scatter(2, order[:, :, :POSITIVES], value=True)
    known = logits.masked_fill(missing, -torch.inf)
    pulled = known.masked_fill(~positive, -torch.inf)
    return (known.logsumexp(dim=2) - pulled.logsumexp(dim=2)).mean()
