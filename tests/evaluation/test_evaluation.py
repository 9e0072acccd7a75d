"""Evaluation of a router on every slice, with its resamples."""

import numpy as np
import pytest

from mmroute.errors import InputError
from mmroute.evaluation.curve import frontier, operating_curve
from mmroute.evaluation.exact import evaluate, evaluate_singles
from mmroute.evaluation.measured import operating_points
from mmroute.evaluation.metrics import frontier_of, nauc, single_models
from mmroute.evaluation.setting import slices
from mmroute.predictions import Predictions


def predictions_for(table, trials=1, seed=3):
    shape = (trials, *table.utility.shape)
    generator = np.random.default_rng(seed)
    return Predictions(table.samples["sample_id"], generator.random(shape), generator.random(shape))


@pytest.fixture
def setting(make_table, make_setting):
    both = make_table(n_samples=60)
    return make_setting(
        both.take(np.arange(30)), both.take(np.arange(30, 60)), 2.0, "lambda", 100, 0
    )


def measured(setting, trials=1):
    predictions = predictions_for(setting.table, trials)
    return predictions, evaluate(setting, predictions, predictions_for(setting.training))


def value_of(evaluation, dataset, metric, point=""):
    rows = evaluation.replicates.query("dataset == @dataset and metric == @metric")
    return rows[rows["point"] == point]["replicates"].item()


def test_slices_are_the_data_sets_and_all(make_table):
    parts = list(slices(make_table(n_samples=5).samples))
    assert [(part.level, part.name, part.rows.tolist()) for part in parts] == [
        ("dataset", "A", [0, 2, 4]),
        ("dataset", "B", [1, 3]),
        ("full", "full", [0, 1, 2, 3, 4]),
    ]


def test_a_slice_is_measured_against_its_own_single_models(setting):
    predictions, evaluation = measured(setting)
    rows = np.arange(0, 30, 2)
    utility, cost = setting.table.utility[rows], setting.table.cost[rows] / 2.0
    curve = operating_curve(predictions.u_hat[0, rows], predictions.c_hat[0, rows], utility, cost)
    expected = nauc(frontier_of(curve), single_models(utility, cost))
    replicates = value_of(evaluation, "A", "nauc")
    assert replicates[0] == pytest.approx(expected[0])
    assert len(replicates) == 101


def test_metrics_are_means_over_the_trials(setting):
    both, together = measured(setting, trials=2)
    crossfit = predictions_for(setting.training)
    apart = [
        evaluate(
            setting,
            Predictions(both.sample_ids, both.u_hat[[trial]], both.c_hat[[trial]]),
            crossfit,
        )
        for trial in range(2)
    ]
    for metric in ("nauc", "peak_score", "nauc_honest"):
        mean = sum(value_of(one, "full", metric) for one in apart) / 2
        np.testing.assert_allclose(value_of(together, "full", metric), mean)


def test_frontiers_are_in_both_units(setting):
    _, evaluation = measured(setting)
    frontiers = evaluation.frontiers
    np.testing.assert_allclose(frontiers["cost_usd"], frontiers["cost"] * 2)
    assert frontiers["dataset"].unique().tolist() == ["A", "B", "full"]


def test_the_peak_is_measured_at_its_own_threshold(setting):
    _, evaluation = measured(setting)
    accuracy = value_of(evaluation, "full", "accuracy", "peak")
    assert accuracy[0] == pytest.approx(value_of(evaluation, "full", "peak_score")[0])
    cost = value_of(evaluation, "full", "cost", "peak")
    np.testing.assert_allclose(value_of(evaluation, "full", "cost_usd", "peak"), cost * 2)


def test_the_traffic_of_a_point_adds_up_to_all(setting):
    _, evaluation = measured(setting)
    shares = [value_of(evaluation, "full", f"traffic model-{k}", "peak") for k in range(3)]
    np.testing.assert_allclose(np.sum(shares, axis=0), 1)


def test_a_drawn_line_has_points_of_the_frontier_and_of_what_training_chose(setting):
    _, evaluation = measured(setting)
    lines = evaluation.lines
    assert lines.groupby("dataset", sort=False)["chosen_on"].unique().map(list).to_dict() == {
        name: ["test", "train"] for name in ("A", "B", "full")
    }
    np.testing.assert_allclose(lines["traffic"].map(sum), 1)
    whole = lines[lines["dataset"] == "full"]
    frontiers = evaluation.frontiers.query("dataset == 'full'")
    drawn = whole[whole["chosen_on"] == "test"]
    assert {*zip(drawn["cost"], drawn["utility"], drawn["threshold"], strict=True)} <= {
        *zip(frontiers["cost"], frontiers["utility"], frontiers["threshold"], strict=True)
    }
    honest = whole[whole["chosen_on"] == "train"]
    assert honest["cost"].is_monotonic_increasing
    assert (honest["low"] <= honest["utility"]).all()
    assert (honest["utility"] <= honest["high"]).all()
    # The most accurate point in training stands among them.
    assert value_of(evaluation, "full", "peak_score_honest")[0] in honest["utility"].tolist()


def test_the_traffic_of_a_drawn_point_is_that_of_the_operating_point(setting):
    _, evaluation = measured(setting)
    lines = evaluation.lines.query("dataset == 'full' and chosen_on == 'test'")
    peak = lines.loc[lines["utility"].idxmax(), "traffic"]
    shares = [value_of(evaluation, "full", f"traffic model-{k}", "peak")[0] for k in range(3)]
    np.testing.assert_allclose(peak, shares)


def test_operating_points_by_their_definitions():
    utility = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [1.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
    cost = np.tile([[1.0, 2.0, 8.0]], (4, 1))
    singles = single_models(utility, cost)
    c_hat = np.array([[1.0, 2.0, 8.0], [1.0, 3.0, 9.0], [1.0, 4.0, 7.0], [1.0, 5.0, 6.0]])
    best = frontier(operating_curve(utility + 0.0, c_hat, utility, cost))
    points = operating_points(best, singles)
    # The best single model is model 0, the cheaper of two with 3 of 4 right.
    assert set(points) == {"peak", "parity"}
    assert best.cost[best.threshold == points["parity"]].tolist() == [1.0]
    assert best.utility[best.threshold == points["peak"]].tolist() == [1.0]


def test_operating_points_that_are_not_reached_are_left_out():
    utility, cost = np.array([[0.0, 1.0]]), np.array([[1.0, 2.0]])
    best = frontier(operating_curve(np.array([[1.0, 0.0]]), cost, utility, cost))
    assert set(operating_points(best, single_models(utility, cost))) == {"peak", "half_cost"}


def test_calibration_counts_every_sample(setting):
    _, evaluation = measured(setting)
    peak = evaluation.calibration[evaluation.calibration["point"] == "peak"]
    assert peak["samples"].sum() == 30
    assert peak["predicted"].is_monotonic_increasing


def test_predictions_of_other_samples_are_refused(setting):
    other = predictions_for(setting.table.take(np.arange(30)[::-1]))
    with pytest.raises(InputError, match="of other samples"):
        evaluate(setting, other, predictions_for(setting.training))


def test_the_best_single_model_is_its_own_parity(setting):
    replicates, models = evaluate_singles(setting)
    values = {(row.dataset, row.metric): row.replicates[0] for row in replicates.itertuples()}
    for dataset in ("A", "B", "full"):
        assert values[dataset, "qnc"] == pytest.approx(1)
    full = models[models["dataset"] == "full"]
    assert values["full", "peak_score"] == pytest.approx(full["utility"].max())
    assert (full["utility_low"] <= full["utility"]).all()
    assert (full["utility"] <= full["utility_high"]).all()


def test_a_model_that_misses_a_data_set_has_no_value_there(setting):
    setting.table.utility[::2, 1] = setting.table.cost[::2, 1] = np.nan
    _, models = evaluate_singles(setting)
    missing = models[(models["dataset"] == "A") & (models["model"] == "model-1")]
    assert missing["utility"].isna().all()
    assert missing["coverage"].item() == 0
    _, evaluation = measured(setting)
    assert np.isfinite(value_of(evaluation, "A", "nauc")).all()
