"""The data sets of a benchmark: one outcome table each, and an index of what they hold."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mmroute.outcome_table import OutcomeTable, rows_by_label
from mmroute.storage import (
    digest_bytes,
    digest_file,
    folder_name,
    read_json,
    read_table,
    write_json,
)

INPUTS = "inputs.json"
"""Beside the data sets' folders: the digest of each of the user's files they were read from."""


def write_datasets(table: OutcomeTable, folder: Path, shard_size: int) -> None:
    """Write one outcome table per data set, and ``index.json`` with what they hold.

    The index lists the data sets in order of first appearance: folder, name, number
    of samples, and digests of what places the samples in a split, of the texts, of the
    images and of everything, so that what depends on one of them need not run again when another
    changes. ``shards`` has the digests of texts and images of every ``shard_size``
    consecutive samples.
    """
    index = []
    for dataset, rows in rows_by_label(table.samples["dataset"]).items():
        own = table.take(rows)
        own = own.take(columns=np.flatnonzero(np.isfinite(own.utility).any(axis=0)))
        name = folder_name(dataset)
        own.write(folder / name)
        digests = [digest_file(path) for path in sorted((folder / name).iterdir())]
        index.append(
            {
                "folder": name,
                "name": dataset,
                "samples": len(rows),
                "split": _digest_columns(own.samples, ["sample_id", "scenario", "group"]),
                **_content(own.samples),
                "all": digest_bytes("".join(digests).encode()),
                "shards": [
                    _content(own.samples[begin : begin + shard_size])
                    for begin in range(0, len(rows), shard_size)
                ],
            }
        )
    write_json(folder / "index.json", {"datasets": index, "models": table.model_names})


def _content(samples: pd.DataFrame) -> dict[str, str]:
    return {
        "text": _digest_columns(samples, ["sample_id", "question"]),
        "image": _digest_columns(samples, ["sample_id", "image", "image_digest"]),
    }


def _digest_columns(samples: pd.DataFrame, columns: list[str]) -> str:
    return digest_bytes(samples[columns].to_json(orient="values").encode())


def read_samples(folder: Path) -> pd.DataFrame:
    """Read the samples that ``write_datasets`` has written, data set after data set."""
    tables = [
        read_table(folder / dataset["folder"] / "samples.parquet").to_pandas()
        for dataset in read_json(folder / "index.json")["datasets"]
    ]
    return pd.concat(tables, ignore_index=True)


def join(tables: Sequence[OutcomeTable]) -> OutcomeTable:
    """Stack the tables of several data sets over the union of their models.

    A model that a table does not have is missing on its samples.
    """
    models = (
        pd.concat([table.models for table in tables])
        .drop_duplicates("model")
        .reset_index(drop=True)
    )
    position = {name: index for index, name in enumerate(models["model"])}
    matrices = {}
    for name in dict.fromkeys(name for table in tables for name in table.matrices):
        missing, kind = (None, object) if name == "prediction" else (np.nan, float)
        blocks = []
        for table in tables:
            block = np.full((len(table.samples), len(models)), missing, kind)
            if name in table.matrices:
                columns = [position[model] for model in table.model_names]
                block[:, columns] = table.matrices[name]
            blocks.append(block)
        matrices[name] = np.concatenate(blocks)
    samples = pd.concat([table.samples for table in tables], ignore_index=True)
    return OutcomeTable(samples, models, **matrices)
