"""What `knn` and `kmeans` cost with many training samples, and how much the search finds.

    python tests/bench/neighbours.py

Features are simulated, 512 wide: in 200 clusters, in each of which they vary in 16 directions and a
little in all; or without any clusters, in 64 directions, where lists of similar ones cannot help.
"""

import logging
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import faiss
import numpy as np
import pandas as pd

from mmroute.routers import nearest
from mmroute.routers.kmeans import KMeans
from mmroute.routers.knn import KNN

WIDTH, MODELS, QUERIES, CHECKED = 512, 10, 5_000, 1_000
CLUSTERS, DIRECTIONS, SCATTERED = 200, 16, 64
SIZES = (10_000, 30_000, 100_000, 300_000, 1_000_000)
KINDS = {"in clusters": SIZES, "without": SIZES[:4]}


def draw(kind: str, rows: int) -> np.ndarray:
    """Return (rows, ``WIDTH``) simulated features."""
    generator = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return generator.standard_normal(shape, np.float32)

    directions = normal(CLUSTERS, DIRECTIONS, WIDTH)
    centres, all_ways = normal(CLUSTERS, WIDTH), normal(SCATTERED, WIDTH)
    drawn = np.empty((rows, WIDTH), np.float32)
    for start in range(0, rows, 10_000):
        part = drawn[start : start + 10_000]
        if kind == "without":
            part[:] = normal(len(part), SCATTERED) @ all_ways
            continue
        for row, cluster in zip(part, generator.integers(CLUSTERS, size=len(part)), strict=True):
            near = normal(DIRECTIONS) @ directions[cluster]
            row[:] = centres[cluster] + 0.3 * (near + normal(WIDTH))
    return drawn


def measured(kind: str, samples: int) -> dict[str, object]:
    """Return one row of the table, in seconds of one core and GB of the process."""
    features = draw(kind, samples + QUERIES)
    features, queries = features[:samples], features[samples:].copy()
    generator = np.random.default_rng(1)
    utility, cost = generator.random((2, samples, MODELS))
    spent = [time.process_time()]
    KMeans().fit(features, utility, cost)
    spent.append(time.process_time())
    router = KNN().fit(features, utility, cost)
    del features
    router.predict(queries[:1])
    spent.append(time.process_time())
    router.predict(queries)
    spent.append(time.process_time())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    clustering, fit, predict = np.diff(spent)
    lists = next(iter(nearest._kept.values()), None)
    few = lists and lists.searched
    return {
        "features": kind,
        "training samples": f"{samples:,}",
        "compared": f"{lists.searched} of {lists.n_lists} lists" if few else "all",
        "`knn`: fit and first query, s": f"{fit:.1f}",
        "s per million queries": f"{predict / QUERIES * 1e6:,.0f}",
        "recall": f"{recall(router.features_, queries[:CHECKED]):.4f}",
        "`kmeans`: fit, s": f"{clustering:.1f}",
        "GB": f"{peak:.1f}",
    }


def recall(features: np.ndarray, queries: np.ndarray) -> float:
    """Return the share of the 50 nearest of all samples that is found."""
    found = np.concatenate([indices for _, indices in nearest.nearest(features, queries, 50)])
    directions = (rows / np.linalg.norm(rows, axis=1)[:, None] for rows in (queries, features))
    _, expected = faiss.knn(*directions, 50, metric=faiss.METRIC_INNER_PRODUCT)
    return float(np.mean([np.isin(*pair).mean() for pair in zip(expected, found, strict=True)]))


def main() -> None:
    """Measure each in a process of its own, and print the table."""
    logging.disable()
    rows = []
    for kind, sizes in KINDS.items():
        for samples in sizes:
            with ProcessPoolExecutor(1, get_context("spawn")) as fresh:
                rows.append(fresh.submit(measured, kind, samples).result())
                print(rows[-1], flush=True)
    print(pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True))


if __name__ == "__main__":
    main()
