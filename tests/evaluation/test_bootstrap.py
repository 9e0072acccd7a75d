"""The paired bootstrap: weights, weighted curves, intervals and p-values."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmroute.evaluation.bootstrap import (
    curve_replicates,
    difference,
    interval,
    p_value,
    resample_weights,
    weight_blocks,
)
from mmroute.evaluation.curve import frontier, operating_curve, policy_steps
from mmroute.evaluation.metrics import frontier_of, majorants, nauc, peak_score, qnc, single_models
from mmroute.evaluation.policy_metrics import cost_range, rank_score
from mmroute.storage import digest_bytes

DATASETS = ["a"] * 30 + ["b"] * 20


def drawn(datasets, n_resamples, seed, groups=None):
    """Return the weights of samples in some groups; each is alone if none are given."""
    groups = range(len(datasets)) if groups is None else groups
    samples = pd.DataFrame({"dataset": datasets, "group": list(map(str, groups))})
    return resample_weights(samples, n_resamples, seed)


def test_the_first_row_is_the_sample_and_each_resample_keeps_each_data_sets_size():
    weights = drawn(DATASETS, 100, 0)
    assert weights.shape == (101, 50)
    assert (weights[0] == 1).all()
    assert (weights[:, :30].sum(axis=1) == 30).all()
    assert (weights[:, 30:].sum(axis=1) == 20).all()
    assert len(np.unique(weights[1:], axis=0)) == 100


def test_a_data_sets_draws_do_not_depend_on_the_others_or_on_where_it_stands():
    weights = drawn(DATASETS, 100, 0)
    alone = drawn(["b"] * 20, 100, 0)
    np.testing.assert_array_equal(weights[:, 30:], alone)
    np.testing.assert_array_equal(drawn(DATASETS[::-1], 100, 0)[:, :20], alone)


def test_the_seed_decides_the_draws():
    first, again, other = (drawn(DATASETS, 10, seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("size", [1, 30, 1000])
def test_a_data_set_of_one_block_is_drawn_sample_by_sample(monkeypatch, size):
    """The draws of earlier versions, whose intervals are published."""
    monkeypatch.setattr("mmroute.evaluation.bootstrap._DRAWN", 100)
    weights = drawn(["a"] * size, 50, 7)
    generator = np.random.default_rng([7, int(digest_bytes(b"a")[:8], 16)])
    for own in weights[1:]:
        rows = generator.integers(size, size=size)
        np.testing.assert_array_equal(own, np.bincount(rows, minlength=size))


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60), st.data())
@settings(max_examples=50, deadline=None)
def test_any_samples_of_a_data_set_have_the_weights_that_they_have_in_the_whole(groups, data):
    members, distinct = pd.factorize(np.array(groups))
    some = data.draw(st.lists(st.integers(0, len(groups) - 1), min_size=1, unique=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmroute.evaluation.bootstrap._BLOCK", 8)
        whole = drawn(["a"] * len(groups), 5, 0, groups)
        found = np.zeros((6, len(some)), int)
        for rows, counts in weight_blocks("a", len(distinct), members[some], 5, 0):
            found[:, rows] += counts
    np.testing.assert_array_equal(found, whole[:, some])


@given(st.lists(st.sampled_from("uvwxyz"), min_size=1, max_size=40))
@settings(max_examples=50, deadline=None)
def test_a_resample_has_a_group_as_a_whole_and_as_many_groups_as_there_are(groups):
    weights = drawn(["a"] * len(groups), 20, 0, groups)
    first = pd.Series(groups).drop_duplicates().index
    members = pd.factorize(np.array(groups))[0]
    np.testing.assert_array_equal(weights, weights[:, first][:, members])
    assert (weights[:, first].sum(axis=1) == len(first)).all()


def test_groups_are_drawn_as_samples_are_and_in_each_data_set_alone():
    by_group = drawn(["a"] * 60 + ["b"] * 5, 50, 0, [*np.repeat(range(20), 3), *range(5)])
    np.testing.assert_array_equal(by_group[:, :60:3], drawn(["a"] * 20, 50, 0))
    np.testing.assert_array_equal(by_group[:, 60:], drawn(["b"] * 5, 50, 0))


def test_copies_tell_no_more_than_what_they_are_copies_of():
    """Ten copies of each of 20 outcomes: by sample the interval would be too narrow."""
    values = np.repeat(np.random.default_rng(0).random(20), 10)
    groups = np.repeat(range(20), 10)
    widths = {}
    for name, own in (("copies", groups), ("samples", None)):
        weights = drawn(["a"] * 200, 1000, 0, own).astype(float)
        low, high = interval(weights @ values / weights.sum(axis=1))
        widths[name] = high - low
    assert widths["copies"] == pytest.approx(widths["samples"] * np.sqrt(10), rel=0.1)


def test_a_data_set_of_many_blocks_is_drawn_like_one_of_one(monkeypatch):
    """Counts have mean 1, variance 1 - 1/n and correlation -1/(n - 1) within and across blocks."""
    monkeypatch.setattr("mmroute.evaluation.bootstrap._BLOCK", 4)
    counts = drawn(["a"] * 10, 40_000, 0)[1:].astype(float)
    assert (counts.sum(axis=1) == 10).all()
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=0.03)
    covariance = np.where(np.eye(10), 0.9, -0.1)
    np.testing.assert_allclose(np.cov(counts.T), covariance, atol=0.03)


def random_table(seed, n_samples=25, n_models=4, missing=0.2):
    generator = np.random.default_rng(seed)
    shape = (n_samples, n_models)
    u_hat, c_hat = generator.integers(0, 6, shape) / 5, generator.integers(1, 6, shape) / 5
    utility = (generator.random(shape) < 0.5).astype(float)
    cost = generator.lognormal(size=shape)
    gone = generator.random(shape) < missing
    gone[:, 0] = False
    utility[gone] = cost[gone] = np.nan
    return u_hat, c_hat, utility, cost


def replicates_of(u_hat, c_hat, utility, cost, weights, honest=(0.0,), policy="lambda", zero=(0,)):
    steps = policy_steps(u_hat, c_hat, np.isfinite(utility), policy)
    singles = single_models(utility, cost, weights)
    chosen = np.array(honest), 0, np.array(zero, int)
    return curve_replicates(steps, utility, cost, weights, singles, *chosen)


@pytest.mark.parametrize("policy", ["lambda", "budget"])
@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_a_resample_is_the_metric_of_the_table_with_its_samples_repeated(policy, seed):
    table = random_table(seed)
    generator = np.random.default_rng(seed + 1)
    counts = np.vstack([np.ones(25), generator.multinomial(25, np.full(25, 1 / 25), 4)])
    weights = counts.astype(np.uint8)
    replicates = replicates_of(*table, weights, policy=policy)
    for row, count in enumerate(weights):
        repeated = [np.repeat(matrix, count, axis=0) for matrix in table]
        own = frontier_of(operating_curve(*repeated, policy))
        singles = single_models(*repeated[2:])
        assert replicates.metrics["nauc"][row] == pytest.approx(nauc(own, singles)[0])
        assert replicates.metrics["peak_score"][row] == pytest.approx(peak_score(own)[0])
        assert replicates.metrics["qnc"][row] == pytest.approx(qnc(own, singles)[0])
        assert replicates.majorant.area[row] == pytest.approx(majorants(own).area[0])


def test_chunks_of_resamples_do_not_show(monkeypatch):
    table = random_table(0)
    weights = drawn(["a"] * 25, 20, 0)
    whole = replicates_of(*table, weights)
    monkeypatch.setattr("mmroute.evaluation.bootstrap._CHUNK", 1)
    for name, values in replicates_of(*table, weights).metrics.items():
        np.testing.assert_allclose(values, whole.metrics[name], err_msg=name)


def test_honest_metrics_are_measured_at_the_given_points_only():
    """Two operating points from training; the better one that only the test shows is not used."""
    u_hat = np.array([[0.5, 0.9]] * 4)
    c_hat = np.array([[1.0, 2.0], [1.0, 3.0], [1.0, 4.0], [1.0, 5.0]])
    utility = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    cost = np.array([[1.0, 3.0]] * 4)
    weights = np.ones((1, 4), np.uint8)
    # The test's best point sends only the first sample to model 1: lambda = 0.3.
    metrics = replicates_of(u_hat, c_hat, utility, cost, weights, honest=[9.0, 0.0]).metrics
    assert metrics["peak_score"].tolist() == [0.75]
    assert metrics["peak_score_honest"].tolist() == [0.25]
    # From (1, 0.5), all on model 0, straight to (3, 0.25), all on model 1.
    assert metrics["nauc_honest"].tolist() == [0.375]


def test_the_rank_score_of_a_curve_is_the_best_of_its_points():
    u_hat, c_hat, utility, cost = random_table(5, missing=0)
    weights = drawn(["a"] * 25, 5, 0)
    replicates = replicates_of(u_hat, c_hat, utility, cost, weights)
    for row, count in enumerate(weights):
        repeated = [np.repeat(matrix, count, axis=0) for matrix in (u_hat, c_hat, utility, cost)]
        curve = operating_curve(*repeated)
        low, high = cost_range(single_models(*repeated[2:]).cost)
        best = rank_score(curve.utility, curve.cost, low, high).max()
        assert replicates.metrics["rank_score"][row] == pytest.approx(best)


def test_the_band_holds_the_frontier():
    table = random_table(3, n_samples=200, missing=0)
    weights = drawn(["a"] * 200, 200, 0)
    replicates = replicates_of(*table, weights)
    best = frontier(operating_curve(*table))
    height = np.interp(replicates.band_cost, best.cost, best.utility)
    assert replicates.band_cost[0] == pytest.approx(best.cost[0])
    assert replicates.band_cost[-1] == pytest.approx(best.cost[-1])
    inside = (replicates.band_low <= height) & (height <= replicates.band_high)
    assert inside.mean() > 0.9


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


@given(st.floats(-4, 4), st.floats(-0.5, 0.5))
@settings(max_examples=60, deadline=None)
def test_a_difference_is_significant_where_its_interval_leaves_out_zero(value, bias):
    replicates = normal_replicates(value, bias, 2000)
    low, high = interval(replicates)
    p = p_value(replicates)
    if abs(p - 0.05) > 0.004:
        assert (p < 0.05) == (low > 0 or high < 0)


def test_p_values_have_a_floor_and_equal_routers_have_one():
    assert p_value(np.append(5.0, np.full(999, 5.0))) == pytest.approx(2 / 1000)
    assert p_value(np.zeros(1000)) == 1
    assert np.isnan(p_value(np.full(10, np.nan)))


def test_what_two_rows_never_reach_is_no_difference_between_them():
    first, second = np.array([np.inf, -np.inf, np.inf]), np.array([np.inf, -np.inf, 1.0])
    np.testing.assert_array_equal(difference(first, second), [0, 0, np.inf])
