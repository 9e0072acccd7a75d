"""Metrics of operating curves against the single models of the pool.

Definitions, section 5; each function names its source. Every function works on B
weightings of the same samples at once: the sample itself and its resamples.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from mmroute.evaluation.curve import ROUNDING as ROUNDING
from mmroute.evaluation.curve import Curve
from mmroute.evaluation.record import Metric
from mmroute.rank_score import cost_range, rank_score

BEST_SINGLE = "best_single"
"""The row of always taking the single model that is best in hindsight; what is subtracted."""
SAVED_AT = (90, 95, 100)
"""Percent of the best static policy's accuracy at which costs are compared."""


@dataclass(frozen=True)
class Frontiers:
    """B frontiers, one after the other.

    Attributes
    ----------
    row
        (M,) which frontier a point belongs to, ascending.
    cost, utility
        (M,) both ascending within a row.
    n_rows
        B.
    """

    row: np.ndarray
    cost: np.ndarray
    utility: np.ndarray
    n_rows: int

    def by_row(self) -> Iterator[slice]:
        """Yield where each frontier's points are."""
        bounds = np.searchsorted(self.row, np.arange(self.n_rows + 1))
        return map(slice, bounds[:-1], bounds[1:])


@dataclass(frozen=True)
class SingleModels:
    """The K constant policies, always the same model, under B weightings.

    Attributes
    ----------
    cost, utility
        (B, K) means over the samples on which the model was observed; NaN if there
        is none.
    """

    cost: np.ndarray
    utility: np.ndarray

    @property
    def best(self) -> np.ndarray:
        """(B,) index of the most accurate model; of equals, the cheaper."""
        top = np.nanmax(self.utility, axis=1, keepdims=True)
        return np.where(self.utility >= top - ROUNDING, self.cost, np.inf).argmin(axis=1)

    @property
    def cheapest(self) -> np.ndarray:
        """(B,) index of the cheapest model; of equals, the more accurate."""
        bottom = np.nanmin(self.cost, axis=1, keepdims=True)
        cheap = self.cost <= bottom * (1 + ROUNDING)
        return np.where(cheap, self.utility, -np.inf).argmax(axis=1)

    def of(self, model: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The (B,) cost and utility of one model per weighting."""
        rows = np.arange(len(model))
        return self.cost[rows, model], self.utility[rows, model]


def single_models(
    utility: np.ndarray, cost: np.ndarray, weights: np.ndarray | None = None
) -> SingleModels:
    """Evaluate each model alone.

    Parameters
    ----------
    utility, cost
        (N, K), NaN where missing.
    weights
        (B, N); None weighs all samples alike, B = 1.
    """
    weights = np.ones((1, len(utility))) if weights is None else weights.astype(float)
    observed = np.isfinite(utility)
    total = weights @ observed.astype(float)
    with np.errstate(invalid="ignore"):
        return SingleModels(
            *((weights @ np.where(observed, matrix, 0)) / total for matrix in (cost, utility))
        )


@dataclass(frozen=True)
class RowRange:
    """What each sample's own cheapest and dearest models cost, under B weightings.

    Attributes
    ----------
    cheapest, dearest
        (B,) mean costs.
    utility
        (B,) mean utility of each sample's cheapest model, of equals the first.
    """

    cheapest: np.ndarray
    dearest: np.ndarray
    utility: np.ndarray

    def take(self, rows: slice) -> "RowRange":
        """The range under some of the weightings."""
        return RowRange(self.cheapest[rows], self.dearest[rows], self.utility[rows])


def row_extremes(utility: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """The (3, N) values whose means are a ``RowRange``.

    Parameters
    ----------
    utility, cost
        (N, K), NaN where missing; each sample has an outcome.
    """
    first = np.nanargmin(cost, axis=1)
    at = np.arange(len(cost)), first
    return np.stack([cost[at], np.nanmax(cost, axis=1), utility[at]])


def row_range(utility: np.ndarray, cost: np.ndarray, weights: np.ndarray) -> RowRange:
    """The range of (N, K) outcomes under (B, N) weights."""
    weights = weights.astype(float)
    return RowRange(*(row_extremes(utility, cost) @ weights.T / weights.sum(axis=1)))


def frontiers(cost: np.ndarray, utility: np.ndarray) -> Frontiers:
    """The Pareto-optimal points of B curves, by ascending cost.

    Parameters
    ----------
    cost, utility
        (B, P) operating points, in any order.
    """
    order = np.argsort(cost, axis=1)
    sorted_utility = np.take_along_axis(utility, order, axis=1)
    best = np.maximum.accumulate(sorted_utility, axis=1)
    better = np.ones(cost.shape, dtype=bool)
    better[:, 1:] = sorted_utility[:, 1:] > best[:, :-1] + ROUNDING
    row, rank = np.nonzero(better)
    point = order[row, rank]
    return _last_at_a_cost(Frontiers(row, cost[row, point], utility[row, point], len(cost)))


def _last_at_a_cost(ascending: Frontiers) -> Frontiers:
    """Leave out points that another follows at the same cost."""
    row, cost = ascending.row, ascending.cost
    dearer = np.diff(cost) > ROUNDING * cost[1:]
    kept = np.append((np.diff(row) != 0) | dearer, True)
    return Frontiers(row[kept], cost[kept], ascending.utility[kept], ascending.n_rows)


def lines(cost: np.ndarray, utility: np.ndarray) -> Frontiers:
    """Straight lines through all of (B, M) points, which ascend in cost."""
    row = np.repeat(np.arange(len(cost)), cost.shape[1])
    return Frontiers(row, cost.ravel(), utility.ravel(), len(cost))


def by_cost(cost: np.ndarray) -> np.ndarray:
    """The order of (B, M) points by cost; those of one cost, up to rounding, as they are."""
    return np.argsort(np.round(cost, 12), axis=1, kind="stable")


def frontier_of(curve: Curve) -> Frontiers:
    """The frontier of one curve as a batch of one."""
    return frontiers(curve.cost[None], curve.utility[None])


def nauc(own: Frontiers, singles: SingleModels) -> np.ndarray:
    """The (B,) normalised areas under the accuracy-cost curve (MMR-Bench 7).

    The mean of p(c) over the costs from the cheapest to the most expensive single
    model. p joins the cheapest single model to the frontier, is piecewise linear
    through its points and constant right of them (definitions, section 4). Where
    every model costs the same it is p at that cost.
    """
    return mean_height(
        _joined(own, *singles.of(singles.cheapest)),
        np.nanmin(singles.cost, axis=1),
        np.nanmax(singles.cost, axis=1),
    )


def nauc_own_range(own: Frontiers) -> np.ndarray:
    """The (B,) mean heights of the frontiers over their own costs (MMR-Bench's released code).

    No single model joins them. Of a frontier of one point it is that point's utility, where the
    code has none. Routers with other ranges do not compare.
    """
    first, last = _ends(own)
    return mean_height(own, own.cost[first], own.cost[last])


def nauc_row_range(own: Frontiers, rows: RowRange) -> np.ndarray:
    """The (B,) mean heights over the costs that any policy could have (ORBIT, August 2026).

    From the mean of each sample's smallest cost to the mean of its largest; the choice of each
    sample's cheapest model joins the frontier.
    """
    joined = _joined(own, rows.cheapest, rows.utility)
    return mean_height(joined, rows.cheapest, rows.dearest)


def _joined(own: Frontiers, cost: np.ndarray, utility: np.ndarray) -> Frontiers:
    """Add one point to each frontier and drop what it dominates, or it if it is dominated."""
    own_cost, own_utility = cost[own.row], utility[own.row]
    before = (own.cost < own_cost) | (own.cost == own_cost) & (own.utility >= own_utility)
    at = _ends(own)[0] + np.bincount(own.row[before], minlength=own.n_rows)
    row = np.insert(own.row, at, np.arange(own.n_rows))
    costs, utilities = np.insert(own.cost, at, cost), np.insert(own.utility, at, utility)
    # Utilities lie in [0, 1]: raised by their row they form one ascending staircase.
    raised = utilities + 2.0 * row
    better = np.append(True, raised[1:] > np.fmax.accumulate(raised)[:-1] + ROUNDING)
    return _last_at_a_cost(Frontiers(row[better], costs[better], utilities[better], own.n_rows))


def mean_height(line: Frontiers, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The (B,) mean heights over [low, high] of lines through points by ascending cost.

    Outside its points a line continues at the height of the nearest one. Where
    low = high it is the height there.
    """
    first, last = _ends(line)
    same_row = line.row[1:] == line.row[:-1]
    row = line.row[1:][same_row]
    left_cost, right_cost = line.cost[:-1][same_row], line.cost[1:][same_row]
    left, right = line.utility[:-1][same_row], line.utility[1:][same_row]
    begin, end = np.maximum(left_cost, low[row]), np.minimum(right_cost, high[row])
    # Utilities of one point that differ by rounding make a line without width: not inside.
    with np.errstate(invalid="ignore", divide="ignore"):
        rise = (right - left) / (right_cost - left_cost)
        middle = left + rise * ((begin + end) / 2 - left_cost)
    inside = end > begin
    area = np.zeros(line.n_rows)
    np.add.at(area, row[inside], ((end - begin) * middle)[inside])
    area += np.clip(np.minimum(line.cost[first], high) - low, 0, None) * line.utility[first]
    area += np.clip(high - np.maximum(line.cost[last], low), 0, None) * line.utility[last]
    with np.errstate(invalid="ignore", divide="ignore"):
        height = area / (high - low)
    flat = high - low <= ROUNDING * high
    return np.where(flat, _height_at(line, high), height) if flat.any() else height


def _height_at(line: Frontiers, cost: np.ndarray) -> np.ndarray:
    """The (B,) heights of lines through points at (B,) costs; of points at one cost the last's."""
    first, last = _ends(line)
    reached = np.zeros(line.n_rows, int)
    np.add.at(reached, line.row, line.cost <= (cost * (1 + ROUNDING))[line.row])
    left = np.maximum(first + reached - 1, first)
    right = np.minimum(left + 1, last)
    width = line.cost[right] - line.cost[left]
    share = np.clip((cost - line.cost[left]) / np.where(width > 0, width, 1), 0, 1)
    return line.utility[left] + share * (line.utility[right] - line.utility[left])


def _ends(line: Frontiers) -> tuple[np.ndarray, np.ndarray]:
    first = np.searchsorted(line.row, np.arange(line.n_rows))
    return first, np.append(first[1:], len(line.row)) - 1


def cost_to_reach(line: Frontiers, target: np.ndarray) -> np.ndarray:
    """The (B,) smallest costs at which lines through points by ascending cost reach a utility.

    Infinite where a line never does; NaN where the (B,) target is. Costs are compared at
    points and between them, as two neighbours can be mixed.
    """
    wanted = target[line.row]
    reached = reaches(line.utility, wanted)
    cost = np.full(line.n_rows, np.inf)
    np.minimum.at(cost, line.row[reached], line.cost[reached])
    crossing = np.flatnonzero((line.row[1:] == line.row[:-1]) & ~reached[:-1] & reached[1:])
    left, right = line.utility[crossing], line.utility[crossing + 1]
    share = np.clip((wanted[crossing] - left) / (right - left), 0, 1)
    step = line.cost[crossing + 1] - line.cost[crossing]
    np.minimum.at(cost, line.row[crossing], line.cost[crossing] + share * step)
    return np.where(np.isnan(target), np.nan, cost)


def peak_score(own: Frontiers) -> np.ndarray:
    """The (B,) largest utilities on the curves (MMR-Bench 8)."""
    return own.utility[_ends(own)[1]]


def reaches(utility: np.ndarray, target: np.ndarray | float) -> np.ndarray:
    """Where a utility is at least the target, up to the rounding of a mean."""
    return utility >= target - ROUNDING


def qnc(own: Frontiers, singles: SingleModels) -> np.ndarray:
    """The (B,) quality-neutral costs (MMR-Bench 9).

    The smallest cost at which the router's frontier reaches the best single
    model's utility, over that model's cost; infinite if it never does. Where the
    best model is free, 1 if the router reaches it for nothing too.
    """
    cost, utility = singles.of(singles.best)
    reached = reaches(own.utility, utility[own.row])
    parity = np.full(own.n_rows, np.inf)
    np.minimum.at(parity, own.row[reached], own.cost[reached])
    return relative_cost(parity, cost)


def relative_cost(cost: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The (B,) costs over a reference's; where that is free, 1 for nothing and else infinite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = cost / reference
    return np.where(reference == 0, np.where(cost == 0, 1.0, np.inf), relative)


def savings_at_parity(quality_neutral_cost: np.ndarray) -> np.ndarray:
    """1 - qnc, and 0 where qnc is infinite or above 1."""
    return np.clip(1 - quality_neutral_cost, 0, None)


def majorants(own: Frontiers) -> Frontiers:
    """The vertices of the least concave, non-decreasing majorants of B frontiers.

    A point below the line between its neighbours is on no concave majorant; such
    points are dropped until none is left.
    """
    row, cost, utility = own.row, own.cost, own.utility
    while True:
        inner = np.zeros(len(row), dtype=bool)
        inner[1:-1] = (row[:-2] == row[1:-1]) & (row[1:-1] == row[2:])
        below = np.zeros(len(row), dtype=bool)
        below[1:-1] = (utility[1:-1] - utility[:-2]) * (cost[2:] - cost[1:-1]) <= (
            utility[2:] - utility[1:-1]
        ) * (cost[1:-1] - cost[:-2])
        drop = inner & below
        if not drop.any():
            return Frontiers(row, cost, utility, own.n_rows)
        row, cost, utility = row[~drop], cost[~drop], utility[~drop]


def aiq(own: Frontiers, singles: SingleModels) -> np.ndarray:
    """The (B,) average improvements in quality (RouterBench).

    The area under the majorant from the curve's cheapest point to the mean cost of the
    dearest single model, constant right of its own end, over that cost. RouterBench goes to
    the dearest of the routers compared, so that one router more would change all others'
    value. Free models: the utility of the curve's end.
    """
    line = majorants(own)
    first, last = _ends(line)
    begin, largest = line.cost[first], np.nanmax(singles.cost, axis=1)
    width = np.maximum(largest - begin, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = mean_height(line, begin, begin + width) * width / largest
    return np.where(largest > 0, mean, line.utility[last])


def best_rank_score(frontier: Frontiers, singles: SingleModels) -> np.ndarray:
    """(B,) largest rank scores; the score rises with utility and falls with cost."""
    low, high = (bound[frontier.row] for bound in cost_range(singles.cost))
    best = np.full(frontier.n_rows, -np.inf)
    scores = rank_score(frontier.utility, frontier.cost, low, high)
    with np.errstate(invalid="ignore"):
        np.maximum.at(best, frontier.row, scores)
    return best


@dataclass(frozen=True)
class Chosen:
    """What the training split chose of a router's points and of the single models.

    Attributes
    ----------
    parameters
        (M,) of the policy, for this fit, by ascending cost of the frontier there; none of a
        router without predictions of training samples, whose honest metrics are undefined.
    ranked
        Which of the M has the largest rank score there.
    at_parity
        Which of them is the cheapest to reach the best single model there; None if none does.
    zero
        (V,) single models whose static mixtures are best there, see ``static.static_models``:
        the first is the cheapest, the last the most accurate.
    values
        By metric, what the honest one of that name is there: routers may be chosen by it.
    """

    parameters: np.ndarray
    ranked: int
    at_parity: int | None
    zero: np.ndarray
    values: Mapping[str, float]


@dataclass(frozen=True)
class WeightedCurve:
    """One operating curve under B weightings: what its metrics are made of.

    Attributes
    ----------
    frontier
        Its frontiers.
    singles
        The single models under the same weightings.
    chosen
        What was chosen on the training split.
    cost, utility
        (B, M) of the points that were chosen, only measured here.
    zero
        Lines through the static policies that were chosen, see ``static.static_line``.
    rows
        Of each sample's own models, under the same weightings.
    """

    frontier: Frontiers
    singles: SingleModels
    chosen: Chosen
    cost: np.ndarray
    utility: np.ndarray
    zero: Frontiers
    rows: RowRange

    def nauc(self) -> np.ndarray:
        """(B,) ``nauc`` of the frontier."""
        return nauc(self.frontier, self.singles)

    @cached_property
    def trained(self) -> Frontiers:
        """Straight lines from the cheapest single model through the points that were chosen."""
        # Without an outcome of that model, the first point stands twice.
        cost, utility = (
            np.column_stack([np.where(np.isnan(one), points[:, 0], one), points])
            for one, points in zip(self._static(0), (self.cost, self.utility), strict=True)
        )
        order = by_cost(cost)
        return lines(*(np.take_along_axis(matrix, order, axis=1) for matrix in (cost, utility)))

    def trained_nauc(self) -> np.ndarray:
        """(B,) mean heights of ``trained`` over the costs of ``nauc``."""
        return self._mean_height(self.trained)

    def zero_nauc(self) -> np.ndarray:
        """(B,) mean heights of the static policies over the costs of ``nauc``."""
        return self._mean_height(self.zero)

    def trained_peak(self) -> np.ndarray:
        """(B,) utilities of the point that was most accurate in training."""
        return self.utility[:, -1]

    def trained_rank_score(self) -> np.ndarray:
        """(B,) rank scores of the point whose rank score was largest in training."""
        utility, cost = self.utility[:, self.chosen.ranked], self.cost[:, self.chosen.ranked]
        return rank_score(utility, cost, *cost_range(self.singles.cost))

    def trained_qnc(self) -> np.ndarray:
        """(B,) costs of the point that reached the best single model in training, over its.

        Infinite if none did.
        """
        if self.chosen.at_parity is None:
            return np.full(len(self.cost), np.inf)
        return relative_cost(self.cost[:, self.chosen.at_parity], self._static(-1)[0])

    def trained_parity(self) -> np.ndarray:
        """(B,) utilities of that point less that model's; NaN if none reached it in training."""
        if self.chosen.at_parity is None:
            return np.full(len(self.cost), np.nan)
        return self.utility[:, self.chosen.at_parity] - self._static(-1)[1]

    def trained_saving(self, percent: float) -> np.ndarray:
        """(B,) costs that are saved at as many percent of the best static policy's accuracy.

        1 - c / c_zero, c and c_zero the smallest costs at which ``trained`` and ``zero``
        reach it; minus infinity where ``trained`` never does. Where static policies are
        free, 0 for nothing and else minus infinity.
        """
        target = percent / 100 * self._static(-1)[1]
        own, reference = (cost_to_reach(line, target) for line in (self.trained, self.zero))
        return 1 - relative_cost(own, reference)

    def _static(self, vertex: int) -> tuple[np.ndarray, np.ndarray]:
        """(B,) cost and utility of one of ``chosen.zero``; NaN without any."""
        if not len(self.chosen.zero):
            return (np.full(len(self.cost), np.nan),) * 2
        return self.singles.of(np.full(len(self.cost), self.chosen.zero[vertex]))

    def _mean_height(self, line: Frontiers) -> np.ndarray:
        cost = self.singles.cost
        return mean_height(line, np.nanmin(cost, axis=1), np.nanmax(cost, axis=1))


@dataclass(frozen=True, kw_only=True)
class CurveMetric(Metric):
    """A metric of a whole operating curve.

    Attributes
    ----------
    measure
        A curve under B weightings to its (B,) values; None where it takes more than the curve.
    trained
        Whether it measures points that the training split chose, which ``best_single`` has not.
    convention
        Whether it is another metric by somebody else's convention: of routers only, and in the
        main table's CSV only where the config asks for it.
    """

    measure: Callable[[WeightedCurve], np.ndarray] | None
    trained: bool = False
    convention: bool = False


CURVE_METRICS = [
    CurveMetric(
        name="nauc",
        title="nAUC (higher is better)",
        measure=WeightedCurve.nauc,
        shown=True,
    ),
    CurveMetric(
        name="gain",
        title="Gain: nAUC less that of the best static mixture of models (above 0: routing helps)",
        measure=lambda curve: curve.nauc() - curve.zero_nauc(),
        shown=True,
        against_zero=True,
    ),
    CurveMetric(
        name="nauc_honest",
        title="nAUC, operating points chosen on training data (higher is better)",
        measure=WeightedCurve.trained_nauc,
        shown=True,
        trained=True,
    ),
    CurveMetric(
        name="gain_honest",
        title="Gain, operating points chosen on training data (above 0: routing helps)",
        measure=lambda curve: curve.trained_nauc() - curve.zero_nauc(),
        shown=True,
        against_zero=True,
        trained=True,
    ),
    CurveMetric(
        name="peak_score",
        title="Peak score (higher is better)",
        measure=lambda curve: peak_score(curve.frontier),
        shown=True,
    ),
    CurveMetric(
        name="peak_score_honest",
        title="Peak score, operating point chosen on training data (higher is better)",
        measure=WeightedCurve.trained_peak,
        shown=True,
        trained=True,
    ),
    CurveMetric(
        name="qnc",
        title="QNC (below 1: the best single model's accuracy at a lower cost)",
        measure=lambda curve: qnc(curve.frontier, curve.singles),
        lower_is_better=True,
        shown=True,
        atoms=True,
        infinite=True,
    ),
    CurveMetric(
        name="qnc_honest",
        title="QNC, operating point chosen on training data (below 1: a lower cost)",
        measure=WeightedCurve.trained_qnc,
        lower_is_better=True,
        trained=True,
        infinite=True,
    ),
    CurveMetric(
        name="parity_honest",
        title="Accuracy at QNC's point, less that of the single model that is best in training",
        measure=WeightedCurve.trained_parity,
        trained=True,
    ),
    CurveMetric(
        name="savings_at_parity",
        title="Savings at the best single model's accuracy (share of its cost)",
        measure=lambda curve: savings_at_parity(qnc(curve.frontier, curve.singles)),
        atoms=True,
    ),
    *(
        CurveMetric(
            name=f"saving_{percent}",
            title=f"Saving against the static mixture at {percent} % of the best one's accuracy, "
            "points chosen on training data (share of its cost)",
            measure=partial(WeightedCurve.trained_saving, percent=percent),
            against_zero=True,
            trained=True,
            atoms=True,
            infinite=True,
        )
        for percent in SAVED_AT
    ),
    CurveMetric(
        name="rank_score",
        title="Rank score, the best on the curve (0 to 100, higher is better)",
        measure=lambda curve: best_rank_score(curve.frontier, curve.singles),
    ),
    CurveMetric(
        name="rank_score_honest",
        title="Rank score, operating point chosen on training data (0 to 100, higher is better)",
        measure=WeightedCurve.trained_rank_score,
        trained=True,
    ),
    CurveMetric(
        name="aiq",
        title="AIQ (higher is better)",
        measure=lambda curve: aiq(curve.frontier, curve.singles),
    ),
    CurveMetric(
        name="nauc_own_range",
        title="nAUC over the router's own costs (MMR-Bench's released code)",
        measure=lambda curve: nauc_own_range(curve.frontier),
        convention=True,
    ),
    CurveMetric(
        name="nauc_row_range",
        title="nAUC over the costs of each sample's cheapest and dearest models (ORBIT)",
        measure=lambda curve: nauc_row_range(curve.frontier, curve.rows),
        convention=True,
    ),
    # Of the predictions that the curve is made of.
    CurveMetric(
        name="auroc", title="AUROC of predicted utilities (higher is better)", measure=None
    ),
]
"""Metrics of a whole curve, in the tables' order; another one is another record here."""
