"""Frontiers on text, image and both."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from mmroute.experiments.modality import SINGLE_MODEL, Modality
from mmroute.presentation.figures import save
from mmroute.presentation.looks import STATIC_LABELS

draw = Modality().draw
NAMES = ["<b>cheap</b>", "$dear$"]


@pytest.fixture
def table():
    rows = [
        (router, "", name, np.nan, metric, "", value)
        for router in (SINGLE_MODEL, "zero", "zero_hindsight")
        for name, *values in zip(NAMES, (0.1, 0.9), (0.4, 0.6), strict=True)
        for metric, value in zip(("cost", "accuracy"), values, strict=True)
    ]
    for router in ("kmeans", "knn"):
        for shift, features in enumerate(("text", "image", "adaptive")):
            for budget, cost in ((np.inf, 0.8), (0.1, 0.1), (0.5, 0.4)):
                rows.append((router, features, "", budget, "cost", "", cost))
                accuracy = 0.4 + 0.3 * cost + 0.01 * shift
                rows.append((router, features, "", budget, "accuracy", "", accuracy))
            rows.append((router, features, "", np.nan, "nauc", "", 0.5))
        rows.append((router, "adaptive", "", np.nan, "nauc", "text", 0.02))
    columns = ["router", "features", "model", "budget", "metric", "minus", "value"]
    return pd.DataFrame(rows, columns=columns)


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def test_a_panel_per_router_has_a_line_per_features_and_the_single_models(table):
    figure = draw(table, "A title")
    assert [axes.get_title() for axes in figure.axes] == ["kmeans", "knn"]
    for axes in figure.axes:
        lines = {line.get_label(): line for line in axes.lines}
        static = [*STATIC_LABELS.values()]
        assert list(lines) == ["single model", *static, "text", "image", "adaptive"]
        assert sorted(lines["single model"].get_xydata().tolist()) == [[0.1, 0.4], [0.9, 0.6]]
        for name in static:
            cost, utility = lines[name].get_data()
            np.testing.assert_allclose(utility, np.interp(cost, [0.1, 0.9], [0.4, 0.6]))


def test_a_line_rises_with_the_budget_to_a_dot_at_the_peak(table):
    line = next(line for line in draw(table, "A title").axes[0].lines if line.get_label() == "text")
    cost, accuracy = line.get_data()
    assert [cost[0], cost[-1]] == [0.1, 0.8]
    np.testing.assert_allclose(accuracy, np.interp(cost, [0.1, 0.4, 0.8], [0.43, 0.52, 0.64]))
    assert line.get_markevery() == [-1]
    assert line.get_marker() == "o"


def test_costs_are_on_a_log_scale_unless_one_is_free(table):
    assert draw(table, "A title").axes[0].get_xscale() == "log"
    free = table.assign(value=table["value"].where(table["value"] != 0.1, 0.0))
    axes = draw(free, "A title").axes[0]
    assert axes.get_xscale() == "linear"
    assert axes.get_xlim()[0] <= 0


def test_a_table_read_back_from_csv_is_drawn_alike(table, tmp_path):
    table.to_csv(tmp_path / "fig2.csv", index=False)
    save(draw(table, "$<b>$"), [tmp_path / "first.svg"])
    save(draw(pd.read_csv(tmp_path / "fig2.csv"), "$<b>$"), [tmp_path / "second.svg"])
    drawn = (tmp_path / "first.svg").read_bytes()
    assert drawn == (tmp_path / "second.svg").read_bytes()
    assert b"<b>" not in drawn
