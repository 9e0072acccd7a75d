"""How many labels does a router need (definitions, section 7).

Trained on growing shares of all labels, tested on the same samples each time; what more
labels would bring is extrapolated.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import pandas as pd
import seaborn as sns
from annotated_types import Gt, Le, MinLen
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator
from scipy.special import stdtrit
from sklearn.base import clone
from tqdm import tqdm

from mmroute.errors import InputError
from mmroute.evaluation.bootstrap import resample_weights
from mmroute.evaluation.curve import Policy
from mmroute.evaluation.metrics import BEST_SINGLE, single_models
from mmroute.evaluation.static import ZERO
from mmroute.experiments import Experiment
from mmroute.experiments.findings import best_single, difference, measure, zero
from mmroute.outcomes.benchmark import Benchmark
from mmroute.outcomes.splits import split
from mmroute.presentation.figures import STATIC_LINES
from mmroute.presentation.tables import format_interval
from mmroute.routers.baselines import Strongest
from mmroute.training import Inputs, train_and_predict

LAST = 0.8
"""Samples beyond this part of the hash range are the test samples of every fraction."""
FEWEST_LABELS = 5
FEWEST_COUNTS = 3
"""Different numbers of labels that a learning curve is fitted to; two determine it."""
AHEAD = {f"nauc at {times}x labels": times for times in (2, 4)}
"""Metrics that are extrapolated, to multiples of the largest number of labels."""
STRONGEST = "strongest"
KEYS = ["router", "fraction", "metric", "minus"]
PANELS = {"nauc": "nAUC", "peak_score": "peak score"}
TITLES = {"nauc": "nAUC", "peak_score": "Peak score"}
COMPARED = {
    "": "",
    BEST_SINGLE: ", minus best single model",
    ZERO: ", minus best static mixture",
    STRONGEST: ", minus strongest",
}
"""What a column's title says of a difference."""

logger = logging.getLogger(__name__)


class LabelEfficiency(Experiment):
    """Each router trained on growing shares of the labels.

    Parameters
    ----------
    fractions
        Shares of the samples that are labelled; no group is labelled in part.
    """

    name = "label_efficiency"
    output = "label_efficiency"
    title = "How many labels a router needs"
    question = (
        "Trained on growing shares of all labels, tested on the same last fifth of the samples. "
        "What 2 and 4 times the labels would bring is an extrapolation of the learning curve "
        "a - b/√labels: nobody has measured it."
    )
    trains = True
    figure = True

    def __init__(
        self,
        fractions: Annotated[tuple[Annotated[float, Gt(0), Le(0.8)], ...], MinLen(1)] = (
            0.01,
            0.02,
            0.05,
            0.1,
            0.2,
            0.5,
            0.8,
        ),
    ) -> None:
        self.fractions = fractions

    def findings(
        self,
        benchmark: Benchmark,
        features: Mapping[str, Inputs],
        routers: Mapping[str, Any],
        policy: Policy,
        n_resamples: int,
        seed: int,
    ) -> pd.DataFrame:
        """Train each router on the first part of the hash range, test on its last fifth.

        The training samples of a fraction are among those of every larger one. At the
        benchmark's own training share they are its training split.

        Parameters
        ----------
        benchmark
            Outcomes; its split is not used.
        features
            What each router reads of all N samples. Features come as they are: a fusion's
            statistics are those of the benchmark's training split at every fraction. They
            use no label, and no test sample unless that split is larger than 80 %.
        routers
            Name to router, which is copied. ``strongest`` is added to them.
        policy
            Policy family of the operating curve.
        n_resamples, seed
            The bootstrap's.

        Returns
        -------
        Findings with the keys ``router`` and ``fraction``. Metrics are ``nauc`` and
        ``peak_score``, means over the trials of a router that draws.

        - ``labels``: how many queries a fraction has, ``router`` empty. Where there are fewer
          than five, or a model without any outcome, that is all there is of the fraction.
        - Each router, also ``minus`` the ``best_single`` model on the test samples; ``minus``
          ``zero``, the static mixtures that are best on the same labels; and, but for itself,
          ``minus`` the ``strongest``: the model that is best on the same labels.
        - ``zero``, and ``best_single`` with an undefined ``fraction``.
        - ``nauc at 2x labels`` and at 4x, of the largest ``fraction``: what ``extrapolate``
          makes of each router's ``nauc``, also ``minus`` ``zero``. A curve is fitted to each
          difference, too: as it is linear in what it is fitted to, the two agree. With fewer
          than three numbers of labels there is none.

        Raises
        ------
        InputError
            If no sample is in the last fifth.
        """
        table, groups = benchmark.table, benchmark.table.samples["group"]
        usable = benchmark.in_train | benchmark.in_test
        last = usable & ~split(groups, LAST, benchmark.salt)
        if not last.any():
            raise InputError(
                f"label_efficiency: none of the {len(groups)} samples is in the last fifth under "
                f"the salt {benchmark.salt!r}; add samples, or leave the experiment out"
            )
        test = table.take(last)
        weights = resample_weights(table.samples, n_resamples, seed, last)
        outcomes = test.utility, test.cost / benchmark.unit, weights
        singles = single_models(*outcomes)
        reference = best_single(singles)
        rows = [(BEST_SINGLE, np.nan, metric, "", reference[metric]) for metric in PANELS]
        curves: dict[tuple[str, str], list[np.ndarray]] = {}
        counts: dict[float, int] = {}
        for fraction in tqdm(self.fractions, desc="labels", mininterval=5):
            first = usable & split(groups, fraction, benchmark.salt)
            count = int(first.sum())
            rows.append(("", fraction, "labels", "", np.full(len(weights), float(count))))
            if count < FEWEST_LABELS or not np.isfinite(table.utility[first]).any(axis=0).all():
                logger.info("label_efficiency: %g of the labels, %d, are too few", fraction, count)
                continue
            counts[fraction] = count
            own = replace(benchmark, in_train=first, in_test=last)
            static = zero(single_models(own.train.utility, own.train.cost / own.unit), singles)
            rows += [(ZERO, fraction, metric, "", static[metric]) for metric in PANELS]
            predictions = {STRONGEST: train_and_predict(Strongest(), own, None)}
            for router, prototype in routers.items():
                predictions[router] = train_and_predict(clone(prototype), own, features[router])
            measured = {
                router: measure([one], *outcomes, singles, policy)
                for router, one in predictions.items()
            }
            for router, one in measured.items():
                others = {BEST_SINGLE: reference, ZERO: static, STRONGEST: measured[STRONGEST]}
                if router == STRONGEST:
                    del others[STRONGEST]
                rows += [(router, fraction, metric, "", one[metric]) for metric in PANELS]
                rows += [
                    (router, fraction, metric, minus, difference(one[metric], other[metric]))
                    for minus, other in others.items()
                    for metric in PANELS
                ]
            for router in routers:
                area = measured[router]["nauc"]
                curves.setdefault((router, ""), []).append(area)
                curves.setdefault((router, ZERO), []).append(difference(area, static["nauc"]))
        if len({*counts.values()}) >= FEWEST_COUNTS:
            largest = max(counts, key=lambda fraction: counts[fraction])
            labels = np.array([*counts.values()])
            wanted = labels.max() * np.array([*AHEAD.values()])
            rows += [
                (router, largest, metric, minus, replicates)
                for (router, minus), curve in curves.items()
                for metric, replicates in zip(
                    AHEAD, extrapolate(labels, np.array(curve), wanted, seed), strict=True
                )
            ]
        return pd.DataFrame(rows, columns=[*KEYS, "replicates"])

    def present(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return, for people, each router's metrics by the number of labelled queries.

        Rows of what is extrapolated come last, and say so.

        Parameters
        ----------
        table
            The summary of ``findings``.
        """
        table = table.fillna({"router": "", "minus": ""})
        shown = map(format_interval, table["value"], table["low"], table["high"])
        table = table.assign(shown=list(shown))
        cells = table.set_index(KEYS)["shown"].to_dict()
        labels = table[table["metric"] == "labels"].set_index("fraction")["value"]
        routers = [name for name in table["router"].unique() if name not in ("", BEST_SINGLE, ZERO)]
        rows = []
        for fraction, count in labels.items():
            known = [router for router in routers if (router, fraction, "nauc", "") in cells]
            for router in known or ["(too few labels)"]:
                row = {
                    "Labels": f"{fraction:.0%}",
                    "Labelled queries": f"{count:.0f}",
                    "Router": router,
                }
                row |= {
                    title + words: cells.get((router, fraction, metric, minus), "–")
                    for metric, title in TITLES.items()
                    for minus, words in COMPARED.items()
                }
                rows.append(row)
        ahead = table[table["metric"].isin(AHEAD) & (table["minus"] == "")]
        for router, fraction, metric, _ in ahead[KEYS].itertuples(index=False, name=None):
            times = AHEAD[metric]
            rows.append(
                {
                    "Labels": f"{times} x {fraction:.0%}, extrapolated",
                    "Labelled queries": f"{times * labels[fraction]:.0f}",
                    "Router": router,
                }
                | {
                    TITLES["nauc"] + COMPARED[minus]: cells[router, fraction, metric, minus]
                    for minus in ("", ZERO)
                }
            )
        return pd.DataFrame(rows).fillna("–")

    def draw(self, table: pd.DataFrame, title: str) -> Figure:
        """Draw nAUC and peak score of each router by its labelled queries, with intervals.

        What is extrapolated continues a router's line, dashed; its band may leave the panel.

        Parameters
        ----------
        table
            The summary of ``findings``.
        title
            What the figure shows.
        """
        values = table[table["minus"].fillna("") == ""]
        labels = values[values["metric"] == "labels"].set_index("fraction")["value"]
        values = values.assign(
            count=values["fraction"].map(labels) * values["metric"].map(AHEAD).fillna(1)
        )
        ahead = values[values["metric"].isin(AHEAD)]
        measured = values[values["metric"].isin(PANELS)]
        single = measured[measured["router"] == BEST_SINGLE].set_index("metric")["value"]
        lines = measured[measured["router"] != BEST_SINGLE]
        routers = [name for name in lines["router"].unique() if name not in (STRONGEST, ZERO)]
        looks = {
            name: {"color": colour, "marker": "o", "ls": "-"}
            for name, colour in zip(
                routers, sns.color_palette("colorblind", len(routers)), strict=True
            )
        }
        looks[STRONGEST] = {"color": "0.4", "marker": "s", "ls": "--"}
        looks[ZERO] = STATIC_LINES[ZERO]
        names = {STRONGEST: STRONGEST, ZERO: "best static mixture"}
        figure, panels = plt.subplots(1, 2, figsize=(10, 4.2), sharey=True, layout="constrained")
        for axes, (metric, heading) in zip(panels, PANELS.items(), strict=True):
            for router, look in looks.items():
                own = lines[(lines["router"] == router) & (lines["metric"] == metric)]
                own = own.sort_values("fraction")
                name = f"{names[router]} (same labels)" if router in names else router
                axes.plot(own["count"], own["value"], ms=4, label=name, **look)
                _band(axes, own, look["color"])
                further = ahead[(ahead["router"] == router) & (metric == "nauc")]
                if not further.empty:
                    further = pd.concat([own.tail(1), further])
                    axes.plot(further["count"], further["value"], "--", color=look["color"], lw=1)
                    _band(axes, further, look["color"])
            axes.axhline(single[metric], color="black", ls=":", lw=2, label="best single model")
            axes.set_xscale("log")
            ticks = {
                count: f"{count:.0f}\n{fraction:.0%}" for fraction, count in labels.items() if count
            }
            if metric == "nauc":
                ticks |= {
                    count: f"{count:.0f}\n{AHEAD[name]}x"
                    for name, count in ahead[["metric", "count"]].itertuples(index=False)
                }
            axes.set_xticks([*ticks], [*ticks.values()], size=7)
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.set_title(heading)
        if not ahead.empty:
            panels[0].plot([], [], "--", color="0.5", lw=1, label="extrapolated: a - b/√labels")
        heights = [*measured[["value", "low", "high"]].to_numpy().ravel(), *ahead["value"]]
        panels[0].set_ylim(np.nanmin(heights) - 0.02, np.nanmax(heights) + 0.02)
        panels[0].set_ylabel("value, with 95 % interval")
        figure.supxlabel("labelled queries, and their share of all", fontsize="medium")
        figure.legend(
            *panels[0].get_legend_handles_labels(), loc="outside right upper", frameon=False
        )
        figure.suptitle(title)
        return figure


def extrapolate(
    labels: np.ndarray, replicates: np.ndarray, wanted: np.ndarray, seed: int
) -> np.ndarray:
    """Fit the learning curve a - b / √labels by least squares, and continue it.

    Parameters
    ----------
    labels
        (F,) numbers of labels, three of them different.
    replicates
        (F, 1 + B) a metric at each, and its resamples; each is fitted by itself.
    wanted
        (W,) numbers of labels to predict the metric at.
    seed
        Of which resample gets which misfit.

    Returns
    -------
    (W, 1 + B) predictions. To those of the resamples a misfit is added, so that their
    interval holds what one more training would measure: quantiles of Student's t with F - 2
    degrees of freedom, times the standard error of a prediction, as the value's own residuals
    have it. With three numbers of labels that is wide.
    """
    design, ahead = (
        np.column_stack([np.ones(len(count)), -1 / np.sqrt(count)]) for count in (labels, wanted)
    )
    fit = np.linalg.pinv(design)
    coefficients = fit @ replicates
    predicted = ahead @ coefficients
    residuals = replicates[:, 0] - design @ coefficients[:, 0]
    freedom = len(labels) - design.shape[1]
    deviation = np.sqrt(residuals @ residuals / freedom)
    error = deviation * np.sqrt(1 + np.sum((ahead @ fit) ** 2, axis=1))
    n_resamples = replicates.shape[1] - 1
    quantiles = stdtrit(freedom, (np.arange(n_resamples) + 0.5) / n_resamples)
    predicted[:, 1:] += error[:, None] * np.random.default_rng(seed).permutation(quantiles)
    return predicted


def _band(axes: Axes, line: pd.DataFrame, colour: str) -> None:
    axes.fill_between(line["count"], line["low"], line["high"], color=colour, alpha=0.08, lw=0)
