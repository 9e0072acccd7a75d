"""Evaluation of predictions on every slice of a benchmark: frontiers and metrics."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mmroute import metrics
from mmroute.curve import Curve, Policy, frontier, operating_curve
from mmroute.errors import InputError
from mmroute.metrics import SingleModels, single_models
from mmroute.outcomes import OutcomeTable
from mmroute.predictions import Predictions

METRICS = ("nauc", "peak_score", "qnc")


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


def evaluate(
    table: OutcomeTable, unit: float, predictions: Predictions, policy: Policy
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure a router on every slice.

    Parameters
    ----------
    table
        Outcomes of the evaluation samples.
    unit
        USD of a normalised cost of 1.
    predictions
        Of the same samples in the same order.
    policy
        Policy family of the operating curve.

    Returns
    -------
    metrics
        ``level``, ``dataset``, ``metric``, ``value``: means over the trials.
    frontiers
        ``dataset``, ``trial``, ``cost``, ``cost_usd``, ``utility``, ``threshold``:
        the points of each frontier, cost normalised and in USD.

    Raises
    ------
    InputError
        If the predictions are not of these samples.
    """
    if not np.array_equal(predictions.sample_ids, table.samples["sample_id"]):
        raise InputError(
            "the predictions are of other samples than the outcome table's test split; "
            "delete the router's folder and run again"
        )
    cost = table.cost / unit
    values, frontiers = [], []
    for part in slices(table.samples):
        utility, part_cost = table.utility[part.rows], cost[part.rows]
        singles = single_models(utility, part_cost)
        measured = []
        for trial, (u_hat, c_hat) in enumerate(
            zip(predictions.u_hat, predictions.c_hat, strict=True)
        ):
            curve = operating_curve(u_hat[part.rows], c_hat[part.rows], utility, part_cost, policy)
            best = frontier(curve)
            measured.append(measure(best, singles))
            frontiers.append(_frontier_frame(part.name, trial, best, unit))
        for metric in METRICS:
            value = float(np.mean([trial[metric] for trial in measured]))
            values.append((part.level, part.name, metric, value))
    return (
        pd.DataFrame(values, columns=["level", "dataset", "metric", "value"]),
        pd.concat(frontiers, ignore_index=True),
    )


def measure(curve: Curve, singles: SingleModels) -> dict[str, float]:
    """Return the metrics of one operating curve or frontier."""
    return {
        "nauc": metrics.nauc(curve, singles),
        "peak_score": metrics.peak_score(curve),
        "qnc": metrics.qnc(curve, singles),
    }


def evaluate_singles(table: OutcomeTable, unit: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure every single model on every slice, and the best one as if it were a router.

    Parameters
    ----------
    table
        Outcomes of the evaluation samples.
    unit
        USD of a normalised cost of 1.

    Returns
    -------
    metrics
        Of the best single model of each slice, as from ``evaluate``.
    models
        ``dataset``, ``model``, ``utility``, ``cost``, ``cost_usd``, ``coverage``,
        ``samples``: means over the samples on which the model was observed.
    """
    cost = table.cost / unit
    values, models = [], []
    for part in slices(table.samples):
        utility = table.utility[part.rows]
        singles = single_models(utility, cost[part.rows])
        models.append(
            pd.DataFrame(
                {
                    "dataset": part.name,
                    "model": table.model_names,
                    "utility": singles.utility,
                    "cost": singles.cost,
                    "cost_usd": singles.cost * unit,
                    "coverage": np.isfinite(utility).mean(axis=0),
                    "samples": len(part.rows),
                }
            )
        )
        best = slice(singles.best, singles.best + 1)
        constant = Curve(singles.cost[best], singles.utility[best], np.zeros(1))
        for metric, value in measure(constant, singles).items():
            values.append((part.level, part.name, metric, value))
    return (
        pd.DataFrame(values, columns=["level", "dataset", "metric", "value"]),
        pd.concat(models, ignore_index=True),
    )


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
