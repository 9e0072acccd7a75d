"""What is read of each sample adds up to what the application itself states of all of them."""

import json
import warnings

import numpy as np
import pytest

from mmroute.catalogue import build

MARKS = (1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0)


def helm(folder):
    """HELM's ``stats.json`` has sums over instances, each the mean over its trials."""
    run = folder / "mmlu,model=m"
    run.mkdir()
    rows = [
        {
            "instance_id": f"id{number}",
            "train_trial_index": 0,
            "stats": [
                {"name": {"name": "exact_match"}, "count": 1, "sum": mark, "mean": mark},
                {"name": {"name": "num_prompt_tokens"}, "count": 1, "sum": 9, "mean": 9},
                {"name": {"name": "num_output_tokens"}, "count": 1, "sum": 3, "mean": 3},
            ],
        }
        for number, mark in enumerate(MARKS)
    ]
    disturbed = {"name": {"name": "exact_match", "perturbation": {"name": "typos"}}, "mean": 0.0}
    total = {"name": {"name": "exact_match"}, "count": len(MARKS), "sum": sum(MARKS)}
    total["mean"] = total["sum"] / total["count"]
    spec = {"name": "mmlu:model=m", "adapter_spec": {"model": "m"}}
    (run / "per_instance_stats.json").write_text(json.dumps(rows))
    (run / "run_spec.json").write_text(json.dumps(spec))
    (run / "stats.json").write_text(json.dumps([disturbed, total]))
    stats = json.loads((run / "stats.json").read_text())
    return next(one["mean"] for one in stats if "perturbation" not in one["name"])


def inspect_ai(folder):
    """Inspect's ``accuracy`` is the mean over samples, of which each is the mean of its epochs."""
    grades = {1.0: "C", 0.0: "I"}
    samples = [
        {
            "id": number,
            "epoch": epoch,
            "input": "?",
            "target": "A",
            "output": {"choices": [{"message": {"content": "A"}}]},
            "scores": {"choice": {"value": grades[mark if epoch == 1 else 1.0]}},
            "model_usage": {"m": {"input_tokens": 9, "output_tokens": 3}},
        }
        for number, mark in enumerate(MARKS)
        for epoch in (1, 2)
    ]
    accuracy = np.mean([(mark + 1) / 2 for mark in MARKS])
    scores = [{"name": "choice", "metrics": {"accuracy": {"value": accuracy}}}]
    log = {
        "status": "success",
        "eval": {"task": "t", "model": "m"},
        "results": {"scores": scores},
        "samples": samples,
    }
    (folder / "log.json").write_text(json.dumps(log))
    return accuracy


def promptfoo(folder):
    """``stats`` of promptfoo counts the calls that have passed all assertions."""
    rows = [
        {
            "prompt": {"raw": f"{number}?"},
            "vars": {"n": number},
            "provider": {"id": "m"},
            "response": {"output": "A", "cost": 0.1},
            "score": mark,
            "success": mark == 1,
        }
        for number, mark in enumerate(MARKS)
    ]
    stats = {"successes": int(sum(MARKS)), "failures": MARKS.count(0.0), "errors": 0}
    (folder / "results.json").write_text(json.dumps({"results": {"results": rows, "stats": stats}}))
    return stats["successes"] / (stats["successes"] + stats["failures"])


def lmms_eval(folder):
    """The results of lmms-eval and lm-evaluation-harness have the mean of a task's metric."""
    (folder / "m").mkdir()
    lines = [
        {"doc_id": number, "input": "?", "target": "A", "resps": [["A"]], "exact_match": mark}
        for number, mark in enumerate(MARKS)
    ]
    log = folder / "m/20250102_030405_samples_vqa.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    results = {"results": {"vqa": {"exact_match,none": np.mean(MARKS)}}}
    (folder / "m/20250102_030405_results.json").write_text(json.dumps(results))
    return results["results"]["vqa"]["exact_match,none"]


def vlmevalkit(folder):
    """``_acc.csv`` of VLMEvalKit has the mean of the hits as ``Overall``."""
    (folder / "m").mkdir()
    lines = ["index\tquestion\tanswer\tprediction\thit"]
    lines += [f"{number}\t?\tA\tA\t{mark:g}" for number, mark in enumerate(MARKS)]
    (folder / "m/m_MMStar_openai_result.tsv").write_text("\n".join(lines) + "\n")
    (folder / "m/m_MMStar_acc.csv").write_text(f"split,Overall\nnone,{np.mean(MARKS)}\n")
    return float((folder / "m/m_MMStar_acc.csv").read_text().split(",")[-1])


@pytest.mark.parametrize("write", [helm, inspect_ai, promptfoo, lmms_eval, vlmevalkit])
def test_the_mean_utility_is_the_accuracy_that_stands_beside(write, tmp_path):
    stated = write(tmp_path)
    source = build("sources", write.__name__, {"path": str(tmp_path)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = source.read(source.fetch(tmp_path / "unused"))
    assert table.model_names == ["m"]
    assert table.utility.shape == (len(MARKS), 1)
    assert np.nanmean(table.utility) == pytest.approx(stated, abs=1e-12)
