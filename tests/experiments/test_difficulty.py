"""Where queries of each difficulty go."""

from dataclasses import replace
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmroute.evaluation.curve import steps_of
from mmroute.experiments.difficulty import TIERS, Difficulty, price_tiers, strata, training_points
from mmroute.experiments.findings import summarise
from mmroute.predictions import Predictions
from mmroute.presentation.tables import write_csv


def predictions_for(table, trials=1, seed=3):
    shape = (trials, *table.utility.shape)
    generator = np.random.default_rng(seed)
    return Predictions(table.samples["sample_id"], generator.random(shape), generator.random(shape))


def always(model, table):
    """Predict that one model is right and free, so that every policy chooses it."""
    u_hat = np.tile(np.eye(table.utility.shape[1])[model], (1, len(table.utility), 1))
    return Predictions(table.samples["sample_id"], u_hat, 1 - u_hat)


@pytest.fixture
def setting(make_table, make_setting):
    both = make_table(n_samples=80, n_models=4)
    both.cost *= [1, 2, 4, 8]
    both.samples["tag_level"] = [str(1 + index % 3) for index in range(80)]
    return make_setting(
        both.take(np.arange(60)), both.take(np.arange(60, 80)), 8.0, "lambda", 100, 0
    )


def find(setting, router=predictions_for):
    return Difficulty().findings(
        setting, {"own": router(setting.table)}, {"own": router(setting.training)}
    )


def values_of(found, metric, router="own", point="peak", minus="", **keys):
    kept = found.query("metric == @metric and router == @router and minus == @minus")
    kept = kept[kept["point"] == point]
    for key, value in keys.items():
        kept = kept[kept[key] == value]
    return np.stack(kept["replicates"].tolist())


# --- price tiers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cost", "tiers"),
    [
        ([5], [0]),
        ([9, 1], [2, 0]),
        ([3, 1, 2], [2, 0, 1]),
        (list(range(10)), [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]),
        ([1, 1, 1, 7], [0, 0, 0, 2]),
    ],
)
def test_tiers_are_terciles_of_the_mean_cost(cost, tiers):
    assert price_tiers(np.array([cost, cost], float)).tolist() == tiers


def test_a_missing_cost_does_not_count():
    assert price_tiers(np.array([[1.0, 9.0], [np.nan, 9.0]])).tolist() == [0, 2]


@given(st.lists(st.floats(0, 100), min_size=1, max_size=12))
def test_a_dearer_model_is_in_no_cheaper_tier(cost):
    tiers = price_tiers(np.array([cost]))
    assert (np.diff(tiers[np.argsort(cost, kind="stable")]) >= 0).all()


# --- strata -----------------------------------------------------------------------------------


def tagged(make_table, values):
    table = make_table(n_samples=len(values))
    table.samples["tag_level"] = pd.Series(values, dtype="str")
    return table


def test_numbered_levels_are_in_the_order_of_their_numbers(make_table):
    table = tagged(make_table, ["10", "9", "2", "10"])
    names, inside = strata(table, table, "level")
    assert names == ["level 2", "level 9", "level 10"]
    assert inside.tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 0, 1]]


def test_named_levels_are_in_the_order_of_the_accuracy_in_training(make_table):
    table = tagged(make_table, ["hard", "easy", "hard", "easy"])
    training = replace(table, utility=np.array([[0.0], [1.0], [0.0], [1.0]]))
    assert strata(table, training, "level")[0] == ["level easy", "level hard"]


def test_samples_without_a_level_are_in_no_stratum(make_table):
    table = tagged(make_table, ["1", None, "2", "  "])
    assert strata(table, table, "level")[1].sum(axis=1).tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize("values", [["1"] * 12, [str(index) for index in range(12)], [None] * 12])
def test_a_tag_that_tells_no_level_gives_way_to_the_share_of_failing_models(make_table, values):
    table = tagged(make_table, values)
    assert not any(name.startswith("level") for name in strata(table, table, "level")[0])


def test_strata_by_the_share_of_the_observed_models_that_fail(make_table):
    nan = np.nan
    utility = np.array([[1, 1, 1], [1, 1, 0], [0, 1, 0.5], [0, 0, nan], [1, nan, 0], [1, nan, nan]])
    table = make_table(n_samples=6, utility=utility)
    names, inside = strata(table, table, "level")
    assert names == ["no model fails", "up to 1/3 fail", "up to 2/3 fail", "all models fail"]
    assert inside.argmax(axis=1).tolist() == [0, 1, 2, 3, 2, 0]


def test_where_all_but_one_fail_is_a_stratum_of_its_own(make_table):
    utility = np.array([[1.0, 0, 0, 0], [1.0, 1, 1, 1]])
    table = make_table(n_samples=2, n_models=4, utility=utility)
    assert strata(table, table, "level")[0] == ["no model fails", "over 2/3 fail"]


# --- findings ---------------------------------------------------------------------------------


def test_the_tiers_share_the_traffic_of_each_stratum(setting):
    found = find(setting)
    for router in ("own", "oracle"):
        shares = [values_of(found, "traffic", router, tier=tier) for tier in TIERS]
        np.testing.assert_allclose(np.sum(shares, axis=0), 1)


def test_strata_weighted_by_their_size_are_the_whole(setting):
    found = find(setting)
    own = predictions_for(setting.table)
    point = training_points(setting, predictions_for(setting.training), own)["peak"]
    observed = np.isfinite(setting.table.utility)
    choice = steps_of(own, 0, observed, "lambda").choices(point)
    sizes = values_of(found, "samples", "", "")
    weights = setting.weights()
    for metric, matrix in (("accuracy", setting.table.utility), ("cost_usd", setting.table.cost)):
        whole = (weights @ matrix[np.arange(60), choice]) / 60
        parts = values_of(found, metric)
        np.testing.assert_allclose((sizes * parts).sum(axis=0), whole)


def test_costs_are_in_both_units(setting):
    found = find(setting)
    np.testing.assert_allclose(values_of(found, "cost_usd"), 8 * values_of(found, "cost"))


def test_a_router_that_takes_one_model_sends_all_to_its_tier(setting):
    found = find(setting, lambda table: always(3, table))
    assert (values_of(found, "traffic", tier="dear") == 1).all()
    assert (values_of(found, "traffic", tier="dear", minus="level 1") == 0).all()


def test_the_trend_is_the_hardest_stratum_minus_the_easiest(setting):
    found = find(setting)
    easy, hard = (
        values_of(found, "traffic", tier="dear", stratum=name) for name in ("level 1", "level 3")
    )
    trend = values_of(found, "traffic", tier="dear", stratum="level 3", minus="level 1")
    np.testing.assert_allclose(trend, hard - easy)


def test_the_oracle_sends_to_the_dear_only_what_the_cheap_fail(setting):
    setting.table.utility[:] = [1, 0, 0, 0]
    hard = np.arange(60) % 3 == 2
    setting.table.utility[hard] = [0, 0, 0, 1]
    found = find(setting)
    shares = values_of(found, "traffic", "oracle", tier="dear")[:, 0]
    assert shares.tolist() == [0, 0, 1]


def test_test_outcomes_do_not_choose_the_operating_point(setting):
    before = values_of(find(setting), "traffic")
    setting.table.utility[:] = 1 - setting.table.utility
    np.testing.assert_array_equal(before, values_of(find(setting), "traffic"))


def test_a_point_that_training_does_not_have_is_left_out(setting):
    # The strongest model costs its own cost, not half of it.
    strongest = int(np.argmax(setting.training.utility.mean(axis=0)))
    found = find(setting, lambda table: always(strongest, table))
    assert found.query("router == 'own'")["point"].unique().tolist() == ["peak"]


def test_metrics_are_means_over_the_trials(setting):
    both = predictions_for(setting.table, trials=2)
    crossfit = {"own": predictions_for(setting.training)}
    together, *apart = (
        values_of(Difficulty().findings(setting, {"own": own}, crossfit), "traffic")
        for own in (
            both,
            *(replace(both, u_hat=both.u_hat[[t]], c_hat=both.c_hat[[t]]) for t in (0, 1)),
        )
    )
    np.testing.assert_allclose(together, np.mean(apart, axis=0))


def test_a_missing_outcome_is_never_traffic(setting):
    setting.table.utility[:, 3] = np.nan
    setting.table.cost[:, 3] = np.nan
    found = find(setting, lambda table: always(3, table))
    assert (values_of(found, "traffic", tier="dear") == 0).all()


@pytest.mark.parametrize("from_csv", [False, True])
def test_presented_is_a_row_per_router_and_point(setting, tmp_path, from_csv):
    table = summarise([find(setting)])
    if from_csv:
        write_csv(tmp_path / "table.csv", table)
        table = pd.read_csv(StringIO((tmp_path / "table.csv").read_text()))
    shown = Difficulty().present(table)
    assert set(shown["Router"]) == {"own", "oracle"}
    assert shown.columns.tolist() == [
        "Router",
        "Operating point",
        *(f"To dear models: level {level}" for level in (1, 2, 3)),
        "Difference, level 3 minus level 1",
        "p",
    ]
    assert shown.notna().all(axis=None)
