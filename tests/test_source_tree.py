"""The workflow is found beside the package, or in it, and the package by whoever needs it."""

from pathlib import Path

import pytest

from mmroute import source_tree
from mmroute.source_tree import PACKAGE, SOURCE_TREE, import_folder


def test_a_checkout_has_the_workflow_on_top():
    assert Path(__file__).parents[1].samefile(SOURCE_TREE)
    assert (SOURCE_TREE / "Snakefile").is_file()


def test_a_checkout_has_a_folder_for_the_package(tmp_path):
    assert import_folder(tmp_path) == SOURCE_TREE / "src"
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("before", ["nothing", "a link", "a broken link", "another's link"])
def test_what_is_installed_among_others_is_linked_to(tmp_path, monkeypatch, before):
    monkeypatch.setattr(source_tree, "SOURCE_TREE", source_tree._IN_WHEEL)
    monkeypatch.chdir(tmp_path)
    scratch = tmp_path / "scratch"
    if before != "nothing":
        scratch.mkdir()
        target = {"a link": PACKAGE, "a broken link": "gone", "another's link": tmp_path}[before]
        (scratch / "mmroute").symlink_to(target)
    assert import_folder(Path("scratch")) == scratch
    (linked,) = scratch.iterdir()
    assert linked.name == "mmroute"
    assert linked.samefile(PACKAGE)
