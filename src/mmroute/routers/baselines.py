"""Baselines and the oracle: what a learned router has to beat, and what it cannot beat."""

from typing import Annotated, ClassVar, Self

import numpy as np
from annotated_types import Ge

from mmroute.routers import Router, UpperBound, observed_means


def _ranking(order: np.ndarray, n_samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Predict the same choice under any policy and parameter: models in ``order``, best first.

    A smaller cost goes with each larger utility, so no trade-off is left. The
    later models serve samples on which the first ones are missing.
    """
    u_hat = np.empty(len(order))
    u_hat[order] = np.linspace(1, 0, len(order))
    return (np.tile(u_hat, (n_samples, 1)), np.tile(1 - u_hat, (n_samples, 1)))


class Random(Router):
    """Uniform choice, drawn ``trials`` times; metrics are means over the trials (MMR-Bench D.3)."""

    name: ClassVar[str] = "random"
    fusion: ClassVar[None] = None

    def __init__(self, trials: Annotated[int, Ge(1)] = 50, random_state: int = 0) -> None:
        self.trials = trials
        self.random_state = random_state

    def fit(self, Z: np.ndarray, U: np.ndarray, C: np.ndarray) -> Self:
        """Note the number of models."""
        self.n_models_ = U.shape[1]
        return self

    def predict(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the first trial."""
        u_hat, c_hat = self.predict_trials(Z)
        return u_hat[0], c_hat[0]

    def predict_trials(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return a random ranking of the models per trial and sample."""
        generator = np.random.default_rng(self.random_state)
        shape = (self.trials, len(Z), self.n_models_)
        u_hat = generator.random(shape).argsort(axis=2) / self.n_models_
        return u_hat, 1 - u_hat


class Cheapest(Router):
    """The model with the smallest mean cost on the training split (VL-RouterBench)."""

    name: ClassVar[str] = "cheapest"
    fusion: ClassVar[None] = None

    def fit(self, Z: np.ndarray, U: np.ndarray, C: np.ndarray) -> Self:
        """Rank the models by cost, of equals the more accurate first."""
        self.order_ = np.lexsort((-observed_means(U), observed_means(C)))
        return self

    def predict(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the same ranking for every sample."""
        return _ranking(self.order_, len(Z))


class Strongest(Router):
    """The model with the largest mean utility on the training split (VL-RouterBench)."""

    name: ClassVar[str] = "strongest"
    fusion: ClassVar[None] = None

    def fit(self, Z: np.ndarray, U: np.ndarray, C: np.ndarray) -> Self:
        """Rank the models by utility, of equals the cheaper first."""
        self.order_ = np.lexsort((observed_means(C), -observed_means(U)))
        return self

    def predict(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the same ranking for every sample."""
        return _ranking(self.order_, len(Z))


class Oracle(UpperBound):
    """The policy on the true outcomes themselves (definitions, section 5).

    The most accurate point of its curve is the cost-unaware oracle.
    """

    name: ClassVar[str] = "oracle"
    fusion: ClassVar[None] = None

    def reveal(self, U: np.ndarray, C: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the outcomes; a missing one is never chosen, so 0 stands for it."""
        return np.nan_to_num(U), np.nan_to_num(C)
