"""What the chart is filled with: few digits, no text that could end its element."""

import json

import numpy as np
import pytest
from made_up_chart import budgets_of, lines_of, models_of

from mmroute.report.interactive import Chart, chart_data


def data_of(lines=None, models=None, budgets=None):
    given = (lines_of(), models_of(), ["knn", "oracle"], budgets_of())
    own = (lines, models, None, budgets)
    both = zip(own, given, strict=True)
    return chart_data(*(other if mine is None else mine for mine, other in both))


def test_numbers_have_four_digits_and_what_is_undefined_is_null():
    lines = lines_of()
    lines["cost"] *= np.pi
    lines.loc[lines["dataset"] == "A", "low"] = np.nan
    lines["threshold"] = -np.inf
    full, other = data_of(lines)["datasets"]
    cost, _, low, _, threshold, _ = full["lines"]["train"]["knn"]
    assert cost[0] == 0.006283
    assert other["lines"]["train"]["knn"][2] == [None] * 8
    assert threshold == [None] * 8
    assert low[0] == pytest.approx(0.5)
    json.dumps(data_of(lines), allow_nan=False)


def test_all_data_sets_come_first_and_traffic_in_percent():
    data = data_of(lines_of(("A", "full")), models_of(("A", "full")))
    assert [own["name"] for own in data["datasets"]] == ["full", "A"]
    *_, traffic = data["datasets"][0]["lines"]["train"]["knn"]
    assert traffic[3] == [0, 57, 3, 43]


def test_the_oracle_does_not_squeeze_the_routers():
    full = data_of()["datasets"][0]
    assert full["height"][1] < 0.82 < max(full["lines"]["test"]["oracle"][1])


def test_a_shrunk_row_knows_its_twin():
    rows = {row["name"]: (row["shrunk"], row["twin"]) for row in data_of()["routers"]}
    assert rows["knn"] == (False, True)
    assert rows["knn+shrink"] == (True, False)
    assert rows["linear"] == (False, False)


def test_no_name_ends_the_element_that_holds_the_data():
    lines = lines_of().replace({"router": {"knn": "</script><script>alert(1)"}})
    chart = Chart("", {}, data_of(lines))
    assert "<" not in chart.json
    names = [row["name"] for row in json.loads(chart.json)["data"]["routers"]]
    assert "</script><script>alert(1)" in names
