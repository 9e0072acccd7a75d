"""The ensemble: trust in predicted differences between models, measured where they compete."""

import dataclasses

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor

from mmroute.routers import ensemble
from mmroute.routers.ensemble import Ensemble, _forest, _leading_directions


def problem(n_samples, informative, seed=0, width=8):
    """Draw three models; the first two are right on opposite halves, or each at random."""
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(n_samples, width)).astype(np.float32)
    half = features[:, 0] > 0
    chance = np.column_stack([0.5 + 0.4 * np.sign(half - 0.5), 0.5 - 0.4 * np.sign(half - 0.5)])
    if not informative:
        chance[:] = 0.62, 0.55
    chance = np.column_stack([chance, np.full(n_samples, 0.3)])
    utility = (generator.random(chance.shape) < chance).astype(float)
    cost = np.array([0.5, 1.0, 0.1]) * generator.lognormal(0, 0.3, size=chance.shape)
    return features, utility, cost, chance


def chosen(u_hat, chance):
    return np.take_along_axis(chance, u_hat.argmax(axis=1)[:, None], axis=1).mean()


def fit(features, utility, cost, **parameters):
    return Ensemble(n_trees=100, **parameters).fit(features, utility, cost)


def test_chooses_the_model_that_the_features_point_to():
    features, utility, cost, chance = problem(1200, informative=True)
    router = fit(features[:400], utility[:400], cost[:400])
    u_hat, _ = router.predict(features[400:])
    assert chosen(u_hat, chance[400:]) > 0.85
    assert router.specific_weights_.sum() > 0.8


@pytest.mark.parametrize("seed", range(3))
def test_keeps_to_the_best_model_where_the_features_tell_nothing(seed):
    features, utility, cost, chance = problem(1600, informative=False, seed=seed)
    router = fit(features[:800], utility[:800], cost[:800])
    u_hat, _ = router.predict(features[800:])
    assert chosen(u_hat, chance[800:]) > 0.615


def test_predicts_how_hard_a_sample_is_even_where_the_models_do_not_differ():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(1000, 6)).astype(np.float32)
    chance = np.repeat(np.where(features[:, :1] > 0, 0.9, 0.2), 3, axis=1)
    utility = (generator.random(chance.shape) < chance).astype(float)
    router = fit(features[:500], utility[:500], np.ones((500, 3)))
    u_hat, _ = router.predict(features[500:])
    easy = chance[500:, 0] > 0.5
    assert u_hat[easy].mean() - u_hat[~easy].mean() > 0.4
    assert np.ptp(u_hat, axis=1).mean() < 0.05


def test_differences_between_models_that_nobody_would_choose_do_not_decide_the_trust():
    values = []
    for seed in range(4):
        generator = np.random.default_rng(seed)
        features = generator.normal(size=(1500, 6)).astype(np.float32)
        # Six weak models differ from each other, and plainly so; the two good ones do not,
        # and trust earned by the weak ones would mistake their noise for a difference.
        chance = np.tile([0.75, 0.70] + [0.25] * 6, (1500, 1))
        chance[:, 2:] += 0.2 * np.sign(features[:, :1]) * np.tile([1, -1], 3)
        utility = (generator.random(chance.shape) < chance).astype(float)
        router = fit(features[:500], utility[:500], np.ones((500, 8)))
        values.append(chosen(router.predict(features[500:])[0], chance[500:]))
    assert np.mean(values) > 0.744


def test_missing_outcomes_do_not_dilute_what_was_observed():
    generator = np.random.default_rng(2)
    half = generator.random((800, 1)) < 0.5
    features = np.repeat(half, 5, axis=1).astype(np.float32)
    utility, cost = np.where(half, [1.0, 0.0], [0.0, 1.0]), np.where(half, 1.0, 0.1) * [1.0, 2.0]
    gone = generator.random(utility.shape) < 0.6
    seen = (np.where(gone, np.nan, matrix) for matrix in (utility, cost))
    router = fit(features, *seen)
    u_hat, c_hat = router.predict(features)
    assert chosen(u_hat, utility) == 1
    np.testing.assert_allclose(c_hat, cost, rtol=0.15)
    for by_forest in router.utility_.predict(features)[:2]:
        np.testing.assert_allclose(by_forest, utility - 0.5, atol=0.05)


def test_samples_without_any_outcome_change_nothing():
    features, utility, cost, _ = problem(120, informative=True)
    holes = np.insert(np.arange(120), [0, 50, 120], -1)
    padded = [np.where(holes[:, None] < 0, np.nan, matrix[holes]) for matrix in (utility, cost)]
    plain = fit(features, utility, cost).predict(features)
    with_holes = fit(features[holes], *padded).predict(features)
    for first, second in zip(plain, with_holes, strict=True):
        np.testing.assert_array_equal(first, second)


def test_costs_follow_the_features_and_keep_their_mean():
    generator = np.random.default_rng(3)
    features = generator.normal(size=(1500, 4)).astype(np.float32)
    scale = np.exp(1.5 * features[:, :1]) * [0.01, 1.0]
    cost = scale * generator.lognormal(0, 0.5, size=scale.shape)
    utility = (generator.random(scale.shape) < 0.5).astype(float)
    router = fit(features[:1000], utility[:1000], cost[:1000])
    _, c_hat = router.predict(features[1000:])
    for model in range(2):
        correlation = np.corrcoef(np.log(c_hat[:, model]), np.log(scale[1000:, model]))[0, 1]
        assert correlation > 0.9
    np.testing.assert_allclose(c_hat.mean(axis=0), cost[1000:].mean(axis=0), rtol=0.25)


def test_a_free_model_stays_free_and_a_free_call_does_not_break_the_logarithm():
    features, utility, cost, _ = problem(200, informative=True)
    cost[:, 2] = 0
    cost[::7, 0] = 0
    _, c_hat = fit(features, utility, cost).predict(features)
    assert (c_hat[:, 2] == 0).all()
    assert np.isfinite(c_hat).all()
    assert c_hat[:, 0].mean() == pytest.approx(cost[:, 0].mean(), rel=0.3)


@pytest.mark.parametrize("n_samples", [1, 2, 3])
def test_fits_fewer_samples_than_folds(n_samples):
    features, utility, cost, _ = problem(n_samples, informative=True)
    for prediction in fit(features, utility, cost).predict(features):
        assert np.isfinite(prediction).all()


def test_the_seed_decides_the_trees():
    features, utility, cost, _ = problem(150, informative=True)
    one, other = (
        fit(features, utility, cost, random_state=seed).predict(features)[0] for seed in (0, 1)
    )
    assert (one != other).any()
    np.testing.assert_allclose(one, other, atol=0.25)


def grown(n_outcomes, seed=0):
    """Trees of ours, those of scikit-learn, and 700 samples that neither has seen."""
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(900, 5)).astype(np.float32)
    outcomes = np.sin(features[:, :1] * np.arange(1, n_outcomes + 1))
    parameters = {"n_estimators": 20, "min_samples_leaf": 2, "random_state": 3}
    trees = ExtraTreesRegressor(**parameters)
    trees.fit(features[:200], outcomes[:200] if n_outcomes > 1 else outcomes[:200, 0])
    return _forest(features[:200], outcomes[:200], **parameters), trees, features[200:]


@pytest.mark.parametrize("n_outcomes", [1, 3])
def test_trees_that_are_walked_at_once_end_where_each_alone_does(n_outcomes, monkeypatch):
    forest, trees, unseen = grown(n_outcomes)
    expected = trees.predict(unseen).reshape(-1, n_outcomes)
    np.testing.assert_allclose(forest.predict(unseen), expected, rtol=0, atol=1e-6)
    whole = forest.predict(unseen)
    monkeypatch.setattr(ensemble, "_WALKS", 60)
    np.testing.assert_array_equal(forest.predict(unseen), whole)
    assert forest.predict(unseen[:0]).shape == (0, n_outcomes)


def test_nodes_that_lead_back_are_no_tree():
    forest, _, unseen = grown(1)
    circle = dataclasses.replace(forest, child=np.zeros_like(forest.child))
    with pytest.raises(ValueError, match="nodes lead back"):
        circle.predict(unseen)


def test_trees_that_share_a_long_chain_of_nodes_are_refused_soon():
    chain = np.arange(20_000)
    following = np.minimum(chain + 1, chain[-1])
    forest = ensemble._Forest(
        roots=np.zeros_like(chain),
        feature=np.zeros_like(chain),
        threshold=np.zeros(len(chain)),
        child=np.column_stack([following, following]),
        value=np.zeros((len(chain), 1), np.float32),
    )
    with pytest.raises(ValueError, match="more levels than their nodes can make"):
        forest.predict(np.zeros((1, 1), np.float32))
    alone = dataclasses.replace(forest, roots=np.zeros(1, int))
    np.testing.assert_array_equal(alone.predict(np.zeros((1, 1), np.float32)), [[0.0]])


def test_leading_directions_are_those_in_which_models_vary_together():
    generator = np.random.default_rng(0)
    groups = np.array([[1, 1, 0, 0, 0, 0], [0, 0, 1, -1, 0, 0], [0, 0, 0, 0, 3, 4]])
    deviation = generator.normal(size=(4000, 3)) @ groups
    deviation[generator.random(deviation.shape) < 0.3] = np.nan
    unit = groups / np.linalg.norm(groups, axis=1, keepdims=True)
    np.testing.assert_allclose(_leading_directions(deviation), unit.T @ unit, atol=0.05)


def test_what_models_have_in_common_is_told_from_all_of_them():
    errors = []
    for n_directions in (0, 1):
        generator = np.random.default_rng(1)
        features = generator.normal(size=(1200, 30)).astype(np.float32)
        # Twelve models are of two kinds: the features tell which kind a sample is for.
        kind = np.where(features[:, :3].sum(axis=1, keepdims=True) > 0, 1, -1)
        chance = 0.5 + 0.2 * kind * np.tile([1, -1], 6)
        utility = (generator.random(chance.shape) < chance).astype(float)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ensemble, "N_DIRECTIONS", n_directions)
            router = fit(features[:150], utility[:150], np.ones((150, 12)))
        u_hat, _ = router.predict(features[150:])
        errors.append(((u_hat - chance[150:]) ** 2).mean())
    assert errors[1] < 0.97 * errors[0]
