"""What is told of a policy on traffic that another one paid for."""

import sys
from pathlib import Path

import numpy as np
import pytest

from mmroute.evaluation.off_policy import Estimate, Overlap, mean, queries_needed

sys.path.append(str(Path(__file__).parents[1] / "bench"))
import logged

TARGET, LOGGED = np.array([0, 1, 1, 0]), np.array([0, 1, 0, 1])
PROPENSITY, OUTCOME = np.array([0.8, 0.25, 0.5, 0.2]), np.array([1.0, 0.0, 1.0, 1.0])
WEIGHT = np.array([1.25, 4, 0, 0])


def test_weights_and_their_effective_size_are_as_defined():
    overlap = Overlap.of(TARGET, LOGGED, PROPENSITY)
    np.testing.assert_allclose(overlap.weight, WEIGHT)
    assert overlap.effective_size == pytest.approx(5.25**2 / (1.25**2 + 16))
    assert Overlap(np.ones(7)).effective_size == pytest.approx(7)
    assert Overlap(np.zeros(7)).effective_size == 0
    assert Overlap(np.ones(7)).carrying == np.inf
    # One query of a hundred that differs carries all of it.
    assert Overlap(np.array([40.0] + [1.0] * 99)).carrying == pytest.approx(1, rel=0.05)


def test_estimates_are_as_defined():
    overlap = Overlap.of(TARGET, LOGGED, PROPENSITY)
    assert overlap.snips(OUTCOME).value == pytest.approx(1.25 / 5.25)
    predicted, of_logged = np.array([0.5, 0.25, 0.75, 1]), np.array([0.5, 0.25, 0.1, 0.2])
    told = overlap.doubly_robust(OUTCOME, predicted, of_logged)
    correction = (1.25 * 0.5 - 4 * 0.25) / 5.25
    assert told.value == pytest.approx(predicted.mean() + correction)
    for one in (told, overlap.snips(OUTCOME), mean(OUTCOME)):
        assert one.influence.mean() == pytest.approx(0, abs=1e-12)


def test_the_log_s_own_policy_is_told_by_its_mean():
    outcome = np.random.default_rng(0).random(100)
    overlap = Overlap.of(np.zeros(100), np.zeros(100), np.ones(100))
    for one in (overlap.snips(outcome), overlap.doubly_robust(outcome, outcome, outcome)):
        assert one.value == pytest.approx(outcome.mean())
        assert (one - mean(outcome)).value == pytest.approx(0)
        np.testing.assert_allclose(one.interval, mean(outcome).interval)


def test_the_influence_function_is_how_much_a_query_moves_the_value():
    generator = np.random.default_rng(1)
    weight, outcome = generator.random(200) * 5, generator.random(200)
    told = Overlap(weight).snips(outcome)
    for row in (0, 57):
        heavier = np.arange(200) == row
        moved = np.average(outcome, weights=weight * (1 + 1e-6 * heavier))
        assert (moved - told.value) / 1e-6 == pytest.approx(told.influence[row] / 200, rel=1e-3)


def test_the_interval_of_plain_outcomes_is_student_s():
    outcome = np.repeat([-1.0, 1.0], 10)
    low, high = mean(outcome).interval
    # Two values alike often: the variance is known as well as it can be.
    assert high == pytest.approx(2.093 / np.sqrt(19), rel=1e-3)
    assert low == -high
    assert all(np.isnan(mean(np.ones(20)).interval))
    heavy = Estimate(0.0, np.r_[np.full(99, -1.0), 99.0])
    # One query carries it all, so that hardly anything is known.
    assert heavy.interval[1] > 2 * 1.96 * np.sqrt((heavy.influence**2).mean() / 99)


def drawn(n_queries, seed=0):
    """Weights, outcomes, and predictions for the policy's and the logged models."""
    generator = np.random.default_rng(seed)
    weight = 2.0 * generator.integers(2, size=n_queries) * generator.random(n_queries)
    return weight, *generator.random((3, n_queries))


def told_of(weight, outcome, predicted, of_logged, group):
    overlap = Overlap(weight, 0.0, group)
    corrected = overlap.doubly_robust(outcome, predicted, of_logged)
    snips, logged = overlap.snips(outcome), mean(outcome, group)
    intervals = [one.interval for one in (snips, corrected, logged, snips - logged)]
    return [*np.ravel(intervals), overlap.effective_size, overlap.carrying, overlap.share]


def test_groups_of_one_change_nothing():
    group = np.random.default_rng(3).permutation(200)
    np.testing.assert_allclose(
        told_of(*drawn(200), group), told_of(*drawn(200), None), rtol=1e-12, atol=1e-12
    )


def test_what_is_said_ten_times_tells_as_much_as_once():
    ten_times = [np.repeat(own, 10) for own in drawn(200)]
    group = np.random.default_rng(3).permutation(200).repeat(10)
    once = told_of(*drawn(200), None)
    np.testing.assert_allclose(told_of(*ten_times, group), once, rtol=1e-12, atol=1e-12)
    low, high = mean(ten_times[1]).interval
    assert once[5] - once[4] > 2 * (high - low)


def test_a_group_of_several_is_as_sure_as_a_bootstrap_of_groups_says():
    weight, outcome, *_ = drawn(300)
    group = np.arange(300) // 3
    # A third of the variance is the group's own.
    outcome += np.random.default_rng(5).random(100)[group]
    told = Overlap(weight, 0.0, group).snips(outcome)
    drawn_groups = np.random.default_rng(4).integers(100, size=(4000, 100))
    totals, weights = (
        np.bincount(group, own)[drawn_groups].sum(axis=1) for own in (weight * outcome, weight)
    )
    low, high = told.interval
    assert high - low == pytest.approx(2 * 1.98 * (totals / weights).std(), rel=0.05)


@pytest.mark.parametrize("differing", [0.02, 0.5])
def test_a_policy_whose_models_were_never_called_is_not_told(differing):
    n_queries = 10_000
    target = (np.arange(n_queries) < differing * n_queries).astype(int)
    overlap = Overlap.of(target, np.zeros(n_queries), np.ones(n_queries))
    assert overlap.share == pytest.approx(1 - differing)
    assert not overlap.is_enough


def test_a_model_that_random_traffic_leaves_out_is_noticed():
    generator = np.random.default_rng(2)
    target, logged = generator.integers(3, size=6000), generator.integers(2, size=6000)
    overlap = Overlap.of(target, logged, np.full(6000, 0.5))
    assert 0.6 < overlap.share < 0.8
    assert not overlap.is_enough
    assert Overlap.of(target % 2, logged, np.full(6000, 0.5)).is_enough


def of_a_log(seed, *, share=0.5, kept=(1, 1, 1, 1), constant=None, n_queries=3000):
    """How far a log of four models tells of another policy, where shares of outcomes are kept."""
    generator = np.random.default_rng(seed)
    target, usual = generator.integers(4, size=(2, n_queries)) // 2
    random = generator.random(n_queries) < share
    called = np.where(random, generator.integers(4, size=n_queries), usual)
    propensity = share / 4 + (1 - share) * (called == usual)
    if constant:
        propensity[:] = constant
    known = generator.random(n_queries) < np.array(kept)[called]
    return Overlap.of(target[known], called[known], propensity[known])


@pytest.mark.parametrize(
    "how", [{"constant": 0.1}, {"share": 0, "constant": 0.2}, {"kept": (1, 1, 0.2, 0.2)}]
)
def test_weights_that_are_too_large_are_not_trusted(how):
    overlap = of_a_log(0, **how)
    assert overlap.weight.mean() > 1.1
    assert overlap.is_inflated
    assert not overlap.is_enough


def test_weights_of_a_sound_log_are_trusted():
    told = [of_a_log(seed, share=share) for seed in range(200) for share in (0.1, 0.5, 1)]
    assert np.mean([one.is_inflated for one in told]) < 0.005
    # It happens to agree throughout.
    assert Overlap(np.full(100, 1 / 0.99)).is_enough
    assert Overlap(np.full(100, 4.0)).is_inflated


def test_an_error_of_rounding_is_none():
    weight = drawn(300)[0]
    constant, predicted = np.full(300, 0.1), np.full(300, 0.7)
    told = Overlap(weight)
    logged = mean(constant)
    for one in (told.snips(constant), told.doubly_robust(constant, predicted, predicted)):
        assert np.isnan([*logged.interval, *one.interval, *(one - logged).interval]).all()
        assert (one - logged).value == 0
        assert one.value == pytest.approx(0.1)
    low, high = mean(1e-9 * np.random.default_rng(0).random(300)).interval
    assert low < high


def test_too_few_queries_are_not_told_of():
    assert logged.estimated(300, 0.1, seed=0) is None
    assert logged.estimated(3000, 0.5, seed=0) is not None
    # Nearly all weights are alike, and three queries tell of the rest.
    weight = np.r_[np.ones(3000), np.full(3, 40.0), np.zeros(117)]
    assert Overlap(weight).effective_size > 500
    assert not Overlap(weight).is_enough


@pytest.mark.parametrize(("share", "differing"), [(0.1, 0.5), (0.5, 0.1), (1.0, 0.7)])
def test_as_many_queries_as_are_needed_are_enough(share, differing):
    needed = queries_needed(4, share, differing)

    def told(n_queries, seed):
        generator = np.random.default_rng(seed)
        target = (generator.random(n_queries) < differing).astype(int)
        random = generator.random(n_queries) < share
        own = np.where(random, generator.integers(4, size=n_queries), 0)
        propensity = np.where(own == 0, 1 - share + share / 4, share / 4)
        return Overlap.of(target, own, propensity).is_enough

    assert np.mean([told(2 * needed, seed) for seed in range(50)]) > 0.9
    assert np.mean([told(needed // 2, seed) for seed in range(50)]) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 10])
def test_intervals_hold_the_truth_as_often_as_they_say(times):
    found = np.array([logged.repetition(3000, 0.5, times, True, seed) for seed in range(150)])
    told = np.isfinite(found).all(axis=(1, 2, 3, 4))
    assert told.mean() > 0.97
    # Beyond chance alone: 150 intervals, 18 of them.
    shares = found[told][..., 0].mean(axis=0)
    assert (shares >= 0.88).all()
    assert 0.92 <= shares.mean() <= 0.98


@pytest.mark.slow
def test_bad_predictions_cost_precision_and_nothing_else():
    found = np.array([logged.repetition(3000, 0.5, 1, True, seed)[0, 1:, 0] for seed in range(60)])
    found = found[np.isfinite(found).all(axis=(1, 2))]
    good, bad = found[:, 0, 1].mean(), found[:, 1, 1].mean()
    assert bad > 1.1 * good
    assert found[:, 1, 0].mean() > 0.85
