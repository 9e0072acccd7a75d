"""Multi-layer perceptrons, plain and into a shared latent space (MMR-Bench D.3.2, D.3.3)."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, ClassVar, Self

import numpy as np
from annotated_types import Ge, Gt
from torch import nn

from mmroute.routers import Router, observed_means
from mmroute.routers.gradients import Networks, Schedule, apply, masked_squared_error, train

HIDDEN = (256, 128)


@dataclass(eq=False, repr=False, kw_only=True)
class MLP(Networks, Router):
    """Two perceptrons with hidden layers of 256 and 128, for utility and for cost.

    ReLU, mean squared error over the observed outcomes, Adam at 1e-3, on the mean of both
    embeddings.

    Published
    ---------
    ``src/mmrbench/routers/mlp.py`` of https://github.com/Hunter-Wrynn/MMR-Bench. Departures:

    - Training ends before 100 epochs where a tenth of the training rows, held out, says so, as
      so many epochs learn a small split by heart; with ``patience: null`` it does not.
    - Batches are of 64, not 32, which takes half as long; ``batch_size: 32`` is as published.
    - Missing outcomes are left out, where the code fills them with the models' means over
      training and test samples together, which leaks.
    """

    name: ClassVar[str] = "mlp"
    fusion: ClassVar[str] = "mean"
    epochs: Annotated[int, Ge(1)] = 100
    learning_rate: Annotated[float, Gt(0)] = 1e-3
    batch_size: Annotated[int, Ge(1)] = 64
    patience: Annotated[int, Ge(1)] | None = 10
    random_state: int = 0

    def fit(self, Z: np.ndarray, U: np.ndarray, C: np.ndarray) -> Self:
        """Train both networks."""
        observed_means(U)
        self.n_features_, self.n_models_ = Z.shape[1], U.shape[1]
        self.utility_, self.cost_ = (self._train(Z, Y) for Y in (U, C))
        return self

    def predict(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Apply both networks."""
        return apply(self.utility_, Z), apply(self.cost_, Z)

    def _train(self, Z: np.ndarray, Y: np.ndarray) -> nn.Module:
        return train(self._network, masked_squared_error(Z, Y), len(Z), Schedule.of(self))

    def _networks(self) -> dict[str, nn.Module]:
        return {"utility_": self._network(), "cost_": self._network()}

    def _network(self) -> nn.Module:
        return perceptron(self.n_features_, *HIDDEN, self.n_models_)


@dataclass(eq=False, repr=False, kw_only=True)
class MLPMF(MLP):
    """A perceptron into a latent space that it shares with the models (MMR-Bench S12, S13).

    u_ij = z_i w_j + b_j with z_i of ``latent`` dimensions out of hidden layers of 256 and
    128, and likewise the costs with a network of their own; mean squared error over the
    observed outcomes, on adaptively fused features, by the schedule of ``mlp``.

    Published
    ---------
    ``src/mmrbench/routers/mlp_mf.py`` of https://github.com/Hunter-Wrynn/MMR-Bench. Departures:

    - The features are fused adaptively, as the paper's table says; the code takes the mean.
    - Early stopping and batches as in ``mlp``.
    - Missing outcomes are left out, where the code fills them with the models' means over
      training and test samples together, which leaks.
    """

    name: ClassVar[str] = "mlp_mf"
    fusion: ClassVar[str] = "adaptive"
    latent: Annotated[int, Ge(1)] = 64

    def _network(self) -> nn.Module:
        # A last layer without activation before it is the inner product with w_j, plus b_j.
        return nn.Sequential(
            perceptron(self.n_features_, *HIDDEN, self.latent),
            nn.Linear(self.latent, self.n_models_),
        )


def perceptron(*widths: int) -> nn.Sequential:
    """Return linear layers of the given widths with ReLU between them."""
    layers: list[nn.Module] = []
    for width_in, width_out in pairwise(widths):
        layers += [nn.Linear(width_in, width_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
