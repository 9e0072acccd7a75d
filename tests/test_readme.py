"""The README shows nothing that does not work."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mmroute.config import load

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", blocks("yaml"))
def test_its_configs_are_valid(text):
    load(yaml.safe_load(text), "README.md")


@pytest.mark.slow
def test_its_router_passes_the_conformance_test(tmp_path):
    (code,) = blocks("python")
    (tmp_path / "my_routers.py").write_text(code)
    result = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", ROOT / "tests/routers/test_conformance.py"),
            *("--router", "my_routers:Kernel", "-k", "Kernel"),
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{tmp_path}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-3000:]
    assert re.search(r"\b1[0-9] passed", result.stdout), result.stdout


def test_its_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"\bmake (\w+)", "".join(blocks("sh")))) | set(
        re.findall(r"`make (\w+)`", README)
    )
    assert targets == {"bench", "coverage", "demo", "test"}
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_the_files_it_names_exist():
    named = re.findall(r"\]\(([^)#:]+)\)", README) + re.findall(
        r"`((?:src|tests|config|workflow)/[\w/.-]+)`", README
    )
    assert len(named) > 5
    assert [path for path in named if not (ROOT / path).exists()] == []
