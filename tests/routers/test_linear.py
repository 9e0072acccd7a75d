import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, Ridge

from mmroute.routers.linear import Linear, LinearMF


@pytest.fixture
def problem():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(80, 6))
    utility = features @ generator.normal(size=(6, 3)) + 1
    cost = features @ generator.normal(size=(6, 3)) + 5
    return features, utility, cost


def test_linear_recovers_a_linear_truth(problem):
    features, utility, cost = problem
    u_hat, c_hat = Linear().fit(*problem).predict(features)
    np.testing.assert_allclose(u_hat, utility, atol=1e-9)
    np.testing.assert_allclose(c_hat, cost, atol=1e-9)


def test_linear_uses_only_the_samples_on_which_a_model_was_observed(problem):
    features, utility, cost = problem
    noisy = utility + np.random.default_rng(1).normal(size=utility.shape)
    gone = np.random.default_rng(2).random(utility.shape) < 0.3
    masked = np.where(gone, np.nan, noisy)
    u_hat, _ = Linear().fit(features, masked, np.where(gone, np.nan, cost)).predict(features)
    for model in range(3):
        rows = ~gone[:, model]
        alone = LinearRegression().fit(features[rows], noisy[rows, model])
        np.testing.assert_allclose(u_hat[:, model], alone.predict(features), atol=1e-9)


def test_linear_mf_is_a_ridge_on_the_truncated_svd(problem):
    features, utility, _ = problem
    router = LinearMF(n_components=3, alpha=2.0).fit(*problem)
    directions = np.linalg.svd(features, full_matrices=False)[2][:3]
    low = features @ directions.T
    expected = Ridge(alpha=2.0).fit(low, utility).predict(low)
    np.testing.assert_allclose(router.predict(features)[0], expected, atol=1e-6)


def test_few_samples_are_projected_on_all_that_they_span(problem):
    router = LinearMF().fit(*(part[:4] for part in problem))
    assert router.components_.shape == (4, 6)
    np.testing.assert_allclose(
        problem[0][:4] @ router.components_.T @ router.components_, problem[0][:4], atol=1e-9
    )
