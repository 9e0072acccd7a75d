import json
import warnings

import numpy as np
import pytest

from mmroute.errors import InputError
from mmroute.outcome_table import validate
from mmroute.sources.opencompass import OpenCompass

DATE = "20250102_030405"


def asked(question, answer="A", gold="A"):
    prompt = [{"role": "HUMAN", "prompt": "example"}, {"role": "BOT", "prompt": "example"}]
    prompt.append({"role": "HUMAN", "prompt": question})
    return {"origin_prompt": prompt, "prediction": answer, "gold": gold}


def write(folder, predictions, details, model="m", dataset="gsm8k", date=DATE, part=""):
    for kind, content in (("predictions", predictions), ("results", details)):
        path = folder / date / kind / model / f"{dataset}{part * (kind == 'predictions')}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    return path


def numbered(*rows):
    return {str(number): row for number, row in enumerate(rows)}


def read(path, **arguments):
    source = OpenCompass(str(path), **arguments)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        table = source.read(source.fetch(None))
    validate(table, "opencompass")
    return table, [str(warning.message) for warning in said]


def verdict(correct, **own):
    return {"pred": "A", "answer": "A", "correct": correct} | own


def test_details_become_outcomes_with_the_questions_of_the_predictions(tmp_path):
    predictions = numbered(asked("one?"), asked("two?", "B" * 12, ["A", "a"]), asked("three?"))
    details = numbered(verdict(True), verdict(False), verdict(True)) | {"type": "GEN"}
    path = write(tmp_path, predictions, {"accuracy": 66.67, "details": details})
    write(tmp_path, predictions, {"accuracy": 0, "details": [verdict(0.5)]}, model="n")
    table, said = read(tmp_path)
    assert table.model_names == ["m", "n"]
    assert table.samples["sample_id"].tolist() == ["gsm8k_0", "gsm8k_1", "gsm8k_2"]
    assert table.samples["question"].tolist() == ["one?", "two?", "three?"]
    assert table.samples["answer"].tolist() == ["A", "A", "A"]
    np.testing.assert_array_equal(table.utility, [[1, 0.5], [0, np.nan], [1, np.nan]])
    assert round(100 * table.utility[:, 0].mean(), 2) == 66.67
    assert table.prompt_tokens[:, 0].tolist() == [1, 1, 2]
    assert table.completion_tokens[:, 0].tolist() == [1, 3, 1]
    assert "4 token counts are estimated" in said[0]
    assert OpenCompass(str(tmp_path)).local_files() == [
        *(tmp_path / DATE / "results" / model / "gsm8k.json" for model in "mn"),
        *(tmp_path / DATE / "predictions" / model / "gsm8k.json" for model in "mn"),
    ]
    assert read(path)[0].model_names == ["m"]


def test_predictions_may_come_in_parts_and_verdicts_as_text(tmp_path):
    details = {"details": numbered({"correct": "True"}, {"correct": "False", "predictions": "x"})}
    write(tmp_path, numbered(asked("one?")), details, part="_0")
    write(tmp_path, numbered(asked("two?", "B")), details, part="_1")
    table, _ = read(tmp_path)
    assert table.samples["question"].tolist() == ["one?", "two?"]
    assert table.utility[:, 0].tolist() == [1, 0]
    assert table.prediction[:, 0].tolist() == ["A", "B"]


def test_answers_compared_by_perplexity_complete_nothing(tmp_path):
    labels = {f"label: {letter}": {"testing input": "q" * 40, "PPL": 1.5} for letter in "AB"}
    write(tmp_path, numbered(labels), {"details": numbered({"correct": True}) | {"type": "PPL"}})
    table, _ = read(tmp_path)
    assert table.prompt_tokens.tolist() == [[10]]
    assert table.completion_tokens.tolist() == [[0]]
    assert table.prediction.tolist() == [[None]]
    assert table.utility.tolist() == [[1]]


def test_the_last_date_counts_and_empty_answers_are_failed_calls(tmp_path):
    old = {"details": numbered(verdict(False), verdict(False))}
    write(tmp_path, numbered(asked("one?"), asked("two?")), old, date="20240101_000000")
    new = {"details": numbered(verdict(True), verdict(False))}
    write(tmp_path, numbered(asked("one?"), asked("two?", " ")), new)
    table, said = read(tmp_path)
    np.testing.assert_array_equal(table.utility[:, 0], [1, np.nan])
    assert any("1 runs are not used" in one for one in said)
    assert any("1 calls failed or gave an empty answer" in one for one in said)


def test_results_without_details_are_left_out_or_refused(tmp_path):
    path = write(tmp_path, numbered(asked("one?")), {"accuracy": 100.0}, dataset="mmlu")
    with pytest.raises(InputError, match=r"no call has a score: .*--dump-eval-details"):
        read(tmp_path)
    write(tmp_path, numbered(asked("one?")), {"details": numbered(verdict(True))})
    table, said = read(tmp_path)
    assert table.samples["dataset"].tolist() == ["gsm8k"]
    assert f"--dump-eval-details (such as {path})" in said[0]
    said = tmp_path / DATE / "predictions/m/gsm8k.json"
    for odd in ({"0": True}, [1], {"0": {"origin_prompt": [7], "gold": {}, "prediction": [[]]}}):
        said.write_text(json.dumps(odd))
        assert read(tmp_path)[0].samples["question"].tolist() == [""]
    path.write_text("{")
    with pytest.raises(InputError, match=rf"{path}: not readable as JSON"):
        read(tmp_path)


def test_verdicts_may_be_lists_of_repeats(tmp_path):
    details = numbered({"correct": [True]}, {"correct": [True, "False"]}, {"correct": [None]})
    write(tmp_path, numbered(*map(asked, "abc")), {"details": details}, dataset="ceval-law")
    table, said = read(tmp_path)
    np.testing.assert_array_equal(table.utility[:, 0], [1, 0.5, np.nan])
    assert table.samples["scenario"].tolist() == ["ceval"] * 3
    assert any("1 outcomes have no score" in one for one in said)


def test_equal_answers_are_right_where_that_gives_the_accuracy(tmp_path):
    details = numbered(
        {"predictions": "A", "references": "A"}, {"predictions": "B", "references": "A"}
    )
    predictions = numbered(asked("one?"), asked("two?"))
    write(tmp_path, predictions, {"accuracy": 50.0, "details": details | {"type": "GEN"}})
    table, said = read(tmp_path)
    assert table.utility[:, 0].tolist() == [1, 0]
    assert any("1 results have no verdict per sample" in one for one in said)
    write(tmp_path, predictions, {"accuracy": 100.0, "details": details})
    with pytest.raises(InputError, match="2 outcomes have no score"):
        read(tmp_path)


def test_predictions_with_a_gap_are_refused_as_they_may_be_of_other_samples(tmp_path):
    predictions = numbered(asked("one?"), asked("two?"), asked("three?"))
    del predictions["1"]
    write(tmp_path, predictions, {"details": numbered(*[verdict(True)] * 3)}, part="_0")
    said = r"predictions/m/gsm8k_0\.json: has 2 predictions and none with the number 1, .* run the"
    with pytest.raises(InputError, match=said):
        read(tmp_path)
