"""Metrics by the number of labelled queries."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from mmroute.evaluation.static import ZERO
from mmroute.experiments.label_efficiency import AHEAD, BEST_SINGLE, STRONGEST, LabelEfficiency
from mmroute.presentation.figures import save

draw = LabelEfficiency().draw
COUNTS = {0.01: 3, 0.1: 20, 0.8: 200}


@pytest.fixture
def table():
    rows = [(BEST_SINGLE, np.nan, metric, "", 0.6) for metric in ("nauc", "peak_score")]
    for fraction, count in COUNTS.items():
        rows.append(("", fraction, "labels", "", count))
        if count < 5:
            continue
        for router in (STRONGEST, ZERO, "knn", "$<b>$"):
            for metric in ("nauc", "peak_score"):
                rows.append((router, fraction, metric, "", 0.5 + fraction / 10))
                rows.append((router, fraction, metric, BEST_SINGLE, 9.0))
    for metric in AHEAD:
        rows.append(("knn", 0.8, metric, "", 0.6))
        rows.append(("knn", 0.8, metric, ZERO, 9.0))
    frame = pd.DataFrame(rows, columns=["router", "fraction", "metric", "minus", "value"])
    return frame.assign(low=frame["value"] - 0.02, high=frame["value"] + 0.02)


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def named(axes):
    lines = {line.get_label(): line.get_xydata() for line in axes.lines}
    return {name: points for name, points in lines.items() if name[0] != "_" and len(points) > 0}


def test_each_router_is_a_line_over_the_number_of_labels(table):
    for axes in draw(table, "A title").axes:
        lines = named(axes)
        assert list(lines) == [
            "knn",
            "$<b>$",
            "strongest (same labels)",
            "best static mixture (same labels)",
            "best single model",
        ]
        np.testing.assert_allclose(lines["knn"], [[20, 0.51], [200, 0.58]])
        np.testing.assert_allclose(lines["best single model"][:, 1], 0.6)
        assert axes.get_xscale() == "log"


def test_what_is_extrapolated_continues_the_line_of_its_router_in_nauc_alone(table):
    area, peak = draw(table, "A title").axes
    (ahead,) = [line for line in area.lines if line.get_label().startswith("_")]
    np.testing.assert_allclose(ahead.get_xydata(), [[200, 0.58], [400, 0.6], [800, 0.6]])
    assert ahead.get_linestyle() == "--"
    assert ahead.get_color() == area.lines[0].get_color()
    assert [len(axes.collections) for axes in (area, peak)] == [5, 4]
    legend = [text.get_text() for text in area.figure.legends[0].get_texts()]
    assert legend[-1] == "extrapolated: a - b/√labels"


def test_a_wide_band_of_what_is_extrapolated_does_not_flatten_what_is_measured(table):
    table.loc[table["metric"].isin(AHEAD), ["low", "high"]] = -9.0, 9.0
    low, high = draw(table, "A title").axes[0].get_ylim()
    assert 0.4 < low < high < 0.7


def test_the_axis_names_counts_and_shares(table):
    area, peak = (
        [tick.get_text() for tick in axes.get_xticklabels()] for axes in draw(table, "A title").axes
    )
    assert peak == ["3\n1%", "20\n10%", "200\n80%"]
    assert area == [*peak, "400\n2x", "800\n4x"]


def test_bands_are_the_intervals(table):
    band = draw(table, "A title").axes[0].collections[0].get_paths()[0].vertices
    assert {*band[:, 1].round(6)} == {0.49, 0.53, 0.56, 0.6}


def test_a_table_without_any_trained_router_is_drawn(table, tmp_path):
    bare = table[table["router"].isin(["", BEST_SINGLE])]
    save(draw(bare, "A title"), [tmp_path / "bare.png"])
    assert (tmp_path / "bare.png").stat().st_size > 0


def test_a_table_read_back_from_csv_is_drawn_alike(table, tmp_path):
    table.to_csv(tmp_path / "labels.csv", index=False)
    save(draw(table, "$<b>$"), [tmp_path / "first.svg"])
    save(draw(pd.read_csv(tmp_path / "labels.csv"), "$<b>$"), [tmp_path / "second.svg"])
    drawn = (tmp_path / "first.svg").read_bytes()
    assert drawn == (tmp_path / "second.svg").read_bytes()
    assert b"<b>" not in drawn
