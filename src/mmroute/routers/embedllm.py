"""A vector per model, compared with a projection of the query (EmbedLLM)."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from annotated_types import Ge
from scipy.special import expit
from torch import nn

from mmroute.routers.gradients import drawn, masked_cross_entropy
from mmroute.routers.latent import LatentRouter, Loss


class Factors(nn.Module):
    """The logit of being right: a linear layer on the product of query and model, by element.

    Parameters
    ----------
    n_features, n_models, width
        d, K, and the dimensions of the models' vectors.
    noise
        Standard deviation of what is added to the features in training.
    """

    def __init__(self, n_features: int, n_models: int, width: int, noise: float) -> None:
        super().__init__()
        self.query = nn.Linear(n_features, width)
        self.models = drawn(n_models, width)
        self.classifier = nn.Linear(width, 1)
        self.noise = noise

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the (b, K) logits of (b, d) features."""
        if self.training:
            features = features + self.noise * torch.randn_like(features)
        products = self.query(features)[:, None] * self.models
        logits: torch.Tensor = self.classifier(products).squeeze(2)
        return logits


@dataclass(eq=False, repr=False, kw_only=True)
class EmbedLLM(LatentRouter):
    """Vectors of the models, learned from which queries they solve (arXiv 2410.02223).

    A query's embedding, with a little noise in training, is projected into the models' space;
    a linear layer on its product with a model's vector, element by element, gives the logit of
    being right, trained by cross-entropy. Width and noise are those of the published code
    (Zhuang et al., ICLR 2025); utilities between 0 and 1 are soft targets.

    Published (code: richardzhuang0412/EmbedLLM): 112 models on 36,054 questions of ten data sets,
    of which a tenth tests; over 750 choices a second. Its accuracy is drawn, not printed, in what
    we could read.

    Departures: training ends where held-out queries say so, with a larger step and smaller
    batches, as a few hundred queries for a handful of models stand in for the paper's tens of
    thousands for 112; one logit, not two of a softmax, which is the same; both modalities, where
    the paper has text; and costs, of which the paper has none, by a perceptron.

    Parameters
    ----------
    width
        Dimensions of the models' vectors.
    noise
        Standard deviation of what is added to the features in training.
    """

    name: ClassVar[str] = "embedllm"
    fusion: ClassVar[str] = "adaptive"
    width: Annotated[int, Ge(1)] = 232
    noise: Annotated[float, Ge(0)] = 0.05

    def predict(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return each model's probability of being right, and its cost."""
        logits, c_hat = super().predict(Z)
        return expit(logits), c_hat

    def _network(self) -> nn.Module:
        return Factors(self.n_features_, self.n_models_, self.width, self.noise)

    def _loss(self, Z: np.ndarray, U: np.ndarray) -> Loss:
        return masked_cross_entropy(Z, U)
