"""Difficulties and abilities."""

import numpy as np
import pytest
from matplotlib import pyplot as plt
from scipy.special import expit

from mmroute.experiments.findings import summarise
from mmroute.experiments.item_response import ItemResponse
from mmroute.predictions import Predictions


@pytest.fixture
def setting(make_table, make_setting):
    table = make_table(
        n_samples=4,
        n_models=2,
        utility=np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0], [1.0, np.nan]]),
    )
    table.samples["dataset"] = ["a", "a", "b", "b"]
    return make_setting(table, table, 1.0, "lambda", 0, 0)


def find(setting, chances):
    own = Predictions(setting.table.samples["sample_id"], chances[None], chances[None])
    return summarise([ItemResponse().findings(setting, {"irt": own}, {})])


def value(found, kind, name, metric):
    ((one,),) = found.query("kind == @kind and name == @name and metric == @metric")[
        ["value"]
    ].to_numpy()
    return one


def test_difficulties_and_abilities_are_those_of_the_logits(setting):
    difficulty, ability = np.array([-2.0, 0.0, 1.0, 3.0]), np.array([0.5, -0.5])
    found = find(setting, expit(ability - difficulty[:, None]))
    first, second = setting.table.model_names
    assert value(found, "model", first, "ability") == pytest.approx(0.5)
    assert value(found, "model", second, "ability") == pytest.approx(-0.5)
    assert value(found, "dataset", "a", "difficulty") == pytest.approx(-1)
    assert value(found, "dataset", "b", "difficulty") == pytest.approx(2)
    assert value(found, "full", "full", "difficulty") == pytest.approx(0.5)


def test_a_missing_outcome_does_not_count(setting):
    found = find(setting, np.full((4, 2), 0.5))
    first, second = setting.table.model_names
    assert value(found, "model", first, "accuracy") == pytest.approx(3 / 4)
    assert value(found, "model", second, "accuracy") == pytest.approx(1 / 3)
    assert value(found, "dataset", "b", "accuracy") == pytest.approx(1 / 2)


def test_the_correlation_is_pearsons(setting):
    difficulty = np.array([-2.0, 0.0, 1.0, 3.0])
    found = find(setting, expit(-np.tile(difficulty[:, None], 2)))
    expected = np.corrcoef(difficulty, [1, 0.5, 0, 1])[0, 1]
    assert value(found, "full", "full", "correlation") == pytest.approx(expected)
    assert np.isnan(value(find(setting, np.full((4, 2), 0.5)), "full", "full", "correlation"))


def test_a_certain_prediction_has_a_finite_difficulty(setting):
    found = find(setting, np.ones((4, 2)))
    assert np.isfinite(value(found, "full", "full", "difficulty"))


def test_the_ablest_model_and_the_hardest_data_set_come_first(setting):
    found = find(setting, expit(np.array([-1.0, 1.0]) - np.array([[-1.0], [0.0], [2.0], [2.0]])))
    shown = ItemResponse().present(found)
    assert shown["Name"].tolist() == [*setting.table.model_names[::-1], "b", "a", ""]
    figure = ItemResponse().draw(found, "title")
    models, datasets = figure.axes
    assert [text.get_text() for text in datasets.get_yticklabels()] == ["a", "b"]
    assert models.lines[0].get_xdata().tolist() == pytest.approx([-1, 1])
    plt.close(figure)
