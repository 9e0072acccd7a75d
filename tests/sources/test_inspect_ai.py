import json
import struct
import warnings
import zipfile
import zlib

import numpy as np
import pyarrow as pa
import pytest

from mmroute.errors import InputError
from mmroute.outcome_table import validate
from mmroute.sources import inspect_ai
from mmroute.sources.inspect_ai import InspectAi


def head(model="org/m", task="gsm8k", created="2025-01-02T03:04:05+00:00", status="success"):
    spec = {"task": task, "model": model, "created": created, "dataset": {"name": "d"}}
    return {"version": 2, "status": status, "eval": spec, "plan": {}, "results": {}}


def sample(name, value="C", epoch=1, model="org/m", **own):
    usage = {
        "input_tokens": 100,
        "output_tokens": 20,
        "total_tokens": 150,
        "input_tokens_cache_read": 30,
    }
    return {
        "id": name,
        "epoch": epoch,
        "input": f"question {name}?",
        "target": "4",
        "output": {
            "model": model,
            "choices": [{"message": {"role": "assistant", "content": "four"}}],
            "usage": usage,
        },
        "scores": {"match": {"value": value, "answer": "four"}},
        "model_usage": {model: usage, "grader": {"input_tokens": 999, "output_tokens": 999}},
        "total_time": 1.5,
    } | own


def write_json(folder, samples, name="a.json", **of):
    path = folder / name
    path.write_text(json.dumps(head(**of) | {"samples": samples}))
    return path


def members(samples, **of):
    named = {f"samples/{one['id']}_epoch_{one['epoch']}.json": one for one in samples}
    start = {"version": 2, "eval": head(**of)["eval"], "plan": {}}
    return {"_journal/start.json": start, "summaries.json": [], "header.json": head(**of)} | named


def write_eval(folder, content, name="a.eval", method=zipfile.ZIP_DEFLATED):
    path = folder / name
    with zipfile.ZipFile(path, "w", method) as archive:
        for member, own in content.items():
            archive.writestr(member, json.dumps(own))
    return path


def write_zstandard(folder, content, name="a.eval"):
    """Write a zip as the library does by default, which our Python cannot."""
    path = folder / name
    body, directory = b"", b""
    for member, own in content.items():
        plain = json.dumps(own).encode()
        packed = pa.Codec("zstd").compress(plain, asbytes=True)
        common = struct.pack(
            "<HHHHHIIIHH",
            20,
            0,
            93,
            0,
            0,
            zlib.crc32(plain),
            len(packed),
            len(plain),
            len(member),
            0,
        )
        directory += b"PK\1\2" + struct.pack("<H", 20) + common
        directory += struct.pack("<HHHII", 0, 0, 0, 0, len(body)) + member.encode()
        body += b"PK\3\4" + common + member.encode() + packed
    count = len(content)
    end = struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), len(body), 0)
    path.write_bytes(body + directory + b"PK\5\6" + end)
    return path


def read(path, **arguments):
    source = InspectAi(str(path), **arguments)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        table = source.read(source.fetch(None))
    validate(table, "inspect_ai")
    return table, [str(warning.message) for warning in said]


WRITERS = {
    "json": lambda folder, samples, **of: write_json(folder, samples, **of),
    "deflate": lambda folder, samples, **of: write_eval(folder, members(samples, **of)),
    "zstandard": lambda folder, samples, **of: write_zstandard(folder, members(samples, **of)),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_every_format_becomes_the_same_outcomes(tmp_path, kind):
    WRITERS[kind](tmp_path, [sample(1), sample("two", "I")])
    write_json(tmp_path, [sample(1, "P", model="n")], "n.json", model="n")
    table, said = read(tmp_path)
    assert said == []
    assert table.model_names == ["n", "org/m"]
    assert table.samples["sample_id"].tolist() == ["gsm8k_1", "gsm8k_two"]
    assert table.samples["question"].tolist() == ["question 1?", "question two?"]
    assert table.samples["answer"].tolist() == ["4", "4"]
    np.testing.assert_array_equal(table.utility, [[0.5, 1], [np.nan, 0]])
    np.testing.assert_array_equal(table.prompt_tokens[:, 1], [130, 130])
    np.testing.assert_array_equal(table.completion_tokens[:, 1], [20, 20])
    assert np.isnan(table.cost).all()
    assert table.prediction[:, 1].tolist() == ["four", "four"]


@pytest.mark.parametrize(
    ("value", "utility"),
    [
        *(("C", 1), ("P", 0.5), ("I", 0), ("N", 0), (True, 1), (0.25, 0.25), ("0.75", 0.75)),
        *(("Yes", 1), ("false", 0), ({"tone": 0.5}, 0.5), ("maybe", None), (None, None)),
        ([1], None),
    ],
)
def test_values_count_as_inspect_counts_them(tmp_path, value, utility):
    write_json(tmp_path, [sample(1, value), sample(2)])
    np.testing.assert_array_equal(
        read(tmp_path)[0].utility[:, 0], [np.nan if utility is None else utility, 1]
    )


def test_scorers_that_differ_need_a_word(tmp_path):
    scores = {"match": {"value": "C"}, "judge": {"value": {"tone": 0.5, "fact": 1}}}
    path = write_json(tmp_path, [sample(1, scores=scores)])
    said = rf"{path}: sample 1: match is 1\.0, judge\.tone is 0\.5, .*\{{gsm8k: match\}}"
    with pytest.raises(InputError, match=said):
        read(tmp_path)
    assert read(tmp_path, metrics={"gsm8k": "judge.tone"})[0].utility.tolist() == [[0.5]]


def test_epochs_are_averaged_and_costs_are_read(tmp_path):
    usage = {"input_tokens": 10, "output_tokens": 2, "total_cost": 0.5}
    first = sample(1, model_usage={"org/m": usage})
    second = sample(1, "I", 2, model_usage={"org/m": usage | {"total_cost": 0.25}})
    write_eval(tmp_path, members([first, second]))
    table, said = read(tmp_path)
    assert table.utility.tolist() == [[0.5]]
    assert table.cost.tolist() == [[0.375]]
    assert table.prompt_tokens.tolist() == [[10]]
    assert "1 outcomes are means over repeated calls" in said[0]


def test_messages_choices_and_images(tmp_path):
    parts = [{"type": "text", "text": "what is it?"}, {"type": "image", "image": "data:..."}]
    asked = [{"role": "system", "content": "be brief"}, {"role": "user", "content": parts}]
    content = [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "a cat"}]
    output = {"choices": [{"message": {"content": content}}]}
    write_json(
        tmp_path,
        [sample(1, input=asked, choices=["cat", "dog"], output=output, target=["A", "B"])],
    )
    table, said = read(tmp_path)
    assert table.samples["question"].tolist() == ["what is it?\ncat\ndog"]
    assert table.samples["answer"].tolist() == ["A"]
    assert table.prediction.tolist() == [["a cat"]]
    assert "1 samples hold images, which are not read" in said[0]


def test_errors_and_empty_answers_are_failed_calls(tmp_path):
    write_json(
        tmp_path,
        [
            sample(1),
            sample(2, "I", error={"message": "429"}),
            sample(3, "I", output={"choices": []}),
        ],
    )
    table, said = read(tmp_path)
    np.testing.assert_array_equal(table.utility[:, 0], [1, np.nan, np.nan])
    assert "2 calls failed or gave an empty answer" in said[0]


def test_an_answer_that_is_not_kept_or_calls_a_tool_is_no_failure(tmp_path):
    message = {"role": "assistant", "content": "", "tool_calls": [{"function": "submit"}]}
    samples = [sample(1, output={"choices": [{"message": message}]}), sample(2)]
    del samples[1]["output"]
    write_json(tmp_path, samples)
    table, said = read(tmp_path)
    assert said == []
    assert table.utility[:, 0].tolist() == [1, 1]
    assert table.prediction[:, 0].tolist() == [None, None]


def test_the_last_whole_log_counts(tmp_path):
    write_json(tmp_path, [sample(1)], "a.json", created="2025-01-01T00:00:00+00:00")
    write_json(tmp_path, [sample(1, "P")], "b.json", created="2025-01-02T00:00:00+00:00")
    content = members([sample(1, "I")], created="2025-01-03T00:00:00+00:00")
    del content["header.json"]
    path = write_eval(tmp_path, content, "c.eval")
    (tmp_path / "listing.json").write_text("{}")
    table, said = read(tmp_path)
    assert table.utility.tolist() == [[0.5]]
    assert any("1 logs are of runs that broke off" in one and str(path) in one for one in said)
    assert any("2 runs are not used" in one for one in said)
    assert any("1 files are no logs" in one and "listing.json" in one for one in said)


def damaged(path):
    content = bytearray(path.read_bytes())
    content[45] ^= 255
    path.write_bytes(content)


@pytest.mark.parametrize("write", [write_eval, write_zstandard])
def test_a_damaged_log_is_named(tmp_path, write):
    path = write(tmp_path, {"header.json": {"a": "b" * 100}})
    damaged(path)
    with pytest.raises(InputError, match=rf"{path}: not readable as a zip"):
        read(tmp_path)
    content = write(tmp_path, {"header.json": {}}).read_bytes()
    path.write_bytes(content[:20] + content[40:])
    with pytest.raises(InputError, match=rf"{path}: not readable as a zip"):
        read(tmp_path)
    path.write_bytes(b"no zip")
    with pytest.raises(InputError, match=rf"{path}: not readable as a zip"):
        read(tmp_path)


@pytest.mark.parametrize("write", [write_eval, write_zstandard])
def test_a_member_unpacks_to_so_much_and_no_more(tmp_path, write, monkeypatch):
    path = write(tmp_path, members([sample(1, metadata={"a": "b" * 100_000})]))
    monkeypatch.setattr(inspect_ai, "MAX_MEMBER_BYTES", 90_000)
    said = rf"{path}: not readable as a zip \('samples/1_epoch_1\.json' unpacks to more than 90,000"
    with pytest.raises(InputError, match=said):
        read(tmp_path)


def test_a_zip_that_states_another_size_than_it_has_is_refused(tmp_path):
    path = write_zstandard(tmp_path, {"header.json": {"a": "b" * 100_000}})
    size = struct.pack("<I", len(json.dumps({"a": "b" * 100_000})))
    before, after = path.read_bytes().rsplit(size, 1)
    path.write_bytes(before + struct.pack("<I", 50) + after)
    with pytest.raises(InputError, match=r"'header\.json' is damaged"):
        read(tmp_path)


def call(seconds, model="org/m", **own):
    return {"event": "model", "model": model, "output": {"time": seconds}} | own


@pytest.mark.parametrize(
    ("events", "latency"),
    [
        ([call(1.25), {"event": "tool", "working_time": 9}, call(0.5)], 1.75),
        ([call(1.25), call(8, "grader"), call(8, role="grader")], 1.25),
        ([call(1.25), call(None)], 2.5),
        ([], 2.5),
        (None, 2.5),
        ([call(1.25), call(0.001, cache="read")], np.nan),
    ],
    ids=["calls", "other models", "untimed", "none", "no events", "cached"],
)
def test_latency_is_the_time_of_the_models_calls_else_the_working_time(tmp_path, events, latency):
    write_json(tmp_path, [sample(1, events=events, working_time=2.5), sample(2, working_time=1.0)])
    table, _ = read(tmp_path)
    np.testing.assert_array_equal(table.latency_s, [[latency], [1]])


def test_the_time_that_a_sample_waited_is_no_latency(tmp_path):
    write_json(tmp_path, [sample(1)])
    assert read(tmp_path)[0].latency_s is None
