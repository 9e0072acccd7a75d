"""The cross-modal attention router (MMR-Bench D.3.4)."""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from mmroute.routers import Router, observed_means
from mmroute.routers.gradients import Networks, Schedule, apply, device, train
from mmroute.routers.tokens import TokenTransformer


@dataclass(eq=False, repr=False, kw_only=True)
class CMR(Networks, Router):
    """Attention over the tokens text and image, and two heads for each model.

    The correctness head is trained by binary cross-entropy with logits, where ``balance`` weighs
    a model's right answers by its wrong ones over its right ones; utilities between 0 and 1
    are soft targets. The cost head is trained by squared error, with ``log_cost`` on
    log(1 + c). With ``balance`` the predictions are of balanced classes: they rank samples, but
    say no longer how often a model is right.

    Published
    ---------
    ``src/mmrbench/routers/cmr.py`` of https://github.com/Hunter-Wrynn/MMR-Bench, with its width,
    layers and heads of attention. Departures:

    - Cross-entropy on correctness, as the paper describes; the code has squared error there,
      as with ``correctness: squared_error``.
    - Both heads of a model are one linear layer, not two as with ``head_layers: 2``; and the
      layers of attention normalise first and widen to twice the width, not four times.
    - Costs are learned on log(1 + c), as the paper allows; the code has ``log_cost: false``.
    - Adam at 3e-4 without decay, batches of 128, at most 30 epochs and early stopping, where
      the code has AdamW at 1e-3 with a weight decay of 1e-4, batches of 32 and 100 epochs,
      which take ten times as long; ``config/benchmarks/mmr_bench.yaml`` has them.
    - Missing outcomes are left out, where the code fills them with the models' means over
      training and test samples together, which leaks.

    Parameters
    ----------
    width, layers, heads, dropout
        Of the transformer.
    correctness
        Loss of the correctness heads; with ``squared_error`` they predict utilities themselves.
    head_layers
        Linear layers of each head, with a GELU between two.
    weight_decay
        Of AdamW.
    """

    name: ClassVar[str] = "cmr"
    fusion: ClassVar[str] = "pair"
    width: Annotated[int, Ge(8)] = 512
    layers: Annotated[int, Ge(1), Le(100)] = 2
    heads: Annotated[int, Ge(1)] = 8
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1
    correctness: Literal["cross_entropy", "squared_error"] = "cross_entropy"
    head_layers: Literal[1, 2] = 1
    balance: bool = False
    log_cost: bool = True
    epochs: Annotated[int, Ge(1)] = 30
    learning_rate: Annotated[float, Gt(0)] = 3e-4
    weight_decay: Annotated[float, Ge(0)] = 0.0
    batch_size: Annotated[int, Ge(1)] = 128
    patience: Annotated[int, Ge(1)] | None = 4
    random_state: int = 0

    def fit(self, Z: np.ndarray, U: np.ndarray, C: np.ndarray) -> Self:
        """Train the network."""
        right = observed_means(U)
        self.n_features_, self.n_models_ = Z.shape[1], U.shape[1]
        observed = torch.as_tensor(np.isfinite(U), device=device())
        inputs, utility, cost, weight = (
            torch.as_tensor(values, dtype=torch.float32, device=device())
            for values in (
                Z,
                np.nan_to_num(U),
                np.nan_to_num(np.log1p(C) if self.log_cost else C),
                (1 - right) / np.maximum(right, 1 / len(U))
                if self.balance
                else np.ones_like(right),
            )
        )

        def loss(network: nn.Module, rows: torch.Tensor) -> torch.Tensor:
            output, known = network(inputs[rows]), observed[rows]
            told, costs = output.split(self.n_models_, dim=1)
            correctness = (
                (told - utility[rows]).square()
                if self.correctness == "squared_error"
                else binary_cross_entropy_with_logits(
                    told, utility[rows], pos_weight=weight, reduction="none"
                )
            )
            error = (costs - cost[rows]).square()
            return correctness[known].mean() + error[known].mean()

        schedule = replace(Schedule.of(self), weight_decay=self.weight_decay)
        self.network_ = train(lambda: self._networks()["network_"], loss, len(Z), schedule)
        return self

    def predict(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return each model's probability of being right, or utility, and its cost."""
        output = apply(self.network_, Z)
        u_hat = output[:, : self.n_models_]
        if self.correctness == "cross_entropy":
            u_hat = 1 / (1 + np.exp(-u_hat))
        c_hat = output[:, self.n_models_ :]
        return u_hat, np.expm1(c_hat) if self.log_cost else c_hat

    def _networks(self) -> dict[str, nn.Module]:
        tokens = TokenTransformer(
            self.n_features_, self.width, self.layers, self.heads, self.dropout
        )
        heads = (
            nn.Linear(self.width, 2 * self.n_models_)
            if self.head_layers == 1
            else _TwoHeads(self.width, self.n_models_)
        )
        return {"network_": nn.Sequential(tokens, heads)}


class _TwoHeads(nn.Module):
    """Two heads of two layers each, side by side."""

    def __init__(self, width: int, n_models: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, n_models))
            for _ in range(2)
        )

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return torch.cat([head(tokens) for head in self.heads], dim=1)
