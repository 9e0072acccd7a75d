"""Soft labels over models."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from mmroute.rank_score import rank_score
from mmroute.routers import Pool
from mmroute.routers.soft_labels import (
    GRID,
    INFINITE,
    Lessons,
    SoftLabelRouter,
    soft_labels,
    taught,
)

costs = st.floats(0, 1e3)
lambdas = st.lists(st.floats(0, 1e12), min_size=1, max_size=4)


@st.composite
def outcomes(draw, utilities=(0.0, 1.0)):
    shape = draw(array_shapes(min_dims=2, max_dims=2, max_side=6))
    utility = draw(arrays(float, shape, elements=st.sampled_from(utilities)))
    cost = draw(arrays(float, shape, elements=costs))
    missing = draw(arrays(bool, shape))
    return np.where(missing, np.nan, utility), np.where(missing, np.nan, cost)


@given(outcomes(), lambdas, st.floats(1e-3, 1e3))
def test_labels_are_a_distribution_over_the_observed_models(table, grid, scale):
    utility, cost = table
    labels = soft_labels(utility, cost, grid, scale)
    assert labels.shape == (len(grid), *utility.shape)
    assert (labels >= 0).all()
    assert (labels[:, np.isnan(utility)] == 0).all()
    seen = np.isfinite(utility).any(axis=1)
    np.testing.assert_allclose(labels.sum(axis=2), np.tile(seen, (len(grid), 1)))


@given(outcomes())
def test_lambda_zero_is_uniform_over_the_correct_models(table):
    utility, cost = table
    solved = (utility == 1).any(axis=1)
    (labels,) = soft_labels(utility, cost, [0.0], 1.0)
    correct = utility[solved] == 1
    np.testing.assert_allclose(labels[solved], correct / correct.sum(axis=1, keepdims=True))


@given(outcomes())
def test_a_large_lambda_is_the_cheapest_correct_model(table):
    utility, cost = table
    apart = np.diff(np.sort(cost, axis=1), axis=1)
    assume((apart[np.isfinite(apart)] > 1e-3).all())
    solved = (utility == 1).any(axis=1)
    (labels,) = soft_labels(utility, cost, [1e300], 1e3)
    cheapest = np.where(utility == 1, cost, np.inf)[solved].argmin(axis=1)
    np.testing.assert_array_equal(labels[solved].argmax(axis=1), cheapest)
    np.testing.assert_allclose(labels[solved].max(axis=1), 1)


@given(outcomes(utilities=(0.0,)), lambdas)
def test_where_no_model_is_right_all_mass_is_on_the_cheapest_observed(table, grid):
    utility, cost = table
    labels = soft_labels(utility, cost, grid, 1.0)
    seen = np.isfinite(cost).any(axis=1)
    lowest = np.nanmin(cost[seen], axis=1, keepdims=True)
    on_cheapest = np.where(cost[seen] == lowest, labels[:, seen], 0).sum(axis=2)
    np.testing.assert_allclose(on_cheapest, 1)


@given(outcomes(), st.floats(0, 10), st.floats(0.1, 10))
def test_the_scale_multiplies_lambda(table, value, scale):
    np.testing.assert_allclose(
        soft_labels(*table, [value], scale), soft_labels(*table, [value * scale], 1.0)
    )


def test_the_labels_of_one_sample():
    utility, cost = np.array([[1.0, 0.0, 1.0, np.nan]]), np.array([[0.5, 0.1, 0.2, np.nan]])
    (labels,) = soft_labels(utility, cost, [2.0], 1.0)
    cheap, dear = np.exp(-0.4), np.exp(-1.0)
    expected = [dear / (cheap + dear), 0, cheap / (cheap + dear), 0]
    np.testing.assert_allclose(labels[0], expected)


def test_a_utility_above_0_is_right():
    utility, cost = np.array([[0.0, 0.1, 0.9]]), np.array([[0.1, 0.2, 0.3]])
    assert soft_labels(utility, cost, [0.0], 1.0).tolist() == [[[0, 0.5, 0.5]]]


def test_at_infinity_the_first_of_the_cheapest_right_models_has_all_mass():
    utility, cost = np.array([[0.0, 1, 1, 1]]), np.array([[1.0, 3, 2, 2]])
    large, infinite = soft_labels(utility, cost, [1e6, INFINITE], 1.0)
    assert large.tolist() == [[0, 0, 0.5, 0.5]]
    assert infinite.tolist() == [[0, 0, 1, 0]]


def test_where_no_model_is_right_the_first_of_the_cheapest_has_all_mass():
    (labels,) = soft_labels(np.zeros((1, 3)), np.array([[2.0, 1, 1]]), [0.0], 1.0)
    assert labels.tolist() == [[0, 1, 0]]


def test_the_default_grid_is_the_published_one():
    assert GRID == (0, 10, 100, 1000, 10000, INFINITE)


def test_samples_that_no_model_solves_do_not_teach_unless_there_are_no_others():
    nan = np.nan
    assert taught(np.array([[0.0, 1], [0, 0], [nan, 0.2], [nan, nan]])).tolist() == [1, 0, 1, 0]
    assert taught(np.array([[0.0, 0], [nan, 0], [nan, nan]])).tolist() == [1, 1, 0]


def test_rank_scores_are_of_the_choices_within_the_single_models_mean_costs():
    nan = np.nan
    utility = np.array([[1.0, 0], [0, 1], [nan, 1]])
    cost = np.array([[1.0, 3], [2, 5], [nan, 4]])
    lessons = Lessons(np.empty(0), np.ones(3, bool), utility, cost)
    scores = np.array([[[0.9, 0.1], [0.8, 0.2]], [[0.5, 0.5], [0.1, 0.2]]])
    # At the first lambda model 0 twice, where it was not observed model 1: (0 + 1) / 2 right at
    # (2 + 4) / 2. At the second of equal scores the first: the same on sample 1.
    expected = rank_score(np.array([0.5, 0.5]), np.array([3.0, 3.0]), 1.5, 4.0)
    np.testing.assert_allclose(lessons.rank_scores(np.array([1, 2]), scores), expected)


@pytest.mark.parametrize("cheap", [0.0, 1e-300])
def test_a_free_model_takes_all_mass_at_the_largest_lambda(cheap):
    utility, cost = np.ones((1, 2)), np.array([[1.0, cheap]])
    assert soft_labels(utility, cost, [1e308], 1e3).tolist() == [[[0, 1]]]


def test_development_samples_do_not_teach():
    given = []

    class Noting(SoftLabelRouter):
        fusion = "concat"

        def _learn(self, Z, lessons):
            given.append((len(Z), lessons))

        def predict_scores(self, Z):
            return np.ones((len(self.grid), len(Z), 2))

    nan = np.nan
    utility = np.array([[1.0, 0], [0, 0], [1, 1], [0, 1], [nan, nan]])
    cost = np.array([[1.0, 2], [3, 4], [50, 60], [7, 8], [nan, nan]])
    held = np.array([False, False, True, False, True])
    pool = Pool(pd.DataFrame(), 1.0, np.empty(0), np.empty(0), None, held)
    router = Noting().fit(np.zeros((5, 1)), utility, cost, pool)
    ((size, lessons),) = given
    assert size == 4
    assert lessons.held.tolist() == [False, False, True, False]
    # The second sample is solved by no model.
    assert lessons.taught.tolist() == [True, False, False, True]
    np.testing.assert_allclose(router.mean_cost_, [11 / 3, 14 / 3])
