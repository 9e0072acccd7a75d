"""What to run under a limit: a static mixture, unless the router that was named beats it.

Utility needs labels; cost and traffic do not. So the limit alone fixes how far a router goes,
and the labels answer one question: does it, there, beat what needs no router? Nothing is
picked from a crowd of candidates.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from mmroute.evaluation.curve import Policy, Steps, last_of_ties, thresholds, training_steps
from mmroute.evaluation.metrics import ROUNDING
from mmroute.outcome_table import OutcomeTable
from mmroute.predictions import Predictions

MARGIN, SURE = 1.645, 2.33
"""Standard errors by which a limit in percent is kept, and one in USD, or of accuracy."""
N_LIMITS = 9
"""Limits over which a router must gain on average."""
DIGITS = 12
"""Means that differ by less are equal."""
LOWEST = -1e9
"""A normalised cost below any that is predicted; finite, as a card and JSON have to hold it."""
PAID, LISTED, PREDICTED, BEST_COST, EARNED, BEST_EARNED, ONE = range(7)
"""What is added up over the samples at an operating point, in the order of ``Spending.sums``."""
IMAGINED = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
"""Two samples that were not there, one won against the best model and one lost: with few samples
that differ nothing is to seem certain. Columns are those of ``Target.weights``."""


@dataclass(frozen=True)
class Limit:
    """A mean cost not to exceed.

    Attributes
    ----------
    amount
        USD per query, or a share of the best single model's mean cost.
    paired
        Whether it is such a share.
    """

    amount: float
    paired: bool

    @property
    def margin(self) -> float:
        """Standard errors by which it is kept."""
        return MARGIN if self.paired else SURE


@dataclass(frozen=True)
class Target:
    """An accuracy to reach; attributes as for ``Limit``, with accuracies for costs."""

    amount: float
    paired: bool

    @property
    def weights(self) -> np.ndarray:
        """(3,) what a utility, the best model's, and 1 count in the lead on the target."""
        return np.array([1.0, -self.amount, 0.0] if self.paired else [1.0, 0.0, -self.amount])


@dataclass(frozen=True)
class Mixture:
    """One of two models at random, with fixed shares.

    Attributes
    ----------
    first, second
        Indices of two models; the same where it is a single one.
    share
        Of the queries that the second gets.
    kept
        Whether it surely keeps what was asked for.
    """

    first: int
    second: int
    share: float
    kept: bool

    def mean(self, matrix: np.ndarray) -> np.ndarray:
        """The mixture of (..., K) columns."""
        return (1 - self.share) * matrix[..., self.first] + self.share * matrix[..., self.second]


@dataclass(frozen=True)
class Labels:
    """Outcomes of the labelled samples, and how many queries are to be answered by them.

    Attributes
    ----------
    utility, cost
        (n, K) outcomes, costs in USD, NaN where missing.
    group
        (n,) codes of the groups, from 0.
    n_queries
        N.
    priced_by
        The model whose cost a limit in percent is of; None: the best.
    latency
        (n, K) seconds, NaN where unknown; None without latencies.
    """

    utility: np.ndarray
    cost: np.ndarray
    group: np.ndarray
    n_queries: int
    priced_by: int | None = None
    latency: np.ndarray | None = None

    @classmethod
    def of(cls, table: OutcomeTable, n_queries: int, priced_by: int | None = None) -> "Labels":
        """Take the outcomes of a table, all of whose samples are labelled."""
        group = pd.factorize(table.samples["group"])[0]
        given = table.utility, table.cost, group, n_queries, priced_by
        return cls(*given, table.latency_s)

    def take(self, rows: np.ndarray) -> "Labels":
        """Those of some samples, given by a mask."""
        return replace(
            self,
            utility=self.utility[rows],
            cost=self.cost[rows],
            group=_codes(self.group[rows]),
            latency=None if self.latency is None else self.latency[rows],
        )

    @cached_property
    def mean_utility(self) -> np.ndarray:
        """(K,) of each model where it was observed; -inf where it never was."""
        return np.nan_to_num(_means(self.utility), nan=-np.inf)

    @cached_property
    def mean_cost(self) -> np.ndarray:
        """(K,) likewise; +inf where it never was."""
        return np.nan_to_num(_means(self.cost), nan=np.inf)

    @cached_property
    def mean_latency(self) -> np.ndarray:
        """(K,) seconds of each model where they are known; NaN where they never are."""
        untold = np.full(self.utility.shape, np.nan)
        return _means(untold if self.latency is None else self.latency)

    def within(self, seconds: float) -> np.ndarray:
        """(K,) whether each model surely answers within so many seconds on average.

        As a limit in USD is kept: mean + 2.33 * s.e. <= seconds. One that was timed once, or
        never, does not surely.
        """
        if self.latency is None:
            return np.zeros(self.utility.shape[1], bool)
        n_known = np.isfinite(self.latency).sum(axis=0)
        sums = _sums_by(self.group, np.nan_to_num(self.latency - self.mean_latency))
        with np.errstate(divide="ignore", invalid="ignore"):
            variance = np.square(sums).sum(axis=0) / (n_known * (n_known - 1.0))
            bound = self.mean_latency + SURE * np.sqrt(self.spread * variance)
        return (n_known > 1) & (bound <= seconds * (1 + ROUNDING))

    def candidates(self, seconds: float, names: Sequence[str]) -> tuple[np.ndarray, str]:
        """(K,) mask of the models that are chosen among within a latency, and the others in words.

        Where no model surely keeps it, the fastest on average is left, and all are told of.
        """
        fast, latency = self.within(seconds), self.mean_latency
        others = ", ".join(
            f"{name} ({'no latency known' if np.isnan(mean) else f'{mean:.3g} s'})"
            for name, mean, own in zip(names, latency, fast, strict=True)
            if not own
        )
        if not fast.any():
            fast[np.nanargmin(latency)] = True
        return fast, others

    @cached_property
    def best(self) -> int:
        """The most accurate model; of equals the cheaper."""
        return int(np.lexsort((self.mean_cost, -np.round(self.mean_utility, DIGITS)))[0])

    @cached_property
    def cheapest(self) -> int:
        """The cheapest model; of equals the more accurate."""
        return int(np.lexsort((-self.mean_utility, self.mean_cost))[0])

    @property
    def reference(self) -> int:
        """The model whose cost a limit in percent is of, where it was observed."""
        own = self.priced_by
        return self.best if own is None or np.isinf(self.mean_cost[own]) else own

    @property
    def spread(self) -> float:
        """What the variance of a mean is multiplied by where N queries are to keep it: 1 + n/N."""
        return 1 + len(self.utility) / self.n_queries

    def usd(self, limit: Limit) -> float:
        """A limit in USD per query."""
        return limit.amount * self.mean_cost[self.reference] if limit.paired else limit.amount

    @cached_property
    def _covariance(self) -> np.ndarray:
        """(K, K) of the errors of the mean costs."""
        n_observed = np.maximum(np.isfinite(self.cost).sum(axis=0), 1)
        deviations = np.nan_to_num((self.cost - _means(self.cost)) / n_observed)
        sums = _sums_by(self.group, deviations)
        return self.spread * sums.T @ sums

    @cached_property
    def _pairs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(P,) models that can be mixed, the more accurate one second; a model alone is twice.

        And by how much two costs differ on a query, squared: its mean.
        """
        first, second = np.indices(self._covariance.shape).reshape(2, -1)
        upward = self.mean_utility[second] > self.mean_utility[first]
        known = np.isfinite(self.mean_cost[first]) & np.isfinite(self.mean_cost[second])
        first, second = (models[known & (upward | (first == second))] for models in (first, second))
        apart = zip(self.cost.T[first], self.cost.T[second], strict=True)
        return first, second, np.array([_mean_square(one - other) for one, other in apart])

    def mixture(self, limit: Limit, alone: bool = False) -> Mixture:
        """The most accurate mixture of two models that surely keeps a limit; else the cheapest.

        With x its cost less the limit, mean(x) + margin * s.e. <= 0; s.e. by the models'
        covariance, and by what fixed shares of N queries leave to chance. ``alone``: of single
        models only.
        """
        first, second, apart = self._pairs
        if alone:
            first, second, apart = (own[self._pairs[0] == self._pairs[1]] for own in self._pairs)
        units = np.eye(len(self.mean_cost))
        start, step = units[first], units[second] - units[first]
        if limit.paired:
            start = start - limit.amount * units[self.reference]
        chance = apart / self.n_queries
        variance, linear, square = (
            np.einsum("pk,kl,pl->p", left, self._covariance, right)
            for left, right in ((start, start), (start, step), (step, step))
        )
        share = _largest_share(
            self.mean_cost[first] - self.usd(limit),
            self.mean_cost[second] - self.mean_cost[first],
            (variance, 2 * linear + chance, square - chance),
            limit.margin,
        )
        kept = np.flatnonzero(~np.isnan(share))
        if not len(kept):
            return Mixture(self.cheapest, self.cheapest, 0.0, False)
        mixtures = [
            Mixture(int(first[pair]), int(second[pair]), float(share[pair]), True) for pair in kept
        ]
        return min(
            mixtures,
            key=lambda mixture: (
                -round(float(mixture.mean(self.mean_utility)), DIGITS),
                mixture.mean(self.mean_cost),
                mixture.share,
            ),
        )

    def blend(self, target: Target) -> Mixture:
        """The cheapest blend of the best model with a cheaper one that surely reaches a target.

        The best model alone where nothing does.
        """
        blends = []
        for model in np.flatnonzero(self.mean_cost <= self.mean_cost[self.best]):
            both = self.utility[:, np.array([self.best, model])]
            seen = np.isfinite(both).all(axis=1)
            sums = np.column_stack([both, np.ones(len(both))])[seen]
            imagined = IMAGINED[:, np.array([1, 0, 2])]
            sums = np.concatenate([_sums_by(_codes(self.group[seen]), sums), imagined])
            # The lead of the best model alone, and what changes with the other's share.
            _, of_best, of_one = target.weights
            lead = sums @ np.array([[1 + of_best, 0.0, of_one], [-1.0, 1.0, 0.0]]).T
            n_samples = sums[:, 2].sum()
            means = lead.sum(axis=0) / n_samples
            deviations = (lead - sums[:, [2]] * means) / n_samples
            (variance, linear), (_, square) = self.spread * deviations.T @ deviations
            moments = [np.array([part]) for part in (variance, 2 * linear, square)]
            share = _largest_share(-means[:1], -means[1:], moments, SURE)[0]
            if not np.isnan(share):
                blends.append(Mixture(self.best, int(model), float(share), True))
        alone = Mixture(self.best, self.best, 0.0, False)
        return min(blends, key=lambda blend: float(blend.mean(self.mean_cost)), default=alone)

    def cross_fitted(self, limits: Sequence[Limit], fold: np.ndarray) -> np.ndarray:
        """Mean utility of each limit's mixture, chosen without the fold that it is measured on."""
        folds = np.unique(fold)
        if len(folds) == 1:
            return np.array([self.mixture(limit).mean(self.mean_utility) for limit in limits])
        total = np.zeros(len(limits))
        for held in folds:
            rest, measured = self.take(fold != held), _means(self.utility[fold == held])
            # A model that was not observed there is as it is on all samples.
            measured = np.where(np.isnan(measured), self.mean_utility, measured)
            reached = [rest.mixture(limit).mean(measured) for limit in limits]
            total += (fold == held).sum() * np.array(reached)
        return total / len(fold)


def _largest_share(
    mean: np.ndarray,
    slope: np.ndarray,
    moments: Sequence[np.ndarray],
    margin: float,
) -> np.ndarray:
    """The largest s in [0, 1] with mean + s slope + margin sqrt(a + s b + s² c) <= 0, or NaN.

    ``moments`` are a, b and c. At the border the square of the one side is the other's.
    """
    constant, linear, square = moments
    a = slope**2 - margin**2 * square
    b = 2 * mean * slope - margin**2 * linear
    c = mean**2 - margin**2 * constant
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(np.maximum(b**2 - 4 * a * c, 0))
        borders = [(-b - root) / (2 * a), (-b + root) / (2 * a), -c / b]
    largest = np.full(len(mean), np.nan)
    scale = np.maximum(np.abs(mean), np.abs(slope))
    for share in [np.zeros(len(mean)), *borders, np.ones(len(mean))]:
        share = np.where((share >= 0) & (share <= 1), share, np.nan)
        error = np.sqrt(np.maximum(constant + share * linear + share**2 * square, 0))
        keeps = mean + share * slope + margin * error <= ROUNDING * scale
        largest = np.where(keeps, np.fmax(largest, share), largest)
    return largest


@dataclass(frozen=True)
class Spending:
    """What a router's cross-fitted choices spend and earn at each of P points, the dearest first.

    Attributes
    ----------
    threshold
        (P,) the policy's parameter.
    sums
        (P, 7) sums over n samples: costs in USD, paid with the decision's own, and foreseen by
        the chosen models' mean costs and by the router; the best single model's cost less its
        mean; utility, that model's utility, and 1.
    products
        (P, 7, 7) sums over the groups of the products of their sums.
    spread
        As for ``Labels``.
    fast
        (P,) whether the choices surely keep the latency that is asked for; True where none is.
    """

    threshold: np.ndarray
    sums: np.ndarray
    products: np.ndarray
    spread: float
    fast: np.ndarray | bool = True

    @classmethod
    def of(
        cls,
        labels: Labels,
        crossfit: Predictions,
        unit: float,
        policy: Policy,
        max_latency: float | None = None,
    ) -> "Spending":
        """Follow a router's choices.

        Parameters
        ----------
        labels, crossfit, policy
            Outcomes, what was predicted of them, and the policy family.
        unit
            USD of a predicted cost of 1.
        max_latency
            Seconds that the choices are to take at most, on average; None: no such limit.
        """
        kept, steps = training_steps(crossfit, labels.utility, policy)
        predictions = crossfit.take(kept)
        utility, cost = labels.utility[kept], labels.cost[kept]
        best, reference = [labels.best], [labels.reference]
        columns = [
            predictions.paid(cost / unit) * unit,
            labels.mean_cost,
            np.maximum(np.nan_to_num(predictions.c_hat[0]), 0) * unit,
            np.nan_to_num(cost[:, reference] - labels.mean_cost[reference]),
            utility,
            np.where(np.isnan(utility[:, best]), labels.mean_utility[best], utility[:, best]),
            1.0,
        ]
        matrices = np.stack([np.broadcast_to(column, cost.shape) for column in columns], axis=2)
        sums, products = _running(steps, matrices, _codes(labels.group[kept]))
        # Where only free models are left, what rounding leaves of the sums is no cost.
        spent = sums[:, [PAID, LISTED, PREDICTED]]
        least = 10.0**-DIGITS * spent.max(axis=0)
        sums[:, [PAID, LISTED, PREDICTED]] = np.where(spent > least, spent, 0)
        policy = own_policy(crossfit, policy)
        threshold = np.maximum(thresholds(steps, policy), LOWEST)
        points = _dearest_first(threshold, policy)
        fast: np.ndarray | bool = True
        if max_latency is not None and labels.latency is not None:
            group = _codes(labels.group[kept])
            fast = _fast(steps, labels.latency[kept], group, labels.spread, max_latency)[points]
        return cls(threshold[points], sums[points], products[points], labels.spread, fast)

    @property
    def means(self) -> np.ndarray:
        """(P, 7) means over the samples, in the order of ``sums``."""
        with np.errstate(invalid="ignore"):
            return self.sums / self.sums[:, [ONE]]

    @property
    def ratios(self) -> np.ndarray:
        """(P, 2) r₁ and r₂: what was paid over what was listed, and over what was predicted."""
        paid, foreseen = self.sums[:, [PAID]], self.sums[:, [LISTED, PREDICTED]]
        return np.divide(paid, foreseen, out=np.ones_like(foreseen), where=foreseen > 0)

    def reserve(self, limit: Limit) -> np.ndarray:
        """(P,) USD that stay unspent for what is not foreseen: the limit's margin times e.

        e is the standard error of what was paid less what was foreseen, by whichever of the two
        ways has the larger one.
        """
        errors = []
        for column, ratio in zip((LISTED, PREDICTED), self.ratios.T, strict=True):
            weights = np.zeros_like(self.sums)
            weights[:, PAID], weights[:, column] = 1, -ratio
            weights[:, BEST_COST] = -limit.amount if limit.paired else 0
            errors.append(self._error(weights))
        return limit.margin * np.maximum(*errors)

    def _error(self, weights: np.ndarray) -> np.ndarray:
        """(P,) standard errors of the means of combinations whose mean is 0."""
        square = np.einsum("pi,pij,pj->p", weights, self.products, weights)
        return np.sqrt(np.maximum(square, 0) * self.spread) / np.maximum(self.sums[:, ONE], 1)

    def at(self, limit: Limit, usd: float) -> int | None:
        """The dearest point that keeps a limit, which is ``usd`` a query; None if none does."""
        keeps = self.means[:, PAID] + self.reserve(limit) <= usd * (1 + ROUNDING)
        keeps &= self.fast
        return int(keeps.argmax()) if keeps.any() else None

    def reaching(self, target: Target) -> int | None:
        """The cheapest point that surely reaches a target; None if none does."""
        lead, error = self._lead(target)
        reaches = (lead >= SURE * error - ROUNDING) & self.fast
        if not reaches.any():
            return None
        return int(np.where(reaches, self.sums[:, PAID], np.inf).argmin())

    def settling(self, target: Target, usd: float) -> float:
        """Labels on which a point below a mean cost surely reaches a target, if one is as it looks.

        Infinite where none looks so.
        """
        lead, error = self._lead(target)
        needed = np.where((lead > 0) & self.fast, self.sums[:, ONE], np.inf)
        with np.errstate(divide="ignore", invalid="ignore"):
            needed = needed * (SURE * error / lead) ** 2
        return float(np.where(self.means[:, PAID] < usd, needed, np.inf).min(initial=np.inf))

    def _lead(self, target: Target) -> tuple[np.ndarray, np.ndarray]:
        """(P,) by how much each point exceeds a target, and the standard error of that."""
        columns = [EARNED, BEST_EARNED, ONE]
        n_samples = self.sums[:, ONE] + len(IMAGINED)
        lead = (self.sums[:, columns] + IMAGINED.sum(axis=0)) @ target.weights / n_samples
        weights = np.tile(target.weights, (len(lead), 1))
        weights[:, 2] -= lead
        square = np.einsum(
            "pi,pij,pj->p", weights, self.products[:, columns][..., columns], weights
        )
        square += np.square(weights @ IMAGINED.T).sum(axis=1)
        return lead, np.sqrt(np.maximum(square, 0) * self.spread) / n_samples


@dataclass(frozen=True)
class Advice:
    """What to run.

    Attributes
    ----------
    mixture
        What needs no router: the best under a limit, the cheapest for a target.
    point
        Of the router's ``Spending``, where it keeps what was asked; None where it does not.
    routed
        Whether the router is advised, and not the mixture.
    """

    mixture: Mixture
    point: int | None
    routed: bool


def advise(
    labels: Labels, fold: np.ndarray, spending: Spending, asked: Sequence[Limit | Target]
) -> list[Advice]:
    """Choose between the static mixture and the one router that was named, for all that is asked.

    Under a limit the router is used only where its cross-fitted gain on the mixture is positive,
    at this limit and on average over ``N_LIMITS`` from the cheapest model's cost to the dearest
    limit asked. For a target the cheaper is used.

    Parameters
    ----------
    labels
        Of n samples.
    fold
        (n,) of the cross-fitting. The mixture that a router is held against is chosen without
        the fold that it is measured on, as the router is: the best of many pairs flatters itself.
    spending
        What the router's cross-fitted choices spend and earn.
    """
    limits = [limit for limit in asked if isinstance(limit, Limit)]
    over = _grid(labels, limits)
    gains = _gains(labels, fold, spending, [*over, *limits])
    known = [gain for gain in gains[: len(over)] if not np.isnan(gain)]
    mean_gain = float(np.mean(known)) if known else np.nan
    gain_at = dict(zip(limits, gains[len(over) :], strict=True))
    advice = []
    for one in asked:
        if isinstance(one, Limit):
            mixture, point = labels.mixture(one), spending.at(one, labels.usd(one))
            routed = point is not None and gain_at[one] > ROUNDING < mean_gain
        else:
            mixture, point = labels.blend(one), spending.reaching(one)
            routed = point is not None and bool(
                not mixture.kept
                or spending.means[point, PAID] < mixture.mean(labels.mean_cost) * (1 - ROUNDING)
            )
        advice.append(Advice(mixture, point, routed))
    return advice


def _grid(labels: Labels, limits: Sequence[Limit]) -> list[Limit]:
    """Limits from the cheapest model's cost to the dearest one, of the first one's kind."""
    if not limits:
        return []
    low, high = labels.mean_cost[labels.cheapest], max(map(labels.usd, limits))
    amounts = np.geomspace(low, high, N_LIMITS) if 0 < low < high else np.array([high])
    of_best = labels.mean_cost[labels.reference]
    paired = limits[0].paired and of_best > 0
    return [Limit(float(usd / of_best if paired else usd), paired) for usd in amounts]


def _gains(
    labels: Labels, fold: np.ndarray, spending: Spending, limits: Sequence[Limit]
) -> list[float]:
    """Cross-fitted gains in utility on the mixture; NaN where the router keeps no limit."""
    points = [spending.at(limit, labels.usd(limit)) for limit in limits]
    reached = labels.cross_fitted(limits, fold)
    return [
        np.nan if point is None else float(spending.means[point, EARNED] - utility)
        for point, utility in zip(points, reached, strict=True)
    ]


@dataclass(frozen=True)
class Foresight:
    """What a router's choices on N queries are foreseen to cost, before any is paid.

    Attributes
    ----------
    threshold
        (P,) the policy's parameter, the dearest first.
    listed, predicted
        (P,) mean costs in USD of the chosen models: in training, and as the router predicts.
    """

    threshold: np.ndarray
    listed: np.ndarray
    predicted: np.ndarray

    @classmethod
    def of(
        cls, steps: Steps, mean_cost: np.ndarray, predicted: np.ndarray, policy: Policy
    ) -> "Foresight":
        """Follow a router's choices on queries.

        Parameters
        ----------
        steps
            Its changes of choice.
        mean_cost
            (K,) mean costs of the models in training.
        predicted
            (N, K) what it predicts of the queries' costs.
        policy
            Its policy family, see ``own_policy``.
        """
        columns = [np.broadcast_to(mean_cost, predicted.shape), np.maximum(predicted, 0)]
        sums, _ = _running(steps, np.stack(columns, axis=2), None)
        threshold = thresholds(steps, policy)
        points = _dearest_first(threshold, policy)
        listed, foretold = sums[points].T / len(predicted)
        return cls(threshold[points], listed, foretold)

    def keeping(self, usd: float, ratios: np.ndarray, reserve: float) -> float | None:
        """The parameter that goes as far as a limit in USD allows; None if none keeps it."""
        keeps = self._foreseen(ratios) + reserve <= usd * (1 + ROUNDING)
        return float(self.threshold[keeps.argmax()]) if keeps.any() else None

    def cheapest(self, ratios: np.ndarray) -> float:
        """The parameter that is foreseen to spend least."""
        return float(self.threshold[self._foreseen(ratios).argmin()])

    def _foreseen(self, ratios: np.ndarray) -> np.ndarray:
        return np.maximum(ratios[0] * self.listed, ratios[1] * self.predicted)

    def spending(self, listed: float) -> float:
        """The cheapest parameter whose choices cost as much by the list as others did."""
        enough = np.flatnonzero(self.listed >= listed * (1 - ROUNDING))
        return float(self.threshold[enough[-1] if len(enough) else self.listed.argmax()])


def own_policy(predictions: Predictions, policy: Policy) -> Policy:
    """The policy family that predictions follow: a grid is of lambdas, whatever the run's is."""
    return policy if predictions.grid is None else "lambda"


def _dearest_first(threshold: np.ndarray, policy: Policy) -> np.ndarray:
    """The indices of the operating points, from the one that spends most."""
    points = np.flatnonzero(last_of_ties(threshold))
    return points[::-1] if policy == "budget" else points


def _running(
    steps: Steps, matrices: np.ndarray, group: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Sums over the chosen models' entries of (N, K, C) matrices after each step.

    Returns
    -------
    (S + 1, C) sums over the samples, and (S + 1, C, C) sums over the groups of the products of
    their sums; empty without groups.
    """
    first = matrices[np.arange(len(matrices)), steps.first]
    change = matrices[steps.sample, steps.after] - matrices[steps.sample, steps.before]
    sums = np.cumsum(np.concatenate([first.sum(axis=0)[None], change]), axis=0)
    if group is None:
        return sums, np.empty(0)
    start, moved = _sums_by(group, first), group[steps.sample]
    order = np.argsort(moved, kind="stable")
    # What a group had gained by its steps before each of them.
    gained = np.cumsum(change[order], axis=0) - change[order]
    begins = np.flatnonzero(np.diff(moved[order], prepend=-1))
    gained -= np.repeat(gained[begins], np.diff(np.append(begins, len(order))), axis=0)
    held = np.empty_like(change)
    held[order] = gained + start[moved[order]]
    crossed = held[:, :, None] * change[:, None, :]
    grown = crossed + crossed.transpose(0, 2, 1) + change[:, :, None] * change[:, None, :]
    return sums, np.cumsum(np.concatenate([(start.T @ start)[None], grown]), axis=0)


def _fast(
    steps: Steps, latency: np.ndarray, group: np.ndarray, spread: float, seconds: float
) -> np.ndarray:
    """(S + 1,) whether choices surely take at most so long on average, as ``Labels.within``."""
    columns = np.stack([np.nan_to_num(latency), np.isfinite(latency)], axis=2)
    sums, products = _running(steps, columns, group)
    n_known = sums[:, 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = sums[:, 0] / n_known
        weights = np.column_stack([np.ones(len(mean)), -mean])
        square = np.einsum("pi,pij,pj->p", weights, products, weights)
        variance = np.maximum(square, 0) / (n_known * (n_known - 1))
        bound = mean + SURE * np.sqrt(spread * variance)
    return (n_known > 1) & (bound <= seconds * (1 + ROUNDING))


def _codes(group: np.ndarray) -> np.ndarray:
    """Codes of groups without gaps, from 0."""
    return np.unique(group, return_inverse=True)[1]


def _sums_by(group: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(G, C) sums of the rows of each group."""
    sums = np.zeros((int(group.max(initial=-1)) + 1, matrix.shape[1]))
    np.add.at(sums, group, matrix)
    return sums


def _means(matrix: np.ndarray) -> np.ndarray:
    """(K,) means of what is finite; NaN where nothing is."""
    with np.errstate(invalid="ignore"):
        return np.nansum(matrix, axis=0) / np.isfinite(matrix).sum(axis=0)


def _mean_square(column: np.ndarray) -> float:
    seen = column[np.isfinite(column)]
    return float(np.square(seen).mean()) if len(seen) else 0.0
