"""A query trunk that each model modulates, trained to rank models (EquiRouter)."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from annotated_types import Ge
from torch import nn
from torch.nn.functional import softplus

from mmroute.routers.gradients import device, drawn, masked_squared_error
from mmroute.routers.latent import LatentRouter, Loss
from mmroute.routers.mlp import perceptron


class Modulated(nn.Module):
    """Hidden units of the query, scaled and shifted by each model's vector.

    Parameters
    ----------
    n_features, n_models, hidden, width
        d, K, hidden units, and the dimensions of the models' vectors.
    """

    def __init__(self, n_features: int, n_models: int, hidden: int, width: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(n_features, hidden), nn.ReLU())
        self.models = drawn(n_models, width)
        self.modulation = nn.Linear(width, 2 * hidden)
        self.head = perceptron(hidden, hidden, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the (b, K) predicted utilities of (b, d) features."""
        scale, shift = self.modulation(self.models).chunk(2, dim=1)
        units = self.trunk(features)[:, None] * (1 + scale) + shift
        predicted: torch.Tensor = self.head(units).squeeze(2)
        return predicted


@dataclass(eq=False, repr=False, kw_only=True)
class EquiRouter(LatentRouter):
    """Utilities that also rank the models of each query (Lai and Ye, arXiv 2602.03478).

    What regression gets slightly wrong flips the order of models that are nearly equal, and as
    the budget grows a router collapses to the one that is best on average. So each two models of
    a query of unequal utility are ranked: the logistic loss of the difference of their
    predictions, averaged over the pairs of a query, times ``ranking_weight``, beside the squared
    error. A model's vector modulates the query's hidden units (FiLM). A missing outcome is in no
    pair.

    Published (its abstract; code: AIGNLAI/EquiRouter): on RouterBench about 17 % less cost at the
    accuracy of GPT-4 than the best earlier router.

    Departures: the paper also ranks two models of equal utility, the cheaper first. Here the
    policy does so at its own exchange rate; a predicted utility that holds the cost already would
    count it twice, and most pairs are equal: at a weight of 1 the router falls to the cheapest
    models. We know the paper's idea and not its settings: sizes, weight and schedule are ours.
    Costs are those of ``mlp``; both modalities are read.

    Parameters
    ----------
    hidden, width
        Hidden units, and dimensions of the models' vectors.
    ranking_weight
        Of the ranking beside the squared error.
    """

    name: ClassVar[str] = "equirouter"
    fusion: ClassVar[str] = "adaptive"
    hidden: Annotated[int, Ge(1)] = 128
    width: Annotated[int, Ge(1)] = 32
    ranking_weight: Annotated[float, Ge(0)] = 1.0

    def _network(self) -> nn.Module:
        return Modulated(self.n_features_, self.n_models_, self.hidden, self.width)

    def _loss(self, Z: np.ndarray, U: np.ndarray) -> Loss:
        squared_error = masked_squared_error(Z, U)
        inputs, utility = (
            torch.as_tensor(values, dtype=torch.float32, device=device()) for values in (Z, U)
        )

        def loss(network: nn.Module, rows: torch.Tensor) -> torch.Tensor:
            ranking = ranking_loss(network(inputs[rows]), utility[rows])
            return squared_error(network, rows) + self.ranking_weight * ranking

        return loss


def ranking_loss(predicted: torch.Tensor, utility: torch.Tensor) -> torch.Tensor:
    """Return the mean over queries of the mean logistic loss of their ordered pairs of models.

    Parameters
    ----------
    predicted, utility
        (b, K); utility NaN where missing.
    """
    ordered = utility[:, :, None] > utility[:, None]
    losses = softplus(predicted[:, None] - predicted[:, :, None]) * ordered
    return (losses.sum(dim=(1, 2)) / ordered.sum(dim=(1, 2)).clamp(min=1)).mean()
