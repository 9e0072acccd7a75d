"""Where a run keeps what it decides on, and the router that is taken away."""

from pathlib import Path
from typing import Literal

from mmroute.errors import InputError
from mmroute.outcomes.splits import N_FOLDS
from mmroute.storage import SHRUNK

Labelled = Literal["all", "train"]
"""Which labels decide: all, measured fold by fold, or the training split's, as in the papers."""
NEXT = range(N_FOLDS // 2 + 1)
"""How far on the second fold is that is left out with each: once around these are all pairs."""
HELD = {
    tuple(sorted({fold, (fold + step) % N_FOLDS})): f"{fold}+{step}"
    for fold in range(N_FOLDS)
    for step in NEXT
}
"""What is left out of the fits that decide and measure on all labels, each fold and each two, and
the name of its file."""


def evidence_files(results: str, row: str, salt: str, labels: Labelled) -> list[str]:
    """The predictions of a row that decide and measure, as ``Evidence.read`` takes them."""
    if labels == "train":
        parts = ("predictions", "crossfit")
        return [f"{results}/routers/{row}/{salt}/{part}.parquet" for part in parts]
    router = row.removesuffix(SHRUNK)
    return [f"{results}/routers/{router}/{salt}/held/{name}.parquet" for name in HELD.values()]


def trained_folder(results: str, row: str, salt: str, labels: Labelled) -> str:
    """The folder of a row's trained router, with its predictions."""
    folder = f"{results}/routers/{row.removesuffix(SHRUNK)}/{salt}"
    return f"{folder}/refit" if labels == "all" else folder


def finished(path: Path) -> Path:
    """Return what a run has written; raise InputError if it is not there."""
    if not path.exists():
        raise InputError(f"{path}: no such file; run the config first: mmroute run CONFIG")
    return path
