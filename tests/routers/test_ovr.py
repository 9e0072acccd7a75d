"""One-vs-rest logistic regression."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from mmroute.routers.ovr import OVR


@pytest.fixture
def problem():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(120, 5)) * [1, 10, 0.1, 1, 1]
    utility = (features @ generator.normal(size=(5, 3)) + generator.normal(size=(120, 3)) > 0) * 1.0
    return features, utility, generator.lognormal(size=utility.shape)


def test_is_one_balanced_regression_a_model_on_the_observed_samples_that_some_model_solves(problem):
    features, utility, cost = problem
    gone = np.random.default_rng(1).random(utility.shape) < 0.3
    masked, paid = (np.where(gone, np.nan, known) for known in (utility, cost))
    scores = OVR().fit(features, masked, paid).predict_scores(features)
    standard = StandardScaler().fit_transform(features)
    solved = (masked > 0).any(axis=1)
    assert 0 < solved.sum() < 120
    for model in range(3):
        rows = ~gone[:, model] & solved
        alone = LogisticRegression(class_weight="balanced", max_iter=1000)
        alone.fit(standard[rows], utility[rows, model])
        np.testing.assert_allclose(
            scores[0, :, model], alone.predict_proba(standard)[:, 1], atol=1e-6
        )


def test_the_choice_is_the_most_probable_model_and_costs_play_no_part(problem):
    features, utility, cost = problem
    router = OVR().fit(features, utility, cost)
    assert router.grid.tolist() == [0]
    np.testing.assert_array_equal(
        router.predict_scores(features),
        OVR().fit(features, utility, -cost).predict_scores(features),
    )


def test_costs_are_the_training_means(problem):
    features, _, cost = problem
    _, c_hat = OVR().fit(*problem).predict(features[:2])
    np.testing.assert_allclose(c_hat, np.tile(cost.mean(axis=0), (2, 1)))


@pytest.mark.parametrize("always", [0.0, 1.0])
def test_a_model_that_is_always_right_or_wrong_is_scored_so(problem, always):
    features, utility, cost = problem
    utility[:, 1] = always
    router = OVR().fit(features, utility, cost)
    assert (router.predict_scores(features)[:, :, 1] == always).all()
    u_hat, _ = router.predict(features)
    assert (u_hat[:, 1] == always).all()
    assert np.ptp(u_hat[:, 0]) > 0.5


def test_a_partly_right_outcome_is_right(problem):
    features, utility, cost = problem
    np.testing.assert_array_equal(
        OVR().fit(features, utility, cost).predict_scores(features),
        OVR().fit(features, utility / 4, cost).predict_scores(features),
    )
