"""Bad input: one clear line, an exit code, no traceback, nothing half-written."""

import pandas as pd
import pytest

from mmroute.errors import InputError
from mmroute.outcomes.datasets import read_samples, write_datasets
from mmroute.outcomes.groups import group_keys
from mmroute.outcomes.ingestion import ingest
from mmroute.outcomes.pool import assemble
from mmroute.outcomes.splits import require_parts, split
from mmroute.sources.mmr_release import MmrRelease

pytestmark = pytest.mark.slow

WIDE = {
    "dataset_idx": [f"Own_{index}" for index in range(40)],
    "question": [f"What is {index}?" for index in range(40)],
    "a_correct": [index % 2 for index in range(40)],
    "a_cost": [0.001] * 40,
    "b_correct": [1] * 40,
    "b_cost": [0.01] * 40,
}


@pytest.fixture(scope="module")
def checkout(make_checkout):
    return make_checkout()


def fails_with_one_line(checkout, config):
    name = checkout.write_config(config)
    result = checkout.snakemake("--cores", "1", "--configfile", name)
    output = result.stdout + result.stderr
    assert result.returncode != 0
    assert "Traceback" not in output
    lines = [line for line in output.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, output
    return lines[0]


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"nam": 1}, ["my.yaml", "nam", "did you mean name?"]),
        ({"routers": {"kn": {}}}, ["my.yaml", "routers", "'kn'", "knn"]),
        ({"encoders": {"text": "clip"}}, ["my.yaml", "encoders.text", "'clip'", "builtin"]),
        ({"routers": {"knn": {"fusion": "sum"}}}, ["my.yaml", "fusion", "'sum'", "adaptive"]),
        ({"source": {"kind": "mmr_release", "path": "gone"}}, ["gone", "source.path"]),
        ({"source": {"kind": "demo", "prices": "gone.csv"}}, ["source.prices", "gone.csv"]),
    ],
)
def test_a_wrong_config_stops_before_any_job(checkout, small, change, parts):
    line = fails_with_one_line(checkout, small | change)
    assert all(part in line for part in parts), line
    assert not (checkout.folder / "results").exists()


def test_a_key_that_stands_twice_stops_before_any_job(checkout):
    (checkout.folder / "my.yaml").write_text("name: a\nsource: {kind: demo}\nname: b\n")
    result = checkout.snakemake("--cores", "1", "--configfile", "my.yaml")
    assert result.returncode == 1
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert line.endswith(
        "my.yaml: line 3: config key 'name' stands in line 1 already; keep one of the two"
    )
    assert not (checkout.folder / "results").exists()


@pytest.mark.parametrize("name", ["a{x}b", "a:b"])
def test_a_checkout_that_snakemake_cannot_run_says_so(checkout, tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    for part in ("Snakefile", "workflow", "src", "config"):
        (folder / part).symlink_to(checkout.folder / part)
    result = checkout.snakemake("--snakefile", str(folder / "Snakefile"), "--dry-run")
    assert result.returncode == 1
    assert f"error: {folder}: Snakemake takes braces for wildcards" in result.stderr


@pytest.mark.parametrize("name", ["a{0}b", "{n}"])
def test_a_folder_that_snakemake_cannot_run_in_says_so(checkout, tmp_path, name):
    (tmp_path / name).mkdir()
    result = checkout.snakemake(
        "--dry-run", "--directory", str(tmp_path / name), "--configfile", "config/config.yaml"
    )
    assert result.returncode == 1
    assert f"{name}: Snakemake takes this for wildcards" in result.stderr


# By the job that each stops.
WRONG = {
    "ingest": [
        (
            lambda t: t.assign(b_correct=2),
            ["MMR_Bench.csv", "'b_correct'", "'Own_0'", "'2'", "0 to 1"],
        ),
        (lambda t: t[["dataset_idx", "question"]], ["MMR_Bench.csv", "model", "_correct"]),
        (lambda t: t.assign(dataset_idx="Own_1"), ["MMR_Bench.csv", "'Own_1'", "more than once"]),
        (
            lambda t: t.assign(b_cost=-1),
            ["MMR_Bench.csv", "'b_cost'", "'Own_0'", "'-1'", "at least 0"],
        ),
        (lambda t: t.assign(b_correct=""), ["MMR_Bench.csv", "'b'", "no outcome"]),
        (lambda t: t.assign(b_cost="cheap"), ["MMR_Bench.csv", "b_cost", "'cheap'"]),
        (lambda t: t.assign(question=""), ["neither a question nor an image", "'Own_0'"]),
    ],
    "split": [(lambda t: t.head(1), ["all 1 samples, in 1 groups", "split.train"])],
    "outcomes": [
        (lambda t: t.assign(b_cost="", a_cost=""), ["no outcome with a known cost", "prices"])
    ],
}


def spoilt(data, spoil):
    """Write a release whose table is wrong; return its folder."""
    data.mkdir(exist_ok=True)
    spoil(pd.DataFrame(WIDE)).to_csv(data / "MMR_Bench.csv", index=False)
    return data


@pytest.mark.parametrize("job", WRONG)
def test_a_wrong_table_stops_its_job_and_leaves_no_output(checkout, small, job):
    spoil, parts = WRONG[job][0]
    spoilt(checkout.folder / "data", spoil)
    config = small | {"name": "bad", "source": {"kind": "mmr_release", "path": "data"}}
    line = fails_with_one_line(checkout, config)
    assert all(part in line for part in parts), line
    assert not list((checkout.folder / "results").rglob("*.partial"))
    assert not (checkout.folder / "results/bad/embeddings").exists()


@pytest.mark.parametrize(
    ("job", "spoil", "parts"), [(job, *case) for job, cases in WRONG.items() for case in cases]
)
def test_a_wrong_table_is_refused_in_one_line(tmp_path, job, spoil, parts):
    source = MmrRelease(path=str(spoilt(tmp_path, spoil)))
    with pytest.raises(InputError) as refused:
        ingested = ingest({"own": source}, source.fetch(tmp_path / "source"))
        write_datasets(ingested.table, tmp_path / "stored", 1000)
        if job == "split":
            require_parts(read_samples(tmp_path / "stored"), 0.2, [0])
        else:
            assemble(tmp_path / "stored", None, None, 0.8, tmp_path / "outcomes")
    line = str(refused.value)
    assert "\n" not in line
    assert all(part in line for part in parts), line
    assert not list(tmp_path.rglob("*.partial"))


def test_a_file_that_is_no_table_is_named(checkout, small):
    (checkout.folder / "own.csv").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\xff\xfe")
    line = fails_with_one_line(checkout, small | {"source": {"kind": "table", "path": "own.csv"}})
    assert "own.csv" in line


def test_a_model_without_training_outcomes_is_named(checkout, small):
    data = checkout.folder / "data"
    data.mkdir(exist_ok=True)
    table = pd.DataFrame(WIDE)
    samples = table.assign(dataset="Own", group="", image_digest=None)
    in_test = ~split(group_keys(samples), 0.2, 0)
    table["b_correct"] = ["1" if test else "" for test in in_test]
    table.to_csv(data / "MMR_Bench.csv", index=False)
    config = small | {
        "name": "bad",
        "source": {"kind": "mmr_release", "path": "data"},
        "pool": ["a", "b"],
        "routers": {"knn": {}},
        "decision": {"router": "knn", "labels": "train"},
    }
    line = fails_with_one_line(checkout, config)
    assert "'b' has no outcome in the training split" in line
    assert not (checkout.folder / "results/bad/embeddings").exists()
