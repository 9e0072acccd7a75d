"""What a router from elsewhere chose is a row of a run, which it re-runs alone."""

import json
from pathlib import Path

import pandas as pd
import pytest

from mmroute.config import load
from mmroute.decision.export import Choice, export
from mmroute.errors import InputError
from mmroute.presentation.tables import read_csv
from mmroute.provenance import verify_inputs

pytestmark = pytest.mark.slow

FILE = "theirs.csv"
ROW = {
    "Training theirs (salt 0)",
    "Tracing the operating curves of theirs (salt 0)",
    "Writing the main tables",
    "Drawing the main figures",
    "Running the notebook overview",
    "Running the notebook frontier",
    "Rendering the report",
    "Recording where the results come from",
}


@pytest.fixture(scope="module")
def config(small):
    return small | {"routers": small["routers"] | {"theirs": {"choices": FILE}}}


@pytest.fixture(scope="module")
def run(finished, config):
    """Return the finished checkout, with a row that takes two models in turn, or one of them."""
    samples = pd.read_parquet(finished.folder / "results/small/splits.parquet")[["sample_id"]]
    models = pd.read_csv(finished.folder / "results/small/tables/models.csv")["model"]
    turns = [models[number % 2] for number in range(len(samples))]
    rows = [
        samples.assign(model=models[0], threshold=-1.5),
        samples.assign(model=turns, threshold=8),
    ]
    pd.concat(rows).to_csv(finished.folder / FILE, index=False)
    assert finished.run(config) == ROW | {"Counting what the benchmark holds"}
    return finished


def results(run):
    return run.folder / "results/small"


def test_it_is_a_row_like_the_others(run):
    table = read_csv(results(run) / "tables/table2.csv")
    own = table[(table["router"] == "theirs") & (table["dataset"] == "full")].set_index("metric")
    assert own.loc[["nauc", "gain", "nauc_honest", "gain_honest"], "low"].notna().all()
    assert own["training"].isna().all()
    assert "theirs+shrink" not in set(table["router"])
    pairs = read_csv(results(run) / "tables/differences.csv")
    others = set(pairs.loc[pairs["router"] == "theirs", "other"])
    assert {"zero", "best_single", "knn", "knn+shrink"} <= others | set(
        pairs.loc[pairs["other"] == "theirs", "router"]
    )
    frontiers = pd.read_parquet(results(run) / "evaluation/routers/theirs/0/frontiers.parquet")
    assert set(frontiers["threshold"]) <= {-1.5, 8.0}


def test_the_report_says_where_it_comes_from(run):
    (line,) = [
        line
        for line in json.loads((results(run) / "tables/notices.json").read_text())
        if line.startswith("theirs: its choices come from elsewhere (theirs.csv)")
    ]
    report = (results(run) / "report.html").read_text()
    assert line in report
    assert "Choices from elsewhere" in report
    throughput = pd.read_csv(results(run) / "benchmarks/throughput.csv")
    assert "theirs" not in set(throughput["router"])


def test_another_choice_measures_this_row_anew_and_nothing_else(run, config):
    file = run.folder / FILE
    whole = file.read_text()
    assert run.planned(config) == set()
    assert verify_inputs(results(run), threads=1)["train"].matching == 1
    file.write_text(whole + "of no benchmark,gpt,8\n")
    assert verify_inputs(results(run), threads=1)["train"].changed == [FILE]
    assert run.planned(config) == ROW
    file.write_text(whole)


def test_without_its_file_nothing_begins(run, config):
    gone = config["routers"] | {"theirs": {"choices": "gone.csv"}}
    run.write_config(config | {"routers": gone}, "gone.yaml")
    result = run.snakemake("--dry-run", "--configfile", "gone.yaml")
    assert result.returncode == 1
    assert "error: config key routers.theirs.choices: no file 'gone.csv'" in result.stderr


def test_there_is_no_router_to_export(run, config, monkeypatch, tmp_path):
    monkeypatch.chdir(run.folder)
    choice = Choice("theirs", 0.1, "for a test")
    with pytest.raises(
        InputError, match=r"no router to export: the row 'theirs' .*knn.* or a model"
    ):
        export(load(config, "x"), Path("results/small"), choice, tmp_path / "out")
    assert not (tmp_path / "out").exists()
