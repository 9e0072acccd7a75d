import json
from pathlib import Path

import numpy as np
import pytest

from mmroute.errors import InputError
from mmroute.outcome_table import validate
from mmroute.sources.mixinstruct import MixInstruct

TRAIN, VAL, TEST = (f"{split}_data_prepared.jsonl" for split in ("train", "val", "test"))


def candidate(model, score, text="an answer", **scores):
    return {
        "decoding_method": "top_p_sampling",
        "model": model,
        "text": text,
        "scores": {"bertscore": score, "bartscore": -4.0, **scores},
    }


def record(name, *candidates, **given):
    return {
        "id": name,
        "instruction": "Sort this.",
        "input": "b a",
        "output": "a b",
        "candidates": list(candidates),
    } | given


def release(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for split, records in files.items():
        lines = "".join(json.dumps(one) + "\n" for one in records)
        (folder / f"{split}_data_prepared.jsonl").write_text(lines)
    return folder


def read(path, **arguments):
    source = MixInstruct(path=str(path), **arguments)
    with pytest.warns(UserWarning, match="no token counts; they are estimated"):
        return source.read(source.fetch(Path("unused")))


def test_a_release_becomes_an_outcome_table(tmp_path):
    release(
        tmp_path,
        train=[
            record("dolly/1", candidate("m", 0.5), candidate("n", 1, text="x" * 9)),
            record("dolly/2", candidate("n", 0), instruction="Why?", input=""),
        ],
        test=[record("7", candidate("m", None), instruction="Go.", output="")],
    )
    table = read(tmp_path)
    validate(table, "here")
    assert table.model_names == ["m", "n"]
    np.testing.assert_array_equal(table.utility, [[0.5, 1], [np.nan, 0], [np.nan, np.nan]])
    assert np.isnan(table.cost).all()
    np.testing.assert_array_equal(table.prompt_tokens, [[4, 4], [np.nan, 1], [2, np.nan]])
    np.testing.assert_array_equal(table.completion_tokens, [[3, 3], [np.nan, 3], [3, np.nan]])
    assert table.prediction.tolist() == [
        ["an answer", "x" * 9],
        [None, "an answer"],
        ["an answer", None],
    ]
    samples = table.samples
    assert samples["sample_id"].tolist() == ["train_dolly/1", "train_dolly/2", "test_7"]
    assert samples["dataset"].tolist() == ["dolly", "dolly", "MixInstruct"]
    assert samples["scenario"].tolist() == ["MixInstruct"] * 3
    assert samples["question"].tolist() == ["Sort this.\n\nb a", "Why?", "Go.\n\nb a"]
    assert samples["answer"].tolist()[:2] == ["a b", "a b"]
    assert samples["answer"].isna().tolist() == [False, False, True]
    assert samples["tag_split"].tolist() == ["train", "train", "test"]
    assert samples[["image", "image_digest"]].isna().all(axis=None)


def test_a_metric_of_another_range_is_scaled(tmp_path):
    release(tmp_path, val=[record("1", candidate("m", 0.1), candidate("n", 0.1, bartscore=-2))])
    table = read(tmp_path, metric="bartscore", lowest=-6, highest=-2)
    np.testing.assert_array_equal(table.utility, [[0.5, 1]])


def test_an_id_may_stand_in_two_files_and_questions_that_repeat_are_said(tmp_path):
    one = record("d/1", candidate("m", 1))
    release(tmp_path, train=[one], val=[one])
    with pytest.warns(UserWarning, match="1 questions are asked by several samples, such as"):
        samples = read(tmp_path).samples
    assert samples["sample_id"].tolist() == ["train_d/1", "val_d/1"]


def test_a_single_file_may_be_given(tmp_path):
    release(tmp_path, train=[record("1", candidate("m", 1))])
    (tmp_path / TRAIN).rename(tmp_path / "mine.jsonl")
    assert read(tmp_path / "mine.jsonl").samples["sample_id"].tolist() == ["mine_1"]
    source = MixInstruct(path=str(tmp_path / "mine.jsonl"))
    assert source.fetch(Path("unused")) == tmp_path
    assert source.local_files() == [tmp_path / "mine.jsonl"]
    with pytest.raises(InputError, match=rf"no {TRAIN} or .*source\.path"):
        MixInstruct(path=str(tmp_path)).local_files()


def test_the_hub_gives_the_files_of_the_splits():
    source = MixInstruct(repo="a/b", revision="main")
    paths = ["README.md", TEST, TRAIN, VAL, "human/val_data.jsonl"]
    assert source.choose(paths) == [TRAIN, VAL, TEST]
    assert source.local_files() == []


def test_the_hub_gives_what_the_folder_gives(tmp_path, check_on_hub):
    folder = release(
        tmp_path / "r",
        train=[record("dolly/1", candidate("m", 0.5), candidate("n", 1, text="字"))],
        val=[record("dolly/1", candidate("n", 0))],
        test=[record("7", candidate("m", None))],
    )
    release(folder / "human", val=[record("8", candidate("m", 1))])
    check_on_hub(MixInstruct, folder, {TRAIN, VAL, TEST})


def test_a_range_must_go_up():
    with pytest.raises(InputError, match=r"source\.lowest and source\.highest: 1 is not below 1"):
        MixInstruct(path="p", lowest=1, highest=1)


def test_an_unknown_metric_is_told_from_those_there(tmp_path):
    release(tmp_path, train=[record("1", candidate("m", 1))])
    with pytest.raises(InputError, match="score 'gpt'; .* one of bartscore, bertscore"):
        MixInstruct(path=str(tmp_path), metric="gpt").read(tmp_path)


def test_half_a_character_does_no_harm(tmp_path):
    release(tmp_path, train=[record("1", candidate("m", 1, "\ud83d"), instruction="a\udc00")])
    table = read(tmp_path)
    assert table.samples["question"].tolist() == ["a?\n\nb a"]
    assert table.prediction.tolist() == [["?"]]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (record("2", candidate("m", 1.5)), r"bertscore of model 'm' is 1\.5, not from 0 to 1"),
        (record("2", candidate("m", -0.1)), r"bertscore of model 'm' is -0\.1"),
        (record("2", candidate("m", float("inf"))), "bertscore of model 'm' is inf"),
        (record("2", candidate("m", "high")), "bertscore of model 'm' is 'high'"),
        (record("2", candidate("m", True)), "bertscore of model 'm' is True"),
        (record("2", candidate("m", 1), candidate("m", 1)), "model 'm' is twice"),
        (record("2", {"model": "m"}), "a candidate lacks"),
        (record("2", "m"), "a candidate lacks"),
        (record("2", candidates=None), "key 'candidates' is no list"),
        (record(None), "key 'id' holds None"),
        (record("2", instruction=3), "key 'instruction' holds 3"),
        (record("1"), "id '1' appears twice"),
        ([1], "holds a list, not an object"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path, bad, said):
    release(tmp_path, train=[record("1", candidate("m", 1)), bad])
    with pytest.raises(InputError, match=rf"{TRAIN}: line 2.*{said}") as raised:
        MixInstruct(path=str(tmp_path)).read(tmp_path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("line", [b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_is_named_with_its_place(tmp_path, line):
    release(tmp_path, train=[record("1", candidate("m", 1))])
    with (tmp_path / TRAIN).open("ab") as stream:
        stream.write(line)
    with pytest.raises(InputError, match=rf"{TRAIN}: line 2 is not readable"):
        MixInstruct(path=str(tmp_path)).read(tmp_path)


def test_an_empty_file_is_refused(tmp_path):
    release(tmp_path, train=[])
    with pytest.raises(InputError, match="holds no lines"):
        MixInstruct(path=str(tmp_path)).read(tmp_path)
