import warnings

import numpy as np
import pandas as pd
import pytest

from mmroute.errors import InputError
from mmroute.outcome_table import validate
from mmroute.sources.xroutebench import CANDIDATES, XRouteBench

COLUMNS = ["embedding_id", "task_name", "query", "model_name", "performance"]
TRAIN = [
    (0, "gsm8k", "2 + 2?", "small", 1.0),
    (0, "gsm8k", "2 + 2?", "large", 0.5),
    (1, "mmlu", "Why?", "large", None),
]
FILES = {CANDIDATES, "generic/train.parquet", "generic/test.parquet", "video/test.parquet"}


def write(path, rows, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame(rows, columns=COLUMNS).astype({"performance": float})
    tokens = {"input_tokens": 1000, "output_tokens": [10.0 * (n + 1) for n in range(len(rows))]}
    answers = {"response": [f"answer {n}" for n in range(len(rows))], "task_id": None}
    frame.assign(**{**tokens, **answers, **columns}).to_parquet(path)


def release(folder, **columns):
    prices = {"model_name": ["large", "small"], "input_price_per_1m": [3.0, 0.1]}
    (folder / "llm_candidates").mkdir(parents=True)
    pd.DataFrame(prices).assign(output_price_per_1m=[15.0, 0.2], size="8B").to_parquet(
        folder / CANDIDATES
    )
    write(folder / "generic/train.parquet", TRAIN, **columns)
    row = (0, "gsm8k", "3 + 3?", "small", 0.0)
    write(folder / "generic/test.parquet", [row], ground_truth="6", conversation_id="c")
    write(folder / "video/test.parquet", [(0, "mmlu", "A dog.", "small", 1.0)])
    return folder


def read(folder):
    source = XRouteBench(str(folder))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = source.read(source.fetch(folder / "unused"))
    return table, [str(warning.message) for warning in caught]


def test_a_release_becomes_an_outcome_table_with_its_prices(tmp_path):
    table, said = read(release(tmp_path / "r"))
    validate(table, "here")
    samples = table.samples
    assert samples["sample_id"].tolist() == [
        "generic_test_0",
        "generic_train_0",
        "generic_train_1",
        "video_test_0",
    ]
    assert samples["dataset"].tolist() == ["gsm8k", "gsm8k", "generic_mmlu", "video_mmlu"]
    assert samples["scenario"].tolist() == ["generic", "generic", "generic", "video"]
    assert samples["question"].tolist() == ["3 + 3?", "2 + 2?", "Why?", "A dog."]
    assert samples["tag_split"].tolist() == ["test", "train", "train", "test"]
    assert samples["group"].tolist() == ["c", "", "", ""]
    assert samples["answer"].fillna("none").tolist() == ["6", "none", "none", "none"]
    assert samples[["image", "image_digest"]].isna().all(axis=None)
    assert table.models.to_numpy().tolist() == [["small", 0.1, 0.2], ["large", 3, 15]]
    nan = np.nan
    np.testing.assert_array_equal(table.utility, [[0, nan], [1, 0.5], [nan, nan], [1, nan]])
    np.testing.assert_array_equal(table.prompt_tokens[:2], [[1000, nan], [1000, 1000]])
    np.testing.assert_array_equal(table.completion_tokens[:2], [[10, nan], [10, 20]])
    np.testing.assert_allclose(table.cost[:2], [[0.000102, nan], [0.000102, 0.0033]])
    assert table.prediction[:2].tolist() == [["answer 0", None], ["answer 0", "answer 1"]]
    assert said == []


def test_a_scenario_of_another_kind_is_left_out_and_said(tmp_path):
    folder = release(tmp_path / "r")
    (folder / "personalized").mkdir()
    pd.DataFrame({"winner": ["a"]}).to_parquet(folder / "personalized/train.parquet")
    table, said = read(folder)
    assert len(table.samples) == 4
    assert "1 tables hold no model's performance and are left out (such as " in said[0]
    assert "personalized" in said[0]


def test_the_hub_gives_what_the_folder_gives(tmp_path, check_on_hub):
    folder = release(tmp_path / "r")
    write(folder / "generic_queries/train.parquet", TRAIN)
    write(folder / "generic/embeddings/train.parquet", TRAIN)
    check_on_hub(XRouteBench, folder, FILES)


def test_a_folder_with_the_layout_is_wanted(tmp_path):
    folder = release(tmp_path / "r")
    assert set(XRouteBench(str(folder)).local_files()) == {folder / name for name in FILES}
    with pytest.raises(InputError, match=r"is a file; set source\.path to the folder that holds"):
        XRouteBench(str(folder / CANDIDATES)).local_files()
    (folder / CANDIDATES).unlink()
    with pytest.raises(InputError, match=r"no <scenario>/train\.parquet .* beside llm_candidates"):
        XRouteBench(str(folder)).local_files()


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"performance": [1, 2, 0]}, "'performance' of 'generic_train_0' holds '2'"),
        ({"output_tokens": [1, -1, 0]}, "'output_tokens' of 'generic_train_0' holds '-1'"),
        ({"model_name": "small"}, "sample 'generic_train_0' stands twice for model 'small'; keep"),
        ({"model_name": ["small", "large", "x"]}, "'generic_train_1' holds 'x', .* no price in"),
        ({"model_name": ["small", "", "x"]}, "column 'model_name' is empty in row 2; fill it"),
        ({"embedding_id": ["1", None, "2"]}, "column 'embedding_id' is empty in row 2; fill it"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, columns, said):
    folder = release(tmp_path / "r", **columns)
    with pytest.raises(InputError, match=said) as caught:
        read(folder)
    assert str(caught.value).startswith(str(folder / "generic/train.parquet"))
    assert "\n" not in str(caught.value)


def test_wrong_prices_are_named(tmp_path):
    path = release(tmp_path / "r") / CANDIDATES
    prices = pd.read_parquet(path)
    prices.assign(output_price_per_1m=["x", "1"]).to_parquet(path)
    with pytest.raises(InputError, match="'output_price_per_1m' of 'large' holds 'x'"):
        read(tmp_path / "r")
    prices.assign(model_name="large").to_parquet(path)
    with pytest.raises(InputError, match="'model_name' holds 'large' twice; keep one row a model"):
        read(tmp_path / "r")
    prices.drop(columns="input_price_per_1m").to_parquet(path)
    with pytest.raises(InputError, match="no column 'input_price_per_1m'; xRouteBench's layout"):
        read(tmp_path / "r")


def test_a_row_of_another_query_is_left_out_and_counted(tmp_path):
    table, said = read(release(tmp_path / "r", query=["2 + 2?", "5 + 5?", "Why?"]))
    np.testing.assert_array_equal(table.utility[1], [1])
    assert "1 outcomes are left out" in said[0]
    assert "1 models have no outcome and are left out (such as 'large')" in said[1]


def test_response_times_are_latencies_but_for_those_of_calls_that_failed(tmp_path):
    table, _ = read(release(tmp_path / "r", response_time=[0.5, 2.25, 0]))
    nan = np.nan
    np.testing.assert_array_equal(
        table.latency_s, [[nan, nan], [0.5, 2.25], [nan, nan], [nan, nan]]
    )
    with pytest.raises(InputError, match="column 'response_time' of 'generic_train_0' holds '-1"):
        read(release(tmp_path / "bad", response_time=[-1.0, 2, 3]))
