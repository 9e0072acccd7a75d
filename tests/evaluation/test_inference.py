"""Intervals, p-values, sets of the best, and several trainings."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmroute.evaluation.inference import (
    difference,
    interval,
    interval_over,
    over_trainings,
    p_best,
    p_value,
)


def normal_replicates(value=0.0, bias=0.0, n_resamples=100_000):
    draws = np.random.default_rng(0).normal(value + bias, 1, n_resamples)
    return np.append(value, draws)


def test_an_unbiased_interval_is_the_percentiles():
    low, high = interval(normal_replicates())
    assert (low, high) == (pytest.approx(-1.96, abs=0.03), pytest.approx(1.96, abs=0.03))


def test_a_bias_of_the_resamples_is_taken_off_twice():
    low, high = interval(normal_replicates(bias=0.5))
    assert (low, high) == (
        pytest.approx(-1.96 - 0.5, abs=0.05),
        pytest.approx(1.96 - 0.5, abs=0.05),
    )


def test_an_interval_of_constants_is_the_constant():
    assert interval(np.full(101, 0.25)) == (0.25, 0.25)


def test_infinite_resamples_reach_the_bound_and_undefined_ones_are_left_out():
    values = np.concatenate([[1.0], np.linspace(0, 2, 90), np.full(10, np.inf)])
    assert interval(values)[1] == np.inf
    with_undefined = np.concatenate([values, np.full(50, np.nan)])
    assert interval(with_undefined) == interval(values)
    assert all(np.isnan(interval(np.array([np.nan, 1.0, 2.0]))))


@given(st.floats(-4, 4), st.floats(-2, 2))
@settings(max_examples=200, deadline=None)
def test_a_difference_is_significant_where_its_interval_leaves_out_zero(value, bias):
    """However far the value is off the middle of its resamples."""
    replicates = normal_replicates(value, bias, 2000)
    low, high = interval(replicates, compared=True)
    p = p_value(replicates)
    if abs(p - 0.05) > 0.004:
        assert (p < 0.05) == (low > 0 or high < 0)


@pytest.mark.parametrize("bias", [1.2, -0.8])
def test_what_a_bias_makes_no_difference_has_zero_in_its_interval(bias):
    """With all resamples beyond zero, or one in ten on its other side."""
    replicates = normal_replicates(2.1, bias, 401)
    for own in (replicates, -replicates):
        low, high = interval(own, compared=True)
        assert low < 0 < high
        assert p_value(own) > 0.05


def resampled(seed, n_resamples=400):
    """Replicates of many shapes: skewed, biased, with ties, and with a value off their middle."""
    generator = np.random.default_rng(seed)
    shape = generator.integers(4)
    draws = [
        lambda size: generator.normal(size=size),
        lambda size: generator.exponential(size=size) - 1,
        lambda size: generator.poisson(1, size) - 1.0,
        lambda size: np.round(generator.standard_t(2, size), 1),
    ][shape](n_resamples)
    return np.append(generator.normal(), draws + generator.normal(0, 2))


@given(st.integers(0, 10_000), st.booleans())
@settings(max_examples=300, deadline=None)
def test_what_is_significant_has_nearly_all_resamples_on_its_side(seed, atoms):
    replicates = resampled(seed)
    if p_value(replicates, atoms) < 0.05:
        assert (np.sign(replicates[0]) * replicates[1:] >= 0).mean() >= 0.95


@given(st.integers(0, 10_000), st.floats(0, 5), st.floats(0, 5), st.booleans())
@settings(max_examples=300, deadline=None)
def test_p_never_rises_with_the_effect(seed, one, more, atoms):
    """Of values that repeat, once most of the resamples are on the value's side."""
    replicates = resampled(seed)
    replicates += abs(replicates[0]) - replicates[0] + 1e-6
    p = p_value(replicates + one, atoms)
    if not atoms or p < 0.5:
        assert p_value(replicates + one + more, atoms) <= p + 1e-12


def test_no_correction_makes_a_difference_more_significant_than_its_standard_error():
    """Of two equal routers one was lucky: in resamples it is less so."""
    lucky = normal_replicates(1.9, bias=-0.2)
    assert interval(lucky)[0] > 0.1
    low, high = interval(lucky, compared=True)
    assert low == pytest.approx(1.9 - 1.96, abs=0.02)
    assert high > 1.9 + 1.96
    assert p_value(lucky) == pytest.approx(0.057, abs=0.002)


def test_p_falls_to_its_floor_where_no_resample_crosses_zero():
    """Biased by a standard error, as the best of many is: the bias alone once decided."""
    draws = np.random.default_rng(0).normal(1, 1, 999)
    told = [p_value(np.append(0.0, draws) + effect) for effect in (2.5, 3, 49)]
    assert told[0] > told[1] > told[2] == pytest.approx(2 / 1000)


def test_where_values_repeat_half_of_the_resamples_against_it_are_no_significance():
    never = np.array([-np.inf, *[-np.inf] * 250, *[0.0] * 250, *[np.inf] * 500])
    assert p_value(never) == pytest.approx(0.75)
    assert interval(never) == (-np.inf, np.inf)
    better = np.array([0.2, *[0.0] * 300, *[0.5] * 700])
    assert p_value(better, atoms=True) == pytest.approx(0.3)
    assert interval(better, atoms=True) == (0.0, 0.5)


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_equal_trainings_tell_what_one_does_and_opposite_ones_nothing(seed):
    one = resampled(seed)
    np.testing.assert_allclose(over_trainings([one, one, one]), one)
    assert p_value(over_trainings([one, -one])) == 1


def test_trainings_that_lie_apart_widen_the_interval_and_noise_of_their_samples_does_not():
    generator = np.random.default_rng(0)
    noise = generator.normal(0, 0.01, (2, 3, 1000))
    values = np.array([0.5, 0.6, 0.7])
    apart = [np.append(own, own + draws) for own, draws in zip(values, noise[0], strict=True)]
    together = over_trainings(apart)
    assert together[0] == pytest.approx(0.6)
    # Student's t with two degrees of freedom: 4.30 standard errors of 0.1 / sqrt(3).
    low, high = interval(together)
    assert (high - low) / 2 == pytest.approx(4.303 * 0.1 / np.sqrt(3), rel=0.2)
    same = generator.normal(0.6, 0.01, 3)
    alike = [np.append(own, own + draws) for own, draws in zip(same, noise[1], strict=True)]
    assert over_trainings(alike)[1:].std() < 0.02


def test_what_no_correction_mends_is_no_surer_in_the_mean_of_trainings_than_in_each():
    """Costs at parity that are too large in resamples, and one training that never gets there."""
    generator = np.random.default_rng(0)
    own = [np.append(0.5, generator.uniform(0.4, 0.9, 1000)) for _ in range(4)]
    alone, together = interval(own[0], atoms=True), interval(over_trainings(own), atoms=True)
    assert together[0] > alone[0] + 0.05
    told = interval_over(own, atoms=True)
    assert told == pytest.approx(alone, abs=0.02)
    assert interval_over(own, atoms=True, compared=True) == together
    assert interval_over(own[:1], atoms=True) == alone
    never = np.append(np.inf, generator.choice([0.6, np.inf], 1000, p=[0.1, 0.9]))
    assert interval(over_trainings([*own, never]), atoms=True) == pytest.approx(
        (0.5, np.inf), abs=0.1
    )
    low, high = interval_over([*own, never], atoms=True)
    assert low == pytest.approx((4 * alone[0] + 0.6) / 5, abs=0.02)
    assert high == np.inf


def test_never_in_one_training_is_never_in_the_mean():
    infinite = over_trainings([np.array([1.0, 1.0, 2.0]), np.array([np.inf, 1.0, np.inf])])
    np.testing.assert_array_equal(infinite, [np.inf, 1.0, np.inf])


def test_the_set_of_the_best_is_what_no_other_surely_exceeds():
    common = np.random.default_rng(0).normal(0, 0.1, 1001)
    own = np.random.default_rng(1).normal(0, 0.01, (4, 1001))
    values = np.array([0.50, 0.495, 0.40, 0.50])[:, None] + common + own
    told = p_best(dict(zip("abcd", [*values[:3], np.full(1001, np.nan)], strict=True)))
    assert told["a"] == 1 or told["b"] == 1
    assert min(told["a"], told["b"]) >= 0.05
    assert told["c"] < 0.05
    assert np.isnan(told["d"])
    lower = p_best(dict(zip("abc", -values[:3], strict=True)), lower_is_better=True)
    assert lower == {name: told[name] for name in "abc"}


def test_the_set_of_the_best_takes_equal_routers_and_infinite_values():
    one = np.random.default_rng(0).normal(0, 1, 301)
    assert p_best({"a": one, "b": one}) == {"a": 1, "b": 1}
    assert p_best({"only": one}) == {"only": 1}
    never = np.full(301, np.inf)
    told = p_best({"never": never, "some": 0.5 + 0.01 * one}, lower_is_better=True, atoms=True)
    assert told["some"] == 1
    assert told["never"] < 0.05


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_the_best_router_is_in_its_set_and_order_does_not_matter(seed):
    generator = np.random.default_rng(seed)
    rows = {str(name): generator.normal(0, 1, 201) for name in range(6)}
    told = p_best(rows)
    assert told[max(rows, key=lambda name: rows[name][0])] == 1
    assert p_best(dict(reversed(rows.items()))) == told


def test_the_set_holds_one_of_equal_routers_in_nearly_all_samples():
    """At 95 %, of eighteen: compared pair by pair it would in 80 %."""
    generator = np.random.default_rng(0)
    inside = []
    for _ in range(150):
        values = generator.normal(size=(18, 1))
        rows = np.hstack([values, values + generator.normal(size=(18, 150))])
        inside.append(p_best(dict(zip("abcdefghijklmnopqr", rows, strict=True)))["a"] >= 0.05)
    assert np.mean(inside) == pytest.approx(0.95, abs=0.04)


def test_p_values_have_a_floor_and_equal_routers_have_one():
    assert p_value(np.append(5.0, np.full(999, 5.0))) == pytest.approx(2 / 1000)
    assert p_value(np.zeros(1000)) == 1
    assert np.isnan(p_value(np.full(10, np.nan)))


def test_what_two_rows_never_reach_is_no_difference_between_them():
    first, second = np.array([np.inf, -np.inf, np.inf]), np.array([np.inf, -np.inf, 1.0])
    np.testing.assert_array_equal(difference(first, second), [0, 0, np.inf])


def test_a_resample_that_one_training_does_not_define_tells_nothing_of_the_others(recwarn):
    own = [resampled(1), resampled(2)]
    own[0][5] = np.nan
    told = over_trainings(own)
    assert np.isnan(told).nonzero()[0].tolist() == [5]
    assert not recwarn.list


@pytest.mark.parametrize("n_trainings", [2, 3, 5])
def test_a_bias_reads_no_further_into_trainings_than_their_own_interval(n_trainings):
    """An accuracy of .5 whose resamples are biased by a standard error, trainings .02 apart."""
    generator = np.random.default_rng(1)
    values = 0.5 + 0.02 * np.linspace(-1, 1, n_trainings)
    own = [np.append(value, value + generator.normal(0.02, 0.02, 1000)) for value in values]
    low, high = interval(over_trainings(own))
    error = values.std(ddof=1) / np.sqrt(n_trainings)
    reach = {2: 12.706, 3: 4.303, 5: 2.776}[n_trainings] * error
    assert 0.5 - reach - 0.12 < low < high < 0.5 + reach + 0.12
