"""What routers share that learn a vector per model by gradients."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import torch
from annotated_types import Ge, Gt
from torch import nn

from mmroute.routers import Pool, Router, observed_means
from mmroute.routers.gradients import Networks, Schedule, apply, masked_squared_error, train
from mmroute.routers.mlp import HIDDEN, perceptron

Loss = Callable[[Any, torch.Tensor], torch.Tensor]
"""Network and (b,) rows of the training split to the mean loss."""


@dataclass(eq=False, repr=False, kw_only=True)
class LatentRouter(Networks, Router):
    """A network for utilities, and for costs the perceptron of ``mlp``.

    Training ends where a tenth of the training rows, held out by their groups, says so. A
    subclass builds its network in ``_network`` and gives what it minimises in ``_loss``.
    """

    uses_pool: ClassVar[bool] = True
    epochs: Annotated[int, Ge(1)] = 100
    learning_rate: Annotated[float, Gt(0)] = 1e-3
    batch_size: Annotated[int, Ge(1)] = 64
    patience: Annotated[int, Ge(1)] = 10
    random_state: int = 0

    def fit(self, Z: np.ndarray, U: np.ndarray, C: np.ndarray, pool: Pool | None = None) -> Self:
        """Train both networks; of the pool only the samples' groups are used."""
        observed_means(U)
        self.n_features_, self.n_models_ = Z.shape[1], U.shape[1]
        how = len(Z), Schedule.of(self), None if pool is None else pool.groups
        self.utility_ = train(self._network, self._loss(Z, U), *how)
        self.cost_ = train(self._cost_network, masked_squared_error(Z, C), *how)
        return self

    def predict(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Apply both networks."""
        return apply(self.utility_, Z), apply(self.cost_, Z)

    @abstractmethod
    def _network(self) -> nn.Module:
        """Build the network for utilities, from (b, d) features to (b, K)."""

    @abstractmethod
    def _loss(self, Z: np.ndarray, U: np.ndarray) -> Loss:
        """Return what the network for utilities minimises; arguments as for ``fit``."""

    def _cost_network(self) -> nn.Module:
        return perceptron(self.n_features_, *HIDDEN, self.n_models_)

    def _networks(self) -> dict[str, nn.Module]:
        return {"utility_": self._network(), "cost_": self._cost_network()}
