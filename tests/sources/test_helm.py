import json
import warnings

import numpy as np
import pytest

from mmroute.errors import InputError
from mmroute.outcome_table import validate
from mmroute.sources.helm import Helm


def stats(instance_id, trial=0, perturbation=None, split="test", **values):
    listed = [
        {"name": {"name": name, "split": split}, "count": 1, "sum": value, "mean": value}
        for name, value in {"num_prompt_tokens": 90, "num_output_tokens": 3, **values}.items()
    ]
    row = {"instance_id": instance_id, "train_trial_index": trial, "stats": listed}
    return row | ({"perturbation": perturbation} if perturbation else {})


def instance(instance_id, question, *options, right=0):
    references = [
        {"output": {"text": option}, "tags": ["correct"] if number == right else []}
        for number, option in enumerate(options)
    ]
    return {
        "id": instance_id,
        "split": "test",
        "input": {"text": question},
        "references": references,
    }


def state(instance, answer, trial=0, **own):
    result = {"success": True, "completions": [{"text": answer}], "request_time": 0.5}
    request = {"model": "org/m", "prompt": "example\n\n" + instance["input"]["text"]}
    return {
        "instance": instance,
        "train_trial_index": trial,
        "request": request,
        "result": result,
    } | own


def write(folder, rows, states=(), name="mmlu:subject=law,model=org_m", method="generation", **own):
    run = folder / name
    run.mkdir(parents=True, exist_ok=True)
    model = own.get("model", "org/m")
    spec = {"name": name, "adapter_spec": {"method": method, "model": model}}
    spec |= {"groups": own.get("groups", ["mmlu"])}
    files = {"per_instance_stats": rows, "run_spec": spec, "stats": []}
    if states:
        files["scenario_state"] = {"adapter_spec": {}, "request_states": states}
    if "instances" in own:
        files["instances"] = own["instances"]
    for file, content in files.items():
        (run / f"{file}.json").write_text(json.dumps(content))
    return run


def read(path, **arguments):
    source = Helm(str(path), **arguments)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        table = source.read(source.fetch(None))
    validate(table, "helm")
    return table, [str(warning.message) for warning in said]


ONE = instance("id1", "one?", "yes", "no")
TWO = instance("id2", "two?", "red", "blue", right=1)


def test_runs_become_outcomes_by_the_metric_that_helm_reports(tmp_path):
    rows = [
        stats("id1", exact_match=1.0, quasi_exact_match=0.0, max_prob=0.5),
        stats("id2", exact_match=0.0, quasi_exact_match=1.0),
        stats("id2", exact_match=1.0, perturbation={"name": "typos"}),
    ]
    run = write(tmp_path, rows, [state(ONE, "yes"), state(TWO, "red")])
    name = "mmlu:subject=law,model=org_n"
    write(tmp_path, rows[:1], [state(ONE, "no")], name=name, model="org/n")
    table, said = read(tmp_path)
    assert said == []
    assert table.model_names == ["org/m", "org/n"]
    assert table.samples["sample_id"].tolist() == ["mmlu:subject=law_id1", "mmlu:subject=law_id2"]
    assert table.samples["scenario"].tolist() == ["mmlu", "mmlu"]
    assert table.samples["question"].tolist() == ["one?", "two?"]
    assert table.samples["answer"].tolist() == ["yes", "blue"]
    np.testing.assert_array_equal(table.utility, [[1, 1], [0, np.nan]])
    np.testing.assert_array_equal(table.prompt_tokens[:, 0], [90, 90])
    np.testing.assert_array_equal(table.completion_tokens[:, 0], [3, 3])
    assert table.prediction[:, 0].tolist() == ["yes", "red"]
    changed, _ = read(tmp_path, metrics={"mmlu": "quasi_exact_match"})
    np.testing.assert_array_equal(changed.utility[:, 0], [0, 1])
    files = Helm(str(tmp_path)).local_files()
    assert {path.name for path in files if path.parent == run} == {
        "per_instance_stats.json",
        "run_spec.json",
        "scenario_state.json",
    }


def test_rows_of_several_metrics_on_one_instance_count_together(tmp_path):
    rows = [
        stats("id1"),
        stats("id1", exact_match=1.0),
        stats("id2"),
        stats("id2", exact_match=0.0),
    ]
    for row in rows[1::2]:
        row["stats"] = row["stats"][2:]
    write(tmp_path, rows, [state(ONE, "yes"), state(TWO, "red")])
    table, said = read(tmp_path)
    assert said == []
    np.testing.assert_array_equal(table.utility[:, 0], [1, 0])
    np.testing.assert_array_equal(table.completion_tokens[:, 0], [3, 3])


def test_instances_of_another_split_than_the_reported_one_are_left_out(tmp_path):
    rows = [stats("id1", exact_match=1.0), stats("id2", exact_match=0.0, split="valid")]
    write(tmp_path, rows)
    table, said = read(tmp_path)
    assert table.samples["sample_id"].tolist() == ["mmlu:subject=law_id1"]
    assert "1 instances are of another split" in said[0]
    assert "instance 'id2' of 'valid'" in said[0]
    write(tmp_path, [rows[1]])
    assert read(tmp_path)[0].utility.tolist() == [[0]]


def test_the_schema_of_a_suite_names_metric_and_split(tmp_path):
    rows = [
        stats("id1", exact_match=1.0, red_team_score=0.5),
        stats("id2", exact_match=1.0, red_team_score=0.25, split="valid"),
    ]
    write(tmp_path, rows, groups=["safety", "red_team"])
    environment = {"main_name": "red_team_score", "main_split": "valid"}
    groups = [{"name": "safety"}, {"name": "red_team", "environment": environment}]
    (tmp_path / "schema.json").write_text(json.dumps({"run_groups": groups}))
    table, _ = read(tmp_path)
    assert table.samples["sample_id"].tolist() == ["mmlu:subject=law_id2"]
    assert table.utility.tolist() == [[0.25]]
    assert tmp_path / "schema.json" in Helm(str(tmp_path)).local_files()
    environment["main_name"] = "of_no_instance"
    (tmp_path / "schema.json").write_text(json.dumps({"run_groups": groups}))
    assert read(tmp_path)[0].utility.tolist() == [[1]]


def test_counts_that_are_too_low_for_an_answer_are_unknown(tmp_path):
    counted = stats("id1", exact_match=1.0, num_output_tokens=0)
    write(tmp_path, [counted], [state(ONE, "yes, as all of them are")])
    table, said = read(tmp_path)
    assert table.completion_tokens.tolist() == [[6]]
    assert table.prompt_tokens.tolist() == [[90]]
    assert "1 counts of completion tokens are too low for the answer" in said[0]
    write(tmp_path, [stats("id1", exact_match=1.0, num_output_tokens=1)], [state(ONE, "x" * 32)])
    assert read(tmp_path)[0].completion_tokens.tolist() == [[1]]


def test_a_scenario_without_a_known_metric_needs_agreement_or_a_word(tmp_path):
    write(tmp_path, [stats("id1", f1_score=0.5, bleu_4=0.5)], name="qa:model=org_m")
    table, _ = read(tmp_path)
    assert table.samples["dataset"].tolist() == ["qa"]
    assert table.utility.tolist() == [[0.5]]
    write(tmp_path, [stats("id1", f1_score=0.5, bleu_4=0.25)], name="qa:model=org_m")
    with pytest.raises(InputError, match=r"instance 'id1': f1_score is 0\.5, bleu_4 is 0\.25"):
        read(tmp_path)
    assert read(tmp_path, metrics={"qa": "bleu_4"})[0].utility.tolist() == [[0.25]]


def test_options_of_a_multiple_choice_are_asked_for_and_other_references_are_not(tmp_path):
    rows = [stats("id1", exact_match=1.0)]
    write(tmp_path, rows, method="multiple_choice_joint", instances=[ONE])
    assert read(tmp_path)[0].samples["question"].tolist() == ["one?\nyes\nno"]
    write(tmp_path, rows, instances=[ONE])
    assert read(tmp_path)[0].samples["question"].tolist() == ["one?"]


def test_trials_are_averaged_and_failed_requests_are_missing(tmp_path):
    rows = [
        stats("id1", exact_match=1.0),
        stats("id1", trial=1, exact_match=0.0),
        stats("id2", exact_match=0.0),
    ]
    failed = state(TWO, "", result={"success": False, "completions": [], "error": "429"})
    write(tmp_path, rows, [state(ONE, "yes"), state(ONE, "no", trial=1), failed])
    table, said = read(tmp_path)
    np.testing.assert_array_equal(table.utility[:, 0], [0.5, np.nan])
    assert any("1 outcomes are means over repeated calls" in one for one in said)
    assert any("1 calls failed" in one for one in said)


def test_one_run_alone_and_runs_of_two_suites(tmp_path):
    rows = [stats("id1", exact_match=1.0)]
    run = write(tmp_path / "v1", rows)
    assert read(run)[0].utility.tolist() == [[1]]
    write(tmp_path / "v2", rows)
    with pytest.raises(InputError, match=r"v2/.*: model 'org/m' on 'mmlu:subject=law' is in .*v1/"):
        read(tmp_path)


def test_a_run_without_its_spec_is_no_run_and_a_broken_file_is_named(tmp_path):
    run = write(tmp_path, [stats("id1", exact_match=1.0)])
    (run / "run_spec.json").unlink()
    with pytest.raises(InputError, match=r"1 files are no logs .*; give runs of HELM"):
        read(tmp_path)
    (run / "run_spec.json").write_text("[1")
    with pytest.raises(InputError, match=r"run_spec\.json: not readable as JSON"):
        read(tmp_path)
    (run / "run_spec.json").write_text(json.dumps({"adapter_spec": {"model": "m"}, "name": "x"}))
    (run / "per_instance_stats.json").write_text(json.dumps([7, {"stats": [7, {"mean": 1}]}]))
    with pytest.raises(InputError, match="instance '': the sample has no id"):
        read(tmp_path)
    (run / "per_instance_stats.json").write_text(json.dumps([stats("1", max_prob=1.0)]))
    with pytest.raises(InputError, match="no score .*instance '1', which has .*max_prob"):
        read(tmp_path)


def test_latencies_are_inference_runtimes_and_trials_are_averaged(tmp_path):
    scores = {"exact_match": 1}
    rows = [
        stats("id1", **scores, inference_runtime=0.5),
        stats("id1", trial=1, **scores, inference_runtime=1.5),
        stats("id2", **scores, inference_runtime=-1),
    ]
    table, _ = read(write(tmp_path, rows))
    np.testing.assert_array_equal(table.latency_s, [[1], [np.nan]])
