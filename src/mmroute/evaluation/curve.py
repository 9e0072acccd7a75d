"""Exact operating curves: every (cost, utility) that a policy family can reach.

A router's predictions and a policy family (definitions, section 4) give one
choice per sample and parameter value. As the parameter grows, a sample's choice
changes only at its own breakpoints, so the curve is computed from all samples'
breakpoints, sorted once, and no grid. Finding them costs K log K per sample for
``budget``, and K per vertex of the sample's hull for ``lambda``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mmroute.errors import InputError
from mmroute.predictions import Predictions

Policy = Literal["lambda", "budget"]
ROUNDING = 1e-12
"""Two means this close are taken for equal: they may be sums in another order."""

N_OUTLINE = 120
"""Points by which a line is drawn at most: more could not be told apart."""
_FINE = 1e-3
"""Share of a line's height by which its outline may miss it."""
_CHUNK = 1 << 14
"""Cells of an (N, K) matrix worked on at once, so that temporaries stay in cache."""


@dataclass(frozen=True)
class Curve:
    """Operating points in the order of the policy's parameter.

    Attributes
    ----------
    cost, utility
        (P,) means over the samples of the true outcomes of the chosen models.
    threshold
        (P,) the smallest parameter value at which a point holds; it holds up to
        the next one's. lambda starts at 0, a budget at -inf, a router's own grid at its first.
    """

    cost: np.ndarray
    utility: np.ndarray
    threshold: np.ndarray

    def __len__(self) -> int:
        """The number of operating points."""
        return len(self.cost)


@dataclass(frozen=True)
class Steps:
    """The choices of N samples over the policy's whole range, as changes to a first choice.

    Attributes
    ----------
    first
        (N,) model chosen where the parameter is smallest.
    threshold
        (S,) ascending parameter values at which some sample's choice changes.
    sample
        (S,) the sample that changes.
    before, after
        (S,) its model below the threshold, and from the threshold on.
    start
        The smallest parameter value of a router with its own grid; None: the policy's.
    """

    first: np.ndarray
    threshold: np.ndarray
    sample: np.ndarray
    before: np.ndarray
    after: np.ndarray
    start: float | None = None

    def take(self, rows: np.ndarray) -> "Steps":
        """The steps of some samples, given by their indices, renumbered in that order."""
        position = np.full(len(self.first), -1, np.int32)
        position[rows] = np.arange(len(rows), dtype=np.int32)
        kept = position[self.sample] >= 0
        return Steps(
            self.first[rows],
            self.threshold[kept],
            position[self.sample[kept]],
            self.before[kept],
            self.after[kept],
            self.start,
        )

    def choices(self, parameter: float) -> np.ndarray:
        """The (N,) models chosen at a parameter value."""
        passed = np.searchsorted(self.threshold, parameter, side="right")
        change = self.after[:passed] - self.before[:passed]
        moved = np.bincount(self.sample[:passed], change, len(self.first))
        return self.first + moved.astype(self.first.dtype)


def operating_curve(
    u_hat: np.ndarray,
    c_hat: np.ndarray,
    utility: np.ndarray,
    cost: np.ndarray,
    policy: Policy = "lambda",
) -> Curve:
    """The exact operating curve of a router.

    Parameters
    ----------
    u_hat, c_hat
        (N, K) predicted utility and cost.
    utility, cost
        (N, K) true outcomes, NaN where missing. A sample's choice is among the
        models observed for it.
    policy
        ``lambda``: argmin_j (1 - u_hat + lambda c_hat) (MMR-Bench S7); ``budget``:
        argmax_j u_hat subject to c_hat <= b, the cheapest model if none is
        feasible. Ties go to the smaller c_hat, then to the smaller model index. (MMR-Bench's
        code takes the model of the smallest index in both cases, whatever it costs.)

    Raises
    ------
    InputError
        If there is no sample, the shapes differ, a prediction is not finite, or a
        sample has no observed outcome.
    """
    shapes = {matrix.shape for matrix in (u_hat, c_hat, utility, cost)}
    if len(shapes) > 1 or u_hat.ndim != 2 or u_hat.size == 0:
        raise InputError(
            "operating curve: predictions and outcomes must be (N, K) alike with N, K >= 1, "
            f"not {sorted(shapes)}"
        )
    steps = policy_steps(u_hat, c_hat, np.isfinite(utility) & np.isfinite(cost), policy)
    return trace(steps, utility, cost, policy)


def trace(steps: Steps, utility: np.ndarray, cost: np.ndarray, policy: Policy) -> Curve:
    """The operating curve of choices that are known; arguments as for the others."""
    threshold = thresholds(steps, policy)
    points = last_of_ties(threshold)
    mean_cost, mean_utility = (running_mean(steps, matrix) for matrix in (cost, utility))
    return Curve(mean_cost[points], mean_utility[points], threshold[points])


def outline(cost: np.ndarray, utility: np.ndarray) -> np.ndarray:
    """Which of (M,) points are enough to draw the straight lines through them by.

    Both ends, and then whichever point is farthest from the line drawn so far, until none is off
    by more than a thousandth of its height (Ramer, An iterative procedure for the polygonal
    approximation of plane curves, 1972).

    Returns
    -------
    Indices by ascending cost, at most ``N_OUTLINE``.
    """
    order = np.argsort(cost, kind="stable")
    cost, utility = cost[order], utility[order]
    kept = np.unique([0, len(order) - 1]) if len(order) else order
    while 2 <= len(kept) < N_OUTLINE:
        error = np.abs(utility - np.interp(cost, cost[kept], utility[kept]))
        error[kept] = 0
        farthest = int(error.argmax())
        if error[farthest] <= _FINE * np.ptp(utility):
            break
        kept = np.insert(kept, np.searchsorted(kept, farthest), farthest)
    return order[kept]


def chosen_counts(steps: Steps, n_models: int, parameters: np.ndarray) -> np.ndarray:
    """How many samples get each of K models at (T,) ascending parameter values, (T, K)."""
    shown = np.searchsorted(parameters, steps.threshold)
    kept = shown < len(parameters)
    cell = n_models * shown[kept]
    size = len(parameters) * n_models
    moved = np.bincount(cell + steps.after[kept], minlength=size)
    moved -= np.bincount(cell + steps.before[kept], minlength=size)
    start = np.bincount(steps.first, minlength=n_models)
    return start + np.cumsum(moved.reshape(-1, n_models), axis=0)


def thresholds(steps: Steps, policy: Policy) -> np.ndarray:
    """The (S + 1,) parameter values from which each running sum holds."""
    start = -np.inf if policy == "budget" else 0.0
    return np.concatenate([[start if steps.start is None else steps.start], steps.threshold])


def last_of_ties(threshold: np.ndarray) -> np.ndarray:
    """Which running sums are points: where several samples change, only the last is."""
    return np.append(threshold[1:] != threshold[:-1], True)


def policy_steps(
    u_hat: np.ndarray, c_hat: np.ndarray, observed: np.ndarray, policy: Policy
) -> Steps:
    """Every change of choice as the policy's parameter grows.

    Parameters
    ----------
    u_hat, c_hat
        (N, K) predictions, finite.
    observed
        (N, K) which models may be chosen; each sample has one.
    policy
        As for ``operating_curve``.
    """
    _require_finite(u_hat=u_hat, c_hat=c_hat)
    if not observed.any(axis=1).all():
        raise InputError(
            f"sample {int((~observed.any(axis=1)).argmax())} has no observed outcome; leave it out"
        )
    n_samples, n_models = u_hat.shape
    walk = _lambda_walk if policy == "lambda" else _budget_walk
    first = np.empty(n_samples, np.int32)
    parts: list[tuple[np.ndarray, ...]] = []
    rows = max(1, _CHUNK // n_models)
    for begin in range(0, n_samples, rows):
        chunk = slice(begin, begin + rows)
        steps = walk(
            np.where(observed[chunk], u_hat[chunk], -np.inf),
            np.where(observed[chunk], c_hat[chunk], np.inf),
        )
        first[chunk] = next(steps)
        for threshold, sample, before, after in steps:
            models = (before.astype(np.int32), after.astype(np.int32))
            parts.append((threshold, (sample + begin).astype(np.int32), *models))
    if not parts:
        none = np.empty(0, np.int32)
        return Steps(first, np.empty(0), none, none, none)
    threshold, sample, before, after = map(np.concatenate, zip(*parts, strict=True))
    order = np.argsort(threshold)
    return Steps(first, threshold[order], sample[order], before[order], after[order])


def _require_finite(**predictions: np.ndarray) -> None:
    for name, prediction in predictions.items():
        if not np.isfinite(prediction).all():
            row, column = np.argwhere(~np.isfinite(prediction))[0]
            raise InputError(
                f"{name} of sample {row}, model {column} is {prediction[row, column]}; "
                "a router must predict finite numbers"
            )


def _lambda_walk(u_hat: np.ndarray, c_hat: np.ndarray) -> Iterator[Any]:
    """Walk each sample's upper-left convex hull of (c_hat, u_hat), from its top to its left end.

    Yields the first choices, then (lambda, sample, before, after) of one vertex
    to the next for all samples that have one more. A hull of h vertices costs
    h K per sample.
    """
    # Model by model, because numpy reduces few long rows much faster than many short ones.
    u_hat, c_hat = np.ascontiguousarray(u_hat.T), np.ascontiguousarray(c_hat.T)
    sample = np.arange(u_hat.shape[1])
    current = _cheapest(u_hat == u_hat.max(axis=0), c_hat)
    yield current
    reached = np.zeros(len(sample))
    while len(sample):
        now = current, np.arange(len(sample))
        # On the hull only a cheaper model of less utility can follow; the slope to
        # every other is infinite.
        slope = np.maximum(u_hat[now] - u_hat, np.finfo(float).tiny)
        with np.errstate(divide="ignore", over="ignore"):
            slope /= np.maximum(c_hat[now] - c_hat, 0)
        steepest = slope.min(axis=0)
        go_on = np.flatnonzero(steepest < np.inf)
        following = _cheapest(slope == steepest, c_hat)
        sample, before, current = sample[go_on], current[go_on], following[go_on]
        # Rounding may put a vertex a hair before the one it follows.
        reached = np.maximum(steepest[go_on], reached[go_on])
        yield reached, sample, before, current
        u_hat, c_hat = u_hat.take(go_on, axis=1), c_hat.take(go_on, axis=1)


def _cheapest(candidate: np.ndarray, c_hat: np.ndarray) -> np.ndarray:
    """The (n,) candidates of smallest c_hat, then of smallest index; both are (K, n)."""
    lowest = np.where(candidate, c_hat, np.inf).min(axis=0)
    model = np.arange(len(c_hat), dtype=np.int16)[:, None]
    return np.where(candidate & (c_hat == lowest), model, np.int16(len(c_hat))).min(axis=0)


def _budget_walk(u_hat: np.ndarray, c_hat: np.ndarray) -> Iterator[Any]:
    """Walk each sample's running maxima of u_hat over ascending c_hat.

    Yields the choices below every budget, then all (budget, sample, before,
    after), a sample's own in ascending order.
    """
    n_samples, n_models = u_hat.shape
    model = np.argsort(c_hat, axis=1, kind="stable")
    yield model[:, 0]
    cell = model + n_models * np.arange(n_samples)[:, None]
    best = np.maximum.accumulate(u_hat.take(cell), axis=1)
    record = np.ones(model.shape, dtype=bool)
    record[:, 1:] = best[:, 1:] > best[:, :-1]
    at = np.flatnonzero(record)
    after = model.take(at)
    before = np.roll(after, 1)
    # A sample's cheapest model is its first choice, not a change.
    change = at % n_models > 0
    at = at[change]
    yield c_hat.take(cell.take(at)), at // n_models, before[change], after[change]


def steps_of(predictions: Predictions, trial: int, observed: np.ndarray, policy: Policy) -> Steps:
    """How a router's choices change over its operating points, among observed models.

    A policy family takes predicted utilities within [0, 1], as utilities are.

    Parameters
    ----------
    predictions
        Of N samples.
    trial
        Which of the T.
    observed
        (N, K) whether an outcome is there.
    policy
        Policy family; a router with a grid has its own.
    """
    if predictions.scores is not None and predictions.grid is not None:
        return grid_steps(predictions.scores, predictions.grid, observed)
    _require_finite(u_hat=predictions.u_hat[trial])
    u_hat = np.clip(predictions.u_hat[trial], 0, 1)
    return policy_steps(u_hat, predictions.c_hat[trial], observed, policy)


def training_steps(
    crossfit: Predictions, utility: np.ndarray, policy: Policy
) -> tuple[np.ndarray, Steps]:
    """The choices that cross-fitted predictions make on (n, K) training outcomes.

    Returns
    -------
    Indices of the samples with a prediction for some observed model, and the steps of
    these samples.
    """
    predicted = crossfit.u_hat[0] if crossfit.scores is None else crossfit.scores[0]
    usable = np.isfinite(utility) & np.isfinite(predicted)
    kept = np.flatnonzero(usable.any(axis=1))
    return kept, steps_of(crossfit.take(kept).without_gaps(), 0, usable[kept], policy)


def training_frontier(
    crossfit: Predictions, utility: np.ndarray, cost: np.ndarray, policy: Policy
) -> Curve:
    """The frontier that cross-fitted predictions reach on (n, K) training outcomes.

    It has no point if no training sample has a prediction.
    """
    kept, steps = training_steps(crossfit, utility, policy)
    if not len(kept):
        return Curve(*np.empty((3, 0)))
    paid = crossfit.take(kept).paid(cost[kept])
    return frontier(trace(steps, utility[kept], paid, policy))


def grid_steps(scores: np.ndarray, grid: np.ndarray, observed: np.ndarray) -> Steps:
    """The changes of choice of a router that has one operating point per lambda.

    Parameters
    ----------
    scores
        (G, N, K); at each lambda the largest is chosen, of equals the first model.
    grid
        (G,) lambdas, or what else its points are at, ascending.
    observed
        (N, K) whether an outcome is there; every sample has one.
    """
    choices = np.where(observed, scores, -np.inf).argmax(axis=2).astype(np.int32)
    point, sample = np.nonzero(choices[1:] != choices[:-1])
    return Steps(
        choices[0],
        grid[point + 1],
        sample.astype(np.int32),
        choices[point, sample],
        choices[point + 1, sample],
        float(grid[0]),
    )


def running_mean(steps: Steps, outcome: np.ndarray) -> np.ndarray:
    """The (S + 1,) mean of the chosen models' outcomes after each step."""
    n_samples, n_models = outcome.shape
    row = steps.sample.astype(np.int64) * n_models
    start = outcome[np.arange(n_samples), steps.first].sum()
    change = outcome.take(row + steps.after) - outcome.take(row + steps.before)
    return np.cumsum(np.concatenate([[start], change])) / n_samples


def frontier(curve: Curve) -> Curve:
    """The Pareto-optimal points by ascending cost.

    A point stays only if its utility exceeds that of every cheaper one by more than
    ``ROUNDING``; of points at one cost the best stays, of equal ones the first.
    """
    order = np.lexsort((-np.round(curve.utility, 12), np.round(curve.cost, 12)))
    utility = curve.utility[order]
    best_before = np.concatenate([[-np.inf], np.maximum.accumulate(utility)[:-1]])
    kept = order[utility > best_before + ROUNDING]
    dearer = np.diff(curve.cost[kept]) > ROUNDING * curve.cost[kept][1:]
    kept = kept[np.append(dearer, True)]
    return Curve(curve.cost[kept], curve.utility[kept], curve.threshold[kept])
