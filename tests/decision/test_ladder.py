"""Many budgets are decided as those of the config are, and held against what needs no router."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mmroute.decision.decide import SHARE, decide
from mmroute.decision.evidence import Evidence
from mmroute.decision.ladder import N_BUDGETS, ladder
from mmroute.decision.words import OFFER_COLUMNS, offers
from mmroute.predictions import Predictions

COST = np.array([0.001, 0.004, 0.010])
SEED = {"n_resamples": 200, "seed": 0}


@pytest.fixture
def evidence_of(make_table, make_setting):
    def make(cost=COST):
        both = make_table(n_samples=300, n_models=3)
        generator = np.random.default_rng(0)
        utility = (generator.random((300, 3)) < [0.4, 0.6, 0.8]).astype(float)
        table = replace(both, utility=utility, cost=np.tile(cost, (300, 1)))
        test, training = table.take(np.arange(150, 300)), table.take(np.arange(150))
        setting = make_setting(test, training, 0.01, "lambda", 200, 0)
        told = [
            Predictions(one.samples["sample_id"], one.utility[None], (one.cost / 0.01)[None])
            for one in (test, training)
        ]
        return Evidence.of_splits(setting, *told)

    return make


@pytest.mark.parametrize("budgets", [["25%", "50%", "100%"], [2.0, 5.5]])
def test_a_budget_of_the_config_is_decided_as_in_the_decision(evidence_of, budgets):
    table = ladder(evidence_of(), "own", budgets, **SEED).set_index("amount")
    asked = decide(evidence_of(), "own", budgets, [], {}, **SEED)[:-1].set_index("amount")
    same = [name for name in asked if name in table]
    assert {"accuracy_low", "saving_high", "router", "share model-1"} < set(same)
    pd.testing.assert_frame_equal(table.loc[asked.index, same], asked[same], check_dtype=False)


def test_budgets_ascend_from_the_cheapest_model_to_the_dearest_budget_asked(evidence_of):
    table = ladder(evidence_of(), "own", ["50%"], **SEED)
    assert table["limit"].is_monotonic_increasing
    assert table["limit"].iloc[[0, -1]].tolist() == pytest.approx([1.0, 5.0])
    assert N_BUDGETS <= len(table) <= N_BUDGETS + 1
    assert table["amount"].str.endswith("%").all()


def test_without_a_budget_in_the_config_they_go_up_to_the_best_single_model(evidence_of):
    assert ladder(evidence_of(), "own", [], **SEED)["limit"].iloc[-1] == pytest.approx(10.0)


def test_the_best_single_model_is_one_that_the_budget_allows(evidence_of):
    evidence = evidence_of()
    table = ladder(evidence, "own", [0.5, 1.5, 4.5, 10.5], **SEED).set_index("amount")
    chosen = table.loc[["1.5", "4.5", "10.5"]]
    assert chosen["single"].tolist() == ["model-0", "model-1", "model-2"]
    assert chosen["single_cost_usd_per_1000"].tolist() == pytest.approx([1.0, 4.0, 10.0])
    tested = evidence.trials[0].table.utility.mean(axis=0)
    assert chosen["single_accuracy"].tolist() == pytest.approx(tested.tolist())
    assert chosen["single_saving"].tolist() == pytest.approx([0.9, 0.6, 0.0])
    assert chosen["single_feasible"].all()


def test_what_no_budget_reaches_is_marked(evidence_of):
    first = ladder(evidence_of(), "own", [0.5], **SEED).iloc[0]
    assert not first["feasible"]
    assert not first["single_feasible"]
    assert first["single"] == "model-0"


def test_the_mixture_saves_what_it_costs_less(evidence_of):
    table = ladder(evidence_of(), "own", ["100%"], **SEED)
    expected = 1 - table["mixture_cost_usd_per_1000"] / 10
    np.testing.assert_allclose(table["mixture_saving"], expected, atol=1e-12)
    np.testing.assert_allclose(table.filter(like=SHARE).sum(axis=1), 1)


def test_where_all_models_are_free_there_is_nothing_to_limit(evidence_of):
    table = ladder(evidence_of(np.zeros(3)), "own", ["50%"], **SEED)
    assert table.empty
    assert {"limit", "accuracy", "single", "share model-0"} < set(table.columns)


def test_a_free_model_leaves_the_others_their_budgets(evidence_of):
    table = ladder(evidence_of(np.array([0, 0.004, 0.010])), "own", ["100%"], **SEED)
    assert table["limit"].iloc[0] == pytest.approx(4.0)


def test_an_offer_says_what_each_way_buys(evidence_of):
    table = ladder(evidence_of(), "own", [0.5, 4.5], **SEED)
    first, last = (offers(table)[at] for at in (0, -1))
    assert first.asked == (
        "at most $0.5 per 1,000 queries: nothing surely keeps it, this comes nearest"
    )
    assert [row[0] for row in last.rows] == [
        *("advised: own", "zero (no router)", "best single model within it"),
    ]
    assert {len(row) for row in last.rows} == {len(OFFER_COLUMNS)}
    row = table.iloc[-1]
    assert last.usd == row["limit"] == 4.5
    assert last.rows[0][2].startswith(f"{row['accuracy']:.1%} [")
    assert last.rows[2][1] == "always model-1"
    assert last.points[1] == [row["mixture_cost_usd_per_1000"], row["mixture_accuracy"]]
    paired = offers(ladder(evidence_of(), "own", ["50%"], **SEED))[-1]
    assert paired.asked == "at most $5 per 1,000 queries (50% of the best single model's cost)"
