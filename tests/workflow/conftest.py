"""Runs of the real workflow, as a user starts it, in a copy of the checkout."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SMALL = {
    "name": "small",
    "source": {"kind": "demo", "samples": 30},
    "routers": {"random": {"trials": 5}, "knn": {}, "linear": {}, "oracle": {}},
    "studied": ["knn", "linear"],
    "decision": {"router": "knn", "labels": "train"},
    "resamples": 200,
}


REAL_INPUT = ROOT.parent / "shared/data"
collect_ignore = [] if REAL_INPUT.is_dir() else ["test_real_input.py"]


def pytest_report_header() -> list[str]:
    if REAL_INPUT.is_dir():
        return []
    return ["real input is not beside the checkout: tests/workflow/test_real_input.py is left out"]


class Checkout:
    """A copy of the project, with runs that tell what they did.

    A copy of a copy has its results and inputs too, as old as they are there.
    """

    def __init__(self, python: Path, folder: Path, source: Path = ROOT) -> None:
        self.python, self.folder = python, folder
        ignored = [".*", "results", "site", "__pycache__"]
        ignore = shutil.ignore_patterns(*ignored) if source == ROOT else None
        shutil.copytree(source, folder, ignore=ignore, symlinks=source != ROOT, dirs_exist_ok=True)

    def write_config(self, content: dict, name: str = "my.yaml") -> str:
        (self.folder / name).write_text(yaml.safe_dump(content))
        return name

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.python, "-m", "snakemake", *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )

    def run(self, config: dict, *targets: str, cores: int = 2) -> set[str]:
        """Run to the end and return the messages of the jobs that ran."""
        name = self.write_config(config)
        result = self.snakemake(*targets, "--cores", str(cores), "--configfile", name)
        assert result.returncode == 0, result.stderr[-4000:]
        return messages(result.stdout + result.stderr)

    def planned(self, config: dict) -> set[str]:
        """Return the messages of the jobs that a run would start."""
        name = self.write_config(config)
        result = self.snakemake("--dry-run", "--configfile", name)
        assert result.returncode == 0, result.stderr[-4000:]
        return messages(result.stdout + result.stderr)


def messages(output: str) -> set[str]:
    return set(re.findall(r"^ *Job \d+: (.*)$", output, re.MULTILINE))


@pytest.fixture(scope="session")
def small() -> dict:
    return SMALL


@pytest.fixture(scope="session")
def make_checkout(
    tmp_path_factory: pytest.TempPathFactory, warm_python: Path
) -> Callable[..., Checkout]:
    """Return what makes a checkout, of the project or of another checkout's folder."""
    return lambda *source: Checkout(warm_python, tmp_path_factory.mktemp("checkout"), *source)


@pytest.fixture(scope="session")
def finished_run(once: Callable[[str, Callable[[Path], None]], Path], warm_python: Path) -> Path:
    """Return a folder in which the small demo has run to its end, on two cores; it is copied."""
    return once("finished", lambda folder: Checkout(warm_python, folder).run(SMALL))


@pytest.fixture(scope="module")
def finished(finished_run: Path, make_checkout: Callable[..., Checkout]) -> Checkout:
    """Return a module's own checkout in which the small demo has run to its end."""
    return make_checkout(finished_run)
