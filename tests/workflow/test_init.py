"""What mmroute init writes for logs runs to the report."""

import subprocess

import pytest
import yaml
from miniatures import MINIATURES

pytestmark = pytest.mark.slow

FEW = {
    "routers": {"random": {"trials": 2}, "knn": {"n_neighbors": 5}},
    "studied": ["knn"],
    "decision": {"router": "knn", "labels": "train"},
    "resamples": 100,
    "shrink": False,
}


@pytest.mark.parametrize("name", ["inspect_ai", "vl_release_archive", "embedllm"])
def test_a_config_that_init_writes_runs_to_the_report(make_checkout, name):
    checkout = make_checkout()
    MINIATURES[name][1](checkout.folder / "logs")
    command = [checkout.python, "-m", "mmroute.cli", "init", "logs"]
    written = subprocess.run(command, cwd=checkout.folder, capture_output=True, check=True)
    config = yaml.safe_load(written.stdout)
    assert config["source"]["path"] == "logs"
    checkout.run(config | FEW, "results/logs/report.html")
    assert (checkout.folder / "results/logs/report.html").stat().st_size > 10_000
