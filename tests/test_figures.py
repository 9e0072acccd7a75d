from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from mmroute.figures import draw, read_frontiers, save
from mmroute.storage import write_frame

NAMES = ("frontier", "frontier_by_dataset", "pool")


def results(n_models=10, free=False):
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
            }
        )
        for dataset in ("A$_", "B", "C", "D", "full")
    ]
    models = pd.concat(parts, ignore_index=True)
    lines = models.rename(columns={"model": "router"})[["dataset", "cost", "utility"]]
    frontiers = pd.concat(
        [lines.assign(router=name, trial=0) for name in ("knn", "oracle")]
        + [models.groupby("dataset").head(1).assign(router="random", trial=0)],
        ignore_index=True,
    )
    return frontiers, models


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.mark.parametrize("name", ["frontier", "pool"])
@pytest.mark.parametrize("n_models", [1, 10, 17])
def test_no_two_labels_overlap(name, n_models):
    figure = draw(name, *results(n_models), "title")
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text()]
    assert len(boxes) == n_models
    assert not any(first.overlaps(second) for first, second in combinations(boxes, 2))


def test_costs_are_on_a_log_axis_also_with_a_free_model():
    assert draw("frontier", *results(), "title").axes[0].get_xscale() == "log"
    assert draw("frontier", *results(free=True), "title").axes[0].get_xscale() == "symlog"


def test_the_grid_has_a_panel_per_data_set():
    figure = draw("frontier_by_dataset", *results(), "title")
    titles = [axes.get_title() for axes in figure.axes if axes.axison]
    assert titles == ["A$_", "B", "C", "D"]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_results_give_the_same_svg(name, tmp_path):
    for run in ("one", "two"):
        save(draw(name, *results(), "title"), [tmp_path / f"{run}.svg", tmp_path / f"{run}.png"])
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_frontiers_are_read_with_their_routers_names(tmp_path):
    write_frame(tmp_path / "a.parquet", pd.DataFrame({"cost": [1.0]}))
    frame = read_frontiers(["knn"], [str(tmp_path / "a.parquet")])
    assert frame.to_dict("records") == [{"cost": 1.0, "router": "knn"}]
