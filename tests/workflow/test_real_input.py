"""Real input, from nothing to the report; collected where the data lie beside the checkout."""

import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ROUTERS = {
    "routers": {"random": {"trials": 2}, "knn": {}, "mlp": {"epochs": 3}},
    "studied": ["knn"],
    "shrink": False,
}
ROUTERS["decision"] = {"router": "knn"}


def run_real(checkout, name):
    """Run a config of tests/configs up to the report.

    It has few routers, the largest of the default ones among them; its paths are resolved from
    the real checkout.
    """
    config = yaml.safe_load((ROOT / f"tests/configs/{name}.yaml").read_text()) | ROUTERS
    for key in ("path", "prices"):
        if key in config["source"]:
            config["source"][key] = str((ROOT / config["source"][key]).resolve())
    checkout.run(config, f"results/{name}/report.html")
    return checkout.folder / f"results/{name}"


@pytest.fixture(scope="module")
def mathvision(make_checkout):
    checkout = make_checkout()
    # Memory is measured of processes that Snakemake itself has started.
    checkout.python = sys.executable
    return run_real(checkout, "mathvision")


def test_mathvision_accuracy_is_the_tables_own(mathvision):
    models = pd.read_csv(mathvision / "tables/models.csv").set_index("model")
    assert models.loc["Gemini-1.0-Pro-Vision", "accuracy"] == 537 / 3040
    assert (models["coverage"] == 1).all()
    assert len(models) == 15


def test_mathvision_loses_no_sample_and_no_image(mathvision):
    full = pd.read_csv(mathvision / "tables/datasets.csv").iloc[-1]
    assert full["samples"] == 3040
    assert full["no_image"] == full["undecodable_images"] == full["unobserved"] == 0
    assert full["no_text"] == 1


def test_mathvision_reaches_the_report_within_three_gigabytes_a_job(mathvision):
    assert (mathvision / "report.html").stat().st_size > 10_000
    peaks = {
        path: pd.read_csv(path, sep="\t", na_values="-")["max_rss"].max()
        for path in (mathvision / "benchmarks").rglob("*.tsv")
    }
    assert len(peaks) > 20
    assert max(peaks.values()) < 3 * 1024, max(peaks, key=peaks.get)


def test_text_only_questions_with_priced_tokens_reach_the_report(make_checkout):
    results = run_real(make_checkout(), "gsm8k")
    models = pd.read_csv(results / "tables/models.csv")
    assert (models["cost_from"] == "tokens").all()
    full = pd.read_csv(results / "tables/datasets.csv").iloc[-1]
    assert full["samples"] == full["no_image"] == 1319
    assert (results / "report.html").exists()
