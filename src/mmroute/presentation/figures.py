"""Figures: one module a subject; here, what they share."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
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
