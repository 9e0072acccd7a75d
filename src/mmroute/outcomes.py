"""The outcome table: what each model of the pool did on each sample.

On disk an outcome table is a folder of Parquet files, rows in the same order in
each:

``samples.parquet``
    ``sample_id``, ``dataset``, ``scenario``, ``question``, ``answer``,
    ``image`` (path below the source's root) and ``image_digest``, all strings;
    ``answer``, ``image`` and ``image_digest`` may be null, an empty question
    means that the text is missing. Free tags are string columns ``tag_<name>``.
``models.parquet``
    ``model`` and the prices ``usd_per_1m_prompt_tokens`` and
    ``usd_per_1m_completion_tokens`` (null where unknown).
``utility.parquet``, ``cost.parquet``, ``prompt_tokens.parquet``, ``completion_tokens.parquet``
    one float64 column per model, NaN where missing; utility in [0, 1], cost in USD.
``prediction.parquet``
    one string column per model, null where unknown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from mmroute.errors import InputError
from mmroute.storage import read_table, write_table

SAMPLE_COLUMNS = (
    "sample_id",
    "dataset",
    "scenario",
    "question",
    "answer",
    "image",
    "image_digest",
)
PRICE_COLUMNS = ("usd_per_1m_prompt_tokens", "usd_per_1m_completion_tokens")
MATRICES = ("utility", "cost", "prompt_tokens", "completion_tokens")


@dataclass
class OutcomeTable:
    """N samples, K models and the N x K outcomes between them.

    Attributes
    ----------
    samples
        N rows with the columns of ``SAMPLE_COLUMNS`` and any ``tag_*``.
    models
        K rows: ``model`` and the columns of ``PRICE_COLUMNS``.
    utility
        (N, K) in [0, 1]; NaN where the outcome is missing.
    cost
        (N, K) in USD; NaN where unknown.
    prompt_tokens, completion_tokens
        (N, K) counts; NaN where unknown.
    prediction
        (N, K) predicted answers as strings, None where unknown.
    """

    samples: pd.DataFrame
    models: pd.DataFrame
    utility: np.ndarray
    cost: np.ndarray
    prompt_tokens: np.ndarray
    completion_tokens: np.ndarray
    prediction: np.ndarray = field(repr=False)
