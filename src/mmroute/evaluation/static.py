"""Static policies: one model for every query, or two at random in fixed shares, without a router.

Of all such mixtures the best at every mean cost form the least concave majorant of the
single models' points (mean cost, mean utility): RouterBench's zero router (definitions,
section 4). Its vertices are models, and between two neighbours lie their mixtures.
"""

import numpy as np

from mmroute.evaluation.metrics import (
    ROUNDING,
    Frontiers,
    SingleModels,
    aiq,
    best_rank_score,
    by_cost,
    cost_to_reach,
    frontiers,
    lines,
    mean_height,
    peak_score,
    relative_cost,
    savings_at_parity,
)
from mmroute.rank_score import cost_range, rank_score

ZERO = "zero"
"""The row of the majorant whose models were chosen on the training split."""
ZERO_HINDSIGHT = "zero_hindsight"
"""The row of the majorant of the evaluation samples themselves."""
STATIC = (ZERO, ZERO_HINDSIGHT)
N_SHARES = 32
"""Mixtures of two neighbours at which the best rank score on the line between them is sought."""


def majorant_models(cost: np.ndarray, utility: np.ndarray) -> np.ndarray:
    """Choose the models that are vertices of the least concave, non-decreasing majorant.

    Parameters
    ----------
    cost, utility
        (K,) means of each model alone, NaN where it was not observed.

    Returns
    -------
    (V,) indices by strictly ascending cost and utility, from the cheapest model (of equals,
    the most accurate) to the most accurate one (of equals, the cheapest); of models equal in
    both, the first. A model on the line between two others is no vertex. Means that differ
    by rounding are equal. Empty if no model was observed.
    """
    known = np.flatnonzero(np.isfinite(cost) & np.isfinite(utility))
    if not len(known):
        return known
    cost, utility = cost[known], utility[known]
    tolerance = ROUNDING * cost.max()
    current = _first(utility, cost <= cost.min() + tolerance, ROUNDING)
    vertices = [current]
    while True:
        dearer, better = cost - cost[current], utility - utility[current]
        ahead = (dearer > tolerance) & (better > ROUNDING)
        if not ahead.any():
            return known[vertices]
        slope = np.max(better[ahead] / dearer[ahead])
        on_line = ahead & (better >= slope * dearer - ROUNDING)
        current = _first(cost, on_line, tolerance)
        vertices.append(current)


def _first(value: np.ndarray, among: np.ndarray, tolerance: float) -> int:
    """The first index among some whose value is the largest of theirs."""
    return int(np.argmax(among & (value >= value[among].max() - tolerance)))


def static_models(known: SingleModels, measured: SingleModels) -> np.ndarray:
    """The vertices that the first weighting of some samples chooses, to be measured on others.

    Parameters
    ----------
    known
        The single models on the samples that choose.
    measured
        The single models where they are measured; one without an outcome there is no vertex.
    """
    there = np.isfinite(measured.utility[0])
    return majorant_models(known.cost[0], np.where(there, known.utility[0], np.nan))


def static_line(singles: SingleModels, models: np.ndarray) -> Frontiers:
    """The static policies that given models can be mixed to, under B weightings.

    Parameters
    ----------
    singles
        The single models under these weightings.
    models
        (V,) whose mixtures; none: the lines are undefined.

    Returns
    -------
    Straight lines through the models' points, by ascending cost as it is measured here. A
    model without an outcome under a weighting is not part of the line there.
    """
    if not len(models):
        nothing = np.full((len(singles.cost), 1), np.nan)
        return lines(nothing, nothing)
    cost, utility = singles.cost[:, models], singles.utility[:, models]
    order = by_cost(cost)
    # NaN is sorted last; there the dearest point that is known stands once more.
    last = np.maximum(np.isfinite(cost).sum(axis=1, keepdims=True) - 1, 0)
    order = np.take_along_axis(order, np.minimum(np.arange(len(models)), last), axis=1)
    return lines(*(np.take_along_axis(matrix, order, axis=1) for matrix in (cost, utility)))


def static_peak(singles: SingleModels, models: np.ndarray) -> np.ndarray:
    """The (B,) utilities of the last of given models; NaN if there is none."""
    return singles.utility[:, models[-1]] if len(models) else np.full(len(singles.cost), np.nan)


def static_metrics(
    singles: SingleModels, models: np.ndarray, zero: Frontiers
) -> dict[str, np.ndarray]:
    """Measure the mixtures of given models as if they were a router.

    Parameters
    ----------
    singles
        The single models under B weightings.
    models
        As for ``static_line``.
    zero
        The line of the models that the training split chose.

    Returns
    -------
    Metrics of ``CURVE_METRICS`` that need no predictions, (B,) each.
    ``nauc`` is the mean height of the line, at whose every point one can really be;
    ``peak_score`` its highest, ``qnc`` where it reaches the best single model's utility.
    """
    line = static_line(singles, models)
    own = frontiers(*(values.reshape(line.n_rows, -1) for values in (line.cost, line.utility)))
    low, high = np.nanmin(singles.cost, axis=1), np.nanmax(singles.cost, axis=1)
    area = mean_height(line, low, high)
    best = singles.of(singles.best)
    quality_neutral = relative_cost(cost_to_reach(line, best[1]), best[0])
    return {
        "nauc": area,
        "gain": area - mean_height(zero, low, high),
        "peak_score": peak_score(own),
        "qnc": quality_neutral,
        "savings_at_parity": savings_at_parity(quality_neutral),
        "rank_score": best_rank_score(_mixed(line), singles),
        "aiq": aiq(own, singles),
    }


def mixed_rank_score(
    known: SingleModels,
    measured: SingleModels,
    models: np.ndarray,
    bounds: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """The (B,) rank scores of the mixture whose rank score is largest on other samples.

    Parameters
    ----------
    known
        The single models on the samples that choose.
    measured
        The single models where it is measured.
    models
        As for ``static_line``, in the order of their costs where they were chosen.
    bounds
        Of the score's scale of costs, (1,) each; None: those of the single models on either.
    """
    if not len(models):
        return np.full(len(measured.cost), np.nan)
    told, found = (
        [_between(matrix[:, models]) for matrix in (own.utility, own.cost)]
        for own in (known, measured)
    )
    low, high = bounds or cost_range(known.cost)
    score = rank_score(told[0], told[1], low[:, None], high[:, None])
    best = int(np.argmax(np.nan_to_num(score[0], nan=-np.inf)))
    ends = bounds or cost_range(measured.cost)
    return rank_score(found[0][:, best], found[1][:, best], *ends)


def _mixed(line: Frontiers) -> Frontiers:
    """Lines with points between their points."""
    between = (_between(values.reshape(line.n_rows, -1)) for values in (line.cost, line.utility))
    return lines(*between)


def _between(points: np.ndarray) -> np.ndarray:
    """(B, M) values with mixtures of each two neighbours between them."""
    share = np.arange(N_SHARES) / N_SHARES
    steps = np.diff(points, axis=1)[:, :, None] * share
    inner = (points[:, :-1, None] + steps).reshape(len(points), -1)
    return np.column_stack([inner, points[:, -1]])
