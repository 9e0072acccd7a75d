"""Every metric of a router straight from its definition: what the package is compared with.

Definitions, sections 4 and 5, in plain loops over small tables. Nothing is imported from
``mmroute``, so that no mistake there is repeated here. Policies choose in exact arithmetic, and
means are rounded to 12 digits: what is equal but for the rounding of a sum is equal.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np

SAME = 1e-9
CURVE_METRICS = ["nauc", "gain", "peak_score", "qnc", "savings_at_parity", "rank_score", "aiq"]

Slices = Mapping[str, tuple[Sequence[int], Sequence[int]]]
"""By name: rows of the test samples and of the training samples, all where it has none there."""
Replicates = dict[tuple[str, str, str], np.ndarray]


class Point(NamedTuple):
    """Mean cost and utility of a policy, and which threshold, or single model, it is."""

    cost: float
    utility: float
    at: int = 0


@dataclass(frozen=True)
class Samples:
    """Outcomes of N samples, and one trial of a router's predictions.

    ``utility``, ``cost`` (normalised), ``u_hat`` and ``c_hat`` are (N, K), NaN where missing;
    ``overhead`` is (N,). A router with (G,) lambdas of its own has (G, N, K) ``scores``.
    """

    utility: np.ndarray
    cost: np.ndarray
    u_hat: np.ndarray
    c_hat: np.ndarray
    overhead: np.ndarray
    grid: np.ndarray | None = None
    scores: np.ndarray | None = None

    def known(self) -> np.ndarray:
        """(N, K) whether a model may be chosen: it has an outcome and a prediction."""
        predicted = self.u_hat if self.scores is None else self.scores[0]
        return np.isfinite(self.utility) & np.isfinite(predicted)

    def usable(self, rows: Sequence[int]) -> list[int]:
        """Those of some samples for which a model may be chosen; all such where there is none."""
        known = self.known().any(axis=1)
        return [i for i in rows if known[i]] or list(np.flatnonzero(known))


# --- operating curves (section 4) ---------------------------------------------------------------


def choose(u: Mapping, c: Mapping, policy: str, at: Fraction | float) -> int:
    """The choice for one sample, whose predictions are by model, at a lambda or a budget."""
    if policy == "lambda":
        return min(u, key=lambda j: (1 - u[j] + at * c[j], c[j], j))
    feasible = [j for j in u if c[j] <= at]
    if not feasible:
        return min(u, key=lambda j: (c[j], j))
    return min(feasible, key=lambda j: (-u[j], c[j], j))


def sweep(samples: Samples, policy: str) -> tuple[list[float], np.ndarray]:
    """The P thresholds at which a choice may change, and the (P, N) choices from there on.

    Predicted utilities are clipped to [0, 1]. Where no model may be chosen the choice is 0.
    """
    known = samples.known()
    if samples.grid is not None:
        return list(samples.grid), np.where(known, samples.scores, -np.inf).argmax(axis=2)
    steps = []
    for i, models in enumerate(known):
        u, c = (
            {j: Fraction(float(of[i, j])) for j in map(int, np.flatnonzero(models))}
            for of in (np.clip(samples.u_hat, 0, 1), samples.c_hat)
        )
        changes = {-math.inf, *c.values()}
        if policy == "lambda":
            pairs = [(a, b) for a in u for b in u if u[a] > u[b] and c[a] > c[b]]
            changes = {Fraction(0)} | {(u[a] - u[b]) / (c[a] - c[b]) for a, b in pairs}
        steps.append({float(at): choose(u, c, policy, at) if u else 0 for at in sorted(changes)})
    thresholds = sorted({at for own in steps for at in own})
    return thresholds, np.array(
        [[own[max(step for step in own if step <= at)] for own in steps] for at in thresholds]
    )


def mean(values: Iterable[float], weight: np.ndarray) -> float:
    """The weighted mean, NaN of nothing."""
    total = weight.sum()
    return round(float(weight @ np.asarray(values, float)) / total, 12) if total else math.nan


def curve(samples: Samples, choices: np.ndarray, rows: Sequence, weight: np.ndarray) -> list[Point]:
    """The operating points on some samples; ``choices`` are (P, N), ``weight`` is (N,)."""
    points = []
    for at, own in enumerate(choices):
        paid = samples.cost[rows, own[rows]] + samples.overhead[rows]
        gained = samples.utility[rows, own[rows]]
        points.append(Point(mean(paid, weight[rows]), mean(gained, weight[rows]), at))
    return points


def singles(samples: Samples, rows: Sequence[int], weight: np.ndarray) -> list[Point]:
    """The K models alone, each where it was observed; NaN where it was not."""
    found = []
    for j in range(samples.utility.shape[1]):
        seen = [i for i in rows if np.isfinite(samples.utility[i, j])]
        own = (mean(of[seen, j], weight[seen]) for of in (samples.cost, samples.utility))
        found.append(Point(*own, j))
    return found


def observed(points: Iterable[Point]) -> list[Point]:
    """Those that have a value, by ascending cost."""
    return sorted((own for own in points if not math.isnan(own.cost)), key=lambda own: own.cost)


def frontier(points: Iterable[Point]) -> list[Point]:
    """The points better than every cheaper one; of equal ones the first."""
    best: list[Point] = []
    for own in sorted(observed(points), key=lambda own: (own.cost, -own.utility, own.at)):
        if not best or own.utility > best[-1].utility:
            best.append(own)
    return best


def majorant(points: Iterable[Point]) -> list[Point]:
    """The vertices of the least concave, non-decreasing majorant: ever the steepest way up."""
    left = frontier(points)
    vertices = left[:1]
    while len(left) > 1:
        here = left[0]
        slope = [round((p.utility - here.utility) / (p.cost - here.cost), 9) for p in left[1:]]
        left = left[1 + max(k for k, own in enumerate(slope) if own == max(slope)) :]
        vertices.append(left[0])
    return vertices


def borne_out(training: Samples, samples: Samples) -> np.ndarray:
    """(N, K) predicted costs as far as training costs bear cross-fitted predictions out."""
    costs = np.full(samples.c_hat.shape, np.nan)
    for j in range(costs.shape[1]):
        told, paid, own = training.c_hat[:, j], training.cost[:, j], samples.c_hat[:, j]
        both = np.isfinite(told) & np.isfinite(paid)
        slope = 0.0
        if both.sum() > 1 and told[both].std() > 1e-9:
            slope = min(max(float(np.polyfit(told[both], paid[both], 1)[0]), 0.0), 1.0)
        centre = own[np.isfinite(own)].mean() if np.isfinite(own).any() else 0.0
        costs[:, j] = paid[np.isfinite(paid)].mean() + slope * (own - centre)
    return costs


def foreseen(samples: Samples, choices: np.ndarray, costs: np.ndarray) -> list[float]:
    """The mean of the (N, K) costs of all samples' choices at each threshold."""
    rows = samples.usable(range(len(samples.utility)))
    return [math.fsum(costs[rows, own[rows]]) / len(rows) for own in choices]


def nearest(point: int, known: list[float], other: list[float], policy: str) -> int:
    """The first threshold that is foreseen to cost what is nearest to a known point's cost.

    The cheapest and the dearest stand for each other, and costs go one way along a curve. Of a
    budget it is the last that costs as much, but that of no budget stands for itself.
    """
    near, cost = 1e-9, known[point]
    if max(known) - min(known) > near:
        own_end = [end for end in (min, max) if abs(cost - end(known)) <= near]
        cost = own_end[0](other) if own_end else cost
    turn = max if other[-1] >= other[0] else min
    line = list(accumulate(other, turn))
    apart = [abs(own - cost) for own in line]
    first = next(at for at, own in enumerate(apart) if own <= min(apart) + near)
    if policy == "lambda":
        return first
    equal = [at for at, own in enumerate(other) if abs(own - line[at]) <= near]
    return point and max(at for at in equal if abs(line[at] - line[first]) <= near)


# --- lines --------------------------------------------------------------------------------------


def height(line: list[Point], at: float) -> float:
    """The height of straight lines through points; level beside them, at one cost the last."""
    if at < line[0].cost:
        return line[0].utility
    for left, right in pairwise(line):
        if left.cost <= at < right.cost:
            share = (at - left.cost) / (right.cost - left.cost)
            return left.utility + share * (right.utility - left.utility)
    return line[-1].utility


def area(line: list[Point], low: float, high: float) -> float:
    """The area below a line: between two points the height in the middle is the mean one."""
    ends = [low, *(own.cost for own in line if low < own.cost < high), high]
    return math.fsum((b - a) * height(line, (a + b) / 2) for a, b in pairwise(ends))


def mean_height(line: list[Point], alone: list[Point]) -> float:
    """The mean height over the costs of the single models."""
    if not line:
        return math.nan
    low, high = observed(alone)[0].cost, observed(alone)[-1].cost
    return area(line, low, high) / (high - low) if high > low else height(line, low)


def cost_to_reach(line: list[Point], target: float) -> float:
    """The smallest cost at which a line reaches a utility, infinite if nowhere."""
    if line and line[0].utility >= target - SAME:
        return line[0].cost
    for left, right in pairwise(line):
        if right.utility >= target - SAME:
            share = min((target - left.utility) / (right.utility - left.utility), 1)
            return left.cost + share * (right.cost - left.cost)
    return math.inf


def parity(points: list[Point], target: float) -> list[int]:
    """Which points reach a utility, of a frontier the cheapest first."""
    return [k for k, own in enumerate(points) if own.utility >= target - SAME]


def over(cost: float, reference: float) -> float:
    """A cost over another; over nothing, 1 for nothing and else infinite."""
    return cost / reference if reference else math.inf if cost else 1.0


# --- metrics (section 5) ------------------------------------------------------------------------


def best_of(alone: Iterable[Point]) -> Point:
    """The most accurate model, of equals the cheapest."""
    return min(observed(alone), key=lambda own: (-own.utility, own.cost, own.at))


def rank_score(point: Point, alone: Iterable[Point]) -> float:
    """The rank score, beta = 0.1, over the costs of the single models that are not free."""
    costs = [own.cost for own in observed(alone) if own.cost > 0] or [0.0]
    low, high, thrift = min(costs), max(costs), 1.0
    if high > low:
        paid = min(max(point.cost, low), high)
        thrift = (math.log2(high) - math.log2(paid)) / (math.log2(high) - math.log2(low))
    both = 0.1 * point.utility + thrift
    return 110 * point.utility * thrift / both if both else 0.0


def curve_metrics(points: list[Point], alone: list[Point], zero: list[Point]) -> dict[str, float]:
    """Metrics of a curve's points, beside K single models and the static line."""
    own = frontier(points)
    if not own:
        return dict.fromkeys(CURVE_METRICS, math.nan)
    best, cheapest, high = best_of(alone), frontier(alone)[0], observed(alone)[-1].cost
    nauc = mean_height(frontier([cheapest, *own]), alone)
    reached = parity(own, best.utility)
    qnc = over(own[reached[0]].cost, best.cost) if reached else math.inf
    hull = majorant(own)
    return {
        "nauc": nauc,
        "gain": nauc - mean_height(zero, alone),
        "peak_score": own[-1].utility,
        "qnc": qnc,
        "savings_at_parity": 1 - min(qnc, 1),
        "rank_score": max(rank_score(point, alone) for point in own),
        "aiq": area(hull, min(hull[0].cost, high), high) / high if high else hull[-1].utility,
    }


def range_metrics(
    samples: Samples, points: list[Point], rows: Sequence, weight: np.ndarray
) -> dict:
    """Mean heights over the curve's own costs, and over those of each sample's own models."""
    own = frontier(points)
    own_ends = own[0].cost, own[-1].cost
    first = [min((c, j) for j, c in enumerate(samples.cost[i]) if c == c)[1] for i in rows]
    of = np.asarray(rows), np.asarray(first)
    cheapest = Point(mean(samples.cost[of], weight[rows]), mean(samples.utility[of], weight[rows]))
    ends = cheapest.cost, mean(np.nanmax(samples.cost[rows], axis=1), weight[rows])
    return {
        name: area(line, low, high) / (high - low) if high > low else height(line, low)
        for name, line, (low, high) in (
            ("nauc_own_range", own, own_ends),
            ("nauc_row_range", frontier([cheapest, *own]), ends),
        )
    }


class Trained(NamedTuple):
    """What a slice's training samples choose: a curve's frontier, and models of the static line.

    ``alone`` are the K single models there.
    """

    frontier: list[Point]
    alone: list[Point]
    zero: list[int]


def train(points: list[Point], alone: list[Point], tested: list[Point]) -> Trained:
    """Choose in training, of the single models those that have an outcome in the test, too."""
    measurable = [alone[own.at] for own in observed(tested)]
    return Trained(frontier(points), alone, [own.at for own in majorant(measurable)])


def honest_metrics(
    trained: Trained, points: list[Point], alone: list[Point], zero: list[Point]
) -> dict[str, float]:
    """Metrics of what was chosen in training: its frontier is carried over to ``points``."""
    line = observed([alone[trained.zero[0]], *points])
    best, nauc = alone[trained.zero[-1]], mean_height(line, alone)
    scores = [rank_score(point, trained.alone) for point in trained.frontier]
    ranked = next(k for k, score in enumerate(scores) if score >= max(scores) - SAME)
    reached = parity(trained.frontier, trained.alone[best.at].utility)
    reaching = points[reached[0]] if reached else Point(math.inf, math.nan)
    measured = {
        "nauc_honest": nauc,
        "gain_honest": nauc - mean_height(zero, alone),
        "peak_score_honest": points[-1].utility,
        "rank_score_honest": rank_score(points[ranked], alone),
        "qnc_honest": over(reaching.cost, best.cost) if reached else math.inf,
        "parity_honest": reaching.utility - best.utility,
    }
    for percent in (90, 95, 100):
        target = best.utility * percent / 100
        saving = 1 - over(cost_to_reach(line, target), cost_to_reach(zero, target))
        measured[f"saving_{percent}"] = math.nan if math.isnan(target) else saving
    return measured


def policy_metrics(
    samples: Samples, chosen: np.ndarray, rows: Sequence[int], weight: np.ndarray, unit: float
) -> dict[str, float]:
    """Metrics of the (N,) choices on some samples, and each model's share of them."""
    w = weight[rows]
    utility, cost = samples.utility[rows], (samples.cost + samples.overhead[:, None])[rows]
    own = range(len(rows)), chosen[rows]
    gained, paid, predicted = utility[own], cost[own], samples.u_hat[rows][own]
    best = np.nanmax(utility, axis=1)
    # Mean costs are of the samples themselves, whatever the weights.
    alone = observed(singles(samples, rows, np.ones(len(weight))))
    dearest = [j.at for j in alone if j.cost >= alone[-1].cost * (1 - SAME)]
    optimal = np.nanmin(np.where(utility == best[:, None], cost, np.nan), axis=1)
    point = Point(mean(paid, w), mean(gained, w))
    bins = [sum(other < p for other in predicted) * 15 // len(rows) for p in predicted]
    gaps = [math.fsum((w * (predicted - gained))[np.equal(bins, k)]) for k in range(15)]
    solved = best > 0
    return {
        "accuracy": point.utility,
        "cost": point.cost,
        "cost_usd": point.cost * unit,
        "routing_accuracy": mean(gained[solved] / best[solved], w[solved]),
        "optimal_selection": mean((gained == best) & (paid == optimal), w),
        "optimal_cost": ratio(mean(optimal, w), point.cost),
        "optimal_accuracy": ratio(point.utility, mean(best, w)),
        "rci": mean((gained < best) | np.isin(own[1], dearest) & (optimal < paid), w),
        "brier": mean((predicted - gained) ** 2, w),
        "ece": sum(map(abs, gaps)) / w.sum(),
        "rank_score": rank_score(point, singles(samples, rows, weight)),
    } | {f"traffic model-{j}": mean(own[1] == j, w) for j in range(utility.shape[1])}


def ratio(above: float, below: float) -> float:
    """One over the other; of nothing and nothing NaN."""
    return above / below if below else math.inf if above else math.nan


def auroc(samples: Samples, rows: Sequence[int], weight: np.ndarray) -> float:
    """The mean over models of how many pairs of a success and a failure are in the right order."""
    areas = []
    for u_hat, utility in zip(samples.u_hat.T, samples.utility.T, strict=True):
        pairs = [(a, b) for a in rows for b in rows if utility[a] > 0.5 >= utility[b]]
        times = [weight[a] * weight[b] for a, b in pairs]
        right = [(u_hat[a] > u_hat[b]) + (u_hat[a] == u_hat[b]) / 2 for a, b in pairs]
        areas += [np.dot(times, right) / sum(times)] if sum(times) else []
    return float(np.mean(areas)) if areas else math.nan


def operating_points(own: list[Point], best: Point) -> dict[str, int]:
    """Which threshold each named point of a frontier has; the last two may be missing."""
    found = {
        "peak": own[-1:],
        "parity": [own[k] for k in parity(own, best.utility)[:1]],
        "half_cost": [point for point in own if point.cost <= best.cost / 2 + SAME][-1:],
    }
    return {name: point.at for name, points in found.items() for point in points}


def evaluate(
    trials: list[Samples],
    training: Samples,
    slices: Slices,
    weights: np.ndarray,
    policy: str,
    unit: float,
) -> Replicates:
    """Measure a router under (B, N) weights of its test samples, of which the first are ones.

    Returns (B,) values by slice, operating point (empty for the curve) and metric: means over
    the trials that have the point, but for ``auroc``, the first trial's.
    """
    once = np.ones(len(training.utility))
    _, training_choices = sweep(training, policy)
    told = foreseen(training, training_choices, borne_out(training, training))
    values = defaultdict(list)
    for trial, samples in enumerate(trials):
        _, choices = sweep(samples, policy)
        own_told = foreseen(samples, choices, borne_out(training, samples))
        for name, (rows, own) in slices.items():
            whole = singles(samples, rows, weights[0])
            learned = curve(training, training_choices, training.usable(own), once)
            trained = train(learned, singles(training, own, once), whole)
            carried = [point.at for point in trained.frontier]
            if training.grid is None:
                carried = [nearest(at, told, own_told, policy) for at in carried]
            best = frontier(curve(samples, choices, rows, weights[0]))
            named = operating_points(best, best_of(whole))
            found = defaultdict(list)
            for weight in weights:
                alone = singles(samples, rows, weight)
                zero = observed(alone[j] for j in trained.zero)
                points = curve(samples, choices, rows, weight)
                measured = {"": curve_metrics(points, alone, zero)}
                measured[""] |= range_metrics(samples, points, rows, weight)
                measured[""] |= honest_metrics(trained, [points[at] for at in carried], alone, zero)
                if trial == 0:
                    measured[""]["auroc"] = auroc(samples, rows, weight)
                for point, at in named.items():
                    measured[point] = policy_metrics(samples, choices[at], rows, weight, unit)
                for point, metrics in measured.items():
                    for metric, value in metrics.items():
                        found[name, point, metric].append(value)
            for key, replicates in found.items():
                values[key].append(replicates)
    return {key: np.mean(replicates, axis=0) for key, replicates in values.items()}


def evaluate_references(
    test: Samples, training: Samples, slices: Slices, weights: np.ndarray
) -> Replicates:
    """Measure what needs no router: (B,) values, or a constant, by row, slice and metric."""
    values = defaultdict(list)
    once = np.ones(len(training.utility))
    for name, (rows, own) in slices.items():
        whole = singles(test, rows, weights[0])
        zero = train([], singles(training, own, once), whole).zero
        hindsight = [point.at for point in majorant(whole)]
        mixed = {"best_single": [best_of(whole).at], "zero": zero, "zero_hindsight": hindsight}
        for weight in weights:
            alone = singles(test, rows, weight)
            static, best = observed(alone[j] for j in zero), best_of(alone)
            for router, models in mixed.items():
                line = observed(alone[j] for j in models)
                metrics = curve_metrics(mixtures(line), alone, static)
                if router != "best_single":
                    nauc, reached = mean_height(line, alone), cost_to_reach(line, best.utility)
                    metrics |= {"nauc": nauc, "gain": nauc - mean_height(static, alone)}
                    qnc = over(reached, best.cost)
                    metrics |= {"qnc": qnc, "savings_at_parity": 1 - min(qnc, 1)}
                if router == "zero":
                    metrics["nauc_honest"] = metrics["nauc"]
                    metrics["peak_score_honest"] = alone[models[-1]].utility
                for metric, value in metrics.items():
                    values[router, name, metric].append(value)
        for metric in ("gain", "gain_honest", "saving_90", "saving_95", "saving_100"):
            values["zero", name, metric] = [0.0]
        values["best_single", name, "qnc"] = [1.0]
        values["best_single", name, "savings_at_parity"] = [0.0]
    return {key: np.array(replicates) for key, replicates in values.items()}


def mixtures(line: list[Point]) -> list[Point]:
    """A line's points, and 31 between each two: the package seeks the best rank score there."""
    between = [
        Point(a.cost + share * (b.cost - a.cost), a.utility + share * (b.utility - a.utility))
        for a, b in pairwise(line)
        for share in np.arange(32) / 32
    ]
    return [*between, *line[-1:]]
