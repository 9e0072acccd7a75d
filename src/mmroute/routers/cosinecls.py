"""Cosine classifier over learned model embeddings (VL-RouterBench)."""

from typing import Annotated, ClassVar, Literal

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


class CosineCls(EndToEndRouter):
    """Cosine of the projected features to a learned embedding per model.

    Cross-entropy to the soft labels of the cosines over ``temperature``. The width of
    the projections, ``projection``, is ours.
    """

    name: ClassVar[str] = "cosinecls"
    fusion: ClassVar[str] = "pair"

    def __init__(
        self,
        mode: Literal["frozen", "finetune"] = "frozen",
        clip_model: str = "ViT-B-32",
        pretrained: str = "openai",
        finetune_epochs: Annotated[int, Ge(1)] = 10,
        finetune_learning_rate: Annotated[float, Gt(0)] = 1e-5,
        lambdas: list[Annotated[float, Ge(0)]] | None = None,
        scale: Annotated[float, Gt(0)] = 1.0,
        projection: Annotated[int, Ge(1)] = 64,
        temperature: Annotated[float, Gt(0)] = 0.07,
        epochs: Annotated[int, Ge(1)] = 100,
        learning_rate: Annotated[float, Gt(0)] = 1e-3,
        batch_size: Annotated[int, Ge(1)] = 64,
        patience: Annotated[int, Ge(1)] = 10,
        random_state: int = 0,
    ) -> None:
        self.mode = mode
        self.clip_model = clip_model
        self.pretrained = pretrained
        self.finetune_epochs = finetune_epochs
        self.finetune_learning_rate = finetune_learning_rate
        self.lambdas = lambdas
        self.scale = scale
        self.projection = projection
        self.temperature = temperature
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.patience = patience
        self.random_state = random_state

    def _head(self, n_features: int, n_lambdas: int, n_models: int) -> nn.Module:
        return CosineHead(n_features, n_lambdas, n_models, self.projection, self.temperature)
