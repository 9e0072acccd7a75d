import json
import warnings

import numpy as np
import pytest

from mmroute.errors import InputError
from mmroute.outcome_table import validate
from mmroute.sources.promptfoo import Promptfoo


def result(question, provider="openai:gpt", score=1, **own):
    return {
        "promptIdx": 0,
        "testIdx": 0,
        "testCase": {"vars": {"q": question}},
        "provider": {"id": provider, "label": ""},
        "prompt": {"raw": f"Answer: {question}", "label": "Answer: {{q}}"},
        "vars": {"q": question},
        "response": {
            "output": "yes",
            "tokenUsage": {"total": 12, "prompt": 10, "completion": 2},
            "cached": False,
            "cost": 0.001,
        },
        "success": score == 1,
        "score": score,
        "namedScores": {"tone": 0.25},
        "failureReason": 0,
        "latencyMs": 300,
        "cost": 0.001,
    } | own


def write(folder, rows, name="results.json", timestamp="2025-01-02T03:04:05Z", config=None):
    path = folder / name
    content = {"version": 3, "timestamp": timestamp, "results": rows, "stats": {}}
    path.write_text(json.dumps({"evalId": "eval-1", "results": content, "config": config or {}}))
    return path


def read(path, **arguments):
    source = Promptfoo(str(path), **arguments)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        table = source.read(source.fetch(None))
    validate(table, "promptfoo")
    return table, [str(warning.message) for warning in said]


def test_results_become_outcomes_of_providers(tmp_path):
    big = {"id": "anthropic:big", "label": "big"}
    rows = [result("one"), result("two", score=0.5), result("one", provider=big, score=0)]
    rows[2]["provider"] = big
    path = write(tmp_path, rows, config={"description": "mine"})
    table, said = read(path)
    assert said == []
    assert table.model_names == ["big", "openai:gpt"]
    assert table.samples["dataset"].tolist() == ["mine", "mine"]
    assert table.samples["question"].tolist() == ["Answer: one", "Answer: two"]
    np.testing.assert_array_equal(table.utility, [[0, 1], [np.nan, 0.5]])
    np.testing.assert_array_equal(table.cost, [[0.001, 0.001], [np.nan, 0.001]])
    np.testing.assert_array_equal(table.prompt_tokens[0], [10, 10])
    np.testing.assert_array_equal(table.completion_tokens[0], [2, 2])
    assert table.prediction[0].tolist() == ["yes", "yes"]
    assert read(path, metrics={"mine": "namedScores.tone"})[0].utility[0].tolist() == [0.25, 0.25]


def test_samples_of_two_files_meet_by_prompt_and_variables(tmp_path):
    write(tmp_path, [result("one", "a")], "a.json", config={"description": "mine"})
    two = [result("one", provider="b") | {"provider": "b"}]
    write(tmp_path, two, "b.json", config={"description": "mine"})
    (tmp_path / "package.json").write_text("{}")
    table, said = read(tmp_path)
    assert table.utility.tolist() == [[1, 1]]
    assert "1 files are no logs and were skipped" in said[0]


def test_prompts_of_one_test_are_a_group_and_repeats_are_averaged(tmp_path):
    other = result("one", prompt={"raw": "Say: one", "label": "Say: {{q}}"})
    write(tmp_path, [result("one"), result("one", score=0), other, result("two", vars={})])
    table, _ = read(tmp_path)
    assert table.samples["dataset"].tolist() == ["results"] * 3
    groups = table.samples["group"].tolist()
    assert groups[0] == groups[1] != ""
    assert groups[2] == ""
    assert table.utility[:, 0].tolist() == [0.5, 1, 1]


def test_errors_are_failed_calls_and_failed_assertions_are_not(tmp_path):
    failed = result("one", score=0, failureReason=2, error="timeout", response=None)
    write(tmp_path, [failed, result("two", score=0, failureReason=1)])
    table, said = read(tmp_path)
    np.testing.assert_array_equal(table.utility[:, 0], [np.nan, 0])
    assert "1 calls failed or gave an empty answer" in said[0]


def test_halves_of_surrogate_pairs_are_replaced(tmp_path):
    row = result("\ud800", provider="\ud800", response={"output": "\ud800", "cost": 1})
    table, _ = read(write(tmp_path, [row]))
    assert table.model_names == ["?"]
    assert table.samples["question"].tolist() == ["Answer: ?"]
    assert table.prediction.tolist() == [["?"]]


def test_a_cached_answer_costs_what_its_call_did(tmp_path):
    cached = {"output": "yes", "cached": True, "cost": 0.25, "tokenUsage": {"total": 12}}
    table, said = read(write(tmp_path, [result("one", response=cached, cost=0.25)]))
    assert table.cost.tolist() == [[0.25]]
    assert said == []


def test_what_a_cached_answer_cost_is_unknown_and_so_is_an_unstated_0(tmp_path):
    cached = {"output": "yes", "cached": True, "cost": 0, "tokenUsage": {"total": 12, "cached": 12}}
    unstated = {"output": {"a": 1}, "tokenUsage": {"prompt": 7, "completion": 3}}
    free = {"output": "yes", "cost": 0, "tokenUsage": {}}
    rows = [
        result("one", response=cached, cost=0),
        result("two", response=unstated, cost=0),
        result("three", response=free, cost=0),
    ]
    write(tmp_path, rows)
    table, said = read(tmp_path)
    np.testing.assert_array_equal(table.cost[:, 0], [np.nan, np.nan, 0])
    np.testing.assert_array_equal(table.prompt_tokens[:, 0], [3, 7, np.nan])
    np.testing.assert_array_equal(table.completion_tokens[:, 0], [1, 3, np.nan])
    assert table.prediction[1, 0] == '{"a": 1}'
    assert "1 answers came from promptfoo's cache" in said[0]


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path):
    path = write(tmp_path, [result("one")])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(read(path)[0].samples) == 1


@pytest.mark.parametrize("content", ["[", "\udcff", "[" * 10**5])
def test_a_file_that_is_no_whole_json_is_named(tmp_path, content):
    path = tmp_path / "results.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=rf"{path}: not readable as JSON"):
        read(path)


def test_rows_that_are_not_as_they_should_be_are_missing_or_named(tmp_path):
    odd = {"vars": [1], "namedScores": 3, "provider": {"id": "odd"}, "response": 7}
    path = write(tmp_path, [result("one"), odd])
    table, said = read(tmp_path)
    assert table.model_names == ["openai:gpt"]
    assert any("1 calls failed" in one for one in said)
    assert any("1 models have no outcome and are left out (such as odd)" in one for one in said)
    for wrong in (7, {}, {"provider": {"id": True}}):
        path = write(tmp_path, [result("one"), wrong])
        with pytest.raises(InputError, match=rf"{path}: result 2: names no provider"):
            read(tmp_path)
    path = write(tmp_path, [result("one", score=7)])
    with pytest.raises(InputError, match=rf"{path}: result 1: the metric 'score' is 7\.0"):
        read(tmp_path)
    with pytest.raises(InputError, match=r"no results of promptfoo.* below it"):
        read(tmp_path / "none")


def test_latencies_are_in_seconds_and_unknown_from_the_cache(tmp_path):
    cached = {"output": "yes", "cached": True, "tokenUsage": {}}
    rows = [result("one", latencyMs=250), result("two", response=cached), result("three")]
    del rows[2]["latencyMs"]
    table, _ = read(write(tmp_path, rows))
    np.testing.assert_array_equal(table.latency_s, [[0.25], [np.nan], [np.nan]])


def test_repeats_from_the_cache_do_not_hide_what_the_others_cost_and_took(tmp_path):
    cached = result("one")["response"] | {"cached": True, "cost": 0}
    first = result("one", latencyMs=250)
    again = result("one", score=0, latencyMs=2, response=cached, cost=0)
    third = result("one", latencyMs=750, cost=0.003)
    third["response"] = third["response"] | {"cost": 0.003}
    table, _ = read(write(tmp_path, [first, again, third]))
    assert table.utility.item() == pytest.approx(2 / 3)
    assert table.latency_s.item() == 0.5
    assert table.cost.item() == pytest.approx(0.002)
