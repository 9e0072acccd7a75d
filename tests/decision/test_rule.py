"""The rule's laws: what is advised, and that nothing but what it should decides it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmroute.decision.rule import (
    PAID,
    Foresight,
    Labels,
    Limit,
    Mixture,
    Spending,
    Target,
    advise,
)
from mmroute.evaluation.curve import steps_of, training_steps
from mmroute.predictions import Predictions

N, K = 200, 4
SEEDS = st.integers(0, 10**6)


def outcomes(seed, n=N, n_models=K, missing=0.0):
    """Draw labels, each sample a group of its own, of models that cost the more the better."""
    generator = np.random.default_rng(seed)
    skill = np.sort(generator.random(n_models))
    utility = (generator.random((n, n_models)) < skill).astype(float)
    price = np.geomspace(0.001, 0.1, n_models)
    cost = price * generator.lognormal(0, 0.5, (n, 1)) * generator.lognormal(0, 0.3, (n, n_models))
    gone = generator.random((n, n_models)) < missing
    gone[np.arange(n), generator.integers(n_models, size=n)] = False
    utility[gone] = cost[gone] = np.nan
    return Labels(utility, cost, np.arange(n), 4 * n)


def predicted(labels, seed=0, noise=0.3, **more):
    """Predict the truth with noise."""
    generator = np.random.default_rng(seed)
    ids = pd.Series([str(number) for number in range(len(labels.utility))])
    u_hat = np.nan_to_num(labels.utility, nan=0.5)
    u_hat = u_hat + generator.normal(0, noise, u_hat.shape)
    c_hat = np.nan_to_num(labels.cost) * generator.lognormal(0, 0.2, u_hat.shape)
    return Predictions(ids, u_hat[None], c_hat[None], **more)


def folds(labels):
    return np.arange(len(labels.utility)) % 5


def advised(labels, predictions, asked, policy="lambda"):
    spending = Spending.of(labels, predictions, 1.0, policy)
    return advise(labels, folds(labels), spending, asked)


@settings(deadline=None, max_examples=25)
@given(SEEDS, st.floats(0.05, 1.0), st.booleans())
def test_a_mixture_is_the_best_of_all_pairs_that_surely_keep_the_limit(seed, amount, paired):
    labels = outcomes(seed)
    limit = Limit(amount if paired else amount * labels.mean_cost.max(), paired)
    own = limit.amount * labels.cost[:, labels.best] if paired else np.full(N, limit.amount)
    best = -np.inf
    for first in range(K):
        for second in range(K):
            for share in np.linspace(0, 1, 101):
                over = (1 - share) * labels.cost[:, first] + share * labels.cost[:, second] - own
                chance = np.square(labels.cost[:, first] - labels.cost[:, second]).mean()
                variance = over.var() / N * 1.25 + share * (1 - share) * chance / (4 * N)
                if over.mean() + limit.margin * np.sqrt(variance) <= 0:
                    best = max(best, Mixture(first, second, share, True).mean(labels.mean_utility))
    mixture = labels.mixture(limit)
    assert mixture.kept == (best > -np.inf)
    if mixture.kept:
        # No grid of shares finds a better one; it is at least as good as the grid's.
        assert best - 1e-9 <= mixture.mean(labels.mean_utility) <= best + 0.011
    else:
        assert (mixture.first, mixture.share) == (labels.cheapest, 0)


@settings(deadline=None, max_examples=25)
@given(SEEDS)
def test_more_money_never_buys_a_worse_mixture_or_a_cheaper_point(seed):
    labels = outcomes(seed)
    spending = Spending.of(labels, predicted(labels), 1.0, "lambda")
    limits = [Limit(share, True) for share in (0.05, 0.1, 0.2, 0.5, 0.8, 1.0)]
    kept = [mixture for mixture in map(labels.mixture, limits) if mixture.kept]
    assert (np.diff([mixture.mean(labels.mean_utility) for mixture in kept]) >= -1e-12).all()
    points = [spending.at(limit, labels.usd(limit)) for limit in limits]
    reached = [point for point in points if point is not None]
    assert points[: len(points) - len(reached)] == [None] * (len(points) - len(reached))
    assert (np.diff(reached) <= 0).all()


@settings(deadline=None, max_examples=15)
@given(SEEDS, st.sampled_from(["lambda", "budget"]))
def test_the_unit_of_money_does_not_matter(seed, policy):
    labels = outcomes(seed, missing=0.1)
    asked = [Limit(0.3, True), Limit(0.05, False), Target(0.95, True)]
    dearer = replace(labels, cost=labels.cost * 64)
    told = predicted(labels)
    again = advised(
        dearer,
        replace(told, c_hat=told.c_hat * 64),
        [Limit(0.3, True), Limit(0.05 * 64, False), Target(0.95, True)],
        policy,
    )
    for one, other in zip(advised(labels, told, asked, policy), again, strict=True):
        assert (one.routed, one.point, one.mixture.kept) == (
            other.routed,
            other.point,
            other.mixture.kept,
        )
        assert (one.mixture.first, one.mixture.second) == (
            other.mixture.first,
            other.mixture.second,
        )
        assert one.mixture.share == pytest.approx(other.mixture.share)


@settings(deadline=None, max_examples=15)
@given(SEEDS, st.floats(0.0, 3.0))
def test_a_router_is_advised_only_where_it_gains_on_the_mixture_chosen_without_the_fold(
    seed, noise
):
    labels = outcomes(seed)
    told = predicted(labels, seed, noise)
    spending = Spending.of(labels, told, 1.0, "lambda")
    limit = Limit(0.4, True)
    (advice,) = advise(labels, folds(labels), spending, [limit])
    if advice.routed:
        _, steps = training_steps(told, labels.utility, "lambda")
        choice = steps.choices(float(spending.threshold[advice.point]))
        reached = 0.0
        for fold in range(5):
            held = folds(labels) == fold
            rest = Labels(
                labels.utility[~held], labels.cost[~held], np.arange((~held).sum()), 4 * N
            )
            reached += held.sum() * rest.mixture(limit).mean(labels.utility[held].mean(axis=0)) / N
        assert labels.utility[np.arange(N), choice].mean() > reached


def test_what_is_spent_and_unforeseen_is_what_the_choices_say():
    labels = replace(outcomes(1, missing=0.2), group=np.arange(N) // 4)
    told = predicted(labels, overhead=np.full(N, 0.002))
    spending = Spending.of(labels, told, 1.0, "lambda")
    kept, steps = training_steps(told, labels.utility, "lambda")
    assert len(kept) == N
    limit, rows = Limit(0.5, True), np.arange(N)
    best = labels.cost[:, labels.best] - labels.mean_cost[labels.best]
    for point in (0, len(spending.threshold) // 2, len(spending.threshold) - 1):
        choice = steps.choices(float(spending.threshold[point]))
        paid = labels.cost[rows, choice] + 0.002
        assert spending.means[point, PAID] == pytest.approx(paid.mean())
        errors = []
        for foreseen in (labels.mean_cost[choice], told.c_hat[0][rows, choice]):
            over = paid - paid.sum() / foreseen.sum() * foreseen - 0.5 * np.nan_to_num(best)
            by_group = over.reshape(-1, 4).sum(axis=1)
            errors.append(np.sqrt(1.25 * np.square(by_group).sum()) / N)
        assert spending.reserve(limit)[point] == pytest.approx(limit.margin * max(errors))


def test_variants_of_a_question_count_as_one():
    labels = replace(outcomes(2, n=50), n_queries=10**9)
    tens = (matrix.repeat(10, axis=0) for matrix in (labels.utility, labels.cost))
    copies = Labels(*tens, np.arange(50).repeat(10), 10**9)
    limit = Limit(0.5, True)
    assert copies.mixture(limit).share == pytest.approx(labels.mixture(limit).share)
    alone = replace(copies, group=np.arange(500))
    assert alone.mixture(limit).mean(labels.mean_cost) > copies.mixture(limit).mean(
        labels.mean_cost
    )


@settings(deadline=None, max_examples=15)
@given(SEEDS, st.sampled_from(["lambda", "budget"]))
def test_on_queries_the_router_goes_as_far_as_is_foreseen(seed, policy):
    labels, queries = outcomes(seed), outcomes(seed + 1)
    told = predicted(queries)
    steps = steps_of(told, 0, np.isfinite(queries.utility), policy)
    foresight = Foresight.of(steps, labels.mean_cost, told.c_hat[0], policy)
    rows = np.arange(N)

    def foreseen(parameter):
        choice = steps.choices(parameter)
        return max(1.1 * labels.mean_cost[choice].mean(), 0.9 * told.c_hat[0][rows, choice].mean())

    parameter = foresight.keeping(0.03, np.array([1.1, 0.9]), 0.001)
    if parameter is None:
        assert min(map(foreseen, foresight.threshold)) + 0.001 > 0.03
    else:
        assert foreseen(parameter) + 0.001 <= 0.03 * (1 + 1e-9)
        dearer = foresight.threshold[: list(foresight.threshold).index(parameter)]
        assert all(foreseen(one) + 0.001 > 0.03 for one in dearer)
    listed = float(labels.mean_cost[steps.choices(float(foresight.threshold[3]))].mean())
    spent = labels.mean_cost[steps.choices(foresight.spending(listed))].mean()
    assert spent >= listed * (1 - 1e-9)


@pytest.mark.parametrize("share", [0.9, 1.0])
def test_a_blend_surely_reaches_its_target_and_is_the_cheapest(share):
    labels = outcomes(4)
    blend = labels.blend(Target(share, True))
    assert blend.kept
    assert blend.first == labels.best
    lead = blend.mean(labels.mean_utility) - share * labels.mean_utility[labels.best]
    assert lead >= -1e-9
    if share == 1.0:
        assert blend.mean(labels.mean_cost) <= labels.mean_cost[labels.best]
    else:
        assert blend.mean(labels.mean_cost) < labels.mean_cost[labels.best]
    assert not labels.blend(Target(1.1, True)).kept
    assert not labels.blend(Target(1.0, False)).kept


def test_two_models_that_hardly_differ_are_not_taken_for_equals():
    """One of thirty differs: its error by the sample alone would be next to nothing."""
    utility = np.ones((30, 2))
    labels = Labels(utility, np.tile([1.0, 2.0], (30, 1)), np.arange(30), 1000)
    assert labels.best == 0
    dearer = Labels(np.delete(utility, 0, 0), np.tile([2.0, 1.0], (29, 1)), np.arange(29), 1000)
    flawed = replace(
        dearer, utility=dearer.utility * np.where(np.arange(29)[:, None] == 0, [1, 0], 1)
    )
    assert flawed.blend(Target(0.95, True)).share < 1


@pytest.mark.parametrize(
    "labels",
    [
        outcomes(0, n_models=1),
        replace(outcomes(0), utility=np.ones((N, K))),
        replace(outcomes(0), cost=np.zeros((N, K))),
        replace(outcomes(0), utility=np.ones((N, K)), cost=np.ones((N, K))),
        outcomes(0, n=5),
        outcomes(0, n=1),
        outcomes(3, missing=0.7),
    ],
    ids=["one model", "equal models", "free models", "all equal", "five", "one", "missing"],
)
@pytest.mark.parametrize("policy", ["lambda", "budget"])
def test_what_is_degenerate_has_an_answer(labels, policy):
    asked = [
        Limit(0.3, True),
        Limit(1.0, True),
        Limit(0.01, False),
        Target(0.9, True),
        Target(1.0, False),
    ]
    with np.errstate(all="raise"):
        for one, advice in zip(
            asked, advised(labels, predicted(labels), asked, policy), strict=True
        ):
            assert 0 <= advice.mixture.share <= 1
            assert advice.routed <= (advice.point is not None)
            if isinstance(one, Limit) and advice.mixture.kept:
                assert advice.mixture.mean(labels.mean_cost) <= labels.usd(one) * (1 + 1e-9)


def test_a_router_with_a_grid_has_its_own_points():
    labels = outcomes(5)
    told = predicted(labels)
    grid = np.array([0.0, 1.0, 30.0])
    scores = np.stack([told.u_hat[0] - each * told.c_hat[0] for each in grid])
    spending = Spending.of(labels, replace(told, grid=grid, scores=scores), 1.0, "lambda")
    assert set(spending.threshold) <= set(grid)
    (advice,) = advise(labels, folds(labels), spending, [Limit(0.5, True)])
    assert advice.point is None or spending.threshold[advice.point] in grid
    # Its grid is of lambdas, whatever the run's policy is.
    under_budget = Spending.of(labels, replace(told, grid=grid, scores=scores), 1.0, "budget")
    np.testing.assert_allclose(under_budget.sums, spending.sums)
    np.testing.assert_array_equal(under_budget.threshold, spending.threshold)


def test_points_of_every_policy_are_numbers_that_a_card_can_hold():
    labels = outcomes(5)
    assert np.isfinite(Spending.of(labels, predicted(labels), 1.0, "budget").threshold).all()


def test_free_models_cost_nothing_and_never_less():
    labels = outcomes(3)
    labels = replace(labels, cost=labels.cost * np.array([0.0, 0.0, 1.0, 1.0]))
    spending = Spending.of(labels, predicted(labels), 1.0, "lambda")
    assert (spending.means[:, PAID] >= 0).all()
    assert spending.means[-1, PAID] == 0
    assert spending.ratios[-1].tolist() == [1, 1]


def test_a_router_that_costs_what_the_only_model_does_is_not_cheaper():
    generator = np.random.default_rng(0)
    utility, cost = (generator.random((83, 1)) < 0.5).astype(float), generator.random((83, 1))
    for factor in np.linspace(0.1, 1, 20):
        labels = Labels(utility, factor * cost, np.arange(83), 83)
        assert not any(
            advice.routed
            for advice in advised(labels, predicted(labels), [Target(0.5, True), Limit(2.0, True)])
        )


@settings(deadline=None, max_examples=10)
@given(SEEDS)
def test_as_many_labels_as_it_says_settle_whether_an_accuracy_is_cheaper(seed):
    labels, target = outcomes(seed), Target(0.97, True)
    told = predicted(labels, noise=1.0)
    usd = float(labels.mean_cost[labels.best])

    def repeated(times):
        """The same outcomes of so many times the labels and queries."""
        many = np.tile(np.arange(N), times)
        again = Labels(labels.utility[many], labels.cost[many], np.arange(N * times), 4 * N * times)
        ids = pd.Series(map(str, range(len(many))))
        own = replace(told.take(many), sample_ids=ids)
        return Spending.of(again, own, 1.0, "lambda")

    one = repeated(1)
    needed = one.settling(target, usd)
    assert needed <= one.settling(target, usd / 2)
    if np.isinf(needed):
        lead = one.means @ np.array([0, 0, 0, 0, 1, -0.97, 0])
        assert (lead[one.means[:, PAID] < usd] < 0.01).all()
        return
    times = int(np.ceil(1.5 * needed / N))
    if needed > N and times < 60:
        point = repeated(times).reaching(target)
        assert repeated(times).means[point, PAID] < usd


def test_a_model_surely_answers_within_its_mean_latency_and_its_margin():
    latency = np.array([[1.0, 4, 2, 1, np.nan], [3, 4, np.nan, 1, np.nan]] * 4)
    latency[2:, 2] = np.nan
    utility = np.ones((8, 5))
    labels = Labels(utility, utility, np.arange(8), 8, latency=latency)
    np.testing.assert_array_equal(labels.mean_latency, [2, 4, 2, 1, np.nan])
    # 8 values of variance 8 / 7, and as many queries.
    bound = 2 + 2.33 * np.sqrt(2 * 8 / 7 / 8)
    assert labels.within(bound).tolist() == [True, False, False, True, False]
    assert labels.within(bound - 1e-6).tolist() == [False, False, False, True, False]
    assert labels.within(4).tolist() == [True, True, False, True, False]
    fast, others = labels.candidates(bound, ["a", "b", "c", "d", "e"])
    assert fast.tolist() == [True, False, False, True, False]
    assert others == "b (4 s), c (2 s), e (no latency known)"
    fast, others = labels.candidates(0.5, ["a", "b", "c", "d", "e"])
    assert fast.tolist() == [False, False, False, True, False]
    assert others.startswith("a (2 s), b (4 s)")
