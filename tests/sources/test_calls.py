import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from mmroute.errors import InputError, Undecided
from mmroute.outcome_table import validate
from mmroute.sources.calls import UNSCALED, Call, CallLogs, Log, chosen_score
from mmroute.sources.cells import LONGEST_ANSWER

NAN = float("nan")


class Listed(CallLogs):
    """A JSON file with an order and the fields of calls that differ from ``call``."""

    wanted = "lists of calls"

    def find(self, root):
        return list(root.rglob("*.json"))

    def read_log(self, path, remark):
        content = json.loads(path.read_text())
        if not content:
            return None
        order, *calls = content
        return Log(path, True, order, [call(**own) for own in calls])


def call(**own):
    known = Call(
        "0", "d", "s", "", "q?", "", "m", {"acc": 1.0}, (), NAN, 9.0, 3.0, "A", False, "here"
    )
    return known._replace(**own)


def write(folder, *calls, order="1", name="a.json"):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(json.dumps([order, *calls] if calls else []))
    return path


def read(path, **arguments):
    """Return the table and what was said while reading it."""
    source = Listed(str(path), **arguments)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        table = source.read(source.fetch(Path("unused")))
    validate(table, "calls")
    return table, [str(warning.message) for warning in said]


def test_calls_become_outcomes(tmp_path):
    write(tmp_path, {"group": "g", "answer": "A"}, {"model": "k", "scores": {"acc": 0.5}})
    write(
        tmp_path,
        {"sample": "1", "cost": 0.25, "prompt_tokens": NAN},
        {"dataset": "e"},
        name="b.json",
    )
    write(tmp_path / "below", name="none.json")
    with pytest.raises(
        InputError, match=r"model 'm' on 'd' is in .*a\.json, too; set source\.path"
    ):
        read(tmp_path)
    write(tmp_path, {"dataset": "e"}, {"dataset": "e", "sample": "1", "cost": 0.25}, name="b.json")
    table, said = read(tmp_path)
    assert table.model_names == ["k", "m"]
    assert table.samples["sample_id"].tolist() == ["d_0", "e_0", "e_1"]
    assert table.samples["scenario"].tolist() == ["s", "s", "s"]
    assert table.samples["answer"].isna().tolist() == [True, True, True]
    np.testing.assert_array_equal(table.utility, [[0.5, 1], [NAN, 1], [NAN, 1]])
    np.testing.assert_array_equal(table.cost[:, 1], [NAN, NAN, 0.25])
    np.testing.assert_array_equal(table.prompt_tokens[:, 1], [9, 9, 9])
    assert said == [
        f"{tmp_path}: 1 files are no logs and were skipped (such as {tmp_path}/below/none.json)"
    ]


def test_the_last_of_the_largest_runs_of_a_model_counts(tmp_path):
    write(tmp_path, {"scores": {"acc": 0.0}}, order="2024-01", name="z.json")
    write(tmp_path, {"scores": {"acc": 1.0}}, order="2024-02")
    table, said = read(tmp_path)
    assert table.utility.tolist() == [[1]]
    assert "1 runs are not used, as there is a later, larger or whole one of the same" in said[0]
    assert f"(such as m on d in {tmp_path}/z.json)" in said[0]
    more = {"sample": "1", "scores": {"acc": 0.0}}
    write(tmp_path, {"scores": {"acc": 0.0}}, more, order="2024-01", name="z.json")
    table, said = read(tmp_path)
    assert table.utility.tolist() == [[0], [0]]
    assert f"(such as m on d in {tmp_path}/a.json)" in said[0]


def test_repeated_calls_are_averaged(tmp_path):
    write(tmp_path, {"prompt_tokens": 3.0}, {"scores": {"acc": 0.0}, "prediction": "B"})
    table, said = read(tmp_path)
    assert table.utility.tolist() == [[0.5]]
    assert table.prompt_tokens.tolist() == [[6]]
    assert table.prediction.tolist() == [["A"]]
    assert "1 outcomes are means over repeated calls (such as d_0 of m)" in said[0]


def test_failed_calls_are_missing_or_wrong(tmp_path):
    write(tmp_path, {"failed": True}, {"sample": "1"})
    table, said = read(tmp_path)
    np.testing.assert_array_equal(table.utility[:, 0], [NAN, 1])
    assert "1 calls failed or gave an empty answer, and count as missing" in said[0]
    table, said = read(tmp_path, failures="wrong")
    assert table.utility[:, 0].tolist() == [0, 1]
    assert "count as wrong" in said[0]
    with pytest.raises(InputError, match=r"source\.failures: 'ignored' is unknown"):
        Listed(str(tmp_path), failures="ignored")


def test_tokens_are_estimated_where_neither_they_nor_the_cost_stand(tmp_path):
    unknown = {"prompt_tokens": NAN, "completion_tokens": NAN}
    write(
        tmp_path,
        {**unknown, "question": "x" * 40, "prediction": "y" * 5000},
        {**unknown, "sample": "1", "cost": 0.5},
        {**unknown, "sample": "2", "completion_tokens": 0.0, "prediction": None},
    )
    table, said = read(tmp_path)
    np.testing.assert_array_equal(table.prompt_tokens[:, 0], [10, NAN, 1])
    np.testing.assert_array_equal(table.completion_tokens[:, 0], [1250, NAN, 0])
    assert "2 token counts are estimated from the texts, 4 bytes each" in said[0]
    assert len(table.prediction[0, 0]) == LONGEST_ANSWER


def test_scores_that_differ_need_a_word_by_data_set_or_scenario(tmp_path):
    write(tmp_path, {"scores": {"acc": 1.0, "f1": 0.25}})
    with pytest.raises(InputError, match=r"here: acc is 1\.0, f1 is 0\.25; .*\{s: acc\}"):
        read(tmp_path)
    write(tmp_path, {"scores": {"acc": 1.0, "f1": 0.25}, "main": ["f1", "bleu"]})
    assert read(tmp_path)[0].utility.tolist() == [[0.25]]
    assert read(tmp_path, metrics={"d": "f1"})[0].utility.tolist() == [[0.25]]
    assert read(tmp_path, metrics={"s": "acc"})[0].utility.tolist() == [[1]]
    with pytest.raises(InputError, match=r"source\.metrics: .* no data set 'x'; it has d"):
        read(tmp_path, metrics={"s": "acc", "x": "acc"})
    with pytest.raises(
        InputError,
        match=r"no score 'bleu' .* here, which has acc, f1; write 'metrics: \{d: <one of",
    ):
        read(tmp_path, metrics={"d": "bleu"})


def test_scores_in_percent_are_refused_with_the_key_that_reads_them(tmp_path):
    write(tmp_path, {"scores": {"acc": 85.0}}, {"sample": "1", "scores": {"acc": 0.5}})
    way = r"'acc' is 85\.0, not in \[0, 1\]; .* best possible answer by 'scale: \{s: <score>\}'"
    with pytest.raises(InputError, match=way):
        read(tmp_path)
    for name in ("s", "d"):
        assert read(tmp_path, scale={name: 100})[0].utility[:, 0].tolist() == [0.85, 0.005]
    with pytest.raises(InputError, match=r"'acc' is 85\.0, not in \[0, 10\]"):
        read(tmp_path, scale={"d": 10})
    with pytest.raises(InputError, match=r"source\.scale: .* no data set 'x'; it has d"):
        read(tmp_path, scale={"s": 100, "x": 10})
    write(tmp_path, {"scores": {"acc": 1.0}})
    table, said = read(tmp_path, scale={"d": 100})
    assert table.utility.tolist() == [[0.01]]
    assert f"1 {UNSCALED} (such as d: 100)" in said[0]


def test_what_cannot_be_used_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no lists of calls below it; set source\.path"):
        read(tmp_path)
    write(tmp_path)
    with pytest.raises(InputError, match=r"1 files are no logs .*; give lists of calls"):
        read(tmp_path)
    write(tmp_path, {"scores": {"acc": -7.0}})
    with pytest.raises(InputError, match=r"here: the metric 'acc' is -7\.0, not in \[0, 1\]; name"):
        read(tmp_path)
    write(tmp_path, {"dataset": "a", "sample": "1_2"}, {"dataset": "a_1", "sample": "2"})
    with pytest.raises(InputError, match="sample id 'a_1_2' is taken by data set 'a'"):
        read(tmp_path)


def test_one_file_is_read_alone(tmp_path):
    write(tmp_path, {"dataset": "other"}, name="b.json")
    path = write(tmp_path, {})
    source = Listed(str(path))
    assert source.local_files() == [path]
    assert source.fetch(tmp_path / "unused") == tmp_path
    assert read(path)[0].samples["dataset"].tolist() == ["d"]


def test_of_scores_that_differ_one_within_the_scale_is_named():
    for scale, named in ((1.0, "f1"), (100.0, "acc")):
        with pytest.raises(Undecided) as undecided:
            chosen_score({"acc": 50.0, "f1": 0.5}, "a.json", "task", None, scale)
        assert undecided.value.keys == {"metrics": {"task": named}}
