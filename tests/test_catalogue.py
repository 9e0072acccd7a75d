import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from mmroute import catalogue as module
from mmroute.catalogue import REQUIRED, build, catalogue, find
from mmroute.errors import InputError


@pytest.mark.parametrize("package", ["sources", "encoders", "features", "routers"])
def test_every_name_is_the_class_it_says(package):
    assert catalogue(package)
    for name, entry in catalogue(package).items():
        assert_as_python_has_it(entry)
        assert entry.attributes["name"] == name


def assert_as_python_has_it(entry):
    """Compare what was read of a class with what it is once it is imported."""
    kind = getattr(importlib.import_module(entry.module), entry.class_name)
    constructor = inspect.signature(kind).parameters if kind.__init__ != object.__init__ else {}
    assert list(entry.parameters) == list(constructor)
    for name, (_, default) in entry.parameters.items():
        assert default is REQUIRED or default == constructor[name].default
    assert entry.attributes
    assert {name: getattr(kind, name) for name in entry.attributes} == entry.attributes
    ours = [base for base in kind.__mro__ if base.__module__ not in ("abc", "builtins")]
    ours = [base for base in ours if not base.__module__.startswith("sklearn.")]
    assert list(entry.lineage) == [(Path(inspect.getfile(base)), base.__name__) for base in ours]


def test_listing_names_imports_none_of_the_modules(tmp_path):
    (tmp_path / "outside.py").write_text("from sklearn.base import A\nclass B(A):\n    x = 1\n")
    code = (
        "import sys; from mmroute.catalogue import catalogue, find; catalogue('routers'); "
        "find('routers', 'outside:B'); "
        "sys.exit('sklearn' in sys.modules or 'mmroute.routers.knn' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], check=False, cwd=tmp_path)
    assert run.returncode == 0


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match="unknown router 'kn'; choose from: .*knn"):
        find("routers", "kn")


def test_parameters_are_the_constructors():
    parameters = find("encoders", "open_clip").parameters
    assert parameters["model"] == (str, REQUIRED)
    assert build("routers", "knn", {"n_neighbors": 3}).n_neighbors == 3


def write_package(tmp_path, monkeypatch, **files):
    monkeypatch.setattr(module, "__file__", str(tmp_path / "catalogue.py"))
    catalogue.cache_clear()
    (tmp_path / "routers").mkdir()
    for name, text in files.items():
        (tmp_path / "routers" / f"{name}.py").write_text(text)


@pytest.fixture(autouse=True)
def _forget():
    yield
    catalogue.cache_clear()


def test_a_name_that_is_taken_is_refused(tmp_path, monkeypatch):
    text = 'class A:\n    name = "same"\n'
    write_package(tmp_path, monkeypatch, one=text, two=text)
    with pytest.raises(InputError, match=r"two\.py: the name 'same' is taken by .*one"):
        catalogue("routers")


def test_a_parameter_that_no_config_can_hold_is_refused(tmp_path, monkeypatch):
    text = 'class A:\n    name = "a"\n    def __init__(self, x: Path) -> None: ...\n'
    write_package(tmp_path, monkeypatch, one=text)
    with pytest.raises(InputError, match="argument 'x' has the type Path"):
        catalogue("routers")


def test_a_class_that_only_inherits_a_name_is_not_listed(tmp_path, monkeypatch):
    one = 'class A:\n    name = "a"\n    def __init__(self, x: int = 1) -> None: ...\n'
    two = "from mmroute.routers.one import A\n\nclass B(A):\n    y = 2\n"
    three = 'from mmroute.routers.two import B\n\nclass C(B):\n    name = "c"\n'
    write_package(tmp_path, monkeypatch, one=one, two=two, three=three)
    assert set(catalogue("routers")) == {"a", "c"}
    derived = find("routers", "c")
    assert (derived.parameters, derived.attributes) == ({"x": (int, 1)}, {"name": "c", "y": 2})
    assert [file.stem for file, _ in derived.lineage] == ["three", "two", "one"]


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """Return a function that writes modules, ``{}`` in their text and names made to differ."""
    monkeypatch.syspath_prepend(tmp_path)
    mark = f"outside_{uuid4().hex}"

    def write(class_name, **files):
        for name, text in files.items():
            path = tmp_path / mark / f"{name}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text.replace("HERE", mark))
        return find("routers", f"{mark}.mine:{class_name}")

    return write


MINE = "\n\nclass Mine({}):\n    shown = 'mine'\n"


@pytest.mark.parametrize(
    ("imports", "base"),
    [
        ("from mmroute.routers.knn import KNN", "KNN"),
        ("from mmroute.routers.knn import KNN as Base", "Base"),
        ("from mmroute.routers.knn import *", "KNN"),
        ("from mmroute.routers import knn", "knn.KNN"),
        ("import mmroute.routers.knn", "mmroute.routers.knn.KNN"),
        ("import mmroute.routers.knn as k", "k.KNN"),
        ("import mmroute.routers.knn as k\n\nBase = k.KNN", "Base"),
        (
            "try:\n    from mmroute.routers.knn import KNN\nexcept ImportError:\n    KNN = None",
            "KNN",
        ),
        ("from HERE.beside import Other", "Other"),
        ("from .beside import Other", "Other"),
        ("from . import beside", "beside.Other"),
        ("from HERE import Other", "Other"),
        ("from .beside import Other\n\n\nclass Between(Other):\n    between = 1", "Between"),
    ],
)
def test_a_base_is_found_through_the_imports_of_the_module(outside, imports, base):
    beside = "from mmroute.routers.knn import KNN\n\n\nclass Other(KNN):\n    fusion = 'text'\n"
    package = "from HERE.beside import Other\n"
    derived = outside("Mine", mine=imports + MINE.format(base), beside=beside, __init__=package)
    assert_as_python_has_it(derived)
    assert list(derived.parameters) == ["n_neighbors"]
    assert derived.attributes["fusion"] == ("adaptive" if "KNN" in base + imports else "text")
    assert derived.attributes["shown"] == "mine"


def test_of_several_bases_the_nearest_counts_in_the_order_that_python_has(outside):
    text = (
        "from mmroute.routers.knn import KNN\n\nclass A(KNN):\n    shown = 'a'\n\n"
        "class B(KNN):\n    fusion = shown = 'text'\n"
        "    def __init__(self, width: int, depth: int = 2) -> None: ...\n\nclass Mine(A, B): ...\n"
    )
    derived = outside("Mine", mine=text)
    assert_as_python_has_it(derived)
    assert (derived.attributes["shown"], derived.attributes["fusion"]) == ("a", "text")
    assert derived.parameters == {"width": (int, REQUIRED), "depth": (int, 2)}


def test_a_dataclass_takes_its_fields_and_those_of_its_bases(outside):
    text = (
        "from dataclasses import dataclass, field\nfrom typing import ClassVar\n"
        "from mmroute.routers.knn import KNN\n\n@dataclass(eq=False)\nclass A(KNN):\n"
        "    width: int\n    depth: int = 2\n    shown: ClassVar[str] = 'a'\n"
        "    means_: float = field(init=False)\n\nclass B(A):\n    height: int = 3\n\n"
        "@dataclass(eq=False)\nclass Mine(B):\n    depth: float = 4.0\n"
    )
    derived = outside("Mine", mine=text)
    assert_as_python_has_it(derived)
    assert derived.parameters == {"width": (int, REQUIRED), "depth": (float, 4.0)}


def test_a_class_may_have_the_name_of_its_base(outside):
    text = "from mmroute.routers.knn import KNN\n\nclass KNN(KNN):\n    fusion = 'text'\n"
    assert_as_python_has_it(outside("KNN", mine=text))


def test_what_another_installed_package_has_is_left_out(outside):
    text = "from sklearn.neighbors import KNeighborsClassifier as K\n\nclass Mine(K):\n    x = 1\n"
    derived = outside("Mine", mine=text)
    assert (derived.parameters, derived.attributes, len(derived.lineage)) == ({}, {"x": 1}, 1)


def test_what_is_said_of_a_parameter_is_inherited_with_it(outside):
    text = (
        "from mmroute.encoders.open_clip import OpenClip\n\nclass Mine(OpenClip):\n"
        '    """Another.\n\n    Parameters\n    ----------\n    batch_size\n        At once,\n'
        '        of either.\n    """\n'
    )
    descriptions = outside("Mine", mine=text).descriptions
    assert descriptions["batch_size"] == "At once, of either."
    assert descriptions["pretrained"].startswith("A tag that open_clip lists")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "from mmroute.routers.knn import KNN\n\nclass Mine(KNN):\n    fusion = str(1)\n",
            r"mine\.py:4: fusion is read without running .* a literal, such as 'adaptive'",
        ),
        ("from HERE.beside import Mine as M\n\nclass Mine(M): ...\n", "bases of Mine lead back"),
        ("class A: ...\n\nclass B(A): ...\n\nclass Mine(A, B): ...\n", "class Mine: .*MRO"),
    ],
)
def test_a_class_that_cannot_be_followed_is_refused_with_its_line(outside, text, message):
    with pytest.raises(InputError, match=message):
        outside("Mine", mine=text, beside="from HERE.mine import Mine\n")
