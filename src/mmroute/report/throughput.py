"""How fast routers decide: VL-RouterBench's third measure, which depends on the machine."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from mmroute.presentation.tables import REFERENCES
from mmroute.storage import read_json

COLUMNS = {
    "decisions_per_second": "decisions per second",
    "decisions_per_second_with_features": "with feature extraction",
    "prompt_tokens_per_second": "prompt tokens per second",
    "prompt_tokens_per_second_with_features": "with feature extraction (tokens)",
}


class Timing(NamedTuple):
    """Wall-clock seconds that a job took for some samples."""

    seconds: float
    samples: int

    @classmethod
    def read(cls, paths: Iterable[Path]) -> "Timing":
        """Add up what jobs have written down."""
        jobs = [read_json(path) for path in paths]
        return cls(sum(job["seconds"] for job in jobs), sum(job["samples"] for job in jobs))


def throughput(
    predicting: Timing, seconds_embedding: float, prompt_tokens: float
) -> dict[str, float]:
    """How fast a router decides.

    Parameters
    ----------
    predicting
        What a router took to predict samples; above zero.
    seconds_embedding
        What it took to embed what the router reads of one sample.
    prompt_tokens
        Of one sample, on average; NaN if unknown.

    Returns
    -------
    ``COLUMNS``: what of a second's work is done, without and with feature extraction.
    """
    alone = predicting.samples / predicting.seconds
    embedded = predicting.samples / (predicting.seconds + predicting.samples * seconds_embedding)
    rates = alone, embedded, alone * prompt_tokens, embedded * prompt_tokens
    return dict(zip(COLUMNS, rates, strict=True))


def measure(
    predicting: Mapping[str, Sequence[Path]],
    encoding: Mapping[str, Sequence[Path]],
    reads: Mapping[str, Collection[str]],
    n_samples: int,
    prompt_tokens: float,
) -> pd.DataFrame:
    """Throughput of routers, from what their jobs wrote down.

    Parameters
    ----------
    predicting
        By router: the timings of its predictions, one a salt.
    encoding
        By modality: the timings of its embeddings, one a shard.
    reads
        By router: the modalities whose embeddings it reads. One that reads questions and
        images itself extracts features as it predicts.
    n_samples
        Samples of the benchmark, whether they have each modality or not.
    prompt_tokens
        Of one sample, on average; NaN if unknown.

    Returns
    -------
    ``router`` and ``COLUMNS``; references are left out.
    """
    embedding = {
        modality: Timing.read(paths).seconds / n_samples for modality, paths in encoding.items()
    }
    return pd.DataFrame(
        {
            "router": router,
            **throughput(
                Timing.read(paths),
                sum(embedding[modality] for modality in reads[router]),
                prompt_tokens,
            ),
        }
        for router, paths in predicting.items()
        if router not in REFERENCES
    )


def present(table: pd.DataFrame) -> pd.DataFrame:
    """The table as text."""
    shown = {
        title: table[name].map(lambda rate: "–" if pd.isna(rate) else f"{rate:,.0f}")
        for name, title in COLUMNS.items()
    }
    return pd.DataFrame({"router": table["router"], **shown})
