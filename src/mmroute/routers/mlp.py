"""Multi-layer perceptrons (MMR-Bench D.3.2)."""

from typing import Annotated, ClassVar, Self

import numpy as np
import torch
from annotated_types import Ge, Gt
from torch import nn

from mmroute.routers import Router, observed_means


class MLP(Router):
    """Two perceptrons with hidden layers of 256 and 128, for utility and for cost.

    ReLU, mean squared error over the observed outcomes, Adam, on the mean of both
    embeddings. The paper gives no batch size; 64 is ours.
    """

    name: ClassVar[str] = "mlp"
    fusion: ClassVar[str] = "mean"

    def __init__(
        self,
        epochs: Annotated[int, Ge(1)] = 100,
        learning_rate: Annotated[float, Gt(0)] = 1e-3,
        batch_size: Annotated[int, Ge(1)] = 64,
        random_state: int = 0,
    ) -> None:
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.random_state = random_state

    def fit(self, Z: np.ndarray, U: np.ndarray, C: np.ndarray) -> Self:
        """Train both networks."""
        observed_means(U)
        self.utility_ = self._train(Z, U)
        self.cost_ = self._train(Z, C)
        return self

    def predict(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Apply both networks."""
        inputs = torch.as_tensor(Z, dtype=torch.float32)
        with torch.inference_mode():
            return (
                self.utility_(inputs).double().numpy(),
                self.cost_(inputs).double().numpy(),
            )

    def _train(self, Z: np.ndarray, Y: np.ndarray) -> nn.Module:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        generator = torch.Generator().manual_seed(self.random_state)
        network = _network(Z.shape[1], Y.shape[1], generator).to(device)
        inputs = torch.as_tensor(Z, dtype=torch.float32, device=device)
        observed = torch.as_tensor(np.isfinite(Y), device=device)
        target = torch.as_tensor(np.nan_to_num(Y), dtype=torch.float32, device=device)
        optimiser = torch.optim.Adam(network.parameters(), lr=self.learning_rate)
        for _ in range(self.epochs):
            for batch in torch.randperm(len(Z), generator=generator).split(self.batch_size):
                rows = batch.to(device)
                error = (network(inputs[rows]) - target[rows])[observed[rows]]
                if error.numel():
                    optimiser.zero_grad()
                    error.square().mean().backward()
                    optimiser.step()
        return network.cpu().eval()


def _network(n_features: int, n_models: int, generator: torch.Generator) -> nn.Module:
    layers: list[nn.Module] = []
    for width_in, width_out in ((n_features, 256), (256, 128), (128, n_models)):
        layer = nn.Linear(width_in, width_out)
        bound = width_in**-0.5
        with torch.no_grad():
            layer.weight.uniform_(-bound, bound, generator=generator)
            layer.bias.uniform_(-bound, bound, generator=generator)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])
