"""Figure: which price tier the queries of each difficulty go to."""

import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from mmroute.experiments.difficulty import POINTS, TIERS
from mmroute.figures.cases import shorten

PER_ROW = 4
LONGEST_LABEL = 20
"""Strata are named by the data."""
SHADES = sns.color_palette("YlGnBu", len(TIERS))


def draw(table: pd.DataFrame, title: str) -> Figure:
    """Draw stacked traffic shares by stratum, one panel a router, accuracies above the bars.

    A router is shown at ``half_cost``, or at ``peak`` where it has no such point.

    Parameters
    ----------
    table
        The summary of ``mmroute.experiments.difficulty.findings``.
    title
        What the figure shows.
    """
    values = table[(table["minus"].fillna("") == "") & (table["metric"] != "samples")]
    routers = values["router"].unique()
    columns = max(1, min(PER_ROW, len(routers)))
    rows = max(1, -(-len(routers) // columns))
    figure, grid = plt.subplots(
        rows,
        columns,
        figsize=(2.7 * columns + 1, 2.1 * rows + 1),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axes, router in zip(grid.flat, routers, strict=False):
        own = values[values["router"] == router]
        point = next(point for point in POINTS if point in set(own["point"]))
        _panel(axes, own[own["point"] == point])
        axes.set_title(f"{router} ({point.replace('_', ' ')})")
    for axes in grid.flat[len(routers) :]:
        axes.set_axis_off()
    for axes in grid.flat[max(0, len(routers) - columns) : len(routers)]:
        axes.tick_params(axis="x", labelbottom=True, rotation=40)
        plt.setp(axes.get_xticklabels(), ha="right", rotation_mode="anchor")
    if len(routers):
        handles, names = grid.flat[0].get_legend_handles_labels()
        figure.legend(
            handles[::-1], names[::-1], title="models", loc="outside right upper", frameon=False
        )
    figure.supxlabel("queries, from easy to hard", fontsize="medium")
    figure.supylabel("share of the queries (above: accuracy in %)", fontsize="medium")
    figure.suptitle(title)
    return figure


def _panel(axes: Axes, own: pd.DataFrame) -> None:
    shares = own[own["metric"] == "traffic"].pivot(index="stratum", columns="tier", values="value")
    shares = shares.reindex(own["stratum"].unique())
    accuracy = own[own["metric"] == "accuracy"].set_index("stratum")["value"]
    positions = range(len(shares))
    below = pd.Series(0.0, shares.index)
    for tier, colour in zip(TIERS, SHADES, strict=True):
        axes.bar(positions, shares[tier], bottom=below, color=colour, width=0.85, label=tier)
        below = below + shares[tier]
    for position, stratum in enumerate(shares.index):
        text = f"{100 * accuracy[stratum]:.0f}"
        axes.text(position, 1.02, text, ha="center", va="bottom", fontsize=7)
    axes.set_xticks(positions, [shorten(name, LONGEST_LABEL) for name in shares.index])
    axes.set_ylim(0, 1.14)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(axis="x", visible=False)
