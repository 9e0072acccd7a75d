"""The cosine classifier."""

import numpy as np
import torch

from mmroute.routers.cosinecls import CosineCls, CosineHead
from mmroute.routers.soft_labels import soft_labels

FEATURES = np.repeat(np.eye(2, dtype=np.float32), 40, axis=0)
UTILITY = np.repeat([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]], 40, axis=0)
COST = np.tile([[0.1, 0.2, 0.9]], (80, 1))


def test_each_lambda_learns_its_own_soft_labels():
    router = CosineCls(lambdas=[0.0, 1.0, 1e4]).fit(FEATURES, UTILITY, COST)
    expected = soft_labels(UTILITY[[0, -1]], COST[[0, -1]], router.grid, 1.0)
    np.testing.assert_allclose(router.predict_scores(FEATURES[[0, -1]]), expected, atol=0.15)


def test_logits_are_cosines_over_the_temperature():
    head = CosineHead(3, 2, 4, projection=5, temperature=0.07)
    with torch.no_grad():
        head.models *= 9
        features = torch.randn(6, 3)
        logits, projected = head(features), head.projections(features)
    assert logits.shape == (6, 2, 4)
    for sample, grid, model in ((0, 0, 0), (5, 1, 3)):
        cosine = torch.cosine_similarity(projected[sample, grid], head.models[grid, model], dim=0)
        torch.testing.assert_close(logits[sample, grid, model], cosine.detach() / 0.07)


def test_the_lambdas_share_no_weight():
    head = CosineHead(3, 2, 4, projection=5, temperature=0.07)
    head(torch.randn(6, 3))[:, 0].sum().backward()
    per_lambda = head.projections[0].weight.grad.unflatten(0, (2, 5))
    assert per_lambda[0].abs().max() > 0
    assert per_lambda[1].abs().max() == 0
    assert head.models.grad[1].abs().max() == 0
