"""A run's record says what made it, and tells every file that is not as it was."""

import json
import math
import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from mmroute.errors import InputError
from mmroute.outcomes.datasets import write_datasets
from mmroute.provenance import (
    Comparison,
    code,
    describe,
    digests,
    machine,
    stages,
    verify,
    verify_inputs,
)
from mmroute.storage import digest_bytes, digest_file, digest_sha256, write_json, write_text

CONFIG = {"name": "mine", "seed": 3, "split": {"salts": [0, "b"]}, "source": {"kind": "table"}}
HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def stray(folder):
    """Put files there that are none, or have no name in UTF-8."""
    (folder / "caf\udce9.csv").write_text("stray")
    (folder / "gone.csv").symlink_to("nowhere")
    os.mkfifo(folder / "fifo.tsv")


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results/mine"
    write_text(folder / "tables/table2.csv", "a,b\n1,2\n")
    write_text(folder / "report.html", "<html>")
    write_text(folder / "text_only/data/one/samples.parquet", "samples")
    write_json(folder / "data/index.json", {"datasets": [{"name": "one", "all": "ab"}]})
    for unrecorded in (
        *("logs/train/knn.log", "benchmarks/train/knn/0.json", "source/one.csv"),
        *("text_only/source/two.csv", "data/.snakemake_timestamp", "tables/.x.csv.7.partial"),
    ):
        write_text(folder / unrecorded, "differs from run to run")
    return folder


def record(results, prices=(), manifests=()):
    content = describe(results, CONFIG, "9.9", prices, manifests, unfinished=())
    content |= {"files": digests(results, threads=2)}
    write_json(results / "provenance.json", content)
    return content


def test_every_file_has_its_digest_and_size(results):
    files = digests(results, threads=2)
    assert list(files) == [
        "data/index.json",
        "report.html",
        "tables/table2.csv",
        "text_only/data/one/samples.parquet",
    ]
    assert files["report.html"] == {"digest": digest_bytes(b"<html>"), "size": 6}


def test_only_regular_files_are_recorded_whatever_their_names(results):
    stray(results)
    stray(results / "benchmarks")
    (results / "benchmarks/caf\udce9.tsv").write_text(HEADER)
    content = record(results)
    assert [name for name in content["files"] if "/" not in name] == [
        r"caf\udce9.csv",
        "report.html",
    ]
    assert stages(results / "benchmarks", ()) == {
        r"caf\udce9": {"jobs": 0, "seconds": None, "cpu_seconds": None, "peak_mib": None}
    }
    assert verify(results, threads=2).same


def test_one_thread_and_many_digest_alike(results):
    assert digests(results, threads=1) == digests(results, threads=8)


def test_it_says_what_the_run_was_made_with(results, tmp_path):
    write_text(tmp_path / "prices.csv", "model")
    write_json(results / "source/manifest.json", {"repo": "a/b", "commit": "c0ffee"})
    manifests = [results / "source/manifest.json", results / "source/none/manifest.json"]
    content = record(results, [tmp_path / "prices.csv"], manifests)
    assert content["config"] == CONFIG
    assert content["seeds"] == {"seed": 3, "salts": [0, "b"]}
    assert content["versions"]["snakemake"] == "9.9"
    packages = set(content["versions"]["packages"])
    assert {"numpy", "pandas", "pydantic", "scikit-learn", "snakemake", "torch"} <= packages
    assert "mmroute" not in packages
    assert re.fullmatch(r"3\.\d+\.\d+\S*", content["versions"]["python"])
    assert content["data"] == {
        "datasets": [{"name": "one", "all": "ab"}],
        "text_only": None,
        "prices": {str(tmp_path / "prices.csv"): digest_bytes(b"model")},
        "checkpoints": {},
        "choices": {},
        "downloads": [{"repo": "a/b", "commit": "c0ffee"}],
    }


def test_a_config_with_an_infinite_number_is_recorded(results):
    config = CONFIG | {"source": {"kind": "table", "limit": math.inf}}
    content = describe(results, config, "9.9", [], [], unfinished=())
    write_json(results / "provenance.json", content)
    stored = json.loads((results / "provenance.json").read_text())
    assert stored["config"]["source"] == {"kind": "table", "limit": "Infinity"}


def test_the_machine_is_described_and_not_named():
    described = machine()
    assert set(described) == {"platform", "cpus", "memory_bytes"}
    assert described["cpus"] >= 1
    assert described["memory_bytes"] > 2**28


def git(folder, *arguments):
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    done = subprocess.run(
        ["git", "-C", folder, *who, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_a_commit_and_what_is_not_in_it(tmp_path):
    git(tmp_path, "init", "--quiet")
    write_text(tmp_path / "a.py", "1")
    git(tmp_path, "add", "a.py")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert code(tmp_path) == {"commit": commit, "clean": True, "changed": [], "reason": None}
    write_text(tmp_path / "a.py", "2")
    write_text(tmp_path / "b.py", "3")
    dirty = code(tmp_path)
    assert (dirty["commit"], dirty["clean"]) == (commit, False)
    assert dirty["changed"] == [" M a.py", "?? b.py"]


def test_without_git_there_is_a_reason(tmp_path, monkeypatch):
    # A folder inside somebody else's checkout is none itself.
    git(tmp_path, "init", "--quiet")
    inside = tmp_path / "inside"
    inside.mkdir()
    unknown = {"commit": None, "clean": None, "changed": None}
    assert code(inside) == unknown | {"reason": "the source tree is no git checkout"}
    empty = code(tmp_path)
    assert empty == unknown | {"reason": empty["reason"]}
    assert empty["reason"].startswith("git cannot read the source tree: fatal: ")
    monkeypatch.setenv("PATH", str(inside))
    assert code(tmp_path) == unknown | {"reason": "git is not installed"}


def test_times_add_up_and_peaks_do_not(tmp_path):
    write_text(tmp_path / "fetch.tsv", HEADER + "0.5\t0:00:00\t-\t-\t-\t-\t-\t-\t-\tNA\n")
    for salt, seconds, peak in ((0, 1.5, 100), (1, 2.25, 300), (2, 4, 200)):
        row = f"{seconds}\t0:00:01\t{peak}\t1\t1\t1\t0\t0\t50\t0.5\n"
        write_text(tmp_path / f"train/knn/{salt}.tsv", HEADER + row)
    assert stages(tmp_path, unfinished=()) == {
        "fetch": {"jobs": 1, "seconds": 0.5, "cpu_seconds": None, "peak_mib": None},
        "train": {"jobs": 3, "seconds": 7.75, "cpu_seconds": 1.5, "peak_mib": 300},
    }


def test_an_unfinished_stage_is_not_even_read(tmp_path):
    write_text(tmp_path / "fetch.tsv", HEADER + "0.5\t0:00:00\t-\t-\t-\t-\t-\t-\t-\tNA\n")
    for begun in ("notebook/one.tsv", "html_report.tsv"):
        write_text(tmp_path / begun, "half a li\n1\n")
    assert list(stages(tmp_path, unfinished={"notebook", "html_report"})) == ["fetch"]


@pytest.mark.parametrize(
    "text", ["a\tb\n1\t2\n", HEADER + "1\t0:0", HEADER.replace("s\t", "s\ts", 1)]
)
def test_a_broken_benchmark_is_named(tmp_path, text):
    write_text(tmp_path / "fetch.tsv", text + "\n1\n")
    with pytest.raises(InputError, match=r"fetch\.tsv: no benchmark .*delete it and run again"):
        stages(tmp_path, unfinished=())


def test_an_untouched_run_is_as_recorded(results):
    record(results)
    compared = verify(results, threads=2)
    assert compared == Comparison(4, [], [], [])
    assert compared.same
    assert compared.text() == "4 as recorded, 0 missing, 0 changed, 0 new\n"


def test_what_is_missing_changed_or_new_is_named(results):
    record(results)
    table = results / "tables/table2.csv"
    table.write_text(table.read_text().replace("2", "3"))
    (results / "report.html").write_text("<html> longer")
    (results / "data/index.json").unlink()
    write_text(results / "tables/x\x1b[2J.csv", "new")
    compared = verify(results, threads=2)
    assert not compared.same
    assert compared.text().splitlines() == [
        "missing: data/index.json",
        "changed: report.html",
        "changed: tables/table2.csv",
        r"new: tables/x\x1b[2J.csv",
        "1 as recorded, 1 missing, 2 changed, 1 new",
    ]


def test_what_differs_from_run_to_run_is_not_looked_at(results):
    record(results)
    (results / "logs/train/knn.log").write_text("other")
    write_text(results / "benchmarks/new.tsv", "new")
    assert verify(results, threads=1).same


def test_a_run_without_a_record_says_what_to_do(results):
    with pytest.raises(InputError, match=r"provenance\.json: no such file; run the config first"):
        verify(results, threads=1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not readable as JSON"),
        ("[]", "lists no files"),
        ('{"files": ["a"]}', "lists no files"),
        ('{"files": {"report.html": {"size": 6}}}', "not its digest and size"),
        ('{"files": {"report.html": "ab"}}', "not its digest and size"),
    ],
)
def test_a_damaged_record_is_one_line(results, text, said):
    write_text(results / "provenance.json", text)
    with pytest.raises(
        InputError, match=rf"provenance\.json: .*{said}.*; make it anew: mmroute run"
    ):
        verify(results, threads=1)


@pytest.fixture
def whole(results, make_table, tmp_path, monkeypatch):
    """Return a run with inputs of every kind; its table lies in the folder it was started in."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "own.csv",
        "p.csv",
        "c.csv",
        "weights.pt",
        "pictures/1.png",
        "pictures/2.png",
        "own/text.csv",
    ):
        write_text(tmp_path / name, name)
    table = make_table()
    first, second = (digest_file(tmp_path / f"pictures/{name}.png") for name in "12")
    images = {"image": "2.png//1.png", "image_digest": f"{second}//unknown gone.png//{first}"}
    for folder, file, named in (
        (results, "own.csv", images),
        (results / "text_only", "own/text.csv", {}),
    ):
        write_datasets(replace(table, samples=table.samples.assign(**named)), folder / "data", 10)
        write_json(folder / "data/inputs.json", {file: digest_file(tmp_path / file)})
        write_json(folder / "source.json", {"root": "pictures"})
    write_text(results / "source/0/fetched/came.csv", "came")
    came = {"path": "came.csv", "sha256": digest_sha256(results / "source/0/fetched/came.csv")}
    write_json(results / "source/0/fetched/manifest.json", {"files": [came]})
    prices, *own = ([Path(name)] for name in ("p.csv", "weights.pt", "c.csv"))
    content = describe(results, CONFIG, "9.9", prices, [], (), *own)
    write_json(results / "provenance.json", content | {"files": {}})
    return results


def differing(results):
    return {
        rule: [*held.missing, *held.changed]
        for rule, held in verify_inputs(results, threads=2).items()
    }


def test_inputs_are_compared_by_the_rule_that_reads_them(whole, tmp_path, monkeypatch):
    nothing = {"fetch": [], "fetch_text_only": [], "outcomes": [], "embed": [], "train": []}
    assert differing(whole) == nothing
    assert verify_inputs(whole, threads=1)["fetch"].matching == 4
    monkeypatch.chdir("/")
    assert differing(whole) == nothing
    came = whole / "source/0/fetched/came.csv"
    for rule, file, name in (
        ("fetch", tmp_path / "own.csv", "own.csv"),
        ("fetch", tmp_path / "pictures/1.png", "pictures/1.png"),
        ("fetch", tmp_path / "pictures/2.png", "pictures/2.png"),
        ("fetch", came, str(came)),
        ("fetch_text_only", tmp_path / "own/text.csv", "own/text.csv"),
        ("outcomes", tmp_path / "p.csv", "p.csv"),
        ("embed", tmp_path / "weights.pt", "weights.pt"),
        ("train", tmp_path / "c.csv", "c.csv"),
    ):
        content = file.read_bytes()
        file.write_bytes(content[:-1] + b"!")
        assert differing(whole) == nothing | {rule: [name]}
        file.unlink()
        file.symlink_to("nowhere")
        assert differing(whole) == nothing | {rule: [name]}
        file.unlink()
        file.write_bytes(content)


def test_a_run_without_a_second_source_prices_or_checkpoints_has_none(whole):
    shutil.rmtree(whole / "text_only")
    content = describe(whole, CONFIG, "9.9", [], [], ())
    write_json(whole / "provenance.json", content | {"files": {}})
    assert differing(whole) == {"fetch": []}


@pytest.mark.parametrize("gone", ["provenance.json", "data/inputs.json", "source.json"])
def test_inputs_without_a_record_are_named(whole, gone):
    (whole / gone).unlink()
    with pytest.raises(InputError, match=gone):
        verify_inputs(whole, threads=1)
