"""VL-RouterBench's protocol: accuracy, cost and rank score over a grid of lambdas.

A router that is trained once per lambda has an operating point for each. Any other is
followed by the ``lambda`` policy, and shown at the published lambdas. Lambdas are per USD. The
paper reports the point whose rank score is best on the evaluation samples themselves;
here the point that was best on the development samples comes first. As published the
rank score is between the mean costs of single models over all samples, whatever split.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from mmroute.evaluation.carrier import Carrier
from mmroute.evaluation.curve import Policy, frontier, steps_of, trace, training_frontier
from mmroute.evaluation.metrics import BEST_SINGLE, single_models
from mmroute.evaluation.setting import Setting
from mmroute.evaluation.static import (
    STATIC,
    ZERO,
    ZERO_HINDSIGHT,
    mixed_rank_score,
    static_models,
)
from mmroute.experiments import Experiment
from mmroute.predictions import Predictions
from mmroute.presentation.figures import SINGLE_MODEL_COLOUR, draw_static
from mmroute.presentation.looks import ACCURACY_LABEL, COST_LABEL
from mmroute.presentation.tables import format_interval
from mmroute.rank_score import cost_range, rank_score
from mmroute.routers.soft_labels import GRID, INFINITE

POLICY: Policy = "lambda"
CLEAR = 0.1
"""A router that is further behind the oracle than this part of what ``zero`` is, is clearly so."""
_MARKERS = "osv^<>pPXd"
Bounds = tuple[np.ndarray, np.ndarray]
"""The (1,) ends of the rank score's scale of costs."""


class VL(Experiment):
    """Each router at the lambdas of its grid."""

    name = "vl"
    output = "vl_main"
    title = "VL-RouterBench's protocol"
    question = (
        "Each router at one operating point per lambda of its grid. The point was chosen on the "
        "development samples, which no router learned from, or without any (split.development) on "
        "cross-fitted training predictions; beside it the one that looks best on the test split, "
        "as published. "
        "The third measure, throughput, stands at the end of the report, under machine and time."
    )
    protocol = (
        "a lambda of the grid, or the best of them on the test split, without a grid the best of "
        "all; costs of single models over all samples bound the rank score"
    )
    studied = False
    routers = (
        "random",
        "cheapest",
        "strongest",
        "strongest_per_dataset",
        "prknn",
        "knn_vl",
        "kmeans_vl",
        "linear_vl",
        "mlp_vl",
        "ovr",
        "cosinecls",
        "routerdc",
        "zooter",
        "vlc",
        "oracle",
    )
    figure = True

    def findings(
        self,
        setting: Setting,
        predictions: Mapping[str, Predictions],
        crossfit: Mapping[str, Predictions],
    ) -> pd.DataFrame:
        """Measure the operating points of every router on all evaluation samples.

        Parameters
        ----------
        setting
            What to measure with, but for its policy family.
        predictions, crossfit
            By router, of the evaluation samples and, cross-fitted, of the training samples.

        Returns
        -------
        Findings with the keys ``router``, ``point`` and ``lambda``. A point is

        - ``grid``: at the lambda of that column;
        - ``training``: where the rank score is largest on the development samples; without
          any on the training split;
        - ``test``: where it is largest on the evaluation samples, as published; the
          samples that chose it flatter it.

        Metrics are ``accuracy``, ``cost`` (normalised), ``cost_usd`` and ``rank_score``;
        of the last two points also ``lambda``. They are means over the trials of a router
        that draws. The points of ``best_single`` are the single models: it is the one of
        the largest rank score, and its rank score is subtracted from the routers' at
        ``training``; so are those of ``zero``, the static mixture that training chose, and of
        the ``oracle``. ``clear_gap`` is how much more the oracle is ahead than a tenth of what it
        is ahead of ``zero``. At ``cross-fitted`` stands the largest rank score on the same
        samples, to choose a router by. Those of ``zero`` and ``zero_hindsight`` are the models,
        ``model <name>``, whose static mixtures are best on the training split and on the
        evaluation samples.
        """
        table, training = setting.table, setting.training
        weights = setting.weights().astype(np.float64)
        singles = single_models(table.utility, table.cost / setting.unit, weights)
        learned = single_models(training.utility, training.cost / setting.unit)
        everything = single_models(setting.benchmark.table.utility, setting.benchmark.table.cost)
        bounds = cost_range(everything.cost / setting.unit)
        held = setting.benchmark.held_out
        choosing = np.arange(len(training.samples)) if held is None else np.flatnonzero(held)
        rows = []
        references = {}
        for point, known in (("training", learned), ("test", singles)):
            # In a resample it stays the model that was best on the sample.
            model = np.full(len(weights), _best(known.utility[0], known.cost[0], bounds))
            cost, utility = singles.of(model)
            references[point] = _metrics(utility, cost, bounds, setting.unit)
            rows += [
                (BEST_SINGLE, point, np.nan, metric, "", own)
                for metric, own in references[point].items()
            ]
        rows += [
            (name, f"model {table.model_names[model]}", np.nan, metric, "", matrix[:, model])
            for name, known in ((ZERO, learned), (ZERO_HINDSIGHT, singles))
            for model in static_models(known, singles)
            for metric, matrix in (("accuracy", singles.utility), ("cost", singles.cost))
        ]
        scores: dict[str, np.ndarray] = {}
        static = mixed_rank_score(learned, singles, static_models(learned, singles), bounds)
        for router, own in predictions.items():
            grid = np.array(GRID) if own.grid is None else own.grid
            points = [("grid", value) for value in grid] + [("training", np.nan), ("test", np.nan)]
            curve = training_frontier(
                crossfit[router].take(choosing),
                training.utility[choosing],
                training.cost[choosing] / setting.unit,
                POLICY,
            )
            chosen = curve.threshold[_best(curve.utility, curve.cost, bounds)]
            carrier = Carrier.of(
                crossfit[router], training.utility, training.cost / setting.unit, POLICY
            )
            measured = _measure(setting, own, grid, carrier, chosen, weights, bounds)
            for metric, replicates in measured.items():
                rows += [
                    (router, *point, metric, "", values)
                    for point, values in zip(points, replicates, strict=True)
                    if metric != "lambda" or point[0] != "grid"
                ]
            own_score = measured["rank_score"][-2]
            others = {BEST_SINGLE: references["training"]["rank_score"], ZERO: static}
            rows += [
                (router, *points[-2], "rank_score", minus, own_score - other)
                for minus, other in others.items()
            ]
            best = rank_score(curve.utility, curve.cost, *bounds).max()
            rows.append((router, "cross-fitted", np.nan, "rank_score", "", np.full(1, best)))
            scores[router] = own_score
        rows += [
            (router, "training", np.nan, metric, "oracle", values)
            for router, own in scores.items()
            if "oracle" in scores and router != "oracle"
            for ahead in [scores["oracle"] - own]
            for metric, values in (
                ("rank_score", -ahead),
                ("clear_gap", ahead - CLEAR * (scores["oracle"] - static)),
            )
        ]
        columns = ["router", "point", "lambda", "metric", "minus", "replicates"]
        return pd.DataFrame(rows, columns=columns)

    def present(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return ``vl_main`` as text: each router where training chose it, and at its best.

        Parameters
        ----------
        table
            Summarised findings.
        """
        usd = table["metric"] == "cost_usd"
        scaled = table.assign(
            **{bound: table[bound] * np.where(usd, 1000, 1) for bound in ("value", "low", "high")}
        )
        chosen = scaled[scaled["point"] != "grid"].fillna({"minus": ""})
        keys = chosen[["router", "point", "metric", "minus"]].itertuples(index=False, name=None)
        numbers = chosen[["value", "low", "high"]].itertuples(index=False, name=None)
        cells = {
            key: _lambda(value) if key[2] == "lambda" else format_interval(value, *bounds)
            for key, (value, *bounds) in zip(keys, numbers, strict=True)
        }
        columns = {
            "λ (per USD)": ("training", "lambda", ""),
            "accuracy": ("training", "accuracy", ""),
            "cost (normalised)": ("training", "cost", ""),
            "cost (USD per 1,000 queries)": ("training", "cost_usd", ""),
            "rank score": ("training", "rank_score", ""),
            "rank score minus the best single model's": ("training", "rank_score", BEST_SINGLE),
            "rank score minus the best static mixture's": ("training", "rank_score", ZERO),
            "λ (per USD), best on test": ("test", "lambda", ""),
            "accuracy, best on test": ("test", "accuracy", ""),
            "cost (normalised), best on test": ("test", "cost", ""),
            "rank score, best on test": ("test", "rank_score", ""),
        }
        return pd.DataFrame(
            {
                "router": router,
                **{header: cells.get((router, *key), "–") for header, key in columns.items()},
            }
            for router in table["router"].unique()
            if router not in STATIC
        )

    def draw(self, table: pd.DataFrame, title: str) -> Figure:
        """Draw each router's operating points, a star where training puts it.

        Parameters
        ----------
        table
            The summary of ``findings``.
        title
            What the figure shows.
        """
        values = table[table["metric"].isin(["cost", "accuracy"])]
        points = values.pivot(
            index=["router", "point", "lambda"], columns="metric", values="value"
        ).reset_index()
        figure, axes = plt.subplots(figsize=(9, 5.6))
        routers = [
            name
            for name in table["router"].unique()
            if name not in ("oracle", BEST_SINGLE, *STATIC)
        ]
        mixed = points[points["router"].isin(STATIC)].rename(columns={"accuracy": "utility"})
        draw_static(axes, mixed.assign(**{name: mixed["router"] == name for name in STATIC}))
        palette = sns.color_palette("colorblind" if len(routers) <= 10 else "husl", len(routers))
        for index, (router, colour) in enumerate(zip(routers, palette, strict=True)):
            own = points[points["router"] == router]
            marker = _MARKERS[index % len(_MARKERS)]
            _draw_grid(axes, own, f"{marker}-", color=colour, ms=4, lw=1, label=router)
            _draw_point(
                axes, own, "training", "*", color=colour, ms=13, mec="black", mew=0.7, zorder=5
            )
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
            [*labels, "λ chosen on development or training data"],
            loc="upper left",
            bbox_to_anchor=(1.01, 1),
            frameon=False,
            title="router, one point per λ",
        )
        return figure


def _lambda(value: float) -> str:
    return "∞" if value >= INFINITE else f"{value:.3g}"


def _measure(
    setting: Setting,
    predictions: Predictions,
    grid: np.ndarray,
    carrier: Carrier,
    chosen: float,
    weights: np.ndarray,
    bounds: Bounds,
) -> dict[str, np.ndarray]:
    """Return (G + 2, 1 + B) replicates at each lambda of the grid, ``training`` and ``test``."""
    utility, paid = setting.table.utility, predictions.paid(setting.table.cost / setting.unit)
    trials = []
    for trial in range(len(predictions.u_hat)):
        steps = steps_of(predictions, trial, np.isfinite(utility), POLICY)
        curve = frontier(trace(steps, utility, paid, POLICY))
        best = curve.threshold[_best(curve.utility, curve.cost, bounds)]
        foreseen = carrier.foreseen(steps, predictions.c_hat[trial], POLICY)
        carried = carrier.carry(np.array([chosen]), foreseen)
        # The policy's lambda is of normalised costs, a grid's of USD.
        unit = setting.unit if predictions.grid is None else 1
        lambdas = np.array([*(grid * unit), *carried, best])
        choices = np.stack([steps.choices(value) for value in lambdas], axis=1)
        accuracy, cost = (
            (weights @ np.take_along_axis(outcome, choices, axis=1)).T / weights.sum(axis=1)
            for outcome in (utility, paid)
        )
        own = _metrics(accuracy, cost, bounds, setting.unit)
        trials.append(own | {"lambda": np.tile(lambdas[:, None] / unit, len(weights))})
    return {metric: np.mean([own[metric] for own in trials], axis=0) for metric in trials[0]}


def _metrics(
    accuracy: np.ndarray, cost: np.ndarray, bounds: Bounds, unit: float
) -> dict[str, np.ndarray]:
    return {
        "accuracy": accuracy,
        "cost": cost,
        "cost_usd": cost * unit,
        "rank_score": rank_score(accuracy, cost, *bounds),
    }


def _best(utility: np.ndarray, cost: np.ndarray, bounds: Bounds) -> int:
    """Return which point's rank score is largest."""
    return int(np.nanargmax(rank_score(utility, cost, *bounds)))


def _draw_grid(axes: Axes, own: pd.DataFrame, style: str, **look: Any) -> None:
    grid = own[own["point"] == "grid"].sort_values("lambda")
    axes.plot(grid["cost"], grid["accuracy"], style, **look)


def _draw_point(axes: Axes, own: pd.DataFrame, point: str, marker: str, **look: Any) -> None:
    chosen = own[own["point"] == point]
    axes.plot(chosen["cost"], chosen["accuracy"], marker, **look)
