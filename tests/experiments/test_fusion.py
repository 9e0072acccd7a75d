"""Adaptive fusion against the mean of both embeddings."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mmroute.evaluation.bootstrap import curve_metrics, evaluation_weights
from mmroute.evaluation.curve import steps_of
from mmroute.evaluation.metrics import single_models
from mmroute.experiments.findings import summarise
from mmroute.experiments.fusion import ADAPTIVE, MEAN, Fusion
from mmroute.outcomes.benchmark import Benchmark
from mmroute.routers.knn import KNN
from mmroute.routers.linear import Linear
from mmroute.training import train_and_predict

B = 20
N = 150
METRICS = ("nauc", "peak_score", "qnc")


@pytest.fixture
def benchmark(make_table):
    """Features that tell which of two models is right, and features of noise."""
    generator = np.random.default_rng(3)
    telling = generator.normal(size=(N, 2))
    table = make_table(n_samples=N, n_models=2)
    utility = (telling > 0).astype(float)
    cost = np.array([1.0, 4.0]) * generator.lognormal(0, 0.1, (N, 2))
    in_train = np.arange(N) % 2 == 0
    own = Benchmark(replace(table, utility=utility, cost=cost), 4.0, in_train, ~in_train)
    return own, telling, generator.normal(size=(N, 2))


def run(benchmark, mean, adaptive, **routers):
    features = {MEAN: mean, ADAPTIVE: adaptive}
    return Fusion().findings(benchmark, features, routers or {"linear": Linear()}, "lambda", B, 0)


def value(found, fusion, metric, minus="", router="linear"):
    rows = found.query("router == @router and fusion == @fusion and metric == @metric")
    return rows.loc[rows["minus"] == minus, "replicates"].item()


def test_a_fusion_less_itself_is_nothing(benchmark):
    own, telling, noise = benchmark
    for features in (telling, noise):
        found = run(own, features, features)
        for metric in METRICS:
            np.testing.assert_array_equal(value(found, ADAPTIVE, metric, MEAN), 0)


def test_features_that_tell_more_gain(benchmark):
    own, telling, noise = benchmark
    found = run(own, noise, telling)
    assert (value(found, ADAPTIVE, "peak_score", MEAN) > 0.1).all()
    swapped = run(own, telling, noise)
    np.testing.assert_array_equal(
        value(swapped, ADAPTIVE, "nauc", MEAN), -value(found, ADAPTIVE, "nauc", MEAN)
    )


def test_each_value_is_what_the_router_measures_alone(benchmark):
    own, telling, noise = benchmark
    found = run(own, noise, telling, linear=Linear(), knn=KNN(5))
    test, cost = own.test, own.test.cost / own.unit
    weights = evaluation_weights(own, B, 0)
    steps = steps_of(
        train_and_predict(KNN(5), own, telling), 0, np.isfinite(test.utility), "lambda"
    )
    singles = single_models(test.utility, cost, weights)
    alone = curve_metrics([steps], test.utility, cost, weights, singles)
    for metric in METRICS:
        np.testing.assert_allclose(value(found, ADAPTIVE, metric, router="knn"), alone[metric])


def test_two_fusions_that_never_reach_parity_do_not_differ_in_qnc(benchmark):
    own, _, noise = benchmark
    # Training shows the cheap model to be the better one, the test the dear one.
    utility = np.column_stack([own.in_train, own.in_test]).astype(float)
    cost = np.tile([1.0, 4.0], (N, 1))
    misled = replace(own, table=replace(own.table, utility=utility, cost=cost))
    found = run(misled, noise, np.zeros((N, 1)), knn=KNN(5))
    for fusion in (MEAN, ADAPTIVE):
        assert np.isposinf(value(found, fusion, "qnc", router="knn")).all()
    np.testing.assert_array_equal(value(found, ADAPTIVE, "qnc", MEAN, router="knn"), 0)


def test_the_table_has_a_row_per_router(benchmark, tmp_path):
    own, telling, noise = benchmark
    table = summarise([run(own, noise, telling, linear=Linear(), knn=KNN(5))])
    shown = Fusion().present(table)
    assert shown["Router"].tolist() == ["linear", "knn"]
    gain = table.query("router == 'knn' and metric == 'nauc' and minus == 'mean'")["value"].item()
    assert shown["nAUC, adaptive minus mean"][1].startswith(f"{gain:.3f} [")
    table.to_csv(tmp_path / "table3.csv", index=False)
    pd.testing.assert_frame_equal(Fusion().present(pd.read_csv(tmp_path / "table3.csv")), shown)
