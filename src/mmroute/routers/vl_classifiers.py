"""Classifiers over models on soft labels (VL-RouterBench), which see both embeddings.

The paper trains each once per lambda. Here one fit learns the labels of all lambdas.
"""

import math
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
import torch
from annotated_types import Ge, Gt
from torch import nn

from mmroute.routers.gradients import Networks, Schedule, device, soft_cross_entropy, train
from mmroute.routers.kmeans import KMeans
from mmroute.routers.knn import KNN
from mmroute.routers.mlp import perceptron
from mmroute.routers.soft_labels import SoftLabelRouter


@dataclass(eq=False, repr=False, kw_only=True)
class KNNVL(SoftLabelRouter):
    """Mean soft labels of the ``n_neighbors`` training samples nearest in cosine distance."""

    name: ClassVar[str] = "knn_vl"
    fusion: ClassVar[str] = "concat"
    neighbours_: KNN = field(init=False)
    n_neighbors: Annotated[int, Ge(1)] = 5

    def _learn(self, Z: np.ndarray, labels: np.ndarray) -> None:
        columns = _columns(labels)
        self.neighbours_ = KNN(self.n_neighbors).fit(Z, columns, columns[:, :1])

    def predict_scores(self, Z: np.ndarray) -> np.ndarray:
        """Average over each sample's neighbours."""
        return _by_lambda(self.neighbours_.predict(Z)[0], len(self.grid))


@dataclass(eq=False, repr=False, kw_only=True)
class KMeansVL(SoftLabelRouter):
    """Mean soft labels of the training samples in the nearest of ``n_clusters`` clusters."""

    name: ClassVar[str] = "kmeans_vl"
    fusion: ClassVar[str] = "concat"
    clusters_: KMeans = field(init=False)
    n_clusters: Annotated[int, Ge(1)] = 20
    random_state: int = 0

    def _learn(self, Z: np.ndarray, labels: np.ndarray) -> None:
        columns = _columns(labels)
        clusters = KMeans(self.n_clusters, self.random_state)
        self.clusters_ = clusters.fit(Z, columns, columns[:, :1])

    def predict_scores(self, Z: np.ndarray) -> np.ndarray:
        """Look up each sample's cluster."""
        return _by_lambda(self.clusters_.predict(Z)[0], len(self.grid))


def _columns(labels: np.ndarray) -> np.ndarray:
    """Lay (G, n, K) labels out as (n, G K) outcomes."""
    return labels.transpose(1, 0, 2).reshape(labels.shape[1], -1)


def _by_lambda(columns: np.ndarray, n_lambdas: int) -> np.ndarray:
    return columns.reshape(len(columns), n_lambdas, -1).transpose(1, 0, 2)


@dataclass(eq=False, repr=False, kw_only=True)
class SoftmaxRouter(Networks, SoftLabelRouter):
    """A network with one softmax over models per lambda.

    Cross-entropy to the soft labels, averaged over the lambdas, with early stopping on
    a tenth of the training split. The best epoch is that of all lambdas together.
    """

    hidden: ClassVar[tuple[int, ...]]
    """Widths of the hidden layers."""
    epochs: Annotated[int, Ge(1)] = 100
    learning_rate: Annotated[float, Gt(0)] = 1e-3
    batch_size: Annotated[int, Ge(1)] = 64
    random_state: int = 0

    def _learn(self, Z: np.ndarray, labels: np.ndarray) -> None:
        self.n_features_, self.n_models_ = Z.shape[1], labels.shape[2]
        inputs = torch.as_tensor(Z, dtype=torch.float32, device=device())
        targets = torch.as_tensor(labels.transpose(1, 0, 2), dtype=torch.float32, device=device())

        def loss(network: nn.Module, rows: torch.Tensor) -> torch.Tensor:
            return soft_cross_entropy(network(inputs[rows]), targets[rows])

        schedule = Schedule(self.epochs, self.learning_rate, self.batch_size, self.random_state)
        self.network_ = train(lambda: self._networks()["network_"], loss, len(Z), schedule)

    def _networks(self) -> dict[str, nn.Module]:
        shape = len(self.grid), self.n_models_
        logits = perceptron(self.n_features_, *self.hidden, math.prod(shape))
        return {"network_": nn.Sequential(logits, nn.Unflatten(1, shape))}

    def predict_scores(self, Z: np.ndarray) -> np.ndarray:
        """Return the probabilities of each lambda's softmax."""
        with torch.inference_mode():
            logits = self.network_(torch.as_tensor(Z, dtype=torch.float32))
            return logits.double().softmax(dim=2).transpose(0, 1).numpy()


@dataclass(eq=False, repr=False, kw_only=True)
class LinearVL(SoftmaxRouter):
    """Softmax regression on soft labels.

    The schedule is ours, as the paper's is not printed.
    """

    name: ClassVar[str] = "linear_vl"
    fusion: ClassVar[str] = "concat"
    hidden: ClassVar[tuple[int, ...]] = ()
    learning_rate: Annotated[float, Gt(0)] = 1e-2


class MLPVL(SoftmaxRouter):
    """A perceptron with hidden layers of 256 and 128 on soft labels.

    The hidden layers are shared by all lambdas, where the paper trains a network for
    each. Their widths are those of MMR-Bench's; they and the schedule are ours, as
    the paper's are not printed.
    """

    name: ClassVar[str] = "mlp_vl"
    fusion: ClassVar[str] = "concat"
    hidden: ClassVar[tuple[int, ...]] = (256, 128)
