"""What a policy would have earned and cost on traffic where another one's calls were paid.

Of each of n logged queries the outcome of one model is known, and the probability with which it
was called, its propensity p. The policy in question would have called model t. A query counts by
its weight, w = 1/p where the logged model is t, else 0.

- Self-normalised inverse propensity: sum w y / sum w (Swaminathan and Joachims 2015).
- Doubly robust: mean q(t) + sum w (y - q(logged)) / sum w with any predictions q made without the
  log (Dudík, Langford and Li 2011), its correction self-normalised (Thomas and Brunskill 2016,
  "weighted doubly robust"). It is right where propensities or predictions are, and the more
  precise the better these are.

Both come as a value with its influence function, so that differences have intervals too. Few heavy
weights carry most of the variance, which is then itself poorly known: the interval is Student's,
with the degrees of freedom that the influence function's kurtosis leaves, 2 n / (kurtosis - 1)
(Satterthwaite). ``make coverage`` prints how often intervals hold the truth.

Queries of one group, such as one question that was asked ten times, tell less than as many others.
Variances and effective sizes are those of groups: what queries add up to a mean is summed by group
first (Liang and Zeger 1986).

Where the log's policy never calls t no weight tells, and where its propensities are too small, or
outcomes are told of some models rather than of others, weights tell a falsehood: see ``Overlap``.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from mmroute.evaluation.inference import CONFIDENCE

SMALLEST_SIZE = 40
"""Effective sample size below which nothing is estimated."""
FEWEST_CARRYING = 20
"""Groups that at least carry the variance of the weights, or nothing is estimated."""
ROUNDING = 1e-12
"""What is smaller, beside the numbers that it comes from, is an error of rounding."""


def by_group(numbers: np.ndarray, group: np.ndarray | None) -> np.ndarray:
    """Sum (n,) numbers by (n,) keys of groups; None: each is one of its own."""
    return numbers if group is None else np.bincount(pd.factorize(group)[0], numbers)


@dataclass(frozen=True)
class Estimate:
    """A mean over n queries.

    Attributes
    ----------
    value
        The mean.
    influence
        (n,) by how much each query moves it, times n; 0 on average.
    group
        (n,) keys of the queries' groups, see ``by_group``.
    scale
        The largest of the numbers that it comes from.
    """

    value: float
    influence: np.ndarray
    group: np.ndarray | None = None
    scale: float = 0.0

    def __sub__(self, other: Self) -> "Estimate":
        """The difference of two means over the same queries; one of rounding is 0."""
        apart, scale = self.value - other.value, max(self.scale, other.scale)
        apart = apart if abs(apart) > ROUNDING * scale else 0.0
        return Estimate(apart, self.influence - other.influence, self.group, scale)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval; NaN where all groups are alike, which tells none."""
        influence = by_group(self.influence, self.group)
        size = len(influence)
        influence = influence * (size / len(self.influence))
        variance = float((influence**2).mean())
        if size < 2 or variance <= (ROUNDING * self.scale) ** 2:
            return np.nan, np.nan
        kurtosis = float((influence**4).mean()) / variance**2
        freedom = np.clip(2 * size / max(kurtosis - 1, 1e-9), 1, size - 1)
        half = stdtrit(freedom, (1 + CONFIDENCE) / 2) * np.sqrt(variance / (size - 1))
        return self.value - half, self.value + half


@dataclass(frozen=True)
class Overlap:
    """How far a log can tell of a policy.

    Attributes
    ----------
    weight
        (n,) of the queries.
    denied
        Share of the queries whose propensity is 1 for another model than the policy's.
    group
        (n,) keys of the queries' groups, see ``by_group``.
    """

    weight: np.ndarray
    denied: float = 0.0
    group: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        target: np.ndarray,
        logged: np.ndarray,
        propensity: np.ndarray,
        group: np.ndarray | None = None,
    ) -> Self:
        """Weigh n queries by the policy's model, the logged one, and its propensity in (0, 1]."""
        same = target == logged
        denied = np.count_nonzero(~same & (propensity == 1))
        return cls(same / propensity, denied / max(len(same), 1), group)

    @cached_property
    def effective_size(self) -> float:
        """(sum w)^2 / sum w^2 of groups: so many alike would tell as much (Owen 2013, 9.3)."""
        total = float((by_group(self.weight, self.group) ** 2).sum())
        return float(self.weight.sum()) ** 2 / total if total else 0.0

    @cached_property
    def carrying(self) -> float:
        """So many groups carry the variance of the weights: the effective size of its terms.

        Where the policy agrees with the log but for a few queries, many weights are alike, and the
        rest of the truth is told by a handful. Infinite where all weights are alike.
        """
        apart = self._apart**2
        total = float((apart**2).sum())
        return float(apart.sum()) ** 2 / total if total else np.inf

    @cached_property
    def _apart(self) -> np.ndarray:
        """By how much each group's weights are more than the mean's."""
        return by_group(self.weight - self.weight.mean(), self.group)

    @cached_property
    def _chance(self) -> float:
        """Three standard errors of the mean weight.

        Where all weights are alike, w (w - 1) tells the variance: its mean is 1/p - 1.
        """
        variance = max((self._apart**2).sum(), (self.weight * (self.weight - 1)).sum())
        return 3 * float(np.sqrt(variance)) / len(self.weight)

    @cached_property
    def share(self) -> float:
        """The share of the queries that weights can speak of, at most.

        Where every model could be called weights are 1 on average. Less than chance would have it
        is not taken for chance.
        """
        return min(1 - self.denied, float(self.weight.mean()) + self._chance, 1.0)

    @property
    def is_inflated(self) -> bool:
        """Whether weights are more than 1 on average, by more than chance.

        Then propensities are too small, or outcomes are told of some models rather than of others.
        """
        return float(self.weight.mean()) - self._chance > 1

    @property
    def is_enough(self) -> bool:
        """Whether anything is estimated."""
        return (
            self.share == 1
            and not self.is_inflated
            and self.effective_size >= SMALLEST_SIZE
            and self.carrying >= FEWEST_CARRYING
        )

    def snips(self, outcome: np.ndarray) -> Estimate:
        """Estimate the mean of the (n,) logged outcomes under the policy."""
        return self._weighted(outcome, outcome)

    def doubly_robust(
        self, outcome: np.ndarray, predicted: np.ndarray, predicted_logged: np.ndarray
    ) -> Estimate:
        """Estimate it with the (n,) predictions for the policy's models and for the logged ones."""
        corrected = self._weighted(outcome - predicted_logged, outcome, predicted_logged, predicted)
        foreseen = mean(predicted, self.group)
        influence = foreseen.influence + corrected.influence
        value = foreseen.value + corrected.value
        return Estimate(value, influence, self.group, corrected.scale)

    def _weighted(self, outcome: np.ndarray, *of: np.ndarray) -> Estimate:
        average = float(self.weight.mean())
        value = float((self.weight * outcome).mean()) / average
        weight, largest = self.weight / average, float(np.abs(of).max())
        scale = float(weight.max()) * largest
        return Estimate(value, weight * (outcome - value), self.group, scale)


def mean(outcome: np.ndarray, group: np.ndarray | None = None) -> Estimate:
    """The plain mean of n outcomes, as of the policy that was logged."""
    value = float(outcome.mean())
    return Estimate(value, outcome - value, group, float(np.abs(outcome).max()))


def queries_needed(n_models: int, share: float, differing: float) -> int:
    """How many queries, each of another group, a log needs to tell of a policy.

    Parameters
    ----------
    n_models
        That random queries are sent to, alike.
    share
        Of the queries that are sent at random, in (0, 1].
    differing
        Of the queries that the policy sends elsewhere than the log does, in (0, 1].
    """
    rare, usual = share / n_models, 1 - share + share / n_models
    chance = np.array([differing * rare, (1 - differing) * usual])
    weight = np.array([1 / rare, 1 / usual, 0])
    chance = np.append(chance, 1 - chance.sum())
    apart = (weight - 1) ** 2
    per_size = float(chance @ weight**2)
    per_carrying = float(chance @ apart**2) / float(chance @ apart) ** 2
    return int(np.ceil(max(SMALLEST_SIZE * per_size, FEWEST_CARRYING * per_carrying)))
