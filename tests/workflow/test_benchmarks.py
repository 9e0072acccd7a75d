"""The configs of published benchmarks, as they are, on miniature releases."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from mmroute.images import counts
from mmroute.sources import vl_release
from mmroute.sources.mmr_release import SCENARIOS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests/bench"))
vl_archive = importlib.import_module("vl_archive")
SAMPLES = 40
QUICK = {
    "encoders": {"text": "builtin", "image": "builtin"},
    "resamples": 100,
    "shrink": False,
}
"""Encoders that are no download, and fewer resamples; all else is the config's own."""


def config_of(benchmark, folder, **more):
    config = yaml.safe_load((ROOT / f"config/benchmarks/{benchmark}.yaml").read_text()) | QUICK
    source = {name: value for name, value in config["source"].items() if name in ("kind", "prices")}
    return config | {"source": source | {"path": str(folder)}} | more


def epochs(config, **of_routers):
    for router, number in of_routers.items():
        config["routers"][router] = config["routers"][router] | {"epochs": number}
    return config


def write_mmr(folder, models):
    """Write a release whose models are right the more often, the dearer they are."""
    generator = np.random.default_rng(0)
    rows = []
    for dataset in SCENARIOS:
        for number in range(SAMPLES):
            row = {"dataset_idx": f"{dataset}_{number}", "question": f"{dataset}: {number}?"}
            for rank, model in enumerate(models):
                right = generator.random() < 0.3 + 0.06 * rank
                cost = 1e-4 * 2**rank * generator.lognormal(sigma=0.2)
                row |= {f"{model}_correct": int(right), f"{model}_cost": cost}
            rows.append(row)
    pd.DataFrame(rows).to_csv(folder / "MMR_Bench.csv", index=False)


def test_mmr_bench_stands_beside_its_own_protocol_only(make_checkout, tmp_path):
    config = epochs(config_of("mmr_bench", tmp_path), mlp=3, mlp_mf=3, cmr=1)
    config["routers"]["cmr"] |= {"width": 16}
    # It is ours, and takes long.
    del config["routers"]["ensemble"]
    config["conventions"] = ["nauc_own_range"]
    config["split"]["train"] = 0.5
    write_mmr(tmp_path, config["pool"])
    checkout = make_checkout()
    checkout.run(config, "mmr_main", "table2")
    results = checkout.folder / "results/mmr-bench/tables"
    table = pd.read_csv(results / "mmr_main.csv")
    assert set(table["dataset"]) == {*SCENARIOS, "full"}
    known = table.dropna(subset="published")
    # Of the paper's 144 values, not what is printed for nAUC of the best single model.
    assert len(known) == 144 - 8
    assert set(known["metric"]) == {"nauc_own_range", "peak_score", "qnc"}
    told = known.set_index(["dataset", "router", "metric"])["published"]
    assert told["OCRBench", "kmeans", "nauc_own_range"] == 0.9126
    assert told["full", "linear_mf", "peak_score"] == 0.7533
    assert known["protocol"].str.startswith("budget policy; trained on the data set alone").all()
    assert known["published_protocol"].str.startswith("budget policy; trained on the data").all()
    assert {"mlp", "cmr", "linear"} <= set(table["router"])
    # Ours are of another policy, metric and training scope, and stand apart.
    ours = pd.read_csv(results / "table2.csv")
    assert not {"published", "protocol"} & {*ours}
    assert "nauc_own_range" in set(ours["metric"])
    assert "nauc_row_range" not in set(ours["metric"])
    assert "own costs" not in (results / "table2.md").read_text()


def test_vl_routerbench_stands_beside_the_published_values_of_its_protocol(make_checkout, tmp_path):
    vl_archive.make_archive(tmp_path, dict.fromkeys(vl_release.SCENARIOS, 12))
    config = config_of("vl_routerbench", tmp_path)
    for router in ("cosinecls", "routerdc", "zooter", "vlc"):
        assert config["routers"][router].pop("mode") == "finetune"
    epochs(config, mlp_vl=1, linear_vl=5, cosinecls=1, routerdc=1, zooter=1, vlc=1)
    del config["routers"]["ensemble"]
    checkout = make_checkout()
    checkout.run(config, "vl_main")
    results = checkout.folder / "results/vl-routerbench"
    splits = pd.read_parquet(results / "splits.parquet")
    assert splits.loc[splits["development 0"], "0"].all()
    shares = [splits["0"].mean(), splits["development 0"].mean()]
    np.testing.assert_allclose(shares, [0.8, 0.1], atol=0.07)
    outcomes = results / "outcomes"
    models = pd.read_parquet(outcomes / "models.parquet").set_index("model")
    prompt, completion, cost = (
        pd.read_parquet(outcomes / f"{name}.parquet")["GPT4o"]
        for name in ("prompt_tokens", "completion_tokens", "cost")
    )
    samples = pd.read_parquet(outcomes / "samples.parquet")
    assert samples["image"].notna().all()
    images = counts(samples["image"])
    assert set(images) == {1, 2}
    np.testing.assert_array_equal(prompt, 256 * images + np.ceil(samples["question"].str.len() / 4))
    np.testing.assert_allclose(cost, (prompt * 2.5 + completion * 10) / 1e6)
    assert len(models) == 17
    table = pd.read_csv(results / "tables/vl_main.csv")
    known = table.dropna(subset="published")
    assert len(known) == 12
    told = known.set_index(["router", "point", "lambda", "metric"])["published"]
    assert told["mlp_vl", "grid", 100, "accuracy"] == 0.7749
    assert known.set_index(["router", "metric"])["published"]["routerdc", "rank_score"] == 74.59
    assert known["protocol"].str.contains("70% for training, 10% for development").all()
    assert known["published_protocol"].str.contains("BGE-M3 and DINOv2").all()
    shortened = known.loc[known["router"] == "mlp_vl", "protocol"]
    assert shortened.str.contains("epochs: 1, fusion: concat").all()
    points = table[(table["router"] == "mlp_vl") & (table["metric"] == "lambda")]
    assert set(points["point"]) == {"training", "test"}
    report = (results / "experiments/vl_main.json").read_text()
    assert "USD per 10,000 queries" in report
