"""Findings: what an experiment measured, before it becomes a table.

A frame with key columns, then ``metric``, ``minus`` and ``replicates``, a (1 + B,) array
of the value and its resamples. ``minus`` is empty for a value, and names what was
subtracted for a paired difference.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mmroute.evaluation.bootstrap import curve_metrics, curve_replicates
from mmroute.evaluation.curve import Policy, frontier, steps_of, trace
from mmroute.evaluation.inference import difference as difference
from mmroute.evaluation.inference import over_trainings, p_value
from mmroute.evaluation.measured import choose
from mmroute.evaluation.metrics import Frontiers, SingleModels, nauc, peak_score, row_range
from mmroute.evaluation.static import static_line, static_metrics, static_models, static_peak
from mmroute.predictions import Predictions
from mmroute.presentation.tables import over_salts, record_of, spread

METRICS = ("nauc", "peak_score", "qnc")
HONEST = ("nauc_honest", "peak_score_honest")
"""Of points that were chosen on other samples."""


def summarise(findings: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Turn the findings of each salt into values with intervals, of all salts together.

    Returns
    -------
    The key columns, ``metric``, ``minus``; ``value``, ``low``, ``high``: the 95 %
    interval; ``p_value``: two-sided, that a difference is zero, empty for a value;
    ``infinite``, ``undefined``: shares of the resamples; ``salt_sd``: standard
    deviation over the salts, empty for a single one; ``salts``.
    """
    every = pd.concat(findings, ignore_index=True)
    keys = [column for column in every if column != "replicates"]
    rows = []
    for key, own in every.groupby(keys, sort=False, dropna=False)["replicates"]:
        told = dict(zip(keys, key, strict=True))
        atoms, compared = record_of(str(told["metric"])).atoms, bool(told["minus"])
        tested = {"p_value": p_value(over_trainings([*own]), atoms) if compared else np.nan}
        rows.append(told | spread([*own], atoms, compared) | tested | over_salts([*own]))
    measures = ["value", "low", "high", "p_value", "infinite", "undefined", "salt_sd", "salts"]
    return pd.DataFrame(rows, columns=[*keys, *measures])


def best_single(singles: SingleModels) -> dict[str, np.ndarray]:
    """Return ``nauc``, ``peak_score`` and ``qnc`` of always taking the best single model.

    In a resample it stays the model that was best on the sample; what compares it with itself
    has no resamples.
    """
    model = int(singles.best[0])
    rows = np.arange(len(singles.cost))
    own = Frontiers(rows, singles.cost[:, model], singles.utility[:, model], len(rows))
    return {
        "nauc": nauc(own, singles),
        "peak_score": peak_score(own),
        "qnc": np.ones(1),
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
    As the main table has its row ``zero``; ``HONEST`` too.
    """
    models = static_models(known, measured)
    metrics = static_metrics(measured, models, static_line(measured, models))
    honest = metrics["nauc"], static_peak(measured, models)
    return {metric: metrics[metric] for metric in METRICS} | dict(zip(HONEST, honest, strict=True))


def measure(
    settings: Sequence[Predictions],
    utility: np.ndarray,
    cost: np.ndarray,
    weights: np.ndarray,
    singles: SingleModels,
    policy: Policy,
    metrics: Sequence[str] = METRICS,
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
    metrics
        Some of those of ``curve_metrics``.

    Returns
    -------
    The metrics, (1 + B,) each: means over the trials.
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
    return {metric: np.mean([own[metric] for own in trials], axis=0) for metric in metrics}


def measure_elsewhere(
    held: tuple[Predictions, np.ndarray, np.ndarray],
    known: SingleModels,
    predictions: Predictions,
    utility: np.ndarray,
    cost: np.ndarray,
    weights: np.ndarray,
    singles: SingleModels,
    policy: Policy,
) -> dict[str, np.ndarray]:
    """Measure a router on other samples than those that chose its operating points.

    Parameters
    ----------
    held
        Its predictions, and (n, K) utility and normalised cost, of samples that neither trained
        it nor measure it: their frontier chooses the points.
    known
        The single models on the samples that it was trained on.
    predictions, utility, cost, weights, singles, policy
        As for ``measure``.

    Returns
    -------
    ``METRICS`` and ``HONEST``, (1 + B,) each: means over the trials.
    """
    chooser, held_utility, held_cost = held
    observed, held_observed = np.isfinite(utility), np.isfinite(held_utility)
    trials, rows = [], row_range(utility, cost, weights)
    for trial in range(len(predictions.u_hat)):
        told = steps_of(chooser, trial, held_observed, policy)
        best = frontier(trace(told, held_utility, chooser.paid(held_cost), policy))
        own = curve_replicates(
            steps_of(predictions, trial, observed, policy),
            utility,
            predictions.paid(cost),
            weights,
            singles,
            choose(best, best.threshold, known, singles),
            rows,
        )
        trials.append(own.metrics)
    return {
        metric: np.mean([own[metric] for own in trials], axis=0) for metric in (*METRICS, *HONEST)
    }
