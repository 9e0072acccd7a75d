import numpy as np

from mmroute.curve import operating_curve
from mmroute.routers.baselines import Cheapest, Oracle, Random, Strongest

UTILITY = np.array([[1.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [1.0, 0.0, 1.0]])
COST = np.tile([[2.0, 1.0, 3.0]], (4, 1))
NO_FEATURES = np.empty((4, 0))


def points(router, policy):
    u_hat, c_hat = router.fit(NO_FEATURES, UTILITY, COST).predict(NO_FEATURES)
    curve = operating_curve(u_hat, c_hat, UTILITY, COST, policy)
    return set(zip(curve.cost, curve.utility, strict=True))


def test_cheapest_is_one_point_under_either_policy():
    assert points(Cheapest(), "lambda") == points(Cheapest(), "budget") == {(1.0, 0.25)}


def test_strongest_takes_the_cheaper_of_equals():
    assert points(Strongest(), "lambda") == points(Strongest(), "budget") == {(2.0, 0.75)}


def test_the_next_best_model_serves_where_the_strongest_is_missing():
    router = Strongest().fit(NO_FEATURES, UTILITY, COST)
    u_hat, c_hat = router.predict(NO_FEATURES[:1])
    outcomes = np.array([[np.nan, 0.0, 1.0]])
    curve = operating_curve(u_hat, c_hat, outcomes, np.where(np.isnan(outcomes), np.nan, 1.0))
    assert curve.utility.tolist() == [1.0]


def test_random_chooses_uniformly_and_anew_in_each_trial():
    router = Random(trials=50).fit(NO_FEATURES, UTILITY, COST)
    u_hat, _ = router.predict_trials(np.empty((200, 0)))
    chosen = u_hat.argmax(axis=2)
    assert u_hat.shape == (50, 200, 3)
    shares = np.bincount(chosen.ravel()) / chosen.size
    np.testing.assert_allclose(shares, 1 / 3, atol=0.02)
    assert not np.array_equal(chosen[0], chosen[1])


def test_random_is_one_point_per_trial():
    u_hat, c_hat = Random().fit(NO_FEATURES, UTILITY, COST).predict(NO_FEATURES)
    assert len(operating_curve(u_hat, c_hat, UTILITY, COST)) == 1


def test_the_oracles_best_point_is_the_cheapest_of_the_best_models():
    u_hat, c_hat = Oracle().reveal(UTILITY, COST)
    curve = operating_curve(u_hat, c_hat, UTILITY, COST)
    assert curve.utility[0] == 1.0
    assert curve.cost[0] == np.mean([2, 2, 1, 2])
