"""Embeddings of one data set by one encoder: normalised rows, and the raw norms beside them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mmroute.encoders import Encoder, Modality
from mmroute.images import each
from mmroute.storage import read_parts, vector_array, vector_matrix, write_table

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Embeddings:
    """One modality of N samples.

    Attributes
    ----------
    vectors
        (N, d) float32, L2-normalised; zero where the modality is missing.
    norms
        (N,) float32, the norms before normalisation; zero where missing.
    present
        (N,) bool, the modality's availability m_i (MMR-Bench 3.1).
    missed
        (N,) how many images of a sample could not be decoded where others could; None: none.
    """

    vectors: np.ndarray
    norms: np.ndarray
    present: np.ndarray
    missed: np.ndarray | None = None

    @classmethod
    def masked(cls, n_samples: int, width: int) -> "Embeddings":
        """Return the embeddings of a modality that no sample has."""
        return cls(
            np.zeros((n_samples, width), np.float32),
            np.zeros(n_samples, np.float32),
            np.zeros(n_samples, bool),
        )

    def take(self, rows: np.ndarray) -> "Embeddings":
        """Return the embeddings of some samples."""
        missed = None if self.missed is None else self.missed[rows]
        return Embeddings(self.vectors[rows], self.norms[rows], self.present[rows], missed)

    def write(self, path: Path, sample_ids: pd.Series) -> None:
        """Write one Parquet file: ``sample_id`` and the attributes, in the singular."""
        import pyarrow as pa

        columns = {
            "sample_id": pa.array(sample_ids, pa.string()),
            "present": self.present,
            "norm": self.norms,
            "vector": vector_array(self.vectors),
        }
        if self.missed is not None:
            columns["missed"] = self.missed
        write_table(path, pa.table(columns))

    @classmethod
    def _of(cls, table: "pa.Table") -> "Embeddings":
        return cls(
            vector_matrix(table["vector"]),
            table["norm"].to_numpy(),
            table["present"].to_numpy(),
            table["missed"].to_numpy() if "missed" in table.column_names else None,
        )


def embed(
    encoder: Encoder, modality: Modality, samples: pd.DataFrame, root: Path, threads: int
) -> Embeddings:
    """Embed one modality of the samples.

    An empty question, no image, or an image that cannot be decoded is a missing
    modality. Of several images what the encoder makes of each is averaged, over those
    that can be decoded; the mean is normalised as that of a single image is, and its norm kept.

    Parameters
    ----------
    encoder
        What encodes.
    modality
        ``text`` or ``image``.
    samples
        N rows with ``question`` and ``image``.
    root
        Folder that ``image`` is relative to.
    threads
        Threads or processes to use; the result does not depend on it.
    """
    if modality == "text":
        questions = samples["question"].tolist()
        owner = np.array([row for row, text in enumerate(questions) if text.strip()], int)
        raw = encoder.encode_texts([questions[row] for row in owner])
    else:
        images = [each(own) for own in samples["image"]]
        owner = np.repeat(np.arange(len(images)), list(map(len, images)))
        raw = encoder.encode_images([root / path for own in images for path in own], threads)
    decoded = np.isfinite(raw).all(axis=1)
    missed = np.bincount(owner[~decoded], minlength=len(samples))
    rows, first, count = np.unique(owner[decoded], return_index=True, return_counts=True)
    raw = raw[decoded]
    if len(rows) < len(raw):
        raw = np.add.reduceat(raw, first) / count[:, None].astype(np.float32)
    norms = np.zeros(len(samples), np.float32)
    vectors = np.zeros((len(samples), raw.shape[1]), np.float32)
    present = np.zeros(len(samples), bool)
    present[rows] = True
    norms[rows] = np.linalg.norm(raw, axis=1)
    vectors[rows] = raw / np.maximum(norms[rows, None], np.finfo(np.float32).tiny)
    missed = np.where(present, missed, 0)
    return Embeddings(vectors, norms, present, missed if missed.any() else None)


def stack(parts: list[Embeddings]) -> Embeddings:
    """Stack the embeddings of several data sets, in the given order.

    A data set whose encoder saw nothing to encode has zero rows of any width.
    """
    width = max(part.vectors.shape[1] for part in parts)
    vectors = [
        part.vectors
        if part.vectors.shape[1] == width
        else np.zeros((len(part.vectors), width), np.float32)
        for part in parts
    ]
    missed = [
        np.zeros(len(part.vectors), int) if part.missed is None else part.missed for part in parts
    ]
    return Embeddings(
        np.concatenate(vectors),
        np.concatenate([part.norms for part in parts]),
        np.concatenate([part.present for part in parts]),
        np.concatenate(missed) if any(map(np.any, missed)) else None,
    )


def read_all(paths: Iterable[str], sample_ids: pd.Series) -> Embeddings:
    """Read and stack the embeddings of several data sets.

    Parameters
    ----------
    paths
        Files that ``Embeddings.write`` has written.
    sample_ids
        (N,) the samples of all of them, in order.

    Raises
    ------
    InputError
        If a file is damaged, is another one's, or holds other samples than its share of
        ``sample_ids``, naming the first such file.
    """
    return stack([Embeddings._of(table) for table in read_parts(paths, sample_ids)])
