import shutil
from pathlib import Path

import pytest

import mmroute
from mmroute import digest

PACKAGE = Path(mmroute.__file__).parent


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Copy the package, so that a test may edit it."""
    copy = tmp_path / "mmroute"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(digest, "_ROOT", copy)
    digest._imports.cache_clear()
    return copy


def changed_by(package, edited, *entries):
    before = digest.code_digest(*entries)
    (package / edited).write_text((package / edited).read_text() + "\n# edited\n")
    digest._imports.cache_clear()
    return digest.code_digest(*entries) != before


@pytest.mark.parametrize(
    ("entry", "edited", "reached"),
    [
        ("mmroute.routers.knn", "routers/knn.py", True),
        ("mmroute.routers.knn", "routers/__init__.py", True),
        ("mmroute.routers.knn", "errors.py", True),
        ("mmroute.routers.knn", "routers/kmeans.py", False),
        ("mmroute.routers.knn", "evaluation/metrics.py", False),
        ("mmroute.evaluation.exact", "evaluation/metrics.py", True),
        ("mmroute.evaluation.exact", "evaluation/curve.py", True),
        ("mmroute.evaluation.exact", "routers/knn.py", False),
        ("mmroute.sources.demo", "sources/wide.py", True),
        ("mmroute.sources.demo", "sources/simulation/pictures.py", True),
    ],
)
def test_a_digest_covers_what_is_reached_and_nothing_else(package, entry, edited, reached):
    assert changed_by(package, edited, entry) is reached


def test_a_script_reaches_what_it_imports_anywhere_in_it(package, tmp_path):
    script = tmp_path / "script.py"
    script.write_text("def later():\n    from mmroute.evaluation import curve\n")
    assert changed_by(package, "evaluation/curve.py", script)
    assert not changed_by(package, "evaluation/metrics.py", script)


def test_a_new_router_leaves_the_digests_of_the_others(package):
    before = digest.code_digest("mmroute.routers.knn")
    (package / "routers/mine.py").write_text("class Mine:\n    name = 'mine'\n")
    assert digest.code_digest("mmroute.routers.knn") == before
