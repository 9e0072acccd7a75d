import warnings

import numpy as np
import pandas as pd
import pytest

from mmroute.errors import InputError
from mmroute.outcome_table import validate
from mmroute.sources.r2bench import R2Bench

COLUMNS = ["key", "original_prompt", "actual_token_count", "correctness_score"]
FILES = {
    "data/Qwen/Qwen3-0.6B/10_judge.csv",
    "data/Qwen/Qwen3-0.6B/100_judge.csv",
    "data/glm/10_judge.csv",
}


def write(path, rows, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame(rows, columns=COLUMNS).assign(
        templated_prompt="use at most 10 tokens", response='a "b",\nc', **columns
    )
    frame.to_csv(path, index=False)
    return path


def release(folder, **columns):
    rows = [("q1", "Sort:b\r\na", 12, 0.5), ("q2", "Why?", 9, 1)]
    write(folder / "data/glm/10_judge.csv", rows, **columns)
    small = folder / "data/Qwen/Qwen3-0.6B"
    write(small / "100_judge.csv", [("q2", "Why?", 90, 0), ("q1", "Sort:ba", "", "")])
    write(small / "10_judge.csv", [("q1", "Sort:ba", 11, 0)])
    return folder


def read(folder):
    source = R2Bench(str(folder))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = source.read(source.fetch(folder / "unused"))
    return table, [str(warning.message) for warning in caught]


def test_a_release_becomes_an_outcome_table(tmp_path):
    table, said = read(release(tmp_path / "r"))
    validate(table, "here")
    samples = table.samples
    assert samples["sample_id"].tolist() == ["q1", "q2"]
    assert samples["dataset"].tolist() == ["R2-Bench"] * 2
    assert samples["question"].tolist() == ["Sort:b\na", "Why?"]
    assert samples[["answer", "image", "image_digest"]].isna().all(axis=None)
    assert table.model_names == [
        "Qwen/Qwen3-0.6B@budget=10",
        "Qwen/Qwen3-0.6B@budget=100",
        "glm@budget=10",
    ]
    nan = np.nan
    np.testing.assert_array_equal(table.utility, [[0, nan, 0.5], [nan, 0, 1]])
    np.testing.assert_array_equal(table.completion_tokens, [[11, nan, 12], [nan, 90, 9]])
    # Of 7 or 8 bytes, and of 4.
    np.testing.assert_array_equal(table.prompt_tokens, [[2, 2, 2], [nan, 1, 1]])
    assert np.isnan(table.cost).all()
    assert [line.partition(": ")[2] for line in said] == [
        "has no counts of prompt tokens; they are estimated from the prompt, 4 bytes each"
    ]


def test_the_hub_gives_what_the_folder_gives(tmp_path, check_on_hub):
    folder = release(tmp_path / "r")
    (folder / "data/glm/10.csv").write_text("key\n")
    (folder / "data/glm/all_judge.csv").write_text("key\n")
    check_on_hub(R2Bench, folder, FILES)


def test_an_outcome_on_another_question_is_left_out_and_counted(tmp_path):
    table, said = read(release(tmp_path / "r", original_prompt=["Sort:bc", "Why?"]))
    np.testing.assert_array_equal(table.utility, [[0, np.nan, np.nan], [np.nan, 0, 1]])
    assert "1 outcomes are left out" in said[1]
    assert "'q1'" in said[1]


def test_a_folder_with_the_layout_is_wanted(tmp_path):
    folder = release(tmp_path / "r")
    assert set(R2Bench(str(folder)).local_files()) == {folder / name for name in FILES}
    with pytest.raises(InputError, match=r"is a file; set source\.path to the folder that holds"):
        R2Bench(str(folder / "data/glm/10_judge.csv")).local_files()
    with pytest.raises(InputError, match=r"no data/<model>/<tokens>_judge\.csv in this folder"):
        R2Bench(str(folder / "data")).local_files()


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"correctness_score": [2, 0]}, "'correctness_score' of 'q1' holds '2', .* from 0 to 1"),
        ({"actual_token_count": ["x", 0]}, "'actual_token_count' of 'q1' holds 'x'"),
        ({"key": ["q1", ""]}, "column 'key' is empty in row 2; fill it"),
        ({"key": "q1", "original_prompt": "?"}, "sample 'q1' stands twice for model 'glm@budget="),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, columns, said):
    folder = tmp_path / "r"
    path = write(
        folder / "data/glm/10_judge.csv", [("q1", "?", 1, 1), ("q2", "?", 1, 1)], **columns
    )
    with pytest.raises(InputError, match=said) as caught:
        read(folder)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_that_is_not_there_is_named(tmp_path, column):
    path = release(tmp_path / "r") / "data/glm/10_judge.csv"
    pd.read_csv(path).drop(columns=column).to_csv(path, index=False)
    with pytest.raises(InputError, match=rf"10_judge\.csv: no column '{column}'; R2-Bench's"):
        read(tmp_path / "r")
