"""Metrics of one policy by hand-worked examples, and what must not change them."""

from functools import reduce
from operator import add

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from mmroute.errors import InputError
from mmroute.evaluation import policy_metrics
from mmroute.evaluation.metrics import single_models
from mmroute.evaluation.policy_metrics import (
    auroc,
    binned_auroc,
    calibration_sums,
    dearest_models,
    equal_mass_cuts,
    of_chosen,
    policy_sums,
)
from mmroute.rank_score import cost_range, rank_score

GONE = np.nan
UTILITY = np.array([[0.5, 1, 1], [0, 0.25, GONE], [0, 0, 0], [0.8, GONE, 0.6]])
COST = np.array([[1, 2, 4], [1, 2, GONE], [1, 2, 4], [1, GONE, 6]])
U_HAT = np.array([[0.3, 0.2, 0.9], [0.4, 0.3, 0.2], [0.0, 0.1, 0.0], [0.6, 0.5, 0.4]])
CHOICE = np.array([2, 0, 1, 0])
"""Pays 4, 1, 2, 1 for 1, 0, 0, 0.8; the cheapest of the best pay 2, 2, 1, 1 for 1, 0.25, 0, 0.8."""

ONCE = np.ones((1, 4), dtype=np.uint8)

laws = settings(max_examples=40, deadline=None)
seeds = st.integers(0, 10_000)


def sums_of(choice, u_hat, utility, cost, weights):
    predicted, dearest = of_chosen(u_hat, choice), dearest_models(single_models(utility, cost))
    cuts = equal_mass_cuts(predicted)
    return policy_sums(choice, predicted, utility, cost, weights, cuts, dearest)


def measure_policy(*policy):
    return sums_of(*policy).metrics()


def measured(metric, weights=ONCE):
    return measure_policy(CHOICE, U_HAT, UTILITY, COST, np.asarray(weights))[metric].tolist()


def test_accuracy_and_cost_are_means_of_what_was_chosen():
    assert measured("accuracy") == [pytest.approx(1.8 / 4)]
    assert measured("cost") == [2]


def test_routing_accuracy_is_the_share_of_the_possible_where_anything_is_possible():
    assert measured("routing_accuracy") == [pytest.approx((1 / 1 + 0 / 0.25 + 0.8 / 0.8) / 3)]


def test_optimal_selection_is_the_share_of_choices_of_the_cheapest_of_the_best():
    # The first is as good but dearer, the second worse, the third a failure like the cheapest one.
    assert measured("optimal_selection") == [1 / 4]


def test_a_model_as_good_and_as_cheap_as_the_optimal_one_is_optimal_too():
    for choice in (0, 1):
        result = measure_policy(
            np.array([choice]), np.ones((1, 3)), np.ones((1, 3)), np.array([[2, 2, 3]]), ONCE[:, :1]
        )
        assert result["optimal_selection"].tolist() == [1]


def test_optimal_cost_is_the_optimal_policys_cost_over_the_routers():
    assert measured("optimal_cost") == [pytest.approx((2 + 2 + 1 + 1) / (4 + 1 + 2 + 1))]


def test_optimal_accuracy_is_the_routers_utility_over_the_oracles():
    assert measured("optimal_accuracy") == [pytest.approx(1.8 / (1 + 0.25 + 0 + 0.8))]


def test_rci_is_the_share_of_choices_that_are_worse_or_needlessly_the_most_expensive():
    # The first is needlessly the dearest and the second worse; the third, needlessly dear, is not
    # the dearest.
    assert measured("rci") == [2 / 4]


def test_rci_takes_the_most_expensive_model_among_those_observed():
    utility, cost = np.array([[1, 1, GONE]]), np.array([[1, 2, GONE]])
    result = measure_policy(np.array([1]), np.ones((1, 3)), utility, cost, ONCE[:, :1])
    assert result["rci"].tolist() == [1]


def test_rci_asks_which_model_is_the_most_expensive_on_average():
    # Model 0 costs 3 on average, model 1 costs 4; all are right.
    utility, cost = np.ones((3, 3)), np.array([[7, 2, 1], [1, 5, 1], [1, 5, 6]])
    for choice, expected in (
        # The dearest call of the sample, but not the dearest model.
        ((0, 0, 0), 0),
        ((2, 2, 2), 0),
        # The dearest model is needless even where its call is not the dearest.
        ((1, 1, 1), 1),
        ((1, 0, 0), 1 / 3),
    ):
        result = measure_policy(np.array(choice), np.ones((3, 3)), utility, cost, ONCE[:, :3])
        assert result["rci"].tolist() == [pytest.approx(expected)]


def test_the_most_expensive_models_of_a_resample_are_those_of_the_samples():
    # By the resample's weights model 1 costs more.
    utility, cost = np.ones((2, 2)), np.array([[9, 1], [1, 2]])
    weights = np.array([[1, 1], [0, 2]])
    result = measure_policy(np.array([1, 1]), np.ones((2, 2)), utility, cost, weights)
    assert result["rci"].tolist() == [0, 0]


def test_models_of_one_mean_cost_are_all_the_most_expensive():
    cost = np.array([[0.1, 0.3, GONE, 0.1], [0.3, 0.1, 0.2, 0.1]])
    utility = np.where(np.isnan(cost), GONE, 1)
    assert dearest_models(single_models(utility, cost)).tolist() == [True, True, True, False]


def test_rci_forgives_the_most_expensive_model_where_no_cheaper_one_is_as_good():
    utility, cost = np.array([[0.5, 1]]), np.array([[1, 2]])
    result = measure_policy(np.array([1]), np.ones((1, 2)), utility, cost, ONCE[:, :1])
    assert result["rci"].tolist() == [0]


def test_brier_is_the_mean_squared_error_of_the_chosen_models_predictions():
    assert measured("brier") == [pytest.approx((0.1**2 + 0.4**2 + 0.1**2 + 0.2**2) / 4)]


def test_ece_of_no_more_samples_than_bins_is_the_mean_absolute_error():
    assert measured("ece") == [pytest.approx((0.1 + 0.4 + 0.1 + 0.2) / 4)]


def ece(u_hat, utility, weights=None):
    weights = np.ones((1, len(u_hat)), int) if weights is None else weights
    column = [
        np.asarray(values, float)[:, None] for values in (u_hat, utility, np.ones(len(u_hat)))
    ]
    return measure_policy(np.zeros(len(u_hat), int), *column, weights)["ece"].tolist()


def test_ece_bins_hold_equally_many_samples():
    u_hat = np.linspace(0.1, 0.9, 30) ** 2
    within, between = np.tile([0.05, -0.05], 15), np.repeat(np.tile([0.05, -0.05], 8)[:15], 2)
    assert ece(u_hat, u_hat + within) == [pytest.approx(0)]
    assert ece(u_hat, u_hat + between) == [pytest.approx(0.05)]


def test_ece_puts_equal_predictions_into_one_bin():
    assert ece([0.5] * 4, [0, 1, 1, 0.5]) == [pytest.approx(abs(0.5 - 2.5 / 4))]


def test_ece_weights_a_bin_by_its_mass_and_keeps_the_bins_of_the_samples():
    # Gaps -0.5 and +0.5 in one bin, 0.25 in the other.
    weights = np.array([[1, 1, 1], [3, 1, 0], [0, 0, 2]])
    assert ece([0.5, 0.5, 0.75], [1, 0, 0.5], weights) == [0.25 / 3, (3 - 1) * 0.5 / 4, 0.25]


def test_calibration_bins_hold_the_means_that_ece_compares():
    u_hat, utility = np.array([[0.75], [0.5], [0.5]]), np.array([[0.5], [1], [0.25]])
    choice, weights = np.zeros(3, int), np.array([[1, 1, 1], [0, 3, 1]])
    predicted = of_chosen(u_hat, choice)
    cuts = equal_mass_cuts(predicted)
    bins = calibration_sums(choice, predicted, utility, weights, cuts).bins()
    assert bins["samples"].tolist() == [[2, 1], [4, 0]]
    assert bins["predicted"][0].tolist() == [0.5, 0.75]
    assert bins["observed"][0].tolist() == [1.25 / 2, 0.5]
    assert bins["observed"][1].tolist() == [
        pytest.approx((3 + 0.25) / 4),
        pytest.approx(GONE, nan_ok=True),
    ]
    gap = np.abs(bins["predicted"] - bins["observed"])
    masses = bins["samples"] / weights.sum(axis=1, keepdims=True)
    assert np.nansum(gap * masses, axis=1).tolist() == ece(u_hat[:, 0], utility[:, 0], weights)


def test_auroc_is_the_mean_over_models_of_the_share_of_pairs_in_the_right_order():
    utility = np.array([[1, 1, 0], [0.75, GONE, 1], [0, 1, 1], [0.5, 1, 0], [GONE, 1, GONE]])
    u_hat = np.array([[0.9, 0, 0.5], [0.4, 0, 0.4], [0.4, 0, 0.1], [0.1, 0, 0.3], [0.0, 0, 0.2]])
    # First model: three pairs won, one tied. Second: never fails. Third: one pair of four won.
    assert auroc(u_hat, utility, np.ones((1, 5), int)).tolist() == [(3.5 / 4 + 1 / 4) / 2]


def test_traffic_is_the_share_of_samples_that_each_model_gets():
    weights = np.array([[1, 1, 1, 1], [4, 0, 0, 0]])
    shares = sums_of(CHOICE, U_HAT, UTILITY, COST, weights).traffic()
    assert shares.tolist() == [[0.5, 0.25, 0.25], [0, 0, 1]]


def test_cost_range_spans_the_single_models_that_are_not_free():
    c_min, c_max = cost_range(np.array([[3.0, 0, 2, GONE], [0, 0, 0, 0], [GONE, 0, 4, GONE]]))
    assert c_min.tolist() == [2, 0, 4]
    assert c_max.tolist() == [3, 0, 4]


def test_rank_score_weighs_accuracy_against_the_logarithm_of_cost():
    # Two halvings below c_max, of three to c_min.
    expected = 100 * 1.1 * 0.6 * (2 / 3) / (0.1 * 0.6 + 2 / 3)
    assert rank_score(0.6, 2.0, 1.0, 8.0) == pytest.approx(expected)


def test_rank_score_of_perfect_answers_at_the_least_cost_is_a_hundred():
    assert rank_score(1.0, 1.0, 1.0, 8.0) == pytest.approx(100)


def test_rank_score_is_zero_at_the_largest_cost_and_without_accuracy():
    scores = rank_score(np.array([1.0, 0.0, 0.0]), np.array([8.0, 1.0, 8.0]), 1.0, 8.0)
    assert scores.tolist() == [0, 0, 0]


def test_rank_score_clips_the_cost_to_the_single_models():
    outside = rank_score(0.5, np.array([0.0, 9.0]), 1.0, 8.0)
    assert outside.tolist() == rank_score(0.5, np.array([1.0, 8.0]), 1.0, 8.0).tolist()


@pytest.mark.parametrize("cost", [0.0, 3.0])
def test_rank_score_where_all_models_cost_the_same_is_that_of_the_cheapest(cost):
    same_but_for_rounding = cost * (1 + 1e-15)
    score = rank_score(0.5, same_but_for_rounding, cost, same_but_for_rounding)
    assert score == pytest.approx(rank_score(0.5, 1.0, 1.0, 2.0))


def test_rank_score_has_no_value_on_a_scale_that_starts_at_zero():
    assert np.isnan(rank_score(0.5, np.array([0.0, 1.0]), 0.0, 2.0)).all()


def test_rank_score_of_a_policy_lies_on_the_scale_of_the_single_models_where_observed():
    # Mean costs 1, 2 and 14/3; the policy pays 2.
    assert measured("rank_score") == [pytest.approx(rank_score(0.45, 2.0, 1.0, 14 / 3))]


def test_a_resample_that_leaves_a_metric_undefined_has_nan_there():
    only_unsolved, none = [0, 0, 4, 0], [0, 0, 0, 0]
    for metric in ("routing_accuracy", "optimal_accuracy"):
        assert np.isnan(measured(metric, [[1, 1, 1, 1], only_unsolved])).tolist() == [False, True]
    everything = measure_policy(CHOICE, U_HAT, UTILITY, COST, np.array([none]))
    assert all(np.isnan(values).all() for values in everything.values())
    assert np.isnan(auroc(U_HAT, UTILITY, np.array([none, only_unsolved]))).all()


def test_optimal_cost_of_a_free_router_is_undefined_where_the_optimum_is_free_too():
    utility, cost = np.array([[0.0, 0.0], [0.0, 1.0]]), np.array([[0.0, 1.0], [0.0, 1.0]])
    free = measure_policy(np.array([0, 0]), utility, utility, cost, np.eye(2, dtype=int))
    assert np.isnan(free["optimal_cost"][0])
    assert free["optimal_cost"][1] == np.inf


def test_a_model_of_unknown_cost_is_not_among_the_best():
    utility, cost = np.array([[1, 0.5, 0.5]]), np.array([[GONE, GONE, 2]])
    result = measure_policy(np.array([2]), utility, utility, cost, ONCE[:, :1])
    for metric in ("optimal_selection", "optimal_cost", "optimal_accuracy", "routing_accuracy"):
        assert result[metric].tolist() == [1], metric


def test_a_choice_without_outcome_is_refused():
    with pytest.raises(InputError, match=r"choice of sample 3, model 1, has no observed outcome"):
        measure_policy(np.array([0, 0, 0, 1]), U_HAT, UTILITY, COST, ONCE)


def random_policy(seed, n_samples=40, n_models=4):
    """Return a choice and a table full of ties, with fractional utilities and missing outcomes."""
    generator = np.random.default_rng(seed)
    shape = (n_samples, n_models)
    missing = generator.random(shape) < 0.2
    choice = generator.integers(n_models, size=n_samples)
    missing[np.arange(n_samples), choice] = False
    utility = np.where(missing, np.nan, generator.integers(5, size=shape) / 4)
    cost = np.where(missing, np.nan, generator.integers(1, 6, size=shape) / 8)
    return choice, generator.integers(11, size=shape) / 10, utility, cost


def random_counts(seed, n_resamples=5, n_samples=40):
    generator = np.random.default_rng(seed)
    even = np.full(n_samples, 1 / n_samples)
    return generator.multinomial(n_samples, even, size=n_resamples).astype(np.uint8)


def every_metric(choice, u_hat, utility, cost, weights):
    sums = sums_of(choice, u_hat, utility, cost, weights)
    return {
        **sums.metrics(),
        "auroc": auroc(u_hat, utility, weights),
        **{f"traffic of {model}": share for model, share in enumerate(sums.traffic().T)},
    }


def assert_equal(measured, expected, except_for=()):
    for metric in expected.keys() - set(except_for):
        assert measured[metric] == pytest.approx(expected[metric], nan_ok=True), metric


@given(seeds)
@laws
def test_weights_of_one_give_the_plain_metrics(seed):
    choice, u_hat, utility, cost = policy = random_policy(seed)
    result = every_metric(*policy, np.ones((1, 40)))
    rows = np.arange(40)
    predicted, gained, paid = (matrix[rows, choice] for matrix in (u_hat, utility, cost))
    best = np.nanmax(utility, axis=1)
    optimal = np.array([c[u == b].min() for c, u, b in zip(cost, utility, best, strict=True)])
    singles = single_models(utility, cost)
    # Of models that cost the same on average each is a most expensive one.
    mean_cost = np.nanmean(cost, axis=0)
    most = np.flatnonzero(np.isclose(mean_cost, mean_cost.max(), rtol=1e-12, atol=0))
    needless = np.isin(choice, most) & (optimal < paid)
    areas = [
        roc_auc_score(u[np.isfinite(u)] > 0.5, u_hat[np.isfinite(u), model])
        for model, u in enumerate(utility.T)
    ]
    smaller = (predicted[:, None] > predicted).sum(axis=1)
    bins = [rows[smaller * 15 // 40 == bin_] for bin_ in range(15)]
    expected = {
        "accuracy": gained.mean(),
        "cost": paid.mean(),
        "routing_accuracy": (gained[best > 0] / best[best > 0]).mean(),
        "optimal_selection": ((gained == best) & (paid == optimal)).mean(),
        "optimal_cost": optimal.mean() / paid.mean(),
        "optimal_accuracy": gained.mean() / best.mean(),
        "rci": ((gained < best) | needless).mean(),
        "brier": ((predicted - gained) ** 2).mean(),
        "ece": sum(
            len(bin_) / 40 * abs(predicted[bin_].mean() - gained[bin_].mean())
            for bin_ in bins
            if len(bin_)
        ),
        "rank_score": rank_score(
            gained.mean(), paid.mean(), singles.cost.min(), singles.cost.max()
        ),
        "auroc": np.mean(areas),
        **{f"traffic of {model}": (choice == model).mean() for model in range(4)},
    }
    assert result.keys() == expected.keys()
    assert_equal(result, {metric: np.array([value]) for metric, value in expected.items()})


@given(seeds, st.sampled_from([0.001, 3.0, 1e6]))
@laws
def test_scaling_all_costs_changes_no_metric_but_the_cost(seed, factor):
    choice, u_hat, utility, cost = policy = random_policy(seed)
    weights = random_counts(seed)
    expected = every_metric(*policy, weights)
    scaled = every_metric(choice, u_hat, utility, cost * factor, weights)
    assert_equal(scaled, expected, except_for=["cost"])
    assert scaled["cost"] == pytest.approx(expected["cost"] * factor)


@given(seeds)
@laws
def test_the_order_of_the_samples_changes_no_metric(seed):
    policy, weights = random_policy(seed), random_counts(seed)
    order = np.random.default_rng(seed).permutation(40)
    reordered = every_metric(*(part[order] for part in policy), weights[:, order])
    assert_equal(reordered, every_metric(*policy, weights))


@given(seeds)
@laws
def test_a_weight_is_a_number_of_repetitions(seed):
    policy = random_policy(seed)
    (counts,) = random_counts(seed, n_resamples=1)
    repeated = every_metric(*(np.repeat(part, counts, axis=0) for part in policy), np.ones((1, 40)))
    # The bins of ece and the dearest models of rci are those of the samples themselves.
    assert_equal(repeated, every_metric(*policy, counts[None]), except_for=["ece", "rci"])


@given(seeds)
@laws
def test_repeating_every_sample_alike_changes_no_metric(seed):
    policy = random_policy(seed)
    thrice = every_metric(*(np.repeat(part, 3, axis=0) for part in policy), np.ones((1, 120)))
    assert_equal(thrice, every_metric(*policy, np.ones((1, 40))))
    assert_equal(thrice, every_metric(*policy, np.full((1, 40), 3)))


@given(seeds)
@laws
def test_a_dominated_model_that_is_never_chosen_changes_only_what_is_defined_over_the_pool(seed):
    choice, u_hat, utility, cost = policy = random_policy(seed)
    weights = random_counts(seed)
    # No better than any other model, and dearer than all.
    utility = np.column_stack([utility, np.nanmin(utility, axis=1)])
    cost = np.column_stack([cost, np.nanmax(cost, axis=1) + 1])
    u_hat = np.column_stack([u_hat, np.random.default_rng(seed).random(40)])
    grown = every_metric(choice, u_hat, utility, cost, weights)
    expected = every_metric(*policy, weights)
    assert_equal(grown, expected, except_for=["rank_score", "rci", "auroc"])
    # A longer scale makes the same cost look smaller, and no choice is the dearest any more.
    assert (grown["rank_score"] >= expected["rank_score"]).all()
    assert (grown["rci"] <= expected["rci"]).all()
    assert (grown["traffic of 4"] == 0).all()


def test_metrics_defined_over_the_pool_change_with_a_model_that_is_never_chosen():
    utility = np.column_stack([UTILITY, [0, 0, 0, 0.6]])
    cost = np.column_stack([COST, [8, 8, 8, 8]])
    u_hat = np.column_stack([U_HAT, [0.5, 0.5, 0.5, 0.5]])
    grown = every_metric(CHOICE, u_hat, utility, cost, ONCE)
    assert grown["rci"].tolist() == [1 / 4]
    assert grown["rank_score"].tolist() == [pytest.approx(rank_score(0.45, 2.0, 1.0, 8.0))]
    # The three models' areas are 1, 1/2 and 1; the constant predictions of the fourth say nothing.
    assert grown["auroc"].tolist() == [(1 + 1 / 2 + 1 + 1 / 2) / 4]


@given(seeds)
@laws
def test_the_cheapest_of_the_best_is_the_optimal_policy(seed):
    _, u_hat, utility, cost = random_policy(seed)
    best = utility == np.nanmax(utility, axis=1, keepdims=True)
    choice = np.where(best, cost, np.inf).argmin(axis=1)
    result = measure_policy(choice, u_hat, utility, cost, random_counts(seed))
    for metric in ("routing_accuracy", "optimal_selection", "optimal_cost", "optimal_accuracy"):
        assert result[metric] == pytest.approx(1), metric
    assert (result["rci"] == 0).all()


def test_a_resample_is_measured_by_itself(monkeypatch):
    policy, weights = random_policy(0), random_counts(0, n_resamples=7)
    together = every_metric(*policy, weights)
    monkeypatch.setattr(policy_metrics, "_CHUNK", 2 * 40)
    assert_equal(every_metric(*policy, weights), together)
    for row in range(7):
        alone = every_metric(*policy, weights[row : row + 1])
        assert_equal(alone, {metric: values[[row]] for metric, values in together.items()})


def test_counts_beyond_a_byte_add_up():
    utility = np.repeat([[0.0], [1.0]], 300, axis=0)
    u_hat = np.arange(600.0)[:, None]
    weights = np.full((1, 600), 200, dtype=np.uint8)
    assert auroc(u_hat, utility, weights).tolist() == [1]


@given(seeds)
@laws
def test_sums_of_parts_add_up_to_those_of_the_whole(seed):
    choice, u_hat, utility, cost = random_policy(seed)
    weights = random_counts(seed, n_resamples=3)
    predicted = of_chosen(u_hat, choice)
    cuts, dearest = equal_mass_cuts(predicted), dearest_models(single_models(utility, cost))
    parts = [slice(0, 1), slice(1, 25), slice(25, 40)]
    policies, calibrations = (
        [add_up(*(matrix[part] for matrix in given), weights[:, part], *told) for part in parts]
        for add_up, given, told in (
            (policy_sums, (choice, predicted, utility, cost), (cuts, dearest)),
            (calibration_sums, (choice, predicted, utility), (cuts,)),
        )
    )
    policy = reduce(add, policies)
    assert_equal(policy.metrics(), measure_policy(choice, u_hat, utility, cost, weights))
    np.testing.assert_allclose(
        policy.traffic(), sums_of(choice, u_hat, utility, cost, weights).traffic()
    )
    whole = calibration_sums(choice, predicted, utility, weights, cuts).bins()
    for name, values in reduce(add, calibrations).bins().items():
        np.testing.assert_allclose(values, whole[name], err_msg=name)


@given(seeds)
@laws
def test_equal_mass_cuts_bin_by_the_number_of_smaller_predictions(seed):
    generator = np.random.default_rng(seed)
    size = int(generator.integers(1, 100))
    predicted = generator.integers(0, int(generator.integers(1, 60)), size) / 7
    smaller = (predicted < predicted[:, None]).sum(axis=1)
    bins = np.searchsorted(equal_mass_cuts(predicted), predicted)
    assert bins.tolist() == (smaller * 15 // size).tolist()


@given(seeds)
@laws
def test_auroc_of_bins_is_exact_where_each_holds_one_prediction(seed):
    _, u_hat, utility, _ = random_policy(seed)
    weights = random_counts(seed, n_resamples=3)
    levels = np.unique(u_hat)
    won, lost = (
        np.array(
            [
                [((own == level) & kind) @ weights.T for level in levels]
                for own, kind in zip(u_hat.T, right.T, strict=True)
            ]
        )
        for right in (utility > 0.5, utility <= 0.5)
    )
    expected = auroc(u_hat, utility, weights)
    assert binned_auroc(won, lost) == pytest.approx(expected, nan_ok=True)


def test_mean_latency_is_that_of_the_choices_whose_latency_is_known():
    latency = np.array([[9, 9, 0.5], [2, 9, 9], [9, GONE, 9], [3.5, 9, 9]])
    predicted = of_chosen(U_HAT, CHOICE)
    given = CHOICE, predicted, UTILITY, COST, np.array([[1, 1, 1, 1], [2, 0, 1, 1]])
    rest = equal_mass_cuts(predicted), dearest_models(single_models(UTILITY, COST))
    plain = policy_sums(*given, *rest).metrics()
    timed = policy_sums(*given, *rest, latency=latency).metrics()
    assert timed.pop("latency_s").tolist() == [(0.5 + 2 + 3.5) / 3, (2 * 0.5 + 3.5) / 3]
    assert timed.pop("latency_coverage").tolist() == [3 / 4, 3 / 4]
    assert timed.keys() == plain.keys()
    for name, values in plain.items():
        np.testing.assert_allclose(timed[name], values, rtol=1e-12)
