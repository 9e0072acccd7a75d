"""What vLLM's semantic router learns from are the outcomes that are known, and no others."""

import json
from functools import partial

import numpy as np
import pytest
import yaml
from made_up import HOSTILE
from typer.testing import CliRunner

from mmroute.cli import app
from mmroute.decision.records import write_records
from mmroute.errors import InputError
from mmroute.outcomes.splits import freeze
from mmroute.storage import write_frame, write_json


@pytest.fixture
def written(make_table, tmp_path):
    """Return what writes a run, its table with what is given, and the records of it."""

    def write(labels="train", questions=None, **given):
        table = make_table(**given)
        if questions is not None:
            table.samples["question"] = questions
        results, path = tmp_path / "results/mine", tmp_path / "records.jsonl"
        table.write(results / "outcomes")
        write_json(results / "outcomes/pool.json", {"unit_usd": 1.0})
        splits = freeze(table.samples, 0.5, [0])
        write_frame(results / "splits.parquet", splits)
        told = write_records(results, "0", labels, path)
        return (
            table,
            splits["0"].to_numpy(),
            [*map(json.loads, path.read_text().splitlines())],
            told,
        )

    return write


def loaded(records):
    """What ``load_jsonl`` makes of a line: query, category, model, quality and milliseconds."""
    names = "query", "category", "model_name", "performance"
    return [
        (*(own[name] for name in names), own.get("response_time", 0.0) * 1000) for own in records
    ]


def outcomes(table, rows):
    """The known outcomes of some samples, in order."""
    for row in rows:
        sample = table.samples.iloc[row]
        for name, utility in zip(table.model_names, table.utility[row], strict=True):
            if np.isfinite(utility):
                yield sample["question"], sample["scenario"].lower(), name, utility, 0.0


def some_missing():
    utility = np.random.default_rng(2).random((12, 3))
    utility[[0, 3, 4, 9], [0, 1, 2, 0]] = np.nan
    return utility


def test_a_line_is_a_query_and_a_model_that_answered_it(written):
    table, in_train, records, told = written(utility=some_missing())
    assert 0 < in_train.sum() < 12
    assert loaded(records) == [*outcomes(table, np.flatnonzero(in_train))]
    assert {own["task_name"] for own in records} <= {"A", "B"}
    assert (told.records, told.queries) == (len(records), in_train.sum())


def test_of_the_test_split_only_where_it_is_asked_for(written):
    table, _, records, told = written("all", utility=some_missing())
    assert loaded(records) == [*outcomes(table, range(12))]
    assert (told.records, told.queries, told.textless) == (32, 12, 0)


def test_queries_alike_are_told_apart(written):
    _, _, records, _ = written("all", questions=["Which is older?"] * 12)
    assert [own["embedding_id"] for own in records] == [*np.repeat(range(12), 3)]


def test_a_latency_is_there_for_all_or_for_none(written, tmp_path):
    seconds = np.random.default_rng(3).random((12, 3))
    utility = some_missing()
    # What was not answered took no time that anybody asks for.
    seconds[np.isnan(utility)] = np.nan
    _, _, records, told = written("all", utility=utility, latency_s=seconds)
    assert [own["response_time"] for own in records] == seconds[np.isfinite(utility)].tolist()
    assert "response_time" not in str(told)
    (tmp_path / "records.jsonl").unlink()
    seconds[5, 1] = np.nan
    _, _, records, told = written("all", utility=utility, latency_s=seconds)
    assert not any("response_time" in own for own in records)
    assert str(told).endswith("without response_time, as 1 calls have no latency")


def test_queries_without_a_text_are_left_out_and_counted(written):
    _, _, records, told = written("all", questions=["", " \n", *["Slope?"] * 10])
    assert {own["query"] for own in records} == {"Slope?"}
    assert (len(records), told.records, told.queries, told.textless) == (30, 30, 10, 2)
    assert "2 queries without a text are left out" in str(told)


def test_without_any_text_the_way_out_is_named(written, tmp_path):
    with pytest.raises(InputError, match=r"samples\.parquet: no query has a text.*add the quest"):
        written(questions=[""] * 12)
    assert not (tmp_path / "records.jsonl").exists()


def test_hostile_texts_stay_texts_of_one_line(written):
    texts = [f"{HOSTILE}\n\x1b[31m\u2028{index}\r=1+1" for index in range(12)]
    _, _, records, _ = written("all", questions=texts)
    assert [own["query"] for own in records[::3]] == texts


def test_nothing_is_written_over_and_no_half(written, make_table, tmp_path, monkeypatch):
    written()
    before = (tmp_path / "records.jsonl").read_bytes()
    again = partial(write_records, tmp_path / "results/mine", "0", "train")
    with pytest.raises(InputError, match="is there already"):
        again(tmp_path / "records.jsonl")
    assert (tmp_path / "records.jsonl").read_bytes() == before
    lines = iter([before.splitlines()[0].decode()])
    monkeypatch.setattr("mmroute.decision.records.json.dumps", lambda *_, **__: next(lines))
    with pytest.raises(StopIteration):
        again(tmp_path / "other.jsonl")
    assert {path.name for path in tmp_path.iterdir()} == {"results", "records.jsonl"}


def test_the_command_takes_the_config_of_a_run(written, tmp_path, monkeypatch):
    _, _, records, _ = written()
    monkeypatch.chdir(tmp_path)
    content = {"name": "mine", "source": {"kind": "demo"}}
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(content))
    done = CliRunner().invoke(app, ["records", "my.yaml", "own.jsonl"])
    assert done.exit_code == 0
    assert done.stdout.startswith(f"own.jsonl: {len(records)} records of ")
    assert (tmp_path / "own.jsonl").read_bytes() == (tmp_path / "records.jsonl").read_bytes()
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(content | {"name": "other"}))
    done = CliRunner().invoke(app, ["records", "my.yaml", "another.jsonl"])
    assert done.exit_code == 2
    assert "run the config first" in done.stderr
