"""Shrinkage: noise is given up, signal is kept, and no fold sees its own outcomes."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mmroute.evaluation.shrinkage import RHOS, Shrinkage, choose, shrink_crossfit
from mmroute.outcomes.splits import fold_of
from mmroute.predictions import Predictions


def problem(n_samples=400, signal=1.0, seed=0):
    """Return predictions of a cheap and a dear model that tell ``signal`` of the truth."""
    generator = np.random.default_rng(seed)
    hard = generator.random(n_samples) < 0.5
    chance = np.column_stack([np.where(hard, 0.1, 0.9), np.full(n_samples, 0.7)])
    utility = (generator.random(chance.shape) < chance).astype(float)
    cost = np.tile([0.1, 1.0], (n_samples, 1))
    noise = generator.normal(0, 0.4, chance.shape)
    u_hat = signal * chance + (1 - signal) * (chance.mean(axis=0) + noise)
    ids = pd.Series([f"s{index}" for index in range(n_samples)])
    return Predictions(ids, u_hat[None], cost[None]), utility, cost


def test_pure_noise_is_given_up_and_the_truth_is_kept():
    assert choose(*problem(signal=0.0), "lambda").rho <= 0.2
    assert choose(*problem(signal=1.0), "lambda").rho >= 0.3


@pytest.mark.parametrize("rho", [0.0, 0.5, 1.0])
def test_rho_moves_predictions_from_the_means_to_themselves(rho):
    predictions, utility, _ = problem()
    means = utility.mean(axis=0)
    shrunk = Shrinkage(rho, means).apply(predictions)
    np.testing.assert_allclose(shrunk.u_hat, (1 - rho) * means + rho * predictions.u_hat)
    np.testing.assert_array_equal(shrunk.c_hat, predictions.c_hat)


def test_with_nothing_left_every_sample_gets_the_best_model():
    predictions, utility, _ = problem()
    shrunk = Shrinkage(0.0, utility.mean(axis=0)).apply(predictions)
    assert (shrunk.u_hat[0].argmax(axis=1) == utility.mean(axis=0).argmax()).all()


def test_of_equal_ones_the_smallest_rho_is_chosen():
    predictions, utility, cost = problem()
    constant = np.tile(utility.mean(axis=0), (len(utility), 1))
    known_by_mean = Predictions(predictions.sample_ids, constant[None], predictions.c_hat)
    assert choose(known_by_mean, utility, cost, "lambda").rho == RHOS[0]


def test_a_policy_takes_the_place_of_a_grid():
    predictions, utility, cost = problem()
    scores = np.stack([predictions.u_hat[0], 1 - predictions.c_hat[0]])
    on_grid = replace(predictions, grid=np.array([0.0, 1.0]), scores=scores)
    assert choose(on_grid, utility, cost, "lambda").rho == (
        choose(predictions, utility, cost, "lambda").rho
    )
    shrunk = shrink_crossfit(on_grid, on_grid.sample_ids, utility, cost, "lambda")
    assert (shrunk.grid, shrunk.scores) == (None, None)


@pytest.mark.parametrize("policy", ["lambda", "budget"])
def test_a_fold_does_not_see_its_own_outcomes(policy):
    predictions, utility, cost = problem()
    held = fold_of(predictions.sample_ids) == 2
    other = np.where(held[:, None], 1 - utility, utility)
    before = shrink_crossfit(predictions, predictions.sample_ids, utility, cost, policy)
    after = shrink_crossfit(predictions, predictions.sample_ids, other, cost, policy)
    np.testing.assert_array_equal(before.u_hat[:, held], after.u_hat[:, held])


def test_missing_outcomes_and_predictions_are_left_out():
    predictions, utility, cost = problem()
    gone = np.random.default_rng(1).random(utility.shape) < 0.3
    gone[:, 0] &= ~gone[:, 1]
    utility[gone] = cost[gone] = np.nan
    predictions.u_hat[0][5] = np.nan
    shrinkage = choose(predictions, utility, cost, "lambda")
    assert np.isfinite(shrinkage.means).all()
    shrunk = shrink_crossfit(predictions, predictions.sample_ids, utility, cost, "lambda")
    assert np.isfinite(shrunk.u_hat[0][6:]).all()
