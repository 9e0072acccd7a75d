"""Distillation of soft labels (ZOOTER, as VL-RouterBench has it)."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge
from torch import nn

from mmroute.routers.end_to_end import EndToEndRouter
from mmroute.routers.gradients import drawn


class LabelHead(nn.Module):
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
    """Softmax over models, distilled from soft labels by cross-entropy (VL-RouterBench).

    One hidden layer, of ``hidden`` units a lambda. Samples that no model solves are learned too,
    with all mass on the cheapest model.

    Published
    ---------
    ``routers/zooter/router.py`` of https://github.com/yutao1024/SCOPE-Router, which has the
    name, but not the rewards, of Lu et al., NAACL 2024. Departures beside those of
    ``EndToEndRouter``:

    - A perceptron with one hidden layer stands in for the linear classifier, as
      there is no backbone before it that could bend anything.
    """

    name: ClassVar[str] = "zooter"
    fusion: ClassVar[str] = "pair"
    learns_unsolved: ClassVar[bool] = True
    hidden: Annotated[int, Ge(1)] = 64

    def _head(self, n_features: int, n_lambdas: int, n_models: int) -> nn.Module:
        return LabelHead(n_features, n_lambdas, n_models, self.hidden)
