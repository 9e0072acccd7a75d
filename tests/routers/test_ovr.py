"""One-vs-rest logistic regression."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mmroute.routers.ovr import OVR


@pytest.fixture
def problem():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(120, 5))
    utility = (features @ generator.normal(size=(5, 3)) + generator.normal(size=(120, 3)) > 0) * 1.0
    return features, utility, generator.lognormal(size=utility.shape)


def test_is_one_logistic_regression_a_model_on_the_samples_it_was_observed_on(problem):
    features, utility, cost = problem
    gone = np.random.default_rng(1).random(utility.shape) < 0.3
    masked, paid = (np.where(gone, np.nan, known) for known in (utility, cost))
    u_hat, _ = OVR(alpha=0.5).fit(features, masked, paid).predict(features)
    for model in range(3):
        rows = ~gone[:, model]
        alone = LogisticRegression(C=2, max_iter=1000).fit(features[rows], utility[rows, model])
        np.testing.assert_allclose(u_hat[:, model], alone.predict_proba(features)[:, 1], atol=1e-3)


def test_costs_are_the_training_means(problem):
    features, _, cost = problem
    _, c_hat = OVR().fit(*problem).predict(features[:2])
    np.testing.assert_allclose(c_hat, np.tile(cost.mean(axis=0), (2, 1)))


@pytest.mark.parametrize("always", [0.0, 1.0])
def test_a_model_that_is_always_right_or_wrong_is_predicted_so(problem, always):
    features, utility, cost = problem
    utility[:, 1] = always
    u_hat, _ = OVR().fit(features, utility, cost).predict(features)
    assert (u_hat[:, 1] == always).all()
    assert np.ptp(u_hat[:, 0]) > 0.5


def test_a_partly_right_outcome_weighs_on_both_sides():
    features = np.zeros((40, 2))
    utility = np.tile([[0.25, 0.5]], (40, 1))
    u_hat, _ = OVR().fit(features, utility, np.ones((40, 2))).predict(features[:1])
    np.testing.assert_allclose(u_hat, [[0.25, 0.5]], atol=1e-3)
