"""What decides on all labels never measures itself, whatever folds, groups and models there are."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from mmroute.decision.decide import ALL_BUDGETS, decide, request
from mmroute.decision.evidence import Evidence
from mmroute.decision.files import HELD, evidence_files, trained_folder
from mmroute.decision.words import used
from mmroute.evaluation.setting import Setting
from mmroute.evaluation.shrinkage import choose
from mmroute.outcomes.benchmark import Benchmark
from mmroute.outcomes.splits import N_FOLDS, fold_of
from mmroute.predictions import Predictions
from mmroute.routers.knn import KNN
from mmroute.training import hold_out

UNIT = 0.01
REQUESTS = [request("budget", "50%"), request("budget", 5.0), request("accuracy", "95%")]


def setting_of(table):
    everything = np.ones(len(table.samples), bool)
    return Setting(Benchmark(table, UNIT, everything, ~everything), "lambda", 200, 0)


def marked(table, held):
    """Predictions that say which fits made them."""
    own = table.take(np.isin(fold_of(table.samples["group"]), held))
    mark = np.full((1, *own.utility.shape), 10.0 ** -held[0] if len(held) == 1 else sum(held) / 10)
    return Predictions(own.samples["sample_id"], mark, mark)


def learned(table, router=None):
    """Evidence of a router that is trained as the workflow does."""
    features = np.nan_to_num(table.cost)
    fold = fold_of(table.samples["group"])
    router = router or KNN(n_neighbors=3)
    fits = {held: hold_out(router, table, UNIT, features, np.isin(fold, held)) for held in HELD}
    return Evidence.of_folds(setting_of(table), fits)


def decided(evidence):
    table = decide(evidence, "knn", ["50%", 5.0], ["95%"], {}, 200, 0)
    return table[table["asked"] != ALL_BUDGETS]


def test_fifteen_fits_and_the_one_that_is_taken_away_are_at_most_twenty():
    assert len(HELD) == len(set(HELD)) == 15
    assert {*HELD} == {*combinations(range(5), 1), *combinations(range(5), 2)}
    files = evidence_files("results/r", "knn+shrink", "0", "all")
    assert files[0] == "results/r/routers/knn/0/held/0+0.parquet"
    assert files[-1] == "results/r/routers/knn/0/held/4+2.parquet"
    assert trained_folder("results/r", "knn+shrink", "0", "all") == "results/r/routers/knn/0/refit"
    assert evidence_files("results/r", "knn+shrink", "0", "train") == [
        f"results/r/routers/knn+shrink/0/{part}.parquet" for part in ("predictions", "crossfit")
    ]


def test_no_prediction_is_by_a_fit_that_has_seen_its_sample(make_table):
    table = make_table(n_samples=60)
    fold = fold_of(table.samples["group"])
    evidence = Evidence.of_folds(setting_of(table), {held: marked(table, held) for held in HELD})
    np.testing.assert_allclose(evidence.learned.crossfit.u_hat[0, :, 0], 10.0**-fold)
    assert len(evidence.trials) == N_FOLDS
    for own, trial in enumerate(evidence.trials):
        rest = fold_of(trial.learned.table.samples["group"])
        assert own not in rest
        np.testing.assert_allclose(trial.learned.crossfit.u_hat[0, :, 0], (own + rest) / 10)
        np.testing.assert_allclose(trial.predictions.u_hat, 10.0**-own)
        assert set(fold_of(trial.table.samples["group"])) == {own}
    queries = evidence.samples["sample_id"]
    assert sorted(queries) == sorted(table.samples["sample_id"])


def test_what_measures_a_trial_has_no_say_in_it(make_table):
    table = make_table(n_samples=120)
    fold = fold_of(table.samples["group"])
    flipped = table.utility.copy()
    flipped[fold == 2] = 1 - flipped[fold == 2]
    before, after = learned(table), learned(replace(table, utility=flipped))
    assert not np.array_equal(before.trials[0].predictions.u_hat, after.trials[0].predictions.u_hat)
    trial, other = before.trials[2], after.trials[2]
    np.testing.assert_array_equal(trial.predictions.u_hat, other.predictions.u_hat)
    assert trial.learned.advise(REQUESTS[1:]) == other.learned.advise(REQUESTS[1:])


def test_a_limit_in_percent_is_the_same_in_all_trials(make_table):
    table = make_table(n_samples=200)
    evidence = learned(table)
    best = evidence.learned.labels.best
    for trial in evidence.trials:
        labels = trial.learned.labels
        assert labels.reference == best
        assert labels.usd(REQUESTS[0]) == pytest.approx(0.5 * labels.mean_cost[best])


@pytest.mark.parametrize("n_samples", [5, 8, 20])
@pytest.mark.parametrize("n_models", [1, 2, 5])
def test_few_labels_have_an_answer(make_table, n_samples, n_models):
    table = decided(learned(make_table(n_samples=n_samples, n_models=n_models)))
    assert len(table) == 3
    assert np.isfinite(table["accuracy"]).all()
    assert np.isfinite(table["cost_usd_per_1000"]).all()
    shares = table.filter(like="share ").to_numpy(float)
    np.testing.assert_allclose(shares.sum(axis=1), 1)


def test_missing_outcomes_and_a_model_that_a_fold_alone_has_are_met(make_table):
    table = make_table(n_samples=80, n_models=4)
    fold = fold_of(table.samples["group"])
    missing = np.random.default_rng(0).random(table.utility.shape) < 0.2
    missing[:, 0] = False
    missing[:, 3] = fold != 1
    utility, cost = (np.where(missing, np.nan, part) for part in (table.utility, table.cost))
    evidence = learned(replace(table, utility=utility, cost=cost))
    assert np.isnan(evidence.trials[1].predictions.u_hat[..., 3]).all()
    assert np.isfinite(evidence.trials[0].predictions.u_hat).all()
    assert np.isfinite(decided(evidence)[["accuracy", "cost_usd_per_1000"]]).all(axis=None)


def test_equal_models_gain_nothing_and_free_ones_cost_nothing(make_table):
    table = make_table(n_samples=100, n_models=3)
    one = np.repeat(table.utility[:, :1], 3, axis=1)
    equal = decided(learned(replace(table, utility=one, cost=np.ones_like(one))))
    assert (equal["routed_gain"] == 0).all()
    free = decided(learned(replace(table, cost=np.zeros_like(one))))
    assert (free["cost_usd_per_1000"] == 0).all()


def test_the_best_model_alone_keeps_its_own_cost_in_every_resample(make_table):
    table = make_table(n_samples=100, n_models=3)
    utility = table.utility.copy()
    utility[:, 2] = 1
    table = replace(table, utility=utility, cost=table.cost * [0.1, 0.1, 3.0])
    row = decide(learned(table), "knn", ["100%"], [], {}, 200, 0).iloc[0]
    assert (used(row), row["share model-2"], row["kept"]) == ("always model-2", 1, 1)


def test_other_prices_scale_costs_and_no_choice_is_lost(make_table):
    evidence = learned(make_table(n_samples=100))
    twice = evidence.repriced(np.full(3, 2.0))
    before, after = (
        decide(one, "knn", ["50%"], ["95%"], {}, 200, 0).iloc[:2] for one in (evidence, twice)
    )
    np.testing.assert_allclose(after["cost_usd_per_1000"], 2 * before["cost_usd_per_1000"])
    np.testing.assert_allclose(after["accuracy"], before["accuracy"])


def test_a_shrunk_row_is_shrunk_by_what_each_trial_has_learned(make_table):
    table = make_table(n_samples=100)
    features, fold = np.nan_to_num(table.cost), fold_of(table.samples["group"])
    fits = {
        held: hold_out(KNN(n_neighbors=3), table, UNIT, features, np.isin(fold, held))
        for held in HELD
    }
    raw, shrunk = (Evidence.of_folds(setting_of(table), fits, one) for one in (False, True))
    for trial, other in zip(raw.trials, shrunk.trials, strict=True):
        own = trial.learned.table
        expected = choose(trial.learned.crossfit, own.utility, own.cost / UNIT, "lambda")
        np.testing.assert_allclose(other.predictions.u_hat, expected.apply(trial.predictions).u_hat)


def test_a_shrunk_row_needs_no_prediction_where_two_folds_are_all(make_table):
    table = make_table(n_samples=60)
    table = table.take(np.isin(fold_of(table.samples["group"]), [0, 1]))
    features, fold = np.nan_to_num(table.cost), fold_of(table.samples["group"])
    fits = {
        held: hold_out(KNN(n_neighbors=3), table, UNIT, features, np.isin(fold, held))
        for held in HELD
    }
    evidence = Evidence.of_folds(setting_of(table), fits, shrunk=True)
    assert len(evidence.trials) == 2
    assert np.isfinite(decided(evidence)["accuracy"]).all()


def test_no_interval_leaves_what_there_can_be(make_table):
    for n_samples in (8, 12, 20, 40):
        table = make_table(n_samples=n_samples)
        table = replace(table, cost=table.cost * [0.001, 1.0, 30.0])
        rows = decided(learned(table))
        assert (rows["accuracy_low"] >= 0).all()
        assert (rows["accuracy_high"] <= 1).all()
        assert (rows["cost_usd_per_1000_low"] >= 0).all()
        assert (rows["saving_high"] <= 1).all()


def test_several_trials_are_less_sure_of_themselves_than_their_queries_alone(make_table):
    table = make_table(n_samples=300)
    evidence = learned(table)
    alone = replace(evidence, trials=evidence.trials[:1])
    row, one = (decided(given).iloc[0] for given in (evidence, alone))
    width, single = (own["accuracy_high"] - own["accuracy_low"] for own in (row, one))
    n_all, n_one = len(table.samples), len(alone.samples)
    assert width > 1.2 * single * np.sqrt(n_one / n_all)
