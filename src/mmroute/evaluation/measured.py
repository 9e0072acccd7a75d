"""What is measured of one router or model, slice by slice, however its curves were made."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from mmroute.evaluation.bootstrap import (
    CurveReplicates,
    interval,
)
from mmroute.evaluation.curve import Curve
from mmroute.evaluation.metrics import (
    BEST_SINGLE,
    CURVE_METRICS,
    ROUNDING,
    SingleModels,
    reaches,
)
from mmroute.evaluation.policy_metrics import (
    CalibrationSums,
    PolicySums,
)
from mmroute.evaluation.static import (
    ZERO,
    ZERO_HINDSIGHT,
    static_line,
    static_metrics,
    static_models,
    static_peak,
)

POINTS = ("peak", "parity", "half_cost")
"""Named operating points (definitions, section 5)."""


@dataclass(frozen=True)
class Evaluation:
    """What was measured of one router under one split.

    Attributes
    ----------
    replicates
        ``level``, ``dataset`` (the slice's name), ``point`` (one of ``POINTS``, empty for a
        metric of the whole curve), ``metric``, ``replicates``: the value, then its resamples.
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


@dataclass
class Measured:
    """What was measured so far of one router, slice by slice.

    Attributes
    ----------
    unit
        USD of a normalised cost of 1.
    model_names
        Names of the K models.
    rest
        Names of the slices that have no row of their own and count in averages only.
    """

    unit: float
    model_names: Sequence[str]
    rest: Collection[str] = ()
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
        self.add(name, "", curve.metrics)
        self.add(name, "", _majorant_metrics(curve))
        if name in self.rest:
            return
        self._frontiers.append(_frontier_frame(name, trial, best, self.unit))
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
        """All of it, the metrics as means over the trials."""
        names = list(dict.fromkeys(name for name, _, _ in self._sums))
        by_slice = sorted(self._sums, key=lambda key: names.index(key[0]))
        return Evaluation(
            replicates_frame(
                [
                    (self._level(name), name, point, metric, self._sums[key] / self._trials[key])
                    for key in by_slice
                    for name, point, metric in [key]
                ]
            ),
            *(
                pd.concat(frames, ignore_index=True)
                for frames in (self._frontiers, self._bands, self._calibration)
            ),
        )

    def _level(self, name: str) -> str:
        return "full" if name == "full" else "rest" if name in self.rest else "dataset"


def _majorant_metrics(curve: CurveReplicates) -> dict[str, np.ndarray]:
    return {f"majorant_{name}": values for name, values in vars(curve.majorant).items()}


def operating_points(best: Curve, singles: SingleModels) -> dict[str, float]:
    """The parameter value of each named operating point that the frontier has.

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


def singles_frame(
    name: str,
    model_names: Sequence[str],
    singles: SingleModels,
    zero: np.ndarray,
    count: np.ndarray,
    size: int,
    unit: float,
) -> pd.DataFrame:
    """Every single model of one slice, a row each, as ``exact.evaluate_singles`` says."""
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
            ZERO: np.isin(np.arange(len(count)), zero),
            ZERO_HINDSIGHT: np.isin(np.arange(len(count)), static_models(singles, singles)),
        }
    )


def reference_rows(
    level: str, name: str, best: CurveReplicates, singles: SingleModels, zero: np.ndarray
) -> list[tuple[str, str, str, str, str, np.ndarray]]:
    """The metrics of what needs no router on one slice, a row each.

    Parameters
    ----------
    level, name
        The slice.
    best
        Of its best single model.
    singles
        All of them.
    zero
        (V,) models whose mixtures the training split chose.

    Returns
    -------
    ``router``, and the columns of ``replicates_frame``. What compares ``zero`` with itself
    has no resamples.
    """
    trained = {metric.name for metric in CURVE_METRICS if metric.trained}
    line = static_line(singles, zero)
    chosen = static_metrics(singles, zero, line)
    chosen |= {"nauc_honest": chosen["nauc"], "peak_score_honest": static_peak(singles, zero)}
    chosen |= {metric.name: np.zeros(1) for metric in CURVE_METRICS if metric.against_zero}
    rows = {
        BEST_SINGLE: {own: best.metrics[own] for own in best.metrics if own not in trained}
        | _majorant_metrics(best),
        ZERO: chosen,
        ZERO_HINDSIGHT: static_metrics(singles, static_models(singles, singles), line),
    }
    return [
        (router, level, name, "", metric, values)
        for router, metrics in rows.items()
        for metric, values in metrics.items()
    ]


def references_frame(rows: list[tuple[str, str, str, str, str, np.ndarray]]) -> pd.DataFrame:
    """Rows of ``reference_rows`` as a frame."""
    frame = replicates_frame([row[1:] for row in rows])
    frame.insert(0, "router", [row[0] for row in rows])
    return frame


def replicates_frame(rows: list[tuple[str, str, str, str, np.ndarray]]) -> pd.DataFrame:
    """Replicates as a frame, a row per slice, operating point and metric."""
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
