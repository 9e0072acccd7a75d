"""Distillation of rewards."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmroute.routers.zooter import RewardHead, Zooter, rewards

FEATURES = np.repeat(np.eye(2, dtype=np.float32), 40, axis=0)
UTILITY = np.repeat([[1.0, 0.4, 0.9], [0.0, 0.3, 0.0]], 40, axis=0)
COST = np.tile([[0.5, 0.2, 0.1]], (80, 1))


def test_the_rewards_of_one_sample():
    utility, cost = np.array([[1.0, 0.0, np.nan]]), np.array([[0.5, 0.1, np.nan]])
    (first, second) = rewards(utility, cost, [0.0, 2.0], 3.0, 0.5)
    even, costly = np.exp([2.0, 0.0]), np.exp([2 - 6.0, -1.2])
    np.testing.assert_allclose(first, [[*even / even.sum(), np.nan]])
    np.testing.assert_allclose(second, [[*costly / costly.sum(), np.nan]])


@given(
    arrays(float, (3, 4), elements=st.floats(0, 1)),
    arrays(float, (3, 4), elements=st.floats(0, 1e3)),
    arrays(bool, (3, 4)),
    st.floats(0, 1e308),
)
def test_rewards_are_a_distribution_over_the_observed_models(utility, cost, missing, largest):
    missing[:, 0] = False
    utility[missing] = cost[missing] = np.nan
    given = rewards(utility, cost, [0.0, largest], 1.0, 0.1)
    np.testing.assert_array_equal(np.isnan(given), np.broadcast_to(missing, given.shape))
    assert (given[:, ~missing] >= 0).all()
    np.testing.assert_allclose(np.nansum(given, axis=2), 1)


def test_each_lambda_learns_its_own_rewards():
    router = Zooter(lambdas=[0.0, 1.0, 100.0]).fit(FEATURES, UTILITY, COST)
    expected = rewards(UTILITY[[0, -1]], COST[[0, -1]], router.grid, 1.0, 0.1)
    np.testing.assert_allclose(router.predict_scores(FEATURES[[0, -1]]), expected, atol=0.1)


def test_a_large_lambda_chooses_the_cheapest_model_right_or_not():
    router = Zooter(lambdas=[100.0]).fit(FEATURES, UTILITY, COST)
    assert (router.predict_scores(FEATURES)[1].argmax(axis=1) == 2).all()


def test_the_lambdas_share_no_weight():
    head = RewardHead(3, 2, 4, hidden=5)
    head(torch.randn(6, 3))[:, 0].sum().backward()
    per_lambda = head.hidden[0].weight.grad.unflatten(0, (2, 5))
    assert per_lambda[0].abs().max() > 0
    assert per_lambda[1].abs().max() == 0
    assert head.weight.grad[1].abs().max() == 0
