"""Figures: frontiers against the single models, and the pool's own cost and accuracy."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from mmroute.evaluation.curve import Curve, frontier
from mmroute.presentation.figures import SINGLE_MODEL_COLOUR, draw_static, static_labels
from mmroute.presentation.labels import label_points
from mmroute.presentation.looks import ACCURACY_LABEL, COST_LABEL, as_mixed, usd_per_1000


def draw(
    name: str,
    frontiers: pd.DataFrame,
    bands: pd.DataFrame,
    calibration: pd.DataFrame,
    models: pd.DataFrame,
    title: str,
) -> Figure:
    """Draw ``fig4``, ``figS1``, ``calibration`` or ``models``."""
    match name:
        case "fig4":
            return frontier_figure(
                frontiers, bands, models, f"{title}: accuracy and cost of routing"
            )
        case "calibration":
            return calibration_figure(
                calibration[calibration["point"] == "peak"],
                f"{title}: predicted and observed accuracy at each router's peak",
            )
        case "figS1":
            return grid_figure(frontiers, models, f"{title}: accuracy and cost by data set")
        case "models":
            return pool_figure(models, f"{title}: the single models")
        case _:
            raise ValueError(name)


def frontier_figure(
    frontiers: pd.DataFrame,
    bands: pd.DataFrame,
    models: pd.DataFrame,
    title: str,
    dataset: str = "full",
) -> Figure:
    """Draw each router's frontier with its band, the single models, and their static mixtures.

    Parameters
    ----------
    frontiers
        ``router``, ``dataset``, ``trial``, ``cost`` (normalised), ``utility``.
    bands
        ``router``, ``dataset``, ``cost``, ``low``, ``high``.
    models
        ``dataset``, ``model``, ``cost`` (normalised), ``utility``, ``zero``, ``zero_hindsight``.
    title
        What the figure shows.
    dataset
        The data set, or ``full``.
    """
    figure, axes = plt.subplots(figsize=(9, 5.6))
    own = models[models["dataset"] == dataset]
    points = frontiers[frontiers["dataset"] == dataset]
    style = _style(frontiers)
    _draw(axes, points, style)
    draw_static(axes, own, legend=False)
    shown = bands[(bands["dataset"] == dataset) & (bands["router"] != "oracle")]
    for router, band in shown.groupby("router", sort=False):
        if len(band) > 1:
            colour, _ = style[str(router)]
            axes.fill_between(
                band["cost"], band["low"], band["high"], color=colour, alpha=0.12, lw=0
            )
    _focus(axes, points, own)
    for line in axes.lines:
        if line.get_label() == "oracle":
            line.set_label(f"oracle (up to {np.max(line.get_ydata()):.2f})")
    _label_models(axes, own, static_labels(own))
    _dollar_axis(axes, own)
    axes.set(xlabel=COST_LABEL, ylabel=ACCURACY_LABEL, title=title)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, title="router")
    return figure


def calibration_figure(calibration: pd.DataFrame, title: str) -> Figure:
    """Draw a reliability curve per router: observed against predicted utility of its choices.

    Parameters
    ----------
    calibration
        ``router``, ``predicted``, ``observed``, ``low``, ``high``: one operating
        point of each router. On the diagonal predictions mean what they say.
    title
        What the figure shows.
    """
    routers = calibration["router"].unique()
    columns = max(1, min(4, len(routers)))
    rows = max(1, -(-len(routers) // columns))
    figure, grid = plt.subplots(
        rows, columns, figsize=(2.8 * columns, 2.9 * rows), squeeze=False, layout="constrained"
    )
    for axes, router in zip(grid.flat, routers, strict=False):
        own = calibration[calibration["router"] == router]
        axes.plot([0, 1], [0, 1], ":", color="0.5")
        error = np.clip([own["observed"] - own["low"], own["high"] - own["observed"]], 0, None)
        axes.errorbar(own["predicted"], own["observed"], error, fmt="o-", ms=3.5, lw=1, capsize=2)
        axes.set(title=router, xlim=_around_unit(own["predicted"]), ylim=(-0.03, 1.03))
    for axes in grid.flat[len(routers) :]:
        axes.set_axis_off()
    figure.supxlabel("predicted utility of the chosen model", fontsize="medium")
    figure.supylabel("observed utility", fontsize="medium")
    figure.suptitle(title)
    return figure


def _around_unit(values: pd.Series) -> tuple[float, float]:
    """Limits that show 0 to 1, and predictions outside it where there are any."""
    return min(-0.03, values.min() - 0.03), max(1.03, values.max() + 0.03)


def grid_figure(frontiers: pd.DataFrame, models: pd.DataFrame, title: str) -> Figure:
    """Draw the frontiers of every data set, one panel each; single models are grey crosses."""
    datasets = [name for name in models["dataset"].unique() if name != "full"]
    columns = min(3, len(datasets))
    rows = -(-len(datasets) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(4 * columns, 3 * rows), squeeze=False, layout="constrained"
    )
    style = _style(frontiers)
    for axes, dataset in zip(grid.flat, datasets, strict=False):
        points = frontiers[frontiers["dataset"] == dataset]
        _draw(axes, points, style)
        draw_static(axes, models[models["dataset"] == dataset])
        own = models[models["dataset"] == dataset]
        axes.plot(own["cost"], own["utility"], "x", color=SINGLE_MODEL_COLOUR, label="single model")
        _log_cost(axes, own["cost"])
        axes.set(title=dataset, xlabel="mean cost per query (normalised)")
    for axes in grid.flat[len(datasets) :]:
        axes.set_axis_off()
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=min(5, len(labels)), frameon=False
    )
    figure.supylabel(ACCURACY_LABEL, fontsize="medium")
    figure.suptitle(title)
    return figure


def pool_figure(models: pd.DataFrame, title: str) -> Figure:
    """Draw cost and accuracy of the single models, and the frontier that they form."""
    own = models[models["dataset"] == "full"]
    figure, axes = plt.subplots(figsize=(8, 5))
    best = frontier(Curve(own["cost"].to_numpy(), own["utility"].to_numpy(), np.zeros(len(own))))
    axes.plot(
        best.cost, best.utility, "--", color="0.6", label="frontier of the single models", zorder=1
    )
    _label_models(axes, own)
    _dollar_axis(axes, own)
    axes.set(xlabel=COST_LABEL, ylabel=ACCURACY_LABEL, title=title)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    return figure


def _style(frontiers: pd.DataFrame) -> dict[str, tuple[object, str]]:
    routers = frontiers["router"].unique()
    palette = sns.color_palette("colorblind" if len(routers) <= 10 else "husl", len(routers))
    return {
        router: ("black", ":") if router == "oracle" else (colour, "-")
        for router, colour in zip(routers, palette, strict=True)
    }


def _draw(axes: Axes, frontiers: pd.DataFrame, style: dict[str, tuple[object, str]]) -> None:
    """Draw a line of mixtures per router; a router with one operating point is a diamond."""
    for router, points in frontiers.groupby("router", sort=False):
        colour, dash = style[str(router)]
        by_trial = points.groupby("trial")
        if (by_trial.size() == 1).all():
            mean = points[["cost", "utility"]].mean()
            axes.plot(mean["cost"], mean["utility"], "D", color=colour, label=router, zorder=4)
        else:
            first = points[points["trial"] == 0]
            line = as_mixed(first["cost"].to_numpy(), first["utility"].to_numpy())
            axes.plot(*line, dash, color=colour, lw=1.8, label=router, zorder=3)


def _label_models(
    axes: Axes,
    models: pd.DataFrame,
    lines_at: Sequence[tuple[float, float, str, str]] = (),
) -> None:
    """Draw the models as labelled points, and labels of lines as from ``static_labels``."""
    models = models[models["cost"].notna()]
    axes.scatter(models["cost"], models["utility"], s=28, color=SINGLE_MODEL_COLOUR, zorder=5)
    _log_cost(axes, models["cost"])
    label_points(axes, models[["cost", "utility"]].to_numpy(), list(models["model"]), lines_at)


def _focus(axes: Axes, frontiers: pd.DataFrame, models: pd.DataFrame) -> None:
    """Let routers and models fill the panel; the oracle leaves it and its peak is in the legend."""
    routers = frontiers["utility"][frontiers["router"] != "oracle"]
    shown = pd.concat([routers, models["utility"]]).dropna()
    margin = 0.12 * max(shown.max() - shown.min(), 0.02)
    axes.set_ylim(shown.min() - margin, shown.max() + 2 * margin)


def _log_cost(axes: Axes, cost: pd.Series) -> None:
    """Use a log axis; a free model stands on a short linear stretch at its left end."""
    positive = cost[cost > 0]
    if len(positive) == len(cost):
        axes.set_xscale("log")
    elif len(positive):
        axes.set_xscale("symlog", linthresh=positive.min())
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())


def _dollar_axis(axes: Axes, models: pd.DataFrame) -> None:
    """Show on top what the normalised cost is in USD."""
    unit = usd_per_1000(models)
    top = axes.secondary_xaxis(
        "top", functions=(lambda cost: np.multiply(cost, unit), lambda usd: np.divide(usd, unit))
    )
    top.set_xlabel("USD per 1,000 queries")
    top.xaxis.set_major_formatter("{x:g}")
    top.xaxis.set_minor_formatter(NullFormatter())
