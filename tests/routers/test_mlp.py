import numpy as np
import pytest

from mmroute.routers.mlp import MLP, MLPMF


@pytest.mark.parametrize("router", [MLP, MLPMF])
def test_missing_outcomes_do_not_pull_predictions(router):
    generator = np.random.default_rng(0)
    features = generator.normal(size=(200, 8)).astype(np.float32)
    utility = np.full((200, 2), 0.75)
    gone = generator.random(utility.shape) < 0.5
    masked = np.where(gone, np.nan, utility)
    u_hat, _ = router(epochs=60).fit(features, masked, masked).predict(features)
    assert abs(u_hat.mean() - 0.75) < 0.05


@pytest.mark.parametrize(
    ("router", "widths"), [(MLP(epochs=1), (256, 128, 3)), (MLPMF(epochs=1), (256, 128, 64, 3))]
)
def test_has_the_published_layers(router, widths):
    router.fit(np.zeros((4, 5), np.float32), np.ones((4, 3)), np.ones((4, 3)))
    shapes = [tuple(own.shape) for own in router.utility_.parameters() if own.ndim == 2]
    assert shapes == list(zip(widths, (5, *widths), strict=False))


def test_the_seed_decides_the_result():
    generator = np.random.default_rng(0)
    table = [generator.random((40, 3)) for _ in range(3)]
    predictions = [
        MLP(epochs=2, random_state=seed).fit(*table).predict(table[0])[0] for seed in (0, 0, 1)
    ]
    assert np.array_equal(predictions[0], predictions[1])
    assert not np.array_equal(predictions[0], predictions[2])
