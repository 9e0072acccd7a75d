"""Item response theory: abilities of models, discrimination and difficulty of queries."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Self

import numpy as np
import torch
from annotated_types import Ge, Gt
from scipy.special import expit
from torch import nn
from torch.nn.functional import softplus

from mmroute.routers import Pool, Router, observed_means
from mmroute.routers.gradients import Networks, Schedule, apply, drawn, masked_cross_entropy, train


class ItemResponse(nn.Module):
    """The logit a(x) theta_j - b(x) of being right.

    Parameters
    ----------
    n_features, n_models, dimensions
        d, K, and the dimensions of abilities.
    """

    def __init__(self, n_features: int, n_models: int, dimensions: int) -> None:
        super().__init__()
        self.discrimination = nn.Linear(n_features, dimensions)
        self.difficulty = nn.Linear(n_features, 1)
        self.abilities = drawn(n_models, dimensions, scale=dimensions**-0.5)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the (b, K) logits of (b, d) features."""
        discrimination = softplus(self.discrimination(features))
        logits: torch.Tensor = discrimination @ self.abilities.T - self.difficulty(features)
        return logits


@dataclass(eq=False, repr=False, kw_only=True)
class IRT(Networks, Router):
    """Multidimensional item response theory (Song et al., ACL 2025, arXiv 2506.01048).

    P(right) = sigmoid(a(x) theta_j - b(x)): theta_j are a model's abilities, a and b a query's
    discrimination and difficulty, linear in its embedding; trained by cross-entropy, utilities
    between 0 and 1 as soft targets. Discriminations are positive (softplus), so that more of an
    ability never lowers a chance. The predicted cost is each model's training mean: as in the
    paper, a model has one cost for all queries.

    Published (code: Mercidaiha/IRT-Router): 20 models and 12 data sets; on other data sets than
    those of training over 87 % accuracy at a thirtieth of GPT-4o's cost, as a summary of the paper
    has it.

    Departures: abilities are free, where the paper maps a text about the model to them: a pool
    has names and prices only. The paper's warm-up by similar queries and its neural variant are
    left out. Both modalities, where the paper has text. Dimensions and schedule are ours;
    training ends where a tenth of the training rows, held out by their groups, says so.

    Parameters
    ----------
    dimensions
        Of abilities and discriminations.
    """

    name: ClassVar[str] = "irt"
    fusion: ClassVar[str] = "adaptive"
    uses_pool: ClassVar[bool] = True
    mean_cost_: np.ndarray = field(init=False)
    dimensions: Annotated[int, Ge(1)] = 16
    epochs: Annotated[int, Ge(1)] = 100
    learning_rate: Annotated[float, Gt(0)] = 1e-3
    batch_size: Annotated[int, Ge(1)] = 64
    patience: Annotated[int, Ge(1)] = 10
    random_state: int = 0

    def fit(self, Z: np.ndarray, U: np.ndarray, C: np.ndarray, pool: Pool | None = None) -> Self:
        """Train the network; of the pool only the samples' groups are used."""
        observed_means(U)
        self.mean_cost_ = observed_means(C)
        self.n_features_, self.n_models_ = Z.shape[1], U.shape[1]
        self.network_ = train(
            lambda: self._networks()["network_"],
            masked_cross_entropy(Z, U),
            len(Z),
            Schedule.of(self),
            None if pool is None else pool.groups,
        )
        return self

    def predict(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return each model's probability of being right, and its mean cost."""
        return expit(apply(self.network_, Z)), np.tile(self.mean_cost_, (len(Z), 1))

    def _networks(self) -> dict[str, nn.Module]:
        return {"network_": ItemResponse(self.n_features_, self.n_models_, self.dimensions)}
