"""Baselines and the oracle: what a learned router has to beat, and what it cannot beat."""

from typing import Annotated, ClassVar, Self

import numpy as np
import pandas as pd
from annotated_types import Ge

from mmroute.routers import Router, UpperBound, observed_means


def ranking(orders: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Predict the same choice under any policy and parameter: (N, K) models, best first.

    A smaller cost goes with each larger utility, so no trade-off is left. The
    later models serve samples on which the first ones are missing.
    """
    u_hat = np.linspace(1, 0, orders.shape[1])[orders.argsort(axis=1)]
    return u_hat, 1 - u_hat


class Random(Router):
    """Uniform choice, drawn ``trials`` times; metrics are means over the trials (MMR-Bench D.3)."""

    name: ClassVar[str] = "random"
    fusion: ClassVar[None] = None
    n_models_: int

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
    order_: np.ndarray

    def fit(self, Z: np.ndarray, U: np.ndarray, C: np.ndarray) -> Self:
        """Rank the models by cost, of equals the more accurate first."""
        self.order_ = np.lexsort((-observed_means(U), observed_means(C)))
        return self

    def predict(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the same ranking for every sample."""
        return ranking(np.tile(self.order_, (len(Z), 1)))


class Strongest(Router):
    """The model with the largest mean utility on the training split (VL-RouterBench)."""

    name: ClassVar[str] = "strongest"
    fusion: ClassVar[None] = None
    order_: np.ndarray

    def fit(self, Z: np.ndarray, U: np.ndarray, C: np.ndarray) -> Self:
        """Rank the models by utility, of equals the cheaper first."""
        self.order_ = _strongest_first(observed_means(U), observed_means(C))
        return self

    def predict(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the same ranking for every sample."""
        return ranking(np.tile(self.order_, (len(Z), 1)))


class StrongestPerDataset(Router):
    """The model with the largest mean training utility on the sample's data set (VL-RouterBench).

    A sample of a data set that training has not seen gets the strongest model of all.
    A model that was not observed on a data set is ranked there by its mean over all.
    """

    name: ClassVar[str] = "strongest_per_dataset"
    fusion: ClassVar[None] = None
    reads_samples: ClassVar[bool] = True
    order_: np.ndarray
    orders_: dict[str, np.ndarray]

    def fit(self, Z: pd.DataFrame, U: np.ndarray, C: np.ndarray) -> Self:
        """Rank the models of each data set by utility, of equals the cheaper first."""
        means = observed_means(U), observed_means(C)
        self.order_ = _strongest_first(*means)
        utility, cost = (
            pd.DataFrame(Y).groupby(Z["dataset"].to_numpy()).mean().fillna(pd.Series(overall))
            for Y, overall in zip((U, C), means, strict=True)
        )
        self.orders_ = {
            dataset: _strongest_first(utility.loc[dataset], cost.loc[dataset])
            for dataset in utility.index
        }
        return self

    def predict(self, Z: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Return the ranking of each sample's data set."""
        return ranking(
            np.array([self.orders_.get(dataset, self.order_) for dataset in Z["dataset"]])
        )


def _strongest_first(utility: np.ndarray, cost: np.ndarray) -> np.ndarray:
    return np.lexsort((cost, -utility))


class Oracle(UpperBound):
    """The policy on the true outcomes themselves (definitions, section 5).

    The most accurate point of its curve is the cost-unaware oracle.
    """

    name: ClassVar[str] = "oracle"
    upper_bound: ClassVar[bool] = True
    fusion: ClassVar[None] = None

    def reveal(self, U: np.ndarray, C: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the outcomes; a missing one is never chosen, so 0 stands for it."""
        return np.nan_to_num(U), np.nan_to_num(C)
