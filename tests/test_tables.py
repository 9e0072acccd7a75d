import math

import pandas as pd
import pytest

from mmroute.tables import aggregate, neutral_cell, to_latex, to_markdown, wide, write_csv


def measured(values):
    """Build per-slice metrics of one router from {(salt, dataset): value}."""
    rows = [
        ("knn", salt, "full" if dataset == "full" else "dataset", dataset, "nauc", value)
        for (salt, dataset), value in values.items()
    ]
    return pd.DataFrame(rows, columns=["router", "salt", "level", "dataset", "metric", "value"])


SCENARIOS = {"A": "Text", "B": "Text", "C": "Maths"}


def test_macro_averages_weigh_data_sets_then_scenarios_equally():
    table = aggregate(
        measured({("0", "A"): 0.2, ("0", "B"): 0.4, ("0", "C"): 0.9, ("0", "full"): 0.5}), SCENARIOS
    )
    values = table.set_index("dataset")["value"]
    assert values["Text (macro)"] == pytest.approx(0.3)
    assert values["Maths (macro)"] == pytest.approx(0.9)
    assert values["macro"] == pytest.approx(0.6)
    assert values["full"] == 0.5


def test_salts_are_averaged_and_their_spread_reported():
    table = aggregate(
        measured({("0", "A"): 0.2, ("1", "A"): 0.4, ("0", "full"): math.inf, ("1", "full"): 0.5}),
        SCENARIOS,
    ).set_index("dataset")
    assert table.loc["A", "value"] == pytest.approx(0.3)
    assert table.loc["A", "salt_sd"] == pytest.approx(0.1 * 2**0.5)
    assert table.loc["A", "salts"] == 2
    assert table.loc["full", "value"] == math.inf
    assert math.isnan(table.loc["full", "salt_sd"])


def test_a_hostile_name_stays_text_in_every_format(tmp_path):
    name = "=cmd|'/C calc'!A1 <b>_$%&\\"
    table = aggregate(measured({("0", name): 0.25, ("0", "full"): math.inf}), {name: "x"})
    write_csv(tmp_path / "t.csv", table)
    assert pd.read_csv(tmp_path / "t.csv")["dataset"][0] == "'" + name
    markdown = to_markdown(table)
    assert "\\<b\\>" in markdown
    assert "cmd\\|" in markdown
    latex = to_latex(table)
    assert r"\_\$\%\&\textbackslash{}" in latex
    assert r"$\infty$" in latex


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\tx", "\rx"])
def test_cells_that_a_spreadsheet_would_run_are_neutral(text):
    assert neutral_cell(text) == "'" + text
    assert neutral_cell("x" + text) == "x" + text
    assert neutral_cell(-1.5) == -1.5


def test_the_csv_keeps_every_digit(tmp_path):
    table = aggregate(measured({("0", "A"): 1 / 3, ("0", "full"): math.inf}), SCENARIOS)
    write_csv(tmp_path / "t.csv", table)
    again = pd.read_csv(tmp_path / "t.csv").set_index("dataset")["value"]
    assert again["A"] == 1 / 3
    assert again["full"] == math.inf


def test_wide_keeps_the_order_of_routers_and_data_sets():
    first = measured({("0", "B"): 0.1, ("0", "A"): 0.2, ("0", "full"): 0.3})
    second = first.assign(router="a-router", value=first["value"] + 0.5)
    grid = wide(aggregate(pd.concat([first, second]), SCENARIOS), "nauc")
    assert list(grid.index) == ["knn", "a-router"]
    assert [column for column in grid.columns if column in "AB"] == ["B", "A"]
    assert grid.loc["a-router", "A"] == pytest.approx(0.7)
