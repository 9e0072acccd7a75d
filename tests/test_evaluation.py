import numpy as np
import pytest

from mmroute.curve import frontier, operating_curve
from mmroute.errors import InputError
from mmroute.evaluation import evaluate, evaluate_singles, slices
from mmroute.metrics import nauc, single_models
from mmroute.predictions import Predictions


def predictions_for(table, trials=1):
    shape = (trials, *table.utility.shape)
    generator = np.random.default_rng(3)
    return Predictions(table.samples["sample_id"], generator.random(shape), generator.random(shape))


def test_slices_are_the_data_sets_and_all(make_table):
    parts = list(slices(make_table(n_samples=5).samples))
    assert [(part.level, part.name, part.rows.tolist()) for part in parts] == [
        ("dataset", "A", [0, 2, 4]),
        ("dataset", "B", [1, 3]),
        ("full", "full", [0, 1, 2, 3, 4]),
    ]


def test_a_slice_is_measured_against_its_own_single_models(make_table):
    table = make_table(n_samples=30)
    predictions = predictions_for(table)
    metrics, _ = evaluate(table, 2.0, predictions, "lambda")
    rows = np.arange(0, 30, 2)
    utility, cost = table.utility[rows], table.cost[rows] / 2.0
    curve = operating_curve(predictions.u_hat[0, rows], predictions.c_hat[0, rows], utility, cost)
    value = metrics[(metrics["dataset"] == "A") & (metrics["metric"] == "nauc")]["value"].item()
    assert value == nauc(frontier(curve), single_models(utility, cost))


def test_metrics_are_means_over_the_trials(make_table):
    table = make_table(n_samples=30)
    both = predictions_for(table, trials=2)
    together, _ = evaluate(table, 1.0, both, "lambda")
    apart = [
        evaluate(
            table,
            1.0,
            Predictions(both.sample_ids, both.u_hat[[trial]], both.c_hat[[trial]]),
            "lambda",
        )[0]["value"]
        for trial in range(2)
    ]
    np.testing.assert_allclose(together["value"], (apart[0] + apart[1]) / 2)


def test_frontiers_are_in_both_units(make_table):
    table = make_table(n_samples=30)
    _, frontiers = evaluate(table, 4.0, predictions_for(table), "budget")
    np.testing.assert_allclose(frontiers["cost_usd"], frontiers["cost"] * 4)
    assert frontiers["dataset"].unique().tolist() == ["A", "B", "full"]


def test_predictions_of_other_samples_are_refused(make_table):
    table = make_table(n_samples=30)
    other = predictions_for(table.take(np.arange(30)[::-1]))
    with pytest.raises(InputError, match="of other samples"):
        evaluate(table, 1.0, other, "lambda")


def test_the_best_single_model_is_its_own_parity(make_table):
    metrics, models = evaluate_singles(make_table(n_samples=30), 2.0)
    assert (metrics[metrics["metric"] == "qnc"]["value"] == 1).all()
    full = models[models["dataset"] == "full"]
    peak = metrics[(metrics["dataset"] == "full") & (metrics["metric"] == "peak_score")]
    assert peak["value"].item() == full["utility"].max()


def test_a_model_that_misses_a_data_set_has_no_value_there(make_table):
    table = make_table(n_samples=30)
    table.utility[::2, 1] = table.cost[::2, 1] = np.nan
    metrics, models = evaluate_singles(table, 1.0)
    missing = models[(models["dataset"] == "A") & (models["model"] == "model-1")]
    assert missing["utility"].isna().all()
    assert missing["coverage"].item() == 0
    assert metrics["value"].notna().all()
