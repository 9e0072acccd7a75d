"""The transformer over both embeddings."""

import numpy as np
import pytest

from mmroute.routers.soft_labels import soft_labels
from mmroute.routers.vlc import VLC

FEATURES = np.repeat(np.eye(2, dtype=np.float32), 40, axis=0)
UTILITY = np.repeat([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]], 40, axis=0)
COST = np.tile([[0.1, 0.2, 0.9]], (80, 1))


@pytest.mark.slow
def test_each_lambda_learns_its_own_soft_labels(fit_usd):
    router = VLC(lambdas=[0.0, 1.0, 1e4], scale=1.0, learning_rate=0.01)
    # So few that none is held out, to stop by before the labels are learned.
    fit_usd(router, FEATURES[::2], UTILITY[::2], COST[::2])
    expected = soft_labels(UTILITY[[0, -1]], COST[[0, -1]], router.grid, 1.0)
    np.testing.assert_allclose(router.predict_scores(FEATURES[[0, -1]]), expected, atol=0.1)


@pytest.mark.slow
def test_learns_what_only_both_tokens_together_tell(fit_usd):
    generator = np.random.default_rng(0)
    signs = generator.choice([-1.0, 1.0], size=(250, 2)).astype(np.float32)
    alike = (signs[:, 0] == signs[:, 1]).astype(float)
    utility = np.stack([alike, 1 - alike], axis=1)
    router = fit_usd(VLC(lambdas=[0.0], width=32), signs[:150], utility[:150], np.ones((150, 2)))
    chosen = router.predict_scores(signs[150:])[0].argmax(axis=1)
    assert utility[150:][np.arange(100), chosen].mean() > 0.95
