"""Classifiers on soft labels."""

import numpy as np
import pytest
import torch

from mmroute.catalogue import build
from mmroute.routers import vl_classifiers
from mmroute.routers.soft_labels import GRID, soft_labels
from mmroute.routers.vl_classifiers import MLPVL, LinearVL

NAMES = ("linear_vl", "mlp_vl")
# Two groups of samples; in the first, models 0 and 2 are right, in the second, model 1.
FEATURES = np.repeat(np.eye(2, dtype=np.float32), 40, axis=0)
UTILITY = np.repeat([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]], 40, axis=0)
COST = np.tile([[0.1, 0.2, 0.9]], (80, 1))


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    monkeypatch.setattr(MLPVL, "hidden", (32, 16))


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


def test_the_schedules_are_the_published_ones(monkeypatch, fit_usd):
    seen = []
    train = vl_classifiers.train

    def note(build, loss, n_samples, schedule, **others):
        seen.append((build(), schedule))
        return train(build, loss, n_samples, schedule, **others)

    monkeypatch.undo()
    monkeypatch.setattr(vl_classifiers, "train", note)
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda *_: None)
    for router in (LinearVL(lambdas=[]), MLPVL(lambdas=[], patience=1)):
        fit_usd(router, FEATURES, UTILITY, COST)
    (linear, of_linear), (mlp, of_mlp) = seen
    assert [layer.out_features for layer in linear] == [3]
    assert (of_linear.epochs, of_linear.learning_rate, of_linear.batch_size) == (200, 0.01, 80)
    widths = [layer.out_features for layer in mlp if isinstance(layer, torch.nn.Linear)]
    assert widths == [2048, 1024, 3]
    assert (of_mlp.epochs, of_mlp.learning_rate, of_mlp.batch_size) == (300, 0.001, 80)
    assert (LinearVL().alpha, MLPVL().alpha, MLPVL().batch_size) == (1.0, 1e-4, 1024)
    assert (LinearVL().scale, MLPVL().scale) == (1.0, 100.0)
    assert of_linear.validation_share == of_mlp.validation_share == 1 / 8


def test_each_lambda_learns_its_own_labels(name, fit_usd):
    router = build("routers", name, {"lambdas": [0.0, 1.0, 1e4], "alpha": 0.0, "scale": 1.0})
    fit_usd(router, FEATURES[::4], UTILITY[::4], COST[::4])
    expected = soft_labels(UTILITY[[0, -1]], COST[[0, -1]], router.grid, 1.0)
    np.testing.assert_allclose(router.predict_scores(FEATURES[[0, -1]]), expected, atol=0.15)


def test_a_larger_lambda_prefers_the_cheaper_of_the_correct_models(name, fit_usd):
    router = build("routers", name, {"lambdas": [0.0, 100.0]})
    fit_usd(router, FEATURES[::4], UTILITY[::4], COST[::4])
    assert router.predict_scores(FEATURES)[1].argmax(axis=1).tolist() == [0] * 40 + [1] * 40


def test_the_penalty_is_half_of_alpha_times_the_squared_weights(fit_usd):
    # Without features the best logits b solve softmax(b) - label + alpha b = 0.
    router = LinearVL(lambdas=[], alpha=0.5, epochs=1000)
    fit_usd(router, np.ones((20, 1)), np.tile([[1.0, 0.0]], (20, 1)), np.ones((20, 2)))
    (network,) = router.network_
    bias = network[0].bias.detach()
    torch.testing.assert_close(
        bias.softmax(dim=0) - torch.tensor([1.0, 0.0]) + 0.5 * bias,
        torch.zeros(2),
        atol=1e-3,
        rtol=0,
    )


def test_labels_are_of_costs_in_usd_times_the_scale(name, fit_usd):
    scores = [
        fit_usd(
            build("routers", name, {"epochs": 5, **given}), FEATURES, UTILITY, COST, unit
        ).predict_scores(FEATURES[:1])[1]
        for unit, given in (
            (1.0, {"lambdas": [6.0], "scale": 1.0}),
            (1.0, {"lambdas": [2.0], "scale": 3.0}),
            (0.5, {"lambdas": [2.0], "scale": 6.0}),
        )
    ]
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-5)
    np.testing.assert_allclose(scores[0], scores[2], rtol=1e-5)


def test_the_grid_ascends_from_zero(name):
    assert build("routers", name, {}).grid.tolist() == list(GRID)
    assert build("routers", name, {"lambdas": [3.0, 1.0, 3.0]}).grid.tolist() == [0, 1, 3]


def test_samples_that_no_model_solves_do_not_teach(name, fit_usd):
    # They look like the first group; were they taught, its choice would be the cheapest, 1.
    features = np.concatenate([FEATURES[:10], FEATURES[:30], FEATURES[-8:]])
    utility = np.concatenate([UTILITY[:10], np.zeros((30, 3)), UTILITY[-8:]])
    cost = np.tile([[0.2, 0.1, 0.9]], (48, 1))
    router = build("routers", name, {"lambdas": [1e12]})
    fit_usd(router, features, utility, cost)
    assert (router.predict_scores(FEATURES[:1])[:, 0].argmax(axis=1) != 1).all()


def test_the_epoch_of_the_best_rank_score_on_the_development_samples_stays(monkeypatch, fit_usd):
    ranks = iter([0.3, 0.9, 0.5, 0.1])
    states = []

    def rank_scores(self, rows, scores):
        states.append(scores)
        return np.array([next(ranks)])

    monkeypatch.setattr(vl_classifiers.Lessons, "rank_scores", rank_scores)
    router = fit_usd(LinearVL(lambdas=[], patience=2, epochs=9), FEATURES, UTILITY, COST)
    assert len(states) == 4
    assert states[0].shape == (1, 10, 3)
    held = np.random.default_rng(0).permutation(80)[:10]
    kept = np.exp(states[1] - states[1].max()).astype(float)
    np.testing.assert_allclose(
        router.predict_scores(FEATURES[held]), kept / kept.sum(axis=2, keepdims=True), rtol=1e-5
    )


def test_the_features_are_standardised_by_the_samples_that_teach(name, fit_usd):
    features = np.random.default_rng(1).normal(size=(80, 2)).astype(np.float32)
    utility = np.where(np.arange(80)[:, None] % 3, UTILITY, 0.0)
    router = build("routers", name, {"lambdas": [], "epochs": 1})
    fit_usd(router, features, utility, COST)
    held = np.random.default_rng(0).permutation(80)[:10]
    taught = np.setdiff1d(np.flatnonzero(utility.any(axis=1)), held)
    np.testing.assert_allclose(router.standardiser_.mean, features[taught].mean(axis=0), rtol=1e-5)
    ddof = {"linear_vl": 1, "mlp_vl": 0}[name]
    np.testing.assert_allclose(
        router.standardiser_.scale, features[taught].std(axis=0, ddof=ddof), rtol=1e-5
    )


def test_predicted_utilities_are_the_models_mean_times_the_lift_of_their_scores(name, fit_usd):
    router = fit_usd(build("routers", name, {"alpha": 0.0}), FEATURES[::4], UTILITY[::4], COST[::4])
    u_hat, c_hat = router.predict(FEATURES[[0, -1]])
    np.testing.assert_allclose(u_hat, UTILITY[[0, -1]], atol=0.15)
    np.testing.assert_allclose(c_hat, COST[[0, -1]])


def test_a_missing_outcome_is_no_sign_of_a_wrong_model(name, fit_usd):
    utility = np.ones((40, 2))
    utility[:30, 1] = np.nan
    features = np.ones((40, 2), np.float32)
    router = build("routers", name, {"lambdas": []})
    fit_usd(router, features, utility, np.where(np.isnan(utility), np.nan, 1.0))
    assert router.predict_scores(features[:1])[0, 0, 1] > 0.4


def test_samples_without_outcomes_teach_nothing(name, fit_usd):
    features = np.concatenate([FEATURES, FEATURES])
    utility, cost = (
        np.concatenate([known, np.full_like(known, np.nan)]) for known in (UTILITY, COST)
    )
    scores = [
        fit_usd(build("routers", name, {"epochs": 3}), *given).predict_scores(FEATURES[:1])
        for given in ((features, utility, cost), (FEATURES, UTILITY, COST))
    ]
    np.testing.assert_array_equal(*scores)


def test_the_seed_decides_what_is_drawn(name, fit_usd):
    generator = np.random.default_rng(0)
    features = generator.normal(size=(100, 4)).astype(np.float32)
    utility = (generator.random((100, 3)) < 0.5).astype(float)
    first, second, other = (
        fit_usd(
            build("routers", name, {"random_state": seed, "epochs": 2}),
            features,
            utility,
            utility + 1,
        ).predict_scores(features)
        for seed in (0, 0, 1)
    )
    assert first.tobytes() == second.tobytes()
    assert not np.array_equal(first, other)
