"""Outcome tables small enough to reason about, and what workers that test in parallel share."""

import fcntl
import gc
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

from drawn_router import export_drawn

from mmroute.evaluation.setting import Setting
from mmroute.outcome_table import PRICE_COLUMNS, OutcomeTable
from mmroute.outcomes.benchmark import Benchmark


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--router",
        action="append",
        default=[],
        metavar="MODULE:CLASS",
        help="a router from outside the package that tests/routers/test_conformance.py also runs",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Give each worker one thread; it inherits the environment."""
    # Most of what is in memory is libraries, where there is no garbage to be looked for.
    gc.set_threshold(100_000)
    if config.getoption("numprocesses", None):
        os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes long first: no worker is to be left alone with it at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Begin every test with the same draws: what fails once fails again."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def once(
    tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Callable[[str, Callable[[Path], None]], Path]:
    """Return what makes a folder once for all workers: of a name, by a function."""
    base = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        base = base.parent

    def make_once(name: str, make: Callable[[Path], None]) -> Path:
        folder, made = base / name, base / f"{name}.made"
        with (base / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                make(folder)
                made.touch()
        return folder

    return make_once


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return what exports a small router of a name, made once; see ``export_drawn``."""
    made: dict[str, Path] = {}

    def folder(router: str | None = "ensemble", **told: object) -> Path:
        key = repr((router, told))
        if key not in made:
            made[key] = export_drawn(tmp_path_factory.mktemp("drawn") / "router", router, **told)
        return made[key]

    return folder


@contextmanager
def serving() -> Iterator[Path]:
    """A program that is Python with the libraries in memory; see ``warm.py``."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, Path(__file__).with_name("warm.py"), f"{folder}/socket"]
        # As for the jobs of a run; another number of threads rounds otherwise.
        alone = os.environ | {"OMP_NUM_THREADS": "1"}
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=alone) as server:
            assert server.stdout is not None
            assert server.stdout.readline() == b"warm\n"
            yield Path(folder, "python")
            server.communicate()


@pytest.fixture(scope="session")
def warm_python() -> Iterator[Path]:
    """Return a Python for all tests of a worker."""
    with serving() as python:
        yield python


@pytest.fixture
def other_warm_python() -> Iterator[Path]:
    """Return one of a test's own, whose hashes of text are others, as a new process's would be."""
    with serving() as python:
        yield python


@pytest.fixture
def make_table() -> Callable[..., OutcomeTable]:
    """Return a builder of outcome tables; what is not given is drawn."""

    def make(
        n_samples: int = 12, n_models: int = 3, datasets: tuple[str, ...] = ("A", "B"), **given
    ) -> OutcomeTable:
        generator = np.random.default_rng(0)
        shape = (n_samples, n_models)
        dataset = [datasets[index % len(datasets)] for index in range(n_samples)]
        samples = pd.DataFrame(
            {
                "sample_id": [f"{name}_{index}" for index, name in enumerate(dataset)],
                "dataset": dataset,
                "scenario": [f"scenario of {name}" for name in dataset],
                "group": [f"{name}_{index}" for index, name in enumerate(dataset)],
                "question": [f"What is {index}?" for index in range(n_samples)],
                "answer": [str(index) for index in range(n_samples)],
                "image": None,
                "image_digest": None,
            }
        )
        models = pd.DataFrame({"model": [f"model-{index}" for index in range(n_models)]})
        columns = {
            "samples": samples,
            "models": models.assign(**dict.fromkeys(PRICE_COLUMNS, np.nan)),
            "utility": (generator.random(shape) < 0.5).astype(float),
            "cost": generator.lognormal(size=shape),
            "prompt_tokens": generator.integers(1, 100, shape).astype(float),
            "completion_tokens": generator.integers(1, 100, shape).astype(float),
            "prediction": np.full(shape, None, dtype=object),
        }
        return OutcomeTable(**(columns | given))

    return make


@pytest.fixture
def make_setting() -> Callable[..., Setting]:
    """Return a builder of settings from the outcomes of the evaluation and training samples."""

    def make(
        test: OutcomeTable,
        training: OutcomeTable,
        unit: float,
        policy: str = "lambda",
        n_resamples: int = 100,
        seed: int = 0,
    ) -> Setting:
        matrices = {
            name: np.concatenate([own, training.matrices[name]])
            for name, own in test.matrices.items()
        }
        samples = pd.concat([test.samples, training.samples], ignore_index=True)
        in_test = np.arange(len(samples)) < len(test.samples)
        benchmark = Benchmark(
            OutcomeTable(samples, test.models, **matrices), unit, ~in_test, in_test
        )
        return Setting(benchmark, policy, n_resamples, seed)

    return make
