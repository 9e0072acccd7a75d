"""Trained on one data set of a scenario, tested on another."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mmroute.evaluation.static import ZERO
from mmroute.experiments.findings import summarise
from mmroute.experiments.shift import BEST_SINGLE, IN_DOMAIN, METRICS, NO_PAIRS, Shift, scenarios
from mmroute.outcomes.benchmark import Benchmark
from mmroute.routers.baselines import Strongest
from mmroute.routers.linear import Linear

B = 40
N = 900
DATASETS = ("A", "B", "C")


def benchmark_of(make_table, signs=(1, 1, 1), scenario=("S", "S", "S")):
    """The sign of a data set turns what the features say of the two models."""
    generator = np.random.default_rng(3)
    table = make_table(n_samples=N, n_models=2, datasets=DATASETS)
    dataset = table.samples["dataset"]
    features = generator.normal(size=(N, 1))
    turned = features[:, 0] * dataset.map(dict(zip(DATASETS, signs, strict=True)))
    utility = np.column_stack([turned < 0, turned > 0]).astype(float)
    cost = np.array([1.0, 4.0]) * generator.lognormal(0, 0.1, (N, 2))
    samples = table.samples.assign(scenario=dataset.map(dict(zip(DATASETS, scenario, strict=True))))
    in_train = np.arange(N) // 3 % 2 == 0
    own = Benchmark(
        replace(table, samples=samples, utility=utility, cost=cost), 4.0, in_train, ~in_train
    )
    return own, features


def run(benchmark, router=None):
    own, features = benchmark
    return Shift().findings(own, {"own": features}, {"own": router or Linear()}, "lambda", B, 0)


def value(found, train="", test="", metric="peak_score", minus="", router="own"):
    rows = found.query(
        "train == @train and test == @test and metric == @metric and router == @router"
    )
    return rows.loc[rows["minus"] == minus, "replicates"].item()


def test_between_data_sets_alike_nothing_is_lost(make_table):
    found = run(benchmark_of(make_table))
    for metric in ("peak_score", "nauc"):
        assert np.abs(value(found, metric=metric, minus=IN_DOMAIN)[0]) < 0.02
        assert (value(found, metric=metric, minus=BEST_SINGLE) > 0.1).all()
        assert (value(found, metric=f"{metric}_honest", minus=ZERO) > 0.1).all()


def test_points_are_chosen_where_the_router_comes_from(make_table):
    """Spoilt outcomes of A's test split choose other points of the router from A, not from B."""
    own, features = benchmark_of(make_table)
    dataset = own.table.samples["dataset"].to_numpy()
    spoilt = own.table.utility.copy()
    held = own.in_test & (dataset == "A")
    spoilt[held] = 1 - spoilt[held]
    expected = run((own, features))
    found = run((replace(own, table=replace(own.table, utility=spoilt)), features))
    for metric in ("nauc_honest", "peak_score_honest"):
        for pair, same in ((("A", "C"), False), (("B", "C"), True)):
            there = value(found, *pair, metric=metric), value(expected, *pair, metric=metric)
            assert np.array_equal(*there) == same
    for metric in ("nauc", "peak_score"):
        pair = value(found, "A", "C", metric=metric), value(expected, "A", "C", metric=metric)
        np.testing.assert_array_equal(*pair)


def test_where_another_data_set_turns_the_features_round_the_router_loses(make_table):
    found = run(benchmark_of(make_table, signs=(1, -1, 1)))
    assert np.abs(value(found, "A", "C", minus=IN_DOMAIN)[0]) < 0.05
    for pair in (("A", "B"), ("B", "A"), ("B", "C"), ("C", "B")):
        assert (value(found, *pair, minus=IN_DOMAIN) < -0.2).all()


def test_differences_are_paired(make_table):
    found = run(benchmark_of(make_table, signs=(1, -1, 1)))
    shifted = value(found, "A", "B")
    for minus, other in (
        (BEST_SINGLE, value(found, "", "B", router=BEST_SINGLE)),
        (ZERO, value(found, "A", "B", router=ZERO)),
        (IN_DOMAIN, value(found, IN_DOMAIN, "B")),
    ):
        np.testing.assert_allclose(value(found, "A", "B", minus=minus), shifted - other)


def test_static_mixtures_are_chosen_where_the_router_is_trained(make_table):
    own, features = benchmark_of(make_table)
    in_a = (own.table.samples["dataset"] == "A").to_numpy()
    # On A only the dear model is ever right, elsewhere the cheap one.
    utility = np.where(in_a[:, None], [0.0, 1.0], [0.8, 0.4])
    cost = np.tile([1.0, 4.0], (N, 1))
    turned = replace(own, table=replace(own.table, utility=utility, cost=cost))
    found = run((turned, features))
    static = {
        (train, test, metric): value(found, train, test, metric, router=ZERO)
        for train, test in (("A", "B"), ("B", "A"), ("C", "B"), (IN_DOMAIN, "A"))
        for metric in METRICS
    }
    # A mixes both, B and C take the cheap model alone, which is never right on A.
    for cell, area, peak in (
        (("A", "B"), 0.6, 0.8),
        (("B", "A"), 0.0, 0.0),
        (("C", "B"), 0.8, 0.8),
        ((IN_DOMAIN, "A"), 0.5, 1.0),
    ):
        np.testing.assert_allclose(static[*cell, "nauc"], area, atol=1e-12)
        np.testing.assert_allclose(static[*cell, "peak_score"], peak)


def test_a_scenario_is_the_mean_over_its_pairs(make_table):
    found = run(benchmark_of(make_table, signs=(1, -1, 1)))
    pairs = [(a, b) for a in DATASETS for b in DATASETS if a != b]
    for minus in ("", BEST_SINGLE, ZERO, IN_DOMAIN):
        mean = np.mean([value(found, *pair, minus=minus) for pair in pairs], axis=0)
        np.testing.assert_allclose(value(found, minus=minus), mean)
    np.testing.assert_allclose(
        value(found, minus=IN_DOMAIN), value(found) - value(found, IN_DOMAIN)
    )
    np.testing.assert_allclose(
        value(found, minus=BEST_SINGLE), value(found) - value(found, router=BEST_SINGLE)
    )
    np.testing.assert_allclose(value(found, minus=ZERO), value(found) - value(found, router=ZERO))


def test_pairs_stay_within_their_scenario(make_table):
    found = run(benchmark_of(make_table, scenario=("S", "T", "S")))
    assert set(found["scenario"]) == {"S"}
    assert {*found["train"]} == {"", IN_DOMAIN, "A", "C"}


def test_a_model_that_one_data_set_does_not_know_is_in_no_pool_of_the_scenario(make_table):
    own, features = benchmark_of(make_table)
    third = np.ones((N, 1))
    utility = np.hstack([own.table.utility, third])
    cost = np.hstack([own.table.cost, third])
    unknown = (own.table.samples["dataset"] == "A").to_numpy() & own.in_train
    utility[unknown, 2] = cost[unknown, 2] = np.nan
    table = make_table(n_samples=N, n_models=3, datasets=DATASETS)
    wider = replace(
        own, table=replace(table, samples=own.table.samples, utility=utility, cost=cost)
    )
    (scenario,) = scenarios(wider)
    assert scenario.benchmark.table.model_names == own.table.model_names
    pd.testing.assert_frame_equal(run((wider, features)), run((own, features)))


def test_samples_that_no_common_model_has_answered_are_left_out(make_table):
    own, features = benchmark_of(make_table)
    gaps = np.random.default_rng(0).random(N) < 0.3
    utility, cost = own.table.utility.copy(), own.table.cost.copy()
    utility[gaps] = cost[gaps] = np.nan
    sparse = Benchmark(
        replace(own.table, utility=utility, cost=cost),
        own.unit,
        own.in_train & ~gaps,
        own.in_test & ~gaps,
    )
    assert np.isfinite(np.stack(run((sparse, features))["replicates"])).all()


def test_a_constant_router_is_the_best_single_model_of_where_it_was_trained(make_table):
    own, features = benchmark_of(make_table, signs=(1, -1, 1))
    found = run((own, features), Strongest())
    in_b = (own.test.samples["dataset"] == "B").to_numpy()
    trained = own.train.utility[(own.train.samples["dataset"] == "A").to_numpy()]
    expected = own.test.utility[in_b][:, trained.mean(axis=0).argmax()].mean()
    assert value(found, "A", "B")[0] == pytest.approx(expected)


def test_without_two_data_sets_in_a_scenario_there_is_nothing_but_a_note(make_table, tmp_path):
    found = run(benchmark_of(make_table, scenario=("S", "T", "U")))
    assert found.empty
    table = summarise([found])
    assert Shift().present(table).to_dict("list") == {"Note": [NO_PAIRS]}
    table.to_csv(tmp_path / "table4.csv", index=False)
    assert Shift().present(pd.read_csv(tmp_path / "table4.csv")).to_dict("list") == {
        "Note": [NO_PAIRS]
    }


def test_the_table_has_the_means_first_and_then_each_pair(make_table, tmp_path):
    found = run(benchmark_of(make_table))
    table = summarise([found])
    shown = Shift().present(table)
    assert len(shown) == 7
    assert shown["Tested on"][0] == "mean over pairs"
    first = shown.query("`Trained on` == 'A' and `Tested on` == 'B'").iloc[0]
    assert first["Peak score"].startswith(f"{value(found, 'A', 'B')[0]:.3f} [")
    gain = value(found, "A", "B", "nauc", ZERO)[0]
    assert first["nAUC, minus best static mixture"].startswith(f"{gain:.3f} [")
    assert first["Peak score, in domain"].startswith(f"{value(found, IN_DOMAIN, 'B')[0]:.3f} [")
    table.to_csv(tmp_path / "table4.csv", index=False)
    pd.testing.assert_frame_equal(Shift().present(pd.read_csv(tmp_path / "table4.csv")), shown)
