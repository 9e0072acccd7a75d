"""Decisions are made on training data, kept where they can be, and measured on the test split."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mmroute.decision.decide import SHARE, decide, present
from mmroute.errors import InputError
from mmroute.predictions import Predictions
from mmroute.presentation.tables import write_csv

COST = np.array([0.001, 0.004, 0.010])


@pytest.fixture
def setting(make_table, make_setting):
    """Return a cheap, a middle and a dear model that solve 40, 60 and 80 % of the samples."""
    both = make_table(n_samples=300, n_models=3)
    generator = np.random.default_rng(0)
    utility = (generator.random((300, 3)) < [0.4, 0.6, 0.8]).astype(float)
    table = replace(both, utility=utility, cost=np.tile(COST, (300, 1)))
    return make_setting(
        table.take(np.arange(150)), table.take(np.arange(150, 300)), 0.01, "lambda", 200, 0
    )


def clairvoyant(table):
    """Predict the truth: routing can do no better."""
    return Predictions(table.samples["sample_id"], table.utility[None], (table.cost / 0.01)[None])


def blind(table):
    generator = np.random.default_rng(1)
    u_hat = generator.random((1, *table.utility.shape))
    return Predictions(table.samples["sample_id"], u_hat, (table.cost / 0.01)[None])


def decided(setting, make=clairvoyant, budgets=(), targets=(), prices=None):
    given = ({"own": make(table)} for table in (setting.table, setting.training))
    return decide(setting, *given, list(budgets), list(targets), prices or {})


def test_with_an_unlimited_budget_the_most_accurate_in_training_is_chosen(setting):
    assert decided(setting, budgets=[1000.0])["router"].item() == "own"
    assert decided(setting, blind, budgets=[1000.0])["router"].item() == "model-2"


def test_a_budget_and_a_target_are_kept_in_training(setting, make_setting):
    seen = make_setting(setting.training, setting.training, setting.unit, n_resamples=200)
    table = decided(seen, budgets=[2.0, 5.0], targets=[0.7])
    assert table["feasible"].all()
    assert (table["cost_usd_per_1000"][:2] <= table["limit"][:2]).all()
    assert table["accuracy"][2] >= 0.7


def test_shares_are_of_the_best_single_model_of_the_training_split(setting):
    table = decided(setting, budgets=["50%"], targets=["90%"])
    assert table["limit"][0] == pytest.approx(5.0)
    assert table["limit"][1] == pytest.approx(0.9 * setting.training.utility[:, 2].mean())


def test_what_is_out_of_reach_says_so_and_comes_nearest(setting):
    table = decided(setting, blind, budgets=[0.5], targets=[1.0])
    assert not table["feasible"].any()
    assert table["router"].tolist() == ["model-0", "model-2"]
    assert "out of reach" in present(table)["Asked"][0]


def test_nothing_of_the_test_split_enters_the_choice(setting, make_setting):
    other = replace(setting.table, utility=1 - setting.table.utility)
    flipped = make_setting(other, setting.training, setting.unit, n_resamples=200)
    given = {"own": clairvoyant(setting.table)}, {"own": clairvoyant(setting.training)}
    asked = [2.0, "30%"], ["95%"], {}
    before, after = decide(setting, *given, *asked), decide(flipped, *given, *asked)
    for column in ("router", "threshold", "limit", "feasible"):
        pd.testing.assert_series_equal(before[column], after[column])
    assert not np.allclose(before["accuracy"], after["accuracy"])


def test_shares_of_the_traffic_sum_to_one_and_make_the_cost(setting):
    table = decided(setting, budgets=[1.0, 3.0, 100.0])
    shares = table.filter(like=SHARE).to_numpy()
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    np.testing.assert_allclose(1000 * shares @ COST, table["cost_usd_per_1000"])


def test_saving_and_gain_are_against_the_best_single_model(setting):
    row = decided(setting, blind, budgets=[1000.0]).iloc[0]
    assert (row["saving"], row["gain"]) == (0, 0)
    cheap = decided(setting, blind, budgets=[1.0]).iloc[0]
    assert cheap["saving"] == pytest.approx(0.9)
    assert cheap["gain_low"] < cheap["gain"] < cheap["gain_high"] < 0


@pytest.mark.parametrize("factor", [1.0, 1.3, 3.1])
def test_a_cost_that_is_the_budget_keeps_it_in_every_resample(setting, factor):
    prices = {"model-2": factor}
    table = decided(setting, blind, budgets=["100%"], prices=prices)
    assert table["router"].tolist() == ["model-2", "model-2"]
    assert table["kept"].tolist() == [1, 1]


def test_there_is_no_saving_on_a_free_model(setting):
    table = decided(setting, blind, targets=["95%"], prices={"model-2": 0.0})
    assert table["saving"].isna().tolist() == [False, True]
    assert present(table)["Saving against the best single model"][1] == "–"


def test_nothing_asked_is_an_empty_table_of_the_same_columns(setting, tmp_path):
    table = decided(setting)
    assert list(table) == list(decided(setting, budgets=[1.0]))
    write_csv(tmp_path / "decision.csv", table)
    assert present(pd.read_csv(tmp_path / "decision.csv")).empty


def test_a_price_times_one_changes_nothing(setting):
    table = decided(setting, budgets=["20%", 3.0], targets=["95%"], prices={"model-1": 1.0})
    today, other = (part.drop(columns="prices") for _, part in table.groupby("prices", sort=False))
    pd.testing.assert_frame_equal(today, other.reset_index(drop=True))


def test_a_strong_model_for_nothing_takes_the_traffic(setting):
    table = decided(setting, blind, budgets=[1.0], prices={"model-2": 0.0})
    assert table.set_index("prices").loc["what if", "share model-2"] == 1
    assert table.set_index("prices").loc["today", "share model-2"] < 1


def test_a_model_that_is_not_in_the_pool_has_no_price(setting):
    with pytest.raises(InputError, match=r"what_if_prices: no model 'gpt' .* model-0"):
        decided(setting, prices={"gpt": 0.5})


def test_what_deciding_costs_counts(setting):
    def charging(table):
        return replace(clairvoyant(table), overhead=np.full(len(table.samples), 0.05))

    free, charged = (
        decided(setting, make, targets=["100%"])["cost_usd_per_1000"].item()
        for make in (clairvoyant, charging)
    )
    assert charged == pytest.approx(free + 0.5)


def test_it_is_presented_alike_from_csv(setting, tmp_path):
    table = decided(setting, budgets=["20%", 3.0], targets=[0.9], prices={"model-2": 0.5})
    table.to_csv(tmp_path / "decision.csv", index=False)
    shown = present(pd.read_csv(tmp_path / "decision.csv"))
    pd.testing.assert_frame_equal(shown, present(table), check_dtype=False)
    assert shown["Asked"][0].startswith("at most $2 per 1,000 queries (20% of the best")
    assert next(iter(shown)) == "Prices"
    assert "Prices" not in present(decided(setting, budgets=[3.0]))


def test_luck_in_training_is_not_taken_for_quality(setting):
    """Of a hundred routers that know nothing some beat the best single model by chance."""
    rows = [f"blind {seed}" for seed in range(100)]

    def guess(table, seed):
        noise = np.random.default_rng(seed).normal(0, 0.3, table.utility.shape)
        u_hat = np.array([0.4, 0.6, 0.8]) + noise
        return Predictions(table.samples["sample_id"], u_hat[None], (table.cost / 0.01)[None])

    given = (
        {row: guess(table, seed) for seed, row in enumerate(rows)}
        for table in (setting.table, setting.training)
    )
    table = decide(setting, *given, [], ["100%"], {})
    assert table["router"].item() == "model-2"


def test_a_budget_is_kept_in_most_resamples_though_costs_spread(setting, make_setting):
    generator = np.random.default_rng(3)
    spread = (
        replace(part, cost=part.cost * generator.lognormal(0, 1, part.cost.shape))
        for part in (setting.table, setting.training)
    )
    spreading = make_setting(*spread, setting.unit, n_resamples=200)
    table = decided(spreading, budgets=[3.0, 6.0, 9.0])
    assert (table["kept"] > 0.5).all()
