"""Metrics of one policy: one choice of a model per sample.

Definitions, section 5. A resample of the paired bootstrap only re-weights the
samples, so each metric is computed for B weightings at once: ``weights`` is
(B, N), how often each resample holds each sample, and a row of ones is the sample
itself. Most metrics are ratios of weighted sums, hence columns of one matrix
product. A metric that a resample leaves undefined (0/0) is NaN there. The sums add
up, so the samples may come in parts.

"Observed" means that an outcome is there: the best and the cheapest model of a sample
are taken among those observed for it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from mmroute.errors import InputError
from mmroute.evaluation.metrics import ROUNDING, SingleModels
from mmroute.evaluation.record import Metric
from mmroute.outcome_table import LATENCY
from mmroute.rank_score import cost_range, rank_score

ECE_BINS = 15

_CHUNK = 1 << 19
"""Cells of a (B, N) matrix worked on at once, so that temporaries stay in cache."""


@dataclass(frozen=True)
class Choices:
    """One choice of a model per sample: what the metrics of a policy are made of.

    Attributes
    ----------
    gained, paid
        (N,) utility and cost of the chosen models.
    predicted
        (N,) their predicted utility.
    best, optimal
        (N,) among the models observed for a sample: the largest utility, and the smallest
        cost of a model that has it.
    dearest
        (N,) whether the chosen models are the most expensive ones of all samples.
    latency
        (N,) seconds that the chosen models took, NaN where unknown; empty without
        latencies.
    """

    gained: np.ndarray
    paid: np.ndarray
    predicted: np.ndarray
    best: np.ndarray
    optimal: np.ndarray
    dearest: np.ndarray
    latency: np.ndarray

    @classmethod
    def of(
        cls,
        choice: np.ndarray,
        predicted: np.ndarray,
        utility: np.ndarray,
        cost: np.ndarray,
        dearest: np.ndarray,
        latency: np.ndarray | None = None,
    ) -> Self:
        """Compare the choices with what there was to choose; arguments as for ``policy_sums``."""
        observed = np.isfinite(utility) & np.isfinite(cost)
        best = np.where(observed, utility, -np.inf).max(axis=1)
        return cls(
            of_chosen(utility, choice),
            of_chosen(cost, choice),
            predicted,
            best,
            np.where(observed & (utility == best[:, None]), cost, np.inf).min(axis=1),
            dearest[choice],
            np.empty(0) if latency is None else of_chosen(latency, choice),
        )

    def solved(self) -> np.ndarray:
        """(N,) whether an observed model solves the sample at least in part."""
        return self.best > 0


@dataclass(frozen=True, kw_only=True)
class PolicyMetric(Metric):
    """A metric of one policy.

    Attributes
    ----------
    ratio
        Choices to the (N,) terms above and below the line of a ratio of weighted sums; the
        second may be 1, for a mean. None where the metric is no such ratio, see ``PolicySums``.
    unit
        How the report writes it: ``share``, ``usd`` (per query) or ``metric``, a plain number.
    timed
        Whether it is a ratio of latencies, and there only where there are any.
    """

    ratio: Callable[[Choices], tuple[np.ndarray, np.ndarray | int]] | None = None
    unit: str = "metric"
    timed: bool = False


POLICY_METRICS = [
    PolicyMetric(
        name="accuracy",
        title="accuracy",
        ratio=lambda own: (own.gained, 1),
        unit="share",
        shown=True,
    ),
    PolicyMetric(
        name="cost",
        title="normalised cost",
        ratio=lambda own: (own.paid, 1),
        lower_is_better=True,
    ),
    PolicyMetric(
        name="cost_usd",
        title="USD per 1,000 queries",
        unit="usd",
        lower_is_better=True,
        shown=True,
    ),
    # Mean over the choices whose latency is known, and which share of them these are.
    PolicyMetric(
        name=LATENCY,
        title="mean latency (s)",
        ratio=lambda own: (np.nan_to_num(own.latency), np.isfinite(own.latency)),
        lower_is_better=True,
        shown=True,
        timed=True,
    ),
    PolicyMetric(
        name="latency_coverage",
        title="latency known",
        ratio=lambda own: (np.isfinite(own.latency), 1),
        unit="share",
        shown=True,
        timed=True,
    ),
    # Mean of the chosen over the largest utility, over the samples that can be solved.
    PolicyMetric(
        name="routing_accuracy",
        title="routing accuracy",
        ratio=lambda own: (own.gained / np.where(own.solved(), own.best, 1), own.solved()),
        unit="share",
        shown=True,
    ),
    # Share of choices that cost as little as the cheapest of the best models and are as good
    # (RouterArena).
    PolicyMetric(
        name="optimal_selection",
        title="optimal selection",
        ratio=lambda own: ((own.gained == own.best) & (own.paid == own.optimal), 1),
        unit="share",
        shown=True,
    ),
    # Cost of choosing the cheapest of the best models over the router's; infinite where only
    # the router's is zero (RouterArena).
    PolicyMetric(
        name="optimal_cost",
        title="optimal cost",
        ratio=lambda own: (own.optimal, own.paid),
        infinite=True,
    ),
    # The router's utility over the oracle's (RouterArena).
    PolicyMetric(
        name="optimal_accuracy",
        title="optimal accuracy",
        ratio=lambda own: (own.gained, own.best),
    ),
    # Share of choices that are not among the best models, or are a model that is the most
    # expensive on average although a cheaper one is among the best (ORBIT).
    PolicyMetric(
        name="rci",
        title="RCI",
        ratio=lambda own: (
            (own.gained < own.best) | (own.dearest & (own.optimal < own.paid)),
            1,
        ),
        lower_is_better=True,
    ),
    PolicyMetric(
        name="brier",
        title="Brier score",
        ratio=lambda own: ((own.predicted - own.gained) ** 2, 1),
        lower_is_better=True,
    ),
    PolicyMetric(name="ece", title="calibration error", lower_is_better=True, shown=True),
    PolicyMetric(name="rank_score", title="rank score"),
]
"""Metrics of one policy; another ratio is another record here."""


def _ratios(timed: bool) -> dict[str, Callable[[Choices], tuple[np.ndarray, np.ndarray | int]]]:
    """The ratios by their metrics, with those of latencies or without."""
    return {
        metric.name: metric.ratio
        for metric in POLICY_METRICS
        if metric.ratio and (timed or not metric.timed)
    }


@dataclass(frozen=True)
class _Sums:
    def __add__(self, other: Self) -> Self:
        """The sums over the samples of both."""
        names = [field.name for field in fields(self)]
        return type(self)(*(getattr(self, name) + getattr(other, name) for name in names))


@dataclass(frozen=True)
class PolicySums(_Sums):
    """What one choice per sample adds up to under each of B weightings.

    Attributes
    ----------
    above, below
        (B, R) numerators and denominators of the metrics that are ratios.
    gap
        (B, 15) prediction minus utility of the chosen models in each bin of ``ece``.
    single_cost, single_count
        (B, K) cost of each model alone, and on how many samples it is known.
    chosen
        (B, K) how many samples each model gets.
    n_samples
        (B,) how many samples there are.
    """

    above: np.ndarray
    below: np.ndarray
    gap: np.ndarray
    single_cost: np.ndarray
    single_count: np.ndarray
    chosen: np.ndarray
    n_samples: np.ndarray

    def metrics(self) -> dict[str, np.ndarray]:
        """Every metric that follows from the choices, under each weighting: name to (B,) values.

        ``POLICY_METRICS`` but for ``cost_usd``, which takes a unit, and for latencies where there
        are none. ``cost`` is in the unit of
        the costs. ``rank_score`` is over the single models' ``cost_range`` (VL-RouterBench,
        RouterArena). ``ece`` is the expected calibration error of the chosen models'
        predictions over 15 bins of equal mass; the bins are those of the samples themselves
        under every weighting, and equal predictions share a bin.

        A model that is never chosen, and no better than a cheaper one, can change
        ``rank_score`` and ``rci`` by being expensive, and no other metric.
        """
        every = _ratios(timed=True)
        ratios = every if self.above.shape[1] == len(every) else _ratios(timed=False)
        values = dict(zip(ratios, _ratio(self.above, self.below).T, strict=True))
        values["ece"] = _ratio(np.abs(self.gap).sum(axis=1), self.n_samples)
        single_cost = _ratio(self.single_cost, self.single_count)
        values["rank_score"] = rank_score(
            values["accuracy"], values["cost"], *cost_range(single_cost)
        )
        return values

    def traffic(self) -> np.ndarray:
        """The (B, K) share of the samples that each model gets."""
        return _ratio(self.chosen, self.n_samples[:, None])


def policy_sums(
    choice: np.ndarray,
    predicted: np.ndarray,
    utility: np.ndarray,
    cost: np.ndarray,
    weights: np.ndarray,
    cuts: np.ndarray,
    dearest: np.ndarray,
    overhead: np.ndarray | None = None,
    latency: np.ndarray | None = None,
) -> PolicySums:
    """Add up what follows from the choices, under each weighting.

    Parameters
    ----------
    choice
        (N,) index of the model chosen for each sample, one that was observed.
    predicted
        (N,) its predicted utility, see ``of_chosen``.
    utility, cost
        (N, K) true outcomes, NaN where missing.
    weights
        (B, N) counts.
    cuts
        The bins of ``ece``, see ``equal_mass_cuts``.
    dearest
        The most expensive models of ``rci``, see ``dearest_models``.
    overhead
        (N,) costs of the decisions themselves; None: nothing.
    latency
        (N, K) seconds, NaN where unknown; None without latencies.

    Raises
    ------
    InputError
        If the outcome of a choice is missing.
    """
    paid = cost if overhead is None else cost + overhead[:, None]
    own = Choices.of(choice, predicted, utility, paid, dearest, latency)
    missing = ~(np.isfinite(own.gained) & np.isfinite(own.paid))
    if missing.any():
        row = int(missing.argmax())
        raise InputError(
            f"the choice of sample {row}, model {choice[row]}, has no observed outcome; "
            "choose among the models observed for the sample"
        )
    ratios = [ratio(own) for ratio in _ratios(timed=latency is not None).values()]
    numerators, denominators = zip(*ratios, strict=True)
    every = np.ones(len(choice))
    priced = np.isfinite(cost)
    above, below, gap, single_cost, single_count = _weighted_sums(
        weights,
        np.column_stack(numerators),
        np.column_stack([every * below for below in denominators]),
        _binned(_bins(predicted, cuts), predicted - own.gained),
        np.where(priced, cost, 0),
        priced,
    )
    (chosen,) = _weighted_sums(weights, np.eye(utility.shape[1])[choice])
    n_samples = weights.sum(axis=1)
    return PolicySums(above, below, gap, single_cost, single_count, chosen, n_samples)


def of_chosen(matrix: np.ndarray, choice: np.ndarray) -> np.ndarray:
    """The (N,) cells of an (N, K) matrix that belong to the chosen models."""
    return np.take_along_axis(matrix, choice[:, None], axis=1)[:, 0]


def dearest_models(singles: SingleModels) -> np.ndarray:
    """The (K,) mask of the models of the largest mean cost, up to rounding.

    In a resample they stay what they were on the samples themselves, like other choices.
    """
    cost = singles.cost[0]
    return cost >= np.nanmax(cost) * (1 - ROUNDING)


def equal_mass_cuts(predicted: np.ndarray) -> np.ndarray:
    """The (14,) predictions that are the last ones of the bins of ``ece``.

    The number of smaller predictions decides the bin, so neither the order of the
    samples nor repeating all of them moves one, and equal predictions share one.
    """
    last = -(-np.arange(1, ECE_BINS) * len(predicted) // ECE_BINS) - 1
    return np.sort(predicted)[last]


def auroc(u_hat: np.ndarray, utility: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """How well predicted utilities tell successes from failures, a mean over the pool.

    Per model the area under the ROC curve of ``u_hat`` against utility > 0.5, over
    the samples on which it was observed: the share of pairs of a success and a
    failure in which the success was predicted higher, equal predictions counting
    one half. It is defined for a model with at least one of each; the mean is over
    those. It belongs to the router, not to one of its operating points.

    Parameters
    ----------
    u_hat
        (N, K) predicted utilities.
    utility
        (N, K), NaN where missing.
    weights
        (B, N) counts.

    Returns
    -------
    np.ndarray
        (B,), NaN where no model has both successes and failures.
    """
    return _mean_area([_area(*model, weights) for model in zip(u_hat.T, utility.T, strict=True)])


def binned_auroc(successes: np.ndarray, failures: np.ndarray) -> np.ndarray:
    """The (B,) ``auroc`` of predictions that are known by their bins only.

    Parameters
    ----------
    successes, failures
        (K, bins, B) how many of each lie in a model's bins, by ascending prediction.
        Predictions of one bin count as equal.
    """
    return _mean_area(
        [
            _ratio(
                (won * (2 * np.cumsum(lost, axis=0) - lost)).sum(axis=0),
                2 * won.sum(axis=0) * lost.sum(axis=0),
            )
            for won, lost in zip(successes, failures, strict=True)
        ]
    )


def _mean_area(areas: list[np.ndarray]) -> np.ndarray:
    by_model = np.stack(areas)
    defined = np.isfinite(by_model)
    return _ratio(np.where(defined, by_model, 0).sum(axis=0), defined.sum(axis=0))


@dataclass(frozen=True)
class CalibrationSums(_Sums):
    """Predicted and observed utility of the chosen models in the bins of ``ece``.

    Attributes
    ----------
    predicted, observed, samples
        (B, 15) weighted sums, and how many samples there are.
    held
        (15,) how many samples there are without weights.
    """

    predicted: np.ndarray
    observed: np.ndarray
    samples: np.ndarray
    held: np.ndarray

    def bins(self) -> dict[str, np.ndarray]:
        """Predicted against observed utility of the chosen models.

        Returns
        -------
        dict
            ``predicted`` and ``observed`` means and the number of ``samples``, (B, bins)
            each, in ascending order of the prediction; empty bins are left out.
        """
        filled = self.held > 0
        told, seen, count = (
            sums[:, filled] for sums in (self.predicted, self.observed, self.samples)
        )
        return {"predicted": _ratio(told, count), "observed": _ratio(seen, count), "samples": count}


def calibration_sums(
    choice: np.ndarray,
    predicted: np.ndarray,
    utility: np.ndarray,
    weights: np.ndarray,
    cuts: np.ndarray,
) -> CalibrationSums:
    """Add up predictions and outcomes of the chosen models; arguments as for ``policy_sums``."""
    bins = _bins(predicted, cuts)
    values = (predicted, of_chosen(utility, choice), np.ones(len(choice)))
    told, seen, samples = _weighted_sums(weights, *(_binned(bins, value) for value in values))
    return CalibrationSums(told, seen, samples, np.bincount(bins, minlength=ECE_BINS))


def _area(u_hat: np.ndarray, utility: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The (B,) areas under one model's ROC curve from (N,) predictions and utilities."""
    successes, failures = (
        rows[np.argsort(u_hat[rows])]
        for rows in (np.flatnonzero(utility > 0.5), np.flatnonzero(utility <= 0.5))
    )
    lower, not_higher = (
        np.searchsorted(u_hat[failures], u_hat[successes], side) for side in ("left", "right")
    )
    areas = []
    for chunk in _chunks(weights):
        # Counts of up to 255 are stored in a byte, their sums are not.
        exact = np.result_type(weights, np.int64)
        failed = np.zeros((len(chunk), len(failures) + 1), exact)
        np.cumsum(chunk[:, failures], axis=1, out=failed[:, 1:])
        succeeded = chunk[:, successes]
        won_twice = np.einsum("bi,bi->b", succeeded, failed[:, lower] + failed[:, not_higher])
        pairs = succeeded.sum(axis=1, dtype=exact) * failed[:, -1]
        areas.append(_ratio(won_twice, 2 * pairs))
    return np.concatenate(areas)


def _bins(predicted: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    return np.searchsorted(cuts, predicted)


def _binned(bins: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Spread (N,) values over (N, 15) columns, one for each bin."""
    columns = np.zeros((len(value), ECE_BINS))
    columns[np.arange(len(value)), bins] = value
    return columns


def _weighted_sums(weights: np.ndarray, *blocks: np.ndarray) -> list[np.ndarray]:
    """The (B, M) weighted column sums of each (N, M) block."""
    columns = np.hstack(blocks)
    # A product with counts turns them into floats, chunk by chunk; floats need no copy.
    chunks = [weights] if weights.dtype == float else _chunks(weights)
    sums = np.concatenate([chunk @ columns for chunk in chunks])
    return np.split(sums, np.cumsum([block.shape[1] for block in blocks])[:-1], axis=1)


def _chunks(weights: np.ndarray) -> Iterator[np.ndarray]:
    rows = max(1, _CHUNK // weights.shape[1])
    for begin in range(0, len(weights), rows):
        yield weights[begin : begin + rows]


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return numerator / denominator
