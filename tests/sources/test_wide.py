import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmroute.errors import InputError
from mmroute.sources.wide import find_models, model_columns, read_matrices

FILE = Path("t.csv")


def test_a_model_needs_correctness_and_a_cost_or_tokens():
    columns = [
        "question",
        "b_correct",
        "b_cost",
        "was_correct",
        "a_b_token",
        "a_b_correct",
        "lonely_cost",
        "_correct",
        "_cost",
    ]
    with pytest.warns(UserWarning, match="no models here: was$"):
        assert find_models(columns, FILE) == ["b", "a_b"]


def test_correctness_is_enough_where_it_may_stand_alone():
    columns = ["a_correct", "b_correct", "b_cost", "_correct", "c_prediction"]
    assert find_models(columns, FILE, alone=True) == ["a", "b"]
    with pytest.raises(InputError, match=r"no model columns.*, or M_correct alone"):
        find_models(["c_prediction", "_correct"], FILE, alone=True)


def test_no_model_columns_is_an_error_that_says_what_they_look_like():
    with pytest.raises(InputError, match=r"t\.csv: no model columns.*M_correct and M_cost"):
        find_models(["dataset_idx", "question", "x_correct"], FILE)


def test_matrices_follow_the_models_and_missing_cells_stay_missing():
    cells = pd.DataFrame(
        {
            "a_correct": ["1", ""],
            "a_cost": ["0.5", ""],
            "a_prediction": ["B", ""],
            "b_correct": ["False", "0.5"],
            "b_prompt_token": ["10", "20"],
            "b_token": ["3", ""],
        },
        index=["s1", "s2"],
    )
    matrices = read_matrices(cells, ["b", "a"], FILE)
    nan = math.nan
    np.testing.assert_array_equal(matrices["utility"], [[0, 1], [0.5, nan]])
    np.testing.assert_array_equal(matrices["cost"], [[nan, 0.5], [nan, nan]])
    np.testing.assert_array_equal(matrices["prompt_tokens"], [[10, nan], [20, nan]])
    np.testing.assert_array_equal(matrices["completion_tokens"], [[3, nan], [nan, nan]])
    assert matrices["prediction"].tolist() == [[None, "B"], [None, None]]


@pytest.mark.parametrize("suffix", ["correct", "cost", "prompt_token", "token", "latency_s"])
def test_a_bad_cell_is_named(suffix):
    cells = pd.DataFrame({"m_correct": ["1"], "m_cost": ["1"]}, index=["s1"])
    cells[f"m_{suffix}"] = "?"
    with pytest.raises(InputError, match=rf"t\.csv: column 'm_{suffix}' of 's1' holds '\?'"):
        read_matrices(cells, ["m"], FILE)


def test_the_columns_of_a_model_are_all_its_suffixes():
    assert model_columns(["m"]) == {
        "m_correct",
        "m_cost",
        "m_prompt_token",
        "m_token",
        "m_prediction",
        "m_latency_s",
    }


def test_models_without_costs_are_told_of():
    with pytest.warns(UserWarning, match=r"t\.csv: 1 columns end in _correct .*: lost$"):
        find_models(["m_correct", "m_cost", "lost_correct", "LOST_COST"], FILE)


def test_latencies_make_no_model_and_are_read_where_there_are_any():
    cells = pd.DataFrame(
        {
            "a_correct": ["1", "0"],
            "a_cost": ["1", "1"],
            "b_correct": ["1", "0"],
            "b_cost": ["1", "1"],
            "b_latency_s": ["0.25", ""],
            "c_correct": ["1", "1"],
            "c_latency_s": ["1", "1"],
        },
        index=["s1", "s2"],
    )
    with pytest.warns(UserWarning, match="no models here: c$"):
        assert find_models(cells.columns, FILE) == ["a", "b"]
    told = read_matrices(cells, ["a", "b"], FILE)["latency_s"]
    np.testing.assert_array_equal(told, [[math.nan, 0.25], [math.nan, math.nan]])
    assert "latency_s" not in read_matrices(cells, ["a"], FILE)
