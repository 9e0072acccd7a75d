"""A router's predictions for the samples of one split."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mmroute.storage import (
    check_samples,
    count_rows,
    read_table,
    vector_array,
    vector_matrix,
    write_table,
)

if TYPE_CHECKING:
    import pyarrow as pa

_SCORES = "scores at "
_ROWS = 1 << 16
"""Rows that are read at once."""


@dataclass(frozen=True)
class Predictions:
    """T trials of predictions for N samples and K models; T = 1 but for a router that draws.

    Attributes
    ----------
    sample_ids
        (N,) the samples, in the outcome table's order.
    u_hat, c_hat
        (T, N, K) predicted utility and normalised cost.
    grid
        (G,) ascending lambdas of a router that is trained once for each; None for
        a router whose predictions a policy family turns into choices.
    scores
        (G, N, K) of the grid: the largest is chosen. None without a grid.
    overhead
        (N,) normalised cost of the decision itself; None: nothing.
    possible
        (N, K) mask of the models that can be asked, which is not stored; None: all.
    """

    sample_ids: pd.Series
    u_hat: np.ndarray
    c_hat: np.ndarray
    grid: np.ndarray | None = None
    scores: np.ndarray | None = None
    overhead: np.ndarray | None = None
    possible: np.ndarray | None = None

    def paid(self, cost: np.ndarray) -> np.ndarray:
        """Return (N, K) costs with the decision's own added."""
        return cost if self.overhead is None else cost + self.overhead[:, None]

    def overhead_of(self, rows: np.ndarray) -> np.ndarray | None:
        """Return the overhead of some samples, given by their indices."""
        return None if self.overhead is None else self.overhead[rows]

    def take(self, rows: np.ndarray) -> "Predictions":
        """Return the predictions of some samples, given by their indices."""
        return Predictions(
            self.sample_ids.iloc[rows].reset_index(drop=True),
            self.u_hat[:, rows],
            self.c_hat[:, rows],
            self.grid,
            None if self.scores is None else self.scores[:, rows],
            self.overhead_of(rows),
            None if self.possible is None else self.possible[rows],
        )

    @classmethod
    def joined(cls, parts: Sequence["Predictions"], sample_ids: pd.Series) -> "Predictions":
        """The predictions of several parts of some samples, in the order of ``sample_ids``.

        A part without overhead has none; one without scores, where others have them, NaN; in one
        that does not say what is possible all is.
        """
        whole = cls.stacked(parts)
        order = pd.Index(whole.sample_ids).get_indexer(sample_ids)
        return replace(whole.take(order), sample_ids=sample_ids.reset_index(drop=True))

    @classmethod
    def stacked(cls, parts: Collection["Predictions"]) -> "Predictions":
        """The predictions of several parts one after the other; what lacks is as for ``joined``."""
        u_hat, c_hat = (
            np.concatenate([getattr(part, name) for part in parts], axis=1)
            for name in ("u_hat", "c_hat")
        )
        grid = next((part.grid for part in parts if part.grid is not None), None)
        scores = overhead = possible = None
        if grid is not None:
            gaps = (np.full((len(grid), *part.u_hat.shape[1:]), np.nan) for part in parts)
            told = [
                gap if part.scores is None else part.scores
                for part, gap in zip(parts, gaps, strict=True)
            ]
            scores = np.concatenate(told, axis=1)
        if any(part.overhead is not None for part in parts):
            costs = [
                np.zeros(len(part.sample_ids)) if part.overhead is None else part.overhead
                for part in parts
            ]
            overhead = np.concatenate(costs)
        if any(part.possible is not None for part in parts):
            masks = [
                np.ones(part.u_hat.shape[1:], bool) if part.possible is None else part.possible
                for part in parts
            ]
            possible = np.concatenate(masks)
        ids = pd.concat([part.sample_ids for part in parts], ignore_index=True)
        return cls(ids, u_hat, c_hat, grid, scores, overhead, possible)

    def without_gaps(self) -> "Predictions":
        """Return them with 0 for what was not predicted, to be chosen by no policy."""
        return replace(self, u_hat=np.nan_to_num(self.u_hat), c_hat=np.nan_to_num(self.c_hat))

    def write(self, path: Path) -> None:
        """Write one Parquet file with a row per trial and sample."""
        import pyarrow as pa

        trials, n_samples, n_models = self.u_hat.shape
        columns = {
            "trial": pa.array(np.repeat(np.arange(trials, dtype=np.int16), n_samples)),
            "sample_id": pa.array(np.tile(self.sample_ids.to_numpy(), trials), pa.string()),
            "u_hat": vector_array(self.u_hat.reshape(-1, n_models)),
            "c_hat": vector_array(self.c_hat.reshape(-1, n_models)),
        }
        if self.overhead is not None:
            columns["overhead"] = pa.array(np.tile(self.overhead, trials))
        if self.scores is not None and self.grid is not None:
            for threshold, scores in zip(self.grid, self.scores, strict=True):
                columns[f"{_SCORES}{float(threshold)!r}"] = vector_array(
                    np.ascontiguousarray(scores)
                )
        write_table(path, pa.table(columns))

    @classmethod
    def read(cls, path: Path, sample_ids: pd.Series | None = None) -> "Predictions":
        """Read a file that ``write`` has written.

        Parameters
        ----------
        path
            The file.
        sample_ids
            (N,) the samples that it must hold, in order; None: any.

        Raises
        ------
        InputError
            If the file is damaged, is another one's, or holds other samples.
        """
        table = read_table(path)
        trials = int(table["trial"][-1].as_py()) + 1 if len(table) else 1
        read = cls._of(table, trials)
        if sample_ids is not None:
            check_samples(path, read.sample_ids, sample_ids)
        return read

    @classmethod
    def read_part(cls, path: Path, trial: int, rows: slice, sample_ids: pd.Series) -> "Predictions":
        """Read some consecutive samples of one trial.

        Parameters
        ----------
        path
            The file.
        trial
            Which one.
        rows
            The file's rows of these samples in this trial.
        sample_ids
            (n,) the samples, in order.

        Raises
        ------
        InputError
            If the file is damaged, is another one's, or holds others in these rows.
        """
        table = read_table(path, rows)
        found = zip(table["trial"].to_pylist(), table["sample_id"].to_pylist(), strict=True)
        check_samples(
            path,
            [name if own == trial else f"{name} of trial {own}" for own, name in found],
            sample_ids,
        )
        return cls._of(table, 1)

    @classmethod
    def sample(cls, path: Path, step: int) -> "Predictions":
        """Read every ``step``-th row of a file, of whatever trial, as if of one trial."""
        import pyarrow as pa

        chunks = []
        for begin in range(0, count_rows(path), _ROWS):
            chunk = read_table(path, slice(begin, begin + _ROWS))
            chunks.append(chunk.take(np.arange(-begin % step, len(chunk), step)))
        return cls._of(pa.concat_tables(chunks), 1)

    @classmethod
    def _of(cls, table: "pa.Table", trials: int) -> "Predictions":
        n_samples = len(table) // trials
        u_hat, c_hat = (
            vector_matrix(table[name]).reshape(trials, n_samples, -1) for name in ("u_hat", "c_hat")
        )
        names = [name for name in table.column_names if name.startswith(_SCORES)]
        return cls(
            table["sample_id"].to_pandas()[:n_samples],
            u_hat,
            c_hat,
            np.array([float(name.removeprefix(_SCORES)) for name in names]) if names else None,
            np.stack([vector_matrix(table[name]) for name in names]) if names else None,
            table["overhead"].to_numpy()[:n_samples] if "overhead" in table.column_names else None,
        )


def read_by_row(
    rows: Sequence[str], paths: Sequence[str], sample_ids: pd.Series
) -> dict[str, Predictions]:
    """Read one file for each row of the main table; all hold the same samples."""
    return {
        row: Predictions.read(Path(path), sample_ids) for row, path in zip(rows, paths, strict=True)
    }
