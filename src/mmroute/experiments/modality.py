"""What do text, image and both together tell a router (definitions, section 7).

MMR-Bench 3.2, Figure 2: the same routers on features of the text alone, of the image
alone, and of both. The k-means router is swept over lambda and the number of clusters.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import pandas as pd
import seaborn as sns
from annotated_types import Ge, MinLen
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from sklearn.base import clone
from tqdm import tqdm

from mmroute.evaluation.bootstrap import evaluation_weights
from mmroute.evaluation.curve import Curve, Policy, frontier, steps_of, trace
from mmroute.evaluation.metrics import ROUNDING, single_models
from mmroute.evaluation.static import STATIC, ZERO, ZERO_HINDSIGHT, static_models
from mmroute.experiments import Experiment
from mmroute.experiments.findings import METRICS, difference, measure
from mmroute.outcomes.benchmark import Benchmark
from mmroute.predictions import Predictions
from mmroute.presentation.figures import SINGLE_MODEL_COLOUR, draw_static, panels
from mmroute.presentation.looks import ACCURACY_LABEL, COST_LABEL, as_mixed
from mmroute.presentation.tables import format_interval
from mmroute.routers.kmeans import KMeans
from mmroute.training import train_and_predict

UNIMODAL = ("text", "image")
SINGLE_MODEL = "single_model"
KEYS = ["router", "features", "model", "budget", "metric", "minus"]
N_BUDGETS = 40
"""Costs at which a frontier is shown, besides its end."""
PER_ROW = 2
DASHES = ("--", ":")
"""Of the text's and the image's frontier; those of both modalities are solid."""


class Modality(Experiment):
    """Each router on features of the text, of the image, and of both.

    Parameters
    ----------
    n_clusters
        Numbers of clusters that ``KMeans`` is swept over.
    """

    name = "modality"
    output = "fig2"
    title = "Text, image or both"
    question = (
        "What do features of the text, of the image, and of both together tell a router? The "
        "number of clusters and lambda are swept on the test split, as published (MMR-Bench, "
        "Figure 2)."
    )
    trains = True
    fusions = ("text", "image", "concat", "adaptive")
    figure = True

    def __init__(
        self,
        n_clusters: Annotated[tuple[Annotated[int, Ge(1)], ...], MinLen(1)] = (5, 10, 20, 40, 80),
    ) -> None:
        self.n_clusters = n_clusters

    def findings(
        self,
        benchmark: Benchmark,
        features: Mapping[str, np.ndarray],
        routers: Mapping[str, Any],
        policy: Policy,
        n_resamples: int,
        seed: int,
    ) -> pd.DataFrame:
        """Measure each router on each features, on all evaluation samples.

        A ``KMeans`` is trained once for each number of clusters, and its frontier is the one
        of all these curves together. That is the published protocol: lambda and the number
        of clusters are chosen on the samples that measure them, which flatters every
        frontier, though all features alike. Other routers keep their one setting. More curves
        never lower a joint frontier's ``peak_score`` nor raise its ``qnc``, but they can lower
        its ``nauc``: p(c) joins all frontier points, and a new one may lie below the line
        between its neighbours (definitions, section 4).

        Parameters
        ----------
        benchmark
            Outcomes and splits.
        features
            Name to (N, d) features of all N samples, fitted on the training split: ``text``,
            ``image``, and fusions of both.
        routers
            Name to router, which is copied.
        policy
            Policy family of the operating curve.
        n_resamples, seed
            The bootstrap's.

        Returns
        -------
        Findings with the keys ``router``, ``features``, ``model`` and ``budget``.

        - ``nauc``, ``peak_score`` and ``qnc`` of each router and features, those of a fusion
          also ``minus`` the ``text`` and the ``image``. Means over the trials of a router
          that draws.
        - ``accuracy`` and ``cost`` (normalised) of the frontier's most accurate point at a
          cost of at most ``budget``; infinite: its end. A budget below the frontier is left
          out. In a resample the point stays what it was on the sample. Of the first trial.
        - ``accuracy`` and ``cost`` of each ``model``, with the router ``single_model``; with
          ``zero`` or ``zero_hindsight`` once more if it is one of the static mixtures' models.
        """
        test = benchmark.test
        weights = evaluation_weights(benchmark, n_resamples, seed)
        outcomes = test.utility, test.cost / benchmark.unit, weights
        singles = single_models(*outcomes)
        budgets = _budgets(benchmark.table.cost / benchmark.unit)
        rows = [
            (SINGLE_MODEL, "", model, np.nan, metric, "", replicates)
            for metric, matrix in (("accuracy", singles.utility), ("cost", singles.cost))
            for model, replicates in zip(test.model_names, matrix.T, strict=True)
        ]
        train = benchmark.train
        known = single_models(train.utility, train.cost / benchmark.unit)
        rows += [
            (name, "", test.model_names[model], np.nan, metric, "", matrix[:, model])
            for name, of in ((ZERO, known), (ZERO_HINDSIGHT, singles))
            for model in static_models(of, singles)
            for metric, matrix in (("accuracy", singles.utility), ("cost", singles.cost))
        ]
        with tqdm(total=len(routers) * len(features), desc="modalities", mininterval=5) as progress:
            for router, prototype in routers.items():
                measured = {}
                for name, inputs in features.items():
                    settings = [
                        train_and_predict(setting, benchmark, inputs)
                        for setting in _settings(prototype, self.n_clusters)
                    ]
                    measured[name] = measure(settings, *outcomes, singles, policy)
                    points = _frontier(settings, *outcomes, policy, budgets)
                    rows += [(router, name, "", *point) for point in points]
                    progress.update()
                for name, own in measured.items():
                    key = router, name, "", np.nan
                    rows += [(*key, metric, "", own[metric]) for metric in METRICS]
                    rows += [
                        (*key, metric, other, difference(own[metric], measured[other][metric]))
                        for other in UNIMODAL
                        if name not in UNIMODAL
                        for metric in METRICS
                    ]
        return pd.DataFrame(rows, columns=[*KEYS, "replicates"])

    def present(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return, for people, each router's metrics by features and what both modalities add.

        Parameters
        ----------
        table
            The summary of ``findings``.
        """
        table = table[table["metric"].isin(METRICS)].fillna({"minus": ""})
        shown = map(format_interval, table["value"], table["low"], table["high"])
        table = table.assign(shown=list(shown))
        rows = []
        for (router, features), own in table.groupby(["router", "features"], sort=False):
            cells = own.set_index(["metric", "minus"])["shown"]
            rows.append(
                {
                    "Router": router,
                    "Features": features,
                    "nAUC": cells["nauc", ""],
                    "nAUC, minus text": cells.get(("nauc", "text"), "–"),
                    "nAUC, minus image": cells.get(("nauc", "image"), "–"),
                    "Peak score": cells["peak_score", ""],
                    "Peak score, minus text": cells.get(("peak_score", "text"), "–"),
                    "Peak score, minus image": cells.get(("peak_score", "image"), "–"),
                    "QNC": cells["qnc", ""],
                }
            )
        return pd.DataFrame(rows)

    def draw(self, table: pd.DataFrame, title: str) -> Figure:
        """Draw the frontier of each features, a panel a router, against models and their mixtures.

        Parameters
        ----------
        table
            The summary of ``findings``.
        title
            What the figure shows.
        """
        points = table[table["metric"].isin(["accuracy", "cost"])].pivot(
            index=["router", "features", "model", "budget"], columns="metric", values="value"
        )
        points = points.reset_index().sort_values("budget", kind="stable")
        routed = table[~table["router"].isin((SINGLE_MODEL, *STATIC))]
        routers, names = routed["router"].unique(), routed["features"].unique()
        colours = dict(zip(names, sns.color_palette("colorblind", len(names)), strict=True))
        dashes = dict(zip(UNIMODAL, DASHES, strict=True))
        models = points[points["router"] == SINGLE_MODEL].rename(columns={"accuracy": "utility"})
        mixed = points.groupby("router")["model"].agg(set)
        models = models.assign(**{name: models["model"].isin(mixed[name]) for name in STATIC})
        figure, grid = panels(len(routers), PER_ROW, 4, 3.2, (1.4, 0.8))
        for axes, router in zip(grid, routers, strict=False):
            axes.plot(
                models["cost"],
                models["utility"],
                "x",
                color=SINGLE_MODEL_COLOUR,
                label="single model",
            )
            draw_static(axes, models)
            for features, colour in colours.items():
                line = points[(points["router"] == router) & (points["features"] == features)]
                axes.plot(
                    *as_mixed(line["cost"].to_numpy(), line["accuracy"].to_numpy()),
                    dashes.get(features, "-"),
                    color=colour,
                    marker="o",
                    ms=4,
                    markevery=[-1],
                    label=features,
                )
            axes.set_title(router)
        _scale(grid[0], points["cost"].dropna())
        figure.legend(
            *grid[0].get_legend_handles_labels(),
            title="features (dot: peak)",
            loc="outside right upper",
            frameon=False,
        )
        figure.supxlabel(COST_LABEL, fontsize="medium")
        figure.supylabel(ACCURACY_LABEL, fontsize="medium")
        figure.suptitle(title)
        return figure


def _settings(prototype: Any, n_clusters: Sequence[int]) -> list[Any]:
    if not isinstance(prototype, KMeans):
        return [clone(prototype)]
    return [clone(prototype).set_params(n_clusters=count) for count in n_clusters]


def _budgets(cost: np.ndarray) -> np.ndarray:
    """Return costs from the cheapest to the most expensive model's mean, then infinity.

    Over both splits, so that they are the same under every salt.
    """
    means = np.nanmean(cost, axis=0)
    low, high = means.min(), means.max()
    if high == 0:
        return np.array([np.inf])
    return np.append(np.geomspace(low if low > 0 else high * 1e-4, high, N_BUDGETS), np.inf)


def _frontier(
    settings: Sequence[Predictions],
    utility: np.ndarray,
    cost: np.ndarray,
    weights: np.ndarray,
    policy: Policy,
    budgets: np.ndarray,
) -> list[tuple[float, str, str, np.ndarray]]:
    """Return budget, metric, no ``minus``, and replicates of the joint frontier's points."""
    observed, paid = np.isfinite(utility), settings[0].paid(cost)
    steps = [steps_of(own, 0, observed, policy) for own in settings]
    curves = [trace(one, utility, paid, policy) for one in steps]
    setting = np.repeat(np.arange(len(curves)), [len(curve) for curve in curves])
    costs, utilities, thresholds = (
        np.concatenate([getattr(curve, name) for curve in curves])
        for name in ("cost", "utility", "threshold")
    )
    best = frontier(Curve(costs, utilities, np.arange(len(costs))))
    shown = np.searchsorted(best.cost, budgets + ROUNDING, side="right") - 1
    budgets, shown = budgets[shown >= 0], shown[shown >= 0]
    points, position = np.unique(best.threshold[shown], return_inverse=True)
    choices = np.stack(
        [steps[setting[point]].choices(thresholds[point]) for point in points], axis=1
    )
    weights = weights.astype(float)
    rows = []
    for metric, matrix in (("accuracy", utility), ("cost", paid)):
        means = weights @ np.take_along_axis(matrix, choices, axis=1)
        means /= weights.sum(axis=1, keepdims=True)
        rows += [
            (budget, metric, "", means[:, point])
            for budget, point in zip(budgets, position, strict=True)
        ]
    return rows


def _scale(axes: Axes, cost: pd.Series) -> None:
    """Use a log axis of costs, unless a query can be free."""
    if (cost > 0).all():
        axes.set_xscale("log")
        subs = (1, 2, 5) if cost.max() < 100 * cost.min() else (1,)
        axes.xaxis.set_major_locator(LogLocator(subs=subs, numticks=8))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
