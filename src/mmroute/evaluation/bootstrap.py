"""Paired bootstrap over groups of evaluation samples: intervals, differences and p-values.

A resample only re-weights samples, so a router's breakpoints are sorted once and
each resample is a weighted running sum over them. Every router meets the same
resamples, so that differences between routers have intervals too.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from mmroute.evaluation.curve import Steps
from mmroute.evaluation.metrics import (
    CURVE_METRICS,
    ROUNDING,
    Frontiers,
    Majorants,
    SingleModels,
    WeightedCurve,
    frontiers,
    lines,
    majorants,
    nauc,
    peak_score,
    qnc,
)
from mmroute.evaluation.static import static_line, static_peak
from mmroute.outcome_table import rows_by_label
from mmroute.storage import digest_bytes

CONFIDENCE = 0.95
N_BAND = 60
"""Costs at which a confidence band is computed."""
_CHUNK = 400_000
"""Cells of a (resamples, operating points) matrix worked on at once, to stay in cache."""
_BLOCK = 1 << 16
"""Groups of a data set, consecutive by first appearance, that are drawn together."""
_DRAWN = 1 << 19
"""Cells of a (resamples, groups) matrix drawn at once."""

Points = tuple[slice, np.ndarray, np.ndarray]
"""Some weightings, and the costs and utilities of P operating points under each, (b, P)."""


def resample_weights(samples: pd.DataFrame, n_resamples: int, seed: int) -> np.ndarray:
    """Draw how often each sample stands in each resample.

    Groups are drawn with replacement within each data set, as many as it has; each
    sample of a group stands in a resample as often as its group. A data set's draws depend
    on its name, on which of its samples are of one group and on the seed only, not on the
    other data sets.

    Parameters
    ----------
    samples
        The N evaluation samples, with the columns ``dataset`` and ``group``.
    n_resamples
        B.
    seed
        From the config.

    Returns
    -------
    (1 + B, N) counts. The first row is the sample itself: all ones.
    """
    weights = np.ones((1 + n_resamples, len(samples)), np.uint8)
    for dataset, columns in rows_by_label(samples["dataset"]).items():
        members, groups = pd.factorize(samples["group"].iloc[columns])
        for rows, drawn in weight_blocks(dataset, len(groups), members, n_resamples, seed):
            weights[:, columns[rows]] = drawn
    return weights


def weight_blocks(
    dataset: str, n_groups: int, members: np.ndarray, n_resamples: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Draw the weights of some samples of a data set, as ``resample_weights`` does.

    Many groups are drawn in blocks: first how many draws of a resample fall into each
    block, then, for each block alone, which of its groups they are.

    Parameters
    ----------
    dataset, n_groups
        The data set, and the number of groups that its evaluation samples are in.
    members
        (n,) number of each sample's group among them, by first appearance.
    n_resamples, seed
        As for ``resample_weights``.

    Yields
    ------
    Indices of some of the n samples, and their counts, (1 + B, as many); the first row is
    all ones.
    """
    key = [seed, int(digest_bytes(dataset.encode())[:8], 16)]
    generator = np.random.default_rng(key)
    begins = np.arange(0, n_groups, _BLOCK)
    sizes = np.minimum(_BLOCK, n_groups - begins)
    if len(sizes) == 1:
        falls = np.full((n_resamples, 1), n_groups)
    else:
        falls = generator.multinomial(n_groups, sizes / n_groups, n_resamples)
    for block in np.unique(members // _BLOCK):
        # Seeds that differ by a zero at the end are the same.
        own = generator if len(sizes) == 1 else np.random.default_rng([*key, block + 1])
        counts = _draw(falls[:, block], int(sizes[block]), own)
        rows = np.flatnonzero(members // _BLOCK == block)
        yield rows, counts[:, members[rows] - begins[block]]


def _draw(falls: np.ndarray, size: int, generator: np.random.Generator) -> np.ndarray:
    """The (1 + B, size) counts of as many draws as fall to each resample, below ones."""
    counts = np.ones((1 + len(falls), size), np.uint8)
    step = max(1, _DRAWN // size)
    for begin in range(0, len(falls), step):
        own = falls[begin : begin + step]
        drawn = generator.integers(size, size=own.sum())
        drawn += np.repeat(np.arange(len(own)) * size, own)
        counted = np.bincount(drawn, minlength=len(own) * size).reshape(len(own), size)
        counts[1 + begin : 1 + begin + len(own)] = counted
    return counts


@dataclass(frozen=True)
class CurveReplicates:
    """Metrics of one router's operating curve under each weighting.

    Attributes
    ----------
    metrics
        Name to (1 + B,) values.
    majorant
        What ``aiq`` needs once all routers are known.
    band_cost, band_low, band_high
        Pointwise confidence band of the frontier's utility, by ``interval`` on
        straight lines between its points, at costs on a logarithmic grid from its
        cheapest point to its most accurate one.
    """

    metrics: dict[str, np.ndarray]
    majorant: Majorants
    band_cost: np.ndarray
    band_low: np.ndarray
    band_high: np.ndarray


def curve_replicates(
    steps: Steps,
    utility: np.ndarray,
    cost: np.ndarray,
    weights: np.ndarray,
    singles: SingleModels,
    honest: np.ndarray,
    honest_start: int,
    zero: np.ndarray,
) -> CurveReplicates:
    """Measure one operating curve under each weighting.

    Parameters
    ----------
    steps
        The router's changes of choice on the N samples.
    utility, cost
        (N, K) true outcomes, NaN where missing.
    weights
        (1 + B, N) as from ``resample_weights``.
    singles
        The single models under the same weights.
    honest
        (M,) parameter values of the frontier on the training split, by ascending
        cost there.
    honest_start
        The model that is cheapest on the training split.
    zero
        Models whose static mixtures are best on the training split, as from
        ``static.static_models``.

    Returns
    -------
    ``CURVE_METRICS``, among them the honest twins
    ``nauc_honest`` and ``peak_score_honest``. The frontier takes maxima on the
    evaluation sample. The twins do not: their operating points were chosen on
    the training split and are only measured here, joined by straight lines in
    the order of their measured costs. ``peak_score_honest`` is the utility of the
    point that was most accurate in training.
    """
    points = np.searchsorted(steps.threshold[_last_of_ties(steps)[1:]], honest, side="right")
    curves = _weighted_curves([steps], utility, cost, weights)
    return measure_curve(curves, singles, points, honest_start, zero)


def measure_curve(
    curves: Iterable[Points],
    singles: SingleModels,
    honest: np.ndarray,
    honest_start: int,
    zero: np.ndarray,
) -> CurveReplicates:
    """Measure one operating curve whose points are known under each weighting.

    Parameters
    ----------
    curves
        All 1 + B weightings, some at a time, in their order.
    singles, honest_start, zero
        As for ``curve_replicates``.
    honest
        (M,) which of the P points the frontier on the training split chose, by
        ascending cost there.
    """
    parts, grid, heights = [], np.empty(0), []
    for rows, costs, utilities in curves:
        own = frontiers(costs, utilities)
        models = SingleModels(singles.cost[rows], singles.utility[rows])
        start = models.of(np.full(len(costs), honest_start))
        line = _line(
            np.column_stack([start[0], costs[:, honest]]),
            np.column_stack([start[1], utilities[:, honest]]),
        )
        static = static_line(models, zero), static_peak(models, zero)
        curve = WeightedCurve(own, models, line, utilities[:, honest[-1]], *static)
        if not len(grid):
            grid = _band_grid(own.cost[own.row == 0])
        heights += [np.interp(grid, own.cost[part], own.utility[part]) for part in own.by_row()]
        parts.append(
            {metric.name: metric.measure(curve) for metric in CURVE_METRICS if metric.measure}
            | vars(majorants(own))
        )
    values = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    majorant = Majorants(*(values.pop(part.name) for part in fields(Majorants)))
    low, high = np.array([interval(column) for column in np.array(heights).T]).T
    return CurveReplicates(values, majorant, grid, low, high)


def _band_grid(cost: np.ndarray) -> np.ndarray:
    low, high = cost[0], cost[-1]
    if high == low:
        return cost[:1]
    return np.geomspace(low if low > 0 else high * 1e-4, high, N_BAND)


def curve_metrics(
    curves: Sequence[Steps],
    utility: np.ndarray,
    cost: np.ndarray,
    weights: np.ndarray,
    singles: SingleModels,
) -> dict[str, np.ndarray]:
    """Measure the frontier of several operating curves together under each weighting.

    Parameters
    ----------
    curves
        Changes of choice on the same N samples, one curve a router or setting.
    utility, cost, weights, singles
        As for ``curve_replicates``.

    Returns
    -------
    ``nauc``, ``peak_score`` and ``qnc``, (1 + B,) each.
    """
    parts = []
    for rows, costs, utilities in _weighted_curves(curves, utility, cost, weights):
        own = frontiers(costs, utilities)
        models = SingleModels(singles.cost[rows], singles.utility[rows])
        parts.append((nauc(own, models), peak_score(own), qnc(own, models)))
    names = ("nauc", "peak_score", "qnc")
    return dict(zip(names, map(np.concatenate, zip(*parts, strict=True)), strict=True))


def _weighted_curves(
    curves: Sequence[Steps], utility: np.ndarray, cost: np.ndarray, weights: np.ndarray
) -> Iterator[Points]:
    """Yield the curves' operating points, some weightings at a time."""
    n_points = sum(int(_last_of_ties(steps).sum()) for steps in curves)
    for rows in weightings(len(weights), n_points):
        own = weights[rows].astype(np.float64)
        points = [_weighted_curve(steps, utility, cost, own) for steps in curves]
        costs, utilities = zip(*points, strict=True)
        yield rows, np.concatenate(costs, axis=1), np.concatenate(utilities, axis=1)


def weightings(n_weightings: int, n_points: int) -> Iterator[slice]:
    """Yield which weightings to work on at once, for as many operating points."""
    size = max(1, _CHUNK // n_points)
    for begin in range(0, n_weightings, size):
        yield slice(begin, begin + size)


def _weighted_curve(
    steps: Steps, utility: np.ndarray, cost: np.ndarray, weights: np.ndarray
) -> list[np.ndarray]:
    """Costs and utilities of one curve's points, (B, P) each."""
    samples = np.arange(len(utility))
    total = weights.sum(axis=1, keepdims=True)
    moved = weights[:, steps.sample]
    reached = _last_of_ties(steps)
    points = []
    for matrix in (cost, utility):
        change = matrix[steps.sample, steps.after] - matrix[steps.sample, steps.before]
        sums = np.empty((len(weights), len(steps.threshold) + 1))
        sums[:, 0] = weights @ matrix[samples, steps.first]
        np.multiply(moved, change, out=sums[:, 1:])
        np.cumsum(sums, axis=1, out=sums)
        points.append(sums[:, reached] / total)
    return points


def _last_of_ties(steps: Steps) -> np.ndarray:
    """Which of the (1 + S) running sums are points of the curve.

    Where several samples change at one threshold, only the sum after all of them is.
    """
    return np.append(np.diff(steps.threshold, prepend=-np.inf) != 0, True)


def _line(cost: np.ndarray, utility: np.ndarray) -> Frontiers:
    """Lay (B, M) points out by ascending cost."""
    order = np.argsort(cost, axis=1, kind="stable")
    return lines(*(np.take_along_axis(matrix, order, axis=1) for matrix in (cost, utility)))


def interval(replicates: np.ndarray) -> tuple[float, float]:
    """The bias-corrected percentile interval (Efron 1981, "BC").

    A frontier takes maxima, so that a metric of a resample sits above the metric
    of the sample, as this sits above the truth. The share of resamples below the
    sample's value measures by how much, and the percentiles are shifted by it.

    Parameters
    ----------
    replicates
        (1 + B,) the value and its resamples; NaN where undefined. Infinite values
        keep their place in the order.

    Returns
    -------
    Lower and upper bound; NaN where the value or all resamples are undefined.
    """
    value, resamples = replicates[0], np.sort(replicates[1:][~np.isnan(replicates[1:])])
    if np.isnan(value) or len(resamples) == 0:
        return np.nan, np.nan
    shift = 2 * _normal_score(resamples, value)
    tails = ndtr(shift + ndtri([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]))
    low, high = np.quantile(resamples, tails, method="inverted_cdf")
    return float(low), float(high)


def difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """First less second; two infinite values, which never reach what is asked, are equal."""
    with np.errstate(invalid="ignore"):
        return np.where(np.isinf(first) & (first == second), 0.0, first - second)


def p_value(differences: np.ndarray) -> float:
    """The two-sided p-value of a difference being zero.

    It is the level at which the interval of ``interval`` would just touch zero,
    at least 2 / (B + 1).

    Parameters
    ----------
    differences
        (1 + B,) the difference and its resamples.
    """
    value, resamples = differences[0], np.sort(differences[1:][~np.isnan(differences[1:])])
    if np.isnan(value) or len(resamples) == 0:
        return np.nan
    if np.abs(differences[~np.isnan(differences)]).max() <= ROUNDING:
        return 1.0
    score = _normal_score(resamples, 0.0) - 2 * _normal_score(resamples, value)
    return float(max(2 * ndtr(-abs(score)), 2 / (len(resamples) + 1)))


def _normal_score(resamples: np.ndarray, value: float) -> float:
    """The normal quantile of the share of sorted resamples below a value.

    Ties, up to rounding, count one half; the share stays half a resample away from 0 and 1.
    """
    below = np.searchsorted(resamples, value - ROUNDING, side="left")
    upto = np.searchsorted(resamples, value + ROUNDING, side="right")
    size = len(resamples)
    return float(ndtri(np.clip((below + upto) / 2, 0.5, size - 0.5) / size))
