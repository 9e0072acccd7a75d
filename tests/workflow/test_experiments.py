"""Every experiment, run as a user asks for it, and a router from outside the package."""

from pathlib import Path

import pandas as pd
import pytest

from mmroute.experiments import EXPERIMENTS

MY_ROUTERS = (Path(__file__).parents[1] / "examples/my_routers.py").read_text()
EVERYTHING = {
    "name": "everything",
    "source": {"kind": "demo", "samples": 30},
    "text_only": {"kind": "demo_text", "samples": 30},
    "routers": {
        "strongest": {},
        "knn": {},
        "knn_5": {"class": "knn", "n_neighbors": 5, "fusion": "text"},
        "strongest_per_dataset": {},
        "oracle": {},
    },
    "studied": ["knn", "linear_mf"],
    "n_clusters": [2, 4],
    "experiments": ["main", *(name for name in EXPERIMENTS if name != "vl")],
    "decision": {"budgets": ["50%", 1.0], "what_if_prices": {"gpt-5-2025-08-07": 0.5}},
    "resamples": 100,
}


@pytest.fixture(scope="module")
def checkout(make_checkout):
    """Return a checkout in which every experiment but VL's has run."""
    made = make_checkout()
    made.run(EVERYTHING)
    return made


@pytest.fixture(scope="module")
def results(checkout):
    return checkout.folder / "results/everything"


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name not in ("vl", "cases")])
def test_each_has_a_table_with_intervals_and_a_section(results, name):
    experiment = EXPERIMENTS[name]
    table = pd.read_csv(results / f"tables/{experiment.output}.csv")
    assert {"metric", "minus", "value", "low", "high", "p_value", "salts"} <= set(table)
    known = table.dropna(subset=["value", "low"])
    assert len(known) > 3
    assert (known["low"] <= known["high"]).all()
    for suffix in ("md", "tex"):
        assert (results / f"tables/{experiment.output}.{suffix}").stat().st_size > 100
    assert (results / f"figures/{experiment.output}.svg").exists() == experiment.figure
    assert f"<h2>{experiment.title}</h2>" in (results / "report.html").read_text()


def test_cases_stand_in_the_report_with_their_images(results):
    cases = pd.read_csv(results / "tables/figS2.csv")
    assert set(cases["kind"]) <= {"saving", "rescue"}
    html = (results / "report.html").read_text()
    assert "data:image/jpeg;base64," in html
    assert all(sample_id in html for sample_id in cases["sample_id"])


def test_the_decision_has_today_and_what_if(results):
    decision = pd.read_csv(results / "decision.csv")
    assert decision.groupby("prices").size().to_dict() == {"today": 5, "what if": 5}
    assert "<h2>What to do</h2>" in (results / "report.html").read_text()


def test_papers_values_are_not_shown_beside_simulated_ones(results):
    for table in ("table2", "table3", "table4", "table5"):
        assert "published" not in pd.read_csv(results / f"tables/{table}.csv")


@pytest.mark.parametrize("target", ["table2", "tableS4", "fig4", "figS1", "table3", "figS2"])
def test_a_table_or_figure_is_a_target(checkout, target):
    config = checkout.write_config(EVERYTHING)
    result = checkout.snakemake("--dry-run", target, "--configfile", config)
    assert result.returncode == 0, result.stderr[-2000:]
    assert "Nothing to be done" in result.stdout + result.stderr


def test_vl_main_by_its_name_trains_vls_routers(checkout):
    config = checkout.write_config(EVERYTHING)
    result = checkout.snakemake("--dry-run", "vl_main", "--configfile", config)
    for router in ("prknn", "knn_vl", "kmeans_vl", "linear_vl", "mlp_vl", "ovr", "vlc"):
        assert f"Training {router} (salt 0)" in result.stdout + result.stderr


def test_a_router_from_outside_the_package_reaches_the_report(checkout):
    """The documented router, in a file beside the config."""
    (checkout.folder / "my_routers.py").write_text(MY_ROUTERS)
    kernel = {"class": "my_routers:Kernel", "temperature": 0.5}
    config = EVERYTHING | {"routers": EVERYTHING["routers"] | {"kernel": kernel}}
    ran = checkout.run(config)
    assert {job for job in ran if job.startswith("Training")} == {"Training kernel (salt 0)"}
    html = (checkout.folder / "results/everything/report.html").read_text()
    assert "kernel+shrink" in html
    changed = kernel | {"temperature": 0.7}
    planned = checkout.planned(EVERYTHING | {"routers": config["routers"] | {"kernel": changed}})
    assert "Training kernel (salt 0)" in planned
    (checkout.folder / "my_routers.py").write_text(MY_ROUTERS + "\n# edited\n")
    assert "Training kernel (salt 0)" in checkout.planned(config)
