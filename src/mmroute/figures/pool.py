"""Figures: what a router makes of a pool that grows, and of a model that is new."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from mmroute.experiments.pool import BEST_SINGLE, GROWTH, NEWCOMER, OLD_POOL
from mmroute.figures.cases import shorten

LABELS = {"nauc": "nAUC", "peak_score": "peak score"}
LONGEST_NAME = 24


def draw(table: pd.DataFrame, title: str) -> Figure:
    """Draw the growing pool above, new models below.

    Parameters
    ----------
    table
        The summary of ``mmroute.experiments.pool.findings``.
    title
        What the figure shows.
    """
    has_newcomers = (table["study"] == NEWCOMER).any()
    figure = plt.figure(figsize=(10, 8.6 if has_newcomers else 4.6), layout="constrained")
    upper, *lower = figure.subfigures(2 if has_newcomers else 1, 1, squeeze=False)[:, 0]
    _growth(upper, table)
    for part in lower:
        _arrival(part, table)
    figure.suptitle(title)
    return figure


def _growth(figure: SubFigure, table: pd.DataFrame) -> None:
    """Draw nAUC and peak score of each router as the pool grows, and of its best single model."""
    own = table[(table["study"] == GROWTH) & (table["minus"].fillna("") == "")]
    routers = [name for name in own["router"].unique() if name != BEST_SINGLE]
    colours = dict(zip(routers, sns.color_palette("colorblind", len(routers)), strict=True))
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (metric, label) in zip(panels, LABELS.items(), strict=True):
        part = own[own["metric"] == metric]
        for router, colour in colours.items():
            line = part[part["router"] == router]
            axes.plot(line["models"], line["value"], "o-", color=colour, ms=4, label=router)
            axes.fill_between(
                line["models"], line["low"], line["high"], color=colour, alpha=0.12, lw=0
            )
        single = part[part["router"] == BEST_SINGLE]
        axes.plot(single["models"], single["value"], "k:", lw=2, label="best single model")
        pools = part.drop_duplicates("models")
        names = [f"+ {shorten(name, LONGEST_NAME)}" for name in pools["model"]]
        axes.set_xticks(pools["models"], names, size=8, rotation=40, ha="right")
        plt.setp(axes.get_xticklabels(), rotation_mode="anchor")
        axes.set_title(label)
    panels[0].set_ylabel("value, with 95 % interval")
    figure.supxlabel("pool: every model up to this one, from the cheapest", fontsize="medium")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper", frameon=False)


def _arrival(figure: SubFigure, table: pd.DataFrame) -> None:
    """Draw what a new model brings by the number of its labels: each model, and their mean."""
    own = table[
        (table["study"] == NEWCOMER) & (table["metric"] == "nauc") & (table["minus"] == OLD_POOL)
    ].fillna({"model": ""})
    routers = own["router"].unique()
    counts = np.sort(own["labels"].unique())
    models = [name for name in own["model"].unique() if name]
    palette = sns.color_palette("colorblind" if len(models) <= 10 else "husl", len(models))
    colours = dict(zip(models, palette, strict=True))
    grid = figure.subplots(1, len(routers), sharex=True, sharey=True, squeeze=False)
    for axes, router in zip(grid.flat, routers, strict=True):
        _newcomers(axes, own[own["router"] == router], counts, colours)
        axes.set_title(router)
    names = ["all" if np.isinf(count) else f"{count:.0f}" for count in counts]
    grid[0, 0].set_xticks(range(len(names) + 1), ["0", *names])
    figure.supxlabel("labelled training samples of the new model", fontsize="medium")
    figure.supylabel("gain in nAUC over the pool without it", fontsize="medium")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, title="new model", loc="outside right upper", frameon=False)


def _newcomers(
    axes: Axes, own: pd.DataFrame, counts: np.ndarray, colours: dict[str, object]
) -> None:
    """Draw a line a model, and the mean with its intervals; without labels nothing is gained."""
    axes.axhline(0, color="0.6", lw=0.8)
    for model, line in own.groupby("model", sort=False):
        at = np.append(0, np.searchsorted(counts, line["labels"]) + 1)
        gain = np.append(0, line["value"])
        if model:
            label = shorten(model, LONGEST_NAME)
            axes.plot(at, gain, "-", color=colours[model], lw=1, label=label)
        else:
            axes.plot(at, gain, "o-", color="black", lw=2, ms=4, label="mean", zorder=4)
            axes.vlines(at[1:], line["low"], line["high"], color="black", lw=2, zorder=4)
