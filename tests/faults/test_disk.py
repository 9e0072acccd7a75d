"""A disk that is full, a folder that may not be written, and two runs at once.

First jobs alone, then whole runs: a case of each kind that ``make test-faults`` tries.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from disk import CASES, NotTried

pytestmark = pytest.mark.slow

SMALL_DISK = """
import sys
from pathlib import Path
from types import SimpleNamespace
import numpy as np, pandas as pd
from mmroute import persistence
from mmroute.features.embeddings import Embeddings
from mmroute.job import job
from mmroute.predictions import Predictions

what, folder = sys.argv[1], Path(sys.argv[2])
with job(SimpleNamespace(log=[str(folder / "job.log")], input=[])):
    size = 4000
    ids = pd.Series([f"A_{row}" for row in range(size)])
    values = np.random.default_rng(0).random((size, 256), np.float32)
    if what == "embedding":
        full = np.ones(size, np.float32), np.ones(size, bool)
        Embeddings(values, *full).write(folder / "text/builtin/A.parquet", ids)
    elif what == "predicting":
        Predictions(ids, values[None], values[None]).write(folder / "knn/0/predictions.parquet")
    else:
        persistence.write(folder / "knn/0/router.safetensors", values)
"""
WRITTEN = {
    "embedding": "text/builtin/A.parquet",
    "predicting": "knn/0/predictions.parquet",
    "training": "knn/0/router.safetensors",
}


@pytest.fixture
def small_disk(tmp_path):
    """Yield a folder on a disk of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)]
    if os.geteuid() or not shutil.which("mount") or subprocess.run(mount, check=False).returncode:
        pytest.skip("no small disk: mounting is not permitted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def write(what: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SMALL_DISK, what, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def assert_one_line(result: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    for part in ("error: ", *parts):
        assert part in result.stderr


@pytest.mark.parametrize("what", WRITTEN)
def test_a_full_disk_is_one_line_that_names_the_file_and_leaves_nothing(small_disk, what):
    path = small_disk / WRITTEN[what]
    assert_one_line(write(what, small_disk), f"{path}: No space left on device", "with room left")
    assert list(path.parent.iterdir()) == []
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    assert write(what, small_disk).returncode == 0
    assert path.is_file()


def test_a_disk_without_room_for_the_log_is_one_line_too(small_disk):
    (small_disk / "text/builtin").mkdir(parents=True)
    with (small_disk / "filler").open("wb") as filler, pytest.raises(OSError, match="No space"):
        while True:
            os.write(filler.fileno(), bytes(4096))
    assert_one_line(write("embedding", small_disk), "No space left on device")


@pytest.mark.parametrize("what", WRITTEN)
def test_a_read_only_folder_is_one_line(small_disk, what):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert_one_line(write(what, small_disk), f"{small_disk}", "Read-only file system")


@pytest.mark.parametrize("case", {case.kind: case for case in CASES}.values(), ids=str)
def test_a_run_survives(case, undisturbed, tmp_path):
    try:
        case.happen(tmp_path, undisturbed)
    except NotTried as reason:
        pytest.skip(str(reason))
