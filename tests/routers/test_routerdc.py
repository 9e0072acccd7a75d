"""Dual contrastive learning."""

import numpy as np
import pytest
import torch

from mmroute.routers.routerdc import RouterDC, sample_sample_loss


def test_the_contrast_with_samples_is_that_of_its_definition():
    logits = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(0))
    clusters = torch.tensor([[0, 0], [1, 0], [0, 0], [0, 1], [2, 1]])
    expected = 0.0
    for grid in range(2):
        own = logits[:, grid] / logits[:, grid].norm(dim=1, keepdim=True)
        likeness, terms = (own @ own.T).exp(), []
        for sample in range(5):
            same = [
                other
                for other in range(5)
                if other != sample and clusters[other, grid] == clusters[sample, grid]
            ]
            if same:
                terms.append(-(likeness[sample, same].sum() / likeness[sample].sum()).log())
        # At the first lambda two samples are alone in their clusters.
        assert len(terms) == (3, 5)[grid]
        expected += float(torch.stack(terms).mean()) / 2
    assert float(sample_sample_loss(logits, clusters)) == pytest.approx(expected, rel=1e-5)


def test_a_batch_of_samples_that_are_alone_has_no_contrast():
    logits = torch.randn(3, 1, 4).requires_grad_()
    loss = sample_sample_loss(logits, torch.tensor([[0], [1], [2]]))
    loss.backward()
    assert loss == 0
    assert logits.grad.abs().max() == 0


def test_clusters_are_of_the_labels_of_samples_that_teach_at_each_lambda():
    free = np.repeat([[0.5, 0.5, 0], [0, 0, 1.0]], 4, axis=0)
    dear = np.tile([[1.0, 0, 0], [0, np.nan, 1.0]], (4, 1))
    taught = np.arange(8) != 5
    router = RouterDC(n_clusters=2)
    found = router._clusters(np.stack([free, dear], axis=1), taught)
    kept = found[taught]
    assert len(set(kept[:4, 0])) == len(set(kept[4:, 0])) == 1
    assert kept[0, 0] != kept[-1, 0]
    assert len(set(found[[0, 2, 4, 6], 1])) == len(set(found[[1, 3, 7], 1])) == 1
    assert found[0, 1] != found[1, 1]
    assert found[5].tolist() == [0, 0]
    assert (RouterDC().n_clusters, RouterDC().finetune_learning_rate) == (5, 5e-5)


def test_clusters_come_together_with_the_weight_of_their_loss(fit_usd):
    generator = np.random.default_rng(0)
    features = generator.normal(size=(80, 4)).astype(np.float32)
    utility = np.repeat(np.eye(4), 20, axis=0)
    spread = []
    for weight in (0.0, 10.0):
        router = RouterDC(cluster_weight=weight, lambdas=[], patience=100)
        fit_usd(router, features, utility, utility + 1)
        with torch.no_grad():
            logits = router.network_[1](torch.from_numpy(features))[:, 0]
        logits = torch.nn.functional.normalize(logits, dim=1)
        likeness = (logits @ logits.T).unflatten(1, (4, 20)).unflatten(0, (4, 20)).mean((1, 3))
        spread.append(float(likeness.diag().mean() - likeness.mean()))
    assert spread[1] > 1.2 * spread[0]


def test_predicted_utilities_are_around_each_models_mean(fit_usd):
    generator = np.random.default_rng(0)
    features = generator.normal(size=(200, 4)).astype(np.float32)
    utility = (generator.random((200, 7)) < np.linspace(0.2, 0.8, 7)).astype(float)
    u_hat, _ = fit_usd(RouterDC(), features, utility, utility + 1).predict(features)
    np.testing.assert_allclose(u_hat.mean(axis=0), utility.mean(axis=0), atol=0.2)
