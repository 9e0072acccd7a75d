"""A run from nothing: what it leaves, and that it leaves the same each time."""

import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from mmroute.outcome_table import OutcomeTable
from mmroute.presentation.tables import REFERENCES
from mmroute.report.evidence import evidence

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results(finished):
    return finished.folder / "results/small"


def write_pictures(folder, *datasets):
    """Write a long table of 40 questions on pictures a data set; return a config that reads it."""
    rows = []
    for number in range(40 * len(datasets)):
        dataset, index = datasets[number // 40], number % 40
        Image.new("RGB", (40, 30), (index, 2 * index, 99)).save(folder / f"{number}.png")
        rows += [
            {"sample_id": f"{dataset}_{index}", "dataset": dataset, "image": f"{number}.png"}
            | {"question": f"What is shown in picture {index}?", "model": model}
            | {"utility": (index + cost) % 2, "cost": cost}
            for model, cost in (("a", 1), ("b", 2))
        ]
    pd.DataFrame(rows).to_csv(folder / "own.csv", index=False)
    source = {"kind": "table", "path": "own.csv"}
    run = {
        "routers": {"knn": {}},
        "decision": {"router": "knn", "labels": "train"},
        "resamples": 100,
    }
    return {"name": "own", "source": source} | run


def test_everything_of_a_benchmark_lies_in_its_folder(finished):
    changed = {path.name for path in (finished.folder / "results").iterdir()}
    assert changed == {"small"}


def test_one_core_and_two_cores_write_the_same_bytes(
    finished, make_checkout, small, other_warm_python
):
    again = make_checkout()
    again.python = other_warm_python
    again.run(small, cores=1)
    first, second = finished.folder / "results/small", again.folder / "results/small"
    kinds = ("*.csv", "*.md", "*.tex", "*.parquet", "*.svg", "*.png")
    files = [
        file.relative_to(first)
        for kind in kinds
        for file in sorted(first.rglob(kind))
        if not {"source", "benchmarks"} & set(file.relative_to(first).parts)
    ]
    assert len(files) > 40
    different = [
        str(file) for file in files if (first / file).read_bytes() != (second / file).read_bytes()
    ]
    assert different == []
    timed, timed_again = ((folder / "report.html").read_text() for folder in (first, second))
    section = re.compile(r'<section id="machine-and-time">.*?</section>', re.DOTALL)
    (shown,) = section.findall(timed)
    assert all(f">{stage}</th>" in shown for stage in ("fetch", "train", "figures"))
    assert "Throughput" in shown
    rates = pd.read_csv(first / "benchmarks/throughput.csv").set_index("router")
    assert set(rates.index) == set(small["routers"]) - {"oracle"}
    alone, embedded = rates["decisions_per_second"], rates["decisions_per_second_with_features"]
    assert embedded.loc["knn"] < alone.loc["knn"]
    assert (alone > 0).all()
    assert (alone == embedded).drop(["knn", "linear"]).all()
    assert section.sub("", timed) == section.sub("", timed_again)


def test_features_do_not_depend_on_how_embedding_is_scattered(make_checkout):
    checkout = make_checkout()
    config = write_pictures(checkout.folder, "one", "two")
    config["routers"] = {"knn": {}, "linear": {}}
    results = checkout.folder / "results/own"
    targets = [f"results/own/features/{fusion}/0.parquet" for fusion in ("adaptive-train", "mean")]
    checkout.run(config, *targets)
    whole = [(checkout.folder / target).read_bytes() for target in targets]
    shutil.rmtree(results / "embeddings")
    checkout.run(config | {"shard_size": {"embed": 16}}, *targets)
    for folder in ("text/builtin", "image/builtin"):
        assert len(list((results / "embeddings" / folder).iterdir())) == 6
    assert [(checkout.folder / target).read_bytes() for target in targets] == whole


def test_the_main_table_is_long_and_complete(results, small):
    table = pd.read_csv(results / "tables/table2.csv")
    assert {"dataset", "router", "metric", "value"} <= set(table)
    assert not table.duplicated(["dataset", "router", "metric"]).any()
    shrunk = {"knn+shrink", "linear+shrink"}
    assert set(table["router"]) == {*small["routers"], *shrunk, *REFERENCES}
    assert {"nauc", "nauc_honest", "peak_score", "peak_score_honest", "qnc"} <= set(table["metric"])
    # Where parity was not reached in training no accuracy is at it.
    own = table[table["level"].isin(["dataset", "full"])].set_index(["dataset", "router"])
    there = own["value"][own["metric"] == "qnc_honest"] < np.inf
    assert own["value"][own["metric"] == "parity_honest"].notna().eq(there).all()
    table = table[table["metric"] != "parity_honest"]
    assert table["value"].notna().all()
    # Compared with itself a row is 0 or 1, without resamples.
    single = (table["router"] == "best_single") & table["metric"].isin(["qnc", "savings_at_parity"])
    zero = (table["router"] == "zero") & table["metric"].str.contains("gain|saving_|qnc_honest")
    itself = single | zero
    assert table.loc[~itself, ["low", "high"]].notna().all(axis=None)
    assert (table.loc[itself, "value"].isin([0, 1])).all()
    # In some resamples of two dozen samples a model is always right: no AUROC.
    assert set(table["metric"][table["undefined"] > 0]) <= {"auroc"}
    assert table["undefined"].max() < 0.05
    assert (table["low"] <= table["high"])[~itself].all()


def test_operating_points_and_differences_stand_beside_it(results, small):
    points = pd.read_csv(results / "tables/operating_points.csv")
    assert set(points["point"]) == {"peak", "parity", "half_cost"}
    traffic = points[points["metric"].str.startswith("traffic ")]
    shares = traffic.groupby(["dataset", "router", "point"])["value"].sum()
    np.testing.assert_allclose(shares, 1)
    differences = pd.read_csv(results / "tables/differences.csv")
    pairs = differences[differences["metric"] == "nauc"]
    # Shrunk rows, the best single model and static mixtures in, the oracle out.
    compared = len(small["routers"]) + 4
    assert len(pairs) == compared * (compared - 1) / 2


def test_every_metric_agrees_with_a_sweep_over_the_stored_predictions(results):
    """Recompute the peak score on all test samples from the stored files alone."""
    table = OutcomeTable.read(results / "outcomes")
    train = pd.read_parquet(results / "splits.parquet")["0"].to_numpy()
    predictions = pd.read_parquet(results / "routers/knn/0/predictions.parquet")
    assert predictions["sample_id"].tolist() == table.samples["sample_id"][~train].tolist()
    u_hat, c_hat = (np.stack(predictions[name]) for name in ("u_hat", "c_hat"))
    rows = np.arange(len(u_hat))
    peak = max(
        table.utility[~train][rows, (1 - u_hat + trade_off * c_hat).argmin(axis=1)].mean()
        for trade_off in [0, *np.geomspace(1e-4, 1e4, 20_000)]
    )
    stored = pd.read_csv(results / "tables/table2.csv").query(
        "dataset == 'full' and router == 'knn' and metric == 'peak_score'"
    )["value"]
    assert peak <= stored.item() + 1e-12
    assert stored.item() - peak < 2 / len(u_hat)


def test_train_and_test_are_disjoint_and_complete(results):
    splits = pd.read_parquet(results / "splits.parquet")
    predicted = pd.read_parquet(results / "routers/knn/0/predictions.parquet")["sample_id"]
    assert not set(predicted) & set(splits["sample_id"][splits["0"]])
    assert set(predicted) == set(splits["sample_id"][~splits["0"]])


class Links(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.links = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.links += [value for name, value in attributes if name in ("src", "href")]


def test_the_report_is_one_file_that_says_it_is_simulated(results):
    html = (results / "report.html").read_text()
    assert all(link.startswith(("data:", "#")) for link in Links(html).links)
    assert "Simulated data." in html


def test_a_run_has_an_evidence_page(results):
    page = evidence(results, None)
    assert "Simulated data." in page
    assert "test queries of small: gain" in page
    assert "It was named in the config, before any result was seen." in page


@pytest.mark.parametrize("notebook", ["overview", "frontier"])
def test_notebooks_are_executed_with_paths_as_their_only_parameters(results, notebook):
    content = json.loads((results / f"notebooks/{notebook}.ipynb").read_text())
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in code)
    assert content["metadata"]["papermill"]["parameters"].keys() == {"results"}
    html = (results / f"notebooks/{notebook}.html").read_text()
    assert "<h1" in html
    assert "<table" in html
    fetched = [
        link
        for link in Links(html).links
        if link and link.startswith(("http:", "https:", "//")) and link.endswith((".js", ".css"))
    ]
    assert fetched == []


def test_another_workflow_can_use_this_one_as_a_module(finished, small, tmp_path):
    (tmp_path / "Snakefile").write_text(
        f"module mmroute:\n    snakefile: {str(finished.folder / 'Snakefile')!r}\n"
        f"    config: {small}\n\nuse rule * from mmroute\n"
    )
    result = finished.snakemake(
        "--dry-run", "--snakefile", str(tmp_path / "Snakefile"), "--directory", str(tmp_path)
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert "Fetching the data" in result.stdout + result.stderr


def test_snakemakes_own_report_is_made(finished, small):
    config = finished.write_config(small)
    result = finished.snakemake("--configfile", config, "--report", "snakemake-report.html")
    assert result.returncode == 0, result.stderr[-2000:]
    html = (finished.folder / "snakemake-report.html").read_text()
    assert all(category in html for category in ("Tables", "Figures", "Notebooks", "Data"))


def test_several_salts_sources_and_the_budget_policy_run(make_checkout):
    checkout = make_checkout()
    own_runs = [f"one_{index},mine,1,0.001" for index in range(30)]
    (checkout.folder / "mine.csv").write_text(
        "\n".join(["sample_id,model,utility,cost", *own_runs])
    )
    config = write_pictures(checkout.folder, "one", "two")
    checkout.run(
        config
        | {
            "source": {"join": [config["source"], {"kind": "table", "path": "mine.csv"}]},
            "min_coverage": 0.1,
            "split": {"salts": [0, 1], "train": 0.3},
            "policy": "budget",
            "routers": {"knn": {"fusion": {"weighted": {"weight": 0.7}}}, "cheapest": {}},
        }
    )
    results = checkout.folder / "results/own"
    table = pd.read_csv(results / "tables/table2.csv")
    assert (table["salts"] == 2).all()
    assert "knn+shrink" in set(table["router"])
    knn = table[(table["dataset"] == "full") & (table["router"] == "knn")]
    assert (knn["salt_sd"] > 0).any()
    origins = pd.read_csv(results / "tables/origins.csv")
    mine = origins[origins["source"] == "table mine.csv"]
    assert mine[["dataset", "model", "pairs"]].to_numpy().tolist() == [["one", "mine", 30]]
    assert "Where the outcomes come from" in (results / "report.html").read_text()


def test_an_open_clip_checkpoint_runs_through_the_workflow(make_checkout):
    """A tiny model of a custom config, on images of which one is broken."""
    import open_clip

    checkout = make_checkout()
    shape = {"width": 32, "layers": 1}
    content = {
        "embed_dim": 16,
        "vision_cfg": shape | {"image_size": 32, "head_width": 16, "patch_size": 16},
        "text_cfg": shape | {"context_length": 16, "vocab_size": 49408, "heads": 2},
    }
    (checkout.folder / "tiny.json").write_text(json.dumps(content))
    open_clip.add_model_config(checkout.folder / "tiny.json")
    torch.save(open_clip.create_model("tiny").state_dict(), checkout.folder / "tiny.pt")
    config = write_pictures(checkout.folder, "one")
    (checkout.folder / "7.png").write_bytes(b"broken")
    tiny = {"open_clip": {"model": "tiny.json", "pretrained": "tiny.pt"}}
    config |= {"encoders": {"text": tiny, "image": tiny}, "shrink": False}
    config["routers"] = {"knn": {}, "mlp": {"epochs": 2}}
    checkout.run(config, *(f"results/own/tables/{name}.csv" for name in ("table2", "datasets")))
    results = checkout.folder / "results/own"
    full = pd.read_csv(results / "tables/datasets.csv").iloc[-1]
    assert (full["no_image"], full["undecodable_images"]) == (0, 1)
    (embedded,) = (results / "embeddings/image").rglob("one.0.parquet")
    vectors = np.stack(pd.read_parquet(embedded)["vector"])
    norms = np.linalg.norm(vectors, axis=1)
    np.testing.assert_allclose(np.delete(norms, 7), 1, atol=1e-5)
    assert norms[7] == 0
