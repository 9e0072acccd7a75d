from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from mmroute.errors import InputError
from mmroute.evaluation.bootstrap import curve_metrics, evaluation_weights
from mmroute.evaluation.curve import policy_steps, steps_of
from mmroute.evaluation.metrics import SingleModels, single_models
from mmroute.evaluation.static import ZERO, majorant_models
from mmroute.experiments.findings import METRICS, summarise
from mmroute.experiments.pool import (
    ALL,
    BEST_SINGLE,
    FULL_POOL,
    GROWTH,
    JOINED,
    LEAVE_ONE_OUT,
    NEWCOMER,
    OLD_POOL,
    Pool,
    Variation,
    variations,
    yardstick,
)
from mmroute.outcomes.benchmark import Benchmark
from mmroute.routers.baselines import Oracle, Strongest
from mmroute.routers.knn import KNN
from mmroute.routers.uniroute import UniRoute
from mmroute.training import train_and_predict

B = 20
PRICES = np.array([3.0, 1.0, 9.0, 27.0])


@pytest.fixture
def benchmark(make_table):
    """Four models: the first a dud, the others complementary and ever dearer."""
    generator = np.random.default_rng(3)
    table = make_table(n_samples=240, n_models=4)
    features = generator.normal(size=(240, 3))
    utility = np.column_stack([np.zeros(240), features > 0]).astype(float)
    cost = PRICES * generator.lognormal(0, 0.1, (240, 4))
    in_train = np.arange(240) % 3 == 0
    return Benchmark(
        replace(table, utility=utility, cost=cost), 27.0, in_train, ~in_train
    ), features


def run(benchmark, policy="lambda", **routers):
    own, features = benchmark
    everyone = own.table.model_names
    inputs = dict.fromkeys(routers, features)
    return Pool(everyone).findings(own, inputs, routers, policy, B, 0)


def value(found, **keys):
    keys = {"minus": "", "labels": ALL} | keys
    kept = np.logical_and.reduce([found[column] == key for column, key in keys.items()])
    (replicates,) = found["replicates"][kept]
    return replicates


def plain(benchmark, router):
    """Measure a router on the whole pool, as the main table does."""
    own, features = benchmark
    test, cost = own.test, own.test.cost / own.unit
    weights = evaluation_weights(own, B, 0)
    predictions = train_and_predict(clone(router, safe=False), own, features)
    steps = steps_of(predictions, 0, np.isfinite(test.utility), "lambda")
    singles = single_models(test.utility, cost, weights)
    return curve_metrics([steps], test.utility, cost, weights, singles)


@pytest.mark.parametrize("router", [KNN(n_neighbors=5), Strongest(), Oracle()])
def test_growth_ends_at_the_full_pool(benchmark, router):
    found = run(benchmark, own=router)
    expected = plain(benchmark, router)
    for metric in METRICS:
        own = value(found, study=GROWTH, router="own", models=4, metric=metric)
        np.testing.assert_allclose(own, expected[metric])


def test_the_pool_grows_from_the_cheapest_model(benchmark):
    found = run(benchmark, oracle=Oracle())
    grown = found[(found["study"] == GROWTH) & (found["router"] == "oracle")]
    assert grown.drop_duplicates("models")["model"].tolist() == [
        "model-1",
        "model-0",
        "model-2",
        "model-3",
    ]


def test_the_oracle_s_peak_is_monotone_in_the_pool(benchmark):
    found = run(benchmark, oracle=Oracle())
    peaks = np.array(
        [
            value(found, study=GROWTH, router="oracle", models=size, metric="peak_score")
            for size in range(1, 5)
        ]
    )
    assert (np.diff(peaks, axis=0) >= -1e-12).all()
    assert (np.diff(peaks[:, 0]) > 0.05).sum() == 2
    lost = found[(found["minus"] == FULL_POOL) & (found["metric"] != "qnc")]["replicates"]
    assert (np.stack(lost) <= 1e-12).all()


def test_a_dominated_model_that_is_never_right_is_not_missed(benchmark):
    found = run(benchmark, oracle=Oracle(), knn=KNN(n_neighbors=5))
    for metric in ("nauc", "peak_score", "qnc"):
        lost = value(
            found,
            study=LEAVE_ONE_OUT,
            router="oracle",
            model="model-0",
            metric=metric,
            minus=FULL_POOL,
        )
        np.testing.assert_allclose(lost, 0, atol=1e-12)
    lost = value(
        found, study=LEAVE_ONE_OUT, router="knn", model="model-0", metric="nauc", minus=FULL_POOL
    )
    assert abs(lost[0]) < 0.02
    lost = value(
        found, study=LEAVE_ONE_OUT, router="knn", model="model-1", metric="nauc", minus=FULL_POOL
    )
    assert lost[0] < -0.1


def test_all_labels_are_the_full_training(benchmark):
    own, _ = benchmark
    same = Variation(NEWCOMER, "model-2", (0, 1, 2, 3), own.in_train.sum()).apply(own)
    np.testing.assert_array_equal(same.table.utility, own.table.utility)
    found = run(benchmark, knn=KNN(n_neighbors=5))
    for model in own.table.model_names:
        everything = value(found, study=NEWCOMER, router="knn", model=model, metric="nauc")
        whole = value(found, study=GROWTH, router="knn", models=4, metric="nauc")
        np.testing.assert_array_equal(everything, whole)


def test_without_labels_a_new_model_is_no_part_of_the_pool(benchmark):
    found = run(benchmark, knn=KNN(n_neighbors=5))
    for metric in ("nauc", "peak_score", "qnc"):
        old, without = (
            value(found, study=study, router="knn", model="model-2", metric=metric, labels=labels)
            for study, labels in ((NEWCOMER, 0), (LEAVE_ONE_OUT, ALL))
        )
        np.testing.assert_array_equal(old, without)
        sizes = found[(found["study"] == NEWCOMER) & (found["labels"] == 0)]["models"]
        assert set(sizes) == {3}


def test_a_new_model_s_labels_are_drawn_by_hash_and_nested(benchmark):
    own, _ = benchmark
    known = []
    for count in (16, 64):
        pool = Variation(NEWCOMER, "model-2", (0, 1, 2, 3), count).apply(own)
        seen = np.isfinite(pool.table.utility)
        assert seen[own.in_train, 2].sum() == count
        assert seen[own.in_test].all()
        assert seen[:, [0, 1, 3]].all()
        for name in ("cost", "prompt_tokens", "completion_tokens"):
            np.testing.assert_array_equal(np.isfinite(getattr(pool.table, name)), seen)
        known.append(seen[:, 2])
    assert (known[1] | ~known[0]).all()

    order = np.random.default_rng(0).permutation(len(own.in_train))
    shuffled = Benchmark(own.table.take(order), own.unit, own.in_train[order], own.in_test[order])
    pool = Variation(NEWCOMER, "model-2", (0, 1, 2, 3), 16).apply(shuffled)
    np.testing.assert_array_equal(np.isfinite(pool.table.utility[:, 2]), known[0][order])


def test_counts_that_are_all_labels_are_left_out(benchmark):
    own, _ = benchmark
    varied = variations(own, own.table.model_names)
    counts = {one.labels for one in varied if one.study == NEWCOMER}
    assert own.in_train.sum() == 80
    assert counts == {16, 64}


def test_the_mean_over_the_newcomers_is_paired(benchmark):
    found = run(benchmark, knn=KNN(n_neighbors=5))
    own, _ = benchmark
    for minus in ("", OLD_POOL):
        keys = {"study": NEWCOMER, "router": "knn", "metric": "nauc", "labels": 16, "minus": minus}
        every = [value(found, model=name, **keys) for name in own.table.model_names]
        np.testing.assert_allclose(value(found, model="", **keys), np.mean(every, axis=0))


def test_a_pool_is_compared_with_its_own_best_single_model(benchmark):
    own, _ = benchmark
    found = run(benchmark, strongest=Strongest())
    accuracy = own.test.utility.mean(axis=0)
    for size, expected in ((1, accuracy[1]), (3, max(accuracy[1:3]))):
        single = value(found, study=GROWTH, router=BEST_SINGLE, models=size, metric="peak_score")
        assert single[0] == pytest.approx(expected)
    gain = value(
        found, study=GROWTH, router="strongest", models=1, metric="nauc", minus=BEST_SINGLE
    )
    np.testing.assert_allclose(gain, 0, atol=1e-12)


def test_a_pool_is_compared_with_the_static_mixtures_of_its_own_models(benchmark):
    own, _ = benchmark
    found = run(benchmark, knn=KNN(n_neighbors=5))
    train, test = own.train, own.test
    order = np.argsort(PRICES)
    cost = test.cost.mean(axis=0)
    for size in range(1, 5):
        models = np.sort(order[:size])
        chosen = majorant_models(
            train.cost.mean(axis=0)[models], train.utility.mean(axis=0)[models]
        )
        points = models[chosen][np.argsort(cost[models[chosen]])]
        grid = np.linspace(cost.min(), cost.max(), 100_001)
        height = np.interp(grid, cost[points], test.utility.mean(axis=0)[points]).mean()
        peak = test.utility.mean(axis=0)[points].max()
        for metric, expected in (("nauc", height), ("peak_score", peak)):
            keys = {"study": GROWTH, "models": size, "metric": metric}
            static = value(found, router=ZERO, **keys)
            assert static[0] == pytest.approx(expected, abs=1e-4)
            np.testing.assert_allclose(
                value(found, router="knn", minus=ZERO, **keys),
                value(found, router="knn", **keys) - static,
            )


def test_without_the_cheapest_model_the_range_of_costs_stays(benchmark):
    own, features = benchmark
    found = run(benchmark, knn=KNN(n_neighbors=5))
    lost = value(found, study=LEAVE_ONE_OUT, router="knn", model="model-1", metric="nauc")
    smaller = replace(own, table=own.table.take(columns=[0, 2, 3]))
    alone = plain((smaller, features), KNN(n_neighbors=5))["nauc"]
    cost = (own.test.cost / own.unit).mean(axis=0)
    answered = (cost[3] - cost[0]) / (cost[3] - cost[1])
    assert lost[0] == pytest.approx(alone[0] * answered)
    assert answered < 0.95


def test_a_pool_without_the_cheapest_model_has_no_answer_at_its_price():
    singles = SingleModels(np.array([[1.0, 2.0, 5.0]]), np.array([[0.5, 0.6, 0.9]]))
    own, share = yardstick(singles, (1, 2))
    assert share == pytest.approx([0.75])
    assert own.cheapest == [1]
    assert own.best == [2]
    own, share = yardstick(singles, (0, 1))
    assert share == pytest.approx([1.0])
    assert (np.nanmax(own.cost), own.best[0]) == (5.0, 2)
    own, share = yardstick(singles, (2,))
    assert share == pytest.approx([0.0])


@settings(max_examples=30, deadline=None)
@given(
    cost=st.lists(st.integers(1, 50), min_size=2, max_size=6, unique=True),
    seed=st.integers(0, 2**16),
)
def test_a_larger_pool_never_harms_the_oracle_on_the_common_yardstick(cost, seed):
    generator = np.random.default_rng(seed)
    n_models = len(cost)
    utility = (generator.random((30, n_models)) < 0.5).astype(float)
    costs = np.tile(np.array(cost) / max(cost), (30, 1))
    weights = np.ones((1, 30))
    singles = single_models(utility, costs, weights)
    order = np.argsort(cost)
    areas = []
    for size in range(1, n_models + 1):
        columns = np.sort(order[-size:])
        pool = utility[:, columns], costs[:, columns]
        steps = policy_steps(*pool, np.ones((30, size), bool), "lambda")
        own, share = yardstick(singles, columns)
        measured = curve_metrics([steps], *pool, weights, own)
        areas.append((measured["nauc"] * share).item())
    assert (np.diff(areas) >= -1e-9).all()


def test_gaps_in_the_outcomes_are_allowed(benchmark):
    own, features = benchmark
    gaps = np.random.default_rng(1).random(own.table.utility.shape) < 0.3
    gaps[:, 3] = False
    table = replace(
        own.table,
        utility=np.where(gaps, np.nan, own.table.utility),
        cost=np.where(gaps, np.nan, own.table.cost),
    )
    found = run((replace(own, table=table), features), knn=KNN(n_neighbors=5))
    finite = found[found["metric"] != "qnc"]["replicates"]
    assert np.isfinite(np.stack(finite)).all()


def test_a_pool_of_one_model_only_grows(benchmark):
    own, features = benchmark
    alone = replace(own, table=own.table.take(columns=[2]))
    found = run((alone, features), strongest=Strongest())
    assert set(found["study"]) == {GROWTH}


def test_only_the_newcomers_asked_for_are_new(benchmark):
    own, features = benchmark
    given = own, {"strongest": features}, {"strongest": Strongest()}, "budget", B, 0
    found = Pool(["model-3"]).findings(*given)
    assert set(found[found["study"] == NEWCOMER]["model"]) == {"model-3", ""}
    with pytest.raises(InputError, match="newcomers: no model 'model-9'"):
        Pool(["model-9"]).findings(*given)
    found = Pool().findings(*given)
    by_cost = [own.table.model_names[model] for model in np.argsort(PRICES)]
    spread = {by_cost[0], by_cost[2], by_cost[3], ""}
    assert set(found[found["study"] == NEWCOMER]["model"]) == spread


def test_a_model_that_joins_is_measured_beside_training_with_its_labels(benchmark):
    found = run(benchmark, uniroute=UniRoute(), knn=KNN(n_neighbors=5))
    joined = found[found["study"] == JOINED]
    assert set(joined["router"]) == {"uniroute"}
    assert set(joined["labels"]) == {16, 64}
    assert set(joined["minus"]) == {"", FULL_POOL}
    own, features = benchmark
    for model in range(4):
        name = own.table.model_names[model]
        keys = {"router": "uniroute", "model": name, "labels": 16, "metric": "nauc"}
        others = [other for other in range(4) if other != model]
        known = Variation(NEWCOMER, name, (0, 1, 2, 3), 16).apply(own).table.utility[:, model]
        seen = own.in_train & np.isfinite(known)
        router = UniRoute().fit(
            features[own.in_train],
            own.train.utility[:, others],
            own.train.cost[:, others] / own.unit,
        )
        router.add_model(features[seen], known[seen], own.table.cost[seen, model] / own.unit)
        test = own.test.take(columns=[*others, model])
        steps = policy_steps(
            *router.predict(features[own.in_test]), np.isfinite(test.utility), "lambda"
        )
        cost = test.cost / own.unit
        weights = evaluation_weights(own, B, 0)
        singles = single_models(test.utility, cost, weights)
        expected = curve_metrics([steps], test.utility, cost, weights, singles)["nauc"]
        np.testing.assert_allclose(value(found, study=JOINED, **keys), expected)
        full = value(found, study=GROWTH, router="uniroute", models=4, metric="nauc")
        lost = value(found, study=JOINED, minus=FULL_POOL, **keys)
        np.testing.assert_allclose(lost, expected - full)


def test_joining_a_pool_is_presented_in_words(benchmark):
    table = Pool().present(summarise([run(benchmark, uniroute=UniRoute())])).set_index("Pool")
    row = table.loc["one model added, with 64 labels, without training (mean over the models)"]
    assert row["Compared with"] == "trained on all labels"
    assert row["nAUC, change"] != "–"


def test_it_is_presented_in_words(benchmark):
    table = Pool().present(summarise([run(benchmark, knn=KNN(n_neighbors=5))])).set_index("Pool")
    assert table.loc["without model-0", "Compared with"] == "all models"
    assert table.loc["1 cheapest, up to model-1", "Peak score, change"].startswith("0.000")
    gain = "nAUC, minus best static mixture"
    assert table.loc["1 cheapest, up to model-1", gain].startswith("0.000")
    assert table.loc["without model-0", gain] == "–"
    assert table.loc["one model new, with 16 labels (mean over the models)", "QNC"] == "–"
    assert table.loc["one model new, with all labels (mean over the models)", "nAUC, change"] != "–"
    assert table.loc["one model unknown (mean over the models)", "nAUC, change"] == "–"
    assert len(table) == 4 + 4 + 4
