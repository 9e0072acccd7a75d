"""One undisturbed run, for all that happens to copies of it."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from small_run import Undisturbed


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, warm_python: Path) -> Undisturbed:
    return Undisturbed(tmp_path_factory.mktemp("undisturbed"), warm_python)
