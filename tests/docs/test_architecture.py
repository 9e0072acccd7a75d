"""The drawing of the workflow and the table of rooms are those of today's code."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs/architecture"


@pytest.fixture(scope="module")
def dag():
    spec = importlib.util.spec_from_file_location("dag", FOLDER / "dag.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_room_is_told_of_with_its_rule_files():
    text = (FOLDER / "index.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert sorted(rows) == sorted(
        path.parent.name for path in ROOT.glob("src/mmroute/*/__init__.py")
    )
    files = set(re.findall(r"`(\w+\.smk)`", text))
    assert {path.name for path in ROOT.glob("workflow/rules/*.smk")} > files > {"training.smk"}


def test_what_follows_from_the_rest_is_left_out(dag):
    edges = {("a", "b"), ("b", "c"), ("a", "c"), ("c", "d"), ("a", "d"), ("x", "c")}
    assert dag.without_shortcuts(edges) == {("a", "b"), ("b", "c"), ("c", "d"), ("x", "c")}


def test_every_rule_is_drawn_with_its_file(dag):
    drawn = set(re.findall(r"<(\w+)<br/><font [^>]*>(\w+\.smk)<", (FOLDER / "dag.dot").read_text()))
    assert drawn == {
        (rule, path.name)
        for path in ROOT.glob("workflow/rules/*.smk")
        for rule in re.findall(dag.DEFINED, path.read_text(), re.MULTILINE)
        # Of a benchmark in shards, and of no other.
        if not rule.startswith(("evaluate_layout", "evaluate_grid", "evaluate_shard"))
        and not rule.startswith("evaluate_point")
    }
    svg = (FOLDER / "dag.svg").read_text()
    assert {rule for rule, _ in drawn} <= set(re.findall(r"<title>(\w+)</title>", svg))


@pytest.mark.slow
def test_the_drawing_is_of_the_workflow_of_today(dag, monkeypatch, warm_python):
    monkeypatch.setattr(dag.sys, "executable", str(warm_python))
    assert dag.drawing(dag.planned()) == (FOLDER / "dag.dot").read_text()
