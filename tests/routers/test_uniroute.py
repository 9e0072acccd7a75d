"""Errors per cluster, and a model that joins."""

import numpy as np
import pytest
from scipy.special import expit

from mmroute.routers.uniroute import UniRoute

FEATURES = np.repeat([[0.0, 0.0], [9.0, 9.0]], 4, axis=0).astype(np.float32)
RIGHT = np.array([1.0, 1, 1, 1, 0, 0, 0, 0])
WRONG = 1 - RIGHT
COST = np.full((8, 1), 2.0)


def fitted(*columns):
    utility = np.column_stack(columns)
    router = UniRoute(n_clusters=2, samples_per_cluster=1)
    return router.fit(FEATURES, utility, np.repeat(COST, len(columns), axis=1))


def draw(n_samples=200, n_models=5):
    generator = np.random.default_rng(0)
    features = generator.normal(size=(n_samples, 3)).astype(np.float32)
    chance = expit(features @ generator.normal(size=(3, n_models)))
    utility = (generator.random(chance.shape) < chance).astype(float)
    return features, utility, generator.lognormal(size=chance.shape)


def test_without_other_models_only_the_level_is_known():
    # Mean 1/2, and nothing says that the clusters differ.
    np.testing.assert_allclose(fitted(RIGHT).predict(FEATURES)[0], 0.5)


def test_a_model_is_expected_to_differ_between_clusters_as_the_others_do():
    # Of the other model: variance (5/10)(5/10) = 1/4, a sixteenth of it in each cluster of four
    # labels. The outer product of its deviations (1/2, -1/2), less 1/16 on the diagonal, has the
    # eigenvalues 7/16 along (1, -1), and -1/16, which is 0. One more model adds 7/32 to both, and
    # the mean over the two has 21/64 along (1, -1). With noise of 1/16 for its own labels, 21/25
    # of a model's deviation is believed. Its mean of 1/2 is what was expected.
    for other in (RIGHT, WRONG):
        utility, _ = fitted(other, RIGHT).predict(FEATURES[[0, 4]])
        np.testing.assert_allclose(utility[:, 1], [1 / 2 + 21 / 50, 1 / 2 - 21 / 50])


def test_a_cluster_without_labels_is_foreseen_from_one_with_labels():
    utility = np.where(FEATURES[:, 0] == 0, RIGHT, np.nan)
    # Prior: 1/12 for the level, of the difference (21/64 + 7/64) / 2 = 7/32 in each cluster and
    # (7/64 - 21/64) / 2 = -7/64 between them. Four right answers: variance (5/6)(1/6), over 4.
    own, between, noise = 1 / 12 + 7 / 32, 1 / 12 - 7 / 64, 5 / 144
    expected = [1 / 2 + gain / (own + noise) / 2 for gain in (own, between)]
    predicted, _ = fitted(RIGHT, utility).predict(FEATURES[[0, 4]])
    np.testing.assert_allclose(predicted[:, 1], expected)


def test_costs_are_the_models_means():
    features, utility, cost = draw()
    _, c_hat = UniRoute().fit(features, utility, cost).predict(features[:3])
    np.testing.assert_allclose(c_hat, [cost.mean(axis=0)] * 3)


@pytest.mark.parametrize("n_labels", [1, 16, 64, 200])
def test_a_model_that_joins_is_what_training_with_its_labels_makes_of_it(n_labels):
    features, utility, cost = draw()
    own = np.arange(len(utility)) < n_labels
    utility[~own, -1] = cost[~own, -1] = np.nan
    trained = UniRoute().fit(features, utility, cost)
    before = UniRoute().fit(features, utility[:, :-1], cost[:, :-1])
    old = before.predict(features)
    joined = before.add_model(features[own], utility[own, -1], cost[own, -1])
    for predicted, expected, others in zip(
        joined.predict(features), trained.predict(features), old, strict=True
    ):
        np.testing.assert_allclose(predicted[:, -1], expected[:, -1], rtol=1e-12)
        np.testing.assert_array_equal(predicted[:, :-1], others)


def test_two_models_join_one_after_the_other():
    features, utility, cost = draw()
    router = UniRoute().fit(features, utility[:, :3], cost[:, :3])
    for model in (3, 4):
        router.add_model(features[:64], utility[:64, model], cost[:64, model])
    u_hat, c_hat = router.predict(features)
    assert u_hat.shape == c_hat.shape == utility.shape
    together = UniRoute().fit(features, utility, cost).predict(features)[0]
    assert np.corrcoef(u_hat[:, 4], together[:, 4])[0, 1] > 0.6


def test_with_many_labels_the_prior_gives_way_to_the_means():
    features, utility, cost = draw(n_samples=40_000)
    router = UniRoute(n_clusters=4).fit(features, utility, cost)
    cluster = router._cluster(features)
    means = [utility[cluster == own].mean(axis=0) for own in range(4)]
    np.testing.assert_allclose(router.utility_, means, atol=2e-3)


@pytest.mark.parametrize(("n_samples", "n_clusters"), [(10, 1), (100, 5), (3000, 100)])
def test_the_number_of_clusters_follows_from_the_number_of_samples(n_samples, n_clusters):
    assert len(UniRoute().fit(*draw(n_samples)).centers_) == n_clusters
