"""The rank score, which routers train by and evaluation reports (VL-RouterBench, RouterArena)."""

import numpy as np

RANK_BETA = 0.1


def cost_range(single_cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ends c_min and c_max of the rank score's scale of costs.

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
    """The rank score of operating points, in 0 ... 100 (VL-RouterBench, RouterArena).

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
