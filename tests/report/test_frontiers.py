"""Figures: bands, reliability curves, readable labels, the same bytes each time."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import same_color

from mmroute.presentation.figures import save
from mmroute.presentation.looks import STATIC_LABELS
from mmroute.presentation.tables import read_by_router
from mmroute.report.frontiers import draw
from mmroute.storage import write_frame

pytestmark = pytest.mark.slow

NAMES = ("fig4", "figS1", "calibration", "models")
HOSTILE = r"A$_{\frac{$<b>&"


def results(n_models=10, free=False):
    """Return frontiers, bands, calibration and models, as ``draw`` takes them."""
    generator = np.random.default_rng(0)
    cost = np.geomspace(0.001, 1, n_models)
    if free:
        cost[0] = 0
    parts = [
        pd.DataFrame(
            {
                "dataset": dataset,
                "model": [f"a-model-with-a-name-{index}" for index in range(n_models)],
                "cost": cost,
                "cost_usd": cost * 0.02,
                "utility": 0.5 + 0.02 * generator.random(n_models),
                "zero": np.isin(np.arange(n_models), [0, n_models // 2]),
                "zero_hindsight": np.isin(np.arange(n_models), [0, n_models - 1]),
            }
        )
        for dataset in (HOSTILE, "B", "C", "D", "full")
    ]
    models = pd.concat(parts, ignore_index=True)
    lines = models[["dataset", "cost", "utility"]]
    points = models.groupby("dataset").head(1)[["dataset", "cost", "utility"]]
    frontiers = pd.concat(
        [lines.assign(router=name) for name in ("knn", "svm", "oracle")]
        + [points.assign(router="random")],
        ignore_index=True,
    ).assign(trial=0)
    margin = frontiers["dataset"].eq("full").map({True: 0.01, False: 0.3})
    bands = frontiers.assign(
        low=frontiers["utility"] - margin, high=frontiers["utility"] + margin
    ).drop(columns=["utility", "trial"])
    calibration = pd.concat(
        [
            pd.DataFrame(
                {
                    "router": router,
                    "point": point,
                    "predicted": [0.1, 0.5, 0.8],
                    "observed": observed,
                    "low": [0.1, 0.3, 0.5],
                    "high": [0.3, 0.5, 0.75],
                    "samples": 5,
                }
            )
            for router in ("knn", HOSTILE)
            for point, observed in (("peak", [0.2, 0.4, 0.7]), ("parity", [0.9, 0.9, 0.9]))
        ],
        ignore_index=True,
    )
    return frontiers, bands, calibration, models


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def panels(figure):
    return [axes for axes in figure.axes if axes.axison]


def bands_of(axes):
    return [drawn for drawn in axes.collections if isinstance(drawn, PolyCollection)]


def line_of(axes, router):
    return next(line for line in axes.lines if line.get_label().startswith(router))


@pytest.mark.parametrize(("name", "n_lines"), [("fig4", 2), ("models", 0)])
@pytest.mark.parametrize("n_models", [1, 10, 17])
def test_no_two_labels_of_models_and_lines_overlap(name, n_lines, n_models):
    figure = draw(name, *results(n_models), "title")
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text()]
    assert len(boxes) == n_models + n_lines
    assert not any(first.overlaps(second) for first, second in combinations(boxes, 2))


def test_costs_are_on_a_log_axis_also_with_a_free_model():
    assert draw("fig4", *results(), "title").axes[0].get_xscale() == "log"
    assert draw("fig4", *results(free=True), "title").axes[0].get_xscale() == "symlog"


def test_figures_of_models_that_are_all_free_are_drawn():
    frontiers, bands, calibration, models = results()
    for frame in (frontiers, bands, models):
        frame["cost"] = 0.0
    models["cost_usd"] = 0.0
    for name in NAMES:
        figure = draw(name, frontiers, bands, calibration, models, "title")
        figure.canvas.draw()


def test_the_grid_has_a_panel_per_data_set():
    figure = draw("figS1", *results(), "title")
    assert [axes.get_title() for axes in panels(figure)] == [HOSTILE, "B", "C", "D"]


def test_a_name_that_is_none_of_the_figures_is_refused():
    with pytest.raises(ValueError, match="histogram"):
        draw("histogram", *results(), "title")


# --- confidence bands -------------------------------------------------------------------------


def test_routers_with_several_points_have_a_band_in_their_colour_and_the_oracle_has_none():
    axes = draw("fig4", *results(), "title").axes[0]
    drawn = bands_of(axes)
    assert len(drawn) == 2
    for band, router in zip(drawn, ("knn", "svm"), strict=True):
        assert same_color(band.get_facecolor()[0][:3], line_of(axes, router).get_color())


def test_a_band_runs_from_its_lower_to_its_upper_bound_at_each_cost():
    frontiers, bands, calibration, models = results()
    axes = draw("fig4", frontiers, bands, calibration, models, "title").axes[0]
    own = bands[(bands["router"] == "knn") & (bands["dataset"] == "full")]
    outline = bands_of(axes)[0].get_paths()[0].vertices
    for cost, low, high in own[["cost", "low", "high"]].itertuples(index=False):
        there = outline[np.isclose(outline[:, 0], cost), 1]
        assert there.min() == pytest.approx(low)
        assert there.max() == pytest.approx(high)


def test_a_band_of_another_data_set_is_not_drawn():
    frontiers, bands, calibration, models = results()
    elsewhere = bands[bands["dataset"] != "full"]
    axes = draw("fig4", frontiers, elsewhere, calibration, models, "title").axes[0]
    assert bands_of(axes) == []


def test_the_legend_names_every_router_and_how_high_the_oracle_goes():
    frontiers, bands, calibration, models = results()
    frontiers.loc[frontiers["router"] == "oracle", "utility"] = 0.97
    axes = draw("fig4", frontiers, bands, calibration, models, "title").axes[0]
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["knn", "svm", "oracle (up to 0.97)", "random"]


def test_the_oracle_does_not_squeeze_the_routers():
    frontiers, bands, calibration, models = results()
    frontiers.loc[frontiers["router"] == "oracle", "utility"] = 0.97
    axes = draw("fig4", frontiers, bands, calibration, models, "title").axes[0]
    assert 0.52 < axes.get_ylim()[1] < 0.6


def test_a_router_with_one_operating_point_is_a_diamond():
    axes = draw("fig4", *results(), "title").axes[0]
    assert line_of(axes, "random").get_marker() == "D"
    assert line_of(axes, "knn").get_marker() == "None"


# --- static mixtures --------------------------------------------------------------------------


@pytest.mark.parametrize("free", [False, True])
def test_the_lines_of_static_mixtures_run_straight_over_cost_through_their_models(free):
    models = results(free=free)[-1].query("dataset == 'full'")
    axes = draw("fig4", *results(free=free), "title").axes[0]
    texts = [text.get_text() for text in axes.texts]
    for name in ("zero", "zero_hindsight"):
        cost, utility = line_of(axes, f"_{name}").get_data()
        own = models[models[name]]
        assert set(own["cost"]) <= set(cost)
        np.testing.assert_allclose(utility, np.interp(cost, own["cost"], own["utility"]))
        # Right of its dearest model it stays as accurate.
        assert cost[-1] == models["cost"].max()
        assert STATIC_LABELS[name] in texts


def test_a_frontier_is_drawn_as_what_mixing_its_points_reaches():
    frontiers, *others = results()
    axes = draw("fig4", frontiers, *others, "title").axes[0]
    own = frontiers[(frontiers["router"] == "knn") & (frontiers["dataset"] == "full")]
    cost, utility = line_of(axes, "knn").get_data()
    np.testing.assert_allclose(utility, np.interp(cost, own["cost"], own["utility"]))
    assert len(cost) > 100


def test_the_panels_name_the_static_mixtures_in_their_legend():
    (legend,) = draw("figS1", *results(), "title").legends
    names = {text.get_text() for text in legend.get_texts()}
    assert {*STATIC_LABELS.values(), "single model"} < names


# --- calibration ------------------------------------------------------------------------------


def test_the_calibration_figure_has_a_panel_per_router_with_the_diagonal():
    figure = draw("calibration", *results(), "title")
    assert [axes.get_title() for axes in panels(figure)] == ["knn", HOSTILE]
    for axes in panels(figure):
        assert [[0, 0], [1, 1]] in [line.get_xydata().tolist() for line in axes.lines]


def test_a_panel_shows_observed_against_predicted_utility_at_the_peak():
    figure = draw("calibration", *results(), "title")
    for axes in panels(figure):
        curves = [line.get_xydata().tolist() for line in axes.lines]
        assert [[0.1, 0.2], [0.5, 0.4], [0.8, 0.7]] in curves
        assert not any(0.9 in np.ravel(curve) for curve in curves)


def test_the_bars_of_a_panel_are_the_intervals_of_what_was_observed():
    axes = panels(draw("calibration", *results(), "title"))[0]
    (bars,) = (drawn for drawn in axes.collections if isinstance(drawn, LineCollection))
    np.testing.assert_allclose(
        bars.get_segments(),
        [[[0.1, 0.1], [0.1, 0.3]], [[0.5, 0.3], [0.5, 0.5]], [[0.8, 0.5], [0.8, 0.75]]],
    )


@pytest.mark.parametrize(("predicted", "end"), [(1.6, 1), (-0.7, 0)])
def test_predictions_beyond_the_unit_interval_are_in_view(predicted, end):
    frontiers, bands, calibration, models = results()
    calibration["predicted"] = calibration["predicted"].replace(0.8, predicted)
    axes = panels(draw("calibration", frontiers, bands, calibration, models, "title"))[0]
    low, high = axes.get_xlim()
    assert low < min(0, predicted)
    assert high > max(1, predicted)
    assert abs((low, high)[end] - predicted) < 0.1


@pytest.mark.parametrize("n_routers", [1, 4, 5, 9])
def test_every_router_has_one_panel_however_many_there_are(n_routers):
    frontiers, bands, calibration, models = results()
    one = calibration[calibration["router"] == "knn"]
    names = [f"router-{index}" for index in range(n_routers)]
    many = pd.concat([one.assign(router=name) for name in names])
    figure = draw("calibration", frontiers, bands, many, models, "title")
    assert [axes.get_title() for axes in panels(figure)] == names


def test_where_no_router_predicts_the_calibration_figure_is_blank(tmp_path):
    frontiers, bands, calibration, models = results()
    figure = draw("calibration", frontiers, bands, calibration.iloc[:0], models, "title")
    assert panels(figure) == []
    save(figure, [tmp_path / "empty.svg"])
    assert (tmp_path / "empty.svg").stat().st_size > 0


# --- files ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_same_results_give_the_same_bytes(name, tmp_path):
    for run in ("one", "two"):
        figure = draw(name, *results(), HOSTILE)
        save(figure, [tmp_path / f"{run}.svg", tmp_path / f"{run}.png"])
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_files_are_read_with_their_routers_names(tmp_path):
    for name, cost in (("a", 1.0), ("b", 2.0)):
        write_frame(tmp_path / f"{name}.parquet", pd.DataFrame({"cost": [cost]}))
    paths = [str(tmp_path / f"{name}.parquet") for name in "ab"]
    assert read_by_router(["knn", "svm"], paths).to_dict("records") == [
        {"cost": 1.0, "router": "knn"},
        {"cost": 2.0, "router": "svm"},
    ]


def test_a_router_without_a_file_is_noticed(tmp_path):
    write_frame(tmp_path / "a.parquet", pd.DataFrame({"cost": [1.0]}))
    with pytest.raises(ValueError, match="shorter"):
        read_by_router(["knn", "svm"], [str(tmp_path / "a.parquet")])
