"""The operating curve equals the policy's definition, everywhere."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmroute.errors import InputError
from mmroute.evaluation.curve import (
    N_OUTLINE,
    Curve,
    chosen_counts,
    frontier,
    grid_steps,
    operating_curve,
    outline,
    policy_steps,
)

POLICIES = ("lambda", "budget")


def choose(u_hat, c_hat, observed, policy, parameter):
    """Choose by definitions section 4, in exact arithmetic."""
    models = [j for j in range(len(u_hat)) if observed[j]]
    u_hat = [Fraction(value) for value in u_hat]
    c_hat = [Fraction(value) for value in c_hat]
    if policy == "lambda":
        return min(models, key=lambda j: (1 - u_hat[j] + parameter * c_hat[j], c_hat[j], j))
    feasible = [j for j in models if c_hat[j] <= parameter]
    if not feasible:
        return min(models, key=lambda j: (c_hat[j], j))
    return min(feasible, key=lambda j: (-u_hat[j], c_hat[j], j))


def breakpoints(u_hat, c_hat, policy):
    """List every parameter value at which some choice can change."""
    if policy == "budget":
        return sorted({Fraction(value) for value in c_hat.ravel()})
    found = {Fraction(0)}
    for u, c in zip(u_hat, c_hat, strict=True):
        for a in range(len(u)):
            for b in range(len(u)):
                if c[a] > c[b] and u[a] > u[b]:
                    found.add((Fraction(u[a]) - Fraction(u[b])) / (Fraction(c[a]) - Fraction(c[b])))
    return sorted(found)


def sweep(u_hat, c_hat, utility, cost, policy):
    """Evaluate at, between, below and above all breakpoints; merge equal neighbours."""
    at = breakpoints(u_hat, c_hat, policy)
    between = [(low + high) / 2 for low, high in pairwise(at)]
    outside = [at[-1] + 1] + ([at[0] - 1] if policy == "budget" else [])
    observed = np.isfinite(utility)
    rows = np.arange(len(u_hat))
    points = []
    for parameter in sorted([*at, *between, *outside]):
        chosen = [
            choose(u, c, o, policy, parameter)
            for u, c, o in zip(u_hat, c_hat, observed, strict=True)
        ]
        point = (cost[rows, chosen].mean(), utility[rows, chosen].mean())
        points.append((parameter, *point))
    return points


def value_at(curve, parameter):
    index = np.searchsorted(curve.threshold, float(parameter), side="right") - 1
    return curve.cost[index], curve.utility[index]


@st.composite
def tables(draw):
    """Draw small tables in which ties and missing outcomes are common."""
    n_samples = draw(st.integers(1, 6))
    n_models = draw(st.integers(1, 5))
    # Dyadic predictions with dyadic slopes: the float computation is exact.
    level = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
    step = st.sampled_from([0.0, 1.0, 2.0, 4.0])
    shape = (n_samples, n_models)
    size = n_samples * n_models

    def matrix(elements):
        return np.array(draw(st.lists(elements, min_size=size, max_size=size))).reshape(shape)

    u_hat, c_hat = matrix(level), matrix(step)
    utility, cost = (
        matrix(st.sampled_from([0.0, 0.5, 1.0])),
        matrix(st.sampled_from([1.0, 2.0, 8.0])),
    )
    missing = matrix(st.booleans())
    missing[np.arange(n_samples), np.argmax(~missing, axis=1)] = False
    utility[missing] = cost[missing] = np.nan
    return u_hat, c_hat, utility, cost


@pytest.mark.parametrize("policy", POLICIES)
@given(tables())
@settings(max_examples=150, deadline=None)
def test_equals_brute_force_at_and_between_all_breakpoints(policy, table):
    curve = operating_curve(*table, policy)
    for parameter, cost, utility in sweep(*table, policy):
        if parameter in map(Fraction, curve.threshold[1:]) or all(
            abs(float(parameter) - threshold) > 1e-9 for threshold in curve.threshold
        ):
            assert value_at(curve, parameter) == pytest.approx((cost, utility), abs=1e-12)
    reached = {(round(cost, 9), round(utility, 9)) for _, cost, utility in sweep(*table, policy)}
    assert {
        (round(cost, 9), round(utility, 9))
        for cost, utility in zip(curve.cost, curve.utility, strict=True)
    } <= reached


@pytest.mark.parametrize("policy", POLICIES)
def test_equals_brute_force_on_continuous_predictions(policy):
    generator = np.random.default_rng(0)
    for _ in range(20):
        shape = (7, 5)
        u_hat, c_hat = generator.normal(size=shape), generator.lognormal(size=shape)
        utility, cost = generator.random(shape), generator.random(shape)
        curve = operating_curve(u_hat, c_hat, utility, cost, policy)
        inner = (curve.threshold[1:-1] + curve.threshold[2:]) / 2
        for parameter in [*inner, curve.threshold[-1] + 1]:
            chosen = [
                choose(u, c, np.ones(5, bool), policy, Fraction(parameter))
                for u, c in zip(u_hat, c_hat, strict=True)
            ]
            rows = np.arange(7)
            expected = (cost[rows, chosen].mean(), utility[rows, chosen].mean())
            assert value_at(curve, parameter) == pytest.approx(expected, abs=1e-12)


def test_ties_go_to_the_smaller_predicted_cost_then_to_the_smaller_index():
    utility = np.array([[0.1, 0.2, 0.3]])
    cost = np.array([[1.0, 2.0, 3.0]])
    same_cost = operating_curve(np.ones((1, 3)), np.ones((1, 3)), utility, cost)
    assert same_cost.utility.tolist() == [0.1]
    cheaper_last = operating_curve(np.ones((1, 3)), np.array([[2.0, 2.0, 1.0]]), utility, cost)
    assert cheaper_last.utility.tolist() == [0.3]


def test_at_a_breakpoint_the_cheaper_model_is_chosen():
    curve = operating_curve(
        np.array([[0.5, 1.0]]),
        np.array([[0.0, 1.0]]),
        np.array([[0.0, 1.0]]),
        np.array([[1.0, 2.0]]),
    )
    assert curve.threshold.tolist() == [0.0, 0.5]
    assert value_at(curve, 0.5) == (1.0, 0.0)


def test_infeasible_budgets_fall_back_to_the_cheapest_prediction():
    curve = operating_curve(
        np.array([[0.9, 0.1]]),
        np.array([[2.0, 1.0]]),
        np.array([[1.0, 0.0]]),
        np.array([[5.0, 3.0]]),
        "budget",
    )
    assert value_at(curve, -1) == (3.0, 0.0)
    assert value_at(curve, 1.5) == (3.0, 0.0)
    assert value_at(curve, 2) == (5.0, 1.0)


@pytest.mark.parametrize("policy", POLICIES)
def test_one_model_and_one_sample_is_one_point(policy):
    one = np.array([[0.5]])
    curve = operating_curve(one, one, one, one, policy)
    assert (curve.cost[-1], curve.utility[-1]) == (0.5, 0.5)
    assert len(set(zip(curve.cost, curve.utility, strict=True))) == 1


@pytest.mark.parametrize("policy", POLICIES)
def test_chunks_do_not_show(policy, monkeypatch):
    generator = np.random.default_rng(1)
    shape = (50, 4)
    table = [generator.random(shape) for _ in range(4)]
    whole = operating_curve(*table, policy)
    monkeypatch.setattr("mmroute.evaluation.curve._CHUNK", 12)
    chunked = operating_curve(*table, policy)
    np.testing.assert_allclose(chunked.utility, whole.utility, atol=1e-12)
    np.testing.assert_array_equal(chunked.threshold, whole.threshold)


@pytest.mark.parametrize("name", ["u_hat", "c_hat"])
def test_predictions_that_are_not_finite_are_refused(name):
    table = {key: np.ones((2, 2)) for key in ("u_hat", "c_hat", "utility", "cost")}
    table[name][1, 0] = np.nan
    with pytest.raises(InputError, match=f"{name} of sample 1, model 0 is nan"):
        operating_curve(**table)


def test_a_sample_without_outcomes_is_refused():
    outcomes = np.array([[1.0, 1.0], [np.nan, np.nan]])
    with pytest.raises(InputError, match="sample 1 has no observed outcome"):
        operating_curve(np.ones((2, 2)), np.ones((2, 2)), outcomes, outcomes)


def test_unequal_shapes_are_refused():
    with pytest.raises(InputError, match="alike"):
        operating_curve(np.ones((2, 2)), np.ones((2, 3)), np.ones((2, 2)), np.ones((2, 2)))


def test_frontier_keeps_only_points_better_than_every_cheaper_one():
    curve = Curve(
        np.array([3.0, 1.0, 2.0, 2.0, 4.0]),
        np.array([0.9, 0.5, 0.5, 0.7, 0.8]),
        np.array([0.0, 1.0, 2.0, 3.0, 4.0]),
    )
    best = frontier(curve)
    assert best.cost.tolist() == [1.0, 2.0, 3.0]
    assert best.utility.tolist() == [0.5, 0.7, 0.9]
    assert best.threshold.tolist() == [1.0, 3.0, 0.0]


def test_a_grid_of_scores_reaches_the_choices_of_each_lambda():
    generator = np.random.default_rng(0)
    scores, grid = generator.random((4, 30, 3)), np.array([0.0, 0.5, 2.0, 9.0])
    observed = generator.random((30, 3)) < 0.7
    observed[:, 1] = True
    steps = grid_steps(scores, grid, observed)
    for at, own in zip(grid, scores, strict=True):
        expected = np.where(observed, own, -np.inf).argmax(axis=1)
        np.testing.assert_array_equal(steps.choices(at), expected)


# --- what is drawn ----------------------------------------------------------------------------


@pytest.mark.parametrize("n_points", [2, 5, 1000])
def test_an_outline_keeps_the_ends_and_misses_no_point_by_a_thousandth(n_points):
    generator = np.random.default_rng(n_points)
    cost = generator.permutation(np.geomspace(1e-3, 1, n_points))
    utility = np.log(cost) ** 3
    kept = outline(cost, utility)
    assert (np.diff(cost[kept]) > 0).all()
    assert cost[kept][[0, -1]].tolist() == [cost.min(), cost.max()]
    assert len(kept) < N_OUTLINE
    missed = np.abs(np.interp(cost, cost[kept], utility[kept]) - utility)
    assert missed.max() <= 1e-3 * np.ptp(utility)


def test_an_outline_of_what_has_no_shape_stays_short():
    generator = np.random.default_rng(0)
    assert len(outline(generator.random(5000), generator.random(5000))) == N_OUTLINE


@pytest.mark.parametrize("n_points", [0, 1])
def test_an_outline_of_no_line_is_what_there_is(n_points):
    assert len(outline(np.zeros(n_points), np.zeros(n_points))) == n_points


@pytest.mark.parametrize("policy", POLICIES)
def test_counts_of_the_chosen_models_are_those_of_the_choices(policy):
    generator = np.random.default_rng(0)
    u_hat, c_hat = generator.random((2, 40, 5)).round(1)
    steps = policy_steps(u_hat, c_hat, generator.random((40, 5)) < 0.9, policy)
    parameters = np.array([-np.inf, *np.unique(steps.threshold)[::3], 0.123, np.inf])
    parameters = np.unique(parameters)
    counts = chosen_counts(steps, 5, parameters)
    for parameter, own in zip(parameters, counts, strict=True):
        assert own.tolist() == np.bincount(steps.choices(parameter), minlength=5).tolist()
