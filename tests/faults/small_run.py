"""A small run of the workflow, in a copy of the checkout, for faults to happen to."""

import bisect
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from inputs import draw_images, long_table

ROOT = Path(__file__).parents[2]
CONFIG = {
    "name": "small",
    "source": {"kind": "table", "path": "table.csv"},
    "split": {"train": 0.5},
    "routers": {"linear": {}},
    "studied": ["linear"],
    "decision": {"router": "linear", "labels": "train"},
    "resamples": 100,
    "shrink": False,
}
TARGETS = ["results/small/decision.csv", "results/small/tables/table2.csv"]
METRICS = [
    "tables/*.csv",
    "decision.csv",
    "evaluation/**/replicates.parquet",
    "routers/**/predictions.parquet",
]
STORED = ["**/*.parquet", "**/*.safetensors", "**/*.csv"]
"""Files that are the same bytes in every run."""


class NotSurvived(Exception):
    """What a fault has done to a run that it must not."""


@dataclass(frozen=True)
class Tally:
    """How many faults were tried, how many of them survived, and what went wrong."""

    tried: int
    survived: int
    failures: tuple[str, ...] = ()


@dataclass
class Run:
    """A copy of the checkout, in which a small table is run and resumed.

    Attributes
    ----------
    folder
        Where the copy is made.
    source
        What is copied.
    python
        What runs Snakemake.
    """

    folder: Path
    source: Path = ROOT
    python: Path = Path(sys.executable)

    def __post_init__(self) -> None:
        ignore = shutil.ignore_patterns(".*", "results", "site", "__pycache__")
        shutil.copytree(self.source, self.folder, ignore=ignore, dirs_exist_ok=True)
        # The copy of a copy has its inputs, as old as they are there.
        if self.source == ROOT:
            (self.folder / "my.yaml").write_text(yaml.safe_dump(CONFIG))
            (self.folder / "table.csv").write_bytes(long_table().text())
            draw_images(self.folder / "images")

    @property
    def results(self) -> Path:
        """The folder of the run's results."""
        return self.folder / "results" / CONFIG["name"]

    def start(self, *more: str) -> subprocess.Popen[str]:
        """Start the run in a process group of its own."""
        arguments = ["--cores", "2", "--configfile", "my.yaml"]
        profile = ["--workflow-profile", "workflow/profiles/default"]
        return subprocess.Popen(
            [self.python, "-m", "snakemake", *TARGETS, *arguments, *profile, *more],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def finish(self) -> str:
        """Run to the end, removing a stale lock as the message asks; return what was said."""
        process = self.start()
        said = process.communicate()[1]
        if process.returncode and "--unlock" in said:
            self.start("--unlock").communicate()
            process = self.start()
            said = process.communicate()[1]
        if process.returncode:
            raise NotSurvived(f"does not resume: {said[-4000:]}")
        return said

    def kill_after(self, files: int, seconds: float) -> bool:
        """Start, and kill all of it some seconds after the results hold so many files.

        Returns whether it was still running.
        """
        if any(self.folder.glob(".snakemake/locks/*")):
            self.start("--unlock").communicate()
        process = self.start()
        while process.poll() is None and len(self.files()) < files:
            time.sleep(0.02)
        try:
            process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return True
        return False

    def files(self) -> list[Path]:
        """Return all files of the results."""
        walked = os.walk(self.results)
        return [Path(folder, name) for folder, _, names in walked for name in names]

    def stored(self, patterns: list[str]) -> dict[str, bytes]:
        """Return the content of files, by their paths in the results."""
        paths = [path for pattern in patterns for path in self.results.glob(pattern)]
        return {str(path.relative_to(self.results)): path.read_bytes() for path in paths}


class Undisturbed:
    """A run that nothing has happened to.

    Attributes
    ----------
    run
        It.
    seconds
        How long it took.
    metrics
        Its metric files.
    """

    def __init__(self, folder: Path, *python: Path) -> None:
        self.run = Run(folder, ROOT, *python)
        start = time.time()
        self.run.finish()
        self.seconds = time.time() - start
        self._written = sorted(path.stat().st_mtime - start for path in self.run.files())
        self.metrics = self.run.stored(METRICS)
        self._stored = self.run.stored(STORED)

    def copy(self, folder: Path) -> Run:
        """Return a run to be disturbed, in a copy of this one's checkout as it was then."""
        return Run(folder, self.run.folder, self.run.python)

    def progress(self, moment: float) -> tuple[int, float]:
        """Return how many files there were at a moment, and for how many seconds.

        So a moment of this run is told in another one, on a machine that is slower by then.
        """
        files = bisect.bisect(self._written, moment)
        return files, moment - (self._written[files - 1] if files else 0)

    def check_whole(self, run: Run) -> None:
        """Raise NotSurvived unless what a broken run has left is what belongs there."""
        left = [str(path) for path in run.results.rglob("*.partial")]
        found = run.stored(STORED)
        half = [name for name in found if found[name] != self._stored.get(name)]
        if left or half:
            raise NotSurvived(f"half-written: {', '.join([*left, *half])}")

    def check_finished(self, run: Run) -> None:
        """Resume a run; raise NotSurvived unless it ends well, with the same metric files."""
        run.finish()
        found = run.stored(METRICS)
        other = [name for name in self.metrics | found if self.metrics.get(name) != found.get(name)]
        if other:
            raise NotSurvived(f"differs: {', '.join(other)}")


def total(tallies: Iterator[Tally], kind: str, of: int) -> Tally:
    """Sum tallies, telling on the way how far it is."""
    tried = survived = 0
    failures: list[str] = []
    for tally in tallies:
        tried, survived = tried + tally.tried, survived + tally.survived
        failures += tally.failures
        print(f"{kind}: {tried} of {of} tried, {survived} survived", flush=True)
    return Tally(tried, survived, tuple(failures))
