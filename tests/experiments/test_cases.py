"""Which queries are shown."""

import numpy as np
import pandas as pd
import pytest

from mmroute.experiments.cases import RESCUE, SAVING, Cases, pick
from mmroute.predictions import Predictions

CHEAP, STRONG, OTHER = range(3)


def choosing(table, chosen):
    """Predict that one model of each sample is right and free."""
    u_hat = np.eye(3)[chosen][None]
    return Predictions(table.samples["sample_id"], u_hat, 1 - u_hat)


@pytest.fixture
def setting(make_table, make_setting):
    """Model 1 is the strongest in training; on test all are right, and each costs its own."""
    training = make_table(n_samples=4, utility=np.tile([0.0, 1.0, 0.0], (4, 1)))
    table = make_table(
        n_samples=8,
        utility=np.ones((8, 3)),
        cost=np.tile([1.0, 5.0, 3.0], (8, 1)),
        prediction=np.tile(np.array(["c", "s", "o"], object), (8, 1)),
    )
    return make_setting(table, training, 5.0, "lambda", 100, 0)


def find(setting, chosen, per_kind=3):
    crossfit = choosing(setting.training, np.full(4, STRONG))
    return pick(setting, choosing(setting.table, chosen), crossfit, per_kind)


def test_the_cases_are_of_the_best_router_in_the_main_table(setting):
    own = {
        "dear": choosing(setting.table, [OTHER] * 8),
        "own": choosing(setting.table, [CHEAP] * 8),
    }
    crossfit = dict.fromkeys(own, choosing(setting.training, np.full(4, STRONG)))
    found = Cases(per_kind=2).findings(setting, own, crossfit)
    assert found.groupby("router").size().to_dict() == {"dear": 2, "own": 2}
    values = {"router": ["dear", "own", "own"], "dataset": ["full", "full", "A"]}
    main = pd.DataFrame(values | {"metric": "nauc_honest", "value": [0.2, 0.1, 0.9]})
    for salts in ([found], [found, found.iloc[:0]]):
        shown = Cases().summarise(salts, main)
        assert shown["router"].unique().tolist() == ["dear"]
    assert Cases().summarise([found], main.iloc[1:])["router"].unique().tolist() == ["own"]
    assert Cases().summarise([found.iloc[:0]], main).empty


def ids(found, kind):
    return found.loc[found["kind"] == kind, "sample_id"].tolist()


def test_a_case_tells_who_answered_what_at_which_cost(setting):
    found = find(setting, [CHEAP, *[STRONG] * 7])
    assert found.to_dict("records") == [
        {
            "kind": SAVING,
            "sample_id": "A_0",
            "dataset": "A",
            "question": "What is 0?",
            "answer": "0",
            "image": None,
            "chosen": "model-0",
            "chosen_answer": "c",
            "chosen_cost_usd": 1.0,
            "reference": "model-1",
            "reference_answer": "s",
            "reference_cost_usd": 5.0,
        }
    ]


def test_the_largest_savings_come_first(setting):
    setting.table.cost[:, STRONG] = [2, 3, 4, 5, 6, 7, 8, 9]
    found = find(setting, np.full(8, CHEAP), per_kind=2)
    assert ids(found, SAVING) == ["B_7", "A_6"]


def test_each_data_set_has_a_case_before_any_has_two(setting):
    setting.table.cost[:, STRONG] = [2, 3, 4, 5, 60, 7, 80, 9]
    found = find(setting, np.full(8, CHEAP))
    assert ids(found, SAVING) == ["A_6", "B_7", "A_4"]


def test_a_saving_needs_both_models_right_and_the_chosen_one_cheaper(setting):
    setting.table.utility[0, CHEAP] = 0
    setting.table.utility[1, STRONG] = 0
    setting.table.cost[2, CHEAP] = 5
    chosen = np.full(8, CHEAP)
    chosen[3] = STRONG
    found = find(setting, chosen, per_kind=8)
    assert sorted(ids(found, SAVING)) == ["A_4", "A_6", "B_5", "B_7"]


def test_a_rescue_is_where_only_the_chosen_model_is_right(setting):
    setting.table.utility[[1, 4], STRONG] = 0
    setting.table.utility[4, CHEAP] = 0
    assert ids(find(setting, np.full(8, CHEAP)), RESCUE) == ["B_1"]


def test_rescues_go_by_utility_then_by_cost(setting):
    setting.table.utility[:, STRONG] = [0, 1, 0.4, 1, 0, 1, 1, 1]
    setting.table.cost[:, CHEAP] = [4, 1, 1, 1, 2, 1, 1, 1]
    assert ids(find(setting, np.full(8, CHEAP)), RESCUE) == ["A_4", "A_0", "A_2"]


def test_a_rescue_may_be_dearer(setting):
    setting.table.utility[0, STRONG] = 0
    setting.table.cost[0, OTHER] = 50
    assert ids(find(setting, np.full(8, OTHER)), RESCUE) == ["A_0"]


def test_where_the_strongest_was_not_observed_there_is_no_case(setting):
    setting.table.utility[:7, STRONG] = setting.table.cost[:7, STRONG] = np.nan
    found = find(setting, np.full(8, CHEAP))
    assert found["sample_id"].tolist() == ["B_7"]


def test_without_a_case_the_frame_is_empty_with_its_columns(setting):
    found = find(setting, np.full(8, STRONG))
    assert found.empty
    assert found.columns.equals(find(setting, np.full(8, CHEAP)).columns)


def test_the_order_of_the_samples_does_not_matter(setting, make_setting):
    order = np.random.default_rng(0).permutation(8)
    turned = make_setting(setting.table.take(order), setting.training, setting.unit)
    chosen = np.array([CHEAP, OTHER] * 4)
    pd.testing.assert_frame_equal(find(setting, chosen), find(turned, chosen[order]))
