"""Sums over shards give the evaluation of the whole table, at every threshold of the grid."""

from dataclasses import replace
from functools import reduce
from operator import add

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmroute import storage
from mmroute.errors import InputError
from mmroute.evaluation.curve import operating_curve, policy_steps
from mmroute.evaluation.exact import evaluate, evaluate_singles
from mmroute.evaluation.gathered import gather, gather_points, gather_singles
from mmroute.evaluation.setting import Setting
from mmroute.evaluation.shards import (
    Grid,
    Sharded,
    Sums,
    add_up,
    curve_blocks,
    lay_out,
    running,
    sum_points,
    sum_shard,
    threshold_grid,
    write_points,
    write_sums,
)
from mmroute.outcomes.benchmark import Benchmark
from mmroute.outcomes.splits import SLICE
from mmroute.predictions import Predictions
from mmroute.storage import read_table, write_frame, write_json

pytestmark = pytest.mark.slow

POLICIES = ("lambda", "budget")
LOWEST = {"lambda": 0.0, "budget": -np.inf}


def draw_table(seed, n_samples, n_models, levels):
    """Draw predictions on a few levels, so that ties are common, and outcomes with gaps."""
    generator = np.random.default_rng(seed)
    shape = (n_samples, n_models)
    u_hat = generator.integers(0, levels, shape) / levels
    c_hat = generator.integers(1, levels + 1, shape) / levels
    utility, cost = generator.random(shape), generator.lognormal(size=shape)
    missing = generator.random(shape) < 0.2
    missing[np.arange(n_samples), generator.integers(0, n_models, n_samples)] = False
    utility[missing] = np.nan
    cost[missing] = np.nan
    return u_hat, c_hat, utility, cost


def curve_of(table, policy, thresholds, shard):
    """Add up the shards, in the order of their numbers."""
    parts = []
    for number in range(shard.max() + 1):
        u_hat, c_hat, utility, cost = (matrix[shard == number] for matrix in table)
        steps = policy_steps(u_hat, c_hat, np.isfinite(utility), policy)
        blocks = curve_blocks([steps], utility, cost, thresholds)
        blocks["n_samples"] = np.ones((1, len(u_hat)))
        values = add_up(blocks, [(slice(None), np.ones((1, len(u_hat))))])
        for name in ("cost", "utility"):
            values[name] = running(values[name], len(thresholds))
        parts.append(Sums(thresholds, values))
    return reduce(add, parts).curve(0)


def assert_equals_one_pass(table, policy, curve):
    whole = operating_curve(*table, policy)
    at = np.searchsorted(whole.threshold, curve.threshold, side="right") - 1
    np.testing.assert_allclose(curve.cost, whole.cost[at], rtol=0, atol=1e-12)
    np.testing.assert_allclose(curve.utility, whole.utility[at], rtol=0, atol=1e-12)


@pytest.mark.parametrize("policy", POLICIES)
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_any_shards_in_any_order_equal_the_one_pass_curve_at_the_thresholds(policy, data):
    n_samples, n_models = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 5))
    table = draw_table(data.draw(st.integers(0, 10_000)), n_samples, n_models, levels=4)
    shard = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n_samples, max_size=n_samples)))
    own = operating_curve(*table, policy).threshold
    free = data.draw(st.lists(st.floats(0, 5), min_size=1, max_size=6))
    thresholds = np.unique(np.concatenate([data.draw(st.sampled_from([own, own[:0]])), free]))
    assert_equals_one_pass(table, policy, curve_of(table, policy, thresholds, shard))


@pytest.mark.parametrize("policy", POLICIES)
def test_a_large_table_equals_the_one_pass_curve_on_the_proposed_grid(policy):
    table = draw_table(seed=0, n_samples=20_000, n_models=8, levels=1_000)
    u_hat, c_hat, utility, _ = (matrix[:2_000] for matrix in table)
    thresholds = threshold_grid(u_hat, c_hat, np.isfinite(utility), policy, 512)
    shard = np.random.default_rng(1).integers(0, 7, 20_000)
    curve = curve_of(table, policy, thresholds, shard)
    assert len(np.unique(curve.cost)) > 400
    assert_equals_one_pass(table, policy, curve)


def one_sample(policy, c_hat, thresholds):
    utility, cost = np.array([[0.0, 1.0]]), np.array([[1.0, 5.0]])
    table = np.array([[0.5, 1.0]]), np.array([c_hat]), utility, cost
    return curve_of(table, policy, np.array(thresholds), np.zeros(1, int))


def test_a_point_holds_from_its_threshold_on():
    assert one_sample("lambda", [1.0, 2.0], [0.4, 0.5, 0.6]).cost.tolist() == [5.0, 1.0, 1.0]
    bought = one_sample("budget", [1.0, 2.0], [-np.inf, 1.9, 2.0])
    assert bought.utility.tolist() == [0.0, 0.0, 1.0]


def test_sums_on_different_grids_are_not_added():
    one, other = (Sums(np.array([0.0, top]), {"cost": np.ones(2)}) for top in (1.0, 2.0))
    with pytest.raises(InputError, match="one grid"):
        one + other


@pytest.mark.parametrize("policy", POLICIES)
def test_a_grid_as_large_as_its_sample_holds_all_breakpoints(policy):
    u_hat, c_hat, utility, cost = draw_table(seed=4, n_samples=30, n_models=4, levels=8)
    own = operating_curve(u_hat, c_hat, utility, cost, policy).threshold
    grid = threshold_grid(u_hat, c_hat, np.isfinite(utility), policy, len(own) + 1)
    assert grid.tolist() == [*own, np.inf]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_smaller_grid_takes_breakpoints_of_the_sample_between_the_ends(policy):
    u_hat, c_hat, utility, cost = draw_table(seed=5, n_samples=500, n_models=6, levels=1_000)
    own = operating_curve(u_hat, c_hat, utility, cost, policy).threshold
    grid = threshold_grid(u_hat, c_hat, np.isfinite(utility), policy, 64)
    assert len(grid) == 64
    assert (grid[0], grid[-1]) == (LOWEST[policy], np.inf)
    assert np.isin(grid[1:-1], own).all()
    ranks = np.searchsorted(own, grid)
    assert np.diff(ranks).max() <= np.ceil(len(own) / 62)


N_SAMPLES, N_MODELS = 420, 4
HOW = {"policy": "lambda", "n_resamples": 120, "seed": 3}


@pytest.fixture
def store(make_table, tmp_path):
    """Return a function that stores a benchmark and a router's predictions; it returns both."""

    def write(kind="plain"):
        generator = np.random.default_rng(7)
        order = np.sort(generator.integers(0, 3, N_SAMPLES))
        shape = (N_SAMPLES, N_MODELS)
        skill = generator.random(shape)
        utility = (generator.random(shape) < skill).astype(float)
        cost = generator.lognormal(size=shape) * np.geomspace(1, 20, N_MODELS)
        gone = generator.random(shape) < 0.2
        gone[generator.integers(0, N_SAMPLES, 9)] = True
        utility[gone] = cost[gone] = np.nan
        table = make_table(N_SAMPLES, N_MODELS, utility=utility, cost=cost)
        table.samples["dataset"] = np.array(["A/1", "B", "C"])[order]
        table.write(tmp_path / "outcomes")
        write_json(tmp_path / "outcomes/pool.json", {"unit_usd": 2.0, "left_out": []})
        train = generator.random(N_SAMPLES) < 0.3
        if kind == "uneven":
            # The first of seven shards has no test samples, and one data set no training samples.
            train[:60] = True
            train[table.samples["dataset"] == "B"] = False
        if kind == "timed":
            # Some shards hold no latency at all.
            seconds = np.where(np.arange(N_SAMPLES) < N_SAMPLES // 2, 1.0, np.nan)
            replace(table, latency_s=seconds[:, None] * cost).write(tmp_path / "outcomes")
        slices = table.samples["dataset"].copy()
        if kind == "grouped":
            table.samples["group"] = generator.integers(0, 90, N_SAMPLES).astype(str)
            # Two data sets have no row of their own; one of them is not even in a rest.
            slices[slices == "B"] = "the rest"
            slices[slices == "C"] = None
            table.write(tmp_path / "outcomes")
        splits = pd.DataFrame({"sample_id": table.samples["sample_id"], SLICE: slices, "0": train})
        write_frame(tmp_path / "splits.parquet", splits)
        benchmark = Benchmark.read(tmp_path / "outcomes", tmp_path / "splits.parquet", "0")
        for part, mask in (("predictions", benchmark.in_test), ("crossfit", benchmark.in_train)):
            one = (len(np.flatnonzero(mask)), N_MODELS)
            trials = 3 if kind == "random" and part == "predictions" else 1
            u_hat = np.round(skill[mask] + generator.normal(0, 0.2, (trials, *one)), 2)
            c_hat = generator.random((trials, *one)).round(2) + np.arange(N_MODELS)
            if part == "crossfit":
                u_hat[0, :5, 0] = c_hat[0, :5, 0] = np.nan
            scores = generator.random((3, *one)) if kind in ("grid", "elsewhere") else None
            if (part, kind) == ("crossfit", "elsewhere"):
                u_hat, c_hat, scores = (np.full_like(own, np.nan) for own in (u_hat, c_hat, scores))
            Predictions(
                benchmark.table.samples["sample_id"][mask].reset_index(drop=True),
                u_hat,
                c_hat,
                None if scores is None else np.array([-0.5 if kind == "elsewhere" else 0, 0.5, 2]),
                scores,
                generator.random(one[0]) / 9 if kind == "overhead" else None,
            ).write(tmp_path / f"{part}.parquet")
        return tmp_path

    return write


def exactly(folder, **how):
    setting = Setting.read(folder / "outcomes", folder / "splits.parquet", "0", **HOW | how)
    parts = (Predictions.read(folder / f"{part}.parquet") for part in ("predictions", "crossfit"))
    return setting, evaluate(setting, *parts)


def sharded_over(folder, n_shards, **how):
    size = -(-N_SAMPLES // n_shards)
    given = folder / "outcomes", folder / "splits.parquet", "0"
    write_json(folder / "layout.json", lay_out(*given, size))
    sharded = Sharded.read(folder / "layout.json", *given, **HOW | how)
    assert len(sharded.shards) == n_shards
    return sharded


def in_shards(folder, n_shards, grid, **how):
    sharded = sharded_over(folder, n_shards, **how)
    predictions = folder / "predictions.parquet"
    curves, points = (
        [folder / f"{n_shards} {kind}/{number}" for number in range(n_shards)]
        for kind in ("curves", "points")
    )
    for number, own in enumerate(curves):
        sums = sum_shard(sharded, number, predictions, folder / "crossfit.parquet", grid)
        write_sums(own, *sums)
    write_frame(folder / "cuts.parquet", gather_points(sharded, curves, predictions))
    cuts = read_table(folder / "cuts.parquet").to_pandas()
    for number, own in enumerate(points):
        write_points(own, sum_points(sharded, number, predictions, cuts))
    return gather(sharded, curves, cuts, points)


def full_grid(folder, setting):
    """Return every breakpoint of test and training samples, and every prediction."""
    parts = [Predictions.read(folder / f"{part}.parquet") for part in ("predictions", "crossfit")]
    start = [LOWEST[setting.policy]]
    if parts[0].grid is not None:
        threshold = parts[0].grid
    else:
        breakpoints = [
            policy_steps(*map(np.nan_to_num, own), seen & np.isfinite(own[0]), setting.policy)
            for part, table in zip(parts, (setting.table, setting.training), strict=True)
            for own in zip(part.u_hat.clip(0, 1), part.c_hat, strict=True)
            for seen in [np.isfinite(table.utility)]
        ]
        threshold = np.unique(np.concatenate([start, *(steps.threshold for steps in breakpoints)]))
    levels = np.unique(parts[0].u_hat)
    return Grid(threshold, np.tile(levels, (N_MODELS, 1)))


def by_metric(evaluation):
    rows = evaluation.replicates
    keys = zip(rows["level"], rows["dataset"], rows["point"], rows["metric"], strict=True)
    return dict(zip(keys, rows["replicates"], strict=True))


def assert_alike(found, expected, tolerance=1e-9):
    own, other = by_metric(found), by_metric(expected)
    assert own.keys() == other.keys()
    for key, values in other.items():
        np.testing.assert_allclose(
            own[key], values, rtol=tolerance, atol=tolerance, err_msg=str(key)
        )
    for name in ("frontiers", "bands", "calibration"):
        frames = getattr(found, name), getattr(expected, name)
        pd.testing.assert_frame_equal(*frames, rtol=tolerance, atol=tolerance)
    lines = [frame.lines.copy() for frame in (found, expected)]
    traffic = [np.stack(frame.pop("traffic")) for frame in lines]
    for frame in lines:
        # Of several parameters that make the same choices either may have been carried over.
        frame.loc[frame["chosen_on"] == "train", "threshold"] = 0
    pd.testing.assert_frame_equal(*lines, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(*traffic, atol=tolerance)


@pytest.mark.parametrize("n_shards", [1, 3, 7])
@pytest.mark.parametrize(
    ("kind", "policy"),
    [
        ("plain", "lambda"),
        ("plain", "budget"),
        ("random", "lambda"),
        ("grid", "lambda"),
        ("elsewhere", "lambda"),
        ("elsewhere", "budget"),
        ("overhead", "lambda"),
        ("uneven", "lambda"),
        ("grouped", "lambda"),
        ("timed", "lambda"),
    ],
)
def test_shards_on_every_breakpoint_give_the_exact_evaluation(store, kind, policy, n_shards):
    folder = store(kind)
    setting, exact = exactly(folder, policy=policy)
    grid = full_grid(folder, setting)
    assert_alike(in_shards(folder, n_shards, grid, policy=policy), exact)


@pytest.mark.parametrize("kind", ["plain", "uneven", "grouped"])
@pytest.mark.parametrize("n_shards", [1, 3, 7])
def test_single_models_and_their_mixtures_are_measured_shard_by_shard(store, kind, n_shards):
    folder = store(kind)
    setting, _ = exactly(folder)
    for found, expected in zip(
        gather_singles(sharded_over(folder, n_shards)), evaluate_singles(setting), strict=True
    ):
        numbers = [column for column in expected if column == "replicates"]
        pd.testing.assert_frame_equal(
            found.drop(columns=numbers), expected.drop(columns=numbers), rtol=1e-9, atol=1e-12
        )
        for column in numbers:
            for own, other in zip(found[column], expected[column], strict=True):
                np.testing.assert_allclose(own, other, rtol=1e-9, atol=1e-12)


def proposed(folder, policy="lambda"):
    return Grid.propose(folder / "predictions.parquet", folder / "crossfit.parquet", policy)


@pytest.mark.parametrize("kind", ["plain", "random", "grid", "overhead"])
def test_results_do_not_depend_on_the_shard_size(store, kind):
    folder = store(kind)
    grid = proposed(folder)
    whole = in_shards(folder, 1, grid)
    for n_shards in (2, 6):
        assert_alike(in_shards(folder, n_shards, grid), whole)


@pytest.mark.parametrize("policy", POLICIES)
def test_the_proposed_grid_is_close_to_the_exact_evaluation(store, monkeypatch, policy):
    folder = store()
    _, exact = exactly(folder, policy=policy)
    monkeypatch.setattr("mmroute.evaluation.shards.GRID_SIZE", 64)
    monkeypatch.setattr("mmroute.evaluation.shards.AUROC_BINS", 64)
    found = by_metric(in_shards(folder, 3, proposed(folder, policy), policy=policy))
    expected = by_metric(exact)
    assert found.keys() == expected.keys()
    for metric, tolerance in {"nauc": 0.01, "peak_score": 0.02, "auroc": 2e-3}.items():
        key = "full", "full", "", metric
        assert found[key] == pytest.approx(expected[key], abs=tolerance), metric
        assert (found[key] != expected[key]).any()
    # On the grid a frontier has no point that the exact one does not reach.
    key = "full", "full", "", "peak_score"
    assert (found[key] <= expected[key] + 1e-12).all()


def test_a_router_with_a_grid_of_its_own_keeps_it(store):
    assert proposed(store("grid")).threshold.tolist() == [0.0, 0.5, 2.0]


def test_a_proposed_grid_spans_the_policy(store, monkeypatch):
    monkeypatch.setattr("mmroute.evaluation.shards.GRID_SIZE", 64)
    grid = proposed(store())
    assert len(grid.threshold) == 64
    assert (grid.threshold[0], grid.threshold[-1]) == (0.0, np.inf)
    assert grid.edges.shape == (N_MODELS, 255)
    assert (np.diff(grid.edges) >= 0).all()


def test_a_grid_is_proposed_from_evenly_spaced_rows(store, monkeypatch):
    folder = store()
    monkeypatch.setattr("mmroute.evaluation.shards.GRID_ROWS", 100)
    stepped = Predictions.sample(folder / "predictions.parquet", 4)
    whole = Predictions.read(folder / "predictions.parquet")
    assert stepped.sample_ids.tolist() == whole.sample_ids[::4].tolist()
    np.testing.assert_array_equal(stepped.u_hat, whole.u_hat[:, ::4])
    grid = proposed(folder)
    levels = np.unique(stepped.u_hat)
    assert np.isin(grid.edges, levels).all()


def test_predictions_of_other_samples_are_refused(store):
    folder = store()
    sharded, grid = sharded_over(folder, 3), proposed(folder)
    swapped = folder / "crossfit.parquet", folder / "predictions.parquet"
    with pytest.raises(InputError, match=r"crossfit\.parquet: column sample_id: row 1 "):
        sum_shard(sharded, 1, *swapped, grid)


def test_no_job_reads_more_than_a_shard_at_once(store, monkeypatch):
    """Files have row groups of 10 rows here, of which a shard of 60 touches at most 8."""
    monkeypatch.setattr(storage, "_ROW_GROUP", 10)
    monkeypatch.setattr("mmroute.predictions._ROWS", 10)
    folder = store("random")
    sizes = []
    read = pq.ParquetFile.read_row_groups

    def spy(file, groups, **how):
        sizes.append(sum(file.metadata.row_group(group).num_rows for group in groups))
        return read(file, groups, **how)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", spy)
    evaluation = in_shards(folder, 7, proposed(folder))
    gather_singles(sharded_over(folder, 7))
    assert len(sizes) > 100
    assert max(sizes) <= 60 + 2 * 10
    monkeypatch.undo()
    assert_alike(evaluation, in_shards(folder, 3, proposed(folder)))
