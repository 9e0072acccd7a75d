"""What bootstrap replicates tell: intervals, p-values, sets of the best (definitions, section 5).

Replicates are a (1 + B,) array: the value on the sample itself, then on its B resamples;
NaN where undefined.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from mmroute.evaluation.metrics import ROUNDING

CONFIDENCE = 0.95
SIGNIFICANCE = 0.05
_TRAININGS = 0
"""Seed of the draws that stand for other trainings."""


def interval(
    replicates: np.ndarray, atoms: bool = False, compared: bool = False
) -> tuple[float, float]:
    """The 95 % interval of a value.

    Bias-corrected percentiles (Efron 1981, "BC"): a frontier takes maxima, so that a metric
    of a resample sits above the metric of the sample, as this sits above the truth. The share
    of resamples below the sample's value measures by how much, and the percentiles are
    shifted by it. Where values repeat this share means nothing: plain percentiles.

    Of a difference both ends are at least as many standard errors away as the normal
    distribution has them. Where one of two equal routers is lucky, it is less so in resamples:
    a correction takes that for a bias and moves the interval further away from zero, and the
    few queries that it was lucky on give the resamples a short tail towards zero. An end that
    the correction puts beyond all resamples is as far from their median as the normal
    distribution has it, and of the resamples at most one in twenty lies beyond the end towards
    zero: so that zero is outside where ``p_value`` is below 0.05, and only there.

    Parameters
    ----------
    replicates
        Infinite ones keep their place in the order.
    atoms
        Whether values repeat, as ``Metric.atoms`` says; an infinite one always does.
    compared
        Whether it is the difference of two rows.

    Returns
    -------
    Lower and upper bound; NaN where the value or all resamples are undefined.
    """
    value, resamples = replicates[0], np.sort(replicates[1:][~np.isnan(replicates[1:])])
    if np.isnan(value) or len(resamples) == 0:
        return np.nan, np.nan
    plain = atoms or _infinite(replicates)
    shift = 0.0 if plain else 2 * _normal_score(resamples, value)
    scores = shift + ndtri([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    low, high = np.quantile(resamples, ndtr(scores), method="inverted_cdf")
    if compared and not plain:
        deviation, end = resamples.std(), ndtri(0.5 / len(resamples))
        reach = ndtri((1 + CONFIDENCE) / 2) * deviation
        least, most = np.quantile(resamples, [1 - CONFIDENCE, CONFIDENCE], method="inverted_cdf")
        low, high = min(low, value - reach), max(high, value + reach)
        low, high = (min(low, least), high) if value > 0 else (low, max(high, most))
        beyond = np.median(resamples) + scores * deviation
        low = min(low, beyond[0]) if scores[0] < end else low
        high = max(high, beyond[1]) if scores[1] > -end else high
    return float(low), float(high)


def interval_over(
    trainings: Sequence[np.ndarray], atoms: bool = False, compared: bool = False
) -> tuple[float, float]:
    """The 95 % interval of the mean over trainings, by ``over_trainings``.

    Plain percentiles correct no bias, and the mean over trainings is as biased as each of them
    while its spread shrinks: of one row's values that repeat, the interval is at least as wide
    as those of the trainings are on average. So its lower end is finite although one training
    never reaches what is asked.

    Parameters
    ----------
    trainings
        The replicates of each.
    atoms, compared
        As for ``interval``.
    """
    low, high = interval(over_trainings(trainings), atoms, compared)
    if atoms and not compared:
        lows, highs = zip(*(interval(own, atoms) for own in trainings), strict=True)
        low, high = min(low, np.mean(lows)), max(high, np.mean(highs))
    return float(low), float(high)


def difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """First less second; two infinite values, which never reach what is asked, are equal."""
    with np.errstate(invalid="ignore"):
        return np.where(np.isinf(first) & (first == second), 0.0, first - second)


def p_value(differences: np.ndarray, atoms: bool = False) -> float:
    """The two-sided p-value of a difference being zero.

    From the score z(0) - 2 z(d) of bias-corrected percentiles, z(x) the normal quantile of
    the share of resamples below x. Where all resamples are beyond zero, z(0) is the more
    extreme of that of half a resample and (0 - median) / sd, so that p falls as the effect
    grows. With atoms 2 min(P(d < 0) + P(d = 0) / 2, P(d > 0) + P(d = 0) / 2). It is at least
    that of d / sd, the share of resamples that contradict the value's sign, 1 where more than
    half do, and at least 2 / (B + 1).

    Parameters
    ----------
    differences
        The difference and its resamples.
    atoms
        As for ``interval``.
    """
    value, resamples = differences[0], np.sort(differences[1:][~np.isnan(differences[1:])])
    if np.isnan(value) or len(resamples) == 0:
        return np.nan
    if abs(value) <= ROUNDING:
        return 1.0
    if value < 0:
        value, resamples = -value, -resamples[::-1]
    size = len(resamples)
    below = np.searchsorted(resamples, -ROUNDING, side="left") / size
    upto = np.searchsorted(resamples, ROUNDING, side="right") / size
    if below > 0.5:
        return 1.0
    if atoms or _infinite(differences):
        p = 2 * min((below + upto) / 2, 1 - (below + upto) / 2)
    else:
        at_zero = _normal_score(resamples, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            middle, measured = np.array([-np.median(resamples), -value]) / resamples.std()
        if upto == 0:
            at_zero = min(at_zero, middle)
        p = 2 * ndtr(np.clip(at_zero - 2 * _normal_score(resamples, value), measured, 0.0))
    return float(max(p, below, 2 / (size + 1)))


def _infinite(replicates: np.ndarray) -> bool:
    return bool(np.isinf(replicates).any())


def _normal_score(resamples: np.ndarray, value: float) -> float:
    """The normal quantile of the share of sorted resamples below a value.

    Ties, up to rounding, count one half; the share stays half a resample away from 0 and 1.
    """
    below = np.searchsorted(resamples, value - ROUNDING, side="left")
    upto = np.searchsorted(resamples, value + ROUNDING, side="right")
    size = len(resamples)
    return float(ndtri(np.clip((below + upto) / 2, 0.5, size - 0.5) / size))


def p_best(
    replicates: Mapping[str, np.ndarray], lower_is_better: bool = False, atoms: bool = False
) -> dict[str, float]:
    """For each of R routers the p-value of none of the others being better.

    Comparisons with the best (Hsu 1981): the largest of the others' differences in standard
    errors, max_j (x_j - x_i) / s.e._ij, against its centred bootstrap. Those with p >= 0.05
    are the set of the best: it holds any one that is truly as good as the best in 95 % of
    all samples, whatever the others are.

    Parameters
    ----------
    replicates
        Router to its replicates, of the same resamples. One without a value or without
        resamples is compared with nothing, and has NaN.
    lower_is_better, atoms
        As of ``Metric``. Values that repeat or are infinite are compared by their arctangent.
    """
    told = {
        name: -own if lower_is_better else own
        for name, own in replicates.items()
        if not np.isnan(own[0]) and not np.isnan(own[1:]).all()
    }
    p = dict.fromkeys(replicates, np.nan)
    if not told:
        return p
    values = np.stack(list(told.values()))
    if atoms or np.isinf(values).any():
        values = np.arctan(values)
    for name, own in zip(told, values, strict=True):
        ahead = values - own
        error = np.nanstd(ahead[:, 1:], axis=1)
        compared = error > ROUNDING
        if (ahead[~compared, 0] > ROUNDING).any():
            p[name] = 1 / ahead.shape[1]
            continue
        if not (ahead[compared, 0] > 0).any():
            p[name] = 1.0
            continue
        scores = ahead[compared] / error[compared, None]
        centred = scores[:, 1:] - scores[:, :1]
        worst = np.max(np.where(np.isnan(centred), -np.inf, centred), axis=0)
        p[name] = float((1 + (worst >= scores[:, 0].max()).sum()) / (1 + len(worst)))
    return p


def over_trainings(replicates: Sequence[np.ndarray]) -> np.ndarray:
    """What S trainings, each measured on its own test split, tell together.

    The splits' resamples are of the same draws, so their mean varies as the mean of the
    trainings does over evaluation samples. How far the values of the trainings lie apart
    beyond what the resamples hold is the trainings' own variance. Other trainings are drawn
    from it, with as few degrees of freedom as there are (Student's t with S - 1, those beyond
    its own 95 % interval at its ends, as a bias correction reads far into the tails), and
    their mean is added to the resamples.

    Parameters
    ----------
    replicates
        Of each training; one as it is.

    Returns
    -------
    The mean, and its resamples.
    """
    own = np.stack(list(replicates))
    n_trainings = len(own)
    with np.errstate(invalid="ignore"):
        mean = own.mean(axis=0)
        apart = own - mean
        between = (apart[:, 0] ** 2).sum() / max(n_trainings - 1, 1)
        if n_trainings == 1 or not np.isfinite(between) or between <= ROUNDING**2:
            return mean
        held = (own[:, 1:] - own[:, :1]).var(axis=0, ddof=1)
    beyond = between - np.nanmean(held) if np.isfinite(held).any() else between
    if not beyond > 0:
        return mean
    generator = np.random.default_rng(_TRAININGS)
    freedom = n_trainings - 1
    drawn = generator.standard_normal((len(mean) - 1, n_trainings)) @ apart[:, 0]
    drawn /= np.sqrt(between * generator.chisquare(freedom, len(drawn)))
    end = stdtrit(freedom, (1 + CONFIDENCE) / 2)
    mean[1:] += np.clip(drawn, -end, end) * np.sqrt(beyond / n_trainings)
    return mean
