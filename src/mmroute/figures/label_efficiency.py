"""Figure: what more labels bring."""

import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from mmroute.experiments.label_efficiency import BEST_SINGLE, STRONGEST

PANELS = {"nauc": "nAUC", "peak_score": "peak score"}


def draw(table: pd.DataFrame, title: str) -> Figure:
    """Draw nAUC and peak score of each router by its labelled queries, with intervals.

    Parameters
    ----------
    table
        The summary of ``mmroute.experiments.label_efficiency.findings``.
    title
        What the figure shows.
    """
    values = table[table["minus"].fillna("") == ""]
    labels = values[values["metric"] == "labels"].set_index("fraction")["value"]
    measured = values[values["metric"].isin(PANELS)]
    single = measured[measured["router"] == BEST_SINGLE].set_index("metric")["value"]
    lines = measured[measured["router"] != BEST_SINGLE]
    routers = [name for name in lines["router"].unique() if name != STRONGEST]
    looks = {
        name: {"color": colour, "marker": "o", "ls": "-"}
        for name, colour in zip(routers, sns.color_palette("colorblind", len(routers)), strict=True)
    }
    looks[STRONGEST] = {"color": "0.4", "marker": "s", "ls": "--"}
    figure, panels = plt.subplots(1, 2, figsize=(10, 4.2), sharey=True, layout="constrained")
    for axes, (metric, heading) in zip(panels, PANELS.items(), strict=True):
        for router, look in looks.items():
            own = lines[(lines["router"] == router) & (lines["metric"] == metric)]
            own = own.sort_values("fraction")
            counts = own["fraction"].map(labels)
            name = f"{router} (same labels)" if router == STRONGEST else router
            axes.plot(counts, own["value"], ms=4, label=name, **look)
            axes.fill_between(
                counts, own["low"], own["high"], color=look["color"], alpha=0.08, lw=0
            )
        axes.axhline(single[metric], color="black", ls=":", lw=2, label="best single model")
        axes.set_xscale("log")
        ticks = [f"{count:.0f}\n{fraction:.0%}" for fraction, count in labels.items() if count]
        axes.set_xticks(labels[labels > 0], ticks, size=7)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_title(heading)
    panels[0].set_ylabel("value, with 95 % interval")
    figure.supxlabel("labelled queries, and their share of all", fontsize="medium")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper", frameon=False)
    figure.suptitle(title)
    return figure
