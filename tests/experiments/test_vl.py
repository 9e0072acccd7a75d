"""VL-RouterBench's protocol."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mmroute.evaluation.curve import operating_curve
from mmroute.evaluation.metrics import single_models
from mmroute.evaluation.static import majorant_models
from mmroute.experiments.findings import summarise
from mmroute.experiments.vl import VL, _lambda
from mmroute.predictions import Predictions
from mmroute.rank_score import rank_score
from mmroute.routers.soft_labels import GRID

LAMBDAS = np.array([0.0, 1.0, 10.0])
UNIT = 2.0


@pytest.fixture
def setting(make_table, make_setting):
    both = make_table(n_samples=80)
    return make_setting(
        both.take(np.arange(40)), both.take(np.arange(40, 80)), UNIT, "budget", 100, 0
    )


def on_grid(table, seed=1, overhead=None):
    generator = np.random.default_rng(seed)
    shape = (len(LAMBDAS), *table.utility.shape)
    scores = generator.random(shape)
    return Predictions(
        table.samples["sample_id"], scores[:1], 1 - scores[:1], LAMBDAS, scores, overhead
    )


def by_policy(table, trials=1, seed=2):
    generator = np.random.default_rng(seed)
    shape = (trials, *table.utility.shape)
    return Predictions(table.samples["sample_id"], generator.random(shape), generator.random(shape))


def measured(setting, make=on_grid):
    return VL().findings(setting, {"own": make(setting.table)}, {"own": make(setting.training)})


def value(frame, metric, point="training", router="own", minus="", at=None):
    rows = frame.query("router == @router and point == @point and metric == @metric")
    rows = rows[rows["minus"] == minus]
    rows = rows if at is None else rows[rows["lambda"] == at]
    return rows["replicates"].item()


def test_each_lambda_of_a_grid_is_one_operating_point(setting):
    frame = measured(setting)
    table, predictions = setting.table, on_grid(setting.table)
    rows = np.arange(len(table.utility))
    for value_of_lambda, scores in zip(LAMBDAS, predictions.scores, strict=True):
        choice = scores.argmax(axis=1)
        accuracy = value(frame, "accuracy", "grid", at=value_of_lambda)
        cost = value(frame, "cost", "grid", at=value_of_lambda)
        assert len(accuracy) == 101
        assert accuracy[0] == pytest.approx(table.utility[rows, choice].mean())
        assert cost[0] == pytest.approx(table.cost[rows, choice].mean() / UNIT)


def bounds(setting):
    """The mean costs of the cheapest and the dearest model on all samples of both splits."""
    cost = np.concatenate([setting.table.cost, setting.training.cost]).mean(axis=0) / UNIT
    return cost.min(), cost.max()


def test_the_rank_score_is_over_the_costs_of_the_single_models_on_all_samples(setting):
    frame = measured(setting)
    accuracy, cost = (value(frame, metric, "grid", at=1.0) for metric in ("accuracy", "cost"))
    np.testing.assert_allclose(
        value(frame, "rank_score", "grid", at=1.0), rank_score(accuracy, cost, *bounds(setting))
    )
    np.testing.assert_allclose(value(frame, "cost_usd", "grid", at=1.0), cost * UNIT)


def test_the_published_point_is_the_best_on_the_evaluation_samples(setting):
    frame = measured(setting)
    scores = [value(frame, "rank_score", "grid", at=one)[0] for one in LAMBDAS]
    assert value(frame, "rank_score", "test")[0] == pytest.approx(max(scores))
    assert value(frame, "lambda", "test")[0] == LAMBDAS[np.argmax(scores)]


def test_the_honest_point_is_the_best_on_the_training_samples(setting, make_setting):
    frame = measured(setting)
    swapped = make_setting(setting.training, setting.table, UNIT, "lambda", 100, 0)
    chosen = value(frame, "lambda", "training")[0]
    assert chosen == value(measured(swapped), "lambda", "test")[0]
    np.testing.assert_allclose(
        value(frame, "rank_score"), value(frame, "rank_score", "grid", at=chosen)
    )


def test_development_samples_choose_where_there_are_any(setting):
    own, crossfit = setting.benchmark, on_grid(setting.training)
    held = own.in_train & (np.arange(len(own.in_train)) % 4 == 0)
    with_some = replace(setting, benchmark=replace(own, development=held))
    rows = np.flatnonzero(held[own.in_train])
    utility, cost = setting.training.utility[rows], setting.training.cost[rows] / UNIT
    ranks = [
        rank_score(*(of[np.arange(len(rows)), choice].mean() for of in (utility, cost)), *ends)
        for ends in [bounds(setting)]
        for choice in crossfit.scores[:, rows].argmax(axis=2)
    ]
    chosen = [value(measured(where), "lambda")[0] for where in (setting, with_some)]
    assert chosen[0] != chosen[1] == LAMBDAS[np.argmax(ranks)]


def test_a_router_without_a_grid_follows_the_lambda_policy(setting):
    frame = measured(setting, by_policy)
    table, predictions = setting.table, by_policy(setting.table)
    curve = operating_curve(
        predictions.u_hat[0], predictions.c_hat[0], table.utility, table.cost / UNIT, "lambda"
    )
    scores = rank_score(curve.utility, curve.cost, *bounds(setting))
    assert value(frame, "rank_score", "test")[0] == pytest.approx(scores.max())
    assert value(frame, "lambda", "test")[0] not in GRID
    assert "without a grid the best of all" in VL.protocol
    assert frame.query("router == 'own' and point == 'grid'")["lambda"].unique().tolist() == [*GRID]
    assert value(frame, "cost", "grid", at=0.0)[0] == pytest.approx(curve.cost[0])
    # Lambdas are of costs in USD, as those of a grid.
    objective = 1 - predictions.u_hat[0] + 10 * UNIT * predictions.c_hat[0]
    objective[np.isnan(table.utility)] = np.inf
    paid = np.take_along_axis(table.cost, objective.argmin(axis=1)[:, None], axis=1)
    assert value(frame, "cost_usd", "grid", at=10.0)[0] == pytest.approx(paid.mean())


def test_the_best_single_model_is_chosen_by_rank_score_like_a_router(setting):
    frame = measured(setting)
    test, training = (
        single_models(table.utility, table.cost / UNIT)
        for table in (setting.table, setting.training)
    )

    def scores(singles):
        return rank_score(singles.utility[0], singles.cost[0], *bounds(setting))

    reference = value(frame, "rank_score", "training", "best_single")
    assert value(frame, "rank_score", "test", "best_single")[0] == pytest.approx(scores(test).max())
    assert reference[0] == pytest.approx(scores(test)[scores(training).argmax()])
    np.testing.assert_allclose(
        value(frame, "rank_score", minus="best_single"), value(frame, "rank_score") - reference
    )


def test_static_mixtures_are_of_models_that_training_and_the_test_split_choose(setting):
    frame = measured(setting)
    for name, table in (("zero", setting.training), ("zero_hindsight", setting.table)):
        expected = majorant_models(table.cost.mean(axis=0), table.utility.mean(axis=0))
        points = frame[(frame["router"] == name) & (frame["metric"] == "cost")]["point"]
        assert points.tolist() == [f"model {table.model_names[model]}" for model in expected]


def test_metrics_are_means_over_the_trials(setting):
    both = by_policy(setting.table, trials=2)
    crossfit = by_policy(setting.training)
    together = VL().findings(setting, {"own": both}, {"own": crossfit})
    apart = [
        Predictions(both.sample_ids, both.u_hat[[trial]], both.c_hat[[trial]]) for trial in range(2)
    ]
    for metric in ("accuracy", "cost", "rank_score"):
        mean = sum(
            value(VL().findings(setting, {"own": one}, {"own": crossfit}), metric, "test")
            for one in apart
        )
        np.testing.assert_allclose(value(together, metric, "test"), mean / 2)


def test_the_cost_of_deciding_is_paid(setting):
    def dear(table):
        return on_grid(table, overhead=np.full(len(table.utility), 0.25))

    free, paid = (
        value(measured(setting, make), "cost", "grid", at=0.0) for make in (on_grid, dear)
    )
    np.testing.assert_allclose(paid, free + 0.25)


def test_a_missing_outcome_is_never_chosen(setting):
    first = on_grid(setting.table).scores[0].argmax(axis=1)
    rows = np.arange(0, 40, 2)
    for matrix in (setting.table.utility, setting.table.cost):
        matrix[rows, first[rows]] = np.nan
    frame = measured(setting)
    assert all(np.isfinite(replicates).all() for replicates in frame["replicates"])


def test_the_table_has_a_row_per_router_and_both_points_side_by_side(setting):
    frame = measured(setting)
    table = summarise([frame])
    shown = VL().present(table).set_index("router")
    assert shown.index.tolist() == ["best_single", "own"]
    assert shown.loc["own", "λ (per USD)"] == f"{value(frame, 'lambda')[0]:g}"
    assert shown.loc["best_single", "λ (per USD)"] == "–"
    for header, metric, point, scale in (
        ("accuracy", "accuracy", "training", 1),
        ("cost (USD per 1,000 queries)", "cost_usd", "training", 1000),
        ("rank score, best on test", "rank_score", "test", 1),
    ):
        expected = f"{value(frame, metric, point)[0] * scale:.3f} ["
        assert shown.loc["own", header].startswith(expected)


def test_the_table_is_the_same_when_read_back_from_its_file(setting, tmp_path):
    table = summarise([measured(setting)])
    table.to_csv(tmp_path / "vl.csv", index=False)
    pd.testing.assert_frame_equal(
        VL().present(pd.read_csv(tmp_path / "vl.csv")), VL().present(table)
    )


def test_several_salts_share_their_points(setting):
    frame = measured(setting)
    table = summarise([frame, frame])
    assert (table["salts"] == 2).all()
    assert len(table) == len(frame)


def test_the_lambda_that_stands_for_infinity_is_shown_as_such():
    assert [_lambda(value) for value in GRID] == ["0", "10", "100", "1e+03", "1e+04", "∞"]
