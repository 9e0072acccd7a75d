"""The house is in order: formatters, linters, environments, and nothing of any machine."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["snakefmt", "--check", "Snakefile", "workflow"],
        ["snakemake", "--lint"],
    ],
    ids=" ".join,
)
def test_is_clean(command):
    result = subprocess.run(
        [BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def locked_pins():
    """Return the versions that the lock has for the interpreter of the conda environments."""
    pins = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if match := re.match(r"([a-z0-9.-]+)==(\S+)(?: ; (.*?))? \\", line):
            name, version, marker = match.groups()
            if not re.search(r"python_full_version (>=|==) '3\.1[2-9]", marker or ""):
                pins[name] = version
    return pins


@pytest.mark.parametrize("path", sorted(ROOT.glob("envs/*.yaml")), ids=lambda path: path.stem)
def test_conda_environments_have_the_pins_of_the_lock(path):
    environment = yaml.safe_load(path.read_text())
    pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert pip
    pins = locked_pins()
    for requirement in pip:
        name, version = requirement.split("==")
        assert pins[name] == version


def test_every_rule_has_an_environment_that_exists():
    rules = "".join(path.read_text() for path in ROOT.glob("workflow/rules/*.smk"))
    named = re.findall(r"envs/(\w+\.yaml)", rules)
    assert set(named) == {path.name for path in ROOT.glob("envs/*.yaml")}
    assert len(named) == len(re.findall(r"^(?:rule|checkpoint) ", rules, re.MULTILINE))


def test_the_lock_has_hashes_and_no_addresses():
    lock = (ROOT / "requirements.lock").read_text()
    assert "--hash=sha256:" in lock
    assert "://" not in lock
