"""A short draw of hostile exports; ``python tests/faults/exports.py`` makes as many as asked."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("exports.py")


def test_hostile_exports_are_refused_with_one_line_or_harmless():
    command = [sys.executable, SCRIPT, "--count", "30", "--seed", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = re.search(r"30 hostile .*: (\d+) handled, (\d+) refused, 0 failed", done.stdout)
    assert told is not None, done.stdout
    handled, refused = map(int, told.groups())
    assert handled + refused == 30
    assert refused >= 12
    assert handled >= 1
