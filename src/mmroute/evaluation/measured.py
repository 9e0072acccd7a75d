"""What is measured of one router or model, slice by slice, however its curves were made."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from mmroute.evaluation.bootstrap import CurveReplicates
from mmroute.evaluation.curve import Curve, outline
from mmroute.evaluation.inference import interval
from mmroute.evaluation.metrics import (
    BEST_SINGLE,
    CURVE_METRICS,
    ROUNDING,
    Chosen,
    SingleModels,
    frontier_of,
    lines,
    mean_height,
    nauc,
    reaches,
    relative_cost,
)
from mmroute.evaluation.policy_metrics import (
    CalibrationSums,
    PolicySums,
)
from mmroute.evaluation.static import (
    ZERO,
    ZERO_HINDSIGHT,
    mixed_rank_score,
    static_line,
    static_metrics,
    static_models,
    static_peak,
)
from mmroute.rank_score import cost_range, rank_score

POINTS = ("peak", "parity", "half_cost")
"""Named operating points (definitions, section 5)."""


@dataclass(frozen=True)
class Evaluation:
    """What was measured of one router under one split.

    Attributes
    ----------
    replicates
        ``level``, ``dataset`` (the slice's name), ``point`` (one of ``POINTS``, empty for a
        metric of the whole curve), ``metric``, ``replicates``: the value, then its resamples;
        ``training``: its value on cross-fitted training predictions, by which routers may be
        chosen, NaN of most.
    frontiers
        ``dataset``, ``trial``, ``cost`` (normalised), ``cost_usd``, ``utility``,
        ``threshold``: the points of each frontier.
    bands
        ``dataset``, ``cost``, ``low``, ``high``: confidence band of each frontier.
    calibration
        ``point``, ``predicted``, ``observed``, ``low``, ``high``, ``samples``: means
        over equal-mass bins of the chosen model's predicted utility, on all samples.
    lines
        ``dataset``, ``chosen_on`` (``test`` for the frontier, ``train`` for the points that
        cross-fitted training predictions chose), ``cost`` (normalised), ``utility``, ``low``,
        ``high``, ``threshold``, ``traffic`` (K shares): as many points of the first trial as
        are enough to draw it by, see ``curve.outline``.
    """

    replicates: pd.DataFrame
    frontiers: pd.DataFrame
    bands: pd.DataFrame
    calibration: pd.DataFrame
    lines: pd.DataFrame


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
    _training: dict[tuple[str, str, str], float] = field(default_factory=dict)
    _trials: dict[tuple[str, str, str], int] = field(default_factory=dict)
    _frontiers: list[pd.DataFrame] = field(default_factory=list)
    _bands: list[pd.DataFrame] = field(default_factory=list)
    _calibration: list[pd.DataFrame] = field(default_factory=list)
    _lines: list[pd.DataFrame] = field(default_factory=list)

    def add(self, name: str, point: str, metrics: Mapping[str, np.ndarray]) -> None:
        """Add one trial's (1 + B,) values of some metrics of a slice."""
        for metric, values in metrics.items():
            key = name, point, metric
            self._sums[key] = self._sums[key] + values if key in self._sums else values
            self._trials[key] = self._trials.get(key, 0) + 1

    def add_curve(
        self,
        name: str,
        trial: int,
        best: Curve,
        curve: CurveReplicates,
        chosen: Chosen,
        traffic: Callable[[np.ndarray], np.ndarray],
    ) -> None:
        """Add the frontier of a slice, the metrics of its curve, and what chose points of it.

        ``traffic`` tells the (T, K) shares of the models at (T,) ascending parameter values.
        """
        self.add(name, "", curve.metrics)
        self._training |= {(name, "", metric): own for metric, own in chosen.values.items()}
        if name in self.rest:
            return
        self._frontiers.append(_frontier_frame(name, trial, best, self.unit))
        if trial == 0:
            band = {"cost": curve.band_cost, "low": curve.band_low, "high": curve.band_high}
            self._bands.append(pd.DataFrame({"dataset": name, **band}))
            self._lines += _line_frames(name, best, curve, chosen, traffic)

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
                    (self._level(key[0]), *key, self._sums[key] / self._trials[key])
                    for key in by_slice
                ]
            ).assign(training=[self._training.get(key, np.nan) for key in by_slice]),
            *(
                pd.concat(frames, ignore_index=True)
                for frames in (self._frontiers, self._bands, self._calibration, self._lines)
            ),
        )

    def _level(self, name: str) -> str:
        return "full" if name == "full" else "rest" if name in self.rest else "dataset"


def choose(
    best: Curve, parameters: np.ndarray, known: SingleModels, measured: SingleModels
) -> Chosen:
    """What the training split chooses, of a router's points and of the single models.

    Parameters
    ----------
    best
        The frontier of cross-fitted predictions there; without a point it chooses none.
    parameters
        Of its points, for the router that is measured, as from ``Carrier.carry``.
    known, measured
        The single models there, and where the router is measured.
    """
    zero = static_models(known, measured)
    if not len(best):
        return Chosen(parameters, 0, None, zero, {})
    own, line = frontier_of(best), static_line(known, zero)
    ranks = rank_score(best.utility, best.cost, *(ends[0] for ends in cost_range(known.cost)))
    reached = np.flatnonzero(reaches(best.utility, static_peak(known, zero)))
    at_parity = int(reached[0]) if len(reached) else None
    parity = np.inf
    if at_parity is not None:
        parity = float(relative_cost(best.cost[[at_parity]], known.cost[:1, zero[-1]])[0])
    area = float(nauc(own, known)[0])
    ends = np.nanmin(known.cost, axis=1), np.nanmax(known.cost, axis=1)
    return Chosen(
        parameters,
        int(np.argmax(np.nan_to_num(ranks, nan=-np.inf))),
        at_parity,
        zero,
        {
            "nauc_honest": area,
            "gain_honest": area - float(mean_height(line, *ends)[0]),
            "peak_score_honest": float(best.utility[-1]),
            "rank_score_honest": float(ranks.max()),
            "qnc_honest": parity,
        },
    )


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
    level: str, name: str, singles: SingleModels, known: SingleModels
) -> list[tuple[str, str, str, str, str, np.ndarray]]:
    """The metrics of what needs no router on one slice, a row each.

    Parameters
    ----------
    level, name
        The slice.
    singles
        The single models.
    known
        The same on the training split.

    Returns
    -------
    ``router``, and the columns of ``replicates_frame``. What compares a row with itself
    has no resamples.
    """
    zero = static_models(known, singles)
    line, best = static_line(singles, zero), singles.best[:1]
    own = static_metrics(singles, zero, line)
    own |= {"nauc_honest": own["nauc"], "peak_score_honest": static_peak(singles, zero)}
    own |= {"rank_score_honest": mixed_rank_score(known, singles, zero)}
    own |= {"qnc_honest": np.ones(1), "parity_honest": np.zeros(1)}
    own |= {metric.name: np.zeros(1) for metric in CURVE_METRICS if metric.against_zero}
    alone = static_metrics(singles, best, line)
    # Its own point joins the cheapest model as a router's do, and is not mixed with it.
    area = nauc(lines(singles.cost[:, best], singles.utility[:, best]), singles)
    area[np.isnan(singles.utility[:, best[0]])] = np.nan
    alone |= {"nauc": area, "gain": area - own["nauc"]}
    rows = {
        BEST_SINGLE: alone | {"qnc": np.ones(1), "savings_at_parity": np.zeros(1)},
        ZERO: own,
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


def _line_frames(
    dataset: str,
    best: Curve,
    curve: CurveReplicates,
    chosen: Chosen,
    traffic: Callable[[np.ndarray], np.ndarray],
) -> Iterator[pd.DataFrame]:
    kept = outline(best.cost, best.utility)
    cost = best.cost[kept]
    band = (np.interp(cost, curve.band_cost, edge) for edge in (curve.band_low, curve.band_high))
    trained = curve.trained_cost, curve.trained_utility, curve.trained_low, curve.trained_high
    for chosen_on, values, threshold in (
        ("test", (cost, best.utility[kept], *band), best.threshold[kept]),
        ("train", trained, chosen.parameters[curve.trained]),
    ):
        order = np.argsort(threshold)
        shares = np.empty(len(order), object)
        shares[order] = list(traffic(threshold[order]))
        yield pd.DataFrame(
            dict(zip(("cost", "utility", "low", "high"), values, strict=True))
            | {"dataset": dataset, "chosen_on": chosen_on, "threshold": threshold}
            | {"traffic": shares}
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
