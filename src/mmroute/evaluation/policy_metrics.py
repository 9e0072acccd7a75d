"""Metrics of one policy: one choice of a model per sample.

Definitions, section 5. A resample of the paired bootstrap only re-weights the
samples, so each metric is computed for B weightings at once: ``weights`` is
(B, N), how often each resample holds each sample, and a row of ones is the sample
itself. Most metrics are ratios of weighted sums, hence columns of one matrix
product. A metric that a resample leaves undefined (0/0) is NaN there. The sums add
up, so the samples may come in parts.

"Observed" means that an outcome is there: the best, the cheapest and the most
expensive model of a sample are taken among those observed for it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from mmroute.errors import InputError

ECE_BINS = 15
RANK_BETA = 0.1

_CHUNK = 1 << 19
"""Cells of a (B, N) matrix worked on at once, so that temporaries stay in cache."""


RATIOS = (
    "accuracy",
    "cost",
    "routing_accuracy",
    "optimal_selection",
    "optimal_cost",
    "optimal_accuracy",
    "rci",
    "brier",
)
"""Metrics that are the ratio of two weighted sums."""


@dataclass(frozen=True)
class _Sums:
    def __add__(self, other: Self) -> Self:
        """Return the sums over the samples of both."""
        names = [field.name for field in fields(self)]
        return type(self)(*(getattr(self, name) + getattr(other, name) for name in names))


@dataclass(frozen=True)
class PolicySums(_Sums):
    """What one choice per sample adds up to under each of B weightings.

    Attributes
    ----------
    above, below
        (B, 8) numerators and denominators of ``RATIOS``.
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
        """Return every metric that follows from the choices, under each weighting.

        Returns
        -------
        dict
            Name to (B,) values:

            - ``accuracy``, ``cost``: means over the samples, cost in the unit of ``cost``;
            - ``rank_score``: see the function, over the single models' ``cost_range``
              (VL-RouterBench, RouterArena);
            - ``routing_accuracy``: mean of the chosen over the largest utility, over the
              samples that an observed model solves at least in part;
            - ``optimal_selection``: share of choices that cost as little as the cheapest
              of the best models and are as good (RouterArena);
            - ``optimal_cost``: cost of choosing the cheapest of the best models, over the
              router's; infinite where only the router's is zero (RouterArena);
            - ``optimal_accuracy``: the router's utility over the oracle's (RouterArena);
            - ``rci``: share of choices that are not among the best models, or that cost as
              much as the sample's most expensive model although a cheaper one is among
              the best (ORBIT);
            - ``brier``: mean squared error of the chosen models' predictions;
            - ``ece``: expected calibration error of the chosen models' predictions over
              15 bins of equal mass. The bins are those of the samples themselves under
              every weighting, and equal predictions share a bin.

            A model that is never chosen, and no better than a cheaper one, can change
            ``rank_score`` and ``rci`` by being expensive, and no other metric.
        """
        values = dict(zip(RATIOS, _ratio(self.above, self.below).T, strict=True))
        values["ece"] = _ratio(np.abs(self.gap).sum(axis=1), self.n_samples)
        single_cost = _ratio(self.single_cost, self.single_count)
        values["rank_score"] = rank_score(
            values["accuracy"], values["cost"], *cost_range(single_cost)
        )
        return values

    def traffic(self) -> np.ndarray:
        """Return the (B, K) share of the samples that each model gets."""
        return _ratio(self.chosen, self.n_samples[:, None])


def policy_sums(
    choice: np.ndarray,
    predicted: np.ndarray,
    utility: np.ndarray,
    cost: np.ndarray,
    weights: np.ndarray,
    cuts: np.ndarray,
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

    Raises
    ------
    InputError
        If the outcome of a choice is missing.
    """
    gained, paid = of_chosen(utility, choice), of_chosen(cost, choice)
    missing = ~(np.isfinite(gained) & np.isfinite(paid))
    if missing.any():
        row = int(missing.argmax())
        raise InputError(
            f"the choice of sample {row}, model {choice[row]}, has no observed outcome; "
            "choose among the models observed for the sample"
        )
    observed = np.isfinite(utility) & np.isfinite(cost)
    best = np.where(observed, utility, -np.inf).max(axis=1)
    optimal = np.where(observed & (utility == best[:, None]), cost, np.inf).min(axis=1)
    dearest = np.where(observed, cost, -np.inf).max(axis=1)
    solved = best > 0
    every = np.ones(len(choice))
    ratios = {
        "accuracy": (gained, every),
        "cost": (paid, every),
        "routing_accuracy": (gained / np.where(solved, best, 1), solved),
        "optimal_selection": ((gained == best) & (paid == optimal), every),
        "optimal_cost": (optimal, paid),
        "optimal_accuracy": (gained, best),
        "rci": ((gained < best) | ((paid == dearest) & (optimal < paid)), every),
        "brier": ((predicted - gained) ** 2, every),
    }
    numerators, denominators = zip(*(ratios[name] for name in RATIOS), strict=True)
    priced = np.isfinite(cost)
    above, below, gap, single_cost, single_count = _weighted_sums(
        weights,
        np.column_stack(numerators),
        np.column_stack(denominators),
        _binned(_bins(predicted, cuts), predicted - gained),
        np.where(priced, cost, 0),
        priced,
    )
    (chosen,) = _weighted_sums(weights, np.eye(utility.shape[1])[choice])
    n_samples = weights.sum(axis=1)
    return PolicySums(above, below, gap, single_cost, single_count, chosen, n_samples)


def of_chosen(matrix: np.ndarray, choice: np.ndarray) -> np.ndarray:
    """Return the (N,) cells of an (N, K) matrix that belong to the chosen models."""
    return np.take_along_axis(matrix, choice[:, None], axis=1)[:, 0]


def equal_mass_cuts(predicted: np.ndarray) -> np.ndarray:
    """Return the (14,) predictions that are the last ones of the bins of ``ece``.

    The number of smaller predictions decides the bin, so neither the order of the
    samples nor repeating all of them moves one, and equal predictions share one.
    """
    last = -(-np.arange(1, ECE_BINS) * len(predicted) // ECE_BINS) - 1
    return np.sort(predicted)[last]


def cost_range(single_cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return c_min and c_max, the ends of the rank score's scale of costs.

    A free model has no place on a scale of log cost: c_min is the smallest cost
    above zero, and a policy cheaper than that scores as if it cost c_min. Both are
    zero if every model is free.

    Parameters
    ----------
    single_cost
        (..., K) mean costs of the single models, NaN for a model never observed.

    Returns
    -------
    c_min, c_max
        (...) each.
    """
    c_max = np.fmax.reduce(single_cost, axis=-1)
    return np.where(single_cost > 0, single_cost, c_max[..., None]).min(axis=-1), c_max


def rank_score(
    accuracy: np.ndarray, cost: np.ndarray, c_min: np.ndarray, c_max: np.ndarray
) -> np.ndarray:
    """Return the rank score of operating points, in 0 ... 100 (VL-RouterBench, RouterArena).

    100 (1 + beta) A n / (beta A + n) with beta = 0.1, where A is the accuracy and n
    is 1 at a cost of c_min, 0 at c_max and linear in log cost between. Where c_min
    is c_max no choice saves anything, and n is 1.

    Parameters
    ----------
    accuracy, cost
        Means over the samples; arrays that broadcast with the following.
    c_min, c_max
        As from ``cost_range``. NaN results where c_min is zero and c_max is not.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        top, bottom = np.log2(c_max), np.log2(c_min)
        saving = (top - np.log2(np.clip(cost, c_min, c_max))) / (top - bottom)
    # Means of equal costs over different samples are equal only up to rounding.
    no_range = c_max - c_min <= 1e-12 * c_max
    n = np.where(no_range, 1.0, np.where(c_min > 0, saving, np.nan))
    weighted = RANK_BETA * accuracy + n
    return 100 * (1 + RANK_BETA) * accuracy * n / np.where(weighted == 0, 1, weighted)


def auroc(u_hat: np.ndarray, utility: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return how well predicted utilities tell successes from failures, a mean over the pool.

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
    """Return the (B,) ``auroc`` of predictions that are known by their bins only.

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
        """Return predicted against observed utility of the chosen models.

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
    """Return the (B,) areas under one model's ROC curve from (N,) predictions and utilities."""
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
    """Return the (B, M) weighted column sums of each (N, M) block."""
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
