"""A short draw of hostile sources; ``python tests/faults/sources.py`` makes as many as asked."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("sources.py")


def test_hostile_sources_are_handled_or_refused_with_one_line():
    command = [sys.executable, SCRIPT, "--count", "16", "--seed", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = re.search(r"16 hostile .*: (\d+) handled, (\d+) refused, 0 failed", done.stdout)
    assert told is not None, done.stdout
    handled, refused = map(int, told.groups())
    assert handled + refused == 16
    assert refused >= 5
    assert handled >= 1
