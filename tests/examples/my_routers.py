"""Means over all training samples, weighted by similarity."""

from typing import Annotated, ClassVar, Self

import numpy as np
from annotated_types import Gt

from mmroute.routers import Router, observed_means


class Kernel(Router):
    """Weigh each training sample by exp(z z' / temperature)."""

    name: ClassVar[str] = "kernel"
    fusion: ClassVar[str] = "concat"

    def __init__(self, temperature: Annotated[float, Gt(0)] = 1.0) -> None:
        self.temperature = temperature

    def fit(self, Z: np.ndarray, U: np.ndarray, C: np.ndarray) -> Self:
        """Keep the training samples; each model needs an outcome."""
        observed_means(U)
        self.features_, self.utility_, self.cost_ = Z.astype(float), U, C
        return self

    def predict(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Average the observed outcomes, the similar ones first."""
        score = Z.astype(float) @ self.features_.T / self.temperature
        weights = np.exp(np.maximum(score - score.max(axis=1, keepdims=True), -50))
        return tuple(
            (weights @ np.nan_to_num(Y)) / (weights @ np.isfinite(Y).astype(float))
            for Y in (self.utility_, self.cost_)
        )
