"""What all figures share: their looks, their bytes, and names from data made short."""

import unicodedata
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from mmroute.storage import atomic

COST_LABEL = "mean cost per query (1 = average call of the most expensive model)"
ACCURACY_LABEL = "accuracy (mean utility)"
SINGLE_MODEL_COLOUR = "0.35"

mpl.use("Agg")
sns.set_theme(context="paper", style="whitegrid", palette="colorblind")
mpl.rcParams |= {
    "svg.hashsalt": "mmroute",
    # Names come from data; a dollar sign in one must not start a formula.
    "text.parse_math": False,
    "savefig.bbox": "tight",
}


def save(figure: Figure, paths: Sequence[Path]) -> None:
    """Write the figure once per path, in the format of its suffix, the same bytes each time."""
    for path in paths:
        with atomic(path) as partial:
            suffix = path.suffix[1:]
            metadata = {"Date": None} if suffix == "svg" else {"Software": None}
            figure.savefig(partial, format=suffix, dpi=160, metadata=metadata)
    plt.close(figure)


def shorten(text: str | float | None, longest: int) -> str:
    """Return text on one line without control and other invisible characters, cut by an ellipsis.

    Those could turn the direction of what follows, or have no place in an SVG file.
    Missing text is empty.
    """
    if pd.isna(text):
        return ""
    words = " ".join(str(text).split())
    line = "".join(c for c in words if not unicodedata.category(c).startswith("C"))
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"
