"""A process that is killed while it writes leaves whole files only, and a killed run resumes."""

import random
import subprocess
import sys
import time

import numpy as np
import pytest
from kills import kill

from mmroute.storage import read_vectors

pytestmark = pytest.mark.slow

WRITE = """
import itertools, sys
from pathlib import Path
import numpy as np
from mmroute.storage import write_vectors
for turn in itertools.count():
    vectors = np.full((2000, 256), turn, np.float32) + np.random.rand(2000, 1).astype(np.float32)
    write_vectors(Path(sys.argv[1]), map(str, range(2000)), vectors)
"""


def test_a_write_that_is_killed_is_whole_or_absent(tmp_path):
    draw = random.Random(0)
    path = tmp_path / "a/b/v.parquet"
    for _ in range(5):
        process = subprocess.Popen([sys.executable, "-c", WRITE, str(path)])
        while not path.exists():
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 0.3))
        process.kill()
        process.wait()
        vectors = read_vectors([str(path)], map(str, range(2000)))
        assert len(np.unique(np.floor(vectors))) <= 2
        assert [file.name for file in path.parent.iterdir() if file.suffix != ".partial"] == [
            path.name
        ]
        path.unlink()


def test_killed_runs_resume_and_write_what_an_undisturbed_run_writes(undisturbed, tmp_path):
    tallies = list(kill(tmp_path / "run", undisturbed, count=3, seed=0))
    assert [failure for tally in tallies for failure in tally.failures] == []
    assert sum(tally.tried for tally in tallies) == sum(tally.survived for tally in tallies) == 3
