"""Findings: what an experiment measured, before it becomes a table.

A frame with key columns, then ``metric``, ``minus`` and ``replicates``, a (1 + B,) array
of the value and its resamples. ``minus`` is empty for a value, and names what was
subtracted for a paired difference.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mmroute.evaluation.bootstrap import curve_metrics, interval, p_value
from mmroute.evaluation.curve import Policy, steps_of
from mmroute.evaluation.metrics import Frontiers, SingleModels, nauc, peak_score, qnc
from mmroute.predictions import Predictions

METRICS = ("nauc", "peak_score", "qnc")
MEASURES = ("value", "low", "high", "p_value", "infinite", "undefined")


def difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return first - second; two infinite values, which never reach parity, are equal."""
    with np.errstate(invalid="ignore"):
        return np.where(np.isposinf(first) & np.isposinf(second), 0.0, first - second)


def summarise(findings: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Turn the findings of each salt into values with intervals, averaged over the salts.

    Returns
    -------
    The key columns, ``metric``, ``minus``; ``value``, ``low``, ``high``: the 95 %
    interval; ``p_value``: two-sided, that a difference is zero, empty for a value;
    ``infinite``, ``undefined``: shares of the resamples; ``salt_sd``: standard
    deviation over the salts, empty for a single one; ``salts``.
    """
    parts = []
    for one in findings:
        rows = [
            (
                values[0],
                *interval(values),
                p_value(values) if minus else np.nan,
                np.isinf(values[1:]).mean(),
                np.isnan(values[1:]).mean(),
            )
            for values, minus in zip(one["replicates"], one["minus"], strict=True)
        ]
        measured = pd.DataFrame(rows, columns=list(MEASURES), index=one.index)
        parts.append(pd.concat([one.drop(columns="replicates"), measured], axis=1))
    frame = pd.concat(parts, ignore_index=True)
    keys = [column for column in frame if column not in MEASURES]
    grouped = frame.groupby(keys, sort=False, dropna=False)
    table = grouped[list(MEASURES)].mean()
    spread = grouped["value"].std()
    table["salt_sd"] = spread.where(np.isfinite(spread))
    table["salts"] = grouped.size()
    return table.reset_index()


def best_single(singles: SingleModels) -> dict[str, np.ndarray]:
    """Return ``nauc``, ``peak_score`` and ``qnc`` of always taking the best single model.

    In a resample it stays the model that was best on the sample.
    """
    model = int(singles.best[0])
    rows = np.arange(len(singles.cost))
    own = Frontiers(rows, singles.cost[:, model], singles.utility[:, model], len(rows))
    return {
        "nauc": nauc(own, singles),
        "peak_score": peak_score(own),
        "qnc": qnc(own, singles),
    }


def measure(
    settings: Sequence[Predictions],
    utility: np.ndarray,
    cost: np.ndarray,
    weights: np.ndarray,
    singles: SingleModels,
    policy: Policy,
) -> dict[str, np.ndarray]:
    """Measure the joint frontier of one router's predictions under several settings.

    Parameters
    ----------
    settings
        Predictions of the same N samples; the decisions themselves cost the same.
    utility, cost, weights, singles
        As for ``mmroute.evaluation.bootstrap.curve_metrics``.
    policy
        Policy family of the operating curves.

    Returns
    -------
    ``nauc``, ``peak_score`` and ``qnc``, (1 + B,) each: means over the trials.
    """
    observed = np.isfinite(utility)
    paid = settings[0].paid(cost)
    trials = [
        curve_metrics(
            [steps_of(own, trial, observed, policy) for own in settings],
            utility,
            paid,
            weights,
            singles,
        )
        for trial in range(len(settings[0].u_hat))
    ]
    return {metric: np.mean([own[metric] for own in trials], axis=0) for metric in METRICS}
