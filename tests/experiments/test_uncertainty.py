"""What happens to the queries that a router is unsure about."""

from dataclasses import replace
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmroute.evaluation.curve import steps_of
from mmroute.experiments.difficulty import training_points
from mmroute.experiments.findings import summarise
from mmroute.experiments.uncertainty import (
    AT_RANDOM,
    PERSON,
    SHARES,
    STRONGEST,
    VOTE,
    Uncertainty,
    answer_codes,
    handed_on,
    normalised,
    notices,
    ranking,
    vote,
)
from mmroute.predictions import Predictions
from mmroute.presentation.tables import write_csv

STRATEGIES = (STRONGEST, VOTE, PERSON)


def predictions_for(table, seed=3):
    shape = (1, *table.utility.shape)
    generator = np.random.default_rng(seed)
    return Predictions(table.samples["sample_id"], generator.random(shape), generator.random(shape))


@pytest.fixture
def setting(make_table, make_setting):
    both = make_table(n_samples=60, n_models=4)
    both.prediction[:] = np.where(both.utility == 1, "right", "wrong")
    return make_setting(
        both.take(np.arange(40)), both.take(np.arange(40, 60)), 2.0, "lambda", 100, 0
    )


def find(setting, predictions=None, **parameters):
    predictions = predictions or predictions_for(setting.table)
    crossfit = predictions_for(setting.training)
    experiment = Uncertainty(**parameters)
    return experiment.findings(setting, {"own": predictions}, {"own": crossfit})


def values_of(found, metric, strategy="", handed_on=None, minus=""):
    kept = found.query("metric == @metric and strategy == @strategy and minus == @minus")
    if handed_on is not None:
        kept = kept[kept["handed_on"] == handed_on]
    return np.stack(kept["replicates"].tolist())


def router_alone(setting):
    """Return the choices, and the resamples of their mean utility and normalised cost."""
    own = predictions_for(setting.table)
    points = training_points(setting, predictions_for(setting.training), own)
    steps = steps_of(own, 0, np.isfinite(setting.table.utility), "lambda")
    choice = steps.choices(points.get("half_cost", points["peak"]))
    return choice, *(of_choice(setting, matrix, choice) for matrix in outcomes(setting))


def outcomes(setting):
    return setting.table.utility, setting.table.cost / setting.unit


def of_choice(setting, matrix, choice):
    weights = setting.weights()
    return weights @ matrix[np.arange(len(matrix)), choice] / weights.sum(axis=1)


# --- who is handed on -------------------------------------------------------------------------

UNCERTAINTIES = st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.7, 1.0]), min_size=1, max_size=30)


@given(UNCERTAINTIES)
def test_each_share_is_met_exactly(uncertainty):
    np.testing.assert_allclose(handed_on(np.array(uncertainty)).mean(axis=0), SHARES, atol=1e-12)


@given(UNCERTAINTIES)
def test_the_more_uncertain_are_handed_on_first_and_equals_alike(uncertainty):
    given = handed_on(np.array(uncertainty))
    for first, one in zip(uncertainty, given, strict=True):
        for second, other in zip(uncertainty, given, strict=True):
            if first == second:
                assert (one == other).all()
            elif first > second:
                assert ((one == 1) | (other == 0)).all()


# --- the ends of each sweep -------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_handing_on_nothing_is_the_router_alone(setting, strategy):
    found = find(setting)
    _, accuracy, cost = router_alone(setting)
    np.testing.assert_allclose(values_of(found, "accuracy", strategy, 0)[0], accuracy)
    np.testing.assert_allclose(values_of(found, "cost", strategy, 0)[0], cost)


def test_handing_on_everything_is_the_strongest_alone(setting):
    found = find(setting)
    strongest = np.full(40, np.argmax(setting.training.utility.mean(axis=0)))
    for metric, matrix in zip(("accuracy", "cost"), outcomes(setting), strict=True):
        expected = of_choice(setting, matrix, strongest)
        np.testing.assert_allclose(values_of(found, metric, STRONGEST, 1)[0], expected)


def test_where_the_strongest_was_not_observed_the_next_takes_over(setting):
    first, second = np.argsort(-setting.training.utility.mean(axis=0), kind="stable")[:2]
    setting.training.utility[:, first] = 1
    setting.training.utility[:, second] = np.arange(20) > 0
    setting.table.utility[0, first] = setting.table.cost[0, first] = np.nan
    chosen = np.where(np.arange(40) == 0, second, first)
    expected = of_choice(setting, setting.table.cost / 2, chosen)
    np.testing.assert_allclose(values_of(find(setting), "cost", STRONGEST, 1)[0], expected)


def test_a_person_answers_everything_right_at_their_price(setting):
    found = find(setting, person_cost_usd=0.8)
    np.testing.assert_allclose(values_of(found, "accuracy", PERSON, 1), 1)
    np.testing.assert_allclose(values_of(found, "cost_usd", PERSON, 1), 0.8)
    np.testing.assert_allclose(values_of(found, "cost", PERSON, 1), 0.4)


def test_a_person_may_be_wrong(setting):
    found = find(setting, person_accuracy=0.9)
    np.testing.assert_allclose(values_of(found, "accuracy", PERSON, 1), 0.9)


def test_a_vote_of_one_is_the_router(setting):
    found = find(setting, votes=1)
    _, accuracy, cost = router_alone(setting)
    for share in SHARES:
        np.testing.assert_allclose(values_of(found, "accuracy", VOTE, share)[0], accuracy)
        np.testing.assert_allclose(values_of(found, "cost", VOTE, share)[0], cost)


def test_a_vote_of_all_costs_all_and_the_majority_decides(setting):
    found = find(setting, votes=4)
    np.testing.assert_allclose(
        values_of(found, "cost_usd", VOTE, 1)[0][0], setting.table.cost.sum(axis=1).mean()
    )
    right = setting.table.utility.sum(axis=1)
    choice = router_alone(setting)[0]
    first = setting.table.utility[np.arange(40), choice]
    expected = np.where(right == 2, first, right > 2).mean()
    np.testing.assert_allclose(values_of(found, "accuracy", VOTE, 1)[0][0], expected)


# --- what else is measured --------------------------------------------------------------------


def test_the_router_answers_what_is_not_handed_on(setting):
    np.testing.assert_allclose(values_of(find(setting), "coverage")[:, 0], 1 - SHARES)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_decision_is_paid_once(setting, strategy):
    own = predictions_for(setting.table)
    dearer = replace(own, overhead=np.full(40, 0.25))
    cost, with_overhead = (values_of(find(setting, one), "cost", strategy) for one in (own, dearer))
    np.testing.assert_allclose(with_overhead - cost, 0.25)


def test_costs_are_in_both_units(setting):
    found = find(setting)
    for strategy in STRATEGIES:
        usd = values_of(found, "cost_usd", strategy)
        np.testing.assert_allclose(usd, 2 * values_of(found, "cost", strategy))


def knowing(setting, told):
    """Predict that model 0 is right by ``told``, and the others by less, all free."""
    u_hat = np.tile((told - 2)[:, None], (1, 4))
    u_hat[:, 0] = told
    ids = setting.table.samples["sample_id"]
    return Predictions(ids, u_hat[None], np.ones((1, 40, 4)))


def test_uncertainty_that_tells_right_from_wrong(setting):
    setting.table.utility[:, 0] = np.arange(40) % 2
    found = find(setting, knowing(setting, setting.table.utility[:, 0]))
    assert values_of(found, "auroc")[0, 0] == 1
    assert values_of(found, "accuracy_sure")[0, 0] == 1
    assert values_of(found, "accuracy_unsure")[0, 0] == 0
    assert values_of(found, "accuracy_sure", minus="accuracy_unsure")[0, 0] == 1
    assert values_of(found, "accuracy", PERSON, 0.5)[0, 0] == 1
    assert values_of(found, "accuracy", PERSON, 0.5, AT_RANDOM)[0, 0] == pytest.approx(0.25)


def test_uncertainty_that_tells_nothing_is_as_good_as_chance(setting):
    found = find(setting, knowing(setting, np.full(40, 0.3)))
    np.testing.assert_allclose(values_of(found, "auroc"), 0.5)
    np.testing.assert_allclose(values_of(found, "accuracy_sure", minus="accuracy_unsure"), 0)
    for strategy in STRATEGIES:
        gained = values_of(found, "accuracy", strategy, minus=AT_RANDOM)
        np.testing.assert_allclose(gained, 0, atol=1e-12)


def test_the_order_of_the_samples_does_not_matter(setting, make_setting):
    order = np.random.default_rng(1).permutation(40)
    turned = make_setting(setting.table.take(order), setting.training, setting.unit)
    own = predictions_for(setting.table)
    found, again = find(setting, own), find(turned, own.take(order))
    keys = ["strategy", "handed_on", "metric", "minus"]
    pd.testing.assert_frame_equal(found[keys], again[keys])
    np.testing.assert_allclose(found["replicates"].str[0], again["replicates"].str[0])


def test_without_a_cheap_point_in_training_the_router_works_at_its_peak(setting):
    setting.training.cost[:] = 1
    assert find(setting)["point"].unique().tolist() == ["peak"]


# --- which models vote ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "parameter", "first", "expected"),
    [
        ("lambda", 0.0, 2, [2, 1, 0]),
        ("lambda", 1.0, 1, [1, 0, 2]),
        ("budget", 0.5, 1, [1, 2, 0]),
    ],
)
def test_the_vote_asks_the_best_scoring_models_after_the_choice(policy, parameter, first, expected):
    ids = pd.Series(["a"])
    own = Predictions(ids, np.array([[[0.1, 0.6, 0.9]]]), np.array([[[0.0, 0.2, 0.9]]]))
    ranked = ranking(own, parameter, np.array([first]), np.ones((1, 3), bool), policy)
    assert ranked.tolist() == [expected]


@pytest.mark.parametrize(("parameter", "expected"), [(0.0, [0, 1, 2]), (1.5, [0, 2, 1])])
def test_a_router_with_a_grid_ranks_by_the_scores_of_its_lambda(parameter, expected):
    u_hat, scores = np.zeros((1, 1, 3)), np.array([[[3.0, 2, 1]], [[3.0, 1, 2]]])
    own = Predictions(pd.Series(["a"]), u_hat, u_hat, np.array([0.0, 1.0]), scores)
    ranked = ranking(own, parameter, np.array([0]), np.ones((1, 3), bool), "lambda")
    assert ranked.tolist() == [expected]


def test_a_model_that_was_not_observed_is_not_asked():
    own = Predictions(pd.Series(["a"]), np.array([[[0.1, 0.6, 0.9]]]), np.zeros((1, 1, 3)))
    observed = np.array([[True, False, True]])
    assert ranking(own, 0.0, np.array([2]), observed, "lambda").tolist() == [[2, 0, -1]]


def held(*answers, utility, asked=None):
    """Return utility and cost of one vote; models cost 1, 2, 4, ..."""
    prediction = np.array([answers], object)
    ranked = np.array([asked or range(len(answers))])
    cost = 2.0 ** np.arange(len(answers))[None]
    won, paid = vote(ranked, answer_codes(prediction), np.array([utility], float), cost)
    return won[0], paid[0]


def test_the_majority_wins():
    assert held("A", "b", "(B)", utility=[0, 1, 1]) == (1, 7)


def test_of_equally_many_votes_the_routers_first_wins():
    assert held("a", "b", "c", utility=[1, 0, 0]) == (1, 7)
    assert held("a", "b", "b", "a", utility=[0, 1, 1, 0]) == (0, 15)
    assert held("x", "b", "c", "c", "b", utility=[0, 1, 0, 0, 1]) == (1, 31)


def test_a_model_without_an_answer_has_no_vote_and_is_paid():
    assert held(None, None, "c", utility=[0, 0, 1]) == (1, 7)
    assert held(None, None, None, utility=[1, 0, 0]) == (1, 7)
    assert held("", " . ", "c", utility=[0, 0, 1]) == (1, 7)


def test_models_that_are_not_asked_neither_vote_nor_cost():
    assert held("a", "b", "b", utility=[1, 0, 0], asked=[0, -1, -1]) == (1, 1)


def test_one_answer_that_was_graded_differently_counts_by_its_mean():
    assert held("3", "3.0", "x", utility=[1, 0, 0]) == (0.5, 7)


@pytest.mark.parametrize("known", [0, 19])
def test_without_answers_the_vote_is_left_out_with_a_notice(setting, known):
    setting.table.prediction[known:] = None
    (notice,) = notices(setting.table)
    assert f"{known / 40:.0%} of the outcomes" in notice
    assert VOTE not in set(find(setting)["strategy"])


def test_with_answers_there_is_no_notice(setting):
    assert notices(setting.table) == []


# --- equal answers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (" Paris\n", "paris"),
        ("(B)", "b"),
        ("B.", "b"),
        ("Option B", "b"),
        ("The answer is: B", "b"),
        ("B) 12 cm", "b"),
        ("60.0", "60"),
        ("1,200", "1200"),
        ("$60$", "60"),
        ("0.5", "1/2"),
        ("0.5", ".50"),
        ("１２", "12"),
        ("new  york", "New York."),
    ],
)
def test_answers_that_say_the_same(first, second):
    assert normalised(first) == normalised(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a", "b"),
        ("1", "-1"),
        ("12", "1.2"),
        ("a cat", "a"),
        ("1,2", "12"),
        (".5", "5"),
        ("1/0", "1"),
    ],
)
def test_answers_that_differ(first, second):
    assert normalised(first) != normalised(second)


@given(st.text())
def test_outer_space_and_punctuation_do_not_matter(text):
    assert normalised(f" '{text}'.\n") == normalised(text)


@given(st.integers(-(10**15), 10**15))
def test_a_number_may_be_spelt_in_several_ways(number):
    spelt = {f"{number}", f"{number:,}", f"{number}.00", f"{2 * number}/2", f"${number}"}
    assert {normalised(text) for text in spelt} == {str(number)}


def test_a_huge_number_is_taken_for_text():
    assert normalised("1e999999999") == "1e999999999"
    assert normalised("9" * 5000) == "9" * 5000


# --- for people -------------------------------------------------------------------------------


@pytest.mark.parametrize("from_csv", [False, True])
def test_presented_is_a_row_per_router_and_strategy(setting, tmp_path, from_csv):
    found = find(setting)
    table = summarise([found])
    if from_csv:
        write_csv(tmp_path / "table.csv", table)
        table = pd.read_csv(StringIO((tmp_path / "table.csv").read_text()))
    shown = Uncertainty().present(table).set_index("Unsure queries go to")
    assert shown.index.tolist() == list(STRATEGIES)
    alone = values_of(found, "accuracy", VOTE, 0)[0, 0]
    assert shown.loc[VOTE, "Accuracy, 0% handed on"].startswith(f"{alone:.3f} [")
    usd = 1000 * values_of(found, "cost_usd", PERSON, 0.25)[0, 0]
    assert shown.loc[PERSON, "USD per 1,000 queries, 25%"] == f"{usd:.3g}"
