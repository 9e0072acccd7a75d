"""Metrics by hand-worked examples, and what must not change them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmroute.curve import Curve, frontier, operating_curve
from mmroute.metrics import SingleModels, nauc, peak_score, qnc, single_models

SINGLES = SingleModels(cost=np.array([1.0, 2.0, 5.0]), utility=np.array([0.4, 0.8, 0.6]))


def curve_of(*points):
    cost, utility = np.array(points, float).T
    return Curve(cost, utility, np.arange(len(cost), dtype=float))


def test_single_models_are_means_over_what_was_observed():
    utility = np.array([[1.0, 0.0], [np.nan, 1.0], [0.5, 1.0]])
    singles = single_models(utility, np.where(np.isnan(utility), np.nan, 2.0))
    assert singles.utility.tolist() == [0.75, pytest.approx(2 / 3)]
    assert singles.cost.tolist() == [2.0, 2.0]


def test_best_and_cheapest_break_ties_by_the_other_quantity():
    singles = SingleModels(cost=np.array([1.0, 1.0, 3.0]), utility=np.array([0.5, 0.7, 0.7]))
    assert singles.best == 1
    assert singles.cheapest == 1


def test_nauc_integrates_the_piecewise_linear_frontier_with_the_cheapest_model_joined():
    # p rises from (1, 0.4), the cheapest model, to (3, 0.8), then stays: area 2 x 0.6 + 2 x 0.8.
    assert nauc(curve_of((3, 0.8)), SINGLES) == pytest.approx((1.2 + 1.6) / 4)


def test_nauc_ignores_the_curve_outside_the_range_of_the_single_models():
    # Between (2, 0.8) and (9, 1) p is 0.8 + 0.2 x 3/7 at cost 5, the dearest model's.
    assert nauc(curve_of((0, 0.2), (2, 0.8), (9, 1.0)), SINGLES) == pytest.approx(
        np.trapezoid([0.4, 0.8, 0.8 + 0.2 * 3 / 7], [1, 2, 5]) / 4
    )


def test_nauc_where_all_models_cost_the_same_is_the_utility_at_that_cost():
    singles = SingleModels(cost=np.array([2.0, 2.0]), utility=np.array([0.3, 0.6]))
    assert nauc(curve_of((2, 0.7)), singles) == 0.7


def test_peak_score_is_the_largest_utility():
    assert peak_score(curve_of((1, 0.4), (2, 0.9), (3, 0.7))) == 0.9


def test_qnc_is_the_smallest_cost_that_reaches_the_best_model_over_that_models_cost():
    assert qnc(curve_of((1, 0.4), (1.5, 0.8), (3, 0.9)), SINGLES) == 0.75


def test_qnc_is_infinite_where_the_best_model_is_never_reached():
    assert qnc(curve_of((9, 0.79)), SINGLES) == np.inf


def test_qnc_of_the_best_model_itself_is_one_whatever_the_order_of_its_sum():
    utility = np.array([[0.1], [0.2], [0.3], [0.7]])
    cost = np.ones((4, 1))
    # Two models that are one and the same: half the samples switch in mid-curve.
    table = [np.repeat(matrix, 2, axis=1) for matrix in (utility, cost)]
    u_hat = np.array([[0.2, 0.1], [0.1, 0.3], [0.5, 0.2], [0.1, 0.2]])
    c_hat = np.array([[0.2, 0.1], [0.1, 0.3], [0.5, 0.2], [0.1, 0.2]])
    curve = operating_curve(u_hat, c_hat, *table)
    assert qnc(curve, single_models(*table)) == pytest.approx(1)


def test_qnc_of_a_free_best_model():
    singles = SingleModels(cost=np.array([0.0, 1.0]), utility=np.array([0.9, 0.5]))
    assert qnc(curve_of((0, 0.9)), singles) == 1
    assert qnc(curve_of((0.5, 0.9)), singles) == np.inf


def random_table(seed, n_samples=30, n_models=4):
    generator = np.random.default_rng(seed)
    shape = (n_samples, n_models)
    return (
        generator.random(shape),
        generator.random(shape),
        (generator.random(shape) < 0.5).astype(float),
        generator.lognormal(size=shape),
    )


def all_metrics(u_hat, c_hat, utility, cost, policy="lambda"):
    curve = frontier(operating_curve(u_hat, c_hat, utility, cost, policy))
    singles = single_models(utility, cost)
    return nauc(curve, singles), peak_score(curve), qnc(curve, singles)


@given(st.integers(0, 10_000), st.sampled_from([0.001, 3.0, 1e6]))
@settings(max_examples=40, deadline=None)
def test_scaling_all_costs_changes_no_metric(seed, factor):
    u_hat, c_hat, utility, cost = random_table(seed)
    scaled = all_metrics(u_hat, c_hat * factor, utility, cost * factor)
    assert scaled == pytest.approx(all_metrics(u_hat, c_hat, utility, cost))


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_the_order_of_the_samples_changes_no_metric(seed):
    table = random_table(seed)
    order = np.random.default_rng(seed).permutation(len(table[0]))
    assert all_metrics(*(matrix[order] for matrix in table)) == pytest.approx(all_metrics(*table))


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_a_dominated_model_that_is_never_chosen_changes_no_metric(seed):
    u_hat, c_hat, utility, cost = random_table(seed)
    worse = [
        np.column_stack([u_hat, u_hat.min(axis=1) - 1]),
        np.column_stack([c_hat, c_hat.max(axis=1) + 1]),
        np.column_stack([utility, np.zeros(len(utility))]),
        np.column_stack([cost, cost.mean(axis=1)]),
    ]
    assert all_metrics(*worse) == pytest.approx(all_metrics(u_hat, c_hat, utility, cost))


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_no_router_beats_the_oracle(seed):
    u_hat, c_hat, utility, cost = random_table(seed)
    router = all_metrics(u_hat, c_hat, utility, cost)
    oracle = all_metrics(utility, cost, utility, cost)
    assert oracle[1] >= router[1] - 1e-12
    assert oracle[2] <= router[2] + 1e-12
