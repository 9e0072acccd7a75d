"""The outcome table: what each model of the pool did on each sample.

On disk an outcome table is a folder of Parquet files, rows in the same order in
each:

``samples.parquet``
    ``sample_id``, ``dataset``, ``scenario``, ``group``, ``question``, ``answer``,
    ``image`` (path below the source's root) and ``image_digest``, all strings;
    ``answer``, ``image`` and ``image_digest`` may be null, an empty question
    means that the text is missing. An image that is not at hand is null, and its digest is a
    name that tells it from others. Of several images of a sample the paths stand in order with
    ``mmroute.images.BETWEEN`` between them, and so do the digests.
    ``group`` is what the source declares, empty where
    that is nothing; what is stored has the key of each sample's group there, see
    ``outcomes.groups``. Free tags are string columns ``tag_<name>``.
``models.parquet``
    ``model`` and the prices ``usd_per_1m_prompt_tokens`` and
    ``usd_per_1m_completion_tokens`` (null where unknown).
``utility.parquet``, ``cost.parquet``, ``prompt_tokens.parquet``, ``completion_tokens.parquet``
    one float64 column per model, null where missing; utility in [0, 1], cost in USD.
``prediction.parquet``
    one string column per model, null where unknown.
``latency_s.parquet``
    as the others of float64, in seconds; it is there only where some latency is known.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import category

import numpy as np
import pandas as pd

from mmroute.errors import InputError
from mmroute.images import MOST_IMAGES, counts
from mmroute.storage import damaged, read_table, write_table

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLE_COLUMNS = (
    "sample_id",
    "dataset",
    "scenario",
    "group",
    "question",
    "answer",
    "image",
    "image_digest",
)

PER_CALL = "usd_per_call"
"""Of a price table, and then of a table's models: what each call costs beside its tokens."""
PRICE_COLUMNS = ("usd_per_1m_prompt_tokens", "usd_per_1m_completion_tokens")

MATRICES = ("utility", "cost", "prompt_tokens", "completion_tokens", "prediction")
LATENCY = "latency_s"
"""The outcomes that few sources have: a table without any holds no matrix of them."""


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
        K rows: ``model``, the columns of ``PRICE_COLUMNS`` and, where there are such prices,
        ``PER_CALL``.
    utility
        (N, K) in [0, 1]; NaN where the outcome is missing.
    cost
        (N, K) in USD; NaN where unknown.
    prompt_tokens, completion_tokens
        (N, K) counts; NaN where unknown.
    prediction
        (N, K) predicted answers as strings, None where unknown.
    latency_s
        (N, K) seconds that each call took, NaN where unknown; None where all are.
    """

    samples: pd.DataFrame
    models: pd.DataFrame
    utility: np.ndarray
    cost: np.ndarray
    prompt_tokens: np.ndarray
    completion_tokens: np.ndarray
    prediction: np.ndarray = field(repr=False)
    latency_s: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Hold no latencies where none is known."""
        if self.latency_s is not None and np.isnan(self.latency_s).all():
            self.latency_s = None

    @property
    def matrices(self) -> dict[str, np.ndarray]:
        """The N x K outcomes by name; latencies only where there are any."""
        own = {name: getattr(self, name) for name in MATRICES}
        return own if self.latency_s is None else own | {LATENCY: self.latency_s}

    @property
    def model_names(self) -> list[str]:
        """Names of the K models, in column order."""
        return self.models["model"].tolist()

    @property
    def coverage(self) -> np.ndarray:
        """(K,) share of the samples on which each model was observed."""
        return np.isfinite(self.utility).mean(axis=0)

    def take(
        self, rows: np.ndarray | None = None, columns: Sequence[int] | np.ndarray | None = None
    ) -> "OutcomeTable":
        """Return the table of some samples (boolean mask or indices) and some models."""
        rows = np.arange(len(self.samples)) if rows is None else rows
        columns = range(len(self.models)) if columns is None else columns
        return OutcomeTable(
            self.samples[rows].reset_index(drop=True)
            if rows.dtype == bool
            else self.samples.iloc[rows].reset_index(drop=True),
            self.models.iloc[list(columns)].reset_index(drop=True),
            **{name: own[rows][:, list(columns)] for name, own in self.matrices.items()},
        )

    def write(self, folder: Path) -> None:
        """Write the table's Parquet files into ``folder``."""
        import pyarrow as pa

        write_table(folder / "samples.parquet", _sample_table(self.samples))
        write_table(
            folder / "models.parquet", pa.Table.from_pandas(self.models, preserve_index=False)
        )
        for name, matrix in self.matrices.items():
            kind = pa.string() if name == "prediction" else pa.float64()
            columns = [pa.array(column, kind, from_pandas=True) for column in matrix.T]
            write_table(folder / f"{name}.parquet", pa.table(columns, names=self.model_names))

    @classmethod
    def read(
        cls,
        folder: Path,
        rows: slice = slice(None),
        matrices: Collection[str] = (*MATRICES, LATENCY),
    ) -> "OutcomeTable":
        """Read a table that ``write`` has written; raise InputError if a file is damaged.

        Parameters
        ----------
        folder
            Where it lies.
        rows
            Consecutive samples to read.
        matrices
            Which of ``MATRICES`` and ``LATENCY`` to read; the others are missing everywhere.
        """
        samples = read_table(folder / "samples.parquet", rows).to_pandas()
        models = read_table(folder / "models.parquet").to_pandas()
        outcomes = {}
        timed = LATENCY in matrices and (folder / f"{LATENCY}.parquet").exists()
        for name in (*MATRICES, *[LATENCY] * timed):
            missing, kind = (None, object) if name == "prediction" else (np.nan, float)
            outcomes[name] = np.full((len(samples), len(models)), missing, kind)
            if name in matrices:
                table = read_table(folder / f"{name}.parquet", rows)
                # Without a model there is no column, and no row is counted.
                whole = len(models) == 0 or table.num_rows == len(samples)
                if not whole or table.column_names != [*models["model"]]:
                    raise damaged(folder / f"{name}.parquet", "holds other samples or models")
                for index, column in enumerate(table.columns):
                    outcomes[name][:, index] = column.to_numpy()
        return cls(samples, models, **outcomes)


def rows_by_label(labels: pd.Series) -> dict[str, np.ndarray]:
    """Row indices of each label, as of each data set, in the order of first appearance.

    Rows without a label are left out.
    """
    found = labels.groupby(labels, sort=False).indices
    return {str(label): np.asarray(rows) for label, rows in found.items()}


def _sample_table(samples: pd.DataFrame) -> "pa.Table":
    import pyarrow as pa

    schema = pa.schema([(column, pa.string()) for column in samples.columns])
    return pa.Table.from_pandas(samples, schema=schema, preserve_index=False)


def validate(table: OutcomeTable, origin: str, joined: bool = False) -> None:
    """Raise InputError for outcomes that cannot be measured.

    Parameters
    ----------
    table
        The table as a source has read it.
    origin
        The file it was read from, for the message.
    joined
        Whether it is one of several: it may describe samples without any outcome.
    """
    samples, names = table.samples, table.model_names
    if not names and not joined:
        raise InputError(f"{origin}: no model columns; each model needs its outcomes")
    if samples.empty:
        raise InputError(f"{origin}: no samples; the table needs at least one row")
    for kind, own in (("model", names), ("data set", samples["dataset"].unique())):
        bare: dict[str, str] = {}
        for name in own:
            twin = bare.setdefault(" ".join(name.split()), name)
            if twin != name:
                raise InputError(
                    f"{origin}: the {kind}s {twin!r:.80} and {name!r:.80} differ in blanks only; "
                    "write the name in one way"
                )
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
    for name, matrix in table.matrices.items():
        if name in ("utility", "prediction"):
            continue
        wrong = ~((matrix >= 0) & np.isfinite(matrix))
        _refuse(table, name, wrong, "give a number that is not negative", origin)
    unobserved = np.isnan(table.utility).all(axis=0)
    if unobserved.any():
        raise InputError(
            f"{origin}: model {names[int(unobserved.argmax())]!r:.80} has no outcome at all; "
            "leave it out or fill its column"
        )


def validate_samples(samples: pd.DataFrame, origin: str) -> None:
    """Raise InputError for a sample without input or with too many images, or a reserved name.

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
    images = counts(samples["image"])
    if (images > MOST_IMAGES).any():
        row = int(images.argmax())
        raise InputError(
            f"{origin}: sample {samples['sample_id'].iloc[row]!r:.80} has {images[row]:,} images, "
            f"of {MOST_IMAGES:,} that a sample may have; leave some out or remove the row"
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
