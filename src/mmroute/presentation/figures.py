"""What all figures share: their looks, their bytes, and names from data made short."""

import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmroute.evaluation.static import ZERO, ZERO_HINDSIGHT
from mmroute.presentation.looks import STATIC_LABELS, as_mixed
from mmroute.storage import atomic

SINGLE_MODEL_COLOUR = "0.35"
STATIC_LINES: dict[str, dict[str, Any]] = {
    ZERO: {"color": "0.2", "ls": (0, (6, 2)), "lw": 1.6},
    ZERO_HINDSIGHT: {"color": "0.55", "ls": (0, (2, 2)), "lw": 1.2},
}
"""How the lines of static mixtures look: the best without a router."""

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


def draw_static(axes: Axes, models: pd.DataFrame, legend: bool = True) -> None:
    """Draw the accuracies of the static mixtures of models over cost, constant at the right end.

    Parameters
    ----------
    axes
        Where.
    models
        Of one data set: ``cost``, ``utility``, and which models are mixed: ``zero``,
        ``zero_hindsight``.
    legend
        Whether their legend names the lines.
    """
    for name, cost, utility in _static_lines(models):
        label = STATIC_LABELS[name] if legend else f"_{name}"
        axes.plot(cost, utility, label=label, zorder=2, **STATIC_LINES[name])


def static_labels(models: pd.DataFrame) -> list[tuple[float, float, str, str]]:
    """Cost, accuracy, text and colour of a label at each line that ``draw_static`` draws.

    The reference's is where the two lines are farthest apart, if they ever part.
    """
    drawn = {name: (cost, utility) for name, cost, utility in _static_lines(models)}
    places = {name: len(line[0]) * 2 // 5 for name, line in drawn.items()}
    if len(drawn) > 1:
        cost, utility = drawn[ZERO_HINDSIGHT]
        apart = utility - np.interp(cost, drawn[ZERO][0], drawn[ZERO][1])
        inner = apart[: max(1, len(cost) * 3 // 4)]
        places[ZERO_HINDSIGHT] = int(inner.argmax()) if inner.max() > 0 else len(inner) - 1
    return [
        (*(float(values[places[name]]) for values in line), STATIC_LABELS[name], look["color"])
        for name, line in drawn.items()
        for look in [STATIC_LINES[name]]
    ]


def _static_lines(models: pd.DataFrame) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    end = models["cost"].max()
    for name in STATIC_LINES:
        own = models[models[name]].sort_values("cost")
        if len(own):
            yield name, *as_mixed(own["cost"].to_numpy(), own["utility"].to_numpy(), end)


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
