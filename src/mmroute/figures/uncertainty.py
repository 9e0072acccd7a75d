"""Figure: accuracy against cost as more and more unsure queries are handed on."""

import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from mmroute.experiments.uncertainty import PERSON, STRONGEST, VOTE
from mmroute.presentation.figures import ACCURACY_LABEL

PER_ROW = 4
COLOURS = dict(zip((STRONGEST, VOTE, PERSON), sns.color_palette("colorblind"), strict=False))
MARKED = (0.25, 0.5)
MARKED_LABEL = "25 % and 50 % handed on"
ENDS = (("router alone", 0.0, "*", 11), ("strongest model alone", 1.0, "D", 6))


def draw(table: pd.DataFrame, title: str) -> Figure:
    """Draw a line per strategy, from the router alone to handing on every query.

    Parameters
    ----------
    table
        The summary of ``mmroute.experiments.uncertainty.findings``.
    title
        What the figure shows.
    """
    values = table[table["minus"].fillna("") == ""]
    routers = list(values.groupby(["router", "point"], sort=False))
    columns = max(1, min(PER_ROW, len(routers)))
    rows = max(1, -(-len(routers) // columns))
    figure, grid = plt.subplots(
        rows,
        columns,
        figsize=(2.7 * columns + 1.4, 2.3 * rows + 1),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axes, ((router, point), own) in zip(grid.flat, routers, strict=False):
        _panel(axes, own)
        area = own.loc[own["metric"] == "auroc", "value"].item()
        axes.set_title(f"{router} ({point.replace('_', ' ')}), AUROC {area:.2f}", fontsize="small")
    for axes in grid.flat[len(routers) :]:
        axes.set_axis_off()
    for axes in grid.flat[max(0, len(routers) - columns) : len(routers)]:
        axes.tick_params(axis="x", labelbottom=True)
    if routers:
        _scale(grid.flat[0], 1000 * values.loc[values["metric"] == "cost_usd", "value"])
        figure.legend(
            *grid.flat[0].get_legend_handles_labels(),
            title="unsure queries go to",
            loc="outside right upper",
            frameon=False,
        )
    figure.supxlabel("mean cost (USD per 1,000 queries)", fontsize="medium")
    figure.supylabel(ACCURACY_LABEL, fontsize="medium")
    figure.suptitle(title)
    return figure


def _panel(axes: Axes, own: pd.DataFrame) -> None:
    """Draw the lines, the strategies before the points so that the legend has them in order."""
    swept = own[own["handed_on"].notna()].set_index("handed_on")
    accuracy, cost = (
        swept[swept["metric"] == metric].set_index("strategy", append=True).unstack("strategy")
        for metric in ("accuracy", "cost_usd")
    )
    cost = 1000 * cost["value"]
    drawn = [strategy for strategy in COLOURS if strategy in cost]
    for strategy in drawn:
        one = accuracy.xs(strategy, axis=1, level="strategy")
        colour = COLOURS[strategy]
        axes.fill_between(cost[strategy], one["low"], one["high"], color=colour, alpha=0.15, lw=0)
        axes.plot(cost[strategy], one["value"], color=colour, lw=1.5, label=strategy)
    for strategy in drawn:
        some = list(MARKED)
        axes.plot(
            cost[strategy][some],
            accuracy["value"][strategy][some],
            "o",
            ms=3.5,
            color=COLOURS[strategy],
            label="_" if strategy != drawn[-1] else MARKED_LABEL,
        )
    for name, share, marker, size in ENDS:
        axes.plot(
            cost[STRONGEST][share],
            accuracy["value"][STRONGEST][share],
            marker,
            ms=size,
            color="black",
            mfc="white",
            label=name,
            zorder=5,
        )


def _scale(axes: Axes, usd: pd.Series) -> None:
    """Use a log axis of costs, unless a query can be free."""
    if (usd > 0).all():
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
