"""Each source recognises its own layout, of names and heads of files, and no other's."""

import gzip
import importlib
import os
import time
from pathlib import Path

import pandas as pd
import pytest
from miniatures import MINIATURES

from mmroute.catalogue import catalogue
from mmroute.errors import InputError
from mmroute.sources import cells, survey
from mmroute.sources.survey import Survey

SOURCES = {
    name: getattr(importlib.import_module(entry.module), entry.class_name)
    for name, entry in catalogue("sources").items()
}


def recognised(path):
    there = Survey(path)
    found = {name: source.recognise(there) for name, source in SOURCES.items()}
    return {name: own for name, own in found.items() if own}


@pytest.mark.parametrize("name", MINIATURES)
def test_a_layout_is_recognised_by_its_own_source_alone(tmp_path, name):
    kind, write = MINIATURES[name]
    write(tmp_path / "logs")
    found = recognised(tmp_path / "logs")
    assert kind in found
    assert {other for other in found if not SOURCES[other].general} <= {kind}
    source = SOURCES[kind](**found[kind].keys)
    assert source.local_files()


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("inspect_ai", "2025-01-02_gsm8k_a.json"),
        ("inspect_ai", "2025-01-02_gsm8k_1.eval"),
        ("promptfoo", "results.json"),
        ("decision_log", "log.jsonl"),
        ("routerbench", "routerbench_5shot.pkl"),
        ("routereval", "mmlu_router_dataset.pkl"),
        ("embedllm", "train.csv"),
        ("mixinstruct", "test_data_prepared.jsonl"),
        ("mmr_release", "MMR_Bench.csv"),
        ("vl_release_archive", "vlm_router_data.tar.gz"),
        ("routerarena", "cached_results/claude-4.jsonl"),
        ("table", "outcomes.csv"),
    ],
)
def test_one_file_is_recognised_too(tmp_path, name, file):
    kind, write = MINIATURES[name]
    write(tmp_path)
    found = recognised(tmp_path / file)
    assert {other for other in found if not SOURCES[other].general} <= {kind}
    assert SOURCES[kind](**found[kind].keys).local_files()


JUNK = {
    "a.json": b"\x00\xff" * 999,
    "b.json": b"[" * 300_000,
    "c.json": b'{"a": "' + b'\\"' * 200_000,
    "d.json": b'{"k": ' * 60_000,
    "e.eval": b"PK\3\4 and no more",
    "f.csv": b"\xff\xfe\x00" * 500,
    "g.parquet": b"PAR1",
    "h.xlsx": b"PK\3\4",
    "i.jsonl": b'"' * 300_001,
    "results/m/j.json": b'{"details"',
    "k.feather": b"",
    "m/m_x.txt": b"",
}


def test_what_is_in_no_layout_is_recognised_by_none_and_soon(tmp_path):
    for name, content in JUNK.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    os.mkfifo(tmp_path / "results.json")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "gone.csv").symlink_to("nowhere")
    began = time.monotonic()
    assert recognised(tmp_path) == {}
    assert time.monotonic() - began < 20
    assert sorted(Survey(tmp_path).names) == sorted(JUNK)


def test_names_are_those_nearest_first_linked_folders_once_and_utf8_alone(tmp_path):
    for name in ("b/c/deep.csv", "z.csv", "a/x.csv"):
        (tmp_path / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "own" / name).touch()
    (tmp_path / "own/link").symlink_to(tmp_path / "own/b")
    Path(os.fsdecode(os.fsencode(tmp_path / "own") + b"/\xff.csv")).touch()
    there = Survey(tmp_path / "own")
    assert there.names == ["z.csv", "a/x.csv", "b/c/deep.csv"]
    assert there.whole
    assert there.within("b").names == ["c/deep.csv"]
    assert Survey(tmp_path / "own/z.csv").names == ["z.csv"]


def test_of_a_huge_folder_so_many_files_are_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(survey, "MOST_ENTRIES", 5)
    for number in range(9):
        (tmp_path / f"{number}.txt").touch()
    there = Survey(tmp_path)
    assert (len(there.names), there.whole) == (5, False)


@pytest.mark.parametrize("name", ["gone", b"\xff"])
def test_what_is_not_there_or_no_utf8_is_refused(tmp_path, name):
    path = Path(os.fsdecode(os.fsencode(tmp_path / "x") + os.fsencode(name)))
    if isinstance(name, bytes):
        path.mkdir()
    with pytest.raises(InputError, match="no such file or folder|not UTF-8"):
        Survey(path)


@pytest.mark.parametrize(
    ("content", "keys"),
    [
        (b'{"a": {"b": {"c": {"d": 1}}}, "e": "x: {"}', {"a", "a.b", "a.b.c", "e"}),
        (b'{"a": [{"b": 1}, {"c": [1, 2]}], "d": [', {"a", "a.b", "a.c", "d"}),
        (b'{"a": 1}\n{"b": "\\"c\\": "}\n', {"a", "b"}),
        (b'[{"a": 1}]', {"a"}),
        (b'{"a": "b"', {"a"}),
        (b"no JSON", set()),
    ],
)
def test_keys_of_json_are_taken_from_its_head(tmp_path, content, keys):
    (tmp_path / "x.json").write_bytes(content)
    assert Survey(tmp_path).keys("x.json") == keys


def test_a_file_that_cannot_be_read_hides_no_other(tmp_path):
    MINIATURES["promptfoo"][1](tmp_path)
    (tmp_path / "a.json").write_text('{"a": 1}')
    there = Survey(tmp_path)
    (tmp_path / "a.json").unlink()
    assert there.keys("a.json") == frozenset()
    assert SOURCES["promptfoo"].recognise(there).keys == {"path": str(tmp_path)}
    (tmp_path / "b.json").write_text('{"a": 1}')
    alone = Survey(tmp_path / "b.json")
    (tmp_path / "b.json").unlink()
    with pytest.raises(FileNotFoundError):
        alone.keys("b.json")


@pytest.mark.parametrize(
    ("name", "begin", "columns"),
    [
        ("t.jsonl.gz", b'{"id": "', ["id"]),
        ("t.json.gz", b'[{"id": "', ["id"]),
        ("t.json.gz", b'{"id": "', []),
    ],
)
def test_packed_json_is_unpacked_at_its_head_alone(tmp_path, monkeypatch, name, begin, columns):
    monkeypatch.setattr(survey, "HEAD_BYTES", 50)
    monkeypatch.setattr(cells, "MAX_UNPACKED_BYTES", 100_000)
    (tmp_path / name).write_bytes(gzip.compress(begin + bytes(1_000_000)))
    assert Survey(tmp_path).columns(name) == columns


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["sample_id", "model", "utility", "cost", "question"], {}),
        (["ID", "LLM", "Accuracy"], {"sample_id": "ID", "model": "LLM", "utility": "Accuracy"}),
        (
            ["question_id", "question", "model", "correct", "input_tokens", "output_tokens"],
            {
                "sample_id": "question_id",
                "utility": "correct",
                "prompt_tokens": "input_tokens",
                "completion_tokens": "output_tokens",
            },
        ),
        (["model", "score", "prompt"], {"sample_id": "prompt", "question": "prompt"}),
        (["sample_id", "model", "utility", "score", "response", "output"], {}),
        (["sample_id", "m_correct", "m_cost"], {}),
        (
            ["my_id", "query_text", "m_correct", "m_cost"],
            {"sample_id": "my_id", "question": "query_text"},
        ),
        (["my_id", "your_id", "m_correct", "m_cost"], None),
        (["llm", "run_id", "score", "images"], {"sample_id": "run_id", "image": "images"}),
        (["sample_id", "model", "price"], None),
        (["sample_id", "is_correct"], None),
    ],
)
def test_columns_of_a_table_may_be_called_otherwise(tmp_path, columns, expected):
    pd.DataFrame([[1] * len(columns)], columns=columns).to_csv(tmp_path / "t.csv", index=False)
    found = recognised(tmp_path).get("table")
    if expected is None:
        assert found is None
        return
    keys = found.keys
    assert keys["path"] == str(tmp_path / "t.csv")
    assert keys.get("shape", "long") == ("wide" if "m_correct" in columns else "long")
    assert expected.items() <= keys.get("columns", {}).items()
    assert all(theirs in found.guesses[0][1] for theirs in keys.get("columns", {}).values())


def test_questions_may_stand_beside_the_outcomes(tmp_path):
    outcomes = {"sample_id": [1], "model": ["m"], "utility": [1]}
    pd.DataFrame(outcomes).to_csv(tmp_path / "outcomes.csv", index=False)
    pd.DataFrame({"sample_id": [1], "question": ["?"]}).to_csv(tmp_path / "q.csv", index=False)
    found = recognised(tmp_path)["table"]
    paths = {"path": str(tmp_path / "outcomes.csv"), "samples": str(tmp_path / "q.csv")}
    assert found.keys == paths
    pd.DataFrame(outcomes).to_csv(tmp_path / "z.csv", index=False)
    assert "not z.csv" in recognised(tmp_path)["table"].guesses[0][1]


def test_a_lone_table_with_another_separator_says_so(tmp_path):
    (tmp_path / "t.csv").write_text("sample_id;model;utility\n1;m;1\n")
    assert recognised(tmp_path) == {}
    with pytest.raises(InputError, match="this file ';'"):
        recognised(tmp_path / "t.csv")
