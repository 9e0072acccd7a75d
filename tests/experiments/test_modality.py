"""What text, image and both together tell a router."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmroute.evaluation.bootstrap import resample_weights
from mmroute.evaluation.metrics import single_models
from mmroute.evaluation.static import majorant_models
from mmroute.experiments.findings import METRICS, measure, summarise
from mmroute.experiments.modality import SINGLE_MODEL, Modality
from mmroute.outcomes.benchmark import Benchmark
from mmroute.predictions import Predictions
from mmroute.routers.kmeans import KMeans
from mmroute.routers.knn import KNN

B = 20
N = 240


@pytest.fixture
def benchmark(make_table):
    """Text tells when the second model is right, the image when the third is."""
    generator = np.random.default_rng(3)
    facts = generator.normal(size=(N, 2))
    table = make_table(n_samples=N)
    utility = np.column_stack([facts.max(axis=1) < 0, facts > 0]).astype(float)
    cost = np.array([1.0, 3.0, 9.0]) * generator.lognormal(0, 0.1, (N, 3))
    in_train = np.arange(N) % 3 == 0
    features = {
        "text": facts[:, :1],
        "image": facts[:, 1:],
        "concat": facts,
        "copy": facts[:, :1].copy(),
    }
    own = Benchmark(replace(table, utility=utility, cost=cost), 9.0, in_train, ~in_train)
    return own, features


def run(benchmark, n_clusters=(2, 8), **routers):
    experiment = Modality(n_clusters)
    return experiment.findings(*benchmark, routers or {"kmeans": KMeans()}, "lambda", B, 0)


def value(found, features, metric, minus="", router="kmeans"):
    rows = found.query("router == @router and features == @features and metric == @metric")
    return rows.loc[rows["minus"] == minus, "replicates"].item()


def points(found, features="concat"):
    """Return accuracy and cost by budget."""
    rows = found.query("router == 'kmeans' and features == @features and budget == budget")
    rows = rows.assign(value=rows["replicates"].str[0].astype(float))
    return rows.pivot(index="budget", columns="metric", values="value")


def test_both_modalities_together_beat_either_where_each_tells_a_part(benchmark):
    found = run(benchmark)
    for other in ("text", "image"):
        assert value(found, "concat", "peak_score", other)[0] > 0.05
        gain = value(found, "concat", "nauc") - value(found, other, "nauc")
        np.testing.assert_allclose(value(found, "concat", "nauc", other), gain)


def test_features_that_are_the_same_differ_by_nothing(benchmark):
    found = run(benchmark)
    for metric in METRICS:
        np.testing.assert_array_equal(value(found, "copy", metric, "text"), 0)


def test_the_joint_frontier_is_no_lower_than_that_of_any_number_of_clusters(benchmark):
    joint, few, many = (points(run(benchmark, sizes)) for sizes in ((2, 8), (2,), (8,)))
    for alone in (few, many):
        assert (joint["accuracy"] >= alone["accuracy"] - 1e-12)[alone.index].all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**16), settings_count=st.integers(1, 4))
def test_another_setting_never_lowers_a_joint_frontier(seed, settings_count):
    generator = np.random.default_rng(seed)
    utility = (generator.random((30, 4)) < 0.5).astype(float)
    cost = generator.lognormal(size=(30, 4))
    weights = resample_weights(pd.DataFrame({"dataset": "A", "group": range(30)}), 5, 0)
    singles = single_models(utility, cost, weights)
    drawn = [
        Predictions(pd.Series(range(30)), *generator.random((2, 1, 30, 4)))
        for _ in range(settings_count + 1)
    ]
    fewer, more = (
        measure(own, utility, cost, weights, singles, "lambda") for own in (drawn[:-1], drawn)
    )
    assert (more["peak_score"] >= fewer["peak_score"] - 1e-12).all()
    assert (more["qnc"] <= fewer["qnc"] + 1e-12).all()


def test_only_kmeans_is_swept(benchmark):
    once, twice = (
        value(run(benchmark, sizes, knn=KNN(5)), "concat", "nauc", router="knn")
        for sizes in ((2,), (2, 8))
    )
    np.testing.assert_array_equal(once, twice)


def test_the_prototypes_are_left_unfitted(benchmark):
    router = KMeans(n_clusters=3)
    run(benchmark, kmeans=router)
    assert vars(router) == {"n_clusters": 3, "random_state": 0}


def test_the_frontier_s_points_rise_within_their_budgets_up_to_the_peak(benchmark):
    found = run(benchmark)
    shown = points(found)
    assert (shown["cost"] <= shown.index + 1e-12).all()
    assert shown.index.is_monotonic_increasing
    assert (np.diff(shown["accuracy"]) >= 0).all()
    assert shown["accuracy"][np.inf] == pytest.approx(value(found, "concat", "peak_score")[0])


def test_the_budgets_are_the_same_under_every_split(benchmark):
    own, features = benchmark
    swapped = Benchmark(own.table, own.unit, own.in_test, own.in_train)
    ends = [points(run((one, features))).index[-2:].tolist() for one in (own, swapped)]
    assert ends[0] == ends[1] == [pytest.approx((own.table.cost / 9).mean(axis=0).max()), np.inf]


def test_single_models_stand_beside_the_frontiers(benchmark):
    own, _ = benchmark
    models = run(benchmark)
    models = models[(models["router"] == SINGLE_MODEL) & (models["metric"] == "accuracy")]
    assert models["model"].tolist() == own.table.model_names
    np.testing.assert_allclose(
        models["replicates"].str[0].astype(float), own.test.utility.mean(axis=0)
    )


def test_static_mixtures_are_of_models_that_training_and_the_test_split_choose(benchmark):
    own, _ = benchmark
    found = run(benchmark)
    for name, table in (("zero", own.train), ("zero_hindsight", own.test)):
        mixed = found[(found["router"] == name) & (found["metric"] == "cost")]
        expected = majorant_models(table.cost.mean(axis=0), table.utility.mean(axis=0))
        assert mixed["model"].tolist() == [own.table.model_names[model] for model in expected]


def test_gaps_in_the_outcomes_are_allowed_and_a_free_model_too(benchmark):
    own, features = benchmark
    gaps = np.random.default_rng(1).random((N, 3)) < 0.3
    gaps[:, 0] = False
    utility, cost = (np.where(gaps, np.nan, one) for one in (own.table.utility, own.table.cost))
    cost[:, 0] = 0
    found = run((replace(own, table=replace(own.table, utility=utility, cost=cost)), features))
    assert np.isfinite(np.stack(found.query("metric != 'qnc'")["replicates"])).all()


def test_the_table_says_what_both_modalities_add(benchmark, tmp_path):
    table = summarise([run(benchmark)])
    shown = Modality().present(table).set_index("Features")
    assert shown.index.tolist() == ["text", "image", "concat", "copy"]
    assert shown.loc["text", "nAUC, minus image"] == "–"
    assert shown.loc["copy", "nAUC, minus text"] == "0.000 [0.000, 0.000]"
    table.to_csv(tmp_path / "fig2.csv", index=False)
    pd.testing.assert_frame_equal(
        Modality().present(pd.read_csv(tmp_path / "fig2.csv")),
        Modality().present(table),
        check_dtype=False,
    )
