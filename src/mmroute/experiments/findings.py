"""Findings: what an experiment measured, before it becomes a table.

A frame with key columns, then ``metric``, ``minus`` and ``replicates``, a (1 + B,) array
of the value and its resamples. ``minus`` is empty for a value, and names what was
subtracted for a paired difference.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mmroute.evaluation.bootstrap import curve_metrics, p_value
from mmroute.evaluation.bootstrap import difference as difference
from mmroute.evaluation.curve import Policy, steps_of
from mmroute.evaluation.metrics import Frontiers, SingleModels, nauc, peak_score, qnc
from mmroute.evaluation.static import static_line, static_metrics, static_models
from mmroute.predictions import Predictions
from mmroute.presentation.tables import over_salts, spread

METRICS = ("nauc", "peak_score", "qnc")
MEASURES = ("value", "low", "high", "p_value", "infinite", "undefined")


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
    for frame in findings:
        measured = pd.DataFrame(
            [
                spread(values) | {"p_value": p_value(values) if minus else np.nan}
                for values, minus in zip(frame["replicates"], frame["minus"], strict=True)
            ],
            columns=list(MEASURES),
            index=frame.index,
        )
        parts.append(pd.concat([frame.drop(columns="replicates"), measured], axis=1))
    every = pd.concat(parts, ignore_index=True)
    return over_salts(every, [column for column in every.columns if column not in MEASURES])


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


def zero(known: SingleModels, measured: SingleModels) -> dict[str, np.ndarray]:
    """Return ``nauc``, ``peak_score`` and ``qnc`` of the best static mixtures of models.

    Parameters
    ----------
    known
        The single models on the samples that choose: those that the router is trained on.
    measured
        The single models where the router is measured, under each weighting.

    Returns
    -------
    As the main table has its row ``zero``.
    """
    models = static_models(known, measured)
    metrics = static_metrics(measured, models, static_line(measured, models))
    return {metric: metrics[metric] for metric in METRICS}


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
