import json
import tarfile
import warnings

import numpy as np
import pytest

from mmroute.errors import InputError
from mmroute.outcome_table import validate
from mmroute.sources.llmrouterbench import LlmRouterBench

OLD, NEW, TRIAL = "20250101_000000", "20250901_120000", "20251001_000000"


def record(index, score, **given):
    return {
        "index": index,
        "origin_query": f"question {index}",
        "prompt": f"Answer this: question {index}",
        "prediction": "4",
        "ground_truth": "4",
        "score": score,
        "prompt_tokens": 15,
        "completion_tokens": 5,
        "cost": 0.25,
        "raw_output": {"a": "long story"},
    } | given


def result(folder, dataset, model, records, time=NEW, split="test", **given):
    path = folder / f"bench/{dataset}/{split}/{model}/{dataset}-{split}-{model}-{time}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"performance": 0.5, "demo": False, "records": records} | given))
    return path


def release(folder):
    result(folder, "aime", "qwen", [record(1, 1.0), record(2, None)])
    result(folder, "aime", "qwen", [record(1, 0.0), record(2, 0.0)], OLD)
    result(folder, "aime", "qwen", [record(1, 0.0)], TRIAL, demo=True)
    result(folder, "aime", "gpt", [record(2, 0.5, cost=None, prediction=["a", 1])])
    one = record(1, 1, origin_query="", ground_truth=None, prediction="")
    result(folder, "hle", "gpt", [one], split="dev")
    return folder


def read(folder, scratch=None, **arguments):
    source = LlmRouterBench(str(folder), **arguments)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = source.read(source.fetch(scratch or folder / "unused"))
    return table, [str(warning.message) for warning in caught]


def test_a_release_becomes_an_outcome_table(tmp_path):
    table, said = read(release(tmp_path / "results"))
    validate(table, "here")
    samples = table.samples
    assert samples["sample_id"].tolist() == ["aime_test_2", "aime_test_1", "hle_dev_1"]
    assert samples["dataset"].tolist() == ["aime", "aime", "hle"]
    assert samples["question"].tolist() == ["question 2", "question 1", "Answer this: question 1"]
    assert samples["answer"].tolist()[:2] == ["4", "4"]
    assert samples["answer"].isna().tolist() == [False, False, True]
    assert samples["tag_split"].tolist() == ["test", "test", "dev"]
    assert samples[["image", "image_digest"]].isna().all(axis=None)
    assert table.model_names == ["gpt", "qwen"]
    nan = np.nan
    np.testing.assert_array_equal(table.utility, [[0.5, nan], [nan, 1], [1, nan]])
    np.testing.assert_array_equal(table.cost, [[nan, 0.25], [nan, 0.25], [0.25, nan]])
    np.testing.assert_array_equal(table.prompt_tokens, [[15, 15], [nan, 15], [15, nan]])
    np.testing.assert_array_equal(table.completion_tokens, [[5, 5], [nan, 5], [5, nan]])
    assert table.prediction.tolist() == [['["a", 1]', "4"], [None, "4"], [None, None]]
    assert [line.partition(": ")[2].partition(" (")[0] for line in said] == [
        "1 files of trial runs are not read",
        "1 files are older than another one",
    ]


def test_an_outcome_on_another_question_is_left_out_and_counted(tmp_path):
    result(tmp_path, "aime", "a", [record(1, 1), record(2, 1, origin_query="one\ntwo")])
    result(
        tmp_path, "aime", "b", [record(1, 1, origin_query="x"), record(2, 1, origin_query="onetwo")]
    )
    table, said = read(tmp_path)
    np.testing.assert_array_equal(table.utility, [[1, np.nan], [1, 1]])
    assert table.samples["question"].tolist() == ["question 1", "one\ntwo"]
    assert len(said) == 1
    assert "1 outcomes are left out, as their sample's id has another question" in said[0]
    assert "'aime_test_1'" in said[0]


def test_a_model_without_outcomes_is_left_out(tmp_path):
    result(tmp_path, "aime", "a", [record(1, 1)])
    result(tmp_path, "aime", "b", [record(1, None)])
    table, said = read(tmp_path)
    assert table.model_names == ["a"]
    assert "1 models have no outcome and are left out (such as 'b')" in said[0]
    result(tmp_path, "aime", "a", [record(1, None)])
    with pytest.raises(InputError, match="no model has an outcome; give judged results"):
        read(tmp_path)


def test_the_hub_gives_what_the_folder_gives(tmp_path, check_on_hub):
    folder = release(tmp_path / "r")
    wanted = {path.relative_to(folder).as_posix() for path in folder.rglob("*.json")}
    (folder / "config.json").write_text("{}")
    check_on_hub(LlmRouterBench, folder, wanted)


def test_the_archive_is_unpacked_from_the_hub_and_from_a_folder(tmp_path, check_on_hub):
    release(tmp_path / "results")
    folder = tmp_path / "r"
    folder.mkdir()
    with tarfile.open(folder / "bench-release.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "results/bench", "bench-release")
    check_on_hub(LlmRouterBench, folder, {"bench-release.tar.gz"})
    table, _ = read(folder, tmp_path / "fetched")
    assert table.utility.shape == (3, 2)
    assert [path.name for path in folder.iterdir()] == ["bench-release.tar.gz"]
    with pytest.raises(InputError, match=r"more than 2 members; .* raise source\.max_members"):
        read(folder, tmp_path / "f", max_members=2)


def test_only_the_data_sets_that_are_asked_for_are_read(tmp_path):
    table, _ = read(release(tmp_path), datasets=["hle"])
    assert table.samples["sample_id"].tolist() == ["hle_dev_1"]
    assert table.model_names == ["gpt"]
    with pytest.raises(
        InputError, match=r"source\.datasets: .* has no results of b, x; it has aime"
    ):
        read(tmp_path, datasets=["x", "hle", "b"])


def test_the_folder_of_results_may_be_named_itself(tmp_path):
    release(tmp_path)
    (tmp_path / "bench/aime/test/gpt/._hidden.json").write_bytes(b"\0\5\x16\7")
    table, _ = read(tmp_path / "bench")
    assert table.samples["sample_id"].tolist() == ["aime_test_2", "aime_test_1", "hle_dev_1"]
    (tmp_path / "bench").rename(tmp_path / "other")
    assert read(tmp_path / "other")[0].utility.shape == (3, 2)


def test_a_place_that_holds_nothing_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no bench/<dataset>/.*source\.path"):
        read(tmp_path)
    path = result(tmp_path, "aime", "a", [record(1, 1)])
    with pytest.raises(InputError, match=r"is a file; set source\.path to the folder"):
        LlmRouterBench(str(path)).local_files()
    assert LlmRouterBench(str(tmp_path)).local_files() == [path]


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([record(1, 85)], "record 0: key 'score' holds 85, .* from 0 to 1; correct it or make it"),
        ([record(1, "1")], "record 0: key 'score' holds '1', which is no finite number"),
        ([record(1, 1, cost=-1)], "key 'cost' holds -1, which is no finite number of at least 0"),
        ([record(1, 1, cost=10**400)], "key 'cost' holds 1000.*, which is no finite number"),
        ([record(1, 1, prompt_tokens=float("inf"))], "key 'prompt_tokens' holds inf"),
        ([record(1, 1), record(1, 0)], "sample 'aime_test_1' stands twice for model 'a'; keep one"),
        ([record(None, 1)], "record 0: has no 'index' that is a number or text"),
        ([7], "record 0: has no 'index'"),
        ([], "key 'records' is no list with records"),
        ("x", "key 'records' is no list with records"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, records, said):
    path = result(tmp_path, "aime", "a", records)
    with pytest.raises(InputError, match=said) as caught:
        read(tmp_path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"{", b"\xff{}", b"[" * 10**6, b"[]", b'{"records": 1e}'])
def test_what_is_no_json_is_named(tmp_path, content):
    path = result(tmp_path, "aime", "a", [])
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"000\.json (is not readable as JSON|holds a list)"):
        read(tmp_path)


def test_half_a_character_does_no_harm(tmp_path):
    result(tmp_path, "aime", "a", [record("x\ud83d", 1, origin_query="a\udc00")])
    table, _ = read(tmp_path)
    assert table.samples["sample_id"].tolist() == ["aime_test_x?"]
    assert table.samples["question"].tolist() == ["a?"]
