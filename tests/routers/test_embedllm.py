"""A vector per model, compared with a projection of the query."""

import numpy as np
import pytest
import torch

from mmroute.routers.embedllm import EmbedLLM, Factors


def test_the_logit_is_linear_in_the_product_of_query_and_model():
    network = Factors(n_features=2, n_models=2, width=2, noise=1.0).eval()
    with torch.no_grad():
        network.query.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
        network.query.bias.copy_(torch.tensor([1.0, 0.0]))
        network.models.copy_(torch.tensor([[1.0, 1.0], [3.0, -1.0]]))
        network.classifier.weight.copy_(torch.tensor([[1.0, 0.5]]))
        network.classifier.bias.fill_(-1.0)
        # The query becomes (4, 10), the products (4, 10) and (12, -10).
        assert network(torch.tensor([[3.0, 5.0]])).tolist() == [[8.0, 6.0]]


def test_noise_is_for_training_only():
    network, query = Factors(2, 3, 4, noise=1.0), torch.ones(1, 2)
    assert not torch.equal(network(query), network(query))
    network.eval()
    assert torch.equal(network(query), network(query))


@pytest.mark.parametrize("n_models", [1, 3])
def test_missing_outcomes_do_not_pull_predictions(n_models):
    generator = np.random.default_rng(0)
    features = generator.normal(size=(200, 8)).astype(np.float32)
    gone = generator.random((200, n_models)) < 0.5
    masked = np.where(gone, np.nan, 0.75)
    u_hat, c_hat = EmbedLLM(noise=0.0).fit(features, masked, masked).predict(features)
    np.testing.assert_allclose([u_hat.mean(), c_hat.mean()], 0.75, atol=0.05)


def test_learns_which_model_is_right_on_which_queries():
    features = np.random.default_rng(0).choice([-1.0, 1.0], size=(300, 2)).astype(np.float32)
    utility = (features @ [[1, -1, 0], [0, 0, 1]] > 0).astype(float)
    u_hat, _ = EmbedLLM().fit(features, utility, utility + 1).predict(features)
    assert ((u_hat > 0.5) == utility).all()
    assert ((u_hat > 0) & (u_hat < 1)).all()
