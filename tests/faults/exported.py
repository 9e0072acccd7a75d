"""Small routers of many kinds, trained and exported by the package's own functions."""

from collections.abc import Mapping
from contextlib import chdir
from pathlib import Path

import inputs
import numpy as np
import pyarrow as pa

from mmroute import persistence
from mmroute.catalogue import build
from mmroute.config import Config, RouterConfig, load
from mmroute.decision.export import Choice, export
from mmroute.evaluation.shrinkage import choose, shrink_crossfit
from mmroute.features.embeddings import Embeddings, embed
from mmroute.features.fusion import Features
from mmroute.features.side_features import side_features
from mmroute.outcomes.benchmark import Benchmark
from mmroute.outcomes.datasets import read_samples, write_datasets
from mmroute.outcomes.ingestion import fetch, ingest
from mmroute.outcomes.pool import assemble
from mmroute.outcomes.splits import freeze
from mmroute.predictions import Predictions
from mmroute.storage import SHRUNK, write_json, write_table, write_vectors
from mmroute.training import cross_fit, predict_test, train, with_paths

NOWHERE = "http://127.0.0.1:9/v1"
"""An endpoint that answers nobody."""
ROUTERS = {
    "knn": {"n_neighbors": 3},
    "kmeans": {"n_clusters": 3, "fusion": "concat"},
    "ensemble": {"n_trees": 10, "min_samples_leaf": 1},
    "linear": {},
    "cmr": {"width": 8, "layers": 1, "heads": 1, "epochs": 1},
    "mlp": {"epochs": 1},
    "vlc": {"width": 8, "layers": 1, "heads": 1, "epochs": 1},
    "llm": {"endpoint": NOWHERE, "model": "chat", "retries": 0},
}
SHRUNK_ROW, SINGLE_MODEL = f"knn{SHRUNK}", inputs.MODELS[1]
ROWS = (*ROUTERS, SHRUNK_ROW, SINGLE_MODEL)
THRESHOLD = 0.05
SALT = "0"


def make(folder: Path) -> Mapping[str, Path]:
    """Train and export each of ``ROWS`` below a folder; return where, by row."""
    folder.mkdir(parents=True, exist_ok=True)
    with chdir(folder):
        inputs.draw_images(Path("images"))
        Path("table.csv").write_bytes(inputs.long_table().text())
        config = load(_content(), "the test's config")
        results = Path("results") / config.name
        _Run(config, results).train()
        for row in ROWS:
            threshold = float("nan") if row == SINGLE_MODEL else THRESHOLD
            export(config, results, Choice(row, threshold, "for a test"), Path("exports", row))
    return {row: folder / "exports" / row for row in ROWS}


def _content() -> dict:
    return {
        "name": "away",
        "source": {"kind": "table", "path": "table.csv"},
        "split": {"train": 0.5},
        "routers": ROUTERS,
        "studied": ["knn"],
        "decision": {"router": "knn", "labels": "train"},
        "resamples": 100,
    }


class _Run:
    """A run of the workflow up to trained routers, in this process."""

    def __init__(self, config: Config, results: Path) -> None:
        self.config, self.results = config, results
        sources = {
            label: build("sources", part.name, part.parameters)
            for label, part in config.source.labelled.items()
        }
        self.root = fetch(list(sources.values()), results / "source")
        write_json(results / "source.json", {"root": str(self.root)})
        write_datasets(ingest(sources, self.root).table, results / "data", 10_000)
        assemble(results / "data", None, None, config.min_coverage, results / "outcomes")
        samples = read_samples(results / "data")
        splits = freeze(samples, config.split.train, config.split.salts)
        write_table(results / "splits.parquet", pa.Table.from_pandas(splits, preserve_index=False))
        self.benchmark = Benchmark.read(results / "outcomes", results / "splits.parquet", SALT)
        self.in_train = splits[SALT].to_numpy()
        encoder = build("encoders", "builtin", {})
        self.text, self.image = (
            embed(encoder, modality, samples, self.root, 1) for modality in ("text", "image")
        )
        self.side = side_features(samples, self.root)
        for dataset, rows in samples.groupby("dataset").indices.items():
            ids = samples["sample_id"].iloc[rows]
            folder, name = results / "embeddings", f"{dataset}.0.parquet"
            self.text.take(rows).write(folder / "text" / encoder.key / name, ids)
            self.image.take(rows).write(folder / "image" / encoder.key / name, ids)
            write_vectors(folder / "side" / name, ids, self.side[rows])

    def train(self) -> None:
        """Train and store all routers, and shrink the first one."""
        for row, named in self.config.routers.items():
            router, inputs_of_all = build("routers", named.name, named.parameters), None
            if named.fusion is not None:
                inputs_of_all = self._features(named)
            elif named.reads_samples:
                samples = self.benchmark.table.samples.assign(image=None)
                inputs_of_all = with_paths(samples, self.root)
            folder = self.results / "routers" / row / SALT
            crossfit = cross_fit(router, self.benchmark, inputs_of_all)
            crossfit.write(folder / "crossfit.parquet")
            train(router, self.benchmark, inputs_of_all)
            predictions = predict_test(router, self.benchmark, inputs_of_all)
            predictions.write(folder / "predictions.parquet")
            persistence.write(folder / "router.safetensors", router)
            if row + SHRUNK == SHRUNK_ROW:
                self._shrink(crossfit, predictions)

    def _features(self, named: RouterConfig) -> np.ndarray:
        fused: tuple[Embeddings, Embeddings, np.ndarray] = (self.text, self.image, self.side)
        mask = self.in_train
        training = (self.text.take(mask), self.image.take(mask), self.side[mask])
        features = Features.fit(
            build("features", named.fusion.name, named.fusion.parameters), *training
        )
        path = self.results / "features" / named.fusion.key / f"{SALT}.safetensors"
        persistence.write(path, features)
        return features.of_splits(*fused, mask)

    def _shrink(self, crossfit: Predictions, predictions: Predictions) -> None:
        own = self.benchmark.train
        known = (own.utility, own.cost / self.benchmark.unit, self.config.policy)
        folder = self.results / "routers" / SHRUNK_ROW / SALT
        shrunk = shrink_crossfit(crossfit, own.samples["group"], *known)
        shrunk.write(folder / "crossfit.parquet")
        choose(crossfit, *known).apply(predictions).write(folder / "predictions.parquet")
