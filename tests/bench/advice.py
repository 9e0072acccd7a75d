"""What the advice is worth beside a rule that anyone applies by hand, on splits of its own.

The rule by hand takes the model that was best alone in training within the limit. `make bench`
prints a row for each table and router: the points of accuracy by which the advice is better, over
budgets and splits; how often a budget was overrun by at most 2 %; and how often an accuracy target
was missed by at most half a point. A fifth of the samples are labels, as `decision.labels: train`
has it. Real tables are measured where they lie beside the checkout.
"""

import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from mmroute.catalogue import build
from mmroute.config import load, parse_router
from mmroute.decision.decide import tried
from mmroute.decision.evidence import Evidence, Run, Trial
from mmroute.decision.rule import Limit, Target
from mmroute.evaluation.setting import Setting
from mmroute.features.embeddings import Embeddings, embed
from mmroute.features.fusion import Features
from mmroute.features.side_features import side_features
from mmroute.outcome_table import OutcomeTable
from mmroute.outcomes.benchmark import Benchmark
from mmroute.outcomes.datasets import write_datasets
from mmroute.outcomes.ingestion import fetch, ingest
from mmroute.outcomes.pool import assemble
from mmroute.outcomes.splits import split
from mmroute.sources.demo import Demo
from mmroute.storage import read_json
from mmroute.training import cross_fit, train_and_predict

ROOT = Path(__file__).parents[2]
CONFIGS = {
    "GSM8K (4 models)": ROOT / "tests/configs/gsm8k.yaml",
    "demo": ROOT / "config/config.yaml",
    "MathVision (15 models)": ROOT / "tests/configs/mathvision.yaml",
}
ROWS = ("ensemble", "knn", "linear", "kmeans", "linear_mf")
MUST_REACH = {"GSM8K (4 models)": 3.5, "demo": 5.5, "MathVision (15 models)": -0.1}
"""Points of accuracy that ``ensemble`` is to be better than the rule by hand."""
SALTS = range(100, 112)
TRAIN = 0.2
BUDGETS = [Limit(share, paired=True) for share in (0.05, 0.1, 0.25, 0.5, 1.0)]
TARGETS = [Target(share, paired=True) for share in (0.9, 0.95, 1.0)]
OVERRUN, SHORTFALL = 0.02, 0.005


@dataclass(frozen=True)
class Table:
    """A benchmark with what is embedded of it; of a simulated one, its samples and seed."""

    title: str
    simulated: tuple[int, int] | None
    table: OutcomeTable
    unit: float
    text: Embeddings
    image: Embeddings
    side: np.ndarray

    def benchmark(self, salt: int) -> Benchmark:
        """Split it."""
        in_train = split(self.table.samples["group"], TRAIN, salt)
        observed = np.isfinite(self.table.utility).any(axis=1)
        return Benchmark(self.table, self.unit, in_train & observed, ~in_train & observed)


@cache
def embedded(path: Path) -> Table:
    """Read and embed the benchmark of a config."""
    config = load(yaml.safe_load(path.read_text()), str(path))
    sources = {
        label: build("sources", part.name, part.parameters)
        for label, part in config.source.labelled.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        root = fetch(list(sources.values()), Path(folder, "source"))
        write_datasets(ingest(sources, root).table, Path(folder, "data"), 10_000)
        outcomes = Path(folder, "outcomes")
        prices = Path(config.source.prices) if config.source.prices else None
        assemble(Path(folder, "data"), prices, None, config.min_coverage, outcomes)
        table = OutcomeTable.read(outcomes)
        encoder = build("encoders", "builtin", {})
        text, image = (embed(encoder, what, table.samples, root, 1) for what in ("text", "image"))
        side = side_features(table.samples, root)
        drawn = [source for source in sources.values() if isinstance(source, Demo)]
        simulated = (int(drawn[0].samples), drawn[0].seed) if drawn else None
        unit = read_json(outcomes / "pool.json")["unit_usd"]
        return Table(config.name, simulated, table, unit, text, image, side)


def of_split(
    own: Table, row: str, in_train: np.ndarray, parameters: Mapping[str, Any] | None = None
) -> tuple[Any, np.ndarray | None]:
    """Return a router and, if it reads any, the (N, d) features that are fitted to a split."""
    named = parse_router(row, parameters)
    router = build("routers", named.name, named.parameters)
    if named.fusion is None:
        return router, None
    given = (own.text, own.image, own.side)
    fusion = build("features", named.fusion.name, named.fusion.parameters)
    fitted = Features.fit(fusion, *(part.take(in_train) for part in given[:2]), own.side[in_train])
    return router, fitted.of_splits(*given, in_train)


def by_hand(trial: Trial, limit: Limit) -> Run:
    """The model that was best alone in training within the limit; else the cheapest."""
    labels = trial.learned.labels
    within = labels.mean_cost <= labels.usd(limit) * (1 + 1e-9)
    best = np.where(within, labels.mean_utility, -np.inf).argmax()
    return trial.always(int(best) if within.any() else labels.cheapest)


def measured(name: str, row: str, salt: int) -> np.ndarray:
    """Of one split: points better than by hand, budgets and accuracy targets that were kept."""
    own = embedded(CONFIGS[name])
    benchmark = own.benchmark(salt)
    router, features = of_split(own, row, benchmark.in_train)
    crossfit = cross_fit(router, benchmark, features)
    predictions = train_and_predict(router, benchmark, features)
    setting = Setting(benchmark, "lambda", 0, 0)
    (trial,) = Evidence.of_splits(setting, predictions, crossfit).trials
    best, runs = trial.best, [advised for advised, *_ in tried(trial, [*BUDGETS, *TARGETS])]
    points, kept, reached = [], [], []
    for limit, run in zip(BUDGETS, runs, strict=False):
        points.append(100 * np.nanmean(run.utility - by_hand(trial, limit).utility))
        spent = np.nanmean(run.cost) / np.nanmean(best.cost)
        # What is cheapest keeps no limit below its cost, and nothing else does.
        cheapest = trial.always(trial.learned.labels.cheapest)
        least = np.nanmean(cheapest.cost) / np.nanmean(best.cost)
        kept.append(spent <= (1 + OVERRUN) * max(limit.amount, least))
    for target, run in zip(TARGETS, runs[len(BUDGETS) :], strict=True):
        wanted = target.amount * np.nanmean(best.utility)
        reached.append(np.nanmean(run.utility) >= wanted - SHORTFALL)
    return np.array([np.mean(points), np.mean(kept), np.mean(reached)])


def rows(salts: range = SALTS) -> Iterator[list[str]]:
    """The table's rows, one for each table that is there and each router."""
    for name, config in CONFIGS.items():
        source = yaml.safe_load(config.read_text())["source"]
        if not Path(source.get("path", ROOT)).exists():
            continue
        embedded(config)
        with ProcessPoolExecutor(mp_context=get_context("fork")) as pool:
            for row in ROWS:
                asked = [[given] * len(salts) for given in (name, row)]
                found = np.array(list(pool.map(measured, *asked, salts)))
                points, kept, reached = found.mean(axis=0)
                error = found[:, 0].std(ddof=1) / np.sqrt(len(found))
                must = f"≥ {MUST_REACH[name]:+.1f}" if row == ROWS[0] else "not below 0"
                least = MUST_REACH[name] if row == ROWS[0] else -2 * error
                enough = points >= least and kept >= 0.98 and reached >= 0.95
                yield [
                    name,
                    f"`{row}`",
                    f"{points:+.2f} ± {error:.2f}",
                    must,
                    f"{kept:.0%}",
                    f"{reached:.0%}",
                    "yes" if enough else "no",
                ]


HEADER = (
    "table",
    "router",
    f"points better than by hand, over {len(SALTS)} splits (± s.e.)",
    "must reach",
    "budgets kept (≥ 98 %)",
    "accuracy targets kept (≥ 95 %)",
    "reached",
)

if __name__ == "__main__":
    for row in chain([HEADER, ["---"] * len(HEADER)], rows()):
        print(f"| {' | '.join(row)} |", flush=True)
