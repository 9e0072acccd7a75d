"""Do routers adapt when a model is added or removed: an open question of the article (section 7).

Three studies. ``leave_one_out``: each model is removed in turn. ``newcomer``: each model
in turn is new and has been tried on few training samples. ``growth``: the pool grows
from the cheapest model to all. The router is trained anew each time. A fourth of routers that
need not be: ``joined``, in which the newcomers are added to one trained without them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from sklearn.base import clone
from tqdm import tqdm

from mmroute.errors import InputError
from mmroute.evaluation.bootstrap import curve_metrics, evaluation_weights
from mmroute.evaluation.curve import Policy, steps_of
from mmroute.evaluation.metrics import BEST_SINGLE, SingleModels, single_models
from mmroute.evaluation.static import ZERO
from mmroute.experiments import Experiment
from mmroute.experiments.findings import best_single, difference, zero
from mmroute.outcomes.benchmark import Benchmark
from mmroute.predictions import Predictions
from mmroute.presentation.figures import STATIC_LINES, shorten
from mmroute.presentation.tables import format_interval
from mmroute.routers import DynamicRouter
from mmroute.storage import digest_bytes
from mmroute.training import Inputs, predict_test, take, train, train_and_predict

LEAVE_ONE_OUT, NEWCOMER, GROWTH = "leave_one_out", "newcomer", "growth"
JOINED = "joined"
FULL_POOL, OLD_POOL = "full_pool", "old_pool"
METRICS = ("nauc", "peak_score", "qnc")
LABELS = (16, 64, 256)
ALL = np.inf
"""Labels of a model whose outcomes are all known."""
PANELS = {"nauc": "nAUC", "peak_score": "peak score"}
LONGEST_NAME = 24
KEYS = ["study", "router", "model", "models", "labels", "metric", "minus"]

Measured = dict[str, np.ndarray]


@dataclass(frozen=True)
class Variation:
    """A pool that is not the whole one, or not known as well.

    Attributes
    ----------
    study, model
        As in the findings.
    columns
        Models of the pool, by index.
    labels
        On how many training samples the outcome of ``model`` is known.
    """

    study: str
    model: str
    columns: tuple[int, ...]
    labels: float = ALL

    def apply(self, benchmark: Benchmark) -> Benchmark:
        """Return the benchmark of this pool, without samples on which none of it was observed."""
        table = benchmark.table
        if self.labels < ALL:
            model = table.model_names.index(self.model)
            hidden = _known(benchmark, model)[int(self.labels) :], model
            matrices = {
                name: getattr(table, name).copy()
                for name in ("utility", "cost", "prompt_tokens", "completion_tokens")
            }
            for matrix in matrices.values():
                matrix[hidden] = np.nan
            table = replace(table, **matrices)
        table = table.take(columns=self.columns)
        observed = np.isfinite(table.utility).any(axis=1)
        return Benchmark(
            table, benchmark.unit, benchmark.in_train & observed, benchmark.in_test & observed
        )


def variations(benchmark: Benchmark, newcomers: Sequence[str]) -> list[Variation]:
    """List every pool to train on; the last of ``growth`` is the whole one."""
    names = benchmark.table.model_names
    everyone = tuple(range(len(names)))
    by_cost = _by_cost(benchmark)
    varied = []
    if len(names) > 1:
        varied += [
            Variation(LEAVE_ONE_OUT, name, (*everyone[:model], *everyone[model + 1 :]))
            for model, name in enumerate(names)
        ]
        varied += [
            Variation(NEWCOMER, name, everyone, count)
            for name in newcomers
            for count in LABELS
            if count < len(_known(benchmark, names.index(name)))
        ]
    grown = [tuple(sorted(by_cost[: size + 1])) for size in everyone]
    return varied + [
        Variation(GROWTH, names[model], columns)
        for model, columns in zip(by_cost, grown, strict=True)
    ]


def joins(benchmark: Benchmark, varied: Sequence[Variation]) -> list[Variation]:
    """List the pools of ``newcomer`` as a model joins them: as the last one."""
    names = benchmark.table.model_names
    joined = []
    for one in varied:
        if one.study == NEWCOMER:
            new = names.index(one.model)
            old = (model for model in one.columns if model != new)
            joined.append(replace(one, study=JOINED, columns=(*old, new)))
    return joined


def _known(benchmark: Benchmark, model: int) -> np.ndarray:
    """Return the training samples on which a model was observed, by the hash of their groups."""
    rows = np.flatnonzero(benchmark.in_train & np.isfinite(benchmark.table.utility[:, model]))
    keys = benchmark.table.samples["group"].iloc[rows]
    return rows[np.argsort([digest_bytes(key.encode()) for key in keys], kind="stable")]


class Pool(Experiment):
    """Each router on pools with a model less, with a new one, and of growing size.

    Parameters
    ----------
    newcomers
        Models of the study of that name; None: the cheapest, the middle one and the
        dearest by mean cost.
    """

    name = "pool"
    output = "pool"
    title = "When the pool changes"
    question = (
        "What happens when a model leaves, when one arrives with few labelled queries, and when "
        "the pool grows from cheap to dear?"
    )
    trains = True
    routers = ("uniroute",)
    figure = True

    def __init__(self, newcomers: list[str] | None = None) -> None:
        self.newcomers = newcomers

    def findings(
        self,
        benchmark: Benchmark,
        features: Mapping[str, Inputs],
        routers: Mapping[str, Any],
        policy: Policy,
        n_resamples: int,
        seed: int,
    ) -> pd.DataFrame:
        """Measure each router on changing pools, on all evaluation samples.

        One yardstick serves all pools: see ``yardstick``. A sample on which no model of a
        pool was observed is left out of that pool's measurement.

        Parameters
        ----------
        benchmark
            The whole pool's, K models.
        features
            What each router reads of all N samples, by the router's name.
        routers
            Name to router, which is copied.
        policy
            Policy family of the operating curve.
        n_resamples, seed
            The bootstrap's.

        Returns
        -------
        Findings with the keys ``study``, ``router``, ``model``, ``models``: the size of the
        pool, and ``labels``, infinite where all are known. Metrics are ``nauc``,
        ``peak_score`` and ``qnc``, means over the trials of a router that draws.

        - ``leave_one_out``: without ``model``; also ``minus`` the ``full_pool``.
        - ``newcomer``: ``model`` is new, and its outcome is known on ``labels`` training
          samples, the first by the hash of their groups; the other models' are all known. With
          0 no router can know it: the pool without it. Counts that are not below the number
          of its training outcomes are left out, as they are all of them. Also ``minus`` the
          ``old_pool``, the one without it. ``model`` empty: ``nauc`` and ``peak_score``, means
          over the newcomers, at the counts that all of them have.
        - ``joined``: as ``newcomer``, but ``model`` is added to a router that was trained without
          it, of those that can be added to. ``minus`` the ``full_pool``, where the router was
          trained on all its outcomes.
        - ``growth``: the cheapest models by mean cost, up to ``model``; ``nauc`` and
          ``peak_score`` also ``minus`` those of the pool's ``best_single`` model and of its
          ``zero``, the static mixtures that the training split chooses of its models, which
          stand among the routers.

        Raises
        ------
        InputError
            If a newcomer is not in the pool.
        """
        names = benchmark.table.model_names
        newcomers = spread_by_cost(benchmark) if self.newcomers is None else self.newcomers
        for name in newcomers:
            if name not in names:
                raise InputError(
                    f"newcomers: no model {name!r} in the pool; it has: {', '.join(names)}"
                )
        test = benchmark.test
        weights = evaluation_weights(benchmark, n_resamples, seed)
        singles = single_models(test.utility, test.cost / benchmark.unit, weights)
        known = single_models(benchmark.train.utility, benchmark.train.cost / benchmark.unit)
        varied = variations(benchmark, newcomers)
        joined = joins(benchmark, varied)
        studied = {
            router: [*(joined if isinstance(prototype, DynamicRouter) else []), *varied]
            for router, prototype in routers.items()
        }
        references = {
            one: _references(known, singles, one.columns) for one in varied if one.study == GROWTH
        }
        rows = [
            (GROWTH, name, one.model, len(one.columns), ALL, metric, "", replicates)
            for name in (BEST_SINGLE, ZERO)
            for one, reference in references.items()
            for metric, replicates in reference[name].items()
        ]
        total = sum(map(len, studied.values()))
        with tqdm(total=total, desc="pools", mininterval=5) as progress:
            for router, pools in studied.items():
                measured = {}
                for one in pools:
                    own = one.apply(benchmark)
                    answered = _joined if one.study == JOINED else train_and_predict
                    predictions = answered(
                        clone(routers[router], safe=False), own, features[router]
                    )
                    measured[one] = _measure(
                        predictions,
                        own,
                        weights[:, own.in_test[benchmark.in_test]],
                        *yardstick(singles, one.columns),
                        policy,
                    )
                    progress.update()
                rows += [
                    (study, router, *row)
                    for study, *row in _compared(measured, references, newcomers)
                ]
        return pd.DataFrame(rows, columns=[*KEYS, "replicates"])

    def present(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return, for people, each pool's metrics and what the change of the pool did to them.

        Of the newcomers the mean over the models.

        Parameters
        ----------
        table
            The summary of ``findings``.
        """
        table = table.fillna({"model": "", "minus": ""})
        shown = map(format_interval, table["value"], table["low"], table["high"])
        table = table.assign(shown=list(shown))
        told = table[
            ~table["router"].isin([BEST_SINGLE, ZERO])
            & (~table["study"].isin([NEWCOMER, JOINED]) | (table["model"] == ""))
        ]
        rows = []
        for _, own in told.groupby(KEYS[:5], sort=False):
            study, router, model, size, labels = own[KEYS[:5]].iloc[0]
            values = own[own["minus"] == ""].set_index("metric")["shown"]
            changes = own[~own["minus"].isin(["", ZERO])].set_index("metric")["shown"]
            gains = own[own["minus"] == ZERO].set_index("metric")["shown"]
            pool, other = _words(study, model, int(size), labels)
            rows.append(
                {
                    "Router": router,
                    "Pool": pool,
                    "nAUC": values["nauc"],
                    "Peak score": values["peak_score"],
                    "QNC": values.get("qnc", "–"),
                    "Compared with": other,
                    "nAUC, change": changes.get("nauc", "–"),
                    "Peak score, change": changes.get("peak_score", "–"),
                    "nAUC, minus best static mixture": gains.get("nauc", "–"),
                    "Peak score, minus best static mixture": gains.get("peak_score", "–"),
                }
            )
        return pd.DataFrame(rows)

    def draw(self, table: pd.DataFrame, title: str) -> Figure:
        """Draw the growing pool above, new models below.

        Parameters
        ----------
        table
            The summary of ``findings``.
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


def _joined(router: DynamicRouter, benchmark: Benchmark, inputs: Inputs) -> Predictions:
    """Train a router without the last model, add that, and return what is predicted to test."""
    table = benchmark.table
    new = table.utility.shape[1] - 1
    train(router, Variation(JOINED, "", tuple(range(new))).apply(benchmark), inputs)
    known = benchmark.in_train & np.isfinite(table.utility[:, new])
    router.add_model(
        take(inputs, known), table.utility[known, new], table.cost[known, new] / benchmark.unit
    )
    return predict_test(router, benchmark, inputs)


def spread_by_cost(benchmark: Benchmark) -> list[str]:
    """Return the cheapest model, the middle one and the dearest, fewer in a smaller pool."""
    order = _by_cost(benchmark)
    chosen = dict.fromkeys((order[0], order[len(order) // 2], order[-1]))
    return [benchmark.table.model_names[model] for model in chosen]


def _by_cost(benchmark: Benchmark) -> list[int]:
    """Order the models by mean cost over both splits, so that salts have the same pools."""
    return np.argsort(np.nanmean(benchmark.table.cost, axis=0), kind="stable").tolist()


def yardstick(singles: SingleModels, columns: Sequence[int]) -> tuple[SingleModels, np.ndarray]:
    """Return what every pool is measured with, so that their numbers compare.

    ``nauc`` is the mean of p(c) over the costs of the whole pool's models, whichever of
    them are left. Right of the smaller pool's last point p is constant, as ever; at
    costs below its cheapest model, which is what the curve is joined to, nothing can be
    answered, so p = 0. ``qnc`` refers to the best single model of the whole pool (of the
    others, in the odd case that the best was no dearer than any that is left).

    Parameters
    ----------
    singles
        Of the whole pool.
    columns
        The models that are left.

    Returns
    -------
    The single models to measure with, and the (B,) share of the cost range that lies
    right of the cheapest one: to multiply ``nauc`` with.
    """
    left = np.isin(np.arange(singles.cost.shape[1]), columns)
    cheapest = np.nanmin(np.where(left, singles.cost, np.nan), axis=1, keepdims=True)
    out_of_reach = ~left & (singles.cost <= cheapest)
    own = SingleModels(
        np.where(out_of_reach, np.nan, singles.cost),
        np.where(out_of_reach, np.nan, singles.utility),
    )
    low, high = np.nanmin(singles.cost, axis=1), np.nanmax(singles.cost, axis=1)
    with np.errstate(invalid="ignore"):
        share = (high - cheapest[:, 0]) / (high - low)
    return own, np.where(high > low, share, 1.0)


def _references(
    known: SingleModels, singles: SingleModels, columns: Sequence[int]
) -> dict[str, Measured]:
    """Return ``nauc`` and ``peak_score`` of what a pool reaches without a router, by its name.

    ``known`` are the whole pool's models on the training split, ``singles`` where measured.
    """
    own, share = yardstick(singles, columns)
    left = np.isin(np.arange(singles.cost.shape[1]), columns)
    alone = SingleModels(own.cost, np.where(left, own.utility, np.nan))
    return {
        name: {"nauc": measured["nauc"] * share, "peak_score": measured["peak_score"]}
        for name, measured in ((BEST_SINGLE, best_single(alone)), (ZERO, zero(known, alone)))
    }


def _measure(
    predictions: Predictions,
    benchmark: Benchmark,
    weights: np.ndarray,
    singles: SingleModels,
    share: np.ndarray,
    policy: Policy,
) -> Measured:
    """Return the (1 + B,) metrics of predictions on a pool, as ``yardstick`` has it."""
    utility = benchmark.test.utility
    paid = predictions.paid(benchmark.test.cost / benchmark.unit)
    trials = [
        curve_metrics(
            [steps_of(predictions, trial, np.isfinite(utility), policy)],
            utility,
            paid,
            weights,
            singles,
        )
        for trial in range(len(predictions.u_hat))
    ]
    measured = {metric: np.mean([own[metric] for own in trials], axis=0) for metric in METRICS}
    return measured | {"nauc": measured["nauc"] * share}


def _compared(
    measured: Mapping[Variation, Measured],
    references: Mapping[Variation, Mapping[str, Measured]],
    newcomers: Sequence[str],
) -> list[tuple[Any, ...]]:
    """Return one router's rows: each pool's values, and the difference that its study is for."""
    *_, whole = measured
    size = len(whole.columns)
    without: dict[str, Measured] = {}
    rows = []
    curves: dict[str, dict[str, dict[float, Measured]]] = {NEWCOMER: {}, JOINED: {}}
    for one, own in measured.items():
        key = one.study, one.model, len(one.columns), one.labels
        if one.study == LEAVE_ONE_OUT:
            without[one.model] = own
            rows += _rows(key, own, {FULL_POOL: measured[whole]})
        elif one.study == GROWTH:
            rows += _rows(key, own, references[one])
        else:
            curves[one.study].setdefault(one.model, {})[one.labels] = own
    if size > 1:
        for name in newcomers:
            trained = curves[NEWCOMER].get(name, {})
            curves[NEWCOMER][name] = {0: without[name], **trained, ALL: measured[whole]}
    rows += _arrivals(NEWCOMER, curves[NEWCOMER], size, OLD_POOL, without)
    full = dict.fromkeys(curves[JOINED], measured[whole])
    return rows + _arrivals(JOINED, curves[JOINED], size, FULL_POOL, full)


def _arrivals(
    study: str,
    curves: Mapping[str, Mapping[float, Measured]],
    size: int,
    minus: str,
    others: Mapping[str, Measured],
) -> list[tuple[Any, ...]]:
    """Return the rows of new models by the numbers of labels, each and their mean."""
    rows = []
    for name, curve in curves.items():
        for labels, own in curve.items():
            key = study, name, size - (labels == 0), labels
            rows += _rows(key, own, {minus: others[name]} if labels else {})
    common = set.intersection(*map(set, curves.values())) if curves else set()
    for labels in sorted(common):
        mean, other = (
            {
                metric: np.mean([own[metric] for own in measured], axis=0)
                for metric in ("nauc", "peak_score")
            }
            for measured in (
                [curve[labels] for curve in curves.values()],
                [others[name] for name in curves],
            )
        )
        key = study, "", size - (labels == 0), labels
        rows += _rows(key, mean, {minus: other} if labels else {})
    return rows


def _rows(
    key: tuple[str, str, int, float], own: Measured, others: Mapping[str, Measured]
) -> list[tuple[Any, ...]]:
    """Return the values, and the differences in what each of the others has too."""
    values = [(*key, metric, "", replicates) for metric, replicates in own.items()]
    return values + [
        (*key, metric, minus, difference(own[metric], replicates))
        for minus, other in others.items()
        for metric, replicates in other.items()
    ]


def _words(study: str, model: str, size: int, labels: float) -> tuple[str, str]:
    """Return a pool, and what it is compared with, in words."""
    if study == LEAVE_ONE_OUT:
        return f"without {model}", "all models"
    if study == GROWTH:
        return f"{size} cheapest, up to {model}", "its best single model"
    if study == JOINED:
        known = f"{labels:.0f} labels, without training"
        return f"one model added, with {known} (mean over the models)", "trained on all labels"
    if labels == 0:
        return "one model unknown (mean over the models)", "–"
    known = "all labels" if np.isinf(labels) else f"{labels:.0f} labels"
    return f"one model new, with {known} (mean over the models)", "without the new model"


def _growth(figure: SubFigure, table: pd.DataFrame) -> None:
    """Draw nAUC and peak score of each router as the pool grows, and of what needs none."""
    own = table[(table["study"] == GROWTH) & (table["minus"].fillna("") == "")]
    routers = [name for name in own["router"].unique() if name not in (BEST_SINGLE, ZERO)]
    colours = dict(zip(routers, sns.color_palette("colorblind", len(routers)), strict=True))
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (metric, label) in zip(panels, PANELS.items(), strict=True):
        part = own[own["metric"] == metric]
        for router, colour in colours.items():
            line = part[part["router"] == router]
            axes.plot(line["models"], line["value"], "o-", color=colour, ms=4, label=router)
            axes.fill_between(
                line["models"], line["low"], line["high"], color=colour, alpha=0.12, lw=0
            )
        single, static = (part[part["router"] == name] for name in (BEST_SINGLE, ZERO))
        axes.plot(single["models"], single["value"], "k:", lw=2, label="best single model")
        axes.plot(
            static["models"], static["value"], label="best static mixture", **STATIC_LINES[ZERO]
        )
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
            label = shorten(str(model), LONGEST_NAME)
            axes.plot(at, gain, "-", color=colours[str(model)], lw=1, label=label)
        else:
            axes.plot(at, gain, "o-", color="black", lw=2, ms=4, label="mean", zorder=4)
            axes.vlines(at[1:], line["low"], line["high"], color="black", lw=2, zorder=4)
