"""Kill the workflow at random moments, resume it, and compare with an undisturbed run.

    python tests/faults/kills.py --count 20 --seed 0

prints how many kills were tried and survived: the resumed run ended well, and its
metric files are those of the undisturbed run, byte for byte.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
CONFIG = {
    "name": "killed",
    "source": {"kind": "demo", "samples": 20},
    "routers": {"linear": {}},
    "studied": ["linear"],
    "resamples": 100,
    "shrink": False,
}
TARGETS = ["results/killed/decision.csv", "results/killed/tables/table2.csv"]
METRICS = [
    "tables/*.csv",
    "decision.csv",
    "evaluation/**/replicates.parquet",
    "routers/**/predictions.parquet",
]
AGAIN = 0.3
"""Probability that a resumed run is killed too."""


@dataclass
class Run:
    """A copy of the checkout, in which the small demo is started, killed and resumed.

    Attributes
    ----------
    folder
        Where the copy is made; must not exist.
    source
        What is copied.
    locked
        How many times a stale lock had to be removed.
    """

    folder: Path
    source: Path = ROOT
    locked: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        ignore = shutil.ignore_patterns(".git", ".venv", "results", ".snakemake", "__pycache__")
        shutil.copytree(self.source, self.folder, ignore=ignore)
        (self.folder / "my.yaml").write_text(yaml.safe_dump(CONFIG))

    @property
    def results(self) -> Path:
        """The folder of the results."""
        return self.folder / "results" / CONFIG["name"]

    def start(self, *more: str) -> subprocess.Popen[str]:
        """Start the run in a process group of its own."""
        arguments = ["--cores", "2", "--configfile", "my.yaml"]
        profile = ["--workflow-profile", "workflow/profiles/default"]
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", *TARGETS, *arguments, *profile, *more],
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
            self.locked += 1
            self.start("--unlock").communicate()
            process = self.start()
            said = process.communicate()[1]
        if process.returncode:
            raise RuntimeError(said[-4000:])
        return said

    def kill_after(self, seconds: float) -> bool:
        """Start, kill the whole group after some seconds; return whether it was still running."""
        if any(self.folder.glob(".snakemake/locks/*")):
            self.start("--unlock").communicate()
        process = self.start()
        try:
            process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return True
        return False

    def metrics(self) -> dict[str, bytes]:
        """Return the content of every metric file."""
        paths = [path for pattern in METRICS for path in self.results.glob(pattern)]
        return {str(path.relative_to(self.results)): path.read_bytes() for path in paths}


@dataclass(frozen=True)
class Tally:
    """How many kills were tried, how many of them survived, and what went wrong."""

    tried: int
    survived: int
    failures: list[str]


def undisturbed(run: Run) -> tuple[float, dict[str, bytes]]:
    """Return how many seconds a run takes that nobody kills, and its metric files."""
    start = time.perf_counter()
    run.finish()
    return time.perf_counter() - start, run.metrics()


def survive(run: Run, duration: float, whole: dict[str, bytes], draw: random.Random) -> Tally:
    """Kill a run at a moment drawn from its duration, maybe again while it resumes, and resume.

    Parameters
    ----------
    run
        A fresh copy.
    duration
        Seconds that an undisturbed run takes.
    whole
        Its metric files.
    draw
        Where the moments are drawn from.
    """
    moments = [draw.uniform(0, duration)]
    while draw.random() < AGAIN:
        moments.append(draw.uniform(0, duration / 2))
    killed = [moment for moment in moments if run.kill_after(moment)]
    when = ", ".join(f"{moment:.1f} s" for moment in killed)
    try:
        run.finish()
    except RuntimeError as error:
        return Tally(len(killed), 0, [f"killed after {when}: does not resume: {error}"])
    found = run.metrics()
    other = [name for name in whole | found if whole.get(name) != found.get(name)]
    if other:
        return Tally(len(killed), 0, [f"killed after {when}: differs: {', '.join(other)}"])
    return Tally(len(killed), len(killed), [])


def main() -> None:
    """Kill as many times as asked and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    draw = random.Random(asked.seed)
    tried = survived = locked = 0
    failures: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        # All are copies of one copy, so that a change to the checkout meanwhile is in none.
        first = Run(Path(name, "undisturbed"))
        duration, whole = undisturbed(first)
        print(f"an undisturbed run: {duration:.0f} s, {len(whole)} metric files", flush=True)
        while tried < asked.count:
            run = Run(Path(name, "killed"), first.folder)
            tally = survive(run, duration, whole, draw)
            tried, survived = tried + tally.tried, survived + tally.survived
            locked += run.locked
            failures += tally.failures
            print(f"kills: {tried} tried, {survived} survived", flush=True)
            shutil.rmtree(run.folder)
    print("\n".join(failures))
    print(f"{tried} kills tried, {survived} survived; {locked} stale locks removed")
    sys.exit(survived < tried)


if __name__ == "__main__":
    main()
