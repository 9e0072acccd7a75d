"""Evaluation of predictions on every slice of a benchmark: metrics, frontiers, calibration."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmroute.benchmark import Benchmark
from mmroute.bootstrap import curve_replicates, interval, resample_weights
from mmroute.curve import Curve, Policy, Steps, frontier, steps_of, trace, training_frontier
from mmroute.errors import InputError
from mmroute.metrics import ROUNDING, SingleModels, reaches, single_models
from mmroute.outcomes import OutcomeTable
from mmroute.policy_metrics import auroc, calibration_bins, measure_policy, traffic
from mmroute.predictions import Predictions

POINTS = ("peak", "parity", "half_cost")
"""Named operating points (definitions, section 5)."""


@dataclass(frozen=True)
class Evaluation:
    """What was measured of one router under one split.

    Attributes
    ----------
    replicates
        ``level``, ``dataset``, ``point`` (one of ``POINTS``, empty for a metric of
        the whole curve), ``metric``, ``replicates``: the value, then its resamples.
    frontiers
        ``dataset``, ``trial``, ``cost`` (normalised), ``cost_usd``, ``utility``,
        ``threshold``: the points of each frontier.
    bands
        ``dataset``, ``cost``, ``low``, ``high``: confidence band of each frontier.
    calibration
        ``point``, ``predicted``, ``observed``, ``low``, ``high``, ``samples``: means
        over equal-mass bins of the chosen model's predicted utility, on all samples.
    """

    replicates: pd.DataFrame
    frontiers: pd.DataFrame
    bands: pd.DataFrame
    calibration: pd.DataFrame


@dataclass(frozen=True)
class Slice:
    """Some evaluation samples that are measured together.

    Attributes
    ----------
    level
        ``dataset``, or ``full`` for all of them.
    name
        The data set, or ``full``.
    rows
        Indices into the evaluation samples.
    """

    level: str
    name: str
    rows: np.ndarray


def slices(samples: pd.DataFrame) -> Iterator[Slice]:
    """Yield each data set in order of first appearance, then ``full``."""
    for dataset, rows in samples.groupby("dataset", sort=False).indices.items():
        yield Slice("dataset", dataset, rows)
    yield Slice("full", "full", np.arange(len(samples)))


@dataclass(frozen=True)
class Setting:
    """What all routers of one split are measured with.

    Attributes
    ----------
    table
        Outcomes of the evaluation samples.
    training
        Outcomes of the training samples.
    unit
        USD of a normalised cost of 1.
    policy
        Policy family of the operating curve.
    n_resamples, seed
        The bootstrap's.
    """

    table: OutcomeTable
    training: OutcomeTable
    unit: float
    policy: Policy
    n_resamples: int
    seed: int

    @classmethod
    def read(cls, outcomes: Path, splits: Path, salt: str, **how: Any) -> "Setting":
        """Read the stored benchmark; ``how`` holds ``policy``, ``n_resamples`` and ``seed``."""
        benchmark = Benchmark.read(outcomes, splits, salt)
        return cls(benchmark.test, benchmark.train, benchmark.unit, **how)

    def weights(self) -> np.ndarray:
        """Return the (1 + B, N) weights, the same for every router."""
        return resample_weights(self.table.samples["dataset"], self.n_resamples, self.seed)


def evaluate(setting: Setting, predictions: Predictions, crossfit: Predictions) -> Evaluation:
    """Measure a router on every slice, each metric with its resamples.

    Parameters
    ----------
    setting
        What to measure with.
    predictions
        Of the evaluation samples, in order.
    crossfit
        Of the training samples, each by a router trained without it.

    Returns
    -------
    Metrics are means over the trials of a router that draws; its ``auroc``, band and
    calibration are the first trial's.

    Raises
    ------
    InputError
        If the predictions are not of these samples.
    """
    table, training = setting.table, setting.training
    _require_same(predictions, table)
    _require_same(crossfit, training)
    weights = setting.weights()
    cost, training_cost = table.cost / setting.unit, training.cost / setting.unit
    observed = np.isfinite(table.utility)
    trials = [
        (trial, u_hat, steps_of(predictions, trial, observed, setting.policy))
        for trial, u_hat in enumerate(predictions.u_hat)
    ]
    paid = predictions.paid(cost)
    replicates, frontiers, bands, calibration = [], [], [], []
    for part, trained in zip(slices(table.samples), _training_rows(setting), strict=True):
        rows = part.rows
        utility, part_cost, own = table.utility[rows], paid[rows], weights[:, rows]
        singles = single_models(utility, cost[rows], own)
        chosen = training_frontier(
            crossfit.take(trained),
            training.utility[trained],
            training_cost[trained],
            setting.policy,
        ).threshold
        start = single_models(training.utility[trained], training_cost[trained]).cheapest[0]
        measured: list[dict[tuple[str, str], np.ndarray]] = []
        for trial, u_hat, all_steps in trials:
            steps = all_steps.take(rows)
            best = frontier(trace(steps, utility, part_cost, setting.policy))
            frontiers.append(_frontier_frame(part.name, trial, best, setting.unit))
            curve = curve_replicates(steps, utility, part_cost, own, singles, chosen, start)
            values = {("", name): value for name, value in curve.metrics.items()}
            for name in ("area", "end_cost", "end_utility"):
                values["", f"majorant_{name}"] = getattr(curve.majorant, name)
            for point, parameter in operating_points(best, singles).items():
                choice = steps.choices(parameter)
                metrics = measure_policy(choice, u_hat[rows], utility, part_cost, own)
                metrics["cost_usd"] = metrics["cost"] * setting.unit
                shares = traffic(choice, len(table.models), own).T
                metrics |= {
                    f"traffic {model}": share
                    for model, share in zip(table.model_names, shares, strict=True)
                }
                values |= {(point, name): value for name, value in metrics.items()}
                if part.level == "full" and trial == 0:
                    bins = calibration_bins(choice, u_hat[rows], utility, own)
                    calibration.append(_calibration_frame(point, bins))
            measured.append(values)
            if trial == 0:
                band = {"cost": curve.band_cost, "low": curve.band_low, "high": curve.band_high}
                bands.append(pd.DataFrame({"dataset": part.name, **band}))
                values["", "auroc"] = auroc(u_hat[rows], utility, own)
        for point, metric in dict.fromkeys(key for values in measured for key in values):
            known = [values[point, metric] for values in measured if (point, metric) in values]
            mean = np.mean(known, axis=0)
            replicates.append((part.level, part.name, point, metric, mean))
    return Evaluation(
        _replicates_frame(replicates),
        pd.concat(frontiers, ignore_index=True),
        pd.concat(bands, ignore_index=True),
        pd.concat(calibration, ignore_index=True),
    )


def operating_points(best: Curve, singles: SingleModels) -> dict[str, float]:
    """Return the parameter value of each named operating point that the frontier has.

    ``peak`` is the frontier's last point; ``parity`` the cheapest that reaches the
    best single model's utility; ``half_cost`` the most accurate one at no more than
    half of that model's cost. The single models' first row is the sample itself.
    """
    cost, utility = (float(values[0]) for values in singles.of(singles.best))
    points = {"peak": float(best.threshold[-1])}
    parity = np.flatnonzero(reaches(best.utility, utility))
    if len(parity):
        points["parity"] = float(best.threshold[parity[0]])
    affordable = np.flatnonzero(best.cost <= cost / 2 + ROUNDING)
    if len(affordable):
        points["half_cost"] = float(best.threshold[affordable[-1]])
    return points


def _require_same(predictions: Predictions, table: OutcomeTable) -> None:
    if not np.array_equal(predictions.sample_ids, table.samples["sample_id"]):
        raise InputError(
            "the predictions are of other samples than the outcome table's split; "
            "delete the router's folder and run again"
        )


def _training_rows(setting: Setting) -> Iterator[np.ndarray]:
    """Yield the training rows of each evaluation slice's data set, then all."""
    by_dataset = setting.training.samples.groupby("dataset", sort=False).indices
    for part in slices(setting.table.samples):
        everything = np.arange(len(setting.training.samples))
        # A data set whose training samples were all left out borrows the others' choice.
        yield by_dataset.get(part.name, everything) if part.level == "dataset" else everything


def evaluate_singles(setting: Setting) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure every single model on every slice, and the best one as if it were a router.

    Returns
    -------
    replicates
        Of the best single model of each slice, as from ``evaluate``. In a resample it
        stays the model that was best on the sample.
    models
        ``dataset``, ``model``, ``utility``, ``cost``, ``cost_usd``, ``coverage``,
        ``samples`` and the bounds ``utility_low``, ``utility_high``,
        ``cost_usd_low``, ``cost_usd_high``: means over the samples on which the
        model was observed.
    """
    table, unit = setting.table, setting.unit
    weights = setting.weights()
    cost = table.cost / unit
    replicates, models = [], []
    for part in slices(table.samples):
        utility, part_cost = table.utility[part.rows], cost[part.rows]
        own = weights[:, part.rows]
        singles = single_models(utility, part_cost, own)
        utility_bounds = np.array([interval(column) for column in singles.utility.T])
        cost_bounds = np.array([interval(column) for column in singles.cost.T]) * unit
        models.append(
            pd.DataFrame(
                {
                    "dataset": part.name,
                    "model": table.model_names,
                    "utility": singles.utility[0],
                    "utility_low": utility_bounds[:, 0],
                    "utility_high": utility_bounds[:, 1],
                    "cost": singles.cost[0],
                    "cost_usd": singles.cost[0] * unit,
                    "cost_usd_low": cost_bounds[:, 0],
                    "cost_usd_high": cost_bounds[:, 1],
                    "coverage": np.isfinite(utility).mean(axis=0),
                    "samples": len(part.rows),
                }
            )
        )
        best = int(singles.best[0])
        steps = _constant(best, len(part.rows))
        kept = np.isfinite(utility[:, best])
        curve = curve_replicates(
            steps.take(np.flatnonzero(kept)),
            utility[kept],
            part_cost[kept],
            own[:, kept],
            singles,
            np.zeros(1),
            int(singles.cheapest[0]),
        )
        for metric, values in curve.metrics.items():
            if not metric.endswith("_honest"):
                replicates.append((part.level, part.name, "", metric, values))
        for name in ("area", "end_cost", "end_utility"):
            values = getattr(curve.majorant, name)
            replicates.append((part.level, part.name, "", f"majorant_{name}", values))
    return _replicates_frame(replicates), pd.concat(models, ignore_index=True)


def _constant(model: int, n_samples: int) -> Steps:
    none = np.empty(0, np.int32)
    return Steps(np.full(n_samples, model, np.int32), np.empty(0), none, none, none)


def _replicates_frame(rows: list[tuple[str, str, str, str, np.ndarray]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["level", "dataset", "point", "metric", "replicates"])


def _frontier_frame(dataset: str, trial: int, best: Curve, unit: float) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "dataset": dataset,
            "trial": trial,
            "cost": best.cost,
            "cost_usd": best.cost * unit,
            "utility": best.utility,
            "threshold": best.threshold,
        }
    )


def _calibration_frame(point: str, bins: dict[str, np.ndarray]) -> pd.DataFrame:
    bounds = np.array([interval(values) for values in bins["observed"].T])
    return pd.DataFrame(
        {
            "point": point,
            "predicted": bins["predicted"][0],
            "observed": bins["observed"][0],
            "low": bounds[:, 0],
            "high": bounds[:, 1],
            "samples": bins["samples"][0].astype(int),
        }
    )
