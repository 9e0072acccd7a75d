"""The paired bootstrap: weights and weighted curves."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmroute.evaluation.bootstrap import curve_replicates, resample_weights, weight_blocks
from mmroute.evaluation.curve import frontier, operating_curve, policy_steps
from mmroute.evaluation.inference import interval
from mmroute.evaluation.metrics import (
    Chosen,
    aiq,
    frontier_of,
    nauc,
    peak_score,
    qnc,
    row_range,
    single_models,
)
from mmroute.rank_score import cost_range, rank_score

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


@given(st.lists(st.booleans(), min_size=2, max_size=60).filter(any))
@settings(max_examples=50, deadline=None)
def test_each_split_draws_as_many_groups_as_it_has_and_none_of_others(among):
    samples = pd.DataFrame({"dataset": "a", "group": range(len(among))})
    weights = resample_weights(samples, 30, 0, np.array(among))
    assert weights.shape == (31, sum(among))
    assert (weights.sum(axis=1) == sum(among)).all()


def test_chunks_of_draws_do_not_depend_on_which_groups_are_drawn(monkeypatch):
    """Two splits' common groups are drawn alike, and independent draws would not be."""
    monkeypatch.setattr("mmroute.evaluation.bootstrap._DRAWN", 2000)
    samples = pd.DataFrame({"dataset": "a", "group": range(200)})
    masks = np.arange(200) < 160, np.arange(200) >= 40
    first, second = (resample_weights(samples, 500, 3, mask)[1:].astype(float) for mask in masks)
    common = first[:, 40:], second[:, :120]
    assert np.corrcoef(*(own.ravel() for own in common))[0, 1] > 0.75
    # Of 158 draws two count twice.
    np.testing.assert_allclose(first.var(axis=0).mean(), (1 - 1 / 160) * (1 + 4 / 160), atol=0.02)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60), st.data())
@settings(max_examples=50, deadline=None)
def test_any_samples_of_a_data_set_have_the_weights_that_they_have_in_the_whole(groups, data):
    members, distinct = pd.factorize(np.array(groups))
    some = data.draw(st.lists(st.integers(0, len(groups) - 1), min_size=1, unique=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmroute.evaluation.bootstrap._BLOCK", 8)
        whole = drawn(["a"] * len(groups), 5, 0, groups)
        found = np.zeros((6, len(some)), int)
        every = np.ones(len(distinct), bool)
        for rows, counts in weight_blocks("a", every, members[some], 5, 0):
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
    # Of g draws two count twice: the variance is that of g + 4 over g draws.
    wider = np.sqrt((24 / 20**2) / (204 / 200**2))
    assert widths["copies"] == pytest.approx(widths["samples"] * wider, rel=0.1)


def test_a_data_set_of_many_blocks_is_drawn_like_one_of_one(monkeypatch):
    """Counts have mean 1, and the covariance of ten draws within and across blocks."""
    monkeypatch.setattr("mmroute.evaluation.bootstrap._TWICE", 0)
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
    chosen = Chosen(np.array(honest), 0, 0, np.array(zero, int), {})
    rows = row_range(utility, cost, weights)
    return curve_replicates(steps, utility, cost, weights, singles, chosen, rows)


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
        assert replicates.metrics["aiq"][row] == pytest.approx(aiq(own, singles)[0])


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


def test_few_groups_among_many_that_are_passed_over_weigh_no_less():
    groups = [str(number) for number in range(2000)]
    samples = pd.DataFrame({"dataset": "a", "group": groups})
    among = np.isin(np.arange(2000), (5, 900))
    assert (resample_weights(samples, 300, 0, among).sum(axis=1) == 2).all()
