"""Classifiers on soft labels."""

import numpy as np
import pytest

from mmroute.catalogue import build
from mmroute.routers.soft_labels import GRID, soft_labels
from mmroute.routers.vl_classifiers import KNNVL, KMeansVL, LinearVL

NAMES = ("knn_vl", "kmeans_vl", "linear_vl", "mlp_vl")
# Two groups of samples; in the first, models 0 and 2 are right, in the second, model 1.
FEATURES = np.repeat(np.eye(2, dtype=np.float32), 40, axis=0)
UTILITY = np.repeat([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]], 40, axis=0)
COST = np.tile([[0.1, 0.2, 0.9]], (80, 1))


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


def test_each_lambda_learns_its_own_labels(name):
    router = build("routers", name, {"lambdas": [0.0, 1.0, 1e4]}).fit(FEATURES, UTILITY, COST)
    expected = soft_labels(UTILITY[[0, -1]], COST[[0, -1]], router.grid, 1.0)
    np.testing.assert_allclose(router.predict_scores(FEATURES[[0, -1]]), expected, atol=0.15)


def test_a_larger_lambda_prefers_the_cheaper_of_the_correct_models(name):
    router = build("routers", name, {"lambdas": [0.0, 100.0]}).fit(FEATURES, UTILITY, COST)
    assert router.predict_scores(FEATURES)[1].argmax(axis=1).tolist() == [0] * 40 + [1] * 40


def test_the_scale_is_that_of_the_labels(name):
    scores = [
        build("routers", name, parameters)
        .fit(FEATURES, UTILITY, COST)
        .predict_scores(FEATURES[:1])[1]
        for parameters in ({"lambdas": [2.0], "scale": 3.0}, {"lambdas": [6.0], "scale": 1.0})
    ]
    np.testing.assert_allclose(*scores)


def test_the_grid_ascends_from_zero(name):
    assert build("routers", name, {}).grid.tolist() == list(GRID)
    assert build("routers", name, {"lambdas": [3.0, 1.0, 3.0]}).grid.tolist() == [0, 1, 3]


def test_predicted_utilities_are_the_models_mean_times_the_lift_of_their_scores(name):
    router = build("routers", name, {}).fit(FEATURES, UTILITY, COST)
    u_hat, c_hat = router.predict(FEATURES[[0, -1]])
    np.testing.assert_allclose(u_hat, UTILITY[[0, -1]], atol=0.15)
    np.testing.assert_allclose(c_hat, COST[[0, -1]])


def test_a_model_that_is_never_chosen_by_a_label_is_predicted_its_mean():
    utility = np.array([[1.0, 0.4], [1.0, 0.2]])
    router = KNNVL().fit(FEATURES[:2], utility, np.ones((2, 2)))
    np.testing.assert_allclose(router.predict(FEATURES[:1])[0], [[1.0, 0.3]])


@pytest.mark.parametrize("router", [KNNVL(n_neighbors=3), KMeansVL(n_clusters=1), LinearVL()])
def test_a_missing_outcome_is_no_sign_of_a_wrong_model(router):
    utility = np.ones((60, 2))
    utility[:40, 1] = np.nan
    features = np.ones((60, 2), np.float32)
    router.fit(features, utility, np.where(np.isnan(utility), np.nan, 1.0))
    scores = router.predict_scores(features[:1])[0, 0]
    assert scores[1] > 0.4


def test_samples_without_outcomes_teach_nothing(name):
    features = np.concatenate([FEATURES, FEATURES])
    utility, cost = (
        np.concatenate([known, np.full_like(known, np.nan)]) for known in (UTILITY, COST)
    )
    scores = [
        build("routers", name, {}).fit(*given).predict_scores(FEATURES[:1])
        for given in ((features, utility, cost), (FEATURES, UTILITY, COST))
    ]
    np.testing.assert_array_equal(*scores)


def test_the_nearest_neighbours_labels_are_averaged():
    features = np.array([[1, 0], [0.9, 0.1], [0, 1]], np.float32)
    utility, cost = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]), np.ones((3, 2))
    scores = KNNVL(n_neighbors=2).fit(features, utility, cost).predict_scores(features[:1])
    np.testing.assert_allclose(scores[0], [[0.75, 0.25]])


def test_the_seed_decides_what_is_drawn():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(100, 4)).astype(np.float32)
    utility = (generator.random((100, 3)) < 0.5).astype(float)
    first, second, other = (
        build("routers", "mlp_vl", {"random_state": seed, "epochs": 2})
        .fit(features, utility, utility + 1)
        .predict_scores(features)
        for seed in (0, 0, 1)
    )
    assert first.tobytes() == second.tobytes()
    assert not np.array_equal(first, other)
