"""Classifiers over models on soft labels, one network for each lambda (VL-RouterBench)."""

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
import torch
from annotated_types import Ge, Gt
from scipy.special import softmax
from torch import nn

from mmroute.routers.gradients import (
    Networks,
    Schedule,
    apply,
    device,
    hold_out,
    soft_cross_entropy,
    train,
)
from mmroute.routers.mlp import perceptron
from mmroute.routers.soft_labels import DEVELOPMENT, Lessons, SoftLabelRouter
from mmroute.routers.standardiser import Standardiser


@dataclass(eq=False, repr=False, kw_only=True)
class SoftmaxRouter(Networks, SoftLabelRouter):
    """A network for each lambda, with a softmax over models, on standardised features.

    They are standardised by the samples that it is trained on, the development samples left out.
    Cross-entropy to the soft labels plus ``alpha`` / 2 times the sum of the squared weights.
    The epoch is kept whose rank score on the development samples is the best.

    Parameters
    ----------
    alpha
        Of the penalty.
    """

    hidden: ClassVar[tuple[int, ...]]
    """Widths of the hidden layers."""
    ddof: ClassVar[int] = 0
    """What n is less by in the variance that features are standardised by."""
    standardiser_: Standardiser = field(init=False)
    epochs: Annotated[int, Ge(1)]
    learning_rate: Annotated[float, Gt(0)]
    alpha: Annotated[float, Ge(0)]
    patience: Annotated[int, Ge(1)] = 100
    random_state: int = 0

    @abstractmethod
    def _batch(self, n_samples: int) -> int:
        """Return how many of the training samples make a batch."""

    def _learn(self, Z: np.ndarray, lessons: Lessons) -> None:
        self.n_features_, self.n_models_ = Z.shape[1], lessons.labels.shape[2]
        schedule = Schedule(
            self.epochs,
            self.learning_rate,
            self._batch(len(Z)),
            self.random_state,
            patience=self.patience,
            validation_share=DEVELOPMENT,
        )
        _, learned = hold_out(np.arange(len(Z)), schedule, **lessons.rows)
        self.standardiser_ = Standardiser.fit(Z[learned], self.ddof)
        inputs = torch.as_tensor(self.standardiser_.apply(Z), dtype=torch.float32, device=device())
        networks = []
        for labels in lessons.labels:
            targets = torch.as_tensor(labels, dtype=torch.float32, device=device())

            def loss(
                network: nn.Module, rows: torch.Tensor, targets: torch.Tensor = targets
            ) -> torch.Tensor:
                squares = torch.stack([weights.square().sum() for weights in network.parameters()])
                agreement = soft_cross_entropy(
                    network(inputs[rows])[:, None], targets[rows][:, None]
                )
                return agreement + self.alpha / 2 * squares.sum()

            def quality(network: nn.Module, rows: torch.Tensor) -> float:
                scores = network(inputs[rows])[None].cpu().numpy()
                return float(lessons.rank_scores(rows.cpu().numpy(), scores)[0])

            networks.append(
                train(self._network, loss, len(Z), schedule, **lessons.rows, quality=quality)
            )
        self.network_ = nn.ModuleList(networks)

    def _network(self) -> nn.Sequential:
        return perceptron(self.n_features_, *self.hidden, self.n_models_)

    def _networks(self) -> dict[str, nn.Module]:
        return {"network_": nn.ModuleList([self._network() for _ in self.grid])}

    def predict_scores(self, Z: np.ndarray) -> np.ndarray:
        """Return the probabilities of each lambda's softmax."""
        features = self.standardiser_.apply(Z)
        return softmax(np.stack([apply(own, features) for own in self.network_]), axis=2)


@dataclass(eq=False, repr=False, kw_only=True)
class LinearVL(SoftmaxRouter):
    """Softmax regression on soft labels: full-batch Adam at 1e-2 for at most 200 epochs.

    Published
    ---------
    ``routers/linear/router.py`` of https://github.com/yutao1024/SCOPE-Router, on a GPU: on a
    CPU that learns hard labels by scikit-learn. ``alpha`` is its 1 / C. Departures:

    - The development samples are those of ``split.development``. Without it they are an eighth
      of the training split; of fewer than 50 there are none, and the last epoch stays.
    - An epoch is better if its rank score is, by however little; the code asks for .01 points.
      In 48 trainings on MathVision and GSM8K that changed none.
    """

    name: ClassVar[str] = "linear_vl"
    fusion: ClassVar[str] = "concat"
    hidden: ClassVar[tuple[int, ...]] = ()
    ddof: ClassVar[int] = 1
    epochs: Annotated[int, Ge(1)] = 200
    learning_rate: Annotated[float, Gt(0)] = 1e-2
    alpha: Annotated[float, Ge(0)] = 1.0
    scale: Annotated[float, Gt(0)] = 1.0

    def _batch(self, n_samples: int) -> int:
        return n_samples


@dataclass(eq=False, repr=False, kw_only=True)
class MLPVL(SoftmaxRouter):
    """Perceptrons with hidden layers of 2,048 and 1,024 on soft labels, Adam at 1e-3.

    Published
    ---------
    ``routers/mlp/router.py`` of https://github.com/yutao1024/SCOPE-Router, on a GPU: on a CPU
    that learns hard labels by scikit-learn. It multiplies costs by 100. Departures:

    - The development samples are those of ``split.development``. Without it they are an eighth
      of the training split; of fewer than 50 there are none, and the last epoch stays.
    - An epoch is better if its rank score is, by however little; the code asks for .01 points.
    """

    name: ClassVar[str] = "mlp_vl"
    fusion: ClassVar[str] = "concat"
    hidden: ClassVar[tuple[int, ...]] = (2048, 1024)
    epochs: Annotated[int, Ge(1)] = 300
    learning_rate: Annotated[float, Gt(0)] = 1e-3
    alpha: Annotated[float, Ge(0)] = 1e-4
    batch_size: Annotated[int, Ge(1)] = 1024

    def _batch(self, n_samples: int) -> int:
        return min(self.batch_size, n_samples)
