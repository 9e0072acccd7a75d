"""A metric of a whole curve: what its most accurate point costs."""

import numpy as np

from mmroute.evaluation.metrics import CurveMetric, WeightedCurve


def peak_cost(curve: WeightedCurve) -> np.ndarray:
    """(B,) costs of the most accurate point, as shares of the best single model's."""
    peak = [points.stop - 1 for points in curve.frontier.by_row()]
    cost, _ = curve.singles.of(curve.singles.best)
    return curve.frontier.cost[peak] / cost


PEAK_COST = CurveMetric(
    name="peak_cost",
    title="Cost of the most accurate point (share of the best single model's)",
    measure=peak_cost,
    lower_is_better=True,
)
