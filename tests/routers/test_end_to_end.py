"""What the four end-to-end routers have in common."""

import numpy as np
import pytest

from mmroute.catalogue import build, find
from mmroute.routers import end_to_end
from mmroute.routers.soft_labels import GRID

pytestmark = pytest.mark.slow

NAMES = ("cosinecls", "routerdc", "zooter", "vlc")
# Questions without an image, and images without a question. Of seven models, enough for three
# positives and three negatives, half are right on the former, half on the latter. Samples are so
# few that none is held out, to stop by before much is learned.
FEATURES = np.repeat(np.eye(2, dtype=np.float32), 12, axis=0)
UTILITY = np.repeat([[0.0, 0, 0, 0, 1, 1, 1], [1.0, 1, 1, 0, 0, 0, 0]], 12, axis=0)
COST = np.tile(np.arange(1.0, 8.0), (24, 1))


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


def test_chooses_a_model_that_is_right(name, fit_usd):
    router = build("routers", name, {"lambdas": [], "learning_rate": 0.01})
    (choice,) = fit_usd(router, FEATURES, UTILITY, COST).predict_scores(FEATURES).argmax(axis=2)
    assert UTILITY[np.arange(24), choice].all()


def test_samples_that_no_model_solves_teach_zooter_only(name, fit_usd):
    features = np.concatenate([FEATURES, FEATURES])
    utility = np.concatenate([UTILITY, np.zeros_like(UTILITY)])
    cost = np.concatenate([COST, COST[:, ::-1]])
    router = build("routers", name, {"lambdas": [], "learning_rate": 0.01})
    fit_usd(router, features, utility, cost)
    # The cheapest of the unsolved is model 6, which is wrong on the second group.
    share = router.predict_scores(FEATURES[-1:])[0, 0, 6]
    assert (share > 0.3) == (name == "zooter")


def test_the_published_schedule_is_that_of_whole_networks(name):
    parameters = find("routers", name).parameters
    assert parameters["finetune_epochs"][1] == 5
    rate = 5e-5 if name == "routerdc" else 2e-5
    assert parameters["finetune_learning_rate"][1] == rate
    assert parameters["scale"][1] == 100
    assert end_to_end.PUBLISHED == {
        "batch_size": 16,
        "patience": 2,
        "weight_decay": 0.01,
        "warm_up": 0.1,
    }


def test_scores_are_a_distribution_over_the_models_at_each_lambda(name, fit_usd):
    router = fit_usd(build("routers", name, {"epochs": 2}), *noisy())
    scores = router.predict_scores(noisy()[0])
    assert scores.shape == (len(GRID), 100, 3)
    assert (scores >= 0).all()
    np.testing.assert_allclose(scores.sum(axis=2), 1)


def test_the_lambdas_of_the_grid_are_those_given_and_zero(name):
    assert build("routers", name, {}).grid.tolist() == list(GRID)
    assert build("routers", name, {"lambdas": [3.0, 1.0]}).grid.tolist() == [0, 1, 3]


def test_a_missing_outcome_is_no_sign_of_a_wrong_model(name, fit_usd):
    features = np.ones((30, 2), np.float32)
    utility = np.tile([[1.0, 1, 0, 0, 0, 0, 0]], (30, 1))
    utility[:20, 1] = np.nan
    cost = np.where(np.isnan(utility), np.nan, 1.0)
    router = build("routers", name, {"lambdas": [], "learning_rate": 0.01})
    scores = fit_usd(router, features, utility, cost).predict_scores(features[:1])[0, 0]
    # A contrast asks for one of the positives, not for each.
    assert scores[1] > (0 if name in ("cosinecls", "routerdc") else 0.5) * scores[0]
    assert scores[1] > 1.5 * scores[4:].max()


def test_samples_without_outcomes_teach_nothing(name, fit_usd):
    features, utility, cost = noisy()
    unknown = np.full_like(utility, np.nan)
    scores = [
        fit_usd(build("routers", name, {"epochs": 2}), *given).predict_scores(features)
        for given in (
            (features, utility, cost),
            [
                np.concatenate(pair)
                for pair in ((features, features), (utility, unknown), (cost, unknown))
            ],
        )
    ]
    np.testing.assert_array_equal(*scores)


def test_the_seed_decides_what_is_drawn(name, fit_usd):
    features, utility, cost = noisy()
    first, second, other = (
        fit_usd(
            build("routers", name, {"random_state": seed, "epochs": 2}), features, utility, cost
        ).predict_scores(features)
        for seed in (0, 0, 1)
    )
    assert first.tobytes() == second.tobytes()
    assert not np.array_equal(first, other)


def test_more_samples_at_once_than_in_a_batch_are_predicted_alike(name, fit_usd):
    features, utility, cost = noisy()
    router = fit_usd(build("routers", name, {"epochs": 2}), features, utility, cost)
    alone = [router.predict_scores(row[None])[:, 0] for row in features[::33]]
    together = router.predict_scores(features)[:, ::33].swapaxes(0, 1)
    np.testing.assert_allclose(alone, together, rtol=1e-4)
    assert router.predict_scores(features[:0]).shape == (len(GRID), 0, 3)
