"""Figure: accuracy against cost at each lambda (VL-RouterBench)."""

import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from mmroute.presentation.figures import ACCURACY_LABEL, COST_LABEL, SINGLE_MODEL_COLOUR

_MARKERS = "osv^<>pPXd"


def draw(table: pd.DataFrame, title: str) -> Figure:
    """Draw each router's operating points, a star where training puts it.

    Parameters
    ----------
    table
        The summary of ``mmroute.experiments.vl.findings``.
    title
        What the figure shows.
    """
    values = table[table["metric"].isin(["cost", "accuracy"])]
    points = values.pivot(
        index=["router", "point", "lambda"], columns="metric", values="value"
    ).reset_index()
    figure, axes = plt.subplots(figsize=(9, 5.6))
    routers = [name for name in table["router"].unique() if name not in ("oracle", "best_single")]
    palette = sns.color_palette("colorblind" if len(routers) <= 10 else "husl", len(routers))
    for index, (router, colour) in enumerate(zip(routers, palette, strict=True)):
        own = points[points["router"] == router]
        marker = _MARKERS[index % len(_MARKERS)]
        _draw_grid(axes, own, f"{marker}-", color=colour, ms=4, lw=1, label=router)
        _draw_point(axes, own, "training", "*", color=colour, ms=13, mec="black", mew=0.7, zorder=5)
    shown = points[points["router"] != "oracle"]
    _draw_point(
        axes,
        points[points["router"] == "best_single"],
        "test",
        "D",
        color=SINGLE_MODEL_COLOUR,
        mfc="none",
        ms=13,
        zorder=6,
        label="best single model (by rank score)",
    )
    oracle = points[points["router"] == "oracle"]
    if len(oracle):
        label = f"oracle (up to {oracle['accuracy'].max():.2f})"
        _draw_grid(axes, oracle, ":", color="black", label=label)
    margin = 0.06 * max(shown["accuracy"].max() - shown["accuracy"].min(), 0.02)
    axes.set_ylim(shown["accuracy"].min() - margin, shown["accuracy"].max() + 2 * margin)
    axes.set(xlabel=COST_LABEL, ylabel=ACCURACY_LABEL, title=title)
    axes.set_xscale("log" if (points["cost"] > 0).all() else "linear")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    handles, labels = axes.get_legend_handles_labels()
    star = Line2D([], [], ls="none", marker="*", ms=11, mfc="white", mec="black")
    axes.legend(
        [*handles, star],
        [*labels, "λ chosen on training data"],
        loc="upper left",
        bbox_to_anchor=(1.01, 1),
        frameon=False,
        title="router, one point per λ",
    )
    return figure


def _draw_grid(axes: Axes, own: pd.DataFrame, style: str, **look: object) -> None:
    grid = own[own["point"] == "grid"].sort_values("lambda")
    axes.plot(grid["cost"], grid["accuracy"], style, **look)


def _draw_point(axes: Axes, own: pd.DataFrame, point: str, marker: str, **look: object) -> None:
    chosen = own[own["point"] == point]
    axes.plot(chosen["cost"], chosen["accuracy"], marker, **look)
