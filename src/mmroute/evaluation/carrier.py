"""What goes over from cross-fitted predictions to the router that is trained on all of them.

Two fits of one router predict on other scales, so that a threshold of one is another policy of
the other. What goes over is what a point is foreseen to cost, on queries without outcomes, with
predicted costs as far as the labels bear them out.
"""

from dataclasses import dataclass

import numpy as np

from mmroute.evaluation.curve import (
    Policy,
    Steps,
    last_of_ties,
    running_mean,
    thresholds,
    training_steps,
)
from mmroute.predictions import Predictions

_EQUAL = 1e-9
"""Foreseen costs this close are taken for equal."""


@dataclass(frozen=True)
class BorneOut:
    """Predicted costs as far as labels bear them out.

    Attributes
    ----------
    mean, slope
        (K,) mean cost of each model, and the least squares slope, within [0, 1], of its costs
        on what was predicted of them without their labels.
    """

    mean: np.ndarray
    slope: np.ndarray

    @classmethod
    def of(cls, moments: np.ndarray) -> "BorneOut":
        """Take sums of ``moments``."""
        n_seen, seen, n_both, cost, told, product, square, *_ = moments
        with np.errstate(invalid="ignore", divide="ignore"):
            slope = (product - cost * told / n_both) / (square - told**2 / n_both)
            return cls(seen / n_seen, np.clip(np.nan_to_num(slope, posinf=0, neginf=0), 0, 1))

    def costs(self, c_hat: np.ndarray) -> np.ndarray:
        """(N, K) predicted costs anew: their mean over the samples is the labels'."""
        told = np.isfinite(c_hat)
        centre = np.where(told, c_hat, 0).sum(axis=0) / np.maximum(told.sum(axis=0), 1)
        return self.mean + self.slope * (c_hat - centre)


def moments(c_hat: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """What ``BorneOut`` needs, (9, K) sums over (n, K) predictions and costs, NaN where missing.

    Of each model the number of costs and their sum; where both are known their number, sums of
    costs and of predictions, of their products and of the predictions' squares; the number of
    predictions and their sum.
    """
    seen, told = np.isfinite(cost), np.isfinite(c_hat)
    own, predicted, both = np.where(seen, cost, 0), np.where(told, c_hat, 0), seen & told
    cells = (seen, own, both, own * both, predicted * both, own * predicted, predicted**2 * both)
    return np.stack([cell.sum(axis=0, dtype=float) for cell in (*cells, told, predicted)])


@dataclass(frozen=True)
class Foreseen:
    """What choices are foreseen to cost at each operating point, outcomes unseen.

    Attributes
    ----------
    threshold
        (P,) ascending parameter values from which the points hold.
    cost
        (P,) mean costs of the chosen models, as ``BorneOut`` has them.
    """

    threshold: np.ndarray
    cost: np.ndarray

    @classmethod
    def of(cls, steps: Steps, costs: np.ndarray, policy: Policy) -> "Foreseen":
        """Follow (N, K) foreseen costs over the steps of N samples."""
        threshold = thresholds(steps, policy)
        points = last_of_ties(threshold)
        return cls(threshold[points], running_mean(steps, costs)[points])

    def carry(self, parameters: np.ndarray, other: "Foreseen") -> np.ndarray:
        """The thresholds at which another fit is foreseen to cost as much as this one.

        Two fits of one router predict on other scales, so that a threshold of one is another
        policy of the other. The cheapest and the dearest that is foreseen go over as such,
        as other samples may cost more or less.

        Parameters
        ----------
        parameters
            (M,) parameter values for this fit.
        other
            What the other fit foresees, for samples of its own.

        Returns
        -------
        (M,) thresholds of the points that are nearest; of equally near ones the first, of a
        budget the last.
        """
        at = self.cost[np.searchsorted(self.threshold, parameters, side="right") - 1]
        ends = (self.cost.min(), other.cost.min()), (self.cost.max(), other.cost.max())
        wanted = at.copy()
        if np.ptp(self.cost) > _EQUAL:
            for end, its_end in ends:
                wanted[np.abs(at - end) <= _EQUAL] = its_end
        # Costs go one way along a curve as predicted, and nearly so as foreseen.
        up = other.cost[-1] >= other.cost[0]
        rising = other.cost if up else -other.cost
        own = np.maximum.accumulate(rising)
        wanted = wanted if up else -wanted
        after = np.minimum(np.searchsorted(own, wanted), len(own) - 1)
        before = np.maximum(after - 1, 0)
        nearer_before = np.abs(own[before] - wanted) <= np.abs(own[after] - wanted) + _EQUAL
        reached = own[np.where(nearer_before, before, after)]
        if other.threshold[0] > -np.inf:
            return other.threshold[np.searchsorted(own, reached - _EQUAL)]
        # Of equally dear budgets only the largest has the best of equally dear models.
        equal = np.flatnonzero(rising >= own - _EQUAL)
        last = equal[np.searchsorted(own[equal], reached + _EQUAL, side="right") - 1]
        return np.where(np.isneginf(parameters), other.threshold[0], other.threshold[last])


@dataclass(frozen=True)
class Carrier:
    """What goes over from cross-fitted predictions to the router trained on all of them.

    Attributes
    ----------
    told
        What they foresee; None of a router with a grid, whose lambdas are trainings that are
        the same in both.
    borne_out
        How they are borne out.
    """

    told: Foreseen | None
    borne_out: BorneOut

    @classmethod
    def of(
        cls, crossfit: Predictions, utility: np.ndarray, cost: np.ndarray, policy: Policy
    ) -> "Carrier":
        """Take cross-fitted predictions of (n, K) outcomes, the cost in their unit."""
        borne_out = BorneOut.of(moments(crossfit.c_hat[0], cost))
        if crossfit.grid is not None:
            return cls(None, borne_out)
        kept, steps = training_steps(crossfit, utility, policy)
        costs = borne_out.costs(crossfit.c_hat[0])[kept]
        return cls(Foreseen.of(steps, costs, policy), borne_out)

    def foreseen(self, steps: Steps, c_hat: np.ndarray, policy: Policy) -> Foreseen | None:
        """What the router foresees of (N, K) predicted costs; None of one with a grid."""
        return self.told and Foreseen.of(steps, self.borne_out.costs(c_hat), policy)

    def carry(self, parameters: np.ndarray, foreseen: Foreseen | None) -> np.ndarray:
        """The router's (M,) parameters for those of the cross-fitted predictions."""
        return self.told.carry(parameters, foreseen) if self.told and foreseen else parameters
