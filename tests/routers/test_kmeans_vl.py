"""One prototype a model."""

import numpy as np

from mmroute.routers.kmeans_vl import KMeansVL

# Standardised they stay as they are, but for being at a distance of sqrt 2 from the origin.
CORNERS = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])


def test_a_prototype_is_the_mean_of_the_samples_that_its_model_solves():
    utility = np.array([[1.0, 0, 1], [1.0, 0, 0], [0.0, 1, 0], [0.0, 1, 1]])
    router = KMeansVL().fit(CORNERS, utility, np.ones((4, 3)))
    # Model 2's samples are opposite: their mean is nowhere, and stays there.
    np.testing.assert_allclose(router.prototypes_, [[1, 0], [-1, 0], [0, 0]], atol=1e-12)
    scores = router.predict_scores(np.array([[2.0, 0.0], [0.0, 3.0], [-1.0, 1.0]]))
    assert scores.shape == (1, 3, 3)
    diagonal = 0.5 * (1 + 0.5**0.5)
    expected = [[1, 0, 0.5], [0.5, 0.5, 0.5], [1 - diagonal, diagonal, 0.5]]
    np.testing.assert_allclose(scores[0], expected, atol=1e-12)


def test_a_model_that_solves_nothing_has_the_mean_of_all():
    utility = np.array([[1.0, 0], [1.0, 0], [1.0, 0], [0.0, 0]])
    router = KMeansVL().fit(CORNERS, utility, np.ones((4, 2)))
    np.testing.assert_allclose(router.prototypes_[1], router.prototypes_[0])


def test_samples_that_no_model_solves_and_costs_play_no_part():
    utility = np.array([[1.0, 0], [1.0, 0], [0.0, 1], [0.0, 1], [0.0, 0]])
    features = np.concatenate([CORNERS, [[9.0, 9.0]]])
    router = KMeansVL().fit(features, utility, np.ones((5, 2)))
    same = KMeansVL().fit(CORNERS, utility[:4], np.array([[1.0, 5.0]] * 4))
    np.testing.assert_array_equal(router.prototypes_, same.prototypes_)


def test_a_missing_outcome_is_not_solved():
    utility = np.array([[1.0, np.nan], [1.0, 1], [0.0, 1], [0.0, 1]])
    router = KMeansVL().fit(CORNERS, utility, np.where(np.isnan(utility), np.nan, 1.0))
    np.testing.assert_allclose(router.prototypes_[1], np.array([-1, -1]) / np.sqrt(2), atol=1e-12)
