"""What an answer is judged by once it is there."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from mmroute.experiments.judge import Answers, Judge, seen

DERIVATION = "Two and two are four. Times three that makes 12.\nA: 12"


def of(*texts):
    return Answers.of(np.array([texts], object))


def drawn(n_samples=300, n_models=4, seed=0):
    """Right answers agree, wrong ones are one of four; predictions tell nothing."""
    generator = np.random.default_rng(seed)
    utility = (generator.random((n_samples, n_models)) < 0.6).astype(float)
    wrong = generator.integers(1, 5, utility.shape)
    said = np.where(utility > 0, 0, wrong).astype(str).astype(object)
    groups = pd.Series([f"group {index}" for index in range(n_samples)])
    return Answers.of(said), np.full(utility.shape, 0.6), utility, groups


# --- answers --------------------------------------------------------------------------------


def test_of_a_derivation_the_answer_is_what_it_ends_with():
    codes = of(DERIVATION, "12", r"so it is \boxed{12}", "The answer is 12.", "13").codes[0]
    assert (codes[:4] == codes[0]).all()
    assert codes[4] != codes[0]


def test_the_form_of_an_answer():
    form = of("B", "3.5", "I cannot see the image.", "a red ball", None, " ").form[0]
    answered, length, declines, option, number = form.T
    np.testing.assert_array_equal(answered, [1, 1, 1, 1, 0, 0])
    np.testing.assert_allclose(length[:4], np.log1p([1, 3, 23, 10]))
    np.testing.assert_array_equal(declines, [0, 0, 1, 0, 0, 0])
    np.testing.assert_array_equal(option, [1, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(number, [0, 1, 0, 0, 0, 0])


def test_no_answer_is_like_no_other():
    told = seen(of(None, None, "7"), np.full((1, 3), 0.5), np.ones((1, 3), bool))[0]
    others, backers = told[:, 1], told[:, 2]
    np.testing.assert_array_equal(others, [2, 2, 2])
    np.testing.assert_array_equal(backers, [0, 0, 0])


# --- what is seen ---------------------------------------------------------------------------


def test_agreement_and_what_stands_against_it():
    # Odds of 1, 3, 1 and 9 to 1; the last was not asked.
    u_hat = np.array([[0.5, 0.75, 0.5, 0.9]])
    told = seen(of("A", "A", "B", "B"), u_hat, np.array([[True, True, True, False]]))[0, :3]
    _, others, backers, rivals, support, backed, lettered, contested, against, *_ = told.T
    np.testing.assert_array_equal(others, [2, 2, 2])
    np.testing.assert_array_equal(backers, [1, 1, 0])
    np.testing.assert_array_equal(rivals, [1, 1, 2])
    np.testing.assert_allclose(support, np.log([3, 1, 1]), atol=1e-12)
    np.testing.assert_array_equal(backed, [1, 1, 0])
    np.testing.assert_array_equal(lettered, [1, 1, 0])
    np.testing.assert_array_equal(contested, [1, 1, 1])
    np.testing.assert_allclose(against, np.log([1, 1, 3]), atol=1e-12)


def test_answers_that_were_not_asked_for_are_not_seen():
    answers, u_hat, _, _ = drawn(40)
    asked = np.random.default_rng(1).random(u_hat.shape) < 0.5
    form, codes = answers.form.copy(), answers.codes.copy()
    form[~asked], codes[~asked] = 9, 99
    before, after = (seen(own, u_hat, asked) for own in (answers, Answers(form, codes)))
    np.testing.assert_array_equal(before[asked], after[asked])


# --- judging --------------------------------------------------------------------------------


def test_a_judge_learns_that_right_answers_agree():
    learned, asked = drawn(seed=0), drawn(seed=1)
    judge = Judge.of(*learned, depth=4, seed=7)
    answers, u_hat, utility, _ = asked
    together = judge.utilities(answers, u_hat, np.ones(u_hat.shape, bool))
    assert roc_auc_score(utility.ravel(), together.ravel()) > 0.85
    assert together.mean() == pytest.approx(utility.mean(), abs=0.05)
    alone = judge.utilities(answers, u_hat, np.eye(4, dtype=bool)[np.zeros(300, int)])[:, 0]
    assert np.ptp(alone) < 0.05
    assert (judge.deviation > 0.15).all()


def test_a_model_that_was_not_asked_has_no_utility():
    learned = drawn()
    judge = Judge.of(*learned, depth=2, seed=7)
    asked = np.zeros((300, 4), bool)
    assert (judge.utilities(*learned[:2], asked) == -np.inf).all()


def test_missing_outcomes_and_predictions_are_not_learned_from():
    answers, u_hat, utility, groups = drawn()
    form, codes = answers.form.copy(), answers.codes.copy()
    u_hat[:50], utility[50:100] = np.nan, np.nan
    form[:100], codes[:100] = 9, 99
    judge = Judge.of(Answers(form, codes), u_hat, utility, groups, depth=1, seed=7)
    kept = drawn()[0].take(slice(100, None)), u_hat[100:], utility[100:], groups[100:]
    rest = Judge.of(*kept, depth=1, seed=7)
    judged = (
        own.utilities(kept[0], kept[1], np.ones(kept[1].shape, bool)) for own in (judge, rest)
    )
    np.testing.assert_allclose(*judged, atol=0.05)


@pytest.mark.parametrize("right", [0.0, 1.0])
def test_where_every_answer_is_alike_nothing_is_learned(right):
    answers, u_hat, utility, groups = drawn(20)
    groups[:] = "one group"
    judge = Judge.of(answers, u_hat, np.full_like(utility, right), groups, depth=3, seed=7)
    judged = judge.utilities(answers, u_hat, np.ones(u_hat.shape, bool))
    np.testing.assert_allclose(judged, right, atol=0.05)
    np.testing.assert_array_equal(judge.deviation, 0)
