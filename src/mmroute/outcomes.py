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
    one float64 column per model, null where missing; utility in [0, 1], cost in USD.
``prediction.parquet``
    one string column per model, null where unknown.
"""

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from unicodedata import category
from urllib.parse import quote

import numpy as np
import pandas as pd
import pyarrow as pa

from mmroute.confined import reading
from mmroute.errors import InputError, raise_disk_fault
from mmroute.storage import (
    damaged,
    digest_bytes,
    digest_file,
    file_name,
    read_json,
    read_table,
    write_json,
    write_table,
)

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
INPUTS = "inputs.json"
"""Beside the data sets' folders: the digest of each of the user's files they were read from."""
MATRICES = ("utility", "cost", "prompt_tokens", "completion_tokens", "prediction")
_INVISIBLE = {"Cc", "Cf", "Cn", "Co", "Cs"}
RESERVED_DATASETS = ("full", "macro")
"""Names of aggregates, which no data set may take."""


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

    @property
    def model_names(self) -> list[str]:
        """Names of the K models, in column order."""
        return self.models["model"].tolist()

    @property
    def coverage(self) -> np.ndarray:
        """(K,) share of the samples on which each model was observed."""
        return np.isfinite(self.utility).mean(axis=0)

    def take(
        self, rows: np.ndarray | None = None, columns: Sequence[int] | None = None
    ) -> "OutcomeTable":
        """Return the table of some samples (boolean mask or indices) and some models."""
        rows = np.arange(len(self.samples)) if rows is None else rows
        columns = range(len(self.models)) if columns is None else columns
        return OutcomeTable(
            self.samples[rows].reset_index(drop=True)
            if rows.dtype == bool
            else self.samples.iloc[rows].reset_index(drop=True),
            self.models.iloc[list(columns)].reset_index(drop=True),
            *(getattr(self, name)[rows][:, list(columns)] for name in MATRICES),
        )

    def write(self, folder: Path) -> None:
        """Write the table's Parquet files into ``folder``."""
        write_table(folder / "samples.parquet", _sample_table(self.samples))
        write_table(
            folder / "models.parquet", pa.Table.from_pandas(self.models, preserve_index=False)
        )
        for name in MATRICES:
            matrix = getattr(self, name)
            kind = pa.string() if name == "prediction" else pa.float64()
            columns = [pa.array(column, kind, from_pandas=True) for column in matrix.T]
            write_table(folder / f"{name}.parquet", pa.table(columns, names=self.model_names))

    @classmethod
    def read(
        cls, folder: Path, rows: slice = slice(None), matrices: Collection[str] = MATRICES
    ) -> "OutcomeTable":
        """Read a table that ``write`` has written; raise InputError if a file is damaged.

        Parameters
        ----------
        folder
            Where it lies.
        rows
            Consecutive samples to read.
        matrices
            Which of ``MATRICES`` to read; the others are missing everywhere.
        """
        samples = read_table(folder / "samples.parquet", rows).to_pandas()
        models = read_table(folder / "models.parquet").to_pandas()
        outcomes = {}
        for name in MATRICES:
            missing, kind = (None, object) if name == "prediction" else (np.nan, float)
            outcomes[name] = np.full((len(samples), len(models)), missing, kind)
            if name in matrices:
                table = read_table(folder / f"{name}.parquet", rows)
                if table.shape[0] != len(samples) or table.column_names != [*models["model"]]:
                    raise damaged(folder / f"{name}.parquet", "holds other samples or models")
                for index, column in enumerate(table.columns):
                    outcomes[name][:, index] = column.to_numpy()
        return cls(samples, models, **outcomes)


def _sample_table(samples: pd.DataFrame) -> pa.Table:
    schema = pa.schema([(column, pa.string()) for column in samples.columns])
    return pa.Table.from_pandas(samples, schema=schema, preserve_index=False)


def validate(table: OutcomeTable, origin: str) -> None:
    """Raise InputError for outcomes that cannot be measured.

    Parameters
    ----------
    table
        The table as a source has read it.
    origin
        The file it was read from, for the message.
    """
    samples, names = table.samples, table.model_names
    if not names:
        raise InputError(f"{origin}: no model columns; each model needs its outcomes")
    if samples.empty:
        raise InputError(f"{origin}: no samples; the table needs at least one row")
    for kind, own in (("model", names), ("data set", samples["dataset"].unique())):
        # Such a name could steer a terminal, and makes a broken SVG.
        hidden = next((name for name in own if _INVISIBLE & set(map(category, name))), None)
        if hidden is not None:
            raise InputError(
                f"{origin}: the name of {kind} {hidden!r:.80} has an invisible character; rename it"
            )
    repeated = samples["sample_id"][samples["sample_id"].duplicated()]
    if len(repeated):
        raise InputError(
            f"{origin}: sample id {repeated.iloc[0]!r:.80} occurs more than once "
            f"({repeated.nunique()} such ids); make the ids unique"
        )
    _refuse(
        table,
        "utility",
        ~((table.utility >= 0) & (table.utility <= 1)),
        "scale it to [0, 1]",
        origin,
    )
    for name in ("cost", "prompt_tokens", "completion_tokens"):
        matrix = getattr(table, name)
        wrong = ~((matrix >= 0) & np.isfinite(matrix))
        _refuse(table, name, wrong, "give a number that is not negative", origin)
    unobserved = np.isnan(table.utility).all(axis=0)
    if unobserved.any():
        raise InputError(
            f"{origin}: model {names[int(unobserved.argmax())]!r:.80} has no outcome at all; "
            "leave it out or fill its column"
        )


def validate_samples(samples: pd.DataFrame, origin: str) -> None:
    """Raise InputError for a sample without input, or a data set with an aggregate's name.

    Apart from ``validate``, as another source may tell what the first one does not.
    """
    reserved = samples["dataset"].isin(RESERVED_DATASETS)
    if reserved.any():
        raise InputError(
            f"{origin}: column dataset: {samples['dataset'][reserved].iloc[0]!r:.80} "
            "is the name of an "
            "aggregate; rename the data set"
        )
    empty = (samples["question"].str.strip() == "") & samples["image"].isna()
    if empty.any():
        raise InputError(
            f"{origin}: sample {samples['sample_id'][empty].iloc[0]!r:.80} has neither a question "
            f"nor an image ({empty.sum()} such samples); add one or remove the row"
        )


def _refuse(table: OutcomeTable, name: str, wrong: np.ndarray, cure: str, origin: str) -> None:
    matrix = getattr(table, name)
    rows, columns = np.nonzero(wrong & ~np.isnan(matrix))
    if len(rows):
        row, column = rows[0], columns[0]
        raise InputError(
            f"{origin}: {name} of model {table.model_names[column]!r:.80} on sample "
            f"{table.samples['sample_id'].iloc[row]!r:.80} is {matrix[row, column]:g}; {cure}"
        )


def write_datasets(table: OutcomeTable, folder: Path, shard_size: int) -> None:
    """Write one outcome table per data set, and ``index.json`` with what they hold.

    The index lists the data sets in order of first appearance: folder, name, number
    of samples, and digests of the ids, of the texts, of the images and of
    everything, so that what depends on one of them need not run again when another
    changes. ``shards`` has the digests of texts and images of every ``shard_size``
    consecutive samples.
    """
    index = []
    for dataset, rows in table.samples.groupby("dataset", sort=False).indices.items():
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
                "ids": _digest_columns(own.samples, ["sample_id"]),
                **_content(own.samples),
                "all": digest_bytes("".join(digests).encode()),
                "shards": [
                    _content(own.samples[begin : begin + shard_size])
                    for begin in range(0, len(rows), shard_size)
                ],
            }
        )
    write_json(folder / "index.json", {"datasets": index, "models": table.model_names})


def folder_name(dataset: str) -> str:
    """Return a data set's name as a folder's: percent-encoded, never hidden, not too long."""
    return file_name(re.sub(r"^\.", "%2E", quote(dataset, safe="")))


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


def assemble(
    folder: Path,
    prices: Path | None,
    pool: Sequence[str] | None,
    min_coverage: float,
    destination: Path,
) -> None:
    """Build the benchmark's outcome table from its data sets.

    Writes the table to ``destination`` and ``pool.json`` beside it: the USD of a
    normalised cost of 1, and a notice for each model that was left out.

    Parameters
    ----------
    folder
        What ``write_datasets`` has written.
    prices
        CSV to reprice tokens with; None keeps the source's costs.
    pool, min_coverage
        As for ``choose_pool``.
    """
    index = read_json(folder / "index.json")
    table = join([OutcomeTable.read(folder / dataset["folder"]) for dataset in index["datasets"]])
    position = {name: column for column, name in enumerate(table.model_names)}
    table = table.take(columns=[position[name] for name in index["models"]])
    table, left_out = choose_pool(table, pool, min_coverage)
    if prices is not None:
        table = reprice(table, read_prices(prices), str(prices))
    table = mask_unpriced(table, "the source")
    table.write(destination)
    write_json(destination / "pool.json", {"unit_usd": cost_unit(table.cost), "left_out": left_out})


def read_prices(path: Path) -> pd.DataFrame:
    """Read a price table's CSV; raise InputError if it is not one."""
    try:
        with reading(path):
            # All is text at first: pandas would take a price True for 1, and name columns anew.
            header, *rows = pd.read_csv(
                path, header=None, dtype=str, keep_default_na=False
            ).to_numpy()
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise_disk_fault(error, path)
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not readable as CSV ({reason}); give a price table") from error
    prices = pd.DataFrame(rows, columns=header).fillna("").astype(str)
    twice = prices.columns[prices.columns.duplicated()]
    if len(twice):
        raise InputError(f"{path}: column {twice[0]!r:.80} stands twice; keep one")
    for column in set(PRICE_COLUMNS) & set(prices):
        values = pd.to_numeric(prices[column], errors="coerce")
        prices[column] = values.astype(object).where(values.notna(), prices[column])
    return prices


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
    for name in MATRICES:
        blocks = []
        for table in tables:
            matrix = getattr(table, name)
            block = np.full(
                (len(matrix), len(models)), None if matrix.dtype == object else np.nan, matrix.dtype
            )
            block[:, [position[model] for model in table.model_names]] = matrix
            blocks.append(block)
        matrices[name] = np.concatenate(blocks)
    samples = pd.concat([table.samples for table in tables], ignore_index=True)
    return OutcomeTable(samples, models, **matrices)


def choose_pool(
    table: OutcomeTable, pool: Sequence[str] | None, min_coverage: float
) -> tuple[OutcomeTable, list[str]]:
    """Keep the models of the pool.

    Parameters
    ----------
    table
        The joined outcome table.
    pool
        Models to keep, in this order; None keeps every model whose coverage is
        at least ``min_coverage``.
    min_coverage
        Share of the samples, in [0, 1].

    Returns
    -------
    The smaller table, and one notice for each model that was left out.

    Raises
    ------
    InputError
        If a model of the pool is not in the table or stands there twice, or none is left.
    """
    names = table.model_names
    if pool is not None:
        for position, name in enumerate(pool):
            if name not in names:
                raise InputError(
                    f"config key pool: no model {name!r} in the source; it has: {', '.join(names)}"
                )
            if name in pool[:position]:
                raise InputError(
                    f"config key pool: model {name!r} stands there twice; name it once"
                )
        kept = [names.index(name) for name in pool]
        notices = [f"{name} is not in the pool" for name in names if name not in pool]
    else:
        kept = np.flatnonzero(table.coverage >= min_coverage).tolist()
        notices = [
            f"{name} was left out: coverage {coverage:.1%} is below min_coverage {min_coverage:.0%}"
            for name, coverage in zip(names, table.coverage, strict=True)
            if coverage < min_coverage
        ]
    if not kept:
        raise InputError(
            f"config key min_coverage: no model reaches {min_coverage:.0%} of the samples; lower it"
        )
    return table.take(columns=kept), notices


def reprice(table: OutcomeTable, prices: pd.DataFrame, origin: str) -> OutcomeTable:
    """Compute costs from token counts and a price table.

    cost = (prompt tokens x price in + completion tokens x price out) / 1e6
    (definitions, section 1). Outcomes without both token counts keep the cost
    that the source gave.

    Parameters
    ----------
    table
        Outcomes with their token counts.
    prices
        Columns ``model`` and ``PRICE_COLUMNS``, USD per million tokens.
    origin
        The price table's file, for messages.

    Raises
    ------
    InputError
        If a column is missing, a price is not a number >= 0, a model stands
        twice, or a model with token counts has no price.
    """
    missing = [column for column in ("model", *PRICE_COLUMNS) if column not in prices]
    if missing:
        raise InputError(f"{origin}: no column {missing[0]!r}; a price table needs it")
    repeated = prices["model"][prices["model"].duplicated()]
    if len(repeated):
        raise InputError(
            f"{origin}: column model: {repeated.iloc[0]!r:.80} stands twice; keep one row"
        )
    indexed = prices.set_index("model").reindex(table.model_names)
    known = np.isfinite(table.prompt_tokens) & np.isfinite(table.completion_tokens)
    rates = []
    for column in PRICE_COLUMNS:
        values = pd.to_numeric(indexed[column], errors="coerce")
        for model, text, value, counted in zip(
            indexed.index, indexed[column], values, known.any(axis=0), strict=True
        ):
            if counted and not (0 <= value < np.inf):
                raise InputError(
                    f"{origin}: column {column}: the price of model {model!r:.80} is "
                    f"{' '.join(str(text).split()):.80}; "
                    "give USD per million tokens"
                )
        rates.append(values.to_numpy(float))
    cost = (table.prompt_tokens * rates[0] + table.completion_tokens * rates[1]) / 1e6
    models = table.models.assign(**dict(zip(PRICE_COLUMNS, rates, strict=True)))
    return replace(table, models=models, cost=np.where(known, cost, table.cost))


def mask_unpriced(table: OutcomeTable, origin: str) -> OutcomeTable:
    """Treat an outcome as observed only where both its utility and its cost are known.

    Raises InputError if a model is left without any outcome, as it is when
    neither costs nor prices are given.
    """
    observed = np.isfinite(table.utility) & np.isfinite(table.cost)
    unpriced = ~observed.any(axis=0)
    if unpriced.any():
        raise InputError(
            f"{origin}: model {table.model_names[int(unpriced.argmax())]!r:.80} has no outcome "
            "with a known cost; give costs, or token counts and a price table in source.prices"
        )
    return replace(
        table,
        utility=np.where(observed, table.utility, np.nan),
        cost=np.where(observed, table.cost, np.nan),
    )


def cost_unit(cost: np.ndarray) -> float:
    """Return the USD that a normalised cost of 1.0 stands for.

    It is the mean cost of an observed call of the most expensive model
    (MMR-Bench S1); 1.0 if every call is free.

    Parameters
    ----------
    cost
        (N, K) in USD, NaN where missing; each model has at least one outcome.
    """
    return float(np.nanmean(cost, axis=0).max()) or 1.0


def split(sample_ids: Sequence[str], train: float, salt: int | str) -> np.ndarray:
    """Return the (N,) training mask of some samples.

    blake2b(salt + id) places a sample in [0, 1), and the first ``train`` of that
    range is the training split (definitions, section 2). A sample's place
    depends on its own id alone, so no other sample, data set or model ever moves
    it; the price is that the training share is ``train`` only in expectation.
    """
    places = np.array(
        [
            int.from_bytes(blake2b(f"{salt}{sample_id}".encode(), digest_size=8).digest(), "big")
            for sample_id in sample_ids
        ],
        dtype=np.uint64,
    )
    return places < np.uint64(train * 2.0**64)


def split_by_dataset(
    samples: pd.DataFrame, train: float, salts: Sequence[int | str]
) -> pd.DataFrame:
    """Split the samples; one boolean column per salt, True for training.

    Raises InputError if a data set is too small to give both splits a sample.
    """
    masks = pd.DataFrame({"sample_id": samples["sample_id"]})
    for salt in salts:
        masks[str(salt)] = split(samples["sample_id"], train, salt)
    for dataset, rows in samples.groupby("dataset", sort=False).indices.items():
        needed = math.ceil(1 / min(train, 1 - train))
        training = masks.iloc[rows, 1:].sum()
        if len(rows) < needed or (training == 0).any() or (training == len(rows)).any():
            raise InputError(
                f"data set {dataset!r:.80} has {len(rows)} samples, too few for "
                f"split.train = {train}: "
                f"it needs at least {needed}, some of them in each split; add samples or leave "
                "the data set out"
            )
    return masks
