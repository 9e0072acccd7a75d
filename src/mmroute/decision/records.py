"""A run's outcomes as vLLM's semantic router learns from them.

The format is what ``load_jsonl`` of ``src/training/model_selection/ml_model_selection`` reads
there, and ``LoadBenchmarkData`` of ``src/semantic-router/pkg/modelselection``, as of commit
3d48f8c9 (2026-08-22). The latter takes for one query what has the same ``embedding_id``.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmroute.decision.files import Labelled, finished
from mmroute.errors import InputError
from mmroute.outcome_table import LATENCY, OutcomeTable
from mmroute.outcomes.benchmark import Benchmark
from mmroute.storage import atomic


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes
    ----------
    records
        How many lines: one for each query and model whose outcome is known.
    queries
        How many queries they are of.
    textless
        How many queries are left out, as they have no text.
    untimed
        How many calls have no known latency. If any has none, no record has one: who reads them
        takes a missing one for 0 seconds.
    """

    records: int
    queries: int
    textless: int
    untimed: int

    def __str__(self) -> str:
        told = f"{self.records:,} records of {self.queries:,} queries"
        if self.textless:
            told += f"; {self.textless:,} queries without a text are left out"
        if self.untimed:
            told += f"; without response_time, as {self.untimed:,} calls have no latency"
        return told


def write_records(results: Path, salt: str, labels: Labelled, path: Path) -> Written:
    """Write the outcomes of a run as JSONL.

    Parameters
    ----------
    results
        The benchmark's folder; it needs no more than the outcomes and the splits.
    salt
        What drew the split.
    labels
        Of which samples: the training split's, or all.
    path
        Where to; the file appears only when it is whole.

    Raises
    ------
    InputError
        If there is something at ``path``, if the run is not that far, or if no query has a text.
    """
    if path.exists():
        raise InputError(f"{path}: is there already; remove it, or name another file")
    outcomes, splits = finished(results / "outcomes"), finished(results / "splits.parquet")
    benchmark = Benchmark.read(outcomes, splits, salt, matrices=("utility", LATENCY))
    own = benchmark.observed if labels == "all" else benchmark.train
    told = own.samples["question"].str.strip().astype(bool).to_numpy()
    if not told.any():
        raise InputError(
            f"{outcomes / 'samples.parquet'}: no query has a text, and only from texts vLLM's "
            "semantic router learns; add the questions to the config's source and run again"
        )
    table = own.take(told)
    known = np.isfinite(table.utility)
    unknown = np.full(known.shape, np.nan)
    seconds = unknown if table.latency_s is None else table.latency_s
    untimed = int(np.isnan(seconds[known]).sum())
    with atomic(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as stream:
        for record in _records(table, known, None if untimed else seconds):
            stream.write(f"{json.dumps(record, allow_nan=False)}\n")
    return Written(int(known.sum()), int(told.sum()), int((~told).sum()), untimed)


def _records(
    table: OutcomeTable, known: np.ndarray, seconds: np.ndarray | None
) -> Iterator[dict[str, Any]]:
    """One record for each query and model whose outcome is known."""
    queries = table.samples[["question", "dataset", "scenario"]].itertuples(index=False)
    for row, (question, dataset, scenario) in enumerate(queries):
        for column in np.flatnonzero(known[row]):
            time = {} if seconds is None else {"response_time": float(seconds[row, column])}
            yield {
                "embedding_id": row,
                "query": question,
                "category": scenario.lower(),
                "task_name": dataset,
                "model_name": table.model_names[column],
                "performance": float(table.utility[row, column]),
                **time,
            }
