"""What a run costs per query, stage by stage, and how scattered stages scale.

    python tests/bench/scale.py

runs the workflow itself on simulated logs of two sizes and prints what docs/scale.md plans
with: seconds, memory and disk per query of each stage, and what 100 M queries would cost.
Then it scatters embedding and evaluation over 1, 2, 4 and 8 shards and draws docs/shards.png.
"""

import argparse
import math
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import yaml
from cases import draw_table
from matplotlib import pyplot as plt
from PIL import Image

from mmroute.config import ShardSize
from mmroute.evaluation.exact import evaluate
from mmroute.evaluation.gathered import gather, gather_points
from mmroute.evaluation.setting import Setting
from mmroute.evaluation.shards import (
    Grid,
    Sharded,
    lay_out,
    sum_points,
    sum_shard,
    write_points,
    write_sums,
)
from mmroute.outcome_table import PRICE_COLUMNS, OutcomeTable
from mmroute.predictions import Predictions
from mmroute.storage import atomic, write_frame, write_json

ROOT = Path(__file__).parents[2]
NAME = "scale"
MODELS = 20
SHARDS = (1, 2, 4, 8)
PLANNED = 100_000_000
ROUTERS = ("cheapest", "kmeans", "knn", "linear_mf", "mlp", "ensemble")
SQUARE = {"train knn"}
"""Stages whose work grows with the square of the number of queries."""
COMPARED = "mean"
"""Features that need both modalities."""
EMBED, EVALUATE = 1_500_000, 4_000_000
"""Queries a job takes in the plan, of the stages that are scattered."""
SHARD_SIZES = {
    "embed text": EMBED,
    "embed image": EMBED,
    "side_features": EMBED,
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
            "evaluate": "evaluation/routers",
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
            "dataset": "log",
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
        "decision": {"router": "knn"},
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
        # A job that is over before its memory is looked at has some MB or none.
        peak = job["max_rss"] if job["max_rss"] > 50 else math.nan
        rows.append({"stage": stage, "seconds": job["s"], "peak_mb": peak})
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
    few, many = (
        pd.Series({stage: _shards(stage, run.queries) for stage in stages})
        for run in (small, large)
    )
    seconds = (second["seconds"] - first["seconds"]).clip(lower=0)
    seconds /= large.queries**power - small.queries**power
    mb = (second["peak_mb"] - first["peak_mb"]).clip(lower=0)
    mb /= large.queries / many - small.queries / few
    fixed = (first["seconds"] - seconds * small.queries**power).clip(lower=0)
    return pd.DataFrame(
        {
            "jobs": second["jobs"] / many,
            "power": power,
            "seconds": seconds,
            "fixed": fixed / second["jobs"],
            "mb": mb,
            "base_mb": (first["peak_mb"] - mb * small.queries / few).clip(lower=0),
            "bytes": pd.Series(large.disk()).reindex(stages) / large.queries,
        }
    )


def _shards(stage: str, queries: int) -> int:
    if stage not in SHARD_SIZES:
        return 1
    size = math.ceil(queries / 2) if stage.endswith("_shard") else ShardSize().embed
    return math.ceil(queries / size)


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


def embedded(folder: Path, queries: int) -> pd.DataFrame:
    """Return seconds of the longest job and of all jobs that embed one log in 1, 2, 4, 8 shards."""
    rows = []
    targets = [f"results/{NAME}/features/{COMPARED}/0.parquet"]
    for shards in SHARDS:
        shutil.rmtree(folder / "results", ignore_errors=True)
        size = math.ceil(queries / shards)
        stages = run(folder, queries, targets, shard_size={"embed": size}).stages()
        for stage in ("embed text", "embed image"):
            longest, whole = stages.loc[stage, ["longest", "seconds"]]
            rows.append({"what": stage, "shards": shards, "longest": longest, "in all": whole})
    return pd.DataFrame(rows)


def evaluated(folder: Path, queries: int) -> pd.DataFrame:
    """Return the same of evaluating one router, in seconds of CPU time.

    One shard is the exact evaluation. With more, ``longest`` is the chain of layout, grid,
    a shard, the operating points, a shard again, and the gathering.
    """
    given = _draw_benchmark(folder, queries)
    how = {"policy": "lambda", "n_resamples": 1000, "seed": 0}
    predictions, crossfit = folder / "predictions.parquet", folder / "crossfit.parquet"

    def exact() -> None:
        setting = Setting.read(*given, **how)
        evaluate(setting, Predictions.read(predictions), Predictions.read(crossfit))

    alone, _ = _timed(exact)
    rows = [{"what": "evaluate", "shards": 1, "longest": alone, "in all": alone}]
    for shards in SHARDS[1:]:
        layout = folder / "layout.json"
        spent = {}
        spent["layout"], laid_out = _timed(partial(lay_out, *given, math.ceil(queries / shards)))
        write_json(layout, laid_out)
        spent["grid"], grid = _timed(partial(Grid.propose, predictions, crossfit, "lambda"))
        whole = Sharded.read(layout, *given, **how)
        first = [folder / f"{shards}/curves/{number}" for number in range(shards)]
        second = [folder / f"{shards}/points/{number}" for number in range(shards)]
        each = []
        for number, place in enumerate(first):
            seconds, sums = _timed(partial(sum_shard, whole, number, predictions, crossfit, grid))
            write_sums(place, *sums)
            each.append(seconds)
        spent["points"], points = _timed(partial(gather_points, whole, first, predictions))
        again = []
        for number, place in enumerate(second):
            seconds, sums = _timed(partial(sum_points, whole, number, predictions, points))
            write_points(place, sums)
            again.append(seconds)
        spent["gather"], _ = _timed(partial(gather, whole, first, points, second))
        chain = sum(spent.values())
        longest = chain + max(each) + max(again)
        in_all = chain + sum(each) + sum(again)
        rows.append({"what": "evaluate", "shards": shards, "longest": longest, "in all": in_all})
    return pd.DataFrame(rows)


def _timed(act: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    made = act()
    return time.process_time() - start, made


def _draw_benchmark(folder: Path, queries: int) -> tuple[Path, Path, str]:
    u_hat, c_hat, utility, cost = draw_table(queries, MODELS, 0)
    ids = [f"q{number}" for number in range(queries)]
    samples = pd.DataFrame(
        {"sample_id": ids, "dataset": "log", "scenario": "log", "question": "What is shown?"}
        | dict.fromkeys(["answer", "image", "image_digest"])
    )
    models = pd.DataFrame({"model": [f"model{number}" for number in range(MODELS)]})
    unknown = np.full((queries, MODELS), np.nan)
    nothing = np.full((queries, MODELS), None, object)
    OutcomeTable(
        samples,
        models.assign(**dict.fromkeys(PRICE_COLUMNS, np.nan)),
        *(utility, cost, unknown, unknown, nothing),
    ).write(folder / "outcomes")
    write_json(folder / "outcomes/pool.json", {"unit_usd": 1.0, "left_out": []})
    train = np.random.default_rng(0).random(queries) < 0.2
    write_frame(folder / "splits.parquet", pd.DataFrame({"sample_id": ids, "0": train}))
    for name, rows in (("predictions", ~train), ("crossfit", train)):
        Predictions(samples["sample_id"][rows], u_hat[rows][None], c_hat[rows][None]).write(
            folder / f"{name}.parquet"
        )
    return folder / "outcomes", folder / "splits.parquet", "0"


def draw_shards(scaled: pd.DataFrame, path: Path) -> None:
    """Draw how the time of the longest job, or chain of jobs, falls with the number of shards."""
    mpl.use("Agg")
    figure, axes = plt.subplots(figsize=(6.4, 4.6), layout="constrained")
    for what, own in scaled.groupby("what", sort=False):
        (line,) = axes.plot(own["shards"], own["longest"], "o-", label=what)
        even = own["longest"].iloc[0] / own["shards"]
        axes.plot(own["shards"], even, ":", color=line.get_color(), alpha=0.6)
    axes.set(
        title="Each shard on a core of its own (dotted: an even share of one shard's time)",
        xlabel="shards (evaluate: one is exact, more are at 512 thresholds)",
        ylabel="longest job or chain of jobs (seconds)",
        xscale="log",
        yscale="log",
    )
    axes.title.set_size("medium")
    axes.set_xticks(SHARDS, map(str, SHARDS))
    axes.set_yticks([1, 3, 10, 30, 100, 300], ["1", "3", "10", "30", "100", "300"])
    axes.minorticks_off()
    axes.grid(visible=True, alpha=0.4)
    figure.legend(loc="outside lower center", ncols=3)
    with atomic(path) as unfinished:
        figure.savefig(unfinished, format="png", dpi=150)
    plt.close(figure)


def main() -> None:
    """Measure, print and draw."""
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
            print(runs[-1].stages().round(1).to_markdown(), "\n", flush=True)
        costs = unit_costs(*runs)
        print(costs.to_markdown(), "\n", flush=True)
        print(plan(costs).round(1).to_markdown(), "\n", flush=True)
        scaled = pd.concat(
            [
                embedded(Path(name, str(asked.queries // 4)), asked.queries // 4),
                evaluated(Path(name, "drawn"), 10 * asked.queries),
            ]
        )
        print(scaled.round(1).to_markdown(index=False))
        draw_shards(scaled, ROOT / "docs/shards.png")


if __name__ == "__main__":
    main()
