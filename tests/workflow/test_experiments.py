"""Every experiment, run as a user asks for it, and a router from outside the package."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from mmroute.catalogue import catalogue

pytestmark = pytest.mark.slow

EXPERIMENTS = {name: entry.attributes for name, entry in catalogue("experiments").items()}
EXAMPLES = Path(__file__).parents[1] / "examples"
MY_ROUTERS = (EXAMPLES / "my_routers.py").read_text()
OF_PAPERS = ("mmr", "vl")
"""See ``test_benchmarks.py``: they train many routers."""
MORE = {
    "text_only": {"kind": "demo_text", "samples": 30},
    "routers": {
        "strongest": {},
        "knn": {},
        "knn_5": {"class": "knn", "n_neighbors": 5, "fusion": "text"},
        "strongest_per_dataset": {},
        "oracle": {},
        "kernel": {"class": "my_routers:Kernel", "temperature": 0.5},
    },
    "studied": ["knn", "linear_mf"],
    "experiments": {"main": {}}
    | {name: {} for name in EXPERIMENTS if name not in OF_PAPERS}
    | {"modality": {"n_clusters": [2, 4]}},
    "decision": {
        "labels": "train",
        "router": "knn",
        "budgets": ["50%", 1.0],
        "what_if_prices": {"gpt-5-2025-08-07": 0.5},
    },
}


@pytest.fixture(scope="module")
def everything(small):
    return small | MORE


@pytest.fixture(scope="module")
def ran(finished, everything):
    """Run every experiment but the papers' protocols; return the messages of the jobs.

    It is in the finished checkout. The documented router lies beside the config.
    """
    (finished.folder / "my_routers.py").write_text(MY_ROUTERS)
    return finished.run(everything)


@pytest.fixture(scope="module")
def checkout(finished, ran):
    return finished


@pytest.fixture(scope="module")
def results(checkout):
    return checkout.folder / "results/small"


@pytest.mark.parametrize("name", sorted({*EXPERIMENTS} - {*OF_PAPERS, "cases"}))
def test_each_has_a_table_with_intervals_and_a_section(results, name):
    experiment = EXPERIMENTS[name]
    output = experiment["output"]
    table = pd.read_csv(results / f"tables/{output}.csv")
    assert {"metric", "minus", "value", "low", "high", "p_value", "salts"} <= set(table)
    known = table.dropna(subset=["value", "low"])
    assert len(known) > 3
    assert (known["low"] <= known["high"]).all()
    for suffix in ("md", "tex"):
        assert (results / f"tables/{output}.{suffix}").stat().st_size > 100
    assert (results / f"figures/{output}.svg").exists() == experiment.get("figure", False)
    assert f"<h3>{experiment['title']}</h3>" in (results / "report.html").read_text()


def test_cases_stand_in_the_report_with_their_images(results):
    cases = pd.read_csv(results / "tables/figS2.csv")
    assert set(cases["kind"]) <= {"saving", "rescue"}
    html = (results / "report.html").read_text()
    assert "data:image/jpeg;base64," in html
    assert all(sample_id in html for sample_id in cases["sample_id"])


def test_the_decision_has_today_and_what_if(results):
    decision = pd.read_csv(results / "decision.csv")
    # Two budgets, three accuracies, and all budgets together.
    assert decision.groupby("prices").size().to_dict() == {"today": 6, "what if": 6}
    assert "What to run</h" in (results / "report.html").read_text()


def test_papers_values_are_not_shown_beside_simulated_ones(results):
    for table in ("table2", "table3", "table4", "table5"):
        assert "published" not in pd.read_csv(results / f"tables/{table}.csv")


def test_a_table_or_figure_is_a_target(checkout, everything):
    config = checkout.write_config(everything)
    targets = ["table2", "tableS4", "fig4", "figS1", "table3", "figS2"]
    result = checkout.snakemake("--dry-run", *targets, "--configfile", config)
    assert result.returncode == 0, result.stderr[-2000:]
    assert "Nothing to be done" in result.stdout + result.stderr


def test_vl_main_by_its_name_trains_vls_routers(checkout, everything):
    config = checkout.write_config(everything)
    result = checkout.snakemake("--dry-run", "vl_main", "--configfile", config)
    for router in ("prknn", "knn_vl", "kmeans_vl", "linear_vl", "mlp_vl", "ovr", "vlc"):
        assert f"Training {router} (salt 0)" in result.stdout + result.stderr


def test_an_experiment_from_outside_the_package_reaches_the_report(checkout, everything):
    """The example, in a file beside the config."""
    shutil.copy(EXAMPLES / "my_experiment.py", checkout.folder)
    mine = {"close_calls": {"class": "my_experiment:CloseCalls", "margin": 0.1}}
    config = everything | {"experiments": everything["experiments"] | mine}
    ran = checkout.run(config)
    assert "Running the experiment close_calls (salt 0)" in ran
    assert not {job for job in ran if job.startswith("Training")}
    results = checkout.folder / "results/small"
    table = pd.read_csv(results / "tables/close_calls.csv")
    assert set(table["router"]) == {"knn", "linear_mf", "ensemble"}
    assert (results / "figures/close_calls.svg").is_file()
    assert "<h3>Close calls</h3>" in (results / "report.html").read_text()
    wider = {"close_calls": mine["close_calls"] | {"margin": 0.2}}
    planned = checkout.planned(config | {"experiments": everything["experiments"] | wider})
    assert {job for job in planned if "experiment" in job} == {
        "Running the experiment close_calls (salt 0)"
    }
    code = (checkout.folder / "my_experiment.py").read_text()
    for old, new, job in (
        ("alpha=0.4", "alpha=0.6", "Drawing close_calls"),
        (" minus clear", " less clear", "Writing close_calls"),
        ("first - second < ", "first - second <= ", "Running the experiment close_calls (salt 0)"),
    ):
        (checkout.folder / "my_experiment.py").write_text(code.replace(old, new))
        planned = checkout.planned(config)
        assert job in planned
        assert ("Running the experiment close_calls (salt 0)" in planned) == ("second" in old)
    (checkout.folder / "my_experiment.py").write_text(code)


def test_a_router_from_outside_the_package_reaches_the_report(ran, checkout, everything, small):
    new = {*everything["routers"], "linear_mf", "ensemble", "irt"} - {*small["routers"]}
    trained = {job for job in ran if job.startswith("Training")}
    assert trained == {f"Training {router} (salt 0)" for router in new}
    html = (checkout.folder / "results/small/report.html").read_text()
    assert "kernel+shrink" in html
    routers = everything["routers"]
    changed = routers["kernel"] | {"temperature": 0.7}
    planned = checkout.planned(everything | {"routers": routers | {"kernel": changed}})
    assert "Training kernel (salt 0)" in planned
    (checkout.folder / "my_routers.py").write_text(MY_ROUTERS + "\nprint('edited')\n")
    assert "Training kernel (salt 0)" in checkout.planned(everything)
