"""Accuracy against cost at each lambda."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import same_color

from mmroute.experiments.vl import VL
from mmroute.presentation.figures import save

draw = VL().draw
HOSTILE = "$x <b> & router"


def rows(router, point, lambdas, costs, accuracies):
    return [
        {
            "router": router,
            "point": point,
            "lambda": value,
            "metric": metric,
            "minus": "",
            "value": measured,
        }
        for value, cost, accuracy in zip(lambdas, costs, accuracies, strict=True)
        for metric, measured in (("cost", cost), ("accuracy", accuracy), ("rank_score", 50.0))
    ]


@pytest.fixture
def table():
    nan = np.nan
    return pd.DataFrame(
        rows("best_single", "test", [nan], [0.3], [0.6])
        + rows("zero", "model one", [nan], [0.1], [0.5])
        + rows("zero", "model two", [nan], [0.3], [0.6])
        + rows("knn_vl", "grid", [0.0, 1.0, 10.0], [0.8, 0.4, 0.1], [0.7, 0.6, 0.5])
        + rows("knn_vl", "training", [nan], [0.4], [0.6])
        + rows("knn_vl", "test", [nan], [0.8], [0.7])
        + rows(HOSTILE, "grid", [0.0, 1.0], [0.5, 0.2], [0.62, 0.52])
        + rows(HOSTILE, "training", [nan], [0.2], [0.52])
        + rows("oracle", "grid", [0.0, 1.0], [0.2, 0.1], [0.97, 0.9])
    )


def line_of(figure, label):
    return next(line for line in figure.axes[0].lines if line.get_label() == label)


def test_every_lambda_of_a_router_is_a_point_in_the_order_of_the_grid(table):
    shuffled = table.sample(frac=1, random_state=0)
    line = line_of(draw(shuffled, "title"), "knn_vl")
    assert line.get_xydata().tolist() == [[0.8, 0.7], [0.4, 0.6], [0.1, 0.5]]
    assert line.get_marker() != "None"


def test_a_star_of_the_routers_colour_stands_where_training_puts_it(table):
    figure = draw(table, "title")
    stars = [line for line in figure.axes[0].lines if line.get_marker() == "*"]
    assert [star.get_xydata().tolist() for star in stars] == [[[0.4, 0.6]], [[0.2, 0.52]]]
    for star, router in zip(stars, ("knn_vl", HOSTILE), strict=True):
        assert same_color(star.get_color(), line_of(figure, router).get_color())


def test_the_best_single_model_is_a_reference(table):
    line = line_of(draw(table, "title"), "best single model (by rank score)")
    assert line.get_xydata().tolist() == [[0.3, 0.6]]


def test_static_mixtures_are_a_reference_line_and_no_router(table):
    figure = draw(table, "title")
    cost, utility = line_of(figure, "zero (no router)").get_data()
    np.testing.assert_allclose(utility, np.interp(cost, [0.1, 0.3], [0.5, 0.6]))
    assert "zero" not in {line.get_label() for line in figure.axes[0].lines}


def test_the_oracle_is_named_and_does_not_squeeze_the_routers(table):
    figure = draw(table, "title")
    assert line_of(figure, "oracle (up to 0.97)").get_linestyle() == ":"
    low, high = figure.axes[0].get_ylim()
    assert 0.45 < low < 0.5
    assert 0.7 < high < 0.75


def test_a_free_operating_point_is_in_view(table):
    free = table.assign(value=table["value"].where(table["value"] != 0.1, 0.0))
    axes = draw(free, "title").axes[0]
    assert axes.get_xlim()[0] <= 0


def test_costs_are_on_a_log_scale(table):
    assert draw(table, "title").axes[0].get_xscale() == "log"


def test_differences_are_not_drawn(table):
    gain = table[table["point"] == "training"].assign(minus="best_single", value=9.0)
    figure = draw(pd.concat([table, gain[gain["metric"] == "rank_score"]]), "title")
    assert max(line.get_ydata().max() for line in figure.axes[0].lines if len(line.get_ydata())) < 1


def test_the_same_table_gives_the_same_bytes(table, tmp_path):
    for name in ("a", "b"):
        save(draw(table, HOSTILE), [tmp_path / f"{name}.svg"])
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
