"""Shrinking a router's predictions towards the models' means (definitions, section 6).

With a fifth of the samples for training, the predictions of a flexible router are
mostly noise, and the policy's argmax picks the noise. Shrunk, they are

    mu_j + rho * (u_hat_ij - mu_j)

with mu_j the model's mean on the training split. At rho = 0 every sample gets the
model that is best there for its predicted cost, at rho = 1 nothing changes. The
predicted costs stay. Of a router with a grid of lambdas the predicted utilities are
shrunk, and the policy family takes the place of the grid: its scores have no scale on
which a model's mean utility would be their mean.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mmroute.evaluation.curve import Policy, training_frontier
from mmroute.evaluation.metrics import frontier_of, nauc, single_models
from mmroute.outcomes.splits import fold_of
from mmroute.predictions import Predictions

RHOS = np.linspace(0, 1, 21)


@dataclass(frozen=True)
class Shrinkage:
    """How far predictions are trusted.

    Attributes
    ----------
    rho
        In [0, 1].
    means
        (K,) mean utilities on the training split.
    """

    rho: float
    means: np.ndarray

    def to_json(self) -> dict[str, Any]:
        """The shrinkage as JSON holds it."""
        return {"rho": self.rho, "means": self.means.tolist()}

    def apply(self, predictions: Predictions) -> Predictions:
        """Shrunk predictions, for a policy family."""
        shrunk = self.means + self.rho * (predictions.u_hat - self.means)
        return replace(predictions, u_hat=shrunk, grid=None, scores=None)


def choose(
    crossfit: Predictions, utility: np.ndarray, cost: np.ndarray, policy: Policy
) -> Shrinkage:
    """Choose rho by the nAUC of cross-fitted predictions on the training split.

    Of several that are equally good the smallest, 0 where nothing was predicted.

    Parameters
    ----------
    crossfit
        Of the n training samples, each by a router trained without it.
    utility, cost
        (n, K) outcomes, NaN where missing; cost normalised.
    policy
        Policy family.
    """
    means = np.nanmean(utility, axis=0)
    candidates = [Shrinkage(float(rho), means) for rho in RHOS]
    if not np.isfinite(utility[np.isfinite(crossfit.u_hat[0])]).any():
        return candidates[0]
    areas = [
        nauc(
            frontier_of(training_frontier(candidate.apply(crossfit), utility, cost, policy)),
            single_models(utility, cost),
        )[0]
        for candidate in candidates
    ]
    return candidates[int(np.argmax(areas))]


def shrink_crossfit(
    crossfit: Predictions,
    groups: Iterable[str],
    utility: np.ndarray,
    cost: np.ndarray,
    policy: Policy,
) -> Predictions:
    """Shrink cross-fitted predictions, each fold by what was chosen on the others.

    Arguments are those of ``choose``, and the (n,) keys of the samples' groups. Where the
    other folds have no outcome of some model, the fold is shrunk by what was chosen on all.
    """
    folds = fold_of(groups)
    shrunk = choose(crossfit, utility, cost, policy).apply(crossfit)
    u_hat = shrunk.u_hat
    for fold in np.unique(folds):
        held, rest = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        if np.isfinite(utility[rest]).any(axis=0).all():
            own = choose(crossfit.take(rest), utility[rest], cost[rest], policy)
            u_hat[:, held] = own.apply(crossfit.take(held)).u_hat
    return replace(shrunk, u_hat=u_hat)
