"""A run on a real SLURM, of one node: the metrics are those of a run on this machine."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SLURM = Path(__file__).with_name("slurm.sh")
CONFIG = {
    "name": "small",
    "source": {"kind": "demo", "samples": 30},
    "routers": {"random": {"trials": 5}, "knn": {}},
    "studied": ["knn"],
    "shrink": False,
    "resamples": 200,
}
TARGETS = [f"results/small/{name}" for name in ("tables/table2.csv", "tables/datasets.csv")]
METRICS = ["tables/*.csv", "decision.csv", "evaluation/**/replicates.parquet"]


def unable():
    """Return why no SLURM can be started here, or None."""
    missing = [name for name in ("munged", "slurmctld", "slurmd") if not shutil.which(name)]
    if missing:
        return f"no {', '.join(missing)}: apt-get install slurm-wlm munge"
    return None if os.geteuid() == 0 else "only root can start it"


@pytest.fixture(scope="module")
def slurm():
    """Start a SLURM of one node for the tests of this module."""
    if reason := unable():
        pytest.skip(f"NOT TESTED ON SLURM: {reason}")
    # Everybody must reach its socket: no folder of pytest's.
    folder = Path(f"/run/mmroute-slurm-{os.getpid()}")
    try:
        # It stays after this command, and would keep a pipe open.
        log = folder.with_suffix(".log")
        with log.open("w") as stream:
            up = subprocess.run([SLURM, "up", folder], stderr=stream, check=False)
        if up.returncode != 0:
            pytest.skip(f"NOT TESTED ON SLURM: it does not start: {log.read_text().strip()}")
        yield
    finally:
        subprocess.run([SLURM, "down", folder], check=True)
        log.unlink()


class Run:
    """A run of the config in a copy of the checkout."""

    def __init__(self, folder, targets, options):
        ignore = shutil.ignore_patterns(".*", "results", "__pycache__")
        shutil.copytree(ROOT, folder, ignore=ignore)
        (folder / "my.yaml").write_text(yaml.safe_dump(CONFIG))
        result = subprocess.run(
            [sys.executable, "-m", "snakemake", *targets, "--configfile", "my.yaml", *options],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        self.output = result.stdout + result.stderr
        assert result.returncode == 0, self.output[-6000:]
        self.results = folder / "results/small"

    def metrics(self):
        files = [path for pattern in METRICS for path in self.results.glob(pattern)]
        return {str(path.relative_to(self.results)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def local(slurm, tmp_path_factory):
    targets = [*TARGETS, "results/small/decision.csv"]
    return Run(tmp_path_factory.mktemp("local") / "checkout", targets, ["--cores", "2"])


def test_slurm_computes_what_this_machine_does(local, tmp_path):
    # This SLURM has no accounting to ask, and small jobs end before the 40 s until a first look.
    options = [
        *["--workflow-profile", "workflow/profiles/slurm"],
        *["--slurm-no-account", "--slurm-status-command", "squeue"],
        *["--slurm-init-seconds-before-status-checks", "5"],
    ]
    remote = Run(tmp_path / "checkout", [*TARGETS, "results/small/decision.csv"], options)
    assert "has been submitted with SLURM jobid" in remote.output
    assert "restart job" not in remote.output
    metrics = local.metrics()
    assert {"decision.csv", "tables/table2.csv", "tables/datasets.csv"} <= set(metrics)
    assert any(name.endswith("replicates.parquet") for name in metrics)
    assert remote.metrics() == metrics
