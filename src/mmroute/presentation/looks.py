"""How figures and charts look: their labels and colours, without a drawing library."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mmroute.evaluation.static import ZERO, ZERO_HINDSIGHT
from mmroute.storage import SHRUNK

COST_LABEL = "mean cost per query (1 = average call of the most expensive model)"
USD_LABEL = "USD per 1,000 queries"
ACCURACY_LABEL = "accuracy (mean utility)"
STATIC_LABELS = {ZERO: "zero (no router)", ZERO_HINDSIGHT: "zero in hindsight"}
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b4619c", "#a07a00")
"""Told apart with any colour vision, after Okabe and Ito (Color universal design, 2008); each
stands out from white and from near black."""
OTHERS = "#808890"
DASHES = ((), (7, 3))
MOST_NAMED, LEAST_NAMED = 3, 0.05
"""Models of which a share of the traffic is told, and the share from which on."""
_N_MIXED = 200
"""Costs at which a line of mixtures is drawn."""


@dataclass(frozen=True)
class Look:
    """Colour and dashes of a router's line; ``prominent``: whether it is one of the best."""

    colour: str
    dash: Sequence[int]
    prominent: bool


def looks(routers: Sequence[str], prominent: Collection[str]) -> dict[str, Look]:
    """How the line of each router looks: the prominent have a colour and dashes of their own.

    A row and that of its shrunk predictions look alike.
    """
    best = {router.removesuffix(SHRUNK) for router in prominent} - {"oracle"}
    rows = {router: router.removesuffix(SHRUNK) for router in routers}
    own = {
        router: Look(COLOURS[at % len(COLOURS)], DASHES[at // len(COLOURS) % len(DASHES)], True)
        for at, router in enumerate(dict.fromkeys(row for row in rows.values() if row in best))
    }
    own["oracle"] = Look("currentColor", (2, 3), True)
    return {router: own.get(row, Look(OTHERS, (), False)) for router, row in rows.items()}


def usd_per_1000(models: pd.DataFrame) -> float:
    """USD per 1,000 queries of a normalised cost of 1; of models that are all free as of one."""
    cost = models["cost"].sum()
    return float(1000 * (models["cost_usd"].sum() / cost if cost > 0 else 1.0))


def largest_shares(traffic: Sequence[float] | np.ndarray) -> list[tuple[int, float]]:
    """The models that get most of the traffic, by index, and their shares."""
    order = np.argsort(-np.asarray(traffic), kind="stable")[:MOST_NAMED]
    return [(int(model), float(traffic[model])) for model in order if traffic[model] >= LEAST_NAMED]


def as_mixed(
    cost: np.ndarray, utility: np.ndarray, end: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Add mixtures of neighbours to points by ascending cost.

    Their line is straight over cost, and so curved on a log axis.

    Parameters
    ----------
    cost, utility
        (M,) at least one point.
    end
        The largest cost; None: the last point's. Right of that the line is constant.
    """
    low, high = cost[0], cost[-1] if end is None else end
    if high <= low:
        return cost, utility
    between = np.geomspace(low if low > 0 else high * 1e-4, high, _N_MIXED)
    mixed = np.union1d(between, cost)
    return mixed, np.interp(mixed, cost, utility)
