"""Neighbours that vote for the best correct model."""

import numpy as np
import pytest

from mmroute.routers.prknn import PRkNN

# Cosine distances of 0.5 and 1 from the first axis.
FEATURES = np.array([[0.5, np.sqrt(0.75)], [0, 1]])
QUERY = np.array([[1.0, 0.0]])


def predicted(utility, cost):
    u_hat, c_hat = PRkNN().fit(FEATURES, np.array(utility), np.array(cost)).predict(QUERY)
    return u_hat[0], c_hat[0]


def test_each_neighbour_votes_for_its_cheapest_correct_model_by_inverse_distance():
    u_hat, c_hat = predicted([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]], [[2.0, 1.0, 0.0], [4.0, 1.0, 6.0]])
    np.testing.assert_allclose(u_hat, [1 / 3, 2 / 3, 0], atol=1e-9)
    np.testing.assert_allclose(c_hat, [8 / 3, 1, 2], atol=1e-9)


def test_a_sample_that_no_model_solves_votes_for_none():
    u_hat, _ = predicted([[0.0, 0.0], [1.0, 0.0]], [[1.0, 2.0], [1.0, 2.0]])
    np.testing.assert_allclose(u_hat, [1 / 3, 0], atol=1e-9)


def test_correct_models_of_one_cost_share_the_vote():
    u_hat, _ = predicted([[1.0, 1.0], [1.0, 1.0]], [[1.0, 1.0], [1.0, 1.0]])
    np.testing.assert_allclose(u_hat, [0.5, 0.5])


def test_missing_outcomes_are_left_out_of_the_means():
    nan = np.nan
    u_hat, c_hat = predicted([[1.0, nan], [0.0, 1.0]], [[1.0, nan], [2.0, 5.0]])
    np.testing.assert_allclose(u_hat, [2 / 3, 1], atol=1e-9)
    np.testing.assert_allclose(c_hat, [4 / 3, 5], atol=1e-9)


def test_a_model_missing_on_all_neighbours_has_its_training_mean():
    utility = np.array([[1.0, np.nan], [0.0, 1.0], [1.0, 0.0]])
    cost = np.where(np.isnan(utility), np.nan, [[1.0, 2.0], [1.0, 4.0], [1.0, 8.0]])
    features = np.array([[1.0, 0.0], [0, 1], [0, 1]])
    u_hat, c_hat = PRkNN(n_neighbors=1).fit(features, utility, cost).predict(QUERY)
    np.testing.assert_allclose(u_hat, [[1.0, 0.5]])
    np.testing.assert_allclose(c_hat, [[1.0, 6.0]])


@pytest.mark.parametrize("scale", [1.0, 1 + 1e-7])
def test_a_neighbour_at_the_same_place_outvotes_the_others(scale):
    features = np.array([[1.0, 0.0], [0, 1], [0, 1]])
    utility = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    u_hat, _ = PRkNN().fit(features, utility, np.ones((3, 2))).predict(QUERY * scale)
    np.testing.assert_allclose(u_hat, [[1, 0]], atol=1e-5)


def test_routes_better_than_the_best_single_model_where_features_tell():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(1000, 4))
    utility = (features @ generator.normal(size=(4, 3)) > 0).astype(float)
    cost = np.tile([0.1, 0.2, 0.3], (500, 1))
    router = PRkNN().fit(features[:500], utility[:500], cost)
    choice = router.predict(features[500:])[0].argmax(axis=1)
    gained = utility[500:][np.arange(500), choice].mean()
    assert gained > utility[500:].mean(axis=0).max() + 0.1
