"""A disk that is full, a folder that may not be written, and two runs at once.

First jobs alone, then whole runs: a case of each kind that ``make test-faults`` tries.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from disk import CASES, mounting, remount, small_disk

pytestmark = [pytest.mark.slow, pytest.mark.mounts]

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


def write(what: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SMALL_DISK, what, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def assert_one_line(result: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    for part in ("error: ", *parts):
        assert part in result.stderr


@pytest.mark.parametrize("what", WRITTEN)
@mounting
def test_a_full_disk_is_one_line_that_names_the_file_and_leaves_nothing(what, tmp_path):
    disk = tmp_path / "disk"
    with small_disk(disk, "1m"):
        path = disk / WRITTEN[what]
        assert_one_line(write(what, disk), f"{path}: No space left on device", "with room left")
        assert list(path.parent.iterdir()) == []
        remount("size=64m", disk)
        assert write(what, disk).returncode == 0
        assert path.is_file()


@mounting
def test_a_disk_without_room_for_the_log_is_one_line_too(tmp_path):
    disk = tmp_path / "disk"
    with small_disk(disk, "1m"):
        (disk / "text/builtin").mkdir(parents=True)
        with (disk / "filler").open("wb") as filler, pytest.raises(OSError, match="No space"):
            while True:
                os.write(filler.fileno(), bytes(4096))
        assert_one_line(write("embedding", disk), "No space left on device")


@pytest.mark.parametrize("what", WRITTEN)
@mounting
def test_a_read_only_folder_is_one_line(what, tmp_path):
    disk = tmp_path / "disk"
    with small_disk(disk, "1m"):
        remount("ro", disk)
        assert_one_line(write(what, disk), f"{disk}", "Read-only file system")


@mounting
def fails(tmp_path):
    with small_disk(tmp_path, "1m"):
        raise AssertionError("what is wrong on the disk")


def test_what_fails_on_a_disk_fails_the_test(tmp_path):
    with pytest.raises(AssertionError, match="what is wrong on the disk"):
        fails(tmp_path)
    assert not os.path.ismount(tmp_path)


@pytest.mark.parametrize("case", {case.kind: case for case in CASES}.values(), ids=str)
def test_a_run_survives(case, undisturbed, tmp_path):
    case.happen(tmp_path, undisturbed)
