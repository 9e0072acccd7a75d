"""Evaluation of predictions on every slice of a benchmark: metrics, frontiers, calibration."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmroute.benchmark import Benchmark
from mmroute.bootstrap import (
    CurveReplicates,
    Points,
    curve_replicates,
    interval,
    measure_curve,
    resample_weights,
    weightings,
)
from mmroute.curve import Curve, Policy, Steps, frontier, steps_of, trace, training_frontier
from mmroute.errors import InputError
from mmroute.metrics import ROUNDING, SingleModels, reaches, single_models
from mmroute.outcomes import OutcomeTable
from mmroute.policy_metrics import (
    CalibrationSums,
    PolicySums,
    auroc,
    binned_auroc,
    calibration_sums,
    equal_mass_cuts,
    of_chosen,
    policy_sums,
)
from mmroute.predictions import Predictions
from mmroute.shards import (
    Sharded,
    Sums,
    accumulate,
    add_up,
    cut,
    point_sums,
    single_blocks,
    sum_files,
)

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
    measured = _Measured(setting.unit, table.model_names)
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
        for trial, u_hat, all_steps in trials:
            steps = all_steps.take(rows)
            best = frontier(trace(steps, utility, part_cost, setting.policy))
            curve = curve_replicates(steps, utility, part_cost, own, singles, chosen, start)
            measured.add_curve(part.name, trial, best, curve)
            for point, parameter in operating_points(best, singles).items():
                choice = steps.choices(parameter)
                predicted = of_chosen(u_hat[rows], choice)
                cuts = equal_mass_cuts(predicted)
                policy = policy_sums(choice, predicted, utility, part_cost, own, cuts)
                measured.add_policy(part.name, point, policy)
                if part.level == "full" and trial == 0:
                    bins = calibration_sums(choice, predicted, utility, own, cuts)
                    measured.add_calibration(point, bins)
            if trial == 0:
                measured.add(part.name, "", {"auroc": auroc(u_hat[rows], utility, own)})
    return measured.evaluation()


@dataclass
class _Measured:
    """What was measured so far of one router, slice by slice.

    Attributes
    ----------
    unit
        USD of a normalised cost of 1.
    model_names
        Names of the K models.
    """

    unit: float
    model_names: Sequence[str]
    _sums: dict[tuple[str, str, str], np.ndarray] = field(default_factory=dict)
    _trials: dict[tuple[str, str, str], int] = field(default_factory=dict)
    _frontiers: list[pd.DataFrame] = field(default_factory=list)
    _bands: list[pd.DataFrame] = field(default_factory=list)
    _calibration: list[pd.DataFrame] = field(default_factory=list)

    def add(self, name: str, point: str, metrics: Mapping[str, np.ndarray]) -> None:
        """Add one trial's (1 + B,) values of some metrics of a slice."""
        for metric, values in metrics.items():
            key = name, point, metric
            self._sums[key] = self._sums[key] + values if key in self._sums else values
            self._trials[key] = self._trials.get(key, 0) + 1

    def add_curve(self, name: str, trial: int, best: Curve, curve: CurveReplicates) -> None:
        """Add the frontier of a slice and the metrics of its curve."""
        self._frontiers.append(_frontier_frame(name, trial, best, self.unit))
        self.add(name, "", curve.metrics)
        self.add(name, "", _majorant_metrics(curve))
        if trial == 0:
            band = {"cost": curve.band_cost, "low": curve.band_low, "high": curve.band_high}
            self._bands.append(pd.DataFrame({"dataset": name, **band}))

    def add_policy(self, name: str, point: str, policy: PolicySums) -> None:
        """Add the metrics of an operating point of a slice."""
        metrics = policy.metrics()
        metrics["cost_usd"] = metrics["cost"] * self.unit
        shares = zip(self.model_names, policy.traffic().T, strict=True)
        self.add(name, point, metrics | {f"traffic {model}": share for model, share in shares})

    def add_calibration(self, point: str, sums: CalibrationSums) -> None:
        """Add the calibration at an operating point of all samples."""
        self._calibration.append(_calibration_frame(point, sums.bins()))

    def evaluation(self) -> Evaluation:
        """Return all of it, the metrics as means over the trials."""
        names = list(dict.fromkeys(name for name, _, _ in self._sums))
        by_slice = sorted(self._sums, key=lambda key: names.index(key[0]))
        return Evaluation(
            _replicates_frame(
                [
                    (_level(name), name, point, metric, self._sums[key] / self._trials[key])
                    for key in by_slice
                    for name, point, metric in [key]
                ]
            ),
            *(
                pd.concat(frames, ignore_index=True)
                for frames in (self._frontiers, self._bands, self._calibration)
            ),
        )


def _majorant_metrics(curve: CurveReplicates) -> dict[str, np.ndarray]:
    names = "area", "end_cost", "end_utility"
    return {f"majorant_{name}": getattr(curve.majorant, name) for name in names}


def _level(name: str) -> str:
    return "full" if name == "full" else "dataset"


def gather(
    sharded: Sharded,
    folders: Sequence[Path],
    cuts: pd.DataFrame,
    point_folders: Sequence[Path],
) -> Evaluation:
    """Measure a router on every slice of a large benchmark, from the sums of its shards.

    Parameters
    ----------
    sharded
        What to measure with.
    folders
        Of each shard, with the files of ``shards.sum_shard``.
    cuts
        As from ``gather_points``.
    point_folders
        Of each shard, with the files of ``shards.sum_points``.

    Returns
    -------
    As from ``evaluate``, with operating curves on the grid and ``auroc`` over its bins.
    """
    measured, points = _gather_curves(sharded, folders)
    for trial, asked in cuts.groupby("trial"):
        found = {
            (own.slice, own.parameter): sums
            for own, sums in zip(
                asked.itertuples(),
                point_sums(sharded, point_folders, trial, asked.index),
                strict=True,
            )
        }
        for name, own_points in points[trial].items():
            for point, parameter in own_points.items():
                policy, calibration = found[name, parameter]
                measured.add_policy(name, point, policy)
                if calibration is not None:
                    measured.add_calibration(point, calibration)
    return measured.evaluation()


def gather_points(sharded: Sharded, folders: Sequence[Path], predictions: Path) -> pd.DataFrame:
    """Return the operating points of a router on a large benchmark, as ``shards.cut`` does.

    Parameters
    ----------
    sharded, folders
        As for ``gather``.
    predictions
        File of the router's predictions of the evaluation samples.
    """
    _, points = _gather_curves(sharded, folders)
    return cut(
        sharded,
        predictions,
        {
            trial: {name: sorted(set(own.values())) for name, own in by_slice.items()}
            for trial, by_slice in points.items()
        },
    )


_OperatingPoints = dict[int, dict[str, dict[str, float]]]
"""By trial, slice and name: the parameter of each operating point."""


def _gather_curves(sharded: Sharded, folders: Sequence[Path]) -> tuple[_Measured, _OperatingPoints]:
    measured = _Measured(sharded.empty.unit, sharded.empty.table.model_names)
    trained = {name: sum_files(sharded, folders, name, "train") for name in sharded.trained}
    everything = reduce(add, trained.values())
    points: _OperatingPoints = {}
    for name, own in _slice_sums(sharded, folders):
        singles = _singles(own.values)
        # As in ``_training_rows``.
        known = trained.get(name, everything)
        chosen = np.searchsorted(own.threshold, frontier(known.curve(0)).threshold)
        start = _singles(known.values).cheapest[0]
        for trial in range(len(own.values["cost"])):
            best = frontier(own.curve(trial))
            curve = measure_curve(_points(own, trial), singles, chosen, start)
            measured.add_curve(name, trial, best, curve)
            points.setdefault(trial, {})[name] = operating_points(best, singles)
        areas = binned_auroc(own.values["successes"], own.values["failures"])
        measured.add(name, "", {"auroc": areas})
    return measured, points


def _slice_sums(sharded: Sharded, folders: Sequence[Path]) -> Iterator[tuple[str, Sums]]:
    """Yield the sums of each data set, one at a time, and then of all of them."""
    full = None
    for name in sharded.sizes:
        own = sum_files(sharded, folders, name, "test")
        full = own if full is None else full + own
        yield name, own
    yield "full", full


def _singles(sums: Mapping[str, np.ndarray]) -> SingleModels:
    with np.errstate(invalid="ignore"):
        return SingleModels(
            *((sums[f"single_{name}"] / sums["single_count"]).T for name in ("cost", "utility"))
        )


def _points(sums: Sums, trial: int) -> Iterator[Points]:
    cost, utility = sums.means(trial)
    for rows in weightings(cost.shape[1], len(cost)):
        yield rows, cost[:, rows].T, utility[:, rows].T


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
        observed = np.isfinite(utility)
        models.append(
            _singles_frame(
                part.name, table.model_names, singles, observed.sum(axis=0), len(observed), unit
            )
        )
        best = int(singles.best[0])
        kept = observed[:, best]
        curve = curve_replicates(
            _constant(best, int(kept.sum())),
            utility[kept],
            part_cost[kept],
            own[:, kept],
            singles,
            np.zeros(1),
            int(singles.cheapest[0]),
        )
        replicates += _single_rows(part.name, curve)
    return _replicates_frame(replicates), pd.concat(models, ignore_index=True)


def gather_singles(sharded: Sharded) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure every single model of a large benchmark, shard by shard, as ``evaluate_singles``."""
    sums: dict[str, dict[str, np.ndarray]] = {name: {} for name in (*sharded.sizes, "full")}
    for shard in sharded:
        for dataset, rows in shard.datasets.items():
            blocks = single_blocks(shard.utility[rows], shard.cost[rows])
            for name, more in add_up(blocks, shard.weights(dataset)).items():
                accumulate(sums[dataset], name, more)
                accumulate(sums["full"], name, more)
    unit, model_names = sharded.empty.unit, sharded.empty.table.model_names
    replicates, models = [], []
    for name, own in sums.items():
        singles = _singles(own)
        count, size = own["single_count"][:, 0], int(own["n_samples"][0, 0])
        models.append(_singles_frame(name, model_names, singles, count, size, unit))
        best = singles.best[:1]
        curve = measure_curve(
            [(slice(None), singles.cost[:, best], singles.utility[:, best])],
            singles,
            np.zeros(1, int),
            int(singles.cheapest[0]),
        )
        replicates += _single_rows(name, curve)
    return _replicates_frame(replicates), pd.concat(models, ignore_index=True)


def _singles_frame(
    name: str,
    model_names: Sequence[str],
    singles: SingleModels,
    count: np.ndarray,
    size: int,
    unit: float,
) -> pd.DataFrame:
    utility_bounds = np.array([interval(column) for column in singles.utility.T])
    cost_bounds = np.array([interval(column) for column in singles.cost.T]) * unit
    return pd.DataFrame(
        {
            "dataset": name,
            "model": model_names,
            "utility": singles.utility[0],
            "utility_low": utility_bounds[:, 0],
            "utility_high": utility_bounds[:, 1],
            "cost": singles.cost[0],
            "cost_usd": singles.cost[0] * unit,
            "cost_usd_low": cost_bounds[:, 0],
            "cost_usd_high": cost_bounds[:, 1],
            "coverage": count / size,
            "samples": size,
        }
    )


def _single_rows(name: str, curve: CurveReplicates) -> list[tuple[str, str, str, str, np.ndarray]]:
    metrics = {
        metric: values for metric, values in curve.metrics.items() if not metric.endswith("_honest")
    }
    return [
        (_level(name), name, "", metric, values)
        for metric, values in (metrics | _majorant_metrics(curve)).items()
    ]


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
