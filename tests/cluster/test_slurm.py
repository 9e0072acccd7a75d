"""A run on a real SLURM, of one node: the metrics are those of a run on this machine."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SLURM = Path(__file__).with_name("slurm.sh")
TARGETS = [
    "results/small/tables/table2.csv",
    "results/small/tables/datasets.csv",
    "results/small/decision.csv",
]
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
        pytest.fail(f"NOT TESTED ON SLURM: {reason}")
    # Everybody must reach its socket: no folder of pytest's.
    folder = Path(f"/run/mmroute-slurm-{os.getpid()}")
    try:
        # It stays after this command, and would keep a pipe open.
        log = folder.with_suffix(".log")
        with log.open("w") as stream:
            up = subprocess.run([SLURM, "up", folder], stderr=stream, check=False)
        if up.returncode != 0:
            pytest.fail(f"SLURM is installed and does not start: {log.read_text().strip()}")
        yield
    finally:
        subprocess.run([SLURM, "down", folder], check=True)
        log.unlink()


def metrics(done):
    files = [path for pattern in METRICS for path in done.results.glob(pattern)]
    return {str(path.relative_to(done.results)): path.read_bytes() for path in files}


def test_slurm_computes_what_this_machine_does(slurm, run, tmp_path):
    # This SLURM has no accounting to ask, and small jobs end before the 40 s until a first look.
    remote = run(
        tmp_path / "remote",
        TARGETS,
        *["--workflow-profile", "workflow/profiles/slurm"],
        *["--slurm-no-account", "--slurm-status-command", "squeue"],
        *["--slurm-init-seconds-before-status-checks", "5"],
    )
    assert "has been submitted with SLURM jobid" in remote.output
    assert "restart job" not in remote.output
    local = metrics(run(tmp_path / "local", TARGETS, "--cores", "2"))
    assert {"decision.csv", "tables/table2.csv", "tables/datasets.csv"} <= set(local)
    assert any(name.endswith("replicates.parquet") for name in local)
    assert metrics(remote) == local


def test_a_submit_command_does_too(slurm, run, tmp_path):
    done = run(
        tmp_path / "remote",
        ["results/small/splits.parquet"],
        *["--workflow-profile", "workflow/profiles/cluster-generic"],
        *["--latency-wait", "10", "--seconds-between-status-checks", "1"],
    )
    assert "with external jobid" in done.output
    assert (done.results / "splits.parquet").is_file()
