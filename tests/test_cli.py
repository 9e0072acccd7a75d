"""The command line where it does no work: what it refuses, and what it hands on."""

import sys
from types import SimpleNamespace

import pytest
import yaml
from typer.testing import CliRunner

from mmroute import cli
from mmroute.provenance import digests
from mmroute.storage import write_json

TABLE = "sample_id,model,utility,cost,question\n" + "".join(
    f"s{index},{model},{(index + shift) % 2},0.1,What is {index}?\n"
    for index in range(40)
    for shift, model in enumerate(("a", "b"))
)


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.csv").write_text(TABLE)
    content = {"name": "mine", "source": {"kind": "table", "path": "mine.csv"}}
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(content))
    return content


def call(*arguments):
    return CliRunner().invoke(cli.app, list(arguments))


def test_a_usable_config_is_described_and_ends_with_zero(config):
    done = call("check", "my.yaml")
    assert done.exit_code == 0
    assert "40 samples" in done.stdout


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pool": ["a", "c"]}, "no model 'c'"),
        ({"source": {"kind": "table", "path": "gone.csv"}}, "gone.csv"),
        ({"split": {"train": 0.001}}, "split"),
    ],
)
def test_what_would_stop_a_run_ends_with_two(config, tmp_path, change, said):
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(config | change))
    done = call("check", "my.yaml")
    assert done.exit_code == 2
    assert said in done.stdout


def test_logs_are_described_with_a_config_that_init_writes(config, tmp_path):
    (tmp_path / "my.yaml").unlink()
    written = call("init", "mine.csv")
    assert (written.exit_code, written.stderr) == (0, "")
    assert yaml.safe_load(written.stdout) == config
    done = call("check", "mine.csv")
    assert done.exit_code == 0
    assert done.stdout.startswith(f"mine.csv: table\n\n{written.stdout}\nmine: 40 samples")
    (tmp_path / "other").mkdir()
    (tmp_path / "mine.csv").rename(tmp_path / "other/mine.csv")
    whole = call("init", str(tmp_path / "other"))
    (tmp_path / "my.yaml").write_bytes(whole.stdout_bytes)
    assert call("check", "my.yaml").exit_code == 0


def test_logs_that_cannot_be_used_end_with_two(config, tmp_path):
    (tmp_path / "mine.csv").write_text(TABLE.replace("question", "asked"))
    done = call("init", "mine.csv")
    assert done.exit_code == 2
    assert yaml.safe_load(done.stdout)["source"]["path"] == "mine.csv"
    assert done.stderr.startswith("error: table mine.csv: sample 's0' has neither a question nor")
    assert done.stderr.count("\n") == 1
    assert call("check", "mine.csv").exit_code == 2


@pytest.mark.parametrize("command", ["check", "init"])
def test_what_is_no_logs_is_one_line(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "there/x\x1b[2J.bin").touch()
    done = call(command, "there")
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: there: no logs of a known layout: it has 1 file (.bin)")
    assert "\x1b" not in done.stderr
    assert done.stderr.count("\n") == 1
    missing = call(command, "gone.yaml")
    assert missing.exit_code == 2
    assert missing.stderr.startswith("error: gone.yaml: no such file")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("name: [", "my.yaml: not readable as YAML"),
        ("- a", "my.yaml: holds no mapping"),
        ("name: x\nsource: {kind: demo}\nnom: 1", "my.yaml: config key nom: unknown key"),
    ],
)
@pytest.mark.parametrize("command", ["check", "run", "export"])
def test_a_bad_config_is_one_line(config, tmp_path, command, content, said):
    (tmp_path / "my.yaml").write_text(content)
    done = call(command, "my.yaml", *(["out", "--budget", "50%"] if command == "export" else []))
    assert done.exit_code == 2
    assert done.stderr.startswith(f"error: {said}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], ["--rerun-incomplete", "--cores", "all", "--configfile", "my.yaml"]),
        (
            ["table3", "-n"],
            ["table3", "-n", "--rerun-incomplete", "--cores", "all", "--configfile", "my.yaml"],
        ),
        (["--cores", "2"], ["--cores", "2", "--rerun-incomplete", "--configfile", "my.yaml"]),
        (["-c2"], ["-c2", "--rerun-incomplete", "--configfile", "my.yaml"]),
        (["--profile=p"], ["--profile=p", "--rerun-incomplete", "--configfile", "my.yaml"]),
    ],
)
def test_run_hands_everything_on_and_ends_as_snakemake_does(config, monkeypatch, given, expected):
    started = []

    def run(command, check):
        started.append(command)
        return SimpleNamespace(returncode=7)

    monkeypatch.setattr(cli.subprocess, "run", run)
    done = call("run", "my.yaml", *given)
    assert done.exit_code == 7
    ((python, *command),) = started
    assert python == sys.executable
    assert command[:3] == ["-m", "snakemake", "--snakefile"]
    assert command[4:] == expected


def test_export_before_a_run_says_what_to_do(config):
    done = call("export", "my.yaml", "out", "--budget", "50%")
    assert done.exit_code == 2
    assert "run the config first: mmroute run CONFIG" in done.stderr
    done = call("export", "my.yaml", "out", "--router", "knn", "--threshold", "0.1")
    assert done.exit_code == 2
    assert "run the config first" in done.stderr


def test_verify_ends_with_two_if_a_file_is_not_as_recorded(tmp_path):
    (tmp_path / "report.html").write_text("<html>")
    write_json(tmp_path / "provenance.json", {"files": digests(tmp_path, threads=1)})
    done = call("verify", str(tmp_path))
    assert (done.exit_code, done.stdout) == (0, "1 as recorded, 0 missing, 0 changed, 0 new\n")
    (tmp_path / "report.html").write_text("<HTML>")
    done = call("verify", str(tmp_path))
    assert done.exit_code == 2
    assert done.stdout.startswith("changed: report.html\n")


def test_verify_says_in_one_line_that_the_record_is_damaged(tmp_path):
    (tmp_path / "provenance.json").write_text('{"files": {"a')
    done = call("verify", str(tmp_path))
    assert done.exit_code == 2
    assert done.stderr.startswith(f"error: {tmp_path}/provenance.json: not readable as JSON")
    assert done.stderr.count("\n") == 1
