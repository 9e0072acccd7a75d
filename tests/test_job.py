import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from mmroute.errors import InputError
from mmroute.job import job, split_of
from mmroute.storage import damaged, read_json, write_frame, write_json


def described(log, inputs=()):
    """Return what a job takes of Snakemake's description of it."""
    return SimpleNamespace(log=[str(log)], input=[str(path) for path in inputs])


def test_bad_input_ends_with_one_line_and_no_traceback(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught, job(described(tmp_path / "logs/job.log")):
        raise InputError("my.csv: column cost:\n is -1")
    assert caught.value.code == 1
    assert capsys.readouterr().err == "error: my.csv: column cost: is -1\n"
    assert (tmp_path / "logs/job.log").read_text() == "error: my.csv: column cost: is -1\n"


def test_a_file_that_the_system_refuses_is_named(tmp_path, capsys):
    with pytest.raises(SystemExit), job(described(tmp_path / "job.log")):
        (tmp_path / "gone.csv").read_text()
    error = capsys.readouterr().err
    assert "gone.csv: No such file or directory" in error
    assert error.count("\n") == 1


def test_a_defect_keeps_its_traceback(tmp_path):
    with pytest.raises(ZeroDivisionError), job(described(tmp_path / "job.log")):
        raise ZeroDivisionError


def test_text_from_data_cannot_steer_the_terminal(tmp_path, capsys):
    with pytest.raises(SystemExit), job(described(tmp_path / "job.log")):
        raise InputError("model '\x1b[2Jgpt\u202e' has no price")
    assert capsys.readouterr().err == "error: model '\\x1b[2Jgpt\\u202e' has no price\n"


def test_a_job_works_on_its_outcomes_under_the_split_of_its_salt():
    given = SimpleNamespace(outcomes="results/a/outcomes", splits="results/a/splits.parquet")
    described = SimpleNamespace(input=given, wildcards=SimpleNamespace(salt="1"))
    assert split_of(described) == (Path(given.outcomes), Path(given.splits), "1")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a run's folder, from where Snakemake was started, with some of its files."""
    monkeypatch.chdir(tmp_path)
    folder = Path("results/run")
    for name in ("splits", "outcomes/cost", "data/A/x"):
        write_frame(folder / f"{name}.parquet", pd.DataFrame({"a": [1]}))
    write_json(folder / "data/index.json", {})
    (folder / "data/.snakemake_timestamp").touch()
    return folder


def ended(run, name, inputs, capsys):
    """Return the last words of a job that finds a file of the run damaged."""
    with pytest.raises(SystemExit), job(described("job.log", [run / given for given in inputs])):
        raise damaged(run / name, "damaged")
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "inputs", "moved"),
    [
        ("splits.parquet", ["data/index.json", "splits.parquet"], "splits.parquet"),
        ("outcomes/cost.parquet", ["splits.parquet", "outcomes"], "outcomes"),
        ("data/index.json", ["data/index.json"], "data"),
        ("data/A/x.parquet", ["data/index.json"], "data"),
    ],
)
def test_what_a_job_made_as_a_whole_is_moved_aside(run, capsys, name, inputs, moved):
    before = {path.name for path in run.iterdir()}
    said = ended(run, name, inputs, capsys)
    assert said == (
        f"error: results/run/{name}: damaged; results/run/{moved} was moved aside as "
        f".{moved}.damaged; run again, and it is made anew\n"
    )
    assert {path.name for path in run.iterdir()} == before - {moved} | {f".{moved}.damaged"}


def test_what_was_moved_aside_before_makes_room(run, capsys):
    for content in ("first", "second"):
        write_json(run / "outcomes/pool.json", content)
        ended(run, "outcomes/cost.parquet", ["outcomes"], capsys)
    assert read_json(run / ".outcomes.damaged/pool.json") == "second"


def test_a_file_that_another_job_has_moved_is_made_anew(run, capsys):
    ended(run, "splits.parquet", ["splits.parquet"], capsys)
    with pytest.raises(SystemExit), job(described("job.log", [run / "splits.parquet"])):
        read_json(run / "splits.parquet")
    said = "splits.parquet: no such file; run again, and results/run/splits.parquet is made anew\n"
    assert capsys.readouterr().err.endswith(said)
    assert (run / ".splits.parquet.damaged").is_file()


def test_what_a_download_brought_is_fetched_anew(run, capsys):
    write_json(run / "source.json", {})
    assert "results/run/source.json was moved aside" in ended(
        run, "source/images/index.parquet", ["source.json"], capsys
    )


def test_all_damaged_inputs_are_found_at_once(run, capsys):
    (run / "data/index.json").write_text("{")
    (run / "outcomes/cost.parquet").write_bytes(b"PAR1")
    said = ended(run, "splits.parquet", ["splits.parquet", "data/index.json", "outcomes"], capsys)
    assert [line.split(": ")[1] for line in said.splitlines()] == [
        "results/run/splits.parquet",
        "results/run/data/index.json",
        "results/run/outcomes/cost.parquet",
    ]
    moved = [".data.damaged", ".outcomes.damaged", ".splits.parquet.damaged"]
    assert sorted(path.name for path in run.iterdir()) == moved


def test_a_file_that_is_no_input_stays(run, capsys):
    said = ended(run, "splits.parquet", ["outcomes"], capsys)
    assert "make it anew: mmroute run CONFIG --forcerun results/run/splits.parquet" in said
    assert (run / "splits.parquet").is_file()


def test_a_full_disk_is_said_though_it_names_no_file(tmp_path, capsys):
    with pytest.raises(SystemExit), job(described(tmp_path / "job.log")):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert capsys.readouterr().err == (
        "error: the disk: No space left on device; make it readable and writable, with room left "
        "on the disk\n"
    )


def test_memory_that_ends_is_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit), job(described(tmp_path / "job.log")):
        raise MemoryError
    assert capsys.readouterr().err.count("\n") == 1
