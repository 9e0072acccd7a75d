"""The evaluation equals the plain recomputation of ``tests/oracle.py`` on random small tables.

A kind of tables has one difficulty; on ``plain`` ones nothing but the definitions decides.
"""

import importlib
from collections import defaultdict

import numpy as np
import pandas as pd
import pytest

from mmroute.evaluation.curve import policy_steps
from mmroute.evaluation.exact import evaluate, evaluate_singles
from mmroute.evaluation.gathered import gather, gather_points, gather_singles
from mmroute.evaluation.setting import Setting
from mmroute.evaluation.shards import (
    Grid,
    Sharded,
    lay_out,
    sum_points,
    sum_shard,
    write_points,
    write_sums,
)
from mmroute.outcomes.splits import SLICE
from mmroute.predictions import Predictions
from mmroute.storage import read_table, write_frame, write_json

oracle = importlib.import_module("oracle")
Point = oracle.Point

pytestmark = pytest.mark.slow

UNIT = 2.0
N_RESAMPLES = 12
SEED = 5
COMPARED = [0, 1, 2, N_RESAMPLES]
KINDS = {"plain": 40, "overhead": 10, "flat": 10, "sparse": 15, "decimal": 15}
"""How many tables. In ``overhead`` a decision costs something; in ``flat`` all models cost the
same; in ``sparse`` a resample, or a slice, may have no outcome of a model, and a slice no
cross-fitted prediction; in ``decimal`` rounding hides what is equal."""
POLICIES = ["lambda", "budget"]
GROUPS = ["curve", "aiq", "honest", "policy"]
REFERENCES = ["best_single", "zero", "zero_hindsight"]


# --- tables -------------------------------------------------------------------------------------


def draw_outcomes(generator, kind, shape):
    """Draw utilities and costs; sums are exact where there are ties, but for ``decimal``."""
    n_samples, n_models = shape
    utilities = [
        (generator.random(shape) < generator.random(n_models)).astype(float),
        generator.integers(0, 9, shape) / 8,
        generator.random(shape),
    ]
    levels = generator.integers(1, 9, shape) / 4
    costs = [
        generator.lognormal(size=shape) * np.geomspace(1, 8, n_models),
        levels * 2.0 ** np.arange(n_models),
        levels * (np.arange(n_models) > 0),
    ]
    if kind == "decimal":
        utilities = [generator.integers(0, steps + 1, shape) / steps for steps in (3, 10)]
        prices = np.array([0.1, 0.2, 0.3, 0.7, 1.1])[:n_models]
        costs += [np.tile(prices, (n_samples, 1)), np.full(shape, 0.3)]
    if kind == "overhead":
        # Of which a sum of many is exact, too.
        utilities = utilities[:2]
    if kind == "flat":
        costs = [np.full(shape, 3.0), np.zeros(shape)]
    utility, cost = (of[generator.integers(len(of))] for of in (utilities, costs))
    missing = generator.random(shape) < (0.5 if kind == "sparse" else generator.choice([0, 0.2]))
    missing[np.arange(n_samples), generator.integers(0, n_models, n_samples)] = False
    utility[missing] = cost[missing] = np.nan
    return {"utility": utility, "cost": cost}


def draw_predictions(generator, kind, table, grid, n_trials):
    """Draw predictions beyond 0 and 1, half the time on few levels."""
    shape = (n_trials, *table.utility.shape)
    ties = generator.random() < 0.5
    return Predictions(
        table.samples["sample_id"],
        generator.integers(-2, 11, shape) / 8 if ties else generator.normal(0.5, 0.4, shape),
        generator.integers(0, 9, shape) / 8 if ties else generator.lognormal(size=shape),
        grid,
        None if grid is None else generator.integers(0, 5, (len(grid), *shape[1:])) / 4,
        generator.integers(0, 5, shape[1]) / 32 if kind == "overhead" else None,
    )


def leave_gaps(generator, kind, crossfit, training):
    """Take predictions away; all of a sample only if its data set has another one, or in sparse."""
    observed = np.isfinite(training.utility)
    gaps = generator.random(observed.shape) < 0.4
    first = np.arange(len(gaps)), observed.argmax(axis=1)
    gaps[first] &= training.samples["dataset"].duplicated().to_numpy()
    if kind == "sparse":
        gaps[1:] |= generator.random((len(gaps) - 1, 1)) < 0.3
    for of in (crossfit.u_hat, crossfit.c_hat) if crossfit.scores is None else (crossfit.scores,):
        of[:, gaps] = np.nan


def is_fit(kind, setting, test, training):
    """Tell whether a table has what its metrics need, and no other kind's difficulty."""
    tests, once = setting.weights().astype(float), np.ones(len(training.utility))
    for rows, own in slices_of(setting).values():
        alone = [oracle.singles(test, rows, weight) for weight in tests]
        if not oracle.train([], oracle.singles(training, own, once), alone[0]).zero:
            return False
        cost = np.array([[point.cost for point in points] for points in alone])
        if kind != "sparse" and np.isnan(cost).any():
            return False
        if kind in ("plain", "overhead") and np.ptp(cost, axis=1).min() < 1e-3:
            return False
    return True


@pytest.fixture
def draw(make_table, make_setting):
    """Return what draws a table, who trains, the setting, and the router's predictions."""

    def try_once(generator, kind, policy):
        names = ["A", "B", "C"][: generator.integers(1, 4)]
        n_test, n_train = generator.integers(6, 31), generator.integers(4, 21)
        shape = n_samples, _ = n_test + n_train, generator.integers(2, 6)
        table = make_table(*shape, **draw_outcomes(generator, kind, shape))
        in_train = generator.permutation(n_samples) < n_train
        dataset = np.empty(n_samples, object)
        shares = generator.dirichlet(np.ones(len(names)))
        dataset[~in_train] = [*names, *generator.choice(names, n_test - len(names), p=shares)]
        # Some data set may have no training samples, or no others.
        trained = [*names[generator.integers(len(names)) :], "D"]
        dataset[in_train] = generator.choice(trained, n_train)
        table.samples["dataset"] = dataset
        if generator.random() < 0.5:
            table.samples["group"] = generator.integers(0, n_samples // 2, n_samples).astype(str)
        parts = table.take(~in_train), table.take(in_train)
        setting = make_setting(*parts, UNIT, policy, N_RESAMPLES, SEED)
        grid = np.array([0.0, 0.5, 2.0]) if generator.random() < 0.2 else None
        n_trials = 1 if grid is not None else generator.choice([1, 3])
        predictions = draw_predictions(generator, kind, parts[0], grid, n_trials)
        crossfit = draw_predictions(generator, kind, parts[1], grid, 1)
        if generator.random() < 0.5:
            leave_gaps(generator, kind, crossfit, parts[1])
        return table, in_train, setting, predictions, crossfit

    def draw_fit(kind, policy, seed):
        generator = np.random.default_rng([seed, *map(ord, kind + policy)])
        while True:
            drawn = try_once(generator, kind, policy)
            trials, training = samples_of(*drawn[2:])
            if is_fit(kind, drawn[2], trials[0], training):
                return drawn

    return draw_fit


# --- comparison ---------------------------------------------------------------------------------


def samples_of(setting, predictions, crossfit):
    """Return the trials and the training samples as the oracle takes them."""

    def convert(table, part, trial):
        overhead = np.zeros(len(table.samples)) if part.overhead is None else part.overhead
        given = part.u_hat[trial], part.c_hat[trial], overhead, part.grid, part.scores
        return oracle.Samples(table.utility, table.cost / setting.unit, *given)

    trials = [convert(setting.table, predictions, trial) for trial in range(len(predictions.u_hat))]
    return trials, convert(setting.training, crossfit, 0)


def slices_of(setting):
    """Return the rows of each data set's test and training samples, and of all."""
    tested, trained = (of.samples["dataset"].to_numpy() for of in (setting.table, setting.training))
    every = np.arange(len(trained))
    rows = {}
    for name in dict.fromkeys(tested):
        own = np.flatnonzero(trained == name)
        rows[name] = np.flatnonzero(tested == name), own if len(own) else every
    return rows | {"full": (np.arange(len(tested)), every)}


def expected_of(setting, *parts):
    """Return the oracle's values of the router, and those of what needs none."""
    trials, training = samples_of(setting, *parts)
    rest = slices_of(setting), setting.weights()[COMPARED].astype(float)
    return (
        oracle.evaluate(trials, training, *rest, setting.policy, UNIT),
        oracle.evaluate_references(trials[0], training, *rest),
    )


def values_in(replicates, *columns):
    """Return the values to be compared by what some columns say, the metric last."""
    keys = replicates[[*columns, "metric"]].itertuples(index=False, name=None)
    return {
        key: values[COMPARED] if len(values) > 1 else values
        for key, values in zip(keys, replicates["replicates"], strict=True)
    }


def group_of(first, point, metric):
    """Return the group of a metric of a router; of a reference, which one it is."""
    if first in REFERENCES:
        return first
    if point:
        return "policy"
    if metric.startswith(("aiq", "majorant")):
        return "aiq"
    honest = metric.endswith("_honest") or metric.startswith(("saving_", "qnc_"))
    return "honest" if honest else "curve"


def apart(found, expected, seed):
    """Return by group and metric an example of what differs, or what only one of the two knows."""
    examples = defaultdict(dict)
    for key in sorted(found.keys() | expected.keys()):
        own, other = found.get(key), expected.get(key)
        if not (
            own is not None
            and other is not None
            and len(own) == len(other)
            and np.allclose(own, other, rtol=1e-9, atol=1e-9, equal_nan=True)
        ):
            examples[group_of(*key)].setdefault(key[-1].split()[0], (seed, *key, own, other))
    return examples


def router_apart(drawn, seed):
    found = values_in(evaluate(*drawn[2:]).replicates, "dataset", "point")
    return apart(found, expected_of(*drawn[2:])[0], seed)


def references_apart(drawn, seed):
    expected = expected_of(*drawn[2:])[1]
    found = values_in(evaluate_singles(drawn[2])[0], "router", "dataset")
    # Rows of static mixtures may repeat a metric under an honest one's name.
    return apart({key: found[key] for key in found.keys() & expected.keys()}, expected, seed)


@pytest.fixture
def over_all(draw):
    """Return what compares all tables of a kind, and remembers the examples that it finds."""

    def compare(measure, kind, policy):
        if (measure, kind, policy) not in REMEMBERED:
            examples = defaultdict(dict)
            for seed in range(KINDS[kind]):
                for group, own in measure(draw(kind, policy, seed), seed).items():
                    examples[group] = own | examples[group]
            REMEMBERED[measure, kind, policy] = examples
        return REMEMBERED[measure, kind, policy]

    return compare


REMEMBERED = {}


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_router_has_the_values_of_the_oracle(over_all, kind, policy, group):
    assert not over_all(router_apart, kind, policy)[group]


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("kind", KINDS)
def test_what_needs_no_router_has_the_values_of_the_oracle(over_all, kind, reference):
    assert not over_all(references_apart, kind, "lambda")[reference]


# --- shards -------------------------------------------------------------------------------------


def full_grid(setting, predictions, crossfit):
    """Return every breakpoint of test and training samples, and every prediction."""
    start = [0.0 if setting.policy == "lambda" else -np.inf]
    thresholds = [start if predictions.grid is None else predictions.grid]
    for table, part in ((setting.table, predictions), (setting.training, crossfit)):
        for u_hat, c_hat in zip(np.clip(part.u_hat, 0, 1), part.c_hat, strict=True):
            if part.grid is None:
                known = np.isfinite(table.utility) & np.isfinite(u_hat)
                kept = known.any(axis=1)
                filled = np.nan_to_num(u_hat)[kept], np.nan_to_num(c_hat)[kept]
                steps = policy_steps(*filled, known[kept], setting.policy)
                thresholds.append(steps.threshold)
    levels = np.unique(predictions.u_hat)
    edges = np.tile(levels, (predictions.u_hat.shape[-1], 1))
    return Grid(np.unique(np.concatenate(thresholds)), edges)


def in_shards(folder, drawn, size):
    """Return what was measured in shards of some rows, of the router and of what needs none."""
    table, in_train, setting, *parts = drawn
    table.write(folder / "outcomes")
    write_json(folder / "outcomes/pool.json", {"unit_usd": UNIT, "left_out": []})
    columns = {"sample_id": table.samples["sample_id"], SLICE: table.samples["dataset"]}
    write_frame(folder / "splits.parquet", pd.DataFrame(columns | {"0": in_train}))
    files = folder / "predictions.parquet", folder / "crossfit.parquet"
    for file, part in zip(files, parts, strict=True):
        part.write(file)
    given = folder / "outcomes", folder / "splits.parquet", "0"
    write_json(folder / "layout.json", lay_out(*given, size))
    how = {"policy": setting.policy, "n_resamples": N_RESAMPLES, "seed": SEED}
    sharded = Sharded.read(folder / "layout.json", *given, **how)
    numbers = range(len(sharded.shards))
    curves, points = ([folder / f"{kind} {of}" for of in numbers] for kind in ("curve", "point"))
    grid = full_grid(setting, *parts)
    for number in numbers:
        write_sums(curves[number], *sum_shard(sharded, number, *files, grid))
    write_frame(folder / "cuts.parquet", gather_points(sharded, curves, files[0]))
    cuts = read_table(folder / "cuts.parquet").to_pandas()
    for number in numbers:
        write_points(points[number], sum_points(sharded, number, files[0], cuts))
    return gather(sharded, curves, cuts, points).replicates, gather_singles(sharded)[0]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seed", range(6))
def test_shards_have_the_values_of_the_oracle(draw, tmp_path, policy, seed):
    drawn = draw("plain", policy, seed)
    router, references = in_shards(tmp_path, drawn, size=[60, 20, 9][seed % 3])
    given = tmp_path / "outcomes", tmp_path / "splits.parquet", "0"
    setting = Setting.read(*given, policy=policy, n_resamples=N_RESAMPLES, seed=SEED)
    expected = expected_of(setting, *drawn[3:])
    found = values_in(references, "router", "dataset")
    assert not apart(values_in(router, "dataset", "point"), expected[0], seed)
    assert not apart({key: found.get(key) for key in expected[1]}, expected[1], seed)


# --- the oracle itself, by hand -----------------------------------------------------------------

ALONE = [Point(1, 0.4, 0), Point(2, 0.8, 1), Point(4, 0.6, 2)]


def test_the_oracle_measures_a_curve_as_by_hand():
    measured = oracle.curve_metrics([Point(3, 0.8), Point(3.5, 0.8)], ALONE, ALONE[:2])
    # From (1, 0.4), the cheapest model, up to (3, 0.8) and on; the static line up to (2, 0.8).
    assert measured["nauc"] == pytest.approx((1.2 + 0.8) / 3)
    assert measured["gain"] == pytest.approx((1.2 + 0.8 - 0.6 - 1.6) / 3)
    assert measured["qnc"] == 1.5
    # Half of log 4 is saved by model 1.
    assert oracle.rank_score(ALONE[1], ALONE) == pytest.approx(110 * 0.8 * 0.5 / 0.58)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([(0, 0.2), (1, 0.3), (2, 0.8)], (1 + 1.6) / 4),
        ([(0, 0.2), (8, 1.0)], (0.2 + 0.6) / 2),
        ([(4, 0.9)], 0),
        ([(5, 0.9)], 0),
    ],
)
def test_the_oracle_takes_the_majorant_up_to_the_dearest_model(points, expected):
    measured = oracle.curve_metrics([Point(*point) for point in points], ALONE, ALONE[:2])
    assert measured["aiq"] == pytest.approx(expected)


def test_the_oracle_carries_a_point_to_the_first_of_the_nearest_costs():
    known, other = [1.0, 0.5, 0.45, 0.0], [0.9, 0.6, 0.4 + 1e-12, 0.4, 0.1]
    # Ends stand for each other.
    assert [oracle.nearest(point, known, other, "lambda") for point in range(4)] == [0, 1, 2, 4]
    # What rises on the way down counts as what it came from.
    assert oracle.nearest(1, known, [0.9, 0.3, 0.5, 0.1], "lambda") == 1
    assert oracle.nearest(0, [0.5], [0.9, 0.4, 0.1], "lambda") == 1
    # Of a budget the last that costs as much, but none for none.
    assert [oracle.nearest(at, [0.0, 0.5], [0.0, 0.5, 0.5], "budget") for at in (0, 1)] == [0, 2]


def test_the_oracle_takes_predicted_costs_as_far_as_labels_bear_them_out():
    """Of the first model costs rise by half of what is told, of the second not at all."""
    cost = np.array([[1.0, 2.0], [2.0, 3.0], [3.0, 2.0], [np.nan, 3.0]])
    told = np.array([[2.0, 1.0], [4.0, 2.0], [6.0, 3.0], [9.0, 1.0]])
    told[3, 0] = np.nan
    training = oracle.Samples(np.ones((4, 2)), cost, np.ones((4, 2)), told, np.zeros(4))
    tested = oracle.Samples(*np.ones((3, 2, 2)), np.array([[3.0, 5.0], [5.0, 9.0]]), np.zeros(2))
    expected = [[2 - 0.5, 2.5], [2 + 0.5, 2.5]]
    np.testing.assert_allclose(oracle.borne_out(training, tested), expected, atol=0.2)
    np.testing.assert_allclose(oracle.borne_out(training, tested)[:, 0], [1.5, 2.5])
