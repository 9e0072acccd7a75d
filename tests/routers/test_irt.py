"""Item response theory."""

import numpy as np
import pytest
import torch

from mmroute.routers.irt import IRT, ItemResponse


def test_the_logit_is_discriminated_ability_less_difficulty():
    network = ItemResponse(n_features=2, n_models=2, dimensions=2)
    with torch.no_grad():
        network.discrimination.weight.zero_()
        # softplus is 1 and 2 there.
        network.discrimination.bias.copy_(torch.tensor([np.e - 1, np.e**2 - 1]).log())
        network.difficulty.weight.copy_(torch.tensor([[1.0, 10.0]]))
        network.difficulty.bias.fill_(0.5)
        network.abilities.copy_(torch.tensor([[3.0, 4.0], [0.0, -1.0]]))
        logits = network(torch.tensor([[0.5, 0.0], [0.5, 1.0]]))
    torch.testing.assert_close(logits, torch.tensor([[10.0, -3.0], [0.0, -13.0]]))


def test_more_ability_raises_every_chance():
    # A discrimination is positive however small: float32 would lose some of these.
    network, queries = ItemResponse(4, 1, 3).double(), 9 * torch.randn(50, 4).double()
    with torch.no_grad():
        before = network(queries)
        network.abilities[0, 1] += 1
        assert (network(queries) > before).all()


def test_a_model_has_one_cost_its_mean_over_observed_outcomes():
    features = np.eye(3, dtype=np.float32)
    cost = np.array([[1.0, 4.0], [3.0, np.nan], [5.0, 8.0]])
    _, c_hat = (
        IRT(epochs=1).fit(features, np.where(np.isnan(cost), cost, 1), cost).predict(features)
    )
    assert c_hat.tolist() == [[3.0, 6.0]] * 3


@pytest.mark.parametrize("n_models", [1, 3])
def test_missing_outcomes_do_not_pull_predictions(n_models):
    generator = np.random.default_rng(0)
    features = generator.normal(size=(200, 8)).astype(np.float32)
    gone = generator.random((200, n_models)) < 0.5
    masked = np.where(gone, np.nan, 0.75)
    u_hat, _ = IRT(learning_rate=1e-2).fit(features, masked, masked).predict(features)
    assert abs(u_hat.mean() - 0.75) < 0.05


def test_orders_models_by_ability_and_queries_by_difficulty():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(500, 3)).astype(np.float32)
    chance = 1 / (1 + np.exp(2 * features[:, :1] - [-1.0, 0.0, 1.0]))
    utility = (generator.random(chance.shape) < chance).astype(float)
    u_hat, _ = IRT(learning_rate=1e-2).fit(features, utility, utility).predict(features)
    assert (np.diff(u_hat.mean(axis=0)) > 0).all()
    assert np.corrcoef(features[:, 0], u_hat.mean(axis=1))[0, 1] < -0.9
