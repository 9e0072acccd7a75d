import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmroute.errors import InputError
from mmroute.outcome_table import validate
from mmroute.sources.routerbench import SMALL, SMALL_DATASET, RouterBench

FILE = "routerbench_0shot.pkl"


def rows(evaluation, count):
    return [
        {
            "sample_id": f"{evaluation}.val.{index}",
            "prompt": f"['Instruction', \"What's {index}?\"]",
            "eval_name": evaluation,
            "gpt-4": 0.75,
            "org/model.x": float(index % 2),
            "gpt-4|model_response": "['B']",
            "org/model.x|model_response": "A",
            "gpt-4|total_cost": 0.01,
            "org/model.x|total_cost": 1e-5,
            "oracle_model_to_route_to": "gpt-4",
        }
        for index in range(count)
    ]


def release(folder, records, name=FILE):
    folder.mkdir(parents=True, exist_ok=True)
    # As in the release, where scores stand among texts.
    pd.DataFrame(records).astype(object).to_pickle(folder / name)
    return folder


def read(path, **arguments):
    source = RouterBench(path=str(path), **arguments)
    return source.read(source.fetch(Path("unused")))


def test_a_release_becomes_an_outcome_table(tmp_path):
    table = read(release(tmp_path, rows("mmlu-law", 2)))
    validate(table, "here")
    assert table.model_names == ["gpt-4", "org/model.x"]
    np.testing.assert_array_equal(table.utility, [[0.75, 0], [0.75, 1]])
    np.testing.assert_array_equal(table.cost, [[0.01, 1e-5], [0.01, 1e-5]])
    assert np.isnan(table.prompt_tokens).all()
    assert np.isnan(table.completion_tokens).all()
    assert table.prediction.tolist() == [["B", "A"], ["B", "A"]]
    samples = table.samples
    assert samples["sample_id"].tolist() == ["mmlu-law.val.0", "mmlu-law.val.1"]
    assert samples["question"].tolist() == [
        "Instruction\n\nWhat's 0?",
        "Instruction\n\nWhat's 1?",
    ]
    assert samples["dataset"].tolist() == ["mmlu-law"] * 2
    assert samples["tag_eval_name"].tolist() == ["mmlu-law"] * 2
    assert samples[["answer", "image", "image_digest"]].isna().all(axis=None)
    assert [name for name in samples if name.startswith("tag_")] == ["tag_eval_name"]


@pytest.mark.parametrize(
    ("prompt", "question"),
    [
        ("plain", "plain"),
        (["one", "two"], "one\n\ntwo"),
        (("one", 2), "one\n\n2"),
        (np.array(["one", "two"], dtype=object), "one\n\ntwo"),
        (str(["it's", 'a "b"\n\\frac', "字"]), 'it\'s\n\na "b"\n\\frac\n\n字'),
        ("[see the list]", "[see the list]"),
        ("['open", "['open"),
        ("[__import__('os').system('false')]", "[__import__('os').system('false')]"),
        ("['a' * 1000000000]", "['a' * 1000000000]"),
        ("[" * 100_000, "[" * 100_000),
        ("['\\xzz']", "['\\xzz']"),
        (None, ""),
    ],
)
def test_a_prompt_may_be_a_list_or_written_like_one(tmp_path, prompt, question):
    (row,) = rows("arc", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = read(release(tmp_path, [row | {"prompt": prompt}]))
    assert table.samples["question"].tolist() == [question]


@pytest.mark.parametrize(
    ("score", "utility"), [(True, 1), ("0.5", 0.5), (None, np.nan), (np.float64(1), 1), ("no", 0)]
)
def test_scores_of_any_type_are_read(tmp_path, score, utility):
    (row,) = rows("arc", 1)
    table = read(release(tmp_path, [row | {"gpt-4": score, "gpt-4|model_response": None}]))
    np.testing.assert_array_equal(table.utility, [[utility, 0]])
    assert table.prediction.tolist() == [[None, "A"]]


def test_scenarios_are_the_beginnings_that_data_sets_share(tmp_path):
    names = ["mmlu-law", "mmlu.art", "grade-school-math", "arc-challenge"]
    records = [row for name in names for row in rows(name, SMALL)]
    samples = read(release(tmp_path, records)).samples
    assert samples["dataset"].unique().tolist() == names
    scenarios = samples.drop_duplicates("dataset").set_index("dataset")["scenario"]
    assert scenarios.to_dict() == {
        "mmlu-law": "mmlu",
        "mmlu.art": "mmlu",
        "grade-school-math": "grade-school-math",
        "arc-challenge": "arc-challenge",
    }


def test_evaluations_too_small_to_be_split_stand_together(tmp_path):
    records = [*rows("mmlu-law", SMALL), *rows("mtbench-math", 9), *rows("zodiac", 8)]
    with pytest.warns(UserWarning, match=r"2 evaluations such as 'mtbench-math'.*tag_eval_name"):
        samples = read(release(tmp_path, records)).samples
    assert samples["dataset"].value_counts().to_dict() == {"mmlu-law": SMALL, SMALL_DATASET: 17}
    assert samples["tag_eval_name"].value_counts().to_dict() == {
        "mmlu-law": SMALL,
        "mtbench-math": 9,
        "zodiac": 8,
    }


def test_columns_of_no_model_are_named(tmp_path):
    (row,) = rows("arc", 1)
    with pytest.warns(UserWarning, match="1 columns such as 'uncosted'"):
        table = read(release(tmp_path, [row | {"uncosted": 1.0}]))
    assert table.model_names == ["gpt-4", "org/model.x"]


def test_the_file_is_found_by_its_name_or_given(tmp_path):
    release(tmp_path, rows("arc", 1), "other.pkl")
    assert len(read(tmp_path / "other.pkl").samples) == 1
    assert len(read(tmp_path, file="other.pkl").samples) == 1
    source = RouterBench(path=str(tmp_path), file="other.pkl")
    assert source.local_files() == [tmp_path / "other.pkl"]
    assert source.origin(tmp_path) == tmp_path / "other.pkl"
    with pytest.raises(InputError, match=rf"no {FILE} in this folder.*source\.path"):
        RouterBench(path=str(tmp_path)).local_files()
    assert RouterBench(repo="a/b", revision="main").local_files() == []
    with pytest.raises(InputError, match=r"source\.revision: missing"):
        RouterBench(repo="a/b")


@pytest.mark.filterwarnings("ignore:.*small evaluations")
@pytest.mark.parametrize("form", ["csv", "tsv", "parquet", "jsonl", "pkl.gz"])
def test_every_form_of_the_table_is_read(tmp_path, form):
    records = rows("mmlu-law", 3) + rows("grade-school-math", 2)
    path = release(tmp_path, records) / FILE
    frame = pd.DataFrame(records)
    other = tmp_path / f"other.{form}"
    match form:
        case "csv" | "tsv":
            frame.to_csv(other, index=False, sep="," if form == "csv" else "\t")
        case "parquet":
            frame.to_parquet(other)
        case "jsonl":
            frame.to_json(other, orient="records", lines=True)
        case _:
            frame.to_pickle(other)
    own, theirs = read(str(path)), read(str(other))
    pd.testing.assert_frame_equal(theirs.samples, own.samples)
    np.testing.assert_array_equal(theirs.utility, own.utility)
    np.testing.assert_allclose(theirs.cost, own.cost)
    assert theirs.prediction.tolist() == own.prediction.tolist()


def test_the_hub_gives_one_pickle():
    source = RouterBench(repo="a/b", revision="main")
    paths = ["README.md", FILE, "routerbench_5shot.pkl", "routerbench_raw.pkl"]
    assert source.choose(paths) == [FILE]


def test_the_hub_gives_what_the_folder_gives(tmp_path, check_on_hub):
    folder = release(tmp_path / "r", rows("mmlu-law", 3) + rows("arc", SMALL))
    release(folder, rows("arc", 1), "routerbench_5shot.pkl")
    check_on_hub(RouterBench, folder, {FILE})


def test_another_file_of_the_hub_may_be_named(tmp_path, check_on_hub):
    folder = release(tmp_path / "r", rows("arc", 1))
    release(folder, rows("arc", 2), "routerbench_5shot.pkl")
    check_on_hub(RouterBench, folder, {"routerbench_5shot.pkl"}, file="routerbench_5shot.pkl")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"gpt-4": 7}, "'gpt-4' of 'arc.val.0' holds '7'"),
        ({"gpt-4": "good"}, "'gpt-4' of 'arc.val.0' holds 'good'"),
        ({"gpt-4|total_cost": -1}, r"'gpt-4\|total_cost' of 'arc.val.0' holds '-1'"),
        ({"gpt-4|total_cost": np.inf}, r"'gpt-4\|total_cost' of 'arc.val.0' holds 'inf'"),
        ({"sample_id": None}, "'sample_id' is empty in row 1"),
        ({"eval_name": ""}, "'eval_name' is empty in row 1"),
        ({7: 1}, "column 7 "),
        ({"gpt-4": [1]}, r"column 'gpt-4' holds \[1\], which is neither"),
        ({"prompt": {"a": "b"}}, "column 'prompt' holds {'a': 'b'}, which is neither"),
        ({"prompt": ["a", ["b"]]}, r"column 'prompt' holds \['b'\], which is neither"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, change, said):
    (row,) = rows("arc", 1)
    release(tmp_path, [row | change])
    with pytest.raises(InputError, match=rf"{FILE}: .*{said}"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        ([1, 2], "holds a list"),
        (pd.DataFrame(), "no column 'sample_id'"),
        (pd.DataFrame(rows("arc", 1)).drop(columns="eval_name"), "no column 'eval_name'"),
        (pd.DataFrame(rows("arc", 1)).iloc[:, :5], "no model columns"),
        (pd.DataFrame(rows("arc", 1)).iloc[:, [0, 0]], "column 'sample_id' appears twice"),
    ],
)
def test_another_layout_is_refused(tmp_path, frame, said):
    pd.to_pickle(frame, tmp_path / FILE)
    with pytest.raises(InputError, match=rf"{FILE}: .*{said}"):
        read(tmp_path)


def test_the_column_of_groups_can_be_named_and_must_be_there(tmp_path):
    records = [{**row, "seed": index // 2} for index, row in enumerate(rows("mmlu-law", 4))]
    folder = release(tmp_path, records)
    assert read(folder, group="seed").samples["group"].tolist() == ["0", "0", "1", "1"]
    with pytest.raises(InputError, match="no column 'variant'"):
        read(folder, group="variant")
