"""Operating curves of tables too large for one pass, from sums over shards.

Every shard gives the sums of cost and utility at the same thresholds. They are
exact there and add up, so the curve on the grid is that of the whole table
(definitions, section 4), and no job ever holds more than one shard.
"""

from dataclasses import dataclass, replace

import numpy as np

from mmroute.curve import Curve, Policy, Steps, policy_steps
from mmroute.errors import InputError


@dataclass(frozen=True)
class ShardSums:
    """What the samples of one or more shards cost and achieve in total at each threshold.

    Attributes
    ----------
    cost, utility
        (T,) sums over the samples of the true outcomes of the chosen models.
    threshold
        (T,) ascending parameter values of the policy.
    n_samples
        Number of samples summed over.
    """

    cost: np.ndarray
    utility: np.ndarray
    threshold: np.ndarray
    n_samples: int

    def __add__(self, other: "ShardSums") -> "ShardSums":
        """Return the sums over the samples of both.

        Raises
        ------
        InputError
            If the two were not evaluated at the same thresholds.
        """
        if not np.array_equal(self.threshold, other.threshold):
            raise InputError(
                f"shards: sums at {len(self.threshold)} and at {len(other.threshold)} thresholds "
                "that are not the same do not add up; evaluate every shard on one grid"
            )
        return replace(
            self,
            cost=self.cost + other.cost,
            utility=self.utility + other.utility,
            n_samples=self.n_samples + other.n_samples,
        )

    def to_curve(self) -> Curve:
        """Return the operating points at the thresholds; neighbours may be equal.

        Raises
        ------
        InputError
            If there is no sample.
        """
        if self.n_samples == 0:
            raise InputError("shards: no shard holds a sample, so there is no curve")
        return Curve(self.cost / self.n_samples, self.utility / self.n_samples, self.threshold)


def shard_sums(
    u_hat: np.ndarray,
    c_hat: np.ndarray,
    utility: np.ndarray,
    cost: np.ndarray,
    policy: Policy,
    thresholds: np.ndarray,
) -> ShardSums:
    """Evaluate one shard at every threshold.

    Parameters
    ----------
    u_hat, c_hat, utility, cost, policy
        As for ``curve.operating_curve``; a shard may be empty.
    thresholds
        (T,) strictly ascending parameter values, the same for every shard. A
        lambda is at least 0; a budget may be -inf, and both may end in inf.

    Raises
    ------
    InputError
        If the thresholds are none, not ascending or negative lambdas, a prediction
        is not finite, or a sample has no observed outcome.
    """
    if len(thresholds) == 0 or not (np.diff(thresholds) > 0).all() or np.isnan(thresholds[0]):
        raise InputError("shards: thresholds must be one or more numbers, strictly ascending")
    if policy == "lambda" and thresholds[0] < 0:
        raise InputError(f"shards: lambda starts at 0, so {thresholds[0]} is no threshold of it")
    steps = policy_steps(u_hat, c_hat, np.isfinite(utility) & np.isfinite(cost), policy)
    # A step shows from the first threshold at or above its own; past the grid it never does.
    shown = np.searchsorted(thresholds, steps.threshold)
    return ShardSums(
        *(_sums(steps, shown, matrix, len(thresholds)) for matrix in (cost, utility)),
        thresholds,
        len(u_hat),
    )


def _sums(steps: Steps, shown: np.ndarray, outcome: np.ndarray, size: int) -> np.ndarray:
    """Return the (size,) sums of the chosen models' outcomes at each threshold."""
    start = outcome[np.arange(len(outcome)), steps.first].sum(dtype=float)
    change = np.subtract(
        outcome[steps.sample, steps.after], outcome[steps.sample, steps.before], dtype=float
    )
    return start + np.cumsum(np.bincount(shown, change, size + 1)[:size])


def threshold_grid(
    u_hat: np.ndarray, c_hat: np.ndarray, observed: np.ndarray, policy: Policy, size: int
) -> np.ndarray:
    """Propose thresholds: quantiles of a sample's breakpoints, and both ends of the policy.

    The grid is dense where choices change. Its ends are the two constant regimes,
    so they are exact for every shard, wherever its own breakpoints lie.

    Parameters
    ----------
    u_hat, c_hat, observed, policy
        As for ``curve.policy_steps``: a sample of the table, some shards' rows.
    size
        Number of thresholds, at least 2; there are fewer if the sample has fewer
        distinct breakpoints, and then the grid holds all of them.

    Returns
    -------
    numpy.ndarray
        (T,) ascending, T <= size, from 0 for lambda or -inf for a budget to inf.
    """
    inner = np.unique(policy_steps(u_hat, c_hat, observed, policy).threshold)
    if len(inner) > size - 2:
        inner = inner[np.linspace(0, len(inner) - 1, size - 2).round().astype(int)]
    start = -np.inf if policy == "budget" else 0.0
    return np.unique(np.concatenate([[start], inner, [np.inf]]))
