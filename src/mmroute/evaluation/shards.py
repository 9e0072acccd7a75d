"""Evaluation of tables too large for one pass, from sums over shards.

A shard is some consecutive rows of the outcome table. Every shard gives the sums of
cost and utility at the same thresholds, under every weighting of the bootstrap. They
are exact there and add up, so the curve on the grid is that of the whole table
(definitions, section 4), and no job ever holds more than one shard.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from itertools import count
from operator import add
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import sparse

from mmroute.errors import InputError
from mmroute.evaluation.bootstrap import weight_blocks
from mmroute.evaluation.carrier import BorneOut, Carrier, Foreseen, moments
from mmroute.evaluation.curve import (
    Curve,
    Policy,
    Steps,
    chosen_counts,
    policy_steps,
    steps_of,
    training_steps,
)
from mmroute.evaluation.metrics import row_extremes
from mmroute.evaluation.policy_metrics import (
    CalibrationSums,
    PolicySums,
    calibration_sums,
    equal_mass_cuts,
    of_chosen,
    policy_sums,
)
from mmroute.evaluation.setting import level_of
from mmroute.outcome_table import LATENCY, rows_by_label
from mmroute.outcomes.benchmark import Benchmark
from mmroute.outcomes.splits import SLICE
from mmroute.predictions import Predictions
from mmroute.storage import count_rows, folder_name, read_json, read_table, write_table

_Name = TypeVar("_Name")
_Addend = TypeVar("_Addend", np.ndarray, "Sums")
GRID_SIZE = 512
"""Thresholds of a grid."""
GRID_ROWS = 20_000
"""About how many rows of predictions a grid is proposed from."""
AUROC_BINS = 256
"""Bins of a model's predictions, in which they count as equal for ``auroc``."""
MEASURED = ("utility", "cost", LATENCY)
"""The outcomes that evaluation reads."""
_PIECE = 1 << 13
"""Samples that are weighted at once."""
_BINNED = "binned_"
_FORESEEN = "foreseen.parquet"

Weightings = Iterable[tuple[slice | np.ndarray, np.ndarray]]
"""Some samples at a time, and their (B, n) counts."""


def lay_out(outcomes: Path, splits: Path, salt: str, size: int) -> dict[str, Any]:
    """What every shard has to know of the others, as JSON.

    ``test`` has the number of groups of each data set that has test samples, and which of
    them, in order of first appearance, hold test samples, eight to a byte in hexadecimal;
    ``slices`` what each data set is measured in; and ``shards`` per shard: its ``rows`` in the
    outcome table, where its samples lie among all ``test`` and ``train`` samples, how many
    groups of each of its data sets with ``test`` samples begin ``before`` it, the numbers of
    those that it has ``met`` again, and which data sets it has ``tested`` and ``trained`` on.

    Parameters
    ----------
    outcomes, splits, salt
        The benchmark under one split.
    size
        Rows of a shard.
    """
    numbers: dict[str, dict[str, int]] = {}
    drawn: dict[str, set[int]] = {}
    measured_in: dict[str, str | None] = {}
    shards: list[dict[str, Any]] = []
    tested, trained = 0, 0
    for begin in count(0, size):
        own = Benchmark.read(outcomes, splits, salt, slice(begin, begin + size), MEASURED)
        n_rows = len(own.in_test)
        if not n_rows:
            break
        samples = own.table.samples
        measured_in |= zip(samples["dataset"], samples[SLICE].replace({np.nan: None}), strict=True)
        before, met = {}, {}
        for dataset, groups in samples.groupby("dataset", sort=False)["group"]:
            known = numbers.setdefault(str(dataset), {})
            before[str(dataset)] = len(known)
            distinct = groups.unique().tolist()
            met[str(dataset)] = {key: known[key] for key in distinct if key in known}
            new = [key for key in distinct if key not in known]
            known |= zip(new, count(len(known)), strict=False)
        for dataset, groups in samples[own.in_test].groupby("dataset", sort=False)["group"]:
            numbered = numbers[str(dataset)]
            drawn.setdefault(str(dataset), set()).update(numbered[key] for key in groups.unique())
        n_test, n_train = int(own.in_test.sum()), int(own.in_train.sum())
        shards.append(
            {
                "rows": [begin, begin + n_rows],
                "test": [tested, tested + n_test],
                "train": [trained, trained + n_train],
                "before": before,
                "met": met,
                "tested": samples["dataset"][own.in_test].unique().tolist(),
                "trained": samples["dataset"][own.in_train].unique().tolist(),
            }
        )
        tested, trained = shards[-1]["test"][1], shards[-1]["train"][1]
    test = [(dataset, _packed(own, len(numbers[dataset]))) for dataset, own in drawn.items()]
    return {"test": test, "slices": list(measured_in.items()), "shards": shards}


def _packed(drawn: Iterable[int], size: int) -> tuple[int, str]:
    mask = np.zeros(size, bool)
    mask[list(drawn)] = True
    return size, np.packbits(mask).tobytes().hex()


def _unpacked(size: int, packed: str) -> np.ndarray:
    return np.unpackbits(np.frombuffer(bytes.fromhex(packed), np.uint8), count=size).astype(bool)


@dataclass(frozen=True)
class Sharded:
    """A large benchmark under one split, read shard by shard.

    Attributes
    ----------
    outcomes, splits, salt
        The benchmark and the split.
    groups
        Of each data set that has test samples, which of its groups, by first appearance, they
        are in.
    measured_in
        Name of the slice of each data set; None of one that counts in ``full`` only.
    shards
        As ``lay_out`` has written them.
    policy, n_resamples, seed
        As for ``evaluation.Setting``.
    """

    outcomes: Path
    splits: Path
    salt: str
    groups: Mapping[str, np.ndarray]
    measured_in: Mapping[str, str | None]
    shards: Sequence[Mapping[str, Any]]
    policy: Policy
    n_resamples: int
    seed: int

    @classmethod
    def read(cls, layout: Path, outcomes: Path, splits: Path, salt: str, **how: Any) -> "Sharded":
        """Read a layout; ``how`` holds ``policy``, ``n_resamples`` and ``seed``."""
        laid_out = read_json(layout)
        groups = {name: _unpacked(*packed) for name, packed in laid_out["test"]}
        named = groups, dict(laid_out["slices"])
        return cls(outcomes, splits, salt, *named, laid_out["shards"], **how)

    @cached_property
    def timed(self) -> bool:
        """Whether latencies of some samples are known."""
        return (self.outcomes / f"{LATENCY}.parquet").exists()

    @property
    def n_test(self) -> int:
        """Number of test samples."""
        return int(self.shards[-1]["test"][1])

    @cached_property
    def slices(self) -> dict[str | None, list[str]]:
        """Data sets with test samples by the name of their slice, None last."""
        found: dict[str | None, list[str]] = {}
        for dataset in sorted(self.groups, key=lambda one: self.measured_in[one] is None):
            found.setdefault(self.measured_in[dataset], []).append(dataset)
        return found

    def slices_of(self, dataset: str) -> list[str]:
        """Names of the slices that a data set's samples are in, ``full`` among them."""
        own = self.measured_in[dataset]
        return ["full"] if own is None else [own, "full"]

    def level(self, name: str) -> str:
        """Level of a slice, as of ``setting.Slice``."""
        return "full" if name == "full" else level_of(name, self.slices[name][0])

    @cached_property
    def rest(self) -> list[str]:
        """Slices of the small data sets of a scenario."""
        return [name for name in self.slices if name and self.level(name) == "rest"]

    @cached_property
    def empty(self) -> Benchmark:
        """The benchmark without samples: its models and its unit."""
        return Benchmark.read(self.outcomes, self.splits, self.salt, slice(0), MEASURED)

    def __iter__(self) -> Iterator["Shard"]:
        """Read one shard after the other."""
        return map(self.shard, range(len(self.shards)))

    def shard(self, number: int) -> "Shard":
        """Read one shard."""
        return Shard(self, self.shards[number])

    @property
    def trained(self) -> list[str]:
        """Data sets that have training samples, by first appearance."""
        return list(dict.fromkeys(name for own in self.shards for name in own["trained"]))


class Shard:
    """The outcomes of some consecutive rows of a benchmark.

    Attributes
    ----------
    test, train
        Where its samples lie among all of a split.
    samples, utility, cost
        Of its n test samples: the frame, and (n, K) outcomes, the cost normalised.
    latency
        (n, K) seconds of these samples, NaN where unknown; None if no shard has any.
    datasets
        Indices of each data set's test samples.
    """

    def __init__(self, whole: Sharded, place: Mapping[str, Any]) -> None:
        self._whole, self._before, self._met = whole, place["before"], place["met"]
        self._benchmark = Benchmark.read(
            whole.outcomes, whole.splits, whole.salt, slice(*place["rows"]), MEASURED
        )
        self.test, self.train = slice(*place["test"]), slice(*place["train"])
        self.samples, self.utility, self.cost = self._of(self._benchmark.in_test)
        self.datasets = rows_by_label(self.samples["dataset"])
        self.latency = None
        if whole.timed:
            known = self._benchmark.test.latency_s
            self.latency = np.full(self.utility.shape, np.nan) if known is None else known

    def training(self) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
        """Samples, utility and normalised cost of its training samples."""
        return self._of(self._benchmark.in_train)

    def training_singles(self) -> dict[str, dict[str, np.ndarray]]:
        """Sums of the single models over each data set's training samples, without weights."""
        samples, utility, cost = self.training()
        return {
            dataset: _unweighted(single_blocks(utility[rows], cost[rows]), len(rows))
            for dataset, rows in rows_by_label(samples["dataset"]).items()
        }

    def _of(self, mask: np.ndarray) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
        table = self._benchmark.table
        cost = table.cost[mask] / self._benchmark.unit
        return table.samples[mask].reset_index(drop=True), table.utility[mask], cost

    def predictions(self, path: Path, trial: int) -> Predictions:
        """Read one trial of a router's predictions of its test samples."""
        ids = self.samples["sample_id"]
        begin = trial * self._whole.n_test
        rows = slice(begin + self.test.start, begin + self.test.stop)
        return Predictions.read_part(path, trial, rows, ids)

    def steps(self, predictions: Predictions) -> Steps:
        """How the choices of its test samples change."""
        return steps_of(predictions, 0, np.isfinite(self.utility), self._whole.policy)

    def choices(
        self, predictions: Predictions, dataset: str, parameters: Iterable[float]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield a data set's (n,) choices at each parameter, and their predicted utility."""
        rows = self.datasets[dataset]
        own = predictions.take(rows)
        steps = steps_of(own, 0, np.isfinite(self.utility[rows]), self._whole.policy)
        for parameter in parameters:
            choice = steps.choices(parameter)
            yield choice, of_chosen(own.u_hat[0], choice)

    def weights(self, dataset: str) -> Weightings:
        """Yield the weights of a data set's samples in this shard, some of them at a time."""
        members = self._members(dataset)
        how = self._whole.n_resamples, self._whole.seed
        for rows, own in weight_blocks(dataset, self._whole.groups[dataset], members, *how):
            for begin in range(0, len(rows), _PIECE):
                piece = slice(begin, begin + _PIECE)
                yield rows[piece], own[:, piece]

    def _members(self, dataset: str) -> np.ndarray:
        """Number each test sample's group among all of the data set, by first appearance."""
        samples = self._benchmark.table.samples
        keys = samples["group"][samples["dataset"] == dataset].unique()
        met, new = self._met[dataset], count(self._before[dataset])
        numbers = {key: met[key] if key in met else next(new) for key in keys}
        own = self.samples["group"].iloc[self.datasets[dataset]]
        return own.map(numbers).to_numpy()


@dataclass(frozen=True)
class Grid:
    """What all shards of one router's evaluation have in common.

    Attributes
    ----------
    threshold
        (T,) strictly ascending parameter values of the policy.
    edges
        (K, E) ascending predicted utilities of each model, the last of each bin of
        ``auroc`` but the last one.
    """

    threshold: np.ndarray
    edges: np.ndarray

    @classmethod
    def propose(cls, predictions: Path, crossfit: Path, policy: Policy) -> "Grid":
        """Choose a grid from evenly spaced rows of a router's predictions.

        A router that is trained for a grid of lambdas keeps that one.
        """
        files = predictions, crossfit
        step = max(1, sum(map(count_rows, files)) // GRID_ROWS)
        own, other = (Predictions.sample(path, step) for path in files)
        edges = np.quantile(
            own.u_hat[0],
            np.arange(1, AUROC_BINS) / AUROC_BINS,
            axis=0,
            method="inverted_cdf",
        ).T
        if own.grid is not None:
            return cls(own.grid, edges)
        u_hat, c_hat = (
            np.concatenate([own_matrix[0], other_matrix[0]])
            for own_matrix, other_matrix in ((own.u_hat, other.u_hat), (own.c_hat, other.c_hat))
        )
        predicted = np.isfinite(u_hat)
        kept = predicted.any(axis=1)
        threshold = threshold_grid(
            np.clip(np.nan_to_num(u_hat)[kept], 0, 1),
            np.nan_to_num(c_hat)[kept],
            predicted[kept],
            policy,
            GRID_SIZE,
        )
        return cls(threshold, edges)

    def write(self, path: Path) -> None:
        """Write a Parquet file."""
        _write_arrays(path, {"threshold": self.threshold, "edges": self.edges})

    @classmethod
    def read(cls, path: Path) -> "Grid":
        """Read what ``write`` has written."""
        return cls(**_read_arrays(path))


def threshold_grid(
    u_hat: np.ndarray, c_hat: np.ndarray, observed: np.ndarray, policy: Policy, size: int
) -> np.ndarray:
    """Propose thresholds: quantiles of a sample's breakpoints, and both ends of the policy.

    The grid is dense where choices change. Its ends are the two constant regimes,
    so they are exact for every shard, wherever its own breakpoints lie.

    Parameters
    ----------
    u_hat, c_hat, observed, policy
        As for ``curve.policy_steps``: a sample of the table, some shards' rows.
    size
        Number of thresholds, at least 2; there are fewer if the sample has fewer
        distinct breakpoints, and then the grid holds all of them.

    Returns
    -------
    numpy.ndarray
        (T,) ascending, T <= size, from 0 for lambda or -inf for a budget to inf.
    """
    inner = np.unique(policy_steps(u_hat, c_hat, observed, policy).threshold)
    if len(inner) > size - 2:
        inner = inner[np.linspace(0, len(inner) - 1, size - 2).round().astype(int)]
    return np.unique(np.concatenate([[_start(policy)], inner, [np.inf]]))


def _start(policy: Policy) -> float:
    return -np.inf if policy == "budget" else 0.0


@dataclass(frozen=True)
class Sums:
    """What the samples of one or more shards add up to under each of B weightings.

    Attributes
    ----------
    threshold
        (T,) as of the grid.
    values
        Name to array, the weightings last:

        - ``n_samples`` (1, B): how many samples there are;
        - ``cost``, ``utility`` (trials, T, B): true outcomes of the chosen models;
        - ``single_cost``, ``single_utility``, ``single_count`` (K, B): of each model
          alone, on the samples on which it was observed, and how many these are;
        - ``row_extremes`` (3, B): see ``metrics.row_extremes``; test samples only;
        - ``successes``, ``failures`` (K, bins, B): how many lie in each bin of a
          model's predictions; test samples only;
        - ``chosen`` (T, K): how many samples get each model, in the first trial; test samples
          only.
    """

    threshold: np.ndarray
    values: Mapping[str, np.ndarray]

    def __add__(self, other: "Sums") -> "Sums":
        """The sums over the samples of both.

        Raises
        ------
        InputError
            If the two were not evaluated at the same thresholds.
        """
        if not np.array_equal(self.threshold, other.threshold):
            raise InputError(
                f"shards: sums at {len(self.threshold)} and at {len(other.threshold)} thresholds "
                "that are not the same do not add up; evaluate every shard on one grid"
            )
        values = {name: value + other.values[name] for name, value in self.values.items()}
        return replace(self, values=values)

    def means(self, trial: int) -> tuple[np.ndarray, np.ndarray]:
        """The (T, B) mean costs and utilities of one trial; neighbours may be equal."""
        total = self.values["n_samples"]
        return self.values["cost"][trial] / total, self.values["utility"][trial] / total

    def curve(self, trial: int) -> Curve:
        """The operating points of one trial under the first weighting."""
        cost, utility = self.means(trial)
        return Curve(cost[:, 0], utility[:, 0], self.threshold)

    def traffic(self, parameters: np.ndarray) -> np.ndarray:
        """The (M, K) shares of the models at some of the thresholds, in the first trial."""
        at = np.searchsorted(self.threshold, parameters)
        return self.values["chosen"][at] / self.values["n_samples"][0, 0]

    def write(self, path: Path) -> None:
        """Write a Parquet file."""
        _write_arrays(path, {"threshold": self.threshold, **self.values})

    @classmethod
    def read(cls, path: Path) -> "Sums":
        """Read what ``write`` has written."""
        values = _read_arrays(path)
        return cls(values.pop("threshold"), values)


def _write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    columns = {
        "name": pa.array(list(arrays)),
        "shape": pa.array([list(array.shape) for array in arrays.values()], pa.list_(pa.int64())),
        "values": pa.LargeListArray.from_arrays(
            np.cumsum([0, *(array.size for array in arrays.values())]),
            np.concatenate([[], *(array.ravel() for array in arrays.values())]),
        ),
    }
    write_table(path, pa.table(columns))


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    table = read_table(path)
    return {
        name: values.values.to_numpy().reshape(shape)
        for name, shape, values in zip(
            table["name"].to_pylist(), table["shape"].to_pylist(), table["values"], strict=True
        )
    }


def changes(steps: Steps, outcome: np.ndarray, thresholds: np.ndarray) -> sparse.csc_array:
    """What each sample adds at each threshold to the sum of the chosen models' outcomes.

    A running sum down the rows is the outcome of each sample's choice at each threshold.

    Parameters
    ----------
    steps
        The choices of N samples.
    outcome
        (N, K) true outcomes, NaN where missing.
    thresholds
        (T,) strictly ascending parameter values, of which the first is the policy's own.

    Returns
    -------
    (T, N) sparse matrix.
    """
    # A step shows from the first threshold at or above its own; past the grid it never does.
    shown = np.searchsorted(thresholds, steps.threshold)
    kept = shown < len(thresholds)
    samples, moved = np.arange(len(outcome)), steps.sample[kept]
    start = outcome[samples, steps.first]
    change = np.subtract(
        outcome[moved, steps.after[kept]], outcome[moved, steps.before[kept]], dtype=float
    )
    rows = np.concatenate([np.zeros(len(samples), int), shown[kept]])
    cells = np.concatenate([start, change]), (rows, np.concatenate([samples, moved]))
    return sparse.csc_array(cells, shape=(len(thresholds), len(outcome)))


def add_up(
    blocks: Mapping[str, np.ndarray | sparse.csc_array], weights: Weightings
) -> dict[str, np.ndarray]:
    """The (M, B) weighted row sums of each (M, N) block."""
    sums: dict[str, np.ndarray] = {}
    for rows, own in weights:
        columns = np.ascontiguousarray(own.T, dtype=float)
        for name, block in blocks.items():
            accumulate(sums, name, block[:, rows] @ columns)
    return sums


def _unweighted(
    blocks: Mapping[str, np.ndarray | sparse.csc_array], n_samples: int
) -> dict[str, np.ndarray]:
    """The (M, 1) row sums of each block over all its samples alike."""
    return add_up(blocks, [(slice(None), np.ones((1, n_samples)))])


def curve_blocks(
    curves: Sequence[Steps], utility: np.ndarray, cost: np.ndarray, thresholds: np.ndarray
) -> dict[str, sparse.csc_array]:
    """The ``changes`` of cost and utility, one curve below the other."""
    return {
        name: sparse.vstack([changes(steps, matrix, thresholds) for steps in curves], "csc")
        for name, matrix in (("cost", cost), ("utility", utility))
    }


def running(sums: np.ndarray, n_thresholds: int) -> np.ndarray:
    """The (curves, T, B) sums at each threshold from those of ``curve_blocks``."""
    return np.cumsum(sums.reshape(-1, n_thresholds, sums.shape[1]), axis=1)


def single_blocks(utility: np.ndarray, cost: np.ndarray) -> dict[str, np.ndarray]:
    """What each sample adds to the sums of the single models, and to the samples."""
    observed = np.isfinite(utility)
    return {
        "n_samples": np.ones((1, len(utility))),
        "single_cost": np.where(observed, cost, 0).T,
        "single_utility": np.where(observed, utility, 0).T,
        "single_count": observed.T.astype(float),
    }


def sum_shard(
    sharded: Sharded, number: int, predictions: Path, crossfit: Path, grid: Grid
) -> tuple[dict[str, Sums], dict[str, Sums], dict[str, np.ndarray]]:
    """Evaluate a router on one shard at every threshold.

    Parameters
    ----------
    sharded, number
        The benchmark, and which shard of it.
    predictions, crossfit
        Files of the router's predictions of all test and all training samples.
    grid
        The same for every shard.

    Returns
    -------
    Sums over the test samples of each data set in the shard, and over its training
    samples without weights; and over all of either what ``carrier`` needs of it.
    """
    shard = sharded.shard(number)
    foreseen: dict[str, np.ndarray] = {}
    tested = _test_sums(sharded, shard, predictions, grid, foreseen)
    return tested, _training_sums(sharded, shard, crossfit, grid, foreseen), foreseen


def _foresee(steps: Steps, c_hat: np.ndarray, grid: Grid) -> dict[str, np.ndarray]:
    """What adds up to what choices are foreseen to cost, of (N, K) predicted costs.

    (T, K): how many samples get each model, ``chosen``, and what they are predicted to cost,
    ``told``; and the ``moments`` of the predictions alone.
    """
    (n_samples, n_models), n_thresholds = c_hat.shape, len(grid.threshold)
    shown = np.searchsorted(grid.threshold, steps.threshold)
    kept = shown < n_thresholds
    sample, moved = np.arange(n_samples), steps.sample[kept]
    row = np.concatenate([0 * sample, shown[kept], shown[kept]])
    model = np.concatenate([steps.first, steps.after[kept], steps.before[kept]])
    count = np.repeat([1.0, 1.0, -1.0], [n_samples, len(moved), len(moved)])
    told = count * c_hat[np.concatenate([sample, moved, moved]), model]
    sums = {
        name: np.cumsum(
            np.bincount(row * n_models + model, value, n_thresholds * n_models).reshape(
                n_thresholds, n_models
            ),
            axis=0,
        )
        for name, value in (("chosen", count), ("told", told))
    }
    return sums | {"moments": moments(c_hat, c_hat)}


def _test_sums(
    sharded: Sharded, shard: Shard, path: Path, grid: Grid, foreseen: dict[str, np.ndarray]
) -> dict[str, Sums]:
    if not shard.datasets:
        return {}
    first = shard.predictions(path, 0)
    paid, curves = first.paid(shard.cost), [shard.steps(first)]
    told = [_foresee(curves[0], first.c_hat[0], grid)]
    for trial in range(1, count_rows(path) // sharded.n_test):
        own = shard.predictions(path, trial)
        curves.append(shard.steps(own))
        told.append(_foresee(curves[-1], own.c_hat[0], grid))
    if first.grid is None:
        foreseen |= {f"test {name}": np.stack([own[name] for own in told]) for name in told[0]}
    sums = {}
    for dataset, rows in shard.datasets.items():
        utility = shard.utility[rows]
        steps = [own.take(rows) for own in curves]
        blocks = single_blocks(utility, shard.cost[rows])
        blocks |= {"row_extremes": row_extremes(utility, shard.cost[rows])}
        blocks |= _auroc_blocks(first.u_hat[0, rows], utility, grid.edges)
        blocks |= curve_blocks(steps, utility, paid[rows], grid.threshold)
        values = add_up(blocks, shard.weights(dataset))
        values["chosen"] = chosen_counts(steps[0], utility.shape[1], grid.threshold)
        sums[dataset] = _sums(values, grid)
    return sums


def _training_sums(
    sharded: Sharded, shard: Shard, path: Path, grid: Grid, foreseen: dict[str, np.ndarray]
) -> dict[str, Sums]:
    samples, utility, cost = shard.training()
    if samples.empty:
        return {}
    crossfit = Predictions.read_part(path, 0, shard.train, samples["sample_id"])
    kept, steps = training_steps(crossfit, utility, sharded.policy)
    if crossfit.grid is None:
        told = _foresee(steps, crossfit.c_hat[0, kept], grid)
        told["moments"] = moments(crossfit.c_hat[0], cost)
        foreseen |= {f"train {name}": own[None] for name, own in told.items()}
    sums = {}
    for dataset, rows in rows_by_label(samples["dataset"]).items():
        own = crossfit.take(rows)
        kept, steps = training_steps(own, utility[rows], sharded.policy)
        values = _unweighted(single_blocks(utility[rows], cost[rows]), len(rows))
        paid, kept_utility = own.paid(cost[rows])[kept], utility[rows][kept]
        blocks = {"n_samples": np.ones((1, len(kept)))}
        blocks |= curve_blocks([steps], kept_utility, paid, grid.threshold)
        values |= _unweighted(blocks, len(kept))
        sums[dataset] = _sums(values, grid)
    return sums


def _sums(values: dict[str, np.ndarray], grid: Grid) -> Sums:
    """Bring weighted sums of blocks into the shapes of ``Sums``."""
    for name in ("cost", "utility"):
        values[name] = running(values[name], len(grid.threshold))
    for name in {"successes", "failures"} & values.keys():
        values[name] = values[name].reshape(len(grid.edges), -1, values[name].shape[1])
    return Sums(grid.threshold, values)


def _auroc_blocks(
    u_hat: np.ndarray, utility: np.ndarray, edges: np.ndarray
) -> dict[str, sparse.csc_array]:
    """(K x bins, N): 1 where a success, or a failure, lies in a bin of a model."""
    n_bins = edges.shape[1] + 1
    bins = np.column_stack(
        [
            model * n_bins + np.searchsorted(own, predicted)
            for model, (own, predicted) in enumerate(zip(edges, u_hat.T, strict=True))
        ]
    )
    return {
        name: sparse.csc_array(
            (np.ones(kind.sum()), (bins[kind], np.nonzero(kind)[0])),
            shape=(len(edges) * n_bins, len(utility)),
        )
        for name, kind in (("successes", utility > 0.5), ("failures", utility <= 0.5))
    }


def write_sums(
    folder: Path,
    test: Mapping[str, Sums],
    train: Mapping[str, Sums],
    foreseen: Mapping[str, np.ndarray],
) -> None:
    """Write what ``sum_shard`` has returned, one file for each data set and split."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_arrays(folder / _FORESEEN, foreseen)
    for part, sums in (("test", test), ("train", train)):
        for dataset, own in sums.items():
            own.write(_sums_file(folder, dataset, part))


def _sums_file(folder: Path, dataset: str, part: str) -> Path:
    return folder / f"{folder_name(dataset)}.{part}.parquet"


def carrier(folders: Sequence[Path], grid: np.ndarray) -> tuple[Carrier, list[Foreseen | None]]:
    """What goes over from training, and what each trial foresees, as ``Carrier`` has them.

    Parameters
    ----------
    folders
        Of each shard, as ``write_sums`` has filled them.
    grid
        (T,) thresholds.
    """
    sums: dict[str, np.ndarray] = {}
    for folder in folders:
        for name, own in _read_arrays(folder / _FORESEEN).items():
            accumulate(sums, name, own)
    if "train moments" not in sums:
        return Carrier(None, BorneOut(np.empty(0), np.empty(0))), []
    borne_out = BorneOut.of(sums["train moments"][0])
    found: dict[str, list[Foreseen | None]] = {}
    for part in ("train", "test"):
        parts = (sums[f"{part} {name}"] for name in ("chosen", "told", "moments"))
        for chosen, told, known in zip(*parts, strict=True):
            centre = known[-1] / np.maximum(known[-2], 1)
            foreseen = chosen @ (borne_out.mean - borne_out.slope * centre)
            foreseen = (foreseen + told @ borne_out.slope) / chosen[0].sum()
            found.setdefault(part, []).append(Foreseen(grid, foreseen))
    return Carrier(found["train"][0], borne_out), found["test"]


def sum_files(sharded: Sharded, folders: Sequence[Path], dataset: str, part: str) -> Sums:
    """Add the stored sums of a data set's ``test`` or ``train`` samples, in the shards' order."""
    held = {"test": "tested", "train": "trained"}[part]
    return reduce(
        add,
        (
            Sums.read(_sums_file(folder, dataset, part))
            for folder, shard in zip(folders, sharded.shards, strict=True)
            if dataset in shard[held]
        ),
    )


def cut(
    sharded: Sharded,
    path: Path,
    asked: Mapping[int, Mapping[str, Sequence[float]]],
    dearest: Mapping[str, np.ndarray],
) -> pd.DataFrame:
    """What measuring choices takes that no shard tells: bins for ``ece`` and the dearest models.

    Only the predicted utilities of the chosen models are held at once, of one trial.

    Parameters
    ----------
    sharded
        The benchmark.
    path
        File of the router's predictions of the test samples.
    asked
        By trial and slice: the policy's parameters; none of one that has no row.
    dearest
        By slice: see ``dearest_models``.

    Returns
    -------
    ``trial``, ``slice``, ``parameter``, ``cuts``, see ``equal_mass_cuts``, and ``dearest``.
    """
    rows = []
    for trial, by_slice in asked.items():
        predicted: dict[tuple[str, float], list[np.ndarray]] = {}
        for shard in sharded:
            if not shard.datasets:
                continue
            own = shard.predictions(path, trial)
            for dataset in shard.datasets:
                points = [
                    (name, at)
                    for name in sharded.slices_of(dataset)
                    for at in by_slice.get(name, ())
                ]
                choices = shard.choices(own, dataset, [at for _, at in points])
                for point, (_, utility) in zip(points, choices, strict=True):
                    predicted.setdefault(point, []).append(utility)
        for (name, at), parts in predicted.items():
            rows.append((trial, name, at, equal_mass_cuts(np.concatenate(parts)), dearest[name]))
    return pd.DataFrame(rows, columns=["trial", "slice", "parameter", "cuts", "dearest"])


def sum_points(
    sharded: Sharded, number: int, path: Path, cuts: pd.DataFrame
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Measure a router's choices at its operating points on one shard.

    Parameters
    ----------
    sharded, number
        The benchmark, and which shard of it.
    path
        File of the router's predictions of the test samples.
    cuts
        As from ``cut``.

    Yields
    ------
    Each trial, and the fields of ``PolicySums`` and, of all samples in the first trial,
    ``CalibrationSums``, by the row of ``cuts`` and their name.
    """
    shard = sharded.shard(number)
    if not shard.datasets:
        return
    for trial in np.unique(cuts["trial"]).tolist():
        asked = cuts[cuts["trial"] == trial]
        predictions = shard.predictions(path, trial)
        sums: dict[str, np.ndarray] = {}
        for dataset, rows in shard.datasets.items():
            points = asked[asked["slice"].isin(sharded.slices_of(dataset))]
            choices = [*shard.choices(predictions, dataset, points["parameter"])]
            for part, counts in shard.weights(dataset):
                utility, cost = shard.utility[rows[part]], shard.cost[rows[part]]
                latency = None if shard.latency is None else shard.latency[rows[part]]
                overhead = predictions.overhead_of(rows[part])
                weights = counts.astype(float)
                for own, (choice, predicted) in zip(points.itertuples(), choices, strict=True):
                    given = choice[part], predicted[part], utility
                    told = own.cuts, own.dearest, overhead
                    found = vars(policy_sums(*given, cost, weights, *told, latency=latency))
                    if trial == 0 and own.slice == "full":
                        bins = vars(calibration_sums(*given, weights, own.cuts))
                        found = found | {f"{_BINNED}{name}": more for name, more in bins.items()}
                    for field, more in found.items():
                        accumulate(sums, f"{own.Index} {field}", more)
        yield trial, sums


def write_points(folder: Path, sums: Iterable[tuple[int, Mapping[str, np.ndarray]]]) -> None:
    """Write what ``sum_points`` yields, one file for each trial."""
    folder.mkdir(parents=True, exist_ok=True)
    for trial, own in sums:
        _write_arrays(folder / f"{trial}.parquet", own)


def point_sums(
    sharded: Sharded, folders: Sequence[Path], trial: int, rows: Iterable[int]
) -> Iterator[tuple[PolicySums, CalibrationSums | None]]:
    """Add the stored sums of one trial, and yield them for some rows of ``cut``."""
    sums: dict[str, np.ndarray] = {}
    for folder, shard in zip(folders, sharded.shards, strict=True):
        if shard["tested"]:
            for name, own in _read_arrays(folder / f"{trial}.parquet").items():
                accumulate(sums, name, own)
    by_row: dict[int, dict[str, np.ndarray]] = {}
    for name, own in sums.items():
        number, field = name.split(" ")
        by_row.setdefault(int(number), {})[field] = own
    for row in rows:
        binned = {name for name in by_row[row] if name.startswith(_BINNED)}
        policy = {name: own for name, own in by_row[row].items() if name not in binned}
        bins = {name.removeprefix(_BINNED): by_row[row][name] for name in binned}
        yield PolicySums(**policy), CalibrationSums(**bins) if bins else None


def accumulate(sums: dict[_Name, _Addend], name: _Name, more: _Addend) -> None:
    """Add to the sum of a name, or begin one."""
    sums[name] = sums[name] + more if name in sums else more
