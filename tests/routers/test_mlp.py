import numpy as np

from mmroute.routers.mlp import MLP


def test_missing_outcomes_do_not_pull_predictions():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(200, 8)).astype(np.float32)
    utility = np.full((200, 2), 0.75)
    gone = generator.random(utility.shape) < 0.5
    masked = np.where(gone, np.nan, utility)
    u_hat, _ = MLP(epochs=60).fit(features, masked, masked).predict(features)
    assert abs(u_hat.mean() - 0.75) < 0.05


def test_has_two_hidden_layers_of_256_and_128():
    features = np.zeros((4, 5), np.float32)
    router = MLP(epochs=1).fit(features, np.ones((4, 3)), np.ones((4, 3)))
    shapes = [tuple(parameter.shape) for parameter in router.utility_.parameters()]
    assert shapes == [(256, 5), (256,), (128, 256), (128,), (3, 128), (3,)]


def test_the_seed_decides_the_result():
    generator = np.random.default_rng(0)
    table = [generator.random((40, 3)) for _ in range(3)]
    predictions = [
        MLP(epochs=2, random_state=seed).fit(*table).predict(table[0])[0] for seed in (0, 0, 1)
    ]
    assert np.array_equal(predictions[0], predictions[1])
    assert not np.array_equal(predictions[0], predictions[2])
