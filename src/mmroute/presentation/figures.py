"""What all figures share: their looks, their bytes, and names from data made short."""

import unicodedata
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
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


def panels(
    count: int, per_row: int, width: float, height: float, margins: tuple[float, float]
) -> tuple[Figure, list[Axes]]:
    """A figure of ``count`` panels with shared axes; the lowest of each column has labels in x.

    Parameters
    ----------
    count, per_row
        Of panels; without any there is an empty figure.
    width, height, margins
        Of a panel, and what the figure has beyond its panels, in inches.
    """
    columns = max(1, min(per_row, count))
    rows = max(1, -(-count // columns))
    figure, grid = plt.subplots(
        rows,
        columns,
        figsize=(width * columns + margins[0], height * rows + margins[1]),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axes in grid.flat[count:]:
        axes.set_axis_off()
    for axes in grid.flat[max(0, count - columns) : count]:
        axes.tick_params(axis="x", labelbottom=True)
    return figure, list(grid.flat)


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
