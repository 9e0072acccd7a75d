import subprocess
import sys

import pytest

from mmroute import catalogue as module
from mmroute.catalogue import REQUIRED, build, catalogue, find
from mmroute.errors import InputError


@pytest.mark.parametrize("package", ["sources", "encoders", "fusion", "routers"])
def test_every_name_is_the_class_it_says(package):
    for name, entry in catalogue(package).items():
        imported = __import__(entry.module, fromlist=[entry.class_name])
        assert getattr(imported, entry.class_name).name == name


def test_listing_names_imports_none_of_the_modules():
    code = (
        "import sys; from mmroute.catalogue import catalogue; catalogue('routers'); "
        "sys.exit('sklearn' in sys.modules or 'mmroute.routers.knn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


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
