"""Paired bootstrap over groups of evaluation samples.

A resample only re-weights samples, so a router's breakpoints are sorted once and
each resample is a weighted running sum over them. Every router meets the same
resamples, so that differences between routers have intervals too.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
import pandas as pd

from mmroute.evaluation.curve import Steps, outline
from mmroute.evaluation.inference import interval
from mmroute.evaluation.metrics import (
    CURVE_METRICS,
    Chosen,
    RowRange,
    SingleModels,
    WeightedCurve,
    frontiers,
    nauc,
    nauc_own_range,
    peak_score,
    qnc,
)
from mmroute.evaluation.static import static_line
from mmroute.outcome_table import rows_by_label
from mmroute.outcomes.benchmark import Benchmark
from mmroute.storage import digest_bytes

N_BAND = 60
"""Costs at which a confidence band is computed."""
_CHUNK = 400_000
"""Cells of a (resamples, operating points) matrix worked on at once, to stay in cache."""
_BLOCK = 1 << 16
"""Groups of a data set, consecutive by first appearance, that are drawn together."""
_TWICE = 2
"""Draws of a data set's resample that count twice. With g groups the variance of a mean is then
(g - 1) (g + 4) / g^2 of its unbiased estimate: below 1 with none, as plain resamples have, and with
two as much above it as Student's t is wider than the normal distribution (30 groups: 1.10)."""
_DRAWN = 1 << 19
"""Cells of a (resamples, groups) matrix drawn at once."""

Points = tuple[slice, np.ndarray, np.ndarray]
"""Some weightings, and the costs and utilities of P operating points under each, (b, P)."""


def resample_weights(
    samples: pd.DataFrame, n_resamples: int, seed: int, among: np.ndarray | None = None
) -> np.ndarray:
    """Draw how often each sample stands in each resample.

    Groups are drawn with replacement within each data set, as many as it has, two draws
    counting twice; each sample of a group stands in a resample as often as its group. A data
    set's draws depend on its name, on which of its samples are of one group and on the seed
    only, not on the other data sets. Test splits of several salts take from one sequence of
    draws those that are theirs: what they have in common varies alike.

    Parameters
    ----------
    samples
        All N samples, with the columns ``dataset`` and ``group``.
    n_resamples
        B.
    seed
        From the config.
    among
        (N,) mask of the M samples that are drawn, whole groups; None: all.

    Returns
    -------
    (1 + B, M) counts. The first row is the sample itself: all ones.
    """
    among = np.ones(len(samples), bool) if among is None else among
    weights = np.ones((1 + n_resamples, len(samples)), np.uint8)
    for dataset, columns in rows_by_label(samples["dataset"]).items():
        if not among[columns].any():
            continue
        members, groups = pd.factorize(samples["group"].iloc[columns])
        drawn_from = np.zeros(len(groups), bool)
        drawn_from[members[among[columns]]] = True
        kept = np.flatnonzero(among[columns])
        blocks = weight_blocks(dataset, drawn_from, members[kept], n_resamples, seed)
        for rows, drawn in blocks:
            weights[:, columns[kept[rows]]] = drawn
    return weights[:, among]


def evaluation_weights(benchmark: Benchmark, n_resamples: int, seed: int) -> np.ndarray:
    """The (1 + B, N) ``resample_weights`` of the test samples of a benchmark under its split."""
    return resample_weights(benchmark.table.samples, n_resamples, seed, benchmark.in_test)


def weight_blocks(
    dataset: str, drawn_from: np.ndarray, members: np.ndarray, n_resamples: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Draw the weights of some samples of a data set, as ``resample_weights`` does.

    Many groups are drawn in blocks: first how many draws of a resample fall into each
    block, then, for each block alone, which of its groups they are.

    Parameters
    ----------
    dataset
        The data set.
    drawn_from
        (G,) which of its groups, by first appearance, are drawn.
    members
        (n,) number of each sample's group, one that is drawn.
    n_resamples, seed
        As for ``resample_weights``.

    Yields
    ------
    Indices of some of the n samples, and their counts, (1 + B, as many); the first row is
    all ones.
    """
    key = [seed, int(digest_bytes(dataset.encode())[:8], 16)]
    blocks = [drawn_from[begin:][:_BLOCK] for begin in range(0, len(drawn_from), _BLOCK)]
    sizes = np.array([own.sum() for own in blocks])
    generator = np.random.default_rng(key)
    falls = generator.multinomial(sizes.sum(), sizes / sizes.sum(), n_resamples)
    for block in np.unique(members // _BLOCK):
        counts = _draw(falls[:, block], blocks[block], [*key, 1 + block])
        rows = np.flatnonzero(members // _BLOCK == block)
        yield rows, counts[:, members[rows] - block * _BLOCK]


def _draw(falls: np.ndarray, drawn_from: np.ndarray, key: list[int]) -> np.ndarray:
    """The (1 + B, size) counts of as many draws as fall to each resample, below ones.

    Draws are of all groups, and those of groups that are not drawn from are passed over. The
    first ``_TWICE`` count twice.
    """
    size = len(drawn_from)
    counts = np.ones((1 + len(falls), size), np.uint8)
    # Which draws are made must not depend on which are passed over.
    length = size + 6 * int(np.sqrt(size)) + 20
    step = max(1, _DRAWN // length)
    for begin in range(0, len(falls), step):
        own = falls[begin : begin + step]
        twice = np.minimum(_TWICE, own // 2)
        left = own - twice
        counted = np.zeros((len(left), size), np.int64)
        # Seeds that differ by a zero at the end are the same.
        for attempt in count(1):
            if not left.any():
                break
            generator = np.random.default_rng([*key, 1 + begin, attempt])
            drawn = generator.integers(size, size=(len(left), length))
            taken = drawn_from[drawn]
            place = np.cumsum(taken, axis=1)
            taken &= place <= left[:, None]
            cells = drawn + np.arange(len(left))[:, None] * size
            for own_cells in (cells[taken], cells[taken & (place <= twice[:, None])]):
                counted += np.bincount(own_cells, minlength=counted.size).reshape(counted.shape)
            left -= taken.sum(axis=1)
            twice -= (taken & (place <= twice[:, None])).sum(axis=1)
        counts[1 + begin : 1 + begin + len(left)] = counted
    return counts


@dataclass(frozen=True)
class CurveReplicates:
    """Metrics of one router's operating curve under each weighting.

    Attributes
    ----------
    metrics
        Name to (1 + B,) values.
    band_cost, band_low, band_high
        Pointwise confidence band of the frontier's utility, by ``interval`` on
        straight lines between its points, at costs on a logarithmic grid from its
        cheapest point to its most accurate one.
    trained
        (L,) which of the points that were chosen on the training split draw the line through
        them, by ascending cost, and of these
    trained_cost, trained_utility, trained_low, trained_high
        (L,) mean cost, mean utility and its interval.
    """

    metrics: dict[str, np.ndarray]
    band_cost: np.ndarray
    band_low: np.ndarray
    band_high: np.ndarray
    trained: np.ndarray
    trained_cost: np.ndarray
    trained_utility: np.ndarray
    trained_low: np.ndarray
    trained_high: np.ndarray


def curve_replicates(
    steps: Steps,
    utility: np.ndarray,
    cost: np.ndarray,
    weights: np.ndarray,
    singles: SingleModels,
    chosen: Chosen,
    rows: RowRange,
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
    chosen
        On the training split.
    rows
        Of each sample's own models under the same weights, without what a decision costs.

    Returns
    -------
    ``CURVE_METRICS``. The frontier takes maxima on the evaluation sample. The honest twins
    do not: their operating points were chosen on the training split and are only measured
    here.
    """
    points = np.searchsorted(
        steps.threshold[_last_of_ties(steps)[1:]], chosen.parameters, side="right"
    )
    curves = _weighted_curves([steps], utility, cost, weights)
    return measure_curve(curves, singles, chosen, rows, points)


def measure_curve(
    curves: Iterable[Points],
    singles: SingleModels,
    chosen: Chosen,
    rows: RowRange,
    points: np.ndarray,
) -> CurveReplicates:
    """Measure one operating curve whose points are known under each weighting.

    Parameters
    ----------
    curves
        All 1 + B weightings, some at a time, in their order.
    singles, chosen, rows
        As for ``curve_replicates``.
    points
        (M,) which of the P points the chosen ones are.
    """
    parts, grid, heights, resampled = [], np.empty(0), [], []
    trained, at_cost = np.empty(0, int), np.empty(0)
    for some, costs, utilities in curves:
        own = frontiers(costs, utilities)
        models = SingleModels(singles.cost[some], singles.utility[some])
        measured = costs[:, points], utilities[:, points]
        zero = static_line(models, chosen.zero)
        curve = WeightedCurve(own, models, chosen, *measured, zero, rows.take(some))
        if not len(grid):
            grid = _band_grid(own.cost[own.row == 0])
            _, distinct = np.unique(points, return_index=True)
            first = (matrix[0, points[distinct]] for matrix in (costs, utilities))
            trained = distinct[outline(*first)]
            at_cost = costs[0, points[trained]]
        resampled.append(utilities[:, points[trained]])
        heights += [np.interp(grid, own.cost[part], own.utility[part]) for part in own.by_row()]
        undefined = np.full(len(costs), np.nan)
        parts.append(
            {
                metric.name: metric.measure(curve)
                if len(points) or not metric.trained
                else undefined
                for metric in CURVE_METRICS
                if metric.measure
            }
        )
    values = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    low, high = _bounds(np.array(heights))
    at_points = np.concatenate(resampled)
    measured_points = at_cost, at_points[0], *_bounds(at_points)
    return CurveReplicates(values, grid, low, high, trained, *measured_points)


def _bounds(replicates: np.ndarray) -> np.ndarray:
    """(2, M) the interval of each column of (1 + B, M) replicates."""
    return np.array([interval(column) for column in replicates.T]).reshape(-1, 2).T


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
    ``nauc``, ``nauc_own_range``, ``peak_score`` and ``qnc``, (1 + B,) each.
    """
    parts = []
    for rows, costs, utilities in _weighted_curves(curves, utility, cost, weights):
        own = frontiers(costs, utilities)
        models = SingleModels(singles.cost[rows], singles.utility[rows])
        parts.append(
            {
                "nauc": nauc(own, models),
                "nauc_own_range": nauc_own_range(own),
                "peak_score": peak_score(own),
                "qnc": qnc(own, models),
            }
        )
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


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
