"""Frozen splits, and the folds of cross-fitting: both depend on a sample's group alone."""

from collections.abc import Iterable, Sequence
from hashlib import blake2b

import numpy as np
import pandas as pd

from mmroute.errors import InputError
from mmroute.outcome_table import OutcomeTable
from mmroute.storage import digest_bytes

N_FOLDS = 5
SLICE = "measured in"
"""The splits' column of slices; with a space in it, it is no salt."""
DEVELOPMENT = "development "
"""How the name of a column begins that tells the development samples of a salt."""


def split(keys: Iterable[str], train: float, salt: int | str) -> np.ndarray:
    """The (N,) training mask of some samples, given by the keys of their groups.

    blake2b(salt + key) places a group in [0, 1), and the first ``train`` of that
    range is the training split (definitions, section 2). A group's place depends on
    its own key alone, so no other sample, data set or model ever moves it; the price is
    that the training share is ``train`` only in expectation.
    """
    places = np.array(
        [
            int.from_bytes(blake2b(f"{salt}{key}".encode(), digest_size=8).digest(), "big")
            for key in keys
        ],
        dtype=np.uint64,
    )
    return places < np.uint64(train * 2.0**64)


def masks(samples: pd.DataFrame, train: float, salts: Sequence[int | str]) -> pd.DataFrame:
    """The training masks of some samples, by their ``group``: a boolean column per salt."""
    return pd.DataFrame({str(salt): split(samples["group"], train, salt) for salt in salts})


def freeze(
    samples: pd.DataFrame, train: float, salts: Sequence[int | str], development: float = 0.0
) -> pd.DataFrame:
    """Split the samples under each salt, and say what they are measured in.

    Parameters
    ----------
    samples
        Columns ``sample_id``, ``dataset``, ``scenario`` and ``group``, the key.
    train
        Share of the training split.
    salts
        What draws each split.
    development
        Share of the development samples, which are of the training split, too: those of its
        last places.

    Returns
    -------
    ``sample_id``; ``SLICE``, as from ``slices``; a boolean column per salt, True for
    training; and another one, ``DEVELOPMENT`` and the salt, if there are development samples.
    """
    own = masks(samples, train, salts)
    frozen = pd.concat([samples["sample_id"], slices(samples, own).rename(SLICE), own], axis=1)
    if not development:
        return frozen
    held = own & ~masks(samples, train - development, salts)
    return frozen.join(held.add_prefix(DEVELOPMENT))


def require_parts(samples: pd.DataFrame, train: float, salts: Sequence[int | str]) -> None:
    """Raise InputError if all samples are in one part, or all that train in one fold.

    Arguments are those of ``freeze``.
    """
    first, *others = samples["dataset"].unique()
    of = f"split.train = {train}, data set {first!r:.80}"
    of += f" and {len(others)} others" if others else ""
    for salt, mask in masks(samples, train, salts).items():
        told = f"{of}: all {len(samples)} samples"
        part = "training" if mask.all() else "test"
        if not mask.all() and mask.any():
            if len(set(fold_of(samples["group"][mask].unique()))) > 1:
                continue
            told = f"{of}: the {mask.sum()} training samples"
            part = "same fold of the training"
        raise InputError(
            f"{told}, in {samples['group'].nunique()} groups, are in the {part} split (salt "
            f"{salt}); add samples of other groups, or choose another share"
        )


def salts_of(splits: pd.DataFrame) -> pd.DataFrame:
    """The training masks of ``freeze``, a column per salt."""
    held = splits.columns[splits.columns.str.startswith(DEVELOPMENT)]
    return splits.drop(columns=["sample_id", SLICE, *held])


def slices(samples: pd.DataFrame, masks: pd.DataFrame) -> pd.Series:
    """The (N,) slice that each sample is measured in, apart from all together.

    A data set that is in both parts under every salt is a slice of its own. The others of a
    scenario are one slice together, which has no row of its own and counts in the
    scenario's averages (definitions, section 2). If even that is not in both parts, its
    samples have none.

    Parameters
    ----------
    samples
        N rows with the columns ``dataset`` and ``scenario``.
    masks
        (N, S) training masks, a column per salt.
    """
    alone = _in_both(samples["dataset"], masks)
    rest = samples.groupby("dataset")["scenario"].transform("last").map(rest_of)
    together = _in_both(rest[~alone], masks[~alone]).reindex(rest.index, fill_value=False)
    return samples["dataset"].where(alone, rest.where(together, None)).astype("str")


def rest_of(scenario: str) -> str:
    """The name of the slice of a scenario's small data sets."""
    return f"{scenario} (small data sets)"


def _in_both(labels: pd.Series, masks: pd.DataFrame) -> pd.Series:
    """Whether what is labelled alike is in both parts under every salt."""
    share = masks.groupby(labels).transform("mean")
    return ((share > 0) & (share < 1)).all(axis=1)


def require_labels(training: OutcomeTable, salt: str) -> None:
    """Raise InputError for a model that no router could learn from the training samples."""
    unseen = ~np.isfinite(training.utility).any(axis=0)
    if unseen.any():
        raise InputError(
            f"model {training.model_names[int(unseen.argmax())]!r:.80} has no outcome in the "
            f"training split (salt {salt}); leave it out of the pool or add outcomes"
        )


def require_outcomes(table: OutcomeTable, splits: pd.DataFrame) -> None:
    """Raise InputError if nothing could be learned, or measured, under one of the splits.

    Parameters
    ----------
    table
        The benchmark's outcomes.
    splits
        As from ``freeze``, of the same samples.
    """
    observed = np.isfinite(table.utility).any(axis=1)
    for salt, train in salts_of(splits).items():
        require_labels(table.take(train.to_numpy()), str(salt))
        if not observed[~train].any():
            raise InputError(f"no outcome in the test split (salt {salt}); add outcomes")


def fold_of(keys: Iterable[str]) -> np.ndarray:
    """The (n,) fold of each sample, which depends on the key of its group alone."""
    return np.array([int(digest_bytes(key.encode())[:8], 16) % N_FOLDS for key in keys])
