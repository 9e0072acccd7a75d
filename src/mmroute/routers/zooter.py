"""Distillation of the models' rewards (ZOOTER)."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from annotated_types import Ge, Gt
from scipy.special import softmax
from torch import nn

from mmroute.routers.end_to_end import EndToEndRouter
from mmroute.routers.gradients import drawn


class RewardHead(nn.Module):
    """A perceptron with one hidden layer per lambda; the lambdas share no weight.

    Parameters
    ----------
    n_features, n_lambdas, n_models
        d, G and K.
    hidden
        Width of the hidden layers.
    """

    def __init__(self, n_features: int, n_lambdas: int, n_models: int, hidden: int) -> None:
        super().__init__()
        self.hidden = nn.Sequential(
            nn.Linear(n_features, n_lambdas * hidden),
            nn.Unflatten(1, (n_lambdas, hidden)),
            nn.ReLU(),
        )
        self.weight = drawn(n_lambdas, n_models, hidden, scale=hidden**-0.5)
        self.bias = nn.Parameter(torch.zeros(n_lambdas, n_models))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return (b, G, K) logits of (b, d) features."""
        return torch.einsum("bgh,gkh->bgk", self.hidden(features), self.weight) + self.bias


@dataclass(eq=False, repr=False, kw_only=True)
class Zooter(EndToEndRouter):
    """Softmax over models, distilled from their rewards (Lu et al., NAACL 2024; VL-RouterBench).

    The Kullback-Leibler divergence from ``rewards``, over the observed models; it is
    the cross-entropy up to a constant. A model's reward is its utility minus
    lambda times its cost, where the paper has a reward model's score and no cost. So
    a large lambda asks for the cheapest model, right or not, unlike soft labels.

    Other departures: rewards are divided by ``temperature``, as a utility is at most 1
    where a reward model's score is not; nothing is averaged over the samples of a tag,
    as there is no tagger; and a perceptron with one hidden layer on normalised
    embeddings stands in for the text encoder that is trained there. Its width,
    ``hidden``, and the temperature are ours.
    """

    name: ClassVar[str] = "zooter"
    fusion: ClassVar[str] = "pair"
    hidden: Annotated[int, Ge(1)] = 64
    temperature: Annotated[float, Gt(0)] = 0.1

    def _labels(self, U: np.ndarray, C: np.ndarray) -> np.ndarray:
        return rewards(U, C, self.grid, self.scale, self.temperature)

    def _head(self, n_features: int, n_lambdas: int, n_models: int) -> nn.Module:
        return RewardHead(n_features, n_lambdas, n_models, self.hidden)


def rewards(
    U: np.ndarray, C: np.ndarray, grid: np.ndarray, scale: float, temperature: float
) -> np.ndarray:
    """Return softmax((U - lambda s C) / temperature) over the observed models.

    Parameters
    ----------
    U, C
        (n, K) utility and normalised cost, NaN where missing; each sample has an outcome.
    grid
        (G,) finite lambdas, however large.
    scale
        s, which turns a normalised cost into the unit of lambda.
    temperature
        Difference of two rewards at which the larger weighs e times as much.

    Returns
    -------
    np.ndarray
        (G, n, K), NaN where an outcome is missing.
    """
    # What all models cost cancels out, so at least one reward is finite whatever lambda is.
    excess = C - np.nanmin(C, axis=1, keepdims=True)
    with np.errstate(over="ignore"):
        reward = (U - np.multiply.outer(grid, scale * excess)) / temperature
    missing = np.isnan(reward)
    return np.where(missing, np.nan, softmax(np.where(missing, -np.inf, reward), axis=2))
