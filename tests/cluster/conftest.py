"""Runs of a small benchmark in a copy of the checkout, on this machine or sent to a cluster."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CONFIG = {
    "name": "small",
    "source": {"kind": "demo", "samples": 30},
    "routers": {"random": {"trials": 5}, "knn": {}},
    "studied": ["knn"],
    "decision": {"router": "knn", "labels": "train"},
    "shrink": False,
    "resamples": 200,
}


class Run:
    """A run of the config in a copy of the checkout.

    Attributes
    ----------
    output
        What Snakemake said.
    results
        Folder of the results.
    ROOT
        The checkout itself.
    """

    ROOT = ROOT

    def __init__(
        self,
        folder: Path,
        targets: list[str],
        *options: str,
        config: dict = CONFIG,
        **environment: str,
    ) -> None:
        ignore = shutil.ignore_patterns(".*", "results", "site", "__pycache__")
        shutil.copytree(ROOT, folder, ignore=ignore)
        (folder / "my.yaml").write_text(yaml.safe_dump(config))
        result = subprocess.run(
            [sys.executable, "-m", "snakemake", *targets, "--configfile", "my.yaml", *options],
            cwd=folder,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        self.output = result.stdout + result.stderr
        assert result.returncode == 0, self.output[-6000:]
        self.results = folder / "results/small"


@pytest.fixture(scope="session")
def run() -> type[Run]:
    """Return what starts a run."""
    return Run
