"""Cosine classifier over learned model embeddings (VL-RouterBench)."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt
from torch import nn
from torch.nn.functional import normalize

from mmroute.routers.end_to_end import EndToEndRouter
from mmroute.routers.gradients import drawn


class CosineHead(nn.Module):
    """Projects features once per lambda, and compares them with an embedding per model.

    The lambdas share no weight, as if each had a network of its own.

    Parameters
    ----------
    n_features, n_lambdas, n_models
        d, G and K.
    projection
        Width of the projections and of the models' embeddings.
    temperature
        What the cosines are divided by.
    """

    def __init__(
        self, n_features: int, n_lambdas: int, n_models: int, projection: int, temperature: float
    ) -> None:
        super().__init__()
        self.projections = nn.Sequential(
            nn.Linear(n_features, n_lambdas * projection), nn.Unflatten(1, (n_lambdas, projection))
        )
        self.models = drawn(n_lambdas, n_models, projection)
        self.temperature = temperature

    def project(self, features: torch.Tensor) -> torch.Tensor:
        """Return the (b, G, projection) normalised projections of (b, d) features."""
        return normalize(self.projections(features), dim=2)

    def compare(self, projected: torch.Tensor) -> torch.Tensor:
        """Return the (b, G, K) cosines to the models' embeddings over the temperature."""
        models = normalize(self.models, dim=2)
        return torch.einsum("bgp,gkp->bgk", projected, models) / self.temperature

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return (b, G, K) logits."""
        return self.compare(self.project(features))


@dataclass(eq=False, repr=False, kw_only=True)
class CosineCls(EndToEndRouter):
    """Cosine of the projected features to a learned embedding per model.

    Cross-entropy to the soft labels of the cosines over ``temperature``. The width of
    the projections, ``projection``, is ours.
    """

    name: ClassVar[str] = "cosinecls"
    fusion: ClassVar[str] = "pair"
    projection: Annotated[int, Ge(1)] = 64
    temperature: Annotated[float, Gt(0)] = 0.07

    def _head(self, n_features: int, n_lambdas: int, n_models: int) -> nn.Module:
        return CosineHead(n_features, n_lambdas, n_models, self.projection, self.temperature)
