"""Clusters with the models' scaled performance and cost."""

import numpy as np
import pytest
from scipy.special import expit

from mmroute.routers.avengers_pro import ALPHAS, AvengersPro

FEATURES = np.array([[1, 0], [0.9, 0], [0, 1], [0, 0.9]], np.float32)
UTILITY = np.array([[1, 0.5, 0], [1, 0.5, 0], [0.5, 0, 0.5], [0.5, 1, 0.5]])
COST = np.array([[3.0, 2, 1], [3, 2, 1], [2, 2, 4], [2, 2, 4]])
QUERY = np.array([[2.0, 0.1], [0.1, 2.0]], np.float32)


def fitted(n_nearest=1):
    router = AvengersPro(n_clusters=2, samples_per_cluster=1, n_nearest=n_nearest)
    return router.fit(FEATURES, UTILITY, COST)


def test_scores_weigh_performance_and_cost_scaled_over_the_models_of_a_cluster():
    scores = fitted().predict_scores(QUERY)
    for alpha, (first, second) in zip(ALPHAS, scores, strict=True):
        np.testing.assert_allclose(first, [alpha, 0.5, 1 - alpha])
        # All are equally good there, and so they differ in cost only.
        np.testing.assert_allclose(second, [1 - alpha, 1 - alpha, 0])


def test_scores_are_averaged_over_the_nearest_clusters():
    scores = fitted(n_nearest=2).predict_scores(QUERY)
    for alpha, queries in zip(ALPHAS, scores, strict=True):
        np.testing.assert_allclose(queries, [[0.5, 0.75 - alpha / 2, 0.5 - alpha / 2]] * 2)


def test_predictions_are_means_in_the_units_of_the_outcomes():
    u_hat, c_hat = fitted().predict(QUERY)
    assert u_hat.tolist() == [[1, 0.5, 0], [0.5, 0.5, 0.5]]
    assert c_hat.tolist() == [[3, 2, 1], [2, 2, 4]]
    assert fitted(n_nearest=2).predict(QUERY)[1].tolist() == [[2.5, 2, 2.5]] * 2


def test_an_alpha_is_the_policy_at_its_lambda():
    router = fitted()
    for lam, scores in zip(router.grid, router.predict_scores(QUERY[:1]), strict=True):
        net = np.array([1, 0.5, 0]) - lam * np.array([1, 0.5, 0])
        np.testing.assert_allclose(np.diff(scores[0]) * (1 + lam), np.diff(net), atol=1e-12)


@pytest.mark.parametrize(("n_samples", "n_clusters"), [(10, 1), (100, 5), (1500, 60)])
def test_the_number_of_clusters_follows_from_the_number_of_labels(n_samples, n_clusters):
    features = np.random.default_rng(0).normal(size=(n_samples, 2)).astype(np.float32)
    outcomes = expit(features)
    router = AvengersPro().fit(features, outcomes, outcomes)
    assert len(router.clusters_.centers_) == n_clusters


def test_with_one_sample_a_cluster_a_missing_model_has_its_training_mean():
    utility = UTILITY.copy()
    utility[0, 1] = np.nan
    router = AvengersPro(samples_per_cluster=1, n_nearest=1).fit(FEATURES, utility, utility)
    np.testing.assert_allclose(router.predict(FEATURES)[0][1:], utility[1:])
    assert router.predict(FEATURES)[0][0].tolist() == [1, 0.5, 0]


def test_one_model_is_chosen_at_every_alpha():
    router = AvengersPro().fit(FEATURES, UTILITY[:, :1], COST[:, :1])
    np.testing.assert_allclose(router.predict_scores(QUERY)[:, :, 0], np.outer(1 - ALPHAS, [1, 1]))
