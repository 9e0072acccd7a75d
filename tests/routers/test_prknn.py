"""Neighbours that vote for models."""

import numpy as np
import pytest

from mmroute.routers.prknn import KNNVL, PRkNN

# Standardised, these stay at the corners of a square: cosine distances of 0, 1, 1 and 2.
CORNERS = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
QUERY = CORNERS[:1]


def scores(router, utility, cost, query=QUERY):
    fitted = router.fit(CORNERS, np.array(utility), np.array(cost))
    return fitted.predict_scores(query)[0]


def test_on_each_neighbour_a_right_model_beats_a_wrong_one_and_a_cheaper_its_like():
    # Sample 0: model 1 is right, of the wrong ones 2 is cheaper than 0: wins 0, 2, 1.
    # Sample 1: models 0 and 2 are right, 0 cheaper: wins 2, 0, 1. Weights 1e6 and 1.
    utility = [[0.0, 1, 0], [1.0, 0, 1], [1.0, 0, 1], [1.0, 0, 1]]
    cost = [[3.0, 9, 2], [1.0, 1, 2], [1.0, 1, 2], [1.0, 1, 2]]
    near, far = 1 / 1e-6, 1 / (1e-6 + 1)
    expected = np.array([2 * far, 2 * near, near + far]) / (2 * (near + far))
    # Of the samples 1 and 2, equally far, either is the second.
    np.testing.assert_allclose(scores(PRkNN(2), utility, cost), [expected], rtol=1e-6)


def test_models_alike_in_everything_win_nothing_and_the_first_is_chosen():
    found = scores(PRkNN(), np.ones((4, 2)), np.ones((4, 2)))
    assert found.tolist() == [[0, 0]]
    assert found.argmax() == 0


def test_the_seven_nearest_vote_by_one_over_the_distance():
    assert PRkNN().n_neighbors == 7
    # Three of four neighbours for model 1, but the nearest is there, and for model 0.
    utility = [[1.0, 0], [0.0, 1], [0.0, 1], [0.0, 1]]
    assert scores(PRkNN(), utility, np.ones((4, 2))).argmax() == 0


def test_the_nearest_vote_for_the_cheapest_model_that_is_right():
    assert KNNVL().n_neighbors == 5
    utility = [[1.0, 1, 0], [1.0, 0, 0], [1.0, 0, 0], [0.0, 0, 1]]
    cost = [[2.0, 1, 0]] * 4
    # Between the samples 1 and 3: both at a distance of 1 - 1 / sqrt 2, the other two further.
    between = np.array([[0.0, -1.0]])
    found = scores(KNNVL(4), utility, cost, between)
    close, far = 1 / (1 - 0.5**0.5), 1 / (1 + 0.5**0.5)
    expected = np.array([close + far, far, close]) / (2 * (close + far))
    np.testing.assert_allclose(found, [expected])
    # At a training sample only that one counts.
    assert scores(KNNVL(4), utility, cost).argmax() == 1


def test_of_right_models_of_one_cost_the_first_has_the_vote():
    found = scores(KNNVL(), np.ones((4, 3)), np.ones((4, 3)))
    assert found.tolist() == [[1, 0, 0]]


@pytest.mark.parametrize("router", [PRkNN, KNNVL])
def test_samples_that_no_model_solves_are_left_out(router):
    # The nearest is unsolved, and its cheapest model 0; of the others model 1 is right.
    utility, cost = [[0.0, 0], [0.0, 1], [0.0, 1], [0.0, 1]], [[1.0, 2]] * 4
    fitted = router(1).fit(CORNERS, np.array(utility), np.array(cost))
    assert len(fitted.features_) == 3
    assert (fitted.predict_scores(CORNERS)[0].argmax(axis=1) == 1).all()


@pytest.mark.parametrize("router", [PRkNN, KNNVL])
def test_a_missing_outcome_is_no_vote_against_a_model(router):
    nan = np.nan
    utility = [[nan, 1.0, 0], [1.0, 0, 0], [1.0, 0, 0], [1.0, 0, 0]]
    cost = [[nan, 1.0, 2]] + [[1.0, 1, 2]] * 3
    found = scores(router(4), utility, cost)[0]
    assert found[0] == pytest.approx(1)
    assert 0 <= found[2] < found[1] < 1.0 + 1e-9


@pytest.mark.parametrize("router", [PRkNN(), KNNVL()])
def test_columns_count_alike_whatever_their_unit(router):
    generator = np.random.default_rng(0)
    features = generator.normal(size=(50, 3))
    utility = (generator.random((50, 3)) < 0.5).astype(float)
    found = [
        router.fit(features * unit + 5, utility, utility + 1).predict_scores(features * unit + 5)
        for unit in (1.0, np.array([1.0, 100.0, 0.01]))
    ]
    np.testing.assert_allclose(*found, atol=1e-6)


def test_predicted_utilities_rank_like_the_scores_around_each_models_mean():
    utility = np.array([[1.0, 1], [1.0, 0], [1.0, 1], [0.0, 1]])
    fitted = KNNVL(1).fit(CORNERS, utility, np.tile([[1.0, 2.0]], (4, 1)))
    # Labels 0, 0, 0, 1: mean scores of 3/4 and 1/4, mean utilities of 3/4.
    u_hat, c_hat = fitted.predict(CORNERS[[0, 3]])
    np.testing.assert_allclose(u_hat, [[1, 0], [0, 1]], atol=1e-9)
    np.testing.assert_allclose(c_hat, [[1, 2], [1, 2]])


@pytest.mark.parametrize("router", [PRkNN(), KNNVL()])
def test_routes_better_than_the_best_single_model_where_features_tell(router):
    generator = np.random.default_rng(0)
    features = generator.normal(size=(1000, 4))
    utility = (features @ generator.normal(size=(4, 3)) > 0).astype(float)
    router.fit(features[:500], utility[:500], np.tile([0.1, 0.2, 0.3], (500, 1)))
    choice = router.predict_scores(features[500:])[0].argmax(axis=1)
    gained = utility[500:][np.arange(500), choice].mean()
    assert gained > utility[500:].mean(axis=0).max() + 0.1
