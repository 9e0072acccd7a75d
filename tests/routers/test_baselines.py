import numpy as np
import pandas as pd

from mmroute.evaluation.curve import operating_curve
from mmroute.routers.baselines import Cheapest, Oracle, Random, Strongest, StrongestPerDataset

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


def samples_of(*datasets):
    return pd.DataFrame({"dataset": datasets})


def test_strongest_per_dataset_takes_each_data_sets_own_model():
    router = StrongestPerDataset().fit(samples_of("a", "b", "b", "a"), UTILITY, COST)
    u_hat, c_hat = router.predict(samples_of("b", "a"))
    # On "b" models 0 and 1 are equally good, and 1 is the cheaper; on "a" 0 beats 2 by its cost.
    assert u_hat.argmax(axis=1).tolist() == [1, 0]
    assert c_hat.argmin(axis=1).tolist() == [1, 0]


def test_strongest_per_dataset_takes_the_strongest_of_all_on_an_unseen_data_set():
    router = StrongestPerDataset().fit(samples_of("a", "b", "b", "a"), UTILITY, COST)
    overall = Strongest().fit(NO_FEATURES, UTILITY, COST)
    for own, expected in zip(
        router.predict(samples_of("new")), overall.predict(NO_FEATURES[:1]), strict=True
    ):
        np.testing.assert_array_equal(own, expected)


def test_strongest_per_dataset_ranks_a_model_by_its_overall_mean_where_it_was_not_observed():
    utility = np.array([[0.5, 0.2, np.nan], [0.5, 0.2, np.nan], [0.0, 0.0, 0.3]])
    cost = np.where(np.isnan(utility), np.nan, 1.0)
    router = StrongestPerDataset().fit(samples_of("a", "a", "b"), utility, cost)
    u_hat, _ = router.predict(samples_of("a"))
    assert u_hat.tolist() == [[1.0, 0.0, 0.5]]


def test_strongest_per_dataset_leaves_no_trade_off():
    router = StrongestPerDataset().fit(samples_of("a", "b", "b", "a"), UTILITY, COST)
    predictions = router.predict(samples_of("a", "b", "b", "a"))
    for policy in ("lambda", "budget"):
        assert len(operating_curve(*predictions, UTILITY, COST, policy)) == 1
