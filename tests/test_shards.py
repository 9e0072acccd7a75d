"""Sums over shards give the curve of the whole table, at every threshold of the grid."""

from functools import reduce
from operator import add

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmroute.curve import operating_curve
from mmroute.errors import InputError
from mmroute.shards import shard_sums, threshold_grid

POLICIES = ("lambda", "budget")
LOWEST = {"lambda": 0.0, "budget": -np.inf}


def draw_table(seed, n_samples, n_models, levels):
    """Draw predictions on a few levels, so that ties are common, and outcomes with gaps."""
    generator = np.random.default_rng(seed)
    shape = (n_samples, n_models)
    u_hat = generator.integers(0, levels, shape) / levels
    c_hat = generator.integers(1, levels + 1, shape) / levels
    utility, cost = generator.random(shape), generator.lognormal(size=shape)
    missing = generator.random(shape) < 0.2
    missing[np.arange(n_samples), generator.integers(0, n_models, n_samples)] = False
    utility[missing] = np.nan
    cost[missing] = np.nan
    return u_hat, c_hat, utility, cost


def evaluate(table, policy, thresholds, shard):
    """Add up the shards, in the order of their numbers."""
    parts = [
        shard_sums(*(matrix[shard == number] for matrix in table), policy, thresholds)
        for number in range(shard.max() + 1)
    ]
    return reduce(add, parts).to_curve()


def assert_equals_one_pass(table, policy, curve):
    whole = operating_curve(*table, policy)
    at = np.searchsorted(whole.threshold, curve.threshold, side="right") - 1
    np.testing.assert_allclose(curve.cost, whole.cost[at], rtol=0, atol=1e-12)
    np.testing.assert_allclose(curve.utility, whole.utility[at], rtol=0, atol=1e-12)


@pytest.mark.parametrize("policy", POLICIES)
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_any_shards_in_any_order_equal_the_one_pass_curve_at_the_thresholds(policy, data):
    n_samples, n_models = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 5))
    table = draw_table(data.draw(st.integers(0, 10_000)), n_samples, n_models, levels=4)
    shard = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n_samples, max_size=n_samples)))
    own = operating_curve(*table, policy).threshold
    free = data.draw(st.lists(st.floats(0, 5), min_size=1, max_size=6))
    thresholds = np.unique(np.concatenate([data.draw(st.sampled_from([own, own[:0]])), free]))
    assert_equals_one_pass(table, policy, evaluate(table, policy, thresholds, shard))


@pytest.mark.parametrize("policy", POLICIES)
def test_a_large_table_equals_the_one_pass_curve_on_the_proposed_grid(policy):
    table = draw_table(seed=0, n_samples=20_000, n_models=8, levels=1_000)
    u_hat, c_hat, utility, _ = (matrix[:2_000] for matrix in table)
    thresholds = threshold_grid(u_hat, c_hat, np.isfinite(utility), policy, 512)
    shard = np.random.default_rng(1).integers(0, 7, 20_000)
    curve = evaluate(table, policy, thresholds, shard)
    assert len(np.unique(curve.cost)) > 400
    assert_equals_one_pass(table, policy, curve)


def test_a_point_holds_from_its_threshold_on():
    utility, cost = np.array([[0.0, 1.0]]), np.array([[1.0, 5.0]])
    u_hat, c_hat = np.array([[0.5, 1.0]]), np.array([[1.0, 2.0]])
    swept = shard_sums(u_hat, c_hat, utility, cost, "lambda", np.array([0.4, 0.5, 0.6]))
    assert swept.cost.tolist() == [5.0, 1.0, 1.0]
    bought = shard_sums(u_hat, c_hat, utility, cost, "budget", np.array([-np.inf, 1.9, 2.0]))
    assert bought.utility.tolist() == [0.0, 0.0, 1.0]


def test_sums_of_single_precision_outcomes_are_in_double_precision():
    cost = np.full((100_001, 1), 0.1, np.float32)
    sums = shard_sums(cost, cost, cost, cost, "lambda", np.array([0.0]))
    assert sums.cost[0] == pytest.approx(100_001 * float(np.float32(0.1)), rel=1e-12)


@pytest.mark.parametrize("policy", POLICIES)
def test_an_empty_shard_adds_nothing_and_is_no_curve(policy):
    table = draw_table(seed=2, n_samples=5, n_models=3, levels=4)
    thresholds = np.array([0.0, 1.0])
    some = shard_sums(*table, policy, thresholds)
    none = shard_sums(*(matrix[:0] for matrix in table), policy, thresholds)
    both = some + none
    assert (both.n_samples, both.cost.tolist()) == (5, some.cost.tolist())
    with pytest.raises(InputError, match="no shard holds a sample"):
        none.to_curve()


def test_sums_on_different_grids_are_not_added():
    table = draw_table(seed=3, n_samples=2, n_models=2, levels=4)
    one, other = (shard_sums(*table, "lambda", np.array([0.0, top])) for top in (1.0, 2.0))
    with pytest.raises(InputError, match="one grid"):
        one + other


@pytest.mark.parametrize("thresholds", [[], [np.nan], [1.0, 1.0], [2.0, 1.0], [0.0, np.nan]])
def test_thresholds_must_be_strictly_ascending(thresholds):
    one = np.ones((1, 1))
    with pytest.raises(InputError, match="strictly ascending"):
        shard_sums(one, one, one, one, "budget", np.array(thresholds))


def test_a_negative_lambda_is_refused():
    one = np.ones((1, 1))
    with pytest.raises(InputError, match=r"-0\.5 is no threshold"):
        shard_sums(one, one, one, one, "lambda", np.array([-0.5, 1.0]))


@pytest.mark.parametrize("policy", POLICIES)
def test_a_grid_as_large_as_its_sample_holds_all_breakpoints(policy):
    u_hat, c_hat, utility, cost = draw_table(seed=4, n_samples=30, n_models=4, levels=8)
    own = operating_curve(u_hat, c_hat, utility, cost, policy).threshold
    grid = threshold_grid(u_hat, c_hat, np.isfinite(utility), policy, len(own) + 1)
    assert grid.tolist() == [*own, np.inf]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_smaller_grid_takes_breakpoints_of_the_sample_between_the_ends(policy):
    u_hat, c_hat, utility, cost = draw_table(seed=5, n_samples=500, n_models=6, levels=1_000)
    own = operating_curve(u_hat, c_hat, utility, cost, policy).threshold
    grid = threshold_grid(u_hat, c_hat, np.isfinite(utility), policy, 64)
    assert len(grid) == 64
    assert (grid[0], grid[-1]) == (LOWEST[policy], np.inf)
    assert np.isin(grid[1:-1], own).all()
    ranks = np.searchsorted(own, grid)
    assert np.diff(ranks).max() <= np.ceil(len(own) / 62)
