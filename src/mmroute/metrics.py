"""Metrics of an operating curve against the single models of the pool.

Definitions, section 5; each function names its source.
"""

from dataclasses import dataclass

import numpy as np

from mmroute.curve import Curve, frontier


@dataclass(frozen=True)
class SingleModels:
    """The K constant policies: always the same model.

    Attributes
    ----------
    cost, utility
        (K,) means over the samples on which the model was observed; NaN if there
        is none.
    """

    cost: np.ndarray
    utility: np.ndarray

    @property
    def best(self) -> int:
        """Index of the most accurate model; of equals, the cheaper."""
        return int(np.lexsort((self.cost, -self.utility))[0])

    @property
    def cheapest(self) -> int:
        """Index of the cheapest model; of equals, the more accurate."""
        return int(np.lexsort((-self.utility, self.cost))[0])


def single_models(utility: np.ndarray, cost: np.ndarray) -> SingleModels:
    """Evaluate each model alone.

    Parameters
    ----------
    utility, cost
        (N, K), NaN where missing.
    """
    return SingleModels(*(_observed_mean(matrix) for matrix in (cost, utility)))


def _observed_mean(matrix: np.ndarray) -> np.ndarray:
    observed = np.isfinite(matrix)
    with np.errstate(invalid="ignore"):
        return np.where(observed, matrix, 0).sum(axis=0) / observed.sum(axis=0)


def reaches(utility: np.ndarray, target: float) -> np.ndarray:
    """Return where a utility is at least the target, up to the rounding of a mean."""
    return utility >= target - 1e-12


def nauc(curve: Curve, singles: SingleModels) -> float:
    """Return the normalised area under the accuracy-cost curve (MMR-Bench 7).

    The mean of p(c) over the costs from the cheapest to the most expensive single
    model. p joins the cheapest single model to the curve, is piecewise linear
    through the frontier and constant right of it (definitions, section 4). Where
    every model costs the same it is p at that cost.
    """
    cheapest = singles.cheapest
    joined = frontier(
        Curve(
            np.append(curve.cost, singles.cost[cheapest]),
            np.append(curve.utility, singles.utility[cheapest]),
            np.append(curve.threshold, np.nan),
        )
    )
    low, high = np.nanmin(singles.cost), np.nanmax(singles.cost)
    inside = (joined.cost > low) & (joined.cost < high)
    cost = np.concatenate([[low], joined.cost[inside], [high]])
    utility = np.interp(cost, joined.cost, joined.utility)
    if high == low:
        return float(utility[-1])
    return float(np.trapezoid(utility, cost) / (high - low))


def peak_score(curve: Curve) -> float:
    """Return the largest utility on the curve (MMR-Bench 8)."""
    return float(curve.utility.max())


def qnc(curve: Curve, singles: SingleModels) -> float:
    """Return the quality-neutral cost (MMR-Bench 9).

    The smallest cost at which the router's frontier reaches the best single
    model's utility, over that model's cost; infinite if it never does. Where the
    best model is free, 1 if the router reaches it for nothing too.
    """
    reached = curve.cost[reaches(curve.utility, singles.utility[singles.best])]
    if len(reached) == 0:
        return float("inf")
    cost, reference = reached.min(), singles.cost[singles.best]
    if reference == 0:
        return 1.0 if cost == 0 else float("inf")
    return float(cost / reference)
