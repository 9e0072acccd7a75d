import json
import warnings

import numpy as np
import pytest

from mmroute.errors import InputError
from mmroute.outcome_table import validate
from mmroute.sources.decision_log import DecisionLogs

LINES = [
    {"id": "q0", "time": "2026-01-02T03:04:05Z", "model": "a", "text": "Why?", "dataset": "chat"},
    {"id": "q1", "time": "2026-01-02T03:04:06Z", "model": "b", "text": "=1+1", "latency_s": 3},
    {"id": "q0", "correct": True, "cost_usd": 2e-3},
    {"id": "q1", "utility": 0.25},
    {"id": "q1", "model": "a", "utility": 0.5, "latency_s": 1},
]


def put(path, lines):
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def read(*paths):
    source = DecisionLogs(*map(str, paths))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = source.read(source.fetch(paths[0].parent / "unused"))
    return table, [str(warning.message) for warning in caught]


def test_a_log_becomes_an_outcome_table(tmp_path):
    table, said = read(put(tmp_path / "log.jsonl", LINES))
    validate(table, "here")
    (selected,) = said
    assert "unless that was at random" in selected
    assert table.samples["sample_id"].tolist() == ["q0", "q1"]
    assert table.samples["question"].tolist() == ["Why?", "=1+1"]
    assert table.samples["dataset"].tolist() == ["chat", ""]
    assert table.model_names == ["a", "b"]
    nan = np.nan
    np.testing.assert_array_equal(table.utility, [[1, nan], [0.5, 0.25]])
    np.testing.assert_array_equal(table.cost, [[2e-3, nan], [nan, nan]])
    np.testing.assert_array_equal(table.latency_s, [[nan, nan], [1, 3]])


def test_outcomes_beside_the_log_and_its_earlier_files_are_read(tmp_path):
    log, later = tmp_path / "log.jsonl", tmp_path / "later.jsonl"
    put(tmp_path / "log-0001.jsonl", LINES[:1])
    put(log, LINES[1:2])
    put(later, [*LINES[2:], {"id": "gone", "utility": 1}])
    whole, _ = read(put(tmp_path / "whole.jsonl", LINES))
    table, said = read(log, later)
    for name, matrix in whole.matrices.items():
        np.testing.assert_array_equal(table.matrices[name], matrix)
    assert "1 outcomes are of no decision" in said[0]
    source = DecisionLogs(str(log), str(later))
    assert [path.name for path in source.local_files()] == [
        "log-0001.jsonl",
        "log.jsonl",
        "later.jsonl",
    ]
    before = source.fingerprint()
    put(later, LINES[2:])
    assert source.fingerprint() != before


def test_models_that_nobody_judged_are_left_out(tmp_path):
    paid = {"id": "q1", "cost_usd": 1}
    table, said = read(put(tmp_path / "log.jsonl", [*LINES[:3], paid]))
    assert table.model_names == ["a"]
    assert "1 models have no judged answer and are left out (such as 'b')" in said[0]


def test_a_log_without_outcomes_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"log\.jsonl: no outcome says how good an answer was"):
        read(put(tmp_path / "log.jsonl", LINES[:2]))
    with pytest.raises(InputError, match=r"gone\.jsonl: no such file"):
        read(tmp_path / "gone.jsonl")
