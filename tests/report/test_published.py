"""Published values are the papers', and stand beside results without changing them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmroute.errors import InputError
from mmroute.report.published import applies, beside

FOLDER = Path(__file__).parents[2] / "config/published"


@pytest.mark.parametrize(
    ("name", "where", "value"),
    [
        ("table2", {"dataset": "OCRBench", "router": "kmeans", "metric": "nauc"}, 0.9126),
        ("table2", {"dataset": "full", "router": "linear_mf", "metric": "peak_score"}, 0.7533),
        ("table2", {"dataset": "MathVision", "router": "oracle", "metric": "nauc"}, 0.8031),
        ("tableS4", {"dataset": "MMStar", "router": "knn", "metric": "qnc"}, 0.486),
        ("tableS4", {"dataset": "full", "router": "knn", "metric": "qnc"}, np.inf),
        ("table3", {"router": "knn", "metric": "nauc", "minus": "mean"}, -0.0074),
        ("table3", {"router": "mlp_mf", "fusion": "adaptive", "metric": "qnc"}, 0.9947),
        ("table4", {"scenario": "Math", "router": "any"}, 0.7914),
        ("table5", {"dataset": "ARC", "router": "best_single"}, 0.657),
    ],
)
def test_values_are_the_papers(name, where, value):
    table = pd.read_csv(FOLDER / f"{name}.csv")
    for column, wanted in where.items():
        table = table[table[column] == wanted]
    assert table["value"].item() == value


@pytest.mark.parametrize(
    ("name", "rows"),
    [("table2", 104), ("table3", 16), ("table4", 6), ("table5", 6), ("tableS4", 40)],
)
def test_no_cell_of_the_papers_tables_is_missing(name, rows):
    assert len(pd.read_csv(FOLDER / f"{name}.csv")) == rows


def test_they_apply_to_the_papers_pool_only():
    models = pd.read_csv(FOLDER / "models.csv")["model"].tolist()
    assert applies(FOLDER, models[::-1])
    assert not applies(FOLDER, models[1:])
    assert not applies(FOLDER, [*models, "another"])


def test_they_stand_beside_every_row_and_drop_none():
    table = pd.DataFrame(
        {
            "dataset": ["full", "full", "elsewhere"],
            "router": ["knn", "own", "knn"],
            "metric": "nauc",
            "value": [0.1, 0.2, 0.3],
        }
    )
    joined = beside(table, FOLDER, ["table2"])
    pd.testing.assert_frame_equal(joined.drop(columns="published"), table)
    np.testing.assert_array_equal(joined["published"], [0.6950, np.nan, np.nan])


def test_a_nameless_router_is_beside_each_and_means_only():
    table = pd.DataFrame(
        {
            "scenario": "Math",
            "train": ["", "A", "", ""],
            "test": ["", "B", "", ""],
            "router": ["knn", "knn", "best_single", "zero"],
            "metric": "peak_score",
            "minus": "",
        }
    )
    joined = beside(table, FOLDER, ["table4"])
    np.testing.assert_array_equal(joined["published"], [0.7914, np.nan, 0.7592, np.nan])


def test_a_difference_and_a_value_are_not_mixed_up():
    table = pd.DataFrame(
        {
            "router": "kmeans",
            "fusion": "adaptive",
            "metric": ["nauc", "nauc", "qnc"],
            "minus": ["mean", np.nan, np.nan],
        }
    )
    joined = beside(table, FOLDER, ["table3"])
    np.testing.assert_array_equal(joined["published"], [0.3403, np.nan, 1.0585])


def test_what_was_not_published_leaves_the_column_empty():
    assert beside(pd.DataFrame({"router": ["knn"]}), FOLDER, ["pool"])["published"].isna().all()


@pytest.mark.parametrize("text", ["router,colour,value\nknn,red,1\n", "router,value\na,1\na,2\n"])
def test_a_table_that_does_not_fit_is_refused(tmp_path, text):
    (tmp_path / "table9.csv").write_text(text)
    with pytest.raises(InputError, match=r"table9\.csv"):
        beside(pd.DataFrame({"router": ["a"]}), tmp_path, ["table9"])


def test_two_tables_of_a_paper_can_hold_parts_of_one():
    table = pd.DataFrame({"dataset": "full", "router": "knn", "metric": ["nauc", "qnc"]})
    joined = beside(table, FOLDER, ["table2", "tableS4"])
    np.testing.assert_array_equal(joined["published"], [0.6950, np.inf])
