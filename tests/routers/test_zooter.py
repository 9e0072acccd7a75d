"""Distillation of soft labels."""

import numpy as np
import torch

from mmroute.routers.soft_labels import soft_labels
from mmroute.routers.zooter import LabelHead, Zooter

FEATURES = np.repeat(np.eye(2, dtype=np.float32), 40, axis=0)
UTILITY = np.repeat([[1.0, 0.4, 0.0], [0.0, 0.0, 0.0]], 40, axis=0)
COST = np.tile([[0.5, 0.2, 0.1]], (80, 1))


def test_each_lambda_learns_its_own_labels_with_the_cheapest_where_no_model_is_right(fit_usd):
    router = Zooter(lambdas=[0.0, 0.1, 100.0], learning_rate=0.01)
    # So few that none is held out, to stop by before the labels are learned.
    fit_usd(router, FEATURES[::2], UTILITY[::2], COST[::2])
    expected = soft_labels(UTILITY[[0, -1]], COST[[0, -1]], router.grid, 100.0)
    np.testing.assert_allclose(expected[0], [[0.5, 0.5, 0], [0, 0, 1]])
    np.testing.assert_allclose(router.predict_scores(FEATURES[[0, -1]]), expected, atol=0.1)


def test_the_lambdas_share_no_weight():
    head = LabelHead(3, 2, 4, hidden=5)
    head(torch.randn(6, 3))[:, 0].sum().backward()
    per_lambda = head.hidden[0].weight.grad.unflatten(0, (2, 5))
    assert per_lambda[0].abs().max() > 0
    assert per_lambda[1].abs().max() == 0
    assert head.weight.grad[1].abs().max() == 0
