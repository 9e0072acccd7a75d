"""Training sees the training split alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmroute.catalogue import build, catalogue
from mmroute.errors import InputError
from mmroute.outcomes.benchmark import Benchmark
from mmroute.outcomes.splits import SLICE
from mmroute.routers import Pool
from mmroute.routers.baselines import Oracle, Strongest, StrongestPerDataset
from mmroute.routers.linear import Linear
from mmroute.routers.zooter import Zooter
from mmroute.storage import write_frame, write_json
from mmroute.training import cross_fit, train_and_predict, with_paths

pytestmark = pytest.mark.slow

LEARNED = [
    name
    for name, entry in catalogue("routers").items()
    if entry.attributes.get("fusion") or name in ("random", "cheapest", "strongest")
]
QUICK = {"mlp_vl": {"epochs": 2, "lambdas": [100.0]}, "linear_vl": {"epochs": 20}}
"""Less to train, where the published schedule takes minutes."""

POOL = Pool(pd.DataFrame(), 1.0, np.empty(0), np.empty(0), None, np.zeros(1, bool))


def built(name):
    return build("routers", name, QUICK.get(name, {}))


@pytest.fixture
def benchmark(make_table, tmp_path):
    table = make_table(n_samples=40)
    table.utility[0] = table.cost[0] = np.nan
    table.write(tmp_path)
    write_json(tmp_path / "pool.json", {"unit_usd": 2.0, "left_out": []})
    splits = table.samples[["sample_id"]].assign(
        **{SLICE: table.samples["dataset"], "0": np.arange(40) < 20}
    )
    write_frame(tmp_path / "splits.parquet", splits)
    return Benchmark.read(tmp_path, tmp_path / "splits.parquet", "0")


def test_a_sample_that_no_model_was_observed_on_is_in_neither_split(benchmark):
    assert len(benchmark.train.samples) == 19
    assert len(benchmark.test.samples) == 20
    assert not set(benchmark.train.samples["sample_id"]) & set(benchmark.test.samples["sample_id"])


def test_training_sees_normalised_costs(benchmark):
    features = np.zeros((40, 1), np.float32)
    predictions = train_and_predict(Linear(), benchmark, features)
    np.testing.assert_allclose(
        predictions.c_hat[0, 0], benchmark.train.cost.mean(axis=0) / 2, rtol=1e-6
    )


def test_test_outcomes_change_no_prediction(benchmark):
    features = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    before = train_and_predict(Linear(), benchmark, features)
    benchmark.table.utility[benchmark.in_test] = 1 - benchmark.table.utility[benchmark.in_test]
    shown = Benchmark(benchmark.table, benchmark.unit, benchmark.in_train, benchmark.in_test)
    after = train_and_predict(Linear(), shown, features)
    np.testing.assert_array_equal(before.u_hat, after.u_hat)


def test_the_oracle_is_shown_the_test_outcomes(benchmark):
    predictions = train_and_predict(Oracle(), benchmark, None)
    np.testing.assert_array_equal(predictions.u_hat[0], benchmark.test.utility)


def test_a_model_without_training_outcomes_is_refused(benchmark):
    benchmark.table.utility[benchmark.in_train, 1] = np.nan
    with pytest.raises(InputError, match="'model-1' has no outcome in the training split"):
        train_and_predict(Strongest(), benchmark, None)


@pytest.mark.parametrize("name", LEARNED)
def test_permuting_the_test_outcomes_changes_no_prediction(benchmark, name):
    features = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    before = predict_all(name, benchmark, features)
    order = np.random.default_rng(1).permutation(np.flatnonzero(benchmark.in_test))
    table = benchmark.table
    for matrix in (table.utility, table.cost):
        matrix[benchmark.in_test] = matrix[order]
    shown = Benchmark(table, benchmark.unit, benchmark.in_train, benchmark.in_test)
    for first, second in zip(before, predict_all(name, shown, features), strict=True):
        np.testing.assert_array_equal(first, second)


def predict_all(name, benchmark, features):
    router = built(name)
    cross = cross_fit(router, benchmark, features)
    test = train_and_predict(router, benchmark, features)
    return cross.u_hat, cross.c_hat, test.u_hat, test.c_hat


@pytest.mark.parametrize("name", LEARNED)
def test_changing_one_test_feature_changes_no_other_prediction(benchmark, name):
    features = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    changed = features.copy()
    row = np.flatnonzero(benchmark.in_test)[4]
    changed[row] = -changed[row]
    before = train_and_predict(built(name), benchmark, features)
    after = train_and_predict(built(name), benchmark, changed)
    others = np.arange(len(before.sample_ids)) != 4
    np.testing.assert_allclose(before.u_hat[:, others], after.u_hat[:, others], rtol=1e-6)


def test_a_cross_fitted_prediction_does_not_know_its_own_outcome(benchmark):
    features = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    before = cross_fit(Linear(), benchmark, features)
    row = np.flatnonzero(benchmark.in_train)[3]
    benchmark.table.utility[row] = 1 - benchmark.table.utility[row]
    shown = Benchmark(benchmark.table, benchmark.unit, benchmark.in_train, benchmark.in_test)
    after = cross_fit(Linear(), shown, features)
    np.testing.assert_array_equal(before.u_hat[0, 3], after.u_hat[0, 3])
    assert not np.array_equal(before.u_hat, after.u_hat)


def test_cross_fitting_covers_every_training_sample(benchmark):
    crossfit = cross_fit(Strongest(), benchmark, None)
    assert crossfit.sample_ids.tolist() == benchmark.train.samples["sample_id"].tolist()
    assert np.isfinite(crossfit.u_hat).all()


def test_a_model_that_the_other_folds_never_saw_has_no_cross_fitted_prediction(benchmark):
    keep = np.flatnonzero(benchmark.in_train)[0]
    hidden = benchmark.in_train.copy()
    hidden[keep] = False
    benchmark.table.utility[hidden, 1] = benchmark.table.cost[hidden, 1] = np.nan
    shown = Benchmark(benchmark.table, benchmark.unit, benchmark.in_train, benchmark.in_test)
    crossfit = cross_fit(Strongest(), shown, None)
    assert np.isnan(crossfit.u_hat[0, 0, 1])
    assert np.isfinite(crossfit.u_hat[0, :, 0]).all()


def test_cross_fitting_keeps_what_a_grid_scores_and_what_deciding_costs(benchmark):
    class Charging(Zooter):
        def overhead(self, Z):
            return np.full(len(Z), 0.25)

    features = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    crossfit = cross_fit(Charging(), benchmark, features)
    test = train_and_predict(Charging(), benchmark, features)
    for own, n_samples in ((crossfit, 19), (test, 20)):
        assert own.scores.shape == (len(own.grid), n_samples, 3)
        assert np.isfinite(own.scores).all()
        assert (own.overhead == 0.25).all()


def with_development(benchmark):
    """Return it with two of its training samples in three to learn from."""
    held = benchmark.in_train & (np.arange(40) % 3 == 0)
    return replace(benchmark, development=held), held


def test_no_router_learns_from_development_samples(benchmark):
    own, held = with_development(benchmark)
    features = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    smaller = replace(benchmark, in_train=benchmark.in_train & ~held)
    np.testing.assert_array_equal(
        train_and_predict(Linear(), own, features).u_hat,
        train_and_predict(Linear(), smaller, features).u_hat,
    )


def test_a_router_that_stops_by_them_is_given_development_samples_apart(benchmark):
    given = []

    class Stopping(Strongest):
        uses_pool = stops_by_development = True

        def fit(self, Z, U, C, pool):
            given.append(pool.development)
            assert len(U) == len(pool.development)
            return super().fit(Z, U, C)

    own, held = with_development(benchmark)
    train_and_predict(Stopping(), own, None)
    cross_fit(Stopping().fit(np.empty((1, 0)), *np.ones((2, 1, 3)), POOL), own, None)
    first, _, *folds = given
    np.testing.assert_array_equal(first, held[benchmark.in_train])
    assert all(fold.sum() == held.sum() for fold in folds)
    assert sum(len(fold) for fold in folds) == len(folds) * 19 - (19 - held.sum())


def test_development_samples_are_predicted_by_the_router_that_is_trained(benchmark):
    own, held = with_development(benchmark)
    features = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    router = Linear()
    train_and_predict(router, own, features)
    crossfit = cross_fit(router, own, features)
    assert crossfit.sample_ids.tolist() == benchmark.train.samples["sample_id"].tolist()
    told = router.predict(features[held])[0]
    np.testing.assert_array_equal(crossfit.u_hat[0, held[benchmark.in_train]], told)
    # The others are predicted by routers that learned from neither them nor these.
    benchmark.table.utility[held] = 1 - benchmark.table.utility[held]
    again = cross_fit(router, replace(own, salt="0"), features)
    np.testing.assert_array_equal(again.u_hat, crossfit.u_hat)


def test_who_trains_routers_anew_has_no_development_samples(benchmark):
    own, held = with_development(benchmark)
    taught = own.taught
    assert not (taught.in_train & held).any()
    assert (taught.in_train | held)[own.in_train].all()
    np.testing.assert_array_equal(taught.in_test, own.in_test)
    assert taught.development is None
    assert benchmark.taught is benchmark


def test_a_stored_split_has_its_development_samples(benchmark, tmp_path):
    splits = pd.read_parquet(tmp_path / "splits.parquet")
    held = np.arange(40) % 3 == 0
    write_frame(tmp_path / "splits.parquet", splits.assign(**{"development 0": held}))
    own = Benchmark.read(tmp_path, tmp_path / "splits.parquet", "0")
    # On the first sample no model was observed.
    assert np.flatnonzero(own.development).tolist() == [*range(3, 40, 3)]
    assert benchmark.development is None
    assert benchmark.held_out is None


def test_a_router_may_read_samples_of_its_own_split_only(benchmark):
    seen = []

    class Reading(StrongestPerDataset):
        def fit(self, Z, U, C):
            seen.append(set(Z["sample_id"]))
            return super().fit(Z, U, C)

    samples = with_paths(benchmark.table.samples, Path("root"))
    train_and_predict(Reading(), benchmark, samples)
    assert seen == [set(benchmark.train.samples["sample_id"])]


def test_a_router_that_uses_the_pool_gets_that_of_its_training_samples(benchmark):
    given = []

    class Counting(Strongest):
        uses_pool = True

        def fit(self, Z, U, C, pool):
            given.append(pool)
            return super().fit(Z, U, C)

    groups = np.arange(40) // 2
    benchmark.table.samples["group"] = groups.astype(str)
    train_and_predict(Counting(), benchmark, None)
    np.testing.assert_array_equal(given[0].groups, pd.factorize(groups[benchmark.in_train])[0])
    np.testing.assert_array_equal(given[0].prompt_tokens, benchmark.train.prompt_tokens)
    assert given[0].unit == 2.0
    cross_fit(Counting(), benchmark, None)
    assert all(pool.prompt_tokens.shape[0] < 19 for pool in given[1:])
    assert sum(len(pool.groups) for pool in given[1:]) == 4 * 19
    # No group has a part in some fold, and another part beside it.
    assert all((np.bincount(pool.groups)[1:] % 2 == 0).all() for pool in given[1:])
