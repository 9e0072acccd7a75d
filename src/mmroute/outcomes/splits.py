"""Frozen splits, and the folds of cross-fitting: both depend on sample ids alone."""

import math
from collections.abc import Iterable, Sequence
from hashlib import blake2b

import numpy as np
import pandas as pd

from mmroute.errors import InputError
from mmroute.storage import digest_bytes

N_FOLDS = 5


def split(sample_ids: Iterable[str], train: float, salt: int | str) -> np.ndarray:
    """The (N,) training mask of some samples.

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


def fold_of(sample_ids: Iterable[str]) -> np.ndarray:
    """The (n,) fold of each sample, which depends on its id alone."""
    return np.array(
        [int(digest_bytes(sample_id.encode())[:8], 16) % N_FOLDS for sample_id in sample_ids]
    )
