"""Static policies: the majorant of single models, its mixtures, and routers against them."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mmroute.evaluation.bootstrap import curve_replicates
from mmroute.evaluation.curve import Steps
from mmroute.evaluation.exact import evaluate, evaluate_singles
from mmroute.evaluation.measured import reference_rows
from mmroute.evaluation.metrics import (
    CURVE_METRICS,
    Chosen,
    SingleModels,
    mean_height,
    row_range,
    single_models,
)
from mmroute.evaluation.static import (
    ZERO,
    ZERO_HINDSIGHT,
    majorant_models,
    static_line,
    static_metrics,
    static_models,
)
from mmroute.predictions import Predictions

NAN = np.nan
MEANS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=7).map(
    lambda points: np.array(points, float).T / 6
)


def vertices(cost, utility):
    return majorant_models(np.array(cost, float), np.array(utility, float)).tolist()


def height(cost, utility, at):
    """Return the majorant by its definition: the best of all mixtures of two at a cost."""
    best = -np.inf
    for c_low, u_low in zip(cost, utility, strict=True):
        for c_high, u_high in zip(cost, utility, strict=True):
            if c_low <= at < c_high:
                best = max(best, u_low + (at - c_low) / (c_high - c_low) * (u_high - u_low))
            if c_low <= at:
                best = max(best, u_low)
    return best


def test_the_vertices_run_from_the_cheapest_model_to_the_most_accurate():
    assert vertices([1, 2, 3, 4, 5], [0.1, 0.5, 0.55, 0.8, 0.7]) == [0, 1, 3]


@pytest.mark.parametrize(
    ("cost", "utility", "expected"),
    [
        ([1], [0.5], [0]),
        ([1, 1, 1], [0.5, 0.5, 0.5], [0]),
        ([1, 1, 2, 2], [0.3, 0.5, 0.9, 0.9], [1, 2]),
        ([1, 2, 3], [0.2, 0.4, 0.6], [0, 2]),
        ([3, 1, 2], [0.5, 0.5, 0.5], [1]),
        ([0, 0, 1], [0.4, 0.3, 0.9], [0, 2]),
        ([0, 0, 0], [0.4, 0.9, 0.5], [1]),
        ([1, NAN, 3], [0.2, NAN, 0.6], [0, 2]),
        ([NAN, NAN], [NAN, NAN], []),
        ([1, 1 + 1e-15, 2], [0.5, 0.7, 0.9 + 1e-15], [1, 2]),
    ],
)
def test_ties_free_models_and_missing_outcomes(cost, utility, expected):
    assert vertices(cost, utility) == expected


@given(MEANS, st.sampled_from([1e-6, 1.0, 1e6]))
def test_vertices_are_strictly_concave_and_above_every_model(means, scale):
    cost, utility = means
    chosen = majorant_models(cost * scale, utility)
    slopes = np.diff(utility[chosen]) / np.diff(cost[chosen])
    assert (np.diff(cost[chosen]) > 0).all()
    assert (slopes > 0).all()
    assert (np.diff(slopes) < 0).all()
    assert cost[chosen[0]] == cost.min()
    assert utility[chosen[-1]] == utility.max()
    polyline = np.interp(cost, cost[chosen], utility[chosen])
    assert (polyline >= utility - 1e-12).all()


@given(MEANS, st.floats(0, 1.2))
def test_a_mixture_of_neighbours_is_the_best_of_all_pairs_at_its_budget(means, budget):
    cost, utility = means
    chosen = majorant_models(cost, utility)
    reached = np.interp(budget, cost[chosen], utility[chosen])
    if budget >= cost.min():
        assert reached == pytest.approx(height(cost, utility, budget))


def table(seed, n_samples=30, n_models=4, missing=0.15):
    generator = np.random.default_rng(seed)
    shape = (n_samples, n_models)
    utility = (generator.random(shape) < generator.random(n_models)).astype(float)
    cost = generator.lognormal(size=shape) * np.geomspace(1, 30, n_models)
    gone = generator.random(shape) < missing
    gone[:, 0] = False
    utility[gone] = cost[gone] = NAN
    weights = generator.multinomial(n_samples, np.full(n_samples, 1 / n_samples), 6)
    return utility, cost, np.vstack([np.ones(n_samples), weights])


@given(st.integers(0, 10_000), st.lists(st.integers(0, 3), min_size=1, max_size=4, unique=True))
@settings(max_examples=50, deadline=None)
def test_the_line_runs_through_the_points_of_its_models_under_every_weighting(seed, models):
    singles = single_models(*table(seed))
    line = static_line(singles, np.array(models))
    for row, part in enumerate(line.by_row()):
        cost, utility = singles.cost[row, models], singles.utility[row, models]
        assert (np.diff(line.cost[part]) >= 0).all()
        np.testing.assert_allclose(np.interp(cost, line.cost[part], line.utility[part]), utility)


def test_a_model_without_outcomes_under_a_weighting_is_left_out_there():
    singles = SingleModels(np.array([[1.0, 2.0], [1.0, NAN]]), np.array([[0.4, 0.8], [0.5, NAN]]))
    line = static_line(singles, np.array([0, 1]))
    np.testing.assert_allclose(mean_height(line, np.ones(2), np.full(2, 2.0)), [0.6, 0.5])


def test_a_model_that_was_never_observed_where_it_is_measured_is_not_chosen():
    known = SingleModels(np.array([[1.0, 2.0]]), np.array([[0.4, 0.8]]))
    measured = SingleModels(np.array([[1.0, NAN]]), np.array([[0.4, NAN]]))
    assert static_models(known, measured).tolist() == [0]
    nowhere = SingleModels(np.full((1, 2), NAN), np.full((1, 2), NAN))
    assert static_models(nowhere, measured).tolist() == []


@given(st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_in_hindsight_the_mixtures_are_no_worse_than_any_other_or_any_single_model(seed):
    utility, cost, _ = table(seed)
    singles = single_models(utility, cost)
    line = static_line(singles, np.array([0, 2]))
    hindsight = static_metrics(singles, static_models(singles, singles), line)
    other = static_metrics(singles, np.array([0, 2]), line)
    assert hindsight["gain"][0] >= -1e-12
    assert hindsight["nauc"][0] >= other["nauc"][0] - 1e-12
    assert hindsight["peak_score"][0] == pytest.approx(np.nanmax(singles.utility))
    assert hindsight["qnc"][0] == pytest.approx(1)
    assert hindsight["rank_score"][0] >= other["rank_score"][0] - 1e-9


def test_a_mixture_reaches_the_best_model_between_its_own():
    """A mixture of models at costs 1 and 3 has the best model's 0.6 at half way, for 2."""
    singles = SingleModels(np.array([[1.0, 3.0, 4.0]]), np.array([[0.4, 0.8, 0.6]]))
    best = SingleModels(singles.cost, np.array([[0.4, 0.7, 0.7]]))
    line = static_line(singles, np.array([0, 1]))
    assert static_metrics(singles, np.array([0, 1]), line)["qnc"].item() == pytest.approx(1)
    assert static_metrics(best, np.array([0, 2]), line)["qnc"].item() == pytest.approx(4 / 3)
    assert static_metrics(singles, np.array([0, 2]), line)["qnc"].item() == np.inf


# --- routers against static policies ------------------------------------------------------------


def constant(model, n_samples):
    none = np.empty(0, np.int32)
    return Steps(np.full(n_samples, model, np.int32), np.empty(0), none, none, none)


def against(models, singles_table, model):
    """Measure always taking one model against the mixtures of some."""
    utility, cost, weights = singles_table
    given_table = utility, cost, weights, single_models(utility, cost, weights)
    chosen = Chosen(np.zeros(1), 0, 0, np.array(models), {})
    rows = row_range(utility, cost, weights)
    return curve_replicates(constant(model, len(utility)), *given_table, chosen, rows).metrics


def test_a_router_that_always_takes_the_only_static_model_gains_nothing():
    metrics = against([0], table(1, missing=0), 0)
    for name in ("gain", "gain_honest", "saving_90", "saving_100"):
        np.testing.assert_allclose(metrics[name], 0, atol=1e-12, err_msg=name)


def test_joining_the_cheapest_to_the_best_model_gains_nothing_on_their_mixture():
    metrics = against([0, 3], table(2, missing=0), 3)
    np.testing.assert_allclose(metrics["gain_honest"], 0, atol=1e-12)


def test_gain_is_paired_with_the_same_resamples():
    singles_table = table(3, missing=0)
    metrics = against([0, 1], singles_table, 2)
    utility, cost, weights = singles_table
    singles = single_models(utility, cost, weights)
    zero = static_metrics(singles, np.array([0, 1]), static_line(singles, np.array([0, 1])))
    np.testing.assert_allclose(metrics["gain"], metrics["nauc"] - zero["nauc"])
    np.testing.assert_allclose(metrics["gain_honest"], metrics["nauc_honest"] - zero["nauc"])


def test_a_saving_is_one_less_the_cost_over_that_of_the_mixture_at_the_same_accuracy():
    """Accuracy 0.9 x 1.0 costs the mixture of 0.5 at 1 and 1.0 at 6 five, the router 2.6."""
    utility = np.array([[1, 1, 1], [0, 1, 1], [1, 1, 1], [0, 1, 1]], float)
    cost = np.tile([[1.0, 3.0, 6.0]], (4, 1))
    metrics = against([0, 2], (utility, cost, np.ones((1, 4))), 1)
    assert metrics["saving_90"].item() == pytest.approx(1 - 2.6 / 5)
    assert metrics["saving_100"].item() == pytest.approx(1 - 3 / 6)
    worse = against([0, 2], (utility, cost, np.ones((1, 4))), 0)
    assert worse["saving_90"].item() == -np.inf


# --- rows of the main table ---------------------------------------------------------------------


@pytest.fixture
def setting(make_table, make_setting):
    both = make_table(n_samples=60, n_models=4)
    return make_setting(
        both.take(np.arange(30)), both.take(np.arange(30, 60)), 2.0, "lambda", 50, 0
    )


def replicates_by(frame, router):
    own = frame[frame["router"] == router]
    return dict(
        zip(zip(own["dataset"], own["metric"], strict=True), own["replicates"], strict=True)
    )


def test_zero_mixes_what_training_chose_and_its_reference_what_the_test_split_shows(setting):
    _, models = evaluate_singles(setting)
    for part, rows in (("A", slice(0, None, 2)), ("full", slice(None))):
        own = models[models["dataset"] == part]
        trained = single_models(setting.training.utility[rows], setting.training.cost[rows])
        tested = single_models(setting.table.utility[rows], setting.table.cost[rows])
        for name, known in ((ZERO, trained), (ZERO_HINDSIGHT, tested)):
            expected = majorant_models(known.cost[0], known.utility[0])
            assert np.flatnonzero(own[name]).tolist() == sorted(expected.tolist())


def test_zero_has_every_metric_that_needs_no_prediction_and_no_gain_over_itself(setting):
    frame, _ = evaluate_singles(setting)
    zero, reference = (replicates_by(frame, name) for name in (ZERO, ZERO_HINDSIGHT))
    for metric in CURVE_METRICS:
        if metric.measure:
            assert (("full", metric.name) in zero) != metric.convention
        if metric.against_zero:
            assert zero["full", metric.name].tolist() == [0]
    np.testing.assert_array_equal(zero["full", "nauc"], zero["full", "nauc_honest"])
    np.testing.assert_allclose(
        reference["full", "gain"], reference["full", "nauc"] - zero["full", "nauc"]
    )


def test_the_gain_of_a_router_is_its_nauc_less_that_of_the_row_zero(setting):
    generator = np.random.default_rng(0)
    own, crossfit = (
        Predictions(of.samples["sample_id"], *generator.random((2, 2, *of.utility.shape)))
        for of in (setting.table, setting.training)
    )
    measured = evaluate(setting, own, crossfit).replicates
    measured = replicates_by(measured[measured["point"] == ""].assign(router="own"), "own")
    zero = replicates_by(evaluate_singles(setting)[0], ZERO)
    for part in ("A", "B", "full"):
        for gain, nauc in (("gain", "nauc"), ("gain_honest", "nauc_honest")):
            np.testing.assert_allclose(
                measured[part, gain], measured[part, nauc] - zero[part, "nauc"], atol=1e-12
            )


@pytest.mark.parametrize(("n_models", "alike"), [(1, False), (3, True)])
def test_with_one_model_or_equal_ones_nothing_is_gained_or_lost(n_models, alike):
    utility, cost, weights = table(4, n_models=n_models, missing=0)
    if alike:
        utility, cost = (np.repeat(own[:, :1], n_models, axis=1) for own in (utility, cost))
    metrics = against([0], (utility, cost, weights), n_models - 1)
    for metric in CURVE_METRICS:
        if metric.against_zero:
            np.testing.assert_allclose(metrics[metric.name], 0, atol=1e-12, err_msg=metric.name)


def test_free_models_cost_and_save_nothing():
    utility, cost, weights = table(5, missing=0)
    metrics = against([0], (utility, 0 * cost, weights), 0)
    np.testing.assert_array_equal(metrics["saving_100"], 0)
    np.testing.assert_allclose(metrics["gain"], 0, atol=1)


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_without_a_known_model_the_row_is_undefined_and_nothing_fails(seed):
    utility, cost, weights = table(seed)
    assume(np.isfinite(utility).all(axis=1).any())
    singles = single_models(utility, cost, weights)
    unknown = SingleModels(*np.full((2, 1, utility.shape[1]), np.nan))
    rows = reference_rows("full", "full", singles, unknown)
    nauc = {row[0]: row[-1] for row in rows if row[4] == "nauc"}
    assert np.isnan(nauc[ZERO]).all()
    assert np.isfinite(nauc[ZERO_HINDSIGHT]).all()
