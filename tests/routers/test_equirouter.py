"""A query trunk that each model modulates, trained to rank models."""

import numpy as np
import pytest
import torch

from mmroute.routers.equirouter import EquiRouter, Modulated, ranking_loss


def test_the_ranking_is_the_logistic_loss_of_pairs_of_unequal_utility():
    predicted = torch.tensor([[2.0, 0.0, 1.0], [5.0, 1.0, 3.0]])
    utility = torch.tensor([[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]])
    first = np.mean(np.log1p(np.exp([-2.0, -1.0, -1.0])))
    second = np.mean(np.log1p(np.exp([4.0, 2.0])))
    assert float(ranking_loss(predicted, utility)) == pytest.approx((first + second) / 2)


def test_a_missing_outcome_is_in_no_pair():
    predicted = torch.zeros(1, 3, requires_grad=True)
    loss = ranking_loss(predicted, torch.tensor([[1.0, np.nan, 0.0]]))
    loss.backward()
    assert loss.item() == pytest.approx(np.log(2))
    assert predicted.grad.tolist() == [[-0.5, 0.0, 0.5]]


@pytest.mark.parametrize("utility", [[1.0], [1.0, 1.0], [np.nan, 1.0]])
def test_without_a_better_model_there_is_nothing_to_rank(utility):
    predicted = torch.zeros(1, len(utility), requires_grad=True)
    loss = ranking_loss(predicted, torch.tensor([utility]))
    loss.backward()
    assert loss == 0
    assert not predicted.grad.any()


def test_a_model_scales_and_shifts_the_hidden_units_of_the_query():
    network = Modulated(n_features=1, n_models=2, hidden=1, width=1)
    with torch.no_grad():
        for layer in (network.trunk[0], network.head[0], network.head[2]):
            layer.weight.fill_(1.0)
            layer.bias.zero_()
        network.models.copy_(torch.tensor([[0.0], [2.0]]))
        network.modulation.weight.copy_(torch.tensor([[0.5], [1.0]]))
        network.modulation.bias.zero_()
        # A query of 3: 3 (1 + 0) + 0, and 3 (1 + 1) + 2.
        assert network(torch.tensor([[3.0]])).tolist() == [[3.0, 8.0]]


@pytest.mark.parametrize("n_models", [1, 3])
def test_missing_outcomes_do_not_pull_predictions(n_models):
    generator = np.random.default_rng(0)
    features = generator.normal(size=(200, 8)).astype(np.float32)
    gone = generator.random((200, n_models)) < 0.5
    masked = np.where(gone, np.nan, 0.75)
    u_hat, c_hat = EquiRouter().fit(features, masked, masked).predict(features)
    np.testing.assert_allclose([u_hat.mean(), c_hat.mean()], 0.75, atol=0.05)


def test_ranking_draws_the_models_of_a_query_apart():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(300, 4)).astype(np.float32)
    utility = (features[:, :2] + generator.normal(size=(300, 2)) > 0).astype(float)
    apart = []
    for weight in (0.0, 1.0):
        u_hat, _ = (
            EquiRouter(ranking_weight=weight).fit(features, utility, utility).predict(features)
        )
        apart.append(((u_hat[:, 0] - u_hat[:, 1]) * (utility[:, 0] - utility[:, 1])).mean())
    assert apart[1] > apart[0]
