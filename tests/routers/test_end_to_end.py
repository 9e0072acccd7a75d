"""What the four end-to-end routers have in common."""

import numpy as np
import pytest

from mmroute.catalogue import build, find
from mmroute.routers.soft_labels import GRID

pytestmark = pytest.mark.slow

NAMES = ("cosinecls", "routerdc", "zooter", "vlc")
# Questions without an image, and images without a question: on the former, models 0 and 2 are
# right, on the latter, model 1.
FEATURES = np.repeat(np.eye(2, dtype=np.float32), 40, axis=0)
UTILITY = np.repeat([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]], 40, axis=0)
COST = np.tile([[0.1, 0.2, 0.9]], (80, 1))


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


def noisy(n_samples=100):
    generator = np.random.default_rng(0)
    features = generator.normal(size=(n_samples, 4)).astype(np.float32)
    utility = (generator.random((n_samples, 3)) < 0.5).astype(float)
    return features, utility, utility + generator.random((n_samples, 3))


def test_is_frozen_on_the_fusion_pair_unless_told(name):
    entry = find("routers", name)
    assert entry.attributes["fusion"] == "pair"
    assert entry.parameters["mode"][1] == "frozen"


def test_chooses_a_model_that_is_right_and_as_lambda_grows_the_cheapest_of_them(name):
    router = build("routers", name, {"lambdas": [0.0, 1.0]}).fit(FEATURES, UTILITY, COST)
    free, dear = router.predict_scores(FEATURES[[0, -1]]).argmax(axis=2)
    assert free[0] in (0, 2)
    assert free[1] == 1
    assert dear.tolist() == [0, 1]


def test_scores_are_a_distribution_over_the_models_at_each_lambda(name):
    router = build("routers", name, {"epochs": 2}).fit(*noisy())
    scores = router.predict_scores(noisy()[0])
    assert scores.shape == (len(GRID), 100, 3)
    assert (scores >= 0).all()
    np.testing.assert_allclose(scores.sum(axis=2), 1)


def test_the_lambdas_of_the_grid_are_those_given_and_zero(name):
    assert build("routers", name, {}).grid.tolist() == list(GRID)
    assert build("routers", name, {"lambdas": [3.0, 1.0]}).grid.tolist() == [0, 1, 3]


def test_the_scale_multiplies_lambda(name):
    scores = [
        build("routers", name, {"epochs": 2, **parameters}).fit(*noisy()).predict_scores(noisy()[0])
        for parameters in ({"lambdas": [2.0], "scale": 3.0}, {"lambdas": [6.0], "scale": 1.0})
    ]
    np.testing.assert_array_equal(*scores)


def test_a_missing_outcome_is_no_sign_of_a_wrong_model(name):
    features = np.ones((60, 2), np.float32)
    utility, cost = np.tile([[1.0, 1.0, 0.0]], (60, 1)), np.ones((60, 3))
    utility[:40, 1] = cost[:40, 1] = np.nan
    router = build("routers", name, {"lambdas": [0.0]}).fit(features, utility, cost)
    first, second, wrong = router.predict_scores(features[:1])[0, 0]
    assert second > 0.5 * first
    assert second > 1.5 * wrong


def test_samples_without_outcomes_teach_nothing(name):
    features, utility, cost = noisy()
    unknown = np.full_like(utility, np.nan)
    scores = [
        build("routers", name, {"epochs": 2}).fit(*given).predict_scores(features)
        for given in (
            (features, utility, cost),
            [
                np.concatenate(pair)
                for pair in ((features, features), (utility, unknown), (cost, unknown))
            ],
        )
    ]
    np.testing.assert_array_equal(*scores)


def test_the_seed_decides_what_is_drawn(name):
    features, utility, cost = noisy()
    first, second, other = (
        build("routers", name, {"random_state": seed, "epochs": 2})
        .fit(features, utility, cost)
        .predict_scores(features)
        for seed in (0, 0, 1)
    )
    assert first.tobytes() == second.tobytes()
    assert not np.array_equal(first, other)


def test_more_samples_at_once_than_in_a_batch_are_predicted_alike(name):
    features, utility, cost = noisy()
    router = build("routers", name, {"epochs": 2}).fit(features, utility, cost)
    alone = [router.predict_scores(row[None])[:, 0] for row in features[::33]]
    together = router.predict_scores(features)[:, ::33].swapaxes(0, 1)
    np.testing.assert_allclose(alone, together, rtol=1e-4)
    assert router.predict_scores(features[:0]).shape == (len(GRID), 0, 3)
