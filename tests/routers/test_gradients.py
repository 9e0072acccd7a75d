"""The one training loop."""

import numpy as np
import pytest
import torch
from torch import nn

from mmroute.routers.gradients import (
    Schedule,
    apply,
    hold_out,
    masked_cross_entropy,
    masked_squared_error,
    seeded,
    train,
)


def line(n_samples, noise=0.0, seed=0):
    generator = np.random.default_rng(seed)
    Z = generator.normal(size=(n_samples, 3)).astype(np.float32)
    return Z, (Z @ [[1.0], [2.0], [0.0]]) + noise * generator.normal(size=(n_samples, 1))


def schedule(**changes):
    return Schedule(
        **{"epochs": 200, "learning_rate": 0.05, "batch_size": 32, "random_state": 0} | changes
    )


def fit(Z, Y, groups=None, **changes):
    loss = masked_squared_error(Z, Y)
    return train(lambda: nn.Linear(3, 1), loss, len(Z), schedule(**changes), groups)


def test_finds_a_line():
    Z, Y = line(100)
    np.testing.assert_allclose(apply(fit(Z, Y), Z), Y, atol=0.05)


def test_missing_targets_are_left_out():
    Z, Y = line(100)
    masked = Y.copy()
    masked[::2] = np.nan
    np.testing.assert_allclose(apply(fit(Z, masked), Z), Y, atol=0.05)


def test_a_batch_without_any_target_changes_nothing():
    Z, Y = line(20)
    nothing = fit(Z, np.full_like(Y, np.nan), epochs=2)
    with seeded(0):
        fresh = nn.Linear(3, 1)
    torch.testing.assert_close(nothing.weight, fresh.weight)


def test_ends_early_when_the_held_out_rows_stop_improving():
    Z, Y = line(60, noise=5.0)
    seen = []
    loss = masked_squared_error(Z, Y)

    def counted(network, rows):
        seen.append(network.training)
        return loss(network, rows)

    train(lambda: nn.Linear(3, 1), counted, len(Z), schedule(patience=3))
    assert 3 < seen.count(False) < 200


def test_without_patience_nothing_is_held_out_and_no_epoch_is_spared():
    Z, Y = line(60, noise=5.0)
    seen = []
    loss = masked_squared_error(Z, Y)

    def counted(network, rows):
        seen.append((network.training, len(rows)))
        return loss(network, rows)

    train(lambda: nn.Linear(3, 1), counted, len(Z), schedule(patience=None, epochs=20))
    assert seen == [(True, 32), (True, 28)] * 20


def test_keeps_the_best_epoch():
    Z, Y = line(60, noise=5.0)
    held = np.random.default_rng(0).permutation(60)[:6]

    def error(network):
        return float(np.square(apply(network, Z[held]) - Y[held]).mean())

    patient, hasty = (fit(Z, Y, patience=patience) for patience in (50, 1))
    assert error(patient) <= error(hasty)


def rows_seen(groups):
    """The rows that are held out and those that are trained on."""
    Z, Y = line(len(groups))
    loss, seen = masked_squared_error(Z, Y), {True: set(), False: set()}

    def noted(network, rows):
        seen[network.training] |= set(rows.tolist())
        return loss(network, rows)

    train(lambda: nn.Linear(3, 1), noted, len(Z), schedule(epochs=1), groups)
    return seen[False], seen[True]


def test_no_group_is_cut_where_rows_are_held_out():
    groups = np.random.default_rng(0).permutation(np.repeat(np.arange(20), 7))
    held, trained = rows_seen(groups)
    assert held | trained == set(range(140))
    assert 14 <= len(held) == 7 * len({groups[row] for row in held}) <= 20
    assert not {groups[row] for row in held} & {groups[row] for row in trained}


def test_where_a_group_is_most_of_the_rows_nothing_is_held_out():
    assert rows_seen(np.zeros(60, int)) == (set(), set(range(60)))


def test_the_last_rows_that_teach_are_not_held_out():
    groups, taught = np.arange(60), np.zeros(60, bool)
    held, _ = hold_out(groups, schedule())
    taught[held[0]] = True
    none, rows = hold_out(groups, schedule(), taught)
    assert (none.tolist(), rows.tolist()) == ([], [held[0]])
    taught[hold_out(groups, schedule())[1][0]] = True
    assert len(hold_out(groups, schedule(), taught)[0]) == len(held) == 6


def test_groups_of_one_row_each_are_no_groups():
    Z, Y = line(60, noise=1.0)
    alone, none = (fit(Z, Y, groups, epochs=3) for groups in (np.arange(60)[::-1], None))
    assert torch.equal(alone.weight, none.weight)


def test_cross_entropy_counts_observed_outcomes_by_their_share_of_right():
    logits = torch.tensor([[0.0, 5.0], [np.log(3.0), 0.0]])
    utility = np.array([[0.25, np.nan], [1.0, 0.0]])
    loss = masked_cross_entropy(np.zeros((2, 1)), utility)(lambda _: logits, torch.arange(2))
    assert float(loss) == pytest.approx((np.log(2) + np.log(4 / 3) + np.log(2)) / 3)


@pytest.mark.parametrize("n_samples", [10, 100])
def test_the_seed_decides_everything_and_leaves_the_rest_alone(n_samples):
    Z, Y = line(n_samples, noise=1.0)
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    networks = [fit(Z, Y, epochs=3, random_state=seed) for seed in (0, 0, 1)]
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(networks[0].weight, networks[1].weight)
    assert not torch.equal(networks[0].weight, networks[2].weight)


def test_rows_that_are_not_taught_change_nothing():
    Z, Y = line(20)
    taught = np.arange(20) < 10
    loss = masked_squared_error(Z, np.where(taught[:, None], Y, 9.0))
    network = train(lambda: nn.Linear(3, 1), loss, 20, schedule(), taught=taught)
    np.testing.assert_allclose(apply(network, Z), Y, atol=0.05)


def test_given_rows_are_held_out_in_place_of_drawn_ones():
    Z, Y = line(60)
    held = np.arange(60) % 4 == 0
    loss, seen = masked_squared_error(Z, Y), {True: set(), False: set()}

    def watched(network, rows):
        seen[network.training].update(rows.tolist())
        return loss(network, rows)

    train(lambda: nn.Linear(3, 1), watched, 60, schedule(epochs=2), held=held)
    assert seen == {True: {*np.flatnonzero(~held)}, False: {*np.flatnonzero(held)}}


def test_the_rate_rises_to_the_whole_and_falls_to_nothing():
    warm = schedule(warm_up=0.2)
    rates = [warm.rate(step, 10) for step in range(11)]
    np.testing.assert_allclose(rates, [0, 1 / 2, *(np.arange(8, -1, -1) / 8)])
    assert schedule().rate(3, 10) == 1


def test_keeps_the_epoch_of_the_best_quality():
    Z, Y = line(60)
    worth = iter([2.0, 1.0, 3.0, 3.0, 0.0])
    states = []

    def quality(network, rows):
        states.append(network.weight.clone())
        return next(worth)

    loss = masked_squared_error(Z, Y)
    network = train(lambda: nn.Linear(3, 1), loss, 60, schedule(patience=2), quality=quality)
    assert len(states) == 5
    torch.testing.assert_close(network.weight, states[2])
