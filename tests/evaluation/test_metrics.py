"""Metrics by hand-worked examples, and what must not change them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmroute.evaluation.curve import frontier, operating_curve
from mmroute.evaluation.metrics import (
    Frontiers,
    SingleModels,
    aiq,
    frontier_of,
    frontiers,
    majorants,
    mean_height,
    nauc,
    nauc_own_range,
    nauc_row_range,
    peak_score,
    qnc,
    row_range,
    savings_at_parity,
    single_models,
)

SINGLES = SingleModels(cost=np.array([[1.0, 2.0, 5.0]]), utility=np.array([[0.4, 0.8, 0.6]]))


def own(*points):
    """Return the frontier of one curve, given as (cost, utility) pairs."""
    cost, utility = np.array(points, float).T
    return frontiers(cost[None], utility[None])


def test_single_models_are_means_over_what_was_observed():
    utility = np.array([[1.0, 0.0], [np.nan, 1.0], [0.5, 1.0]])
    singles = single_models(utility, np.where(np.isnan(utility), np.nan, 2.0))
    assert singles.utility[0].tolist() == [0.75, pytest.approx(2 / 3)]
    assert singles.cost[0].tolist() == [2.0, 2.0]


def test_best_and_cheapest_break_ties_by_the_other_quantity():
    singles = SingleModels(cost=np.array([[1.0, 1.0, 3.0]]), utility=np.array([[0.5, 0.7, 0.7]]))
    assert singles.best.tolist() == [1]
    assert singles.cheapest.tolist() == [1]


def test_nauc_integrates_the_piecewise_linear_frontier_with_the_cheapest_model_joined():
    # p rises from (1, 0.4), the cheapest model, to (3, 0.8), then stays: area 2 x 0.6 + 2 x 0.8.
    assert nauc(own((3, 0.8)), SINGLES) == pytest.approx((1.2 + 1.6) / 4)


@pytest.mark.filterwarnings("error")
def test_a_point_that_stands_twice_up_to_rounding_adds_nothing():
    cost, utility = np.array([1.0, 2.0, 2.0, 3.0]), np.array([0.4, 0.6, np.nextafter(0.6, 1), 0.8])
    line = Frontiers(np.zeros(4, int), cost, utility, 1)
    assert mean_height(line, np.array([1.0]), np.array([3.0])) == pytest.approx(0.6)


def test_nauc_ignores_the_curve_outside_the_range_of_the_single_models():
    # Between (2, 0.8) and (9, 1) p is 0.8 + 0.2 x 3/7 at cost 5, the dearest model's.
    assert nauc(own((0, 0.2), (2, 0.8), (9, 1.0)), SINGLES) == pytest.approx(
        np.trapezoid([0.4, 0.8, 0.8 + 0.2 * 3 / 7], [1, 2, 5]) / 4
    )


def test_nauc_where_all_models_cost_the_same_is_the_utility_at_that_cost():
    singles = SingleModels(cost=np.array([[2.0, 2.0]]), utility=np.array([[0.3, 0.6]]))
    assert nauc(own((2, 0.7)), singles) == 0.7


def test_nauc_over_its_own_range_joins_no_single_model():
    # Of (2, 0.5), (3, 0.7) and (6, 0.9) the trapezoids are 0.6 and 3 x 0.8; (4, 0.6) is dominated.
    curve = own((2, 0.5), (3, 0.7), (4, 0.6), (6, 0.9))
    assert nauc_own_range(curve) == pytest.approx((0.6 + 2.4) / 4)
    assert nauc_own_range(own((3, 0.8))) == 0.8


def test_nauc_over_the_row_range_joins_the_choice_of_each_samples_cheapest_model():
    """No single model is as cheap as 1.5, nor as dear as 5."""
    cost = np.array([[1.0, 4.0, np.nan], [6.0, 2.0, 2.0]])
    utility = np.array([[0.0, 1.0, np.nan], [1.0, 1.0, 0.0]])
    rows = row_range(utility, cost, np.array([[1, 1], [3, 1]], np.uint8))
    np.testing.assert_allclose(
        [rows.cheapest, rows.dearest, rows.utility], [[1.5, 1.25], [5, 4.5], [0.5, 0.25]]
    )
    # From (1.5, 0.5) up to (3, 0.8) and on to 5, at the first weighting.
    area = 1.5 * 0.65 + 2 * 0.8
    assert nauc_row_range(own((3, 0.8)), rows.take(slice(1))) == pytest.approx(area / 3.5)


def test_peak_score_is_the_largest_utility():
    assert peak_score(own((1, 0.4), (2, 0.9), (3, 0.7))) == 0.9


def test_qnc_is_the_smallest_cost_that_reaches_the_best_model_over_that_models_cost():
    assert qnc(own((1, 0.4), (1.5, 0.8), (3, 0.9)), SINGLES) == 0.75


def test_qnc_is_infinite_where_the_best_model_is_never_reached():
    assert qnc(own((9, 0.79)), SINGLES) == np.inf


def test_qnc_of_the_best_model_itself_is_one_whatever_the_order_of_its_sum():
    utility = np.array([[0.1], [0.2], [0.3], [0.7]])
    cost = np.ones((4, 1))
    # Two models that are one and the same: half the samples switch in mid-curve.
    table = [np.repeat(matrix, 2, axis=1) for matrix in (utility, cost)]
    u_hat = np.array([[0.2, 0.1], [0.1, 0.3], [0.5, 0.2], [0.1, 0.2]])
    c_hat = np.array([[0.2, 0.1], [0.1, 0.3], [0.5, 0.2], [0.1, 0.2]])
    curve = frontier_of(operating_curve(u_hat, c_hat, *table))
    assert qnc(curve, single_models(*table)) == pytest.approx(1)


def test_qnc_of_a_free_best_model():
    singles = SingleModels(cost=np.array([[0.0, 1.0]]), utility=np.array([[0.9, 0.5]]))
    assert qnc(own((0, 0.9)), singles) == 1
    assert qnc(own((0.5, 0.9)), singles) == np.inf


def test_the_frontiers_of_a_batch_are_those_of_its_curves():
    generator = np.random.default_rng(0)
    curves = [operating_curve(*random_table(seed)) for seed in range(3)]
    size = min(map(len, curves))
    cost, utility = (
        np.array([getattr(curve, name)[:size] for curve in curves]) for name in ("cost", "utility")
    )
    order = generator.permutation(size)
    batch = frontiers(cost[:, order], utility[:, order])
    for index, part in enumerate(batch.by_row()):
        alone = frontiers(cost[[index]], utility[[index]])
        np.testing.assert_array_equal(batch.cost[part], alone.cost)
        np.testing.assert_array_equal(batch.utility[part], alone.utility)


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_the_frontier_is_the_curves_own(seed):
    curve = operating_curve(*random_table(seed))
    expected, batch = frontier(curve), frontier_of(curve)
    np.testing.assert_array_equal(batch.cost, expected.cost)
    np.testing.assert_array_equal(batch.utility, expected.utility)


def test_savings_at_parity_are_none_where_parity_costs_more_or_is_never_reached():
    assert savings_at_parity(np.array([0.25, 1.5, np.inf])).tolist() == [0.75, 0, 0]


def test_aiq_takes_the_majorant_up_to_the_cost_of_the_dearest_model():
    models = SingleModels(np.array([[1.0, 4.0]]), np.array([[0.1, 0.9]]))
    # Majorant of the first: (0, 0.2) to (2, 0.8), area 1; then 0.8 up to cost 4: 1.6.
    assert aiq(own((0, 0.2), (1, 0.3), (2, 0.8)), models).tolist() == [pytest.approx(2.6 / 4)]
    assert aiq(own((4, 0.5)), models).tolist() == [0]
    # Dearer than every model alone: the part up to cost 4 of (3, 0.4) to (5, 0.8).
    assert aiq(own((3, 0.4), (5, 0.8)), models).tolist() == [pytest.approx(0.5 / 4)]


def test_aiq_of_free_models_is_the_utility():
    free = SingleModels(np.zeros((1, 2)), np.array([[0.5, 0.7]]))
    assert aiq(own((0, 0.7)), free).tolist() == [0.7]


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_the_majorant_lies_on_or_above_the_frontier_and_is_concave(seed):
    best = frontier_of(operating_curve(*random_table(seed)))
    line = np.trapezoid(best.utility, best.cost)
    box = best.utility[-1] * (best.cost[-1] - best.cost[0])
    above = majorants(best)
    assert line - 1e-12 <= np.trapezoid(above.utility, above.cost) <= box + 1e-12
    assert (np.diff(np.diff(above.utility) / np.diff(above.cost)) < 1e-9).all()


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
    best = frontier_of(operating_curve(u_hat, c_hat, utility, cost, policy))
    singles = single_models(utility, cost)
    values = (nauc(best, singles), peak_score(best), qnc(best, singles), aiq(best, singles))
    return tuple(float(value[0]) for value in values)


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
