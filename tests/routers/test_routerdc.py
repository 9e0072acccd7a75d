"""Dual contrastive learning."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmroute.routers.routerdc import RouterDC, sample_model_loss, sample_sample_loss

logits = arrays(np.float32, (3, 2, 4), elements=st.floats(-14, 14, width=32))
missing_models = arrays(bool, (3, 1, 4)).filter(lambda missing: (~missing).any(axis=2).all())


@given(logits, arrays(float, (3, 2, 4), elements=st.floats(0.01, 1)), missing_models)
def test_the_contrast_with_models_is_that_of_its_definition(similarity, weights, missing):
    labels = np.where(missing, 0, weights)
    labels /= labels.sum(axis=2, keepdims=True)
    expected = 0.0
    for label, own in zip(labels.reshape(-1, 4), similarity.reshape(-1, 4), strict=True):
        gone = label == 0
        pull, push = np.exp(own), np.where(gone, 0, 1 - label / label.max()) * np.exp(own)
        for model in np.flatnonzero(~gone):
            others = np.delete(push, model).sum()
            expected -= label[model] * np.log(pull[model] / (pull[model] + others)) / 6
    labels[np.broadcast_to(missing, labels.shape)] = np.nan
    loss = sample_model_loss(torch.tensor(similarity), torch.tensor(labels))
    assert float(loss) == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_models_that_are_right_at_lambda_zero_do_not_push_each_other():
    similarity = torch.tensor([[[2.0, -1.0, 0.5]]], requires_grad=True)
    sample_model_loss(similarity, torch.tensor([[[0.5, 0.5, 0.0]]])).backward()
    pulled, pulled_too, pushed = similarity.grad[0, 0]
    assert pulled < 0
    assert pulled_too < 0
    assert pushed > 0


def test_a_missing_outcome_is_neither_pulled_nor_pushed():
    similarity = torch.zeros(1, 1, 3, requires_grad=True)
    sample_model_loss(similarity, torch.tensor([[[1.0, 0.0, np.nan]]])).backward()
    assert similarity.grad[0, 0, 2] == 0
    assert (similarity.grad[0, 0, :2] != 0).all()


@pytest.mark.parametrize("labels", [[1.0], [0.5, 0.5]])
def test_without_a_wrong_model_there_is_no_contrast(labels):
    similarity = torch.zeros(1, 1, len(labels), requires_grad=True)
    loss = sample_model_loss(similarity, torch.tensor([[labels]]))
    loss.backward()
    assert loss == 0
    assert similarity.grad.abs().max() == 0


def test_the_contrast_with_samples_is_that_of_its_definition():
    similarity = torch.randn(2, 5, 5, generator=torch.Generator().manual_seed(0))
    clusters = torch.tensor([0, 1, 0, 0, 2])
    expected = 0.0
    for own in similarity.exp():
        for sample, row in enumerate(own):
            others = row[clusters != clusters[sample]].sum()
            same = [o for o in (0, 2, 3) if o != sample] if sample in (0, 2, 3) else []
            for other in same:
                expected -= float((row[other] / (row[other] + others)).log()) / len(same) / 10
    assert float(sample_sample_loss(similarity, clusters)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("clusters", [[0, 0, 0], [0, 1, 2]])
def test_one_cluster_or_one_of_each_gives_no_contrast(clusters):
    similarity = torch.randn(1, 3, 3).requires_grad_()
    loss = sample_sample_loss(similarity, torch.tensor(clusters))
    loss.backward()
    assert loss == 0
    assert similarity.grad.abs().max() == 0


def test_clusters_come_apart_with_the_weight_of_their_loss():
    generator = np.random.default_rng(0)
    features = np.repeat(np.eye(4), 20, axis=0) + generator.normal(0, 0.3, (80, 4))
    features = features.astype(np.float32)
    utility = (generator.random((80, 3)) < 0.5).astype(float)
    apart = []
    for weight in (0.0, 10.0):
        router = RouterDC(n_clusters=4, cluster_weight=weight, lambdas=[0.0])
        router.fit(features, utility, utility + 1)
        with torch.no_grad():
            projected = router.network_[1].project(torch.from_numpy(features))[:, 0]
        cosines = (projected @ projected.T).unflatten(1, (4, 20)).unflatten(0, (4, 20)).mean((1, 3))
        apart.append(float(cosines.diag().mean() - cosines.mean()))
    assert apart[1] > 1.2 * apart[0]


def test_predicted_utilities_are_around_each_models_mean():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(200, 4)).astype(np.float32)
    utility = (generator.random((200, 3)) < [0.2, 0.5, 0.8]).astype(float)
    u_hat, _ = RouterDC().fit(features, utility, utility + 1).predict(features)
    np.testing.assert_allclose(u_hat.mean(axis=0), utility.mean(axis=0), atol=0.05)
