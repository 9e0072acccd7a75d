"""The cosine classifier."""

import math

import numpy as np
import pytest
import torch

from mmroute.routers.cosinecls import CosineCls, CosineHead, sample_model_loss

FEATURES = np.repeat(np.eye(2, dtype=np.float32), 40, axis=0)
COST = np.tile(np.arange(1.0, 8.0), (80, 1))
# Of seven models the dear ones are right on the first group, and the cheap ones on the second.
UTILITY = np.repeat([[0.0, 0, 0, 0, 1, 1, 1], [1.0, 1, 1, 0, 0, 0, 0]], 40, axis=0)


def test_learns_which_models_are_right(fit_usd):
    router = CosineCls(lambdas=[], learning_rate=0.01)
    # So few that none is held out, to stop by before the labels are learned.
    fit_usd(router, FEATURES[::2], UTILITY[::2], COST[::2])
    scores = router.predict_scores(FEATURES[[0, -1]])[0]
    assert UTILITY[[0, -1], scores.argmax(axis=1)].tolist() == [1, 1]
    # What counts is the sum over the positives, not each of them.
    assert ((scores * UTILITY[[0, -1]]).sum(axis=1) > 0.95).all()


def test_the_loss_contrasts_the_3_largest_labels_with_all():
    logits = torch.arange(7.0)[None, None]
    labels = torch.tensor([[[0.1, 0.3, 0.2, 0.05, 0.0, 0.35, 0.0]]])
    pulled = sum(math.exp(model) for model in (1, 2, 5))
    expected = -math.log(pulled / sum(math.exp(model) for model in range(7)))
    assert float(sample_model_loss(logits, labels)) == pytest.approx(expected, rel=1e-5)


def test_of_equal_labels_the_first_are_positives():
    logits = torch.arange(7.0)[None, None]
    labels = torch.tensor([[[0.0, 0, 0, 0, 0, 0, 1.0]]])
    pulled = sum(math.exp(model) for model in (0, 1, 6))
    expected = -math.log(pulled / sum(math.exp(model) for model in range(7)))
    assert float(sample_model_loss(logits, labels)) == pytest.approx(expected, rel=1e-5)


def test_a_missing_outcome_is_neither_pulled_nor_pushed():
    logits = torch.zeros(1, 1, 8, requires_grad=True)
    labels = torch.tensor([[[0.5, 0.3, 0.2, 0, 0, 0, np.nan, np.nan]]])
    sample_model_loss(logits, labels).backward()
    assert (logits.grad[0, 0, :3] < 0).all()
    assert (logits.grad[0, 0, 3:6] > 0).all()
    assert (logits.grad[0, 0, 6:] == 0).all()


@pytest.mark.parametrize("labels", [[1.0], [0.5, 0.5], [1.0, 0.0, 0.0]])
def test_with_three_models_or_fewer_there_is_no_contrast(labels):
    logits = torch.zeros(1, 1, len(labels), requires_grad=True)
    loss = sample_model_loss(logits, torch.tensor([[labels]]))
    loss.backward()
    assert loss == 0
    assert logits.grad.abs().max() == 0


def test_logits_are_cosines_times_a_learned_scale_that_begins_at_one_over_0_07():
    head = CosineHead(3, 2, 4, projection=5)
    with torch.no_grad():
        head.models *= 9
        features = torch.randn(6, 3)
        logits, projected = head(features), head.projections(features)
    assert logits.shape == (6, 2, 4)
    for sample, grid, model in ((0, 0, 0), (5, 1, 3)):
        cosine = torch.cosine_similarity(projected[sample, grid], head.models[grid, model], dim=0)
        torch.testing.assert_close(logits[sample, grid, model], cosine.detach() / 0.07)
    assert head.logit_scale.requires_grad


def test_the_lambdas_share_no_weight():
    head = CosineHead(3, 2, 4, projection=5)
    head(torch.randn(6, 3))[:, 0].sum().backward()
    per_lambda = head.projections[0].weight.grad.unflatten(0, (2, 5))
    assert per_lambda[0].abs().max() > 0
    assert per_lambda[1].abs().max() == 0
    assert head.models.grad[1].abs().max() == 0
    assert head.logit_scale.grad[1] == 0
