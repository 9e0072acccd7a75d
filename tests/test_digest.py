import ast
import shutil
from pathlib import Path

import pytest

import mmroute
from mmroute import digest

PACKAGE = Path(mmroute.__file__).parent
SCRIPTS = sorted(Path(__file__).parents[1].joinpath("workflow/scripts").glob("*.py"))


def forget():
    digest._module.cache_clear()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Copy the package, so that a test may edit it."""
    copy = tmp_path / "mmroute"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(digest, "_ROOT", copy)
    forget()
    yield copy
    forget()


def rewrite(file, old, new):
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))
    forget()


def script(name):
    (found,) = [path for path in SCRIPTS if path.stem == name]
    return found


def modules(package):
    return sorted(package.rglob("*.py"))


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
def test_a_digest_covers_what_importing_runs_in_the_modules_it_reaches(
    package, entry, edited, reached
):
    before = digest.code_digest(entry)
    with (package / edited).open("a") as file:
        file.write("\nprint('imported')\n")
    forget()
    assert (digest.code_digest(entry) != before) is reached


def test_a_script_reaches_what_it_imports_anywhere_in_it(package, tmp_path):
    later = tmp_path / "script.py"
    later.write_text(
        "def later():\n    from mmroute.evaluation import curve\n    curve.frontier()\n"
    )
    before = digest.code_digest(later)
    rewrite(package / "evaluation/curve.py", "def frontier(", "def frontier(more, ")
    assert digest.code_digest(later) != before


def test_a_new_router_leaves_the_digests_of_the_others(package):
    before = digest.code_digest("mmroute.routers.knn")
    (package / "routers/mine.py").write_text("class Mine:\n    name = 'mine'\n")
    forget()
    assert digest.code_digest("mmroute.routers.knn") == before


def noted(text, module):
    """Add comments and docstrings to a module, wherever they may stand."""
    lines = text.splitlines(keepends=True)
    places = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            first = node.body[0]
            documented = ast.get_docstring(node, clean=False) is not None
            line = first.end_lineno if documented else first.lineno - 1
            if first.lineno > node.lineno:
                places[line] = " " * first.col_offset
        if isinstance(node, ast.Module) and (ast.get_docstring(node) is None):
            places[0] = ""
    for line in sorted(places, reverse=True):
        lines.insert(line, f'{places[line]}"""A docstring, or text after one."""  # and why\n')
    return f"# {module}\n" + "".join(lines) + "\n# the end\n"


@pytest.mark.slow
def test_comments_and_docstrings_in_every_module_re_run_nothing(package):
    names = [str(path.relative_to(package)) for path in modules(package)]
    before = {name: digest.code_digest(package / name) for name in names}
    scripts = {path: digest.code_digest(path) for path in SCRIPTS}
    for name in names:
        text = (package / name).read_text()
        (package / name).write_text(noted(text, name))
        assert len((package / name).read_text()) > len(text)
    forget()
    assert {name: digest.code_digest(package / name) for name in names} == before
    assert {path: digest.code_digest(path) for path in SCRIPTS} == scripts


def test_what_the_report_says_trains_and_measures_nothing(package):
    early = [script(name) for name in ("fetch", "ingest", "embed", "features", "train", "evaluate")]
    before = [digest.code_digest(path) for path in early]
    drawn = digest.code_digest(script("html_report"))
    for path in modules(package / "report"):
        with path.open("a") as file:
            file.write("\nprint('imported')\n")
    forget()
    assert [digest.code_digest(path) for path in early] == before
    assert digest.code_digest(script("html_report")) != drawn


def test_one_changed_function_re_runs_only_what_calls_it(package):
    reports = [digest.code_digest(script(name)) for name in ("data_report", "evaluate_layout")]
    rewrite(package / "evaluation/shards.py", "def lay_out(", "def lay_out(more, ")
    now = [digest.code_digest(script(name)) for name in ("data_report", "evaluate_layout")]
    assert now[0] == reports[0]
    assert now[1] != reports[1]


MINE = '''
import mmroute
from mmroute.routers import knn
from mmroute.routers.kmeans import KMeans as Other
import beside

FIRST, SECOND = 1, 2
UNUSED = 3


def drawn(value):
    return beside.drawn(value)


def helper():
    return FIRST


class Mine(knn.KNN):
    """A router."""

    kind: "Other"

    def fit(self):
        return helper()

    def draw(self):
        return drawn(UNUSED)
'''


@pytest.mark.parametrize(
    ("file", "old", "new", "changes"),
    [
        ("mine.py", "FIRST, SECOND = 1, 2", "FIRST, SECOND = 2, 1", True),
        ("mine.py", "UNUSED = 3", "UNUSED = 4", False),
        ("mine.py", '"""A router."""', '"""My router."""', False),
        ("mine.py", "return drawn(UNUSED)", "return drawn(FIRST)", False),
        ("mine.py", "return helper()", "return 2 * helper()", True),
        ("beside.py", "return value", "return 2 * value", True),
        ("mmroute/routers/knn.py", "class KNN(", "@print\nclass KNN(", True),
        ("mmroute/routers/kmeans.py", "class KMeans(", "@print\nclass KMeans(", True),
        ("mmroute/routers/linear.py", "class Linear(", "@print\nclass Linear(", False),
    ],
)
def test_a_class_counts_with_what_it_reaches_but_not_what_the_job_leaves_out(
    package, tmp_path, file, old, new, changes
):
    mine = tmp_path / "mine.py"
    mine.write_text(MINE)
    (tmp_path / "beside.py").write_text("def drawn(value):\n    return value\n")
    before = digest.code_digest(partly=[(mine, "Mine")], without=["draw"])
    whole = digest.code_digest((mine, "Mine"))
    assert whole != before
    rewrite(tmp_path / file, old, new)
    assert (digest.code_digest(partly=[(mine, "Mine")], without=["draw"]) != before) is changes


def test_a_method_that_a_called_one_calls_counts(tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text("class Mine:\n    def fit(self): self.draw()\n    def draw(self): return 1\n")
    before = digest.code_digest(partly=[(mine, "Mine")], without=["draw"])
    rewrite(mine, "return 1", "return 2")
    assert digest.code_digest(partly=[(mine, "Mine")], without=["draw"]) != before


def test_methods_are_left_out_of_the_given_classes_only(tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text("class Mine:\n    def draw(self): return 1\n")
    before = digest.code_digest((mine, "Mine"), without=["draw"])
    rewrite(mine, "return 1", "return 2")
    assert digest.code_digest((mine, "Mine"), without=["draw"]) != before


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("pkg/h.py", "from .h import scale"),
        ("pkg/h.py", "from . import h"),
        ("pkg/h.py", "from pkg.h import scale"),
        ("pkg/h.py", "from pkg.h import *"),
        ("h.py", "from h import scale"),
        ("storage.py", "import storage"),
        ("pkg/__init__.py", "from pkg import scale"),
        ("other/__init__.py", "import other"),
    ],
)
def test_a_users_modules_are_followed_wherever_they_lie(tmp_path, monkeypatch, place, line):
    monkeypatch.chdir(tmp_path)
    for folder in ("pkg", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").write_text("def scale():\n    return 0\n")
    mine = tmp_path / "pkg/mine.py"
    mine.write_text(
        f"from mmroute.storage import read_json\n{line}\n\n\nclass Mine:\n    read_json\n"
    )
    (tmp_path / place).write_text("def scale():\n    return 1\n\n\ndef read_json():\n    pass\n")
    forget()
    before = digest.code_digest((mine, "Mine"))
    rewrite(tmp_path / place, "return 1", "return 2")
    assert digest.code_digest((mine, "Mine")) != before
