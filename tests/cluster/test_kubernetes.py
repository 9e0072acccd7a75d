"""The profile for Kubernetes with a stand-in for kubectl, which runs what it is given here."""

import json
import os
from pathlib import Path


def test_jobs_go_through_kubectl_and_ask_for_more_when_tried_again(run, tmp_path):
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    done = run(
        tmp_path / "checkout",
        ["results/small/splits.parquet", "results/small/outcomes"],
        *["--workflow-profile", "workflow/profiles/kubernetes"],
        *["--latency-wait", "10", "--seconds-between-status-checks", "1"],
        PATH=f"{Path(__file__).parent}:{os.environ['PATH']}",
        JOBS=str(jobs),
    )
    assert (done.results / "splits.parquet").is_file()
    assert (done.results / "outcomes/pool.json").is_file()
    # The fetch twice, the ingest, and the splits together with the outcome table.
    assert len(list(jobs.glob("*.json"))) == 4
    asked = [json.loads((jobs / f"{number}.json").read_text())["spec"] for number in range(4)]
    memory = [
        job["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] for job in asked
    ]
    assert memory == ["1000M", "2000M", "1000M", "3000M"]
    assert [job["activeDeadlineSeconds"] for job in asked[:3]] == [14_400, 28_800, 3_600]
