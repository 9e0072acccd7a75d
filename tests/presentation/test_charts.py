"""The chart by itself, as the notebooks show it, and the library that the report packs."""

import pytest
from made_up_chart import ROUTERS, lines_of, models_of

from mmroute.presentation.charts import empty_chart, frontier_chart, library

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("dataset", "chosen_on"), [("full", "train"), ("A", "test")])
def test_a_chart_holds_what_was_measured(dataset, chosen_on):
    lines, models = lines_of(), models_of()
    chart = frontier_chart(lines, models, ["knn"], dataset=dataset, chosen_on=chosen_on)
    data = chart.to_dict()["datasets"]
    own = lines[(lines["dataset"] == dataset) & (lines["chosen_on"] == chosen_on)]
    assert [row["utility"] for row in data["points"]] == own["utility"].tolist()
    assert data["points"][0]["traffic"] == "cheap 100%"
    assert data["points"][3]["usd"] == pytest.approx(10 * own["cost"].iloc[3])
    assert [row["model"] for row in data["models"]] == models["model"][:4].tolist()
    assert {row["static"] for row in data["static"]} == {"zero", "zero_hindsight"}
    # Between the points a line is as high as mixing them is.
    assert len(data["lines"]) > len(data["points"])


def test_a_router_of_one_point_stands_alone():
    points = frontier_chart(lines_of(), models_of(), []).to_dict()["datasets"]["points"]
    assert {row["router"] for row in points if row["alone"]} == {"random"}
    assert {row["router"] for row in points} == set(ROUTERS)


def test_the_reports_chart_comes_without_data():
    assert not any(empty_chart()["datasets"].values())


def test_the_library_is_one_script_of_a_megabyte_the_same_each_time():
    packed = library()
    assert packed == library()
    assert "</script" not in packed.lower()
    assert len(packed) < 1.1e6
