"""Published values are the papers', and stand beside results without changing them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmroute.errors import InputError
from mmroute.experiments import mmr, vl
from mmroute.report.published import beside, paper_of
from mmroute.routers.soft_labels import INFINITE
from mmroute.sources.mmr_release import SCENARIOS as MMR_DATASETS
from mmroute.sources.vl_release import SCENARIOS as VL_DATASETS

FOLDER = Path(__file__).parents[2] / "config/published"
MMR, VL = FOLDER / "mmr_bench", FOLDER / "vl_routerbench"
OWN_RANGE = "nauc_own_range"


@pytest.mark.parametrize(
    ("name", "where", "value"),
    [
        ("mmr_main", {"dataset": "OCRBench", "router": "kmeans", "metric": OWN_RANGE}, 0.9126),
        ("mmr_main", {"dataset": "full", "router": "linear_mf", "metric": "peak_score"}, 0.7533),
        ("mmr_main", {"dataset": "MathVision", "router": "oracle", "metric": OWN_RANGE}, 0.8031),
        ("mmr_main", {"dataset": "MMStar", "router": "knn", "metric": "qnc"}, 0.486),
        ("mmr_main", {"dataset": "full", "router": "knn", "metric": "qnc"}, np.inf),
        ("table3", {"router": "knn", "metric": "nauc", "minus": "mean"}, -0.0074),
        ("table3", {"router": "mlp_mf", "fusion": "adaptive", "metric": "qnc"}, 0.9947),
        ("table4", {"scenario": "Math", "router": "any"}, 0.7914),
        ("table5", {"dataset": "ARC", "router": "best_single"}, 0.657),
        ("vl_main", {"router": "routerdc", "point": "test", "metric": "rank_score"}, 74.59),
        ("vl_main", {"router": "strongest", "metric": "cost_usd"}, 2.72e-4),
        ("vl_main", {"router": "mlp_vl", "lambda": INFINITE, "metric": "accuracy"}, 0.5932),
    ],
)
def test_values_are_the_papers(name, where, value):
    table = pd.read_csv(next(FOLDER.glob(f"*/{name}.csv")))
    for column, wanted in where.items():
        table = table[table[column] == wanted]
    assert table["value"].item() == value


@pytest.mark.parametrize(
    ("name", "rows"),
    [("mmr_main", 104 + 40), ("table3", 16), ("table4", 6), ("table5", 6), ("vl_main", 12)],
)
def test_no_cell_of_the_papers_tables_is_missing(name, rows):
    assert len(pd.read_csv(next(FOLDER.glob(f"*/{name}.csv")))) == rows


@pytest.mark.parametrize(("paper", "scenarios"), [(MMR, MMR_DATASETS), (VL, VL_DATASETS)])
def test_they_apply_to_the_papers_pool_and_data_sets_only(paper, scenarios):
    models = pd.read_csv(paper / "models.csv")["model"].tolist()
    datasets = list(scenarios)
    assert paper_of(FOLDER, models[::-1], datasets[::-1]) == paper
    for others in (models[1:], [*models, "another"]):
        assert paper_of(FOLDER, others, datasets) is None
    for others in (datasets[1:], [*datasets, "another"]):
        assert paper_of(FOLDER, models, others) is None


@pytest.mark.parametrize("paper", [MMR, VL])
def test_every_published_table_says_its_protocol(paper):
    told = pd.read_csv(paper / "protocols.csv")
    tables = {path.stem for path in paper.glob("*.csv")} - {"models", "datasets", "protocols"}
    assert set(told["table"]) == tables
    assert told["protocol"].str.len().min() > 20


def test_an_area_over_another_range_has_no_published_twin():
    """Our main table has no published values, and theirs is of this protocol's metric alone."""
    published = pd.read_csv(MMR / "mmr_main.csv")
    assert set(published["metric"]) == {*mmr.METRICS, "nauc"}
    # Printed as 1.0000, which is no area under its own curve.
    assert set(published[published["metric"] == "nauc"]["router"]) == {"best_single"}
    assert not list(FOLDER.glob("*/table2.csv"))


def test_they_stand_beside_every_row_and_drop_none():
    table = pd.DataFrame(
        {
            "dataset": ["full", "full", "elsewhere"],
            "router": ["knn", "own", "knn"],
            "metric": OWN_RANGE,
            "value": [0.1, 0.2, 0.3],
        }
    )
    joined = beside(table, MMR, "mmr_main", "ours", {"knn": "class: linear", "own": ""})
    pd.testing.assert_frame_equal(joined[table.columns.tolist()], table)
    np.testing.assert_array_equal(joined["published"], [0.6950, np.nan, np.nan])
    assert joined["protocol"].tolist() == ["ours; class: linear", "ours", "ours; class: linear"]
    assert joined["published_protocol"].isna().tolist() == [False, True, True]
    assert joined["published_protocol"][0].startswith(
        "budget policy; trained on the data set alone"
    )


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
    joined = beside(table, MMR, "table4", "ours", {})
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
    joined = beside(table, MMR, "table3", "ours", {})
    np.testing.assert_array_equal(joined["published"], [0.3403, np.nan, 1.0585])


def test_the_lambdas_of_a_grid_are_told_apart():
    table = pd.DataFrame(
        {
            "router": "mlp_vl",
            "point": ["grid", "grid", "grid", "test"],
            "lambda": [0.0, 100.0, INFINITE, np.nan],
            "metric": "accuracy",
            "minus": "",
        }
    )
    joined = beside(table, VL, vl.VL.output, "ours", {})
    np.testing.assert_array_equal(joined["published"], [0.7925, 0.7749, 0.5932, np.nan])


def test_what_was_not_published_is_as_it_was():
    table = pd.DataFrame({"router": ["knn"]})
    assert beside(table, MMR, "pool", "ours", {}) is table


def test_a_table_without_a_protocol_is_refused(tmp_path):
    (tmp_path / "table9.csv").write_text("router,value\na,1\n")
    (tmp_path / "protocols.csv").write_text("table,protocol\n")
    with pytest.raises(InputError, match=r"protocols\.csv: no row for the table table9"):
        beside(pd.DataFrame({"router": ["a"]}), tmp_path, "table9", "ours", {})


@pytest.mark.parametrize("text", ["router,colour,value\nknn,red,1\n", "router,value\na,1\na,2\n"])
def test_a_table_that_does_not_fit_is_refused(tmp_path, text):
    (tmp_path / "table9.csv").write_text(text)
    with pytest.raises(InputError, match=r"table9\.csv"):
        beside(pd.DataFrame({"router": ["a"]}), tmp_path, "table9", "ours", {})
