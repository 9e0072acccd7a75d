"""Cascades: what is asked, when it stops, and that every call is paid."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr

from mmroute.errors import InputError
from mmroute.evaluation.curve import policy_steps
from mmroute.experiments import cascade
from mmroute.experiments.cascade import (
    CASCADE,
    CASCADE_ROUTING,
    ROUTING,
    Cascade,
    Plan,
    cost_shares,
    larger_of,
)
from mmroute.experiments.findings import summarise
from mmroute.experiments.judge import Answers
from mmroute.predictions import Predictions
from mmroute.presentation.tables import write_csv

ZERO = "zero"


@dataclass
class Known:
    """A judge that knows each model's ex-post utility, alike on every sample."""

    ex_post: tuple[float, ...]
    deviation: np.ndarray

    def utilities(self, answers, u_hat, asked):
        return np.where(asked, self.ex_post, -np.inf)


def follow(plan, u_hat, c_hat, ex_post, lambdas, deviation=0.0, observed=None):
    """Follow a plan on one sample, or on one for each row of what was observed."""
    observed = np.ones((1, len(u_hat)), bool) if observed is None else np.array(observed, bool)
    judge = Known(ex_post, np.broadcast_to(deviation, len(u_hat)))
    rows = (np.tile(own, (len(observed), 1)) for own in (u_hat, c_hat))
    unread = Answers(np.zeros((*observed.shape, 5)), np.zeros(observed.shape, int))
    return plan.follow(judge, unread, *rows, observed, cost_shares(np.array(lambdas)))


def in_order(n_models, depth=5):
    return Plan.cascade(np.arange(n_models), np.arange(n_models), depth)


# --- one after the other ----------------------------------------------------------------------


def test_goes_on_while_the_next_model_is_worth_its_cost_and_pays_every_call():
    # After the first answer, of .3: goes on where .8 - 4 lambda > .3, so below 1/8.
    course = follow(in_order(2), [0.5, 0.8], [1, 4], (0.3, 0.9), [0.0, 0.12, 0.13, np.inf])
    np.testing.assert_array_equal(course.final, [[1, 1, 0, 0]])
    np.testing.assert_array_equal(course.paid(np.array([[1.5, 7.0]])), [[8.5, 8.5, 1.5, 1.5]])
    np.testing.assert_array_equal(course.taken(np.array([[0.0, 1.0]])), [[1, 1, 0, 0]])


def test_the_best_answer_is_taken_and_the_others_are_paid_too():
    course = follow(in_order(3), [0.5, 0.8, 0.9], [1, 2, 3], (0.6, 0.2, 0.4), [0.0])
    assert course.final == 0
    assert course.paid(np.array([[1.0, 2.0, 3.0]])) == 6


def test_of_equally_good_answers_the_first_is_taken():
    course = follow(in_order(2), [0.5, 0.8], [1, 2], (0.7, 0.7), [0.0])
    assert course.asked.all()
    assert course.final == 0


def test_looks_past_a_model_that_brings_nothing_itself():
    # The middle one at lambda .1: .3 - .1 < .5; with the last .9 - .3 > .5.
    course = follow(in_order(3), [0.5, 0.3, 0.9], [1, 1, 2], (0.5, 0.3, 0.9), [0.1])
    assert course.asked.all()


@given(st.integers(1, 6), st.integers(1, 6))
def test_where_costs_count_for_nothing_the_whole_list_is_asked(n_models, depth):
    u_hat = np.full(n_models, 0.5)
    plan = in_order(n_models, depth)
    course = follow(plan, u_hat, u_hat, tuple(u_hat), [0.0, np.inf], deviation=0.2)
    assert course.asked.sum(axis=2).tolist() == [[min(n_models, depth), 1]]


def test_a_model_that_was_not_observed_is_not_asked():
    observed = [[1, 1, 1], [0, 1, 1], [1, 0, 1], [0, 0, 1]]
    course = follow(in_order(3), [0.1, 0.2, 0.3], [1, 1, 1], (0, 0, 0), [0.0], observed=observed)
    np.testing.assert_array_equal(course.asked[:, 0], observed)
    cost = np.where(observed, [1.0, 2.0, 4.0], np.nan)
    np.testing.assert_array_equal(course.paid(cost)[:, 0], [7, 6, 5, 4])


@pytest.mark.parametrize("lambdas", [[0.0], [1.0], [np.inf]])
def test_where_none_of_the_list_was_observed_the_cheapest_is_asked(lambdas):
    plan = Plan.cascade(np.array([0]), np.array([0, 2, 1]), 5)
    course = follow(plan, [0.9] * 3, [1, 1, 1], (0.5,) * 3, lambdas, observed=[[0, 1, 1]])
    np.testing.assert_array_equal(course.asked[0, 0], [False, False, True])
    assert course.final == 2


# --- any model next ---------------------------------------------------------------------------


def test_the_cheap_model_of_the_best_pair_is_asked_first():
    # One of .5 +- .5 beside one of .6: the larger of both is .753; less .1 * 1.01 that is more
    # than .6 - .1 alone. Without a spread the pair is worth .6, and the second is asked alone.
    plan = Plan.routing(np.arange(2), 2)
    for deviation, first in (([0.5, 0], 0), ([0, 0], 1)):
        course = follow(plan, [0.5, 0.6], [0.01, 1], (1.0, 0.6), [0.1], deviation)
        np.testing.assert_array_equal(course.asked[0, 0], np.arange(2) == first)


def test_with_one_model_it_is_the_lambda_policy():
    generator = np.random.default_rng(0)
    u_hat, c_hat = generator.random((2, 40, 5))
    observed = generator.random(u_hat.shape) < 0.8
    observed[:, 0] = True
    steps = policy_steps(u_hat, c_hat, observed, "lambda")
    lambdas = np.concatenate([[0], (steps.threshold[1:] + steps.threshold[:-1]) / 2])
    judge = Known((0.5,) * 5, np.full(5, 0.3))
    answers = Answers(np.zeros((40, 5, 5)), np.zeros((40, 5), int))
    course = Plan.routing(np.arange(5), 1).follow(
        judge, answers, u_hat, c_hat, observed, cost_shares(lambdas)
    )
    expected = np.stack([steps.choices(one) for one in lambdas], axis=1)
    np.testing.assert_array_equal(course.final, expected)
    np.testing.assert_array_equal(course.asked.sum(axis=2), 1)


def test_no_more_than_depth_are_asked():
    u_hat = [0.5] * 6
    course = follow(Plan.routing(np.arange(6), 3), u_hat, u_hat, (0.1,) * 6, [0.0], 0.2)
    assert course.asked.sum() == 3


# --- the larger of two ------------------------------------------------------------------------


def test_the_larger_of_two_standard_normals():
    mean, spread = larger_of(np.zeros(1), 1.0, np.zeros(1), np.ones(1))
    np.testing.assert_allclose([mean[0], spread[0]], [np.pi**-0.5, (1 - 1 / np.pi) ** 0.5])


@given(st.floats(-1, 1), st.floats(0.05, 1), st.floats(-1, 1), st.floats(0.05, 1))
def test_the_larger_of_two_is_as_integrated(mean, spread, other, other_spread):
    value = np.linspace(-8, 8, 20_001)
    below, other_below = ndtr((value - mean) / spread), ndtr((value - other) / other_spread)
    density = np.gradient(below * other_below, value)
    expected = np.trapezoid(value * density, value)
    variance = np.trapezoid((value - expected) ** 2 * density, value)
    found = larger_of(np.array([mean]), spread, np.array([other]), np.array([other_spread]))
    np.testing.assert_allclose(found, [[expected], [np.sqrt(variance)]], atol=1e-4)


def test_the_larger_of_numbers_and_of_nothing():
    mean = np.array([0.3, 0.3, -np.inf])
    other, spread = np.array([0.2, 0.4, 0.4]), np.array([0.0, 0.0, 0.5])
    np.testing.assert_allclose(larger_of(mean, 0.0, other, spread), [[0.3, 0.4, 0.4], [0, 0, 0.5]])


# --- on a benchmark -----------------------------------------------------------------------------


def predictions_for(table, seed):
    """Predictions that tell a little of each sample, with the models' own costs."""
    noise = np.random.default_rng(seed).normal(0, 0.3, table.utility.shape)
    u_hat = np.clip(0.5 + 0.15 * (np.nan_to_num(table.utility) - 0.5) + noise, 0, 1)
    c_hat = np.tile(np.nanmean(table.cost, axis=0), (len(noise), 1))
    return Predictions(table.samples["sample_id"], u_hat[None], c_hat[None])


@pytest.fixture
def given_outcomes(make_table, make_setting):
    """Right answers agree, wrong ones are one of four; some outcomes are missing."""
    both = make_table(n_samples=400, n_models=4)
    generator = np.random.default_rng(5)
    wrong = generator.integers(1, 5, both.utility.shape)
    both.prediction[:] = np.where(both.utility == 1, 0, wrong).astype(str)
    both.cost[:] = [0.1, 0.3, 0.5, 1.0] * generator.lognormal(0, 0.1, both.cost.shape)
    gone = generator.random(both.utility.shape) < 0.1
    gone[:, 0] = False
    both.utility[gone] = both.cost[gone] = np.nan
    test, training = both.take(np.arange(200)), both.take(np.arange(200, 400))
    return make_setting(test, training, 1.0), predictions_for(test, 0), predictions_for(training, 1)


def find(setting, own, crossfit, **parameters):
    return Cascade(**parameters).findings(setting, {"own": own}, {"own": crossfit})


def value(found, method, metric, minus="", router="own"):
    rows = found.query("router == @router and method == @method and metric == @metric")
    return rows.loc[rows["minus"] == minus, "replicates"].item()


def courses_of(monkeypatch, *given):
    """Return what is asked of every sample, plan after plan."""
    followed = []
    follow = Plan.follow

    def recorded(*own):
        followed.append(follow(*own))
        return followed[-1]

    monkeypatch.setattr(Plan, "follow", recorded)
    find(*given)
    return np.concatenate([course.asked for course in followed])


def test_judging_answers_gains_where_right_answers_agree(given_outcomes):
    found = find(*given_outcomes)
    assert value(found, CASCADE_ROUTING, "peak_score", ROUTING)[0] > 0.1
    assert value(found, CASCADE_ROUTING, "nauc", ROUTING)[0] > 0
    assert value(found, CASCADE, "auroc")[0] > value(found, ROUTING, "auroc")[0] + 0.1


def test_differences_are_paired(given_outcomes):
    found = find(*given_outcomes)
    for method in (ROUTING, CASCADE, CASCADE_ROUTING):
        for metric in ("nauc", "peak_score"):
            difference = value(found, method, metric) - value(found, "", metric, router=ZERO)
            np.testing.assert_allclose(value(found, method, metric, ZERO), difference)
    difference = value(found, CASCADE, "nauc") - value(found, ROUTING, "nauc")
    np.testing.assert_allclose(value(found, CASCADE, "nauc", ROUTING), difference)


def test_evaluation_outcomes_choose_nothing(given_outcomes, monkeypatch, make_setting):
    setting, own, crossfit = given_outcomes
    before = courses_of(monkeypatch, setting, own, crossfit)
    utility = 1 - setting.table.utility
    other = make_setting(replace(setting.table, utility=utility), setting.training, 1.0)
    np.testing.assert_array_equal(courses_of(monkeypatch, other, own, crossfit), before)
    assert 1 < before.sum(axis=2).mean() < 4


def test_what_was_not_observed_is_never_asked(given_outcomes, monkeypatch):
    setting, *_ = given_outcomes
    asked = courses_of(monkeypatch, *given_outcomes)
    sample, model = np.nonzero(np.isnan(setting.table.utility))
    assert len(sample)
    for own in (asked[:200], asked[200:]):
        assert not own[sample, :, model].any()


def test_two_runs_give_the_same_bytes(given_outcomes):
    first, again = (find(*given_outcomes)["replicates"] for _ in range(2))
    assert [values.tobytes() for values in first] == [values.tobytes() for values in again]


def test_the_samples_do_not_share_their_block(given_outcomes, monkeypatch):
    whole = courses_of(monkeypatch, *given_outcomes)
    monkeypatch.setattr(cascade, "_CELLS", 70)
    cut = courses_of(monkeypatch, *given_outcomes)
    np.testing.assert_array_equal(cut, whole)


def test_the_decision_itself_is_paid_once(given_outcomes):
    setting, own, _ = given_outcomes
    cost = setting.table.cost
    plan, judge = in_order(4), Known((0.5,) * 4, np.full(4, 0.3))
    answers = Answers.of(setting.table.prediction)
    paid = [
        cascade._outcomes(plan, judge, answers, predictions, setting.table.utility, cost)[1]
        for predictions in (own, replace(own, overhead=np.full(200, 0.25)))
    ]
    np.testing.assert_allclose(paid[1] - paid[0], 0.25)


def test_without_answers_it_says_so(given_outcomes, make_setting):
    setting, own, crossfit = given_outcomes
    silent = replace(setting.table, prediction=np.full(setting.table.prediction.shape, None))
    silent = make_setting(silent, replace(setting.training, prediction=silent.prediction), 1.0)
    with pytest.raises(InputError, match="cascade: only 0% of the outcomes of A, B come with"):
        find(silent, own, crossfit)
    with pytest.raises(InputError, match="column prediction"):
        list(Cascade().problems(silent.benchmark, None))
    assert not list(Cascade().problems(setting.benchmark, None))


def test_the_table_for_people(given_outcomes, tmp_path):
    write_csv(tmp_path / "cascade.csv", summarise([find(*given_outcomes)]))
    shown = Cascade().present(pd.read_csv(tmp_path / "cascade.csv")).set_index(["Router", "Method"])
    assert shown.index.tolist() == [
        (ZERO, "–"),
        *(("own", method) for method in (ROUTING, CASCADE, CASCADE_ROUTING)),
    ]
    missing = shown == "–"
    assert missing["nAUC, minus best static mixture"].tolist() == [True, False, False, False]
    assert missing["nAUC, minus routing"].tolist() == [True, True, False, False]
    assert missing["AUROC, the list's models"].tolist() == [True, False, False, True]
