import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from mmroute.evaluation.static import ZERO
from mmroute.experiments.pool import ALL, BEST_SINGLE, GROWTH, NEWCOMER, OLD_POOL, Pool
from mmroute.presentation.figures import save

draw = Pool().draw
NAMES = ["cheap", "<b>middle</b>", "$dear$"]


@pytest.fixture
def table():
    rows = []
    for router, base in ((BEST_SINGLE, 0.5), (ZERO, 0.55), ("knn", 0.6), ("linear", 0.65)):
        for metric in ("nauc", "peak_score"):
            for size, model in enumerate(NAMES, 1):
                rows.append((GROWTH, router, model, size, ALL, metric, "", base + 0.05 * size))
            if router in (BEST_SINGLE, ZERO):
                continue
            for model in [*NAMES, ""]:
                for labels in (16, 64, ALL):
                    gain = 0.0 if model == "cheap" and labels == 16 else 0.01
                    rows.append((NEWCOMER, router, model, 3, labels, metric, OLD_POOL, gain))
    columns = ["study", "router", "model", "models", "labels", "metric", "minus", "value"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(low=frame["value"] - 0.02, high=frame["value"] + 0.02)


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def lines(axes):
    return {line.get_label(): line.get_ydata() for line in axes.lines}


def test_growth_has_a_line_per_router_and_one_of_each_reference(table):
    growth = draw(table, "A title").axes[:2]
    assert [axes.get_title() for axes in growth] == ["nAUC", "peak score"]
    for axes in growth:
        drawn = lines(axes)
        assert list(drawn) == ["knn", "linear", "best single model", "best static mixture"]
        np.testing.assert_allclose(drawn["knn"], [0.65, 0.7, 0.75])
        np.testing.assert_allclose(drawn["best single model"], [0.55, 0.6, 0.65])
        np.testing.assert_allclose(drawn["best static mixture"], [0.6, 0.65, 0.7])
        names = [label.get_text() for label in axes.get_xticklabels()]
        assert names == ["+ cheap", "+ <b>middle</b>", "+ $dear$"]


def test_a_new_model_starts_from_no_gain_and_the_mean_has_intervals(table):
    arrival = draw(table, "A title").axes[2:]
    assert [axes.get_title() for axes in arrival] == ["knn", "linear"]
    drawn = lines(arrival[0])
    np.testing.assert_allclose(drawn["cheap"], [0, 0, 0.01, 0.01])
    np.testing.assert_allclose(drawn["mean"], [0, 0.01, 0.01, 0.01])
    assert [label.get_text() for label in arrival[0].get_xticklabels()] == [
        "0",
        "16",
        "64",
        "all",
    ]
    (bars,) = arrival[0].collections
    np.testing.assert_allclose(bars.get_segments()[0][:, 1], [-0.01, 0.03])


def test_a_model_that_was_tried_on_few_samples_has_a_shorter_line(table):
    short = table[~((table["model"] == "cheap") & (table["labels"] == 64))]
    figure = draw(short, "A title")
    (line,) = [line for line in figure.axes[2].lines if line.get_label() == "cheap"]
    assert line.get_xdata().tolist() == [0, 1, 3]


def test_a_table_read_back_from_csv_is_drawn_alike(table, tmp_path):
    table.to_csv(tmp_path / "pool.csv", index=False)
    save(draw(table, "A title"), [tmp_path / "first.svg"])
    save(draw(pd.read_csv(tmp_path / "pool.csv"), "A title"), [tmp_path / "second.svg"])
    drawn = (tmp_path / "first.svg").read_bytes()
    assert drawn == (tmp_path / "second.svg").read_bytes()
    assert b"<b>" not in drawn


def test_a_pool_of_one_model_is_drawn(table, tmp_path):
    one = table[(table["study"] == GROWTH) & (table["models"] == 1)]
    save(draw(one, "A title"), [tmp_path / "one.png"])
    assert (tmp_path / "one.png").stat().st_size > 0
