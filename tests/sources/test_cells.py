import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmroute.errors import InputError
from mmroute.sources.cells import CORRECTNESS_WORDS, column_names, nullable, numbers, read_cells

FRAME = pd.DataFrame(
    {
        "sample_id": ["a", "b"],
        "question": ['says "NA",\nthen é', None],
        "utility": [1.0, math.nan],
        "tokens": [12, 7],
        "judged": [True, False],
    }
)
WRITERS = {
    "csv": lambda path: FRAME.to_csv(path, index=False),
    "tsv": lambda path: FRAME.to_csv(path, index=False, sep="\t"),
    "parquet": lambda path: FRAME.to_parquet(path, index=False),
    "feather": lambda path: FRAME.to_feather(path),
    "jsonl": lambda path: FRAME.to_json(path, orient="records", lines=True),
}


@pytest.mark.parametrize("suffix", WRITERS)
def test_every_format_gives_the_same_text(tmp_path, suffix):
    path = tmp_path / f"table.{suffix}"
    WRITERS[suffix](path)
    cells = read_cells(path)
    assert column_names(path) == list(cells.columns) == list(FRAME.columns)
    assert cells["sample_id"].tolist() == ["a", "b"]
    assert cells["question"].tolist() == ['says "NA",\nthen é', ""]
    assert cells["judged"].str.lower().tolist() == ["true", "false"]
    np.testing.assert_array_equal(numbers(cells["utility"], path), [1.0, math.nan])
    np.testing.assert_array_equal(numbers(cells["tokens"], path), [12, 7])


def test_no_text_is_taken_for_a_missing_value_or_a_number(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("\ufeffid,answer\n1,NA\n2,None\n3,007\n4,\n5,true\n", encoding="utf-8")
    cells = read_cells(path)
    assert cells["id"].tolist() == ["1", "2", "3", "4", "5"]
    assert cells["answer"].tolist() == ["NA", "None", "007", "", "true"]
    assert nullable(cells["answer"]).tolist() == ["NA", "None", "007", None, "true"]


@given(value=st.floats(min_value=0, allow_nan=False, allow_infinity=False))
def test_a_number_survives_as_text(value):
    assert numbers(pd.Series([repr(value)], name="cost"), Path("t.csv")) == [value]


@pytest.mark.parametrize(
    ("text", "highest", "wanted"),
    [("-0.5", None, "at least 0"), ("1.01", 1, "from 0 to 1"), ("-1", 1, "from 0 to 1")],
)
def test_a_number_out_of_range_is_refused(text, highest, wanted):
    cells = pd.Series(["1", text], name="M_cost", index=["a", "b"])
    with pytest.raises(
        InputError, match=rf"t\.csv: column 'M_cost' of 'b' holds '{text}'.*{wanted}"
    ):
        numbers(cells, Path("t.csv"), highest=highest)


def test_correctness_may_be_words_and_missing_may_be_said(tmp_path):
    cells = pd.Series(["True", "false", " 0.25 ", "", "NaN", "None", "Correct"], name="M_correct")
    np.testing.assert_array_equal(
        numbers(cells, tmp_path, CORRECTNESS_WORDS), [1, 0, 0.25, math.nan, math.nan, math.nan, 1]
    )


@pytest.mark.parametrize("bad", ["maybe", "inf", "-inf", "85%", "1e999", "True"])
def test_a_cell_that_is_no_number_is_named(bad):
    cells = pd.Series(["1", bad, bad], index=["s1", "s2", "s3"], name="M_cost")
    with pytest.raises(InputError) as caught:
        numbers(cells, Path("t.csv"))
    assert all(part in str(caught.value) for part in ("t.csv", "'M_cost'", "'s2'", repr(bad)))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", b"", "Empty"),
        ("t.csv", b"a,b\n", "no rows"),
        ("t.csv", b"a,b\n1,2\n3\n", "Expected 2 columns, got 1"),
        ("t.csv", b"a,b\n1,2,3\n", "Expected 2 columns, got 3"),
        ("t.csv", b'a,b\n1,2\n"3,4\n5,6\n', "Expected 2 columns"),
        ("t.csv", b"a,b\n1,\xff\n", "UTF8"),
        ("t.csv", b"a,a\n1,2\n", "'a' appears twice"),
        ("t.parquet", b"PAR1 broken", "PARQUET"),
        ("t.feather", b"broken", "FEATHER"),
        ("t.jsonl", b'{"a": 1}\n[2]\n', "line 2"),
        ("t.jsonl", b'{"a": 1}\n{"a": \n', "JSONL"),
        ("t.jsonl", b'{"a": [1, 2]}\n', "'a' holds a list"),
        ("t.xlsx", b"", "'.xlsx'"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_clear_line(tmp_path, name, content, said):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_cells(path)
    message = str(caught.value)
    assert str(path) in message
    assert said in message
    assert "\n" not in message


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.csv"):
        read_cells(tmp_path / "gone.csv")


def test_a_parquet_column_of_lists_is_refused(tmp_path):
    path = tmp_path / "t.parquet"
    pd.DataFrame({"choices": [["A", "B"]]}).to_parquet(path)
    with pytest.raises(InputError, match="'choices' holds list"):
        read_cells(path)


def test_json_lines_may_lack_keys_and_be_blank(tmp_path):
    path = tmp_path / "t.jsonl"
    lines = [json.dumps({"a": "x"}), "", json.dumps({"a": None, "b": 2})]
    path.write_text("\n".join(lines), encoding="utf-8")
    cells = read_cells(path)
    assert cells.to_dict("list") == {"a": ["x", ""], "b": ["", "2"]}
