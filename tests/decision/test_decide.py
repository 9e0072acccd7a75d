"""Decisions are made on training data, kept where they can be, and measured on the test split."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mmroute.decision.decide import ALL_BUDGETS, BUDGET, SHARE, decide
from mmroute.decision.evidence import Evidence
from mmroute.decision.files import HELD
from mmroute.decision.words import answers, cards, changes, present, used
from mmroute.errors import InputError
from mmroute.outcomes.splits import fold_of
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


def misled(table):
    """Predict the opposite of the truth."""
    told = clairvoyant(table)
    return replace(told, u_hat=1 - told.u_hat)


def all_decided(setting, make=clairvoyant, budgets=(), targets=(), prices=None):
    evidence = Evidence.of_splits(setting, make(setting.table), make(setting.training))
    how = setting.n_resamples, setting.seed
    return decide(evidence, "own", list(budgets), list(targets), prices or {}, *how)


def decided(*given, **asked):
    table = all_decided(*given, **asked)
    return table[table["asked"] != ALL_BUDGETS].reset_index(drop=True)


def answer(setting, make):
    return answers(all_decided(setting, make, ["25%", "50%", "80%"]))


def test_a_router_that_knows_is_used_and_one_that_does_not_is_not(setting):
    assert decided(setting, budgets=["50%"])["router"].item() == "own"
    table = decided(setting, misled, budgets=["50%"])
    assert table["router"].item() == ""
    assert (table["first"].item(), table["second"].item()) == ("model-1", "model-2")
    assert 0.1 < table["second_share"].item() < 1 / 6
    assert used(table.iloc[0]).startswith("model-1 for 8")
    assert used(table.iloc[0]).endswith("%, at random")


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
    table = decided(setting, misled, budgets=[0.5], targets=[1.0])
    assert not table["feasible"].any()
    assert [used(row) for _, row in table.iterrows()] == ["always model-0", "always model-2"]
    assert "out of reach" in present(table)["Asked"][0]
    table["limit"] = table["cost_usd_per_1000"]
    assert "not sure, this comes nearest" in present(table)["Asked"][0]


def test_nothing_of_the_test_split_enters_the_choice(setting, make_setting):
    other = replace(setting.table, utility=1 - setting.table.utility)
    flipped = make_setting(other, setting.training, setting.unit, n_resamples=200)
    told = clairvoyant(setting.table), clairvoyant(setting.training)
    before, after = (
        decide(Evidence.of_splits(one, *told), "own", [2.0, "30%"], ["95%"], {}, 200, 0)
        for one in (setting, flipped)
    )
    for column in ("router", "first", "second", "second_share", "threshold", "limit", "feasible"):
        pd.testing.assert_series_equal(before[column], after[column])
    assert not np.allclose(before["accuracy"][:3], after["accuracy"][:3])


def test_shares_of_the_traffic_sum_to_one_and_make_the_cost(setting):
    for make in (clairvoyant, misled):
        table = decided(setting, make, budgets=[1.0, 3.0, 100.0])
        shares = table.filter(like=SHARE).to_numpy(float)
        np.testing.assert_allclose(shares.sum(axis=1), 1)
        np.testing.assert_allclose(1000 * shares @ COST, table["cost_usd_per_1000"])


def test_saving_is_against_the_best_single_model_and_gain_against_the_mixture(setting):
    row = decided(setting, misled, budgets=[1000.0]).iloc[0]
    assert (row["saving"], row["gain_on_best"], row["gain"]) == (0, 0, 0)
    cheap = decided(setting, misled, budgets=[1.0]).iloc[0]
    assert cheap["saving"] == pytest.approx(0.9)
    assert cheap["gain_on_best_low"] < cheap["gain_on_best"] < cheap["gain_on_best_high"] < 0
    assert cheap["gain"] == 0
    known = decided(setting, budgets=["50%"]).iloc[0]
    assert 0 < known["gain_low"] < known["gain"] == known["routed_gain"]
    assert known["p_value"] < 0.05


def test_whether_routing_pays_is_said_and_how_many_queries_would_tell(setting):
    assert answer(setting, clairvoyant)[0].startswith("Routing pays here: against the best static")
    (said,) = answer(setting, misled)
    assert said.startswith(
        ("Routing does not pay here", "Whether routing pays here cannot be told")
    )

    def slightly(table):
        u_hat = np.array([0.4, 0.6, 0.8]) + 0.03 * (table.utility - 0.5)
        return Predictions(table.samples["sample_id"], u_hat[None], (table.cost / 0.01)[None])

    table = all_decided(setting, slightly, ["50%"])
    (overall,) = table[table["asked"] == ALL_BUDGETS].to_dict("records")
    (only,) = table[table["asked"] == BUDGET].to_dict("records")
    assert overall["routed_gain"] == only["routed_gain"]
    assert only["labels_for_1"] == pytest.approx(4 * only["labels_for_2"], abs=4)


def test_no_answer_without_a_budget(setting):
    assert answers(all_decided(setting, targets=["90%"])) == []


@pytest.mark.parametrize("factor", [1.0, 1.3, 3.1])
def test_a_cost_that_is_the_budget_keeps_it_in_every_resample(setting, factor):
    prices = {"model-2": factor}
    table = decided(setting, misled, budgets=["100%"], prices=prices)
    assert [used(row) for _, row in table.iterrows()] == ["always model-2"] * 2
    assert table["kept"].tolist() == [1, 1]


def test_there_is_no_saving_on_a_free_model(setting):
    table = decided(setting, misled, targets=["95%"], prices={"model-2": 0.0})
    assert table["saving"].isna().tolist() == [False, True]
    assert cards(table)[1].facts["saved against the best single model"] == "–"


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
    table = decided(setting, misled, budgets=[1.0], prices={"model-2": 0.0})
    assert table.set_index("prices").loc["what if", "share model-2"] == 1
    assert table.set_index("prices").loc["today", "share model-2"] < 1


def test_a_model_that_is_not_in_the_pool_has_no_price(setting):
    with pytest.raises(InputError, match=r"what_if_prices: no model 'gpt' .* model-0"):
        decided(setting, prices={"gpt": 0.5})


def test_what_deciding_costs_counts(setting):
    def charging(table):
        return replace(clairvoyant(table), overhead=np.full(len(table.samples), 0.05))

    free, charged = (
        decided(setting, make, targets=["90%"])["cost_usd_per_1000"].item()
        for make in (clairvoyant, charging)
    )
    assert charged == pytest.approx(free + 0.5)


def test_it_is_presented_alike_from_csv(setting, tmp_path):
    for make in (clairvoyant, misled):
        table = decided(setting, make, ["20%", 3.0], [0.9], {"model-2": 0.5})
        table.to_csv(tmp_path / "decision.csv", index=False)
        shown = present(pd.read_csv(tmp_path / "decision.csv"))
        pd.testing.assert_frame_equal(shown, present(table), check_dtype=False)
        assert shown["Asked"][0].startswith("at most $2 per 1,000 queries (20% of the best")
        assert next(iter(shown)) == "Prices"
        assert "Prices" not in present(decided(setting, make, budgets=[3.0]))


def test_a_budget_is_kept_in_most_resamples_though_costs_spread(setting, make_setting):
    generator = np.random.default_rng(3)
    spread = (
        replace(part, cost=part.cost * generator.lognormal(0, 1, part.cost.shape))
        for part in (setting.table, setting.training)
    )
    spreading = make_setting(*spread, setting.unit, n_resamples=200)
    table = decided(spreading, budgets=[3.0, 6.0, 9.0])
    assert (table["kept"] > 0.5).all()


def told(setting, make, **asked):
    """The text of the only card."""
    (card,) = cards(decided(setting, make, **asked))
    return card.told


def test_a_card_says_what_happens_without_a_router_and_how_sure_that_is(setting):
    assert re.fullmatch(
        r"The router gains \+\d+\.\d points \[\+\d.*\] on the best mixture: proved\. Without a "
        r"router: model-1 for 8\d% and model-2 for 1\d%, at random, for 6\d\.\d% \[.*\] accuracy "
        r"at 4\.\d+ \[.*\] USD per 1,000 queries\.",
        told(setting, clairvoyant, budgets=["50%"]),
    )
    assert re.fullmatch(
        r"Routing was tried and is not used: on 150 labelled queries its gain was -\d+\.\d points "
        r"\[.*\]\. About [\d,]+ would show a gain of 2 points\.",
        told(setting, misled, budgets=["50%"]),
    )
    assert told(setting, misled, targets=["100%"]) == (
        "Nothing cheaper than model-2 surely has this accuracy; cheaper choices may, but 150 "
        "labelled queries cannot tell."
    )
    assert told(setting, misled, budgets=[0.5]).startswith("Nothing surely keeps what was asked")


def test_a_model_that_a_mixture_always_takes_is_the_one_that_is_named(setting):
    table = decided(setting, misled, targets=[0.5])
    table["first"], table["second"], table["second_share"] = "best", "cheap", 1.0
    (card,) = cards(table)
    assert card.run == "always cheap"
    assert card.told.startswith("Nothing cheaper than cheap surely has this accuracy;")


def test_a_router_that_does_as_the_mixtures_needs_no_number_of_labels(setting, make_setting):
    alike = [
        replace(table, utility=np.ones_like(table.utility))
        for table in (setting.table, setting.training)
    ]
    table = all_decided(make_setting(*alike, setting.unit), budgets=["100%"])
    assert "Routing was tried and is not used" in cards(table)[0].told
    assert "would show" not in cards(table)[0].told
    assert "so that none would show a gain" in changes(table)


def test_what_would_change_the_advice_names_labels_and_prices(setting):
    table = all_decided(setting, misled, ["50%"])
    row = table[table["asked"] == ALL_BUDGETS].iloc[0]
    said = changes(table)
    assert re.search(r"to show a gain of 1 point takes about [\d,]+ labelled queries", said)
    (two,) = re.findall(r"2 points takes about ([\d,]+)", said)
    assert int(two.replace(",", "")) == pytest.approx(row["labels_for_2"], rel=0.05)
    assert "there are 150" in said
    assert "what_if_prices in the config" in said
    other = changes(all_decided(setting, misled, ["50%"], prices={"model-2": 0.5}))
    assert "change what to run for 1 of 1 things asked" in other
    assert changes(all_decided(setting, targets=["90%"])) == ""


# --- latencies --------------------------------------------------------------------------------

SECONDS = np.array([1.0, 3.0, 9.0])


def timed(setting, seconds=SECONDS):
    table = replace(
        setting.benchmark.table,
        latency_s=np.broadcast_to(seconds, setting.benchmark.table.utility.shape).copy(),
    )
    return replace(setting, benchmark=replace(setting.benchmark, table=table))


def within(setting, max_latency, make=clairvoyant, budgets=("50%",), targets=()):
    evidence = Evidence.of_splits(setting, make(setting.table), make(setting.training))
    how = setting.n_resamples, setting.seed
    table = decide(evidence, "own", list(budgets), list(targets), {}, *how, max_latency)
    return table[table["asked"] != ALL_BUDGETS].reset_index(drop=True)


@pytest.mark.parametrize("make", [clairvoyant, misled])
def test_the_latency_of_what_is_advised_is_the_mean_of_its_traffics(setting, make):
    plain, table = (decided(one, make, budgets=["50%"]) for one in (setting, timed(setting)))
    shares = table.filter(like=SHARE).to_numpy(float)
    np.testing.assert_allclose(table["latency_s"], shares @ SECONDS)
    assert table["latency_coverage"].item() == 1
    pd.testing.assert_frame_equal(table[plain.columns], plain)
    assert not any("latency" in column for column in plain)
    (card,) = cards(table)
    assert card.facts["seconds per query"].startswith(f"{table['latency_s'].item():.3g} [")
    assert "Seconds" in present(table)
    assert "Seconds" not in present(plain)


@pytest.mark.parametrize("make", [clairvoyant, misled])
def test_models_that_are_too_slow_get_no_query(setting, make):
    table = within(timed(setting), 5, make, ["50%", "100%"], ["90%"])
    assert (table["share model-2"] == 0).all()
    assert (table["latency_s"] <= 3).all()
    assert (table["latency_kept"] == 1).all()
    assert table["latency_feasible"].all()
    assert set(table["too_slow"]) == {"model-2 (9 s)"}
    # The best single model is that of those that are left.
    assert table["limit"][1] == pytest.approx(4.0)
    told = cards(table)[0]
    assert told.asked.endswith("of the best single model's cost) and 5 s a query")
    assert "Not surely within 5 s on average, and left out: model-2 (9 s)." in told.told


def test_what_is_fast_enough_is_decided_as_without_a_limit(setting):
    free, bound = within(timed(setting), None), within(timed(setting), 9)
    pd.testing.assert_frame_equal(bound[free.columns], free)
    assert bound["too_slow"].item() == ""


def test_a_router_that_takes_too_long_on_average_is_not_used(setting):
    whole = setting.benchmark.table
    # A call of the cheap model takes long where it is right, and the router chooses it there.
    latency = np.where(whole.utility == 1, [8.0, 4, 4], [0.0, 4, 4])
    slow = replace(
        setting, benchmark=replace(setting.benchmark, table=replace(whole, latency_s=latency))
    )
    free = within(slow, 100, budgets=["50%"])
    assert free["router"].item() == "own"
    assert free["latency_s"].item() > 4.5
    table = within(slow, 4.5, budgets=["50%"])
    assert table["too_slow"].item() == ""
    assert table["router"].item() == ""
    assert table["latency_s"].item() < 4.5


def test_the_fastest_is_taken_where_no_model_answers_in_time(setting):
    table = within(timed(setting), 0.5, budgets=["100%"], targets=["100%"])
    assert [used(row) for _, row in table.iterrows()] == ["always model-0"] * 2
    assert not table["feasible"].any()
    assert (table["latency_s"] == 1).all()
    told = cards(table)[0].told
    assert "No model surely answers within 0.5 s on average: model-0 (1 s), model-1 (3 s)" in told
    assert told.endswith("the fastest is taken.")


def test_a_model_without_latencies_is_no_candidate(setting):
    table = within(timed(setting, [1.0, np.nan, 2.0]), 5)
    assert table["share model-1"].item() == 0
    assert table["too_slow"].item() == "model-1 (no latency known)"


def test_a_limit_in_seconds_takes_latencies(setting):
    with pytest.raises(InputError, match=r"decision\.max_latency: no outcome .*; give a source"):
        within(setting, 5)


def test_the_trials_of_folds_keep_a_latency_too(setting):
    own = timed(setting)
    table = own.benchmark.observed
    fold = fold_of(table.samples["group"])
    held = {folds: clairvoyant(table.take(np.isin(fold, folds))) for folds in HELD}
    found = decide(Evidence.of_folds(own, held), "own", ["50%"], [], {}, 200, 0, 5.0)
    assert (found["share model-2"][:1] == 0).all()
    assert 1 <= found["latency_s"][0] <= 3
    assert found["labels"][0] == 300
