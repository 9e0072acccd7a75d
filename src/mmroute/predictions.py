"""A router's predictions for the samples of one split."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from mmroute.storage import read_table, vector_array, vector_matrix, write_table


@dataclass(frozen=True)
class Predictions:
    """T trials of predictions for N samples and K models; T = 1 but for a router that draws.

    Attributes
    ----------
    sample_ids
        (N,) the samples, in the outcome table's order.
    u_hat, c_hat
        (T, N, K) predicted utility and normalised cost.
    """

    sample_ids: pd.Series
    u_hat: np.ndarray
    c_hat: np.ndarray

    def write(self, path: Path) -> None:
        """Write one Parquet file with a row per trial and sample."""
        trials, n_samples, n_models = self.u_hat.shape
        columns = [
            pa.array(np.repeat(np.arange(trials, dtype=np.int16), n_samples)),
            pa.array(np.tile(self.sample_ids.to_numpy(), trials), pa.string()),
            vector_array(self.u_hat.reshape(-1, n_models)),
            vector_array(self.c_hat.reshape(-1, n_models)),
        ]
        write_table(path, pa.table(columns, names=["trial", "sample_id", "u_hat", "c_hat"]))

    @classmethod
    def read(cls, path: Path) -> "Predictions":
        """Read a file that ``write`` has written; raise InputError if it is damaged."""
        table = read_table(path)
        trials = int(table["trial"][-1].as_py()) + 1
        n_samples = len(table) // trials
        u_hat, c_hat = (
            vector_matrix(table[name]).reshape(trials, n_samples, -1) for name in ("u_hat", "c_hat")
        )
        return cls(table["sample_id"].to_pandas()[:n_samples], u_hat, c_hat)
