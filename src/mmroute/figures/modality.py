"""Figure 2: frontiers on features of the text, of the image, and of both."""

import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from mmroute.experiments.modality import SINGLE_MODEL, UNIMODAL
from mmroute.presentation.figures import ACCURACY_LABEL, COST_LABEL, SINGLE_MODEL_COLOUR

PER_ROW = 2
DASHES = ("--", ":")
"""Of the text's and the image's frontier; those of both modalities are solid."""


def draw(table: pd.DataFrame, title: str) -> Figure:
    """Draw the frontier of each features, one panel a router, against the single models.

    Parameters
    ----------
    table
        The summary of ``mmroute.experiments.modality.findings``.
    title
        What the figure shows.
    """
    points = table[table["metric"].isin(["accuracy", "cost"])].pivot(
        index=["router", "features", "model", "budget"], columns="metric", values="value"
    )
    points = points.reset_index().sort_values("budget", kind="stable")
    routed = table[table["router"] != SINGLE_MODEL]
    routers, names = routed["router"].unique(), routed["features"].unique()
    colours = dict(zip(names, sns.color_palette("colorblind", len(names)), strict=True))
    dashes = dict(zip(UNIMODAL, DASHES, strict=True))
    models = points[points["router"] == SINGLE_MODEL]
    columns = min(PER_ROW, len(routers))
    rows = -(-len(routers) // columns)
    figure, grid = plt.subplots(
        rows,
        columns,
        figsize=(4 * columns + 1.4, 3.2 * rows + 0.8),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axes, router in zip(grid.flat, routers, strict=False):
        axes.plot(
            models["cost"],
            models["accuracy"],
            "x",
            color=SINGLE_MODEL_COLOUR,
            label="single model",
        )
        for features, colour in colours.items():
            line = points[(points["router"] == router) & (points["features"] == features)]
            axes.plot(
                line["cost"],
                line["accuracy"],
                dashes.get(features, "-"),
                color=colour,
                marker="o",
                ms=4,
                markevery=[-1],
                label=features,
            )
        axes.set_title(router)
    for axes in grid.flat[len(routers) :]:
        axes.set_axis_off()
    for axes in grid.flat[max(0, len(routers) - columns) : len(routers)]:
        axes.tick_params(axis="x", labelbottom=True)
    _scale(grid[0, 0], points["cost"].dropna())
    figure.legend(
        *grid[0, 0].get_legend_handles_labels(),
        title="features (dot: peak)",
        loc="outside right upper",
        frameon=False,
    )
    figure.supxlabel(COST_LABEL, fontsize="medium")
    figure.supylabel(ACCURACY_LABEL, fontsize="medium")
    figure.suptitle(title)
    return figure


def _scale(axes: Axes, cost: pd.Series) -> None:
    """Use a log axis of costs, unless a query can be free."""
    if (cost > 0).all():
        axes.set_xscale("log")
        subs = (1, 2, 5) if cost.max() < 100 * cost.min() else (1,)
        axes.xaxis.set_major_locator(LogLocator(subs=subs, numticks=8))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
