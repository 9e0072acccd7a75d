"""The cross-modal attention router."""

import numpy as np
import pytest

from mmroute.routers.cmr import CMR

SMALL = {"width": 32, "layers": 1, "heads": 2, "dropout": 0.0, "learning_rate": 3e-3}


@pytest.fixture
def agreement():
    """Return a problem where a model is right if the signs of text and image agree."""
    generator = np.random.default_rng(0)
    Z = generator.choice([-1.0, 1.0], size=(400, 2)).astype(np.float32)
    utility = np.column_stack([Z[:, 0] == Z[:, 1], np.ones(400)]).astype(float)
    return Z, utility, np.tile([0.1, 2.0], (400, 1))


def test_learns_what_only_both_modalities_together_tell(agreement):
    Z, utility, cost = agreement
    u_hat, c_hat = CMR(**SMALL, epochs=60).fit(Z, utility, cost).predict(Z)
    assert ((u_hat[:, 0] > 0.5) == utility[:, 0]).mean() > 0.95
    np.testing.assert_allclose(c_hat, cost, rtol=0.25)


def test_learns_it_as_the_released_code_does(agreement):
    Z, utility, cost = agreement
    released = {"correctness": "squared_error", "head_layers": 2, "log_cost": False}
    router = CMR(**SMALL, epochs=40, **released, weight_decay=1e-4, batch_size=32, patience=None)
    u_hat, c_hat = router.fit(Z, utility, cost).predict(Z)
    np.testing.assert_allclose(u_hat, utility, atol=0.3)
    np.testing.assert_allclose(c_hat, cost, atol=0.3)
    shapes = [tuple(own.shape) for own in router.network_[1].parameters() if own.ndim == 2]
    assert shapes == [(32, 32), (2, 32)] * 2


def test_predicts_probabilities(agreement):
    u_hat, _ = CMR(**SMALL, epochs=2).fit(*agreement).predict(agreement[0])
    assert ((u_hat > 0) & (u_hat < 1)).all()


def test_balance_raises_the_rarely_right():
    generator = np.random.default_rng(0)
    Z = generator.normal(size=(300, 4)).astype(np.float32)
    rare = (generator.random((300, 1)) < 0.1).astype(float)
    plain, balanced = (
        CMR(**SMALL, epochs=20, balance=balance).fit(Z, rare, rare + 1).predict(Z)[0].mean()
        for balance in (False, True)
    )
    assert plain < 0.2 < balanced


@pytest.mark.parametrize("log_cost", [True, False])
def test_costs_are_in_their_own_unit_either_way(agreement, log_cost):
    Z, utility, cost = agreement
    _, c_hat = CMR(**SMALL, epochs=60, log_cost=log_cost).fit(Z, utility, cost).predict(Z)
    np.testing.assert_allclose(c_hat.mean(axis=0), [0.1, 2.0], rtol=0.3)
