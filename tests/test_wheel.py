"""The wheel stands alone: light it answers queries, with its extra it runs the workflow.

Its environments hold the distributions of this one that its metadata ask for, as links, and
nothing else: what it forgets to ask for is not there.
"""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
import venv
from collections.abc import Callable, Iterator
from importlib.metadata import Distribution, PathDistribution, distribution, packages_distributions
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest
import yaml
from packaging.requirements import Requirement
from PIL import Image

from mmroute.errors import EXTRAS

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONFIG = {
    "name": "small",
    "source": {"kind": "table", "path": "my.csv"},
    "routers": {"knn": {}, "ensemble": {"n_trees": 20}, "mlp": {"epochs": 1}},
    "studied": ["knn"],
    "decision": {"router": "knn", "labels": "train"},
    "shrink": False,
    "resamples": 100,
}
QUESTION = "How many lines cross the circle?"
FIRST_ANSWER = f"""
import sys
import mmroute
print(mmroute.load_router(sys.argv[1]).route({QUESTION!r}).model)
"""


def write_table(folder: Path) -> None:
    """Write the input of a run: questions on pictures, of one data set."""
    lines = ["sample_id,dataset,question,image,model,utility,cost"]
    for index in range(40):
        Image.new("RGB", (20, 20), (6 * index, 90, 90)).save(folder / f"{index}.png")
        asked = f"s{index},shapes,How many lines cross circle {index}?,{index}.png"
        lines += [f"{asked},small,{index % 2},1", f"{asked},large,{int(index % 5 > 0)},9"]
    (folder / "my.csv").write_text("\n".join(lines))


class Installed:
    """The wheel in an environment of its own, and a working folder that is empty at first."""

    def __init__(self, folder: Path, wheel: Path, extras: set[str]) -> None:
        self.work = folder / "work"
        self.work.mkdir()
        self.bin = folder / "environment/bin"
        venv.create(self.bin.parent, symlinks=True)
        pip = [sys.executable, "-m", "pip", "--quiet", "--python", self.bin / "python"]
        call(*pip, "install", "--no-deps", "--no-index", wheel)
        (site,) = self.bin.parent.glob("lib/python*/site-packages")
        self.package = site / "mmroute"
        (metadata,) = site.glob("mmroute-*.dist-info")
        self.needed = needed(PathDistribution(metadata), extras)
        self.entries = [entry for own in self.needed.values() for entry in entries_of(own)]
        # Templates of nbconvert, which are no modules.
        (self.bin.parent / "share").symlink_to(Path(sys.prefix, "share"))
        for entry in self.entries:
            link = site / entry.name
            if not link.exists():
                link.symlink_to(entry)

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        program, *arguments = command
        return subprocess.run(
            [self.bin / program, *arguments],
            cwd=self.work,
            env={"HOME": str(self.work), "PATH": f"{self.bin}:{os.defpath}"},
            capture_output=True,
            text=True,
            check=False,
        )


def call(*command: str | Path) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def normal(name: str) -> str:
    return re.sub(r"[._-]+", "-", name.lower())


def needed(wheel: Distribution, extras: set[str]) -> dict[str, Distribution]:
    """Return by name what a distribution with some extras asks for, and what that does."""
    found: dict[str, Distribution] = {}
    seen, pending = set(), [(wheel, extra) for extra in ("", *extras)]
    while pending:
        dependent, extra = pending.pop()
        if (key := (normal(dependent.name), extra)) in seen:
            continue
        seen.add(key)
        for requirement in map(Requirement, dependent.requires or ()):
            if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
                continue
            name = normal(requirement.name)
            own = wheel if name == normal(wheel.name) else distribution(name)
            if own is not wheel:
                found[name] = own
            pending += [(own, each) for each in ("", *requirement.extras)]
    return found


def entries_of(own: Distribution) -> set[Path]:
    """Return the files and folders at the top of ``site-packages`` that are a distribution's."""
    names = {file.parts[0] for file in own.files or ()} - {"..", "__pycache__", "/"}
    return {Path(str(own.locate_file(name))) for name in names}


def size(entry: Path) -> int:
    files = entry.rglob("*") if entry.is_dir() else [entry]
    return sum(file.stat().st_size for file in files if file.is_file())


def modules_imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=names):
                yield from (name.name.split(".")[0] for name in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.split(".")[0]


def provided_by(requirements: list[str]) -> set[str]:
    names = {normal(Requirement(each).name) for each in requirements}
    return {
        module
        for module, owners in packages_distributions().items()
        if names & set(map(normal, owners))
    }


@pytest.mark.slow
def test_every_module_that_is_imported_is_asked_for_or_named_with_its_extra():
    for extra, modules in EXTRAS.items():
        assert set(modules) <= provided_by(PROJECT["optional-dependencies"][extra])
    imported = {module for path in ROOT.glob("src/**/*.py") for module in modules_imported(path)}
    named = {module for modules in EXTRAS.values() for module in modules}
    core = provided_by(PROJECT["dependencies"])
    assert imported - set(sys.stdlib_module_names) - {"mmroute"} - core - named == set()


@pytest.fixture(scope="module")
def install(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Installed]:
    source, wheels = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheels")
    hidden = ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "results", "tests")
    copytree(ROOT, source, ignore=hidden, dirs_exist_ok=True)
    # As a checkout that somebody has worked in, which is none of a wheel's business.
    (source / "workflow/scripts/__pycache__").mkdir()
    (source / "workflow/scripts/__pycache__/train.pyc").touch()
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    call(*pip, "--no-index", "--wheel-dir", wheels, source)
    (wheel,) = wheels.iterdir()
    return lambda *extras: Installed(tmp_path_factory.mktemp("installed"), wheel, set(extras))


@pytest.fixture(scope="module")
def light(install: Callable[..., Installed]) -> Installed:
    return install()


@pytest.fixture(scope="module")
def exported(install: Callable[..., Installed]) -> Installed:
    """Return an environment with the workflow that has run there, and two routers of it."""
    full = install("run")
    content = {path for path in full.package.rglob("*") if path.suffix != ".pyc"}
    write_table(full.work)
    (full.work / "my.yaml").write_text(yaml.safe_dump(CONFIG))
    result = full.run("mmroute", "run", "my.yaml", "--cores", "2")
    assert result.returncode == 0, result.stderr[-4000:]
    assert content == {path for path in full.package.rglob("*") if path.suffix != ".pyc"}
    for row in ("knn", "ensemble", "mlp"):
        command = ["mmroute", "export", "my.yaml", row, "--router", row, "--threshold", "0.05"]
        result = full.run(*command)
        assert result.returncode == 0, result.stderr
    return full


@pytest.mark.slow
def test_with_its_extra_it_runs_the_workflow_on_a_table_in_a_folder_of_its_own(exported):
    results = exported.work / "results/small"
    provenance = json.loads((results / "provenance.json").read_text())
    assert provenance["versions"]["mmroute"] == PROJECT["version"]
    assert {"numpy", "snakemake", "torch"} <= set(provenance["versions"]["packages"])
    assert (results / "report.html").stat().st_size > 10_000
    assert exported.run("mmroute", "verify", "results/small").returncode == 0
    # What scripts in environments of their own import it from has nothing of this one's.
    (linked,) = (exported.work / ".snakemake/package").iterdir()
    assert linked.samefile(exported.package)


@pytest.mark.slow
def test_without_extras_it_is_small(light):
    heavy = {"torch", "snakemake", "papermill", "matplotlib", "pyarrow", "requests"}
    assert heavy & set(light.needed) == set()
    assert sum(map(size, [light.package, *light.entries])) < 600e6


@pytest.mark.slow
def test_a_server_needs_neither_torch_nor_snakemake(install):
    needed = install("serve").needed
    assert {"torch", "snakemake", "pyarrow", "matplotlib"} & set(needed) == set()
    assert {"fastapi", "uvicorn"} <= set(needed)


@pytest.mark.slow
@pytest.mark.parametrize("row", ["knn", "ensemble"])
def test_without_extras_it_answers_as_with_them(exported, light, row):
    command = ["python", "-c", FIRST_ANSWER, exported.work / row]
    expected, answer = exported.run(*command), light.run(*command)
    assert expected.returncode == 0, expected.stderr
    assert (answer.stdout, answer.stderr) == (expected.stdout, "")


@pytest.mark.slow
def test_without_extras_it_answers_in_the_shell(exported, light):
    command = ["mmroute", "route", exported.work / "knn", QUESTION]
    answer = light.run(*command)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == exported.run(*command).stdout
    assert json.loads(answer.stdout)["model"]


@pytest.mark.slow
def test_what_needs_an_extra_says_which(exported, light):
    (light.work / "my.yaml").write_text(yaml.safe_dump(CONFIG))
    run = light.run("mmroute", "run", "my.yaml")
    assert run.returncode == 2
    assert run.stderr == 'error: mmroute run needs snakemake: pip install "mmroute[run]"\n'
    route = light.run("mmroute", "route", exported.work / "mlp", QUESTION)
    assert route.returncode == 2
    assert route.stderr.endswith("router 'mlp' needs torch: pip install \"mmroute[torch]\"\n")
    assert route.stderr.count("\n") == 1
