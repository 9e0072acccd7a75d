"""A log of decisions: whole lines or none, on and on, and what came of them joined by id."""

import json
import os
import runpy
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mmroute.decision_log import Decision, DecisionLog, Outcome, files_of, read_log
from mmroute.errors import InputError

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def decision(number=0, **facts):
    known = {"model": "small", "utility": {"small": 0.5}, "cost_usd": {"small": 1e-3}}
    return Decision(id=f"q{number}", time=NOW, propensity=1, **(known | facts))


def put(path, *lines):
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def line(number=0, **facts):
    return {"id": f"q{number}", "time": "2026-01-02T04:04:05+01:00", "model": "small"} | facts


def test_what_is_written_is_read_again(tmp_path):
    log = DecisionLog(tmp_path / "log.jsonl", with_texts=True)
    told = decision(text="Why?\n</script>", image_digest="ab", candidates=("small", "large"))
    log.write(told)
    log.write(Outcome(id="q0", correct=True, cost_usd=2e-3))
    log.write(Outcome(id="q0", model="large", utility=0.25))
    read = read_log(log.path)
    assert read.decisions == [told]
    assert read.outcomes == {
        ("q0", "small"): {"utility": 1.0, "cost_usd": 2e-3},
        ("q0", "large"): {"utility": 0.25},
    }
    assert read.remarks == []
    assert read.outcome("utility", ["large", "other", "small"])[0, [0, 2]].tolist() == [0.25, 1.0]


def test_the_example_of_the_documentation_is_a_log(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(Path(__file__).parent / "examples/my_log.py"))
    read = read_log(Path("log.jsonl"))
    assert read.outcomes == {("q17", "small"): {"utility": 1.0, "cost_usd": 0.0004}}


def test_texts_are_kept_only_if_asked_and_times_are_in_utc(tmp_path):
    log = DecisionLog(tmp_path / "log.jsonl")
    moved = datetime.fromisoformat("2026-01-02T05:04:05+02:00")
    log.write(decision(text="secret", image_digest="secret").model_copy(update={"time": moved}))
    written = log.path.read_text()
    assert "secret" not in written
    assert json.loads(written)["time"] == "2026-01-02T03:04:05+00:00"
    assert log.path.stat().st_mode & 0o077 == 0


def test_a_log_goes_on_in_new_files(tmp_path):
    log = DecisionLog(tmp_path / "log.jsonl", largest=600)
    for number in range(20):
        log.write(decision(number))
    files = files_of(log.path)
    assert [file.name for file in files[:2]] == ["log-0001.jsonl", "log-0002.jsonl"]
    assert files[-1] == log.path
    assert all(file.stat().st_size <= 600 for file in files)
    assert [one.id for one in read_log(log.path).decisions] == [f"q{i}" for i in range(20)]


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from mmroute.decision_log import Decision, DecisionLog
path, largest, first, last = Path(sys.argv[1]), *map(int, sys.argv[2:])
log = DecisionLog(path, with_texts=True, largest=largest)
for number in range(first, last):
    log.write(Decision(id=str(number), time=datetime.now(UTC), model="m", text="x" * 5000))
    print(number, flush=True)
"""


def writing(path, *, largest, first, last):
    command = [sys.executable, "-c", WRITER, str(path), str(largest), str(first), str(last)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_several_processes_write_to_one_log(tmp_path):
    path = tmp_path / "log.jsonl"
    parts = [{"first": first, "last": first + 200} for first in (0, 200, 400)]
    writers = [writing(path, largest=20_000, **part) for part in parts]
    for writer in writers:
        writer.communicate()
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert len(files_of(path)) > 2
    assert {one.id for one in read_log(path).decisions} == {str(i) for i in range(600)}


def test_a_kill_loses_at_most_the_last_line(tmp_path):
    path = tmp_path / "log.jsonl"
    writer = writing(path, largest=10**9, first=0, last=10**6)
    for _ in range(30):
        writer.stdout.readline()
    time.sleep(0.01)
    os.kill(writer.pid, signal.SIGKILL)
    said = [*range(30), *map(int, writer.stdout.read().split())]
    writer.wait()
    read = read_log(path).decisions
    assert [one.id for one in read] == [str(i) for i in range(len(read))]
    assert len(read) >= len(said)


def test_a_torn_last_line_is_said_and_mended(tmp_path):
    path = put(tmp_path / "log.jsonl", line(0), line(1))
    path.write_bytes(path.read_bytes() + b'{"id": "q2", "ti\xe2')
    read = read_log(path)
    assert len(read.decisions) == 2
    assert read.remarks == [f"{path}, line 3: was cut short, and is left out"]
    DecisionLog(path).write(decision(3))
    read = read_log(path)
    assert [one.id for one in read.decisions] == ["q0", "q1", "q3"]
    assert read.remarks == []


def test_a_whole_last_line_without_its_end_is_kept(tmp_path):
    path = put(tmp_path / "log.jsonl", line(0))
    path.write_bytes(path.read_bytes().rstrip())
    DecisionLog(path).write(decision(1))
    assert [one.id for one in read_log(path).decisions] == ["q0", "q1"]


def test_a_full_disk_leaves_the_log_as_it_was(tmp_path, monkeypatch):
    log = DecisionLog(tmp_path / "log.jsonl")
    log.write(decision(0))
    before, write = log.path.read_bytes(), os.write
    monkeypatch.setattr(os, "write", lambda handle, content: write(handle, content[:7]))
    with pytest.raises(OSError, match=r"No space left.*log\.jsonl"):
        log.write(decision(1))
    assert log.path.read_bytes() == before


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([{"id": "q0"}], r"line 1: utility: missing"),
        ([line(), {"id": "q0", "utilty": 1}], r"line 2: utilty: unknown key; did you mean utility"),
        ([line(), {"id": "q0", "utility": 1.5}], r"line 2: utility: .*not 1\.5"),
        ([line(propensity=0)], r"line 1: propensity: .*not 0"),
        ([line(candidates=["large"])], r"line 1: model: 'small' is not among the candidates"),
        ([line(time="2026-01-02T03:04:05")], r"line 1: time: .*timezone"),
        ([line(cost_usd={"small": float("nan")})], r"line 1: cost_usd\.small: .*finite"),
        ([line(), line()], r"line 2: id 'q0' was decided before"),
        ([line(text="\ud800")], r"line 1: "),
        ([line(), [1]], r"line 2: holds no object"),
        (
            [line(), {"id": "q0", "correct": True}, {"id": "q0", "utility": 0}],
            r"line 3: utility of model 'small' on 'q0' is 0, and was 1 before",
        ),
        (
            [line(paid_usd=2), {"id": "q0", "cost_usd": 3}],
            r"line 2: cost_usd of model 'small' on 'q0' is 3, and was 2 before",
        ),
        ([line(), {"id": "q0", "correct": "no"}], r"line 2: correct: .*boolean, not 'no'"),
        ([line(), {"id": "q0", "correct": 1}], r"line 2: correct: .*boolean, not 1"),
        ([line(), {"id": "q0", "cost_usd": 1e308}], r"line 2: cost_usd: .*1000000, not 1e\+308"),
        ([line(), {"id": "q0", "latency_s": 1e10}], r"line 2: latency_s: .*1000000000, not 1000"),
        ([line(paid_usd=1e7)], r"line 1: paid_usd: .*1000000, not 1000"),
        ([line(utility={"small": 1e308})], r"line 1: utility\.small: .*1000000, not 1e\+308"),
    ],
    ids=range(18),
)
def test_what_is_no_line_of_a_log_is_named(tmp_path, lines, message):
    path = put(tmp_path / "log.jsonl", *lines)
    with pytest.raises(InputError, match=rf"log\.jsonl, {message}"):
        read_log(path)


def test_a_bad_line_before_the_last_is_named(tmp_path):
    path = put(tmp_path / "log.jsonl", line())
    path.write_bytes(b'{"id": \n' + path.read_bytes())
    with pytest.raises(InputError, match=r"log\.jsonl, line 1: not readable as JSON"):
        read_log(path)


def test_outcomes_may_lie_apart_and_some_may_be_of_no_decision(tmp_path):
    path = put(tmp_path / "log.jsonl", line(paid_usd=2))
    later = put(tmp_path / "later.jsonl", {"id": "q0", "correct": False}, {"id": "x", "utility": 1})
    read = read_log(path, later)
    assert read.outcomes == {("q0", "small"): {"cost_usd": 2.0, "utility": 0.0}}
    assert len(read.remarks) == 1
    assert "1 outcomes are of no decision, and are left out (such as of 'x')" in read.remarks[0]


def test_a_log_that_is_not_there_is_said(tmp_path):
    for path in (tmp_path / "log.jsonl", tmp_path / "gone/log.jsonl"):
        with pytest.raises(InputError, match=r"log\.jsonl: no such file"):
            read_log(path)


@pytest.mark.parametrize("content", [b"yyyy", b"\0" * 9, b"[[[[", b"\x1f\x8b\x08"], ids=range(4))
def test_what_no_kill_leaves_is_refused_and_stays(tmp_path, content):
    path = tmp_path / "log.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"log\.jsonl, line 1: not readable as JSON"):
        read_log(path)
    DecisionLog(path).write(Outcome(id="q1", correct=True))
    assert path.read_bytes().startswith(content + b"\n{")


def test_a_log_that_is_a_link_to_nothing_is_refused(tmp_path):
    DecisionLog(tmp_path / "log-0001.jsonl").write(Outcome(id="q1", correct=True))
    (tmp_path / "log.jsonl").symlink_to("nothing")
    with pytest.raises((InputError, OSError), match=r"log\.jsonl"):
        read_log(tmp_path / "log.jsonl")
