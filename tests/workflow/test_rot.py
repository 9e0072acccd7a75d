"""Stored files that rot between two runs: the first names them, the second makes them anew."""

import re
import shutil
import subprocess

import pytest

pytestmark = pytest.mark.slow

ROWS = ["linear", "cheapest", "strongest"]
CHANGED = {"routers": {row: {} for row in ROWS}, "studied": ["linear"], "shrink": False}
CHANGED["decision"] = {"router": "linear"}
TARGETS = ["results/small/decision.csv", "results/small/tables/table2.csv"]


@pytest.fixture(scope="module")
def run(finished, small):
    """Return the finished checkout, in which these routers were trained and measured then."""
    finished.write_config(small | CHANGED)
    # Only those that are the targets are made again.
    shutil.rmtree(finished.folder / "results/small/tables")
    assert started(finished).returncode == 0
    return finished


def started(checkout, *arguments, targets=TARGETS):
    given = ["--cores", "2", "--keep-going", "--configfile", "my.yaml", *arguments]
    return checkout.snakemake(*targets, *given)


def metrics(checkout):
    results = checkout.folder / "results/small"
    paths = [results / "decision.csv", *results.glob("tables/*.csv")]
    paths += results.rglob("predictions.parquet")
    return {path.relative_to(results): path.read_bytes() for path in paths}


def truncate(path):
    path.write_bytes(path.read_bytes()[:-50])


def swap(first, second):
    kept = first.read_bytes()
    shutil.copyfile(second, first)
    second.write_bytes(kept)


def test_what_rots_is_named_moved_aside_and_made_anew(run):
    results, whole = run.folder / "results/small", metrics(run)
    text, *_ = sorted(results.glob("embeddings/text/*/*.parquet"))
    first, second, *_ = sorted(results.glob("embeddings/image/*/*.parquet"))
    outcomes = results / "outcomes/utility.parquet"
    own, other = (results / f"routers/{row}/0/predictions.parquet" for row in ROWS[1:])
    truncate(text)
    swap(first, second)
    truncate(outcomes)
    shutil.copyfile(other, own)
    # What reads them must run again.
    for made in ("features", "evaluation/routers/cheapest", "tables"):
        shutil.rmtree(results / made)
    (results / "decision.csv").unlink()

    failed = started(run)
    assert failed.returncode == 1
    for path in (text, first, second, outcomes, own):
        name = re.escape(str(path.relative_to(run.folder)))
        assert re.search(f"^error: {name}: .*run again, and it is made anew$", failed.stderr, re.M)
    assert "Traceback" not in failed.stderr
    assert {path.name for path in results.rglob(".*.damaged")} == {
        ".outcomes.damaged",
        *(f".{path.name}.damaged" for path in (text, first, second, own)),
    }

    again = started(run)
    assert again.returncode == 0, again.stderr[-4000:]
    assert metrics(run) == whole


def test_a_trained_router_of_another_row_is_made_anew_as_export_says(run, tmp_path):
    own, other = (
        run.folder / f"results/small/routers/{row}/0/router.safetensors" for row in ROWS[:2]
    )
    whole = own.read_bytes()
    shutil.copyfile(other, own)
    chosen = [str(tmp_path / "out"), "--router", "linear", "--threshold", "0.05"]
    export = [run.python, "-m", "mmroute.cli", "export", "my.yaml", *chosen]

    failed = subprocess.run(export, cwd=run.folder, capture_output=True, text=True, check=False)
    assert failed.returncode == 2
    way = re.fullmatch(r"error: .*; make it anew: mmroute run CONFIG (.*)\n", failed.stderr)
    assert started(run, *way[1].split()).returncode == 0
    assert own.read_bytes() == whole
