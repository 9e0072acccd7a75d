"""A short draw of the fuzzer; ``python tests/faults/mutations.py`` draws as many as asked."""

import copy
import math
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from layouts import LAYOUTS
from mutations import HOSTILE, Refused, number

from mmroute.errors import InputError
from mmroute.sources.decision_log import DecisionLogs

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


def read_log(folder):
    """What the source makes of a log: numbers by pair, and what it says."""
    source = DecisionLogs(str(folder / "logs/log.jsonl"), str(folder / "logs/judged.jsonl"))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        table = source.read(folder)
    numbers = {
        (name, model): (float(table.utility[row, column]), float(table.cost[row, column]))
        for row, name in enumerate(table.samples["sample_id"])
        for column, model in enumerate(table.model_names)
    }
    return numbers, " ".join(str(one.message) for one in said)


def told_by(cell, place):
    """What the utility, 0, or the cost, 1, of a line says; raises Refused for what is none."""
    if isinstance(cell, bool | str):
        raise Refused(cell)
    told = number(cell, place == 0)
    return math.nan if told is None else told


@pytest.mark.parametrize("path", ["logs/log.jsonl", "logs/judged.jsonl"])
@pytest.mark.parametrize("row", [0, 5])
def test_a_changed_line_of_a_log_is_refused_by_its_number_or_changes_nothing_else(
    path, row, tmp_path
):
    layout = LAYOUTS["decision_log"]()
    layout.write(tmp_path)
    lines = layout.files[path]
    own = lines[row]["id"]
    called = {one["id"]: one["model"] for one in layout.files["logs/log.jsonl"]}[own]
    places = {"utility": 0, "cost_usd": 1} if path == "logs/judged.jsonl" else {"paid_usd": 1}
    refusals, handled = [], 0
    for key in (*lines[row], "group", "image_digest", "router", "latency_s", "x"):
        for value in HOSTILE:
            layout.files[path] = copy.deepcopy(lines)
            layout.files[path][row][key] = value
            (tmp_path / path).write_bytes(layout.contents()[path])
            try:
                numbers, said = read_log(tmp_path)
            except InputError as error:
                refusals.append(str(error))
                continue
            handled += 1
            what = f"{key} is {value!r:.40}"
            wanted = dict(layout.numbers)
            if key in places:
                pair = own, lines[row].get("model", called)
                parts = list(wanted[pair])
                parts[places[key]] = told_by(value, places[key])
                wanted[pair] = tuple(parts)
            elif key in ("id", "model"):
                assert "of no decision" in said or numbers.keys() > wanted.keys(), what
                wanted = {pair: told for pair, told in wanted.items() if pair[0] != own}
            for pair, told in wanted.items():
                assert numbers[pair] == pytest.approx(told, nan_ok=True), what
    assert all(f"{path}, line {row + 1}: " in refusal for refusal in refusals)
    assert min(len(refusals), handled) > 50
