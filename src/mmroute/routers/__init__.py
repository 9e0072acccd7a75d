"""Routers: scikit-learn estimators that predict each model's utility and cost. One module a family.

To add one, put a module here with a subclass of ``Router`` and name it in the
config. The conformance test runs every router that is found.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from mmroute.errors import InputError

if TYPE_CHECKING:
    from mmroute.outcomes.benchmark import Benchmark
    from mmroute.predictions import Predictions


@dataclass(frozen=True)
class Pool:
    """What is known of the K models, and of n training samples, beyond the outcomes.

    Attributes
    ----------
    models
        K rows: ``model`` and the columns of ``outcomes.PRICE_COLUMNS``.
    unit
        USD of a normalised cost of 1.
    prompt_tokens, completion_tokens
        (n, K) counts; NaN where unknown.
    groups
        (n,) number of each sample's group, which cross-validation must not cut; None: each
        sample is one of its own.
    development
        (n,) mask of samples to stop by, which are not learned from: only a router that
        ``stops_by_development`` is given any. None: there are none.
    """

    models: pd.DataFrame
    unit: float
    prompt_tokens: np.ndarray
    completion_tokens: np.ndarray
    groups: np.ndarray | None = None
    development: np.ndarray | None = None

    def take(self, rows: np.ndarray, columns: np.ndarray) -> "Pool":
        """Return what is known of some models on some samples, both given by indices."""
        cells = np.ix_(rows, columns)
        return Pool(
            self.models.iloc[columns].reset_index(drop=True),
            self.unit,
            self.prompt_tokens[cells],
            self.completion_tokens[cells],
            *(own if own is None else own[rows] for own in (self.groups, self.development)),
        )


class Router(BaseEstimator, ABC):
    """Predicts utility and cost of K models from a feature vector.

    A subclass sets ``name``, as the config gives it below ``routers``; its
    constructor arguments are its hyper-parameters, with the published defaults.
    One called ``random_state`` is set from the config's ``seed``.
    """

    name: ClassVar[str]
    fusion: ClassVar[str | None]
    """The published fusion of this router, which the config can change; None: no features."""
    reads_samples: ClassVar[bool] = False
    """Whether ``Z`` is no matrix but a frame of n samples: ``sample_id``, ``dataset``,
    ``question`` and ``image`` (a path, or None; several as ``mmroute.images.each`` has them)."""
    trained_encoder: ClassVar[Mapping[str, Any] | None] = None
    """An encoder that is trained along: its ``name``; its ``parameters``, each with that of the
    router which gives it; and ``where``, the router's parameters with which it is. ``Z`` is the
    frame then, and a GPU is wanted if the encoder wants one."""
    gpu: ClassVar[bool] = False
    """Whether training wants a GPU anyway."""
    uses_pool: ClassVar[bool] = False
    """Whether ``fit`` takes a fourth argument, the ``Pool``."""
    stops_by_development: ClassVar[bool] = False
    """Whether ``fit`` is given development samples too, which the ``Pool`` tells apart."""
    reaches_network: ClassVar[bool] = False
    """Whether it sends queries elsewhere to predict."""

    @abstractmethod
    def fit(self, Z: Any, U: np.ndarray, C: np.ndarray) -> Self:
        """Learn from the training split.

        Parameters
        ----------
        Z
            (n, d) features; a frame if it ``reads_samples``.
        U, C
            (n, K) utility in [0, 1] and normalised cost; NaN where missing, alike
            in both. Each model has at least one outcome.
        """

    @abstractmethod
    def predict(self, Z: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return (N, K) finite predictions of utility and normalised cost.

        A sample's predictions depend on its own feature only.
        """

    def predict_trials(self, Z: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return (T, N, K) predictions; T = 1 but for a router that draws."""
        u_hat, c_hat = self.predict(Z)
        return u_hat[None], c_hat[None]

    def take_up(self, key_variable: str, n_models: int) -> None:
        """Get ready to be used by whoever has loaded it, if it reaches the network.

        What a file is not to decide is set anew; ``key_variable`` names the environment variable
        of a key, empty for none. Raises InputError if it was not trained for ``n_models``, or if
        its class does not say here what a file must not decide.
        """
        raise InputError(
            f"the router {self.name!r} reaches the network, and its class has no take_up; define "
            "it, to set anew what a stranger's file must not decide"
        )

    def overhead(self, Z: Any) -> np.ndarray:
        """Return the (N,) normalised costs of the decisions themselves."""
        return np.zeros(len(Z))


class DynamicRouter(Router):
    """A router that a new model joins by a few labelled queries, without retraining."""

    @abstractmethod
    def add_model(self, Z: Any, utility: np.ndarray, cost: np.ndarray) -> Self:
        """Add a model to a fitted router, as the last of the pool; the others stay as they are.

        Parameters
        ----------
        Z
            (n, d) features of the queries on which it was observed, n > 0.
        utility, cost
            (n,) its utility in [0, 1] and normalised cost there.
        """


class GridRouter(Router):
    """Has scores of its own for each lambda of a grid; each lambda is one operating point.

    ``predict`` serves what needs utilities and costs, in their units.
    """

    @property
    @abstractmethod
    def grid(self) -> np.ndarray:
        """(G,) lambdas, ascending from 0."""

    @abstractmethod
    def predict_scores(self, Z: Any) -> np.ndarray:
        """Return (G, N, K) scores, not negative; at each lambda the largest is chosen."""


class LiftRouter(GridRouter):
    """A router of scores that are in no unit: they tell how far a query lifts a model's mean.

    A fitted one has ``mean_utility_``, ``mean_cost_`` and ``mean_score_``, (K,) of each model:
    means over the training samples, of the scores at lambda 0.
    """

    mean_utility_: np.ndarray
    mean_cost_: np.ndarray
    mean_score_: np.ndarray

    def predict(self, Z: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the scores at lambda 0 as utilities, and each model's mean training cost.

        A score over the model's mean score is a lift, which multiplies the model's mean
        utility; no utility exceeds 1.
        """
        scores = self.predict_scores(Z)[0]
        lift = np.divide(
            scores, self.mean_score_, out=np.ones_like(scores), where=self.mean_score_ > 0
        )
        return np.clip(lift * self.mean_utility_, 0, 1), np.tile(self.mean_cost_, (len(Z), 1))


class OneChoice(LiftRouter):
    """A router with one operating point: whatever lambda is, the largest score is chosen."""

    @property
    def grid(self) -> np.ndarray:
        """The one lambda, 0."""
        return np.zeros(1)


def fit(router: Any, Z: Any, U: np.ndarray, C: np.ndarray, pool: Pool) -> Any:
    """Fit a router in place, with the pool if it asks for it, and return it."""
    return router.fit(Z, U, C, pool) if router.uses_pool else router.fit(Z, U, C)


class UpperBound(ABC):
    """Chooses with knowledge of the evaluation outcomes; never in a ranking."""

    name: ClassVar[str]
    fusion: ClassVar[None] = None
    upper_bound: ClassVar[bool] = True
    """Says so where the class is not imported."""

    @abstractmethod
    def reveal(self, U: np.ndarray, C: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (N, K) scores made of the true outcomes, NaN where missing."""


class Elsewhere(ABC):
    """A router from elsewhere, by what it chose: it is not trained here, nor asked."""

    name: ClassVar[str]
    fusion: ClassVar[None] = None
    elsewhere: ClassVar[str] = "choices"
    """The parameter with the file of what it chose: a row of the config with it needs no class."""

    @abstractmethod
    def predictions(self, benchmark: "Benchmark", rows: np.ndarray) -> "Predictions":
        """Return what it chose for the samples of an (N,) mask, as scores of a grid.

        They are NaN for a sample that it was not asked about.
        """


def observed_means(Y: np.ndarray) -> np.ndarray:
    """Return the (K,) means over observed entries of (n, K).

    Raises InputError if a column has none, as it cannot be learned.
    """
    unseen = np.isnan(Y).all(axis=0)
    if unseen.any():
        raise InputError(
            f"model {int(unseen.argmax())} of the pool has no outcome in the training split; "
            "leave it out of the pool or add outcomes"
        )
    return np.nanmean(Y, axis=0)


def fill_missing_means(means: np.ndarray, fallback: np.ndarray) -> np.ndarray:
    """Replace the NaN of (m, K) group means by each model's training mean."""
    return np.where(np.isnan(means), fallback, means)


def same_mask_columns(Y: np.ndarray) -> list[np.ndarray]:
    """Group the columns of (n, K) that are missing on the same rows.

    An estimator without missing values can be fitted on each group's observed rows.
    """
    _, group = np.unique(np.isnan(Y), axis=1, return_inverse=True)
    return [np.flatnonzero(group == index) for index in range(group.max() + 1)]
