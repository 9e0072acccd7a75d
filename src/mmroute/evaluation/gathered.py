"""Evaluation of a large table, gathered from what its shards add up to."""

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
import pandas as pd

from mmroute.evaluation.bootstrap import (
    Points,
    measure_curve,
    weightings,
)
from mmroute.evaluation.curve import (
    Curve,
    frontier,
)
from mmroute.evaluation.measured import (
    Evaluation,
    Measured,
    choose,
    operating_points,
    reference_rows,
    references_frame,
    singles_frame,
)
from mmroute.evaluation.metrics import RowRange, SingleModels
from mmroute.evaluation.policy_metrics import (
    binned_auroc,
    dearest_models,
)
from mmroute.evaluation.shards import (
    Sharded,
    Sums,
    accumulate,
    add_up,
    carrier,
    cut,
    point_sums,
    single_blocks,
    sum_files,
)
from mmroute.evaluation.static import static_models


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
    measured, points, _ = _gather_curves(sharded, folders)
    for trial in np.unique(cuts["trial"]).tolist():
        asked = cuts[cuts["trial"] == trial]
        sums = point_sums(sharded, point_folders, trial, asked.index)
        found = dict(zip(zip(asked["slice"], asked["parameter"], strict=True), sums, strict=True))
        for name, own_points in points[trial].items():
            for point, parameter in own_points.items():
                policy, calibration = found[name, parameter]
                measured.add_policy(name, point, policy)
                if calibration is not None:
                    measured.add_calibration(point, calibration)
    return measured.evaluation()


def gather_points(sharded: Sharded, folders: Sequence[Path], predictions: Path) -> pd.DataFrame:
    """The operating points of a router on a large benchmark, as ``shards.cut`` does.

    Parameters
    ----------
    sharded, folders
        As for ``gather``.
    predictions
        File of the router's predictions of the evaluation samples.
    """
    _, points, dearest = _gather_curves(sharded, folders)
    return cut(
        sharded,
        predictions,
        {
            trial: {name: sorted(set(own.values())) for name, own in by_slice.items()}
            for trial, by_slice in points.items()
        },
        dearest,
    )


_OperatingPoints = dict[int, dict[str, dict[str, float]]]
"""By trial, slice and name: the parameter of each operating point."""


def _gather_curves(
    sharded: Sharded, folders: Sequence[Path]
) -> tuple[Measured, _OperatingPoints, dict[str, np.ndarray]]:
    """Measure the curves, and find their operating points and the dearest models by slice."""
    measured = Measured(sharded.empty.unit, sharded.empty.table.model_names, sharded.rest)
    trained: dict[str | None, Sums] = {}
    for one in sharded.trained:
        accumulate(trained, sharded.measured_in[one], sum_files(sharded, folders, one, "train"))
    everything = reduce(add, trained.values())
    carried, foreseen = carrier(folders, everything.threshold)
    points: _OperatingPoints = {}
    dearest = {}
    for name, own in _slice_sums(sharded, folders):
        singles = _singles(own.values)
        extremes = RowRange(*(own.values["row_extremes"] / own.values["n_samples"]))
        dearest[name] = dearest_models(singles)
        # As in ``_training_rows``.
        known = trained.get(name, everything)
        predicted = known if known.values["n_samples"].any() else everything
        learned, alone = _frontier_of(predicted), _singles(known.values)
        for trial in range(len(own.values["cost"])):
            best = frontier(own.curve(trial))
            own_foreseen = foreseen[trial] if foreseen else None
            parameters = carried.carry(learned.threshold, own_foreseen)
            chosen = choose(learned, parameters, alone, singles)
            at = np.searchsorted(own.threshold, chosen.parameters)
            curve = measure_curve(_points(own, trial), singles, chosen, extremes, at)
            measured.add_curve(name, trial, best, curve, chosen, own.traffic)
            if name not in sharded.rest:
                points.setdefault(trial, {})[name] = operating_points(best, singles)
        areas = binned_auroc(own.values["successes"], own.values["failures"])
        measured.add(name, "", {"auroc": areas})
    return measured, points, dearest


def _slice_sums(sharded: Sharded, folders: Sequence[Path]) -> Iterator[tuple[str, Sums]]:
    """Yield the sums of each slice, one at a time, and then of all data sets."""
    full = None
    for name, datasets in sharded.slices.items():
        own = reduce(add, (sum_files(sharded, folders, one, "test") for one in datasets))
        full = own if full is None else full + own
        if name is not None:
            yield name, own
    if full is not None:
        yield "full", full


def _frontier_of(trained: Sums) -> Curve:
    """The frontier of training samples, as ``training_frontier`` has it."""
    if not trained.values["n_samples"].any():
        return Curve(*np.empty((3, 0)))
    return frontier(trained.curve(0))


def _singles(sums: Mapping[str, np.ndarray]) -> SingleModels:
    with np.errstate(invalid="ignore"):
        return SingleModels(
            *((sums[f"single_{name}"] / sums["single_count"]).T for name in ("cost", "utility"))
        )


def _points(sums: Sums, trial: int) -> Iterator[Points]:
    cost, utility = sums.means(trial)
    for rows in weightings(cost.shape[1], len(cost)):
        yield rows, cost[:, rows].T, utility[:, rows].T


def gather_singles(sharded: Sharded) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure every single model of a large benchmark, shard by shard, as ``evaluate_singles``."""
    names = [name for name in sharded.slices if name is not None]
    sums: dict[str, dict[str, np.ndarray]] = {name: {} for name in (*names, "full")}
    trained: dict[str | None, dict[str, np.ndarray]] = {}
    for shard in sharded:
        for dataset, rows in shard.datasets.items():
            blocks = single_blocks(shard.utility[rows], shard.cost[rows])
            for name, more in add_up(blocks, shard.weights(dataset)).items():
                for slice_name in sharded.slices_of(dataset):
                    accumulate(sums[slice_name], name, more)
        for dataset, values in shard.training_singles().items():
            for trained_slice in {sharded.measured_in[dataset], "full"}:
                own = trained.setdefault(trained_slice, {})
                for name, more in values.items():
                    accumulate(own, name, more)
    unit, model_names = sharded.empty.unit, sharded.empty.table.model_names
    replicates, models = [], []
    for name, own in sums.items():
        singles = _singles(own)
        # As in ``_training_rows``.
        known = _singles(trained.get(name, trained["full"]))
        if name not in sharded.rest:
            zero = static_models(known, singles)
            count, size = own["single_count"][:, 0], int(own["n_samples"][0, 0])
            models.append(singles_frame(name, model_names, singles, zero, count, size, unit))
        replicates += reference_rows(sharded.level(name), name, singles, known)
    return references_frame(replicates), pd.concat(models, ignore_index=True)
