"""What a run costs per query, stage by stage, and how scattered stages scale.

    python tests/bench/scale.py

runs the workflow itself on simulated logs of two sizes and prints what docs/scale.md plans
with: seconds, memory and disk per query of each stage, and what 100 M queries would cost.
Then it scatters embedding and evaluation over 1, 2, 4 and 8 shards. Takes about 20 minutes.
"""

import argparse
import math
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from PIL import Image

ROOT = Path(__file__).parents[2]
NAME = "scale"
MODELS = 20
SHARDS = (1, 2, 4, 8)
PLANNED = 100_000_000
ROUTERS = ("cheapest", "kmeans", "knn", "linear_mf", "mlp", "ensemble")
SQUARE = {"train knn"}
"""Stages whose work grows with the square of the number of queries."""
EMBED, EVALUATE = 1_500_000, 4_000_000
"""Queries a job takes in the plan, of the stages that are scattered."""
SHARD_SIZES = {
    "embed text": EMBED,
    "embed image": EMBED,
    "evaluate_shard": EVALUATE,
    "evaluate_point_shard": EVALUATE,
}


@dataclass(frozen=True)
class Run:
    """A finished run of the workflow on a simulated log.

    Attributes
    ----------
    queries
        How many the log has.
    jobs
        A row per job: ``stage``, ``seconds``, ``peak_mb``.
    results
        Folder of the results.
    """

    queries: int
    jobs: pd.DataFrame
    results: Path

    def stages(self) -> pd.DataFrame:
        """Return seconds in all and of a job, and the peak, by stage."""
        by_stage = self.jobs.groupby("stage")
        return by_stage.agg(
            jobs=("seconds", "size"),
            seconds=("seconds", "sum"),
            longest=("seconds", "max"),
            peak_mb=("peak_mb", "max"),
        )

    def disk(self) -> dict[str, int]:
        """Return bytes by stage, of what the stages store."""
        folders = {
            "ingest": "data",
            "outcomes": "outcomes",
            "embed text": "embeddings/text",
            "embed image": "embeddings/image",
            "features": "features",
            "evaluate": "evaluation",
        }
        found = {stage: _size(self.results / folder) for stage, folder in folders.items()}
        routers = self.results / "routers"
        return found | {f"train {row}": _size(routers / row) for row in ROUTERS}


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def draw_log(folder: Path, queries: int) -> None:
    """Write a simulated log of ``queries`` x ``MODELS`` outcomes, with questions and images."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    words = np.array([f"word{number}" for number in range(5000)])
    pictures = 500
    for number in range(pictures):
        cells = generator.integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(cells).resize((256, 256)).save(folder / f"{number}.png")
    ids = [f"q{number}" for number in range(queries)]
    pd.DataFrame(
        {
            "sample_id": ids,
            "dataset": np.where(np.arange(queries) < queries // 2, "first", "second"),
            "question": [" ".join(row) for row in generator.choice(words, (queries, 20))],
            "image": [f"{number % pictures}.png" for number in range(queries)],
        }
    ).to_parquet(folder / "samples.parquet")
    skill = np.linspace(0.3, 0.9, MODELS)
    difficulty = generator.normal(size=(queries, 1))
    chance = 1 / (1 + np.exp(difficulty - 4 * (skill - 0.5)))
    price = np.geomspace(1e-4, 1e-2, MODELS)
    pd.DataFrame(
        {
            "sample_id": np.repeat(ids, MODELS),
            "model": np.tile([f"model{number}" for number in range(MODELS)], queries),
            "utility": (generator.random(chance.shape) < chance).astype(float).ravel(),
            "cost": (price * generator.lognormal(0, 0.5, chance.shape)).ravel(),
        }
    ).to_parquet(folder / "log.parquet")


def run(folder: Path, queries: int, targets: Iterable[str], **settings: object) -> Run:
    """Run the workflow in a folder that has a log, one job at a time."""
    config = {
        "name": NAME,
        "source": {"kind": "table", "path": "log.parquet", "samples": "samples.parquet"},
        "routers": {row: {} for row in ROUTERS},
        "studied": ["knn"],
        "shrink": False,
        **settings,
    }
    (folder / "my.yaml").write_text(yaml.safe_dump(config))
    arguments = ["--snakefile", ROOT / "Snakefile", "--cores", "1", "--notemp"]
    arguments += ["--configfile", "my.yaml"]
    subprocess.run(
        [sys.executable, "-m", "snakemake", *targets, *arguments],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    results = folder / "results" / NAME
    return Run(queries, _measured(results / "benchmarks"), results)


def _measured(benchmarks: Path) -> pd.DataFrame:
    rows = []
    for path in sorted(benchmarks.rglob("*.tsv")):
        parts = path.relative_to(benchmarks).with_suffix("").parts
        stage = parts[0]
        if stage in ("embed", "train"):
            stage = f"{stage} {parts[1]}"
        job = pd.read_csv(path, sep="\t", na_values="-").iloc[0]
        rows.append({"stage": stage, "seconds": job["s"], "peak_mb": job["max_rss"]})
    return pd.DataFrame(rows)


def unit_costs(small: Run, large: Run) -> pd.DataFrame:
    """Return what each stage costs: a part for each job, and a part for each query.

    Columns ``jobs`` (per shard or in all), ``fixed`` (seconds a job), ``seconds`` (per query,
    or per query squared), ``base_mb`` and ``mb`` (memory of a job, and per query of its
    shard), ``bytes`` (disk per query). In both runs evaluation was scattered over two shards.
    """
    first, second = small.stages(), large.stages()
    stages = second.index
    power = pd.Series({stage: 2 if stage in SQUARE else 1 for stage in stages})
    shards = pd.Series({stage: 2 if stage.endswith("_shard") else 1 for stage in stages})
    seconds = (second["seconds"] - first["seconds"]).clip(lower=0)
    seconds /= large.queries**power - small.queries**power
    mb = (second["peak_mb"] - first["peak_mb"]).clip(lower=0)
    mb /= (large.queries - small.queries) / shards
    fixed = (first["seconds"] - seconds * small.queries**power).clip(lower=0)
    return pd.DataFrame(
        {
            "jobs": second["jobs"] / shards,
            "power": power,
            "seconds": seconds,
            "fixed": fixed / second["jobs"],
            "mb": mb,
            "base_mb": (first["peak_mb"] - mb * small.queries / shards).clip(lower=0),
            "bytes": pd.Series(large.disk()).reindex(stages) / large.queries,
        }
    )


def plan(costs: pd.DataFrame) -> pd.DataFrame:
    """Return what ``PLANNED`` queries would cost, stage by stage, from ``unit_costs``."""
    size = pd.Series({stage: SHARD_SIZES.get(stage, PLANNED) for stage in costs.index})
    shards = np.ceil(PLANNED / size)
    work = costs["seconds"] * float(PLANNED) ** costs["power"]
    jobs = costs["jobs"] * shards
    return pd.DataFrame(
        {
            "jobs": jobs.round().astype(int),
            "core-hours": (work + costs["fixed"] * jobs) / 3600,
            "GB of a job": (costs["base_mb"] + costs["mb"] * size) / 1000,
            "GB on disk": costs["bytes"] * PLANNED / 1e9,
            "million queries in 128 GB": (128e3 - costs["base_mb"]) / costs["mb"] / 1e6,
        }
    )


def scattered(folder: Path, queries: int) -> pd.DataFrame:
    """Return seconds of embedding and evaluating one log in 1, 2, 4 and 8 shards."""
    rows = []
    for shards in SHARDS:
        shutil.rmtree(folder / "results", ignore_errors=True)
        size = math.ceil(queries / shards)
        target = f"results/{NAME}/evaluation/routers/linear_mf/0/replicates.parquet"
        found = run(folder, queries, [target], shard_size={"embed": size, "evaluate": size})
        stages = found.stages()
        for stage in stages.index[stages.index.str.match("embed|evaluate")]:
            rows.append({"shards": shards, "stage": stage, **stages.loc[stage]})
    return pd.DataFrame(rows)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=20_000, help="of the larger log")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        runs = []
        for queries in (asked.queries // 4, asked.queries):
            folder = Path(name, str(queries))
            draw_log(folder, queries)
            targets = [f"results/{NAME}/tables/table2.csv", f"results/{NAME}/tables/datasets.csv"]
            size = {"evaluate": math.ceil(queries / 2)}
            runs.append(run(folder, queries, targets, shard_size=size))
            print(runs[-1].stages().round(1).to_markdown(), flush=True)
        costs = unit_costs(*runs)
        print(costs.to_markdown(), flush=True)
        print(plan(costs).round(1).to_markdown(), flush=True)
        print(scattered(folder, asked.queries).round(1).to_markdown(index=False))


if __name__ == "__main__":
    main()
