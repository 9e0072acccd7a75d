"""A short draw of the fuzzer; ``python tests/faults/mutations.py`` draws as many as asked."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("mutations.py")


def test_mutated_inputs_are_handled_or_refused_with_one_line():
    command = [sys.executable, SCRIPT, "--count", "50", "--seed", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = re.search(r"50 mutated .*: (\d+) handled, (\d+) refused, 0 failed", done.stdout)
    assert told is not None, done.stdout
    handled, refused = map(int, told.groups())
    assert handled + refused == 50
    assert min(handled, refused) >= 10
