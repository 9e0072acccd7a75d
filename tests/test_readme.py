"""The README shows nothing that does not work."""

import re
import sys
import types
from pathlib import Path

import numpy as np
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


def test_its_router_is_one():
    (code,) = blocks("python")
    module = types.ModuleType("readme_router")
    sys.modules["readme_router"] = module
    exec(compile(code, "README.md", "exec"), module.__dict__)
    outcomes = np.array([[1.0, 0.0], [np.nan, 1.0]])
    u_hat, c_hat = (
        module.MeanRouter().fit(np.zeros((2, 3)), outcomes, outcomes).predict(np.zeros((4, 3)))
    )
    assert u_hat.tolist() == c_hat.tolist() == [[1.0, 0.5]] * 4


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
