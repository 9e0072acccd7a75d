"""How many labels does a router need (definitions, section 7).

Trained on growing shares of all labels, tested on the same samples each time.
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
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator
from sklearn.base import clone
from tqdm import tqdm

from mmroute.errors import InputError
from mmroute.evaluation.bootstrap import resample_weights
from mmroute.evaluation.curve import Policy
from mmroute.evaluation.metrics import BEST_SINGLE, single_models
from mmroute.experiments import Experiment
from mmroute.experiments.findings import best_single, difference, measure
from mmroute.outcomes.benchmark import Benchmark
from mmroute.outcomes.splits import split
from mmroute.presentation.tables import format_interval
from mmroute.routers.baselines import Strongest
from mmroute.training import Inputs, train_and_predict

LAST = 0.8
"""Samples beyond this part of the hash range are the test samples of every fraction."""
FEWEST_LABELS = 5
STRONGEST = "strongest"
KEYS = ["router", "fraction", "metric", "minus"]
PANELS = {"nauc": "nAUC", "peak_score": "peak score"}

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
        "Trained on growing shares of all labels, tested on the same last fifth of the samples."
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
        - Each router, also ``minus`` the ``best_single`` model on the test samples and, but for
          itself, ``minus`` the ``strongest``: the model that is best on the same labels.
        - ``best_single``, with an undefined ``fraction``.

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
        weights = resample_weights(test.samples, n_resamples, seed)
        outcomes = test.utility, test.cost / benchmark.unit, weights
        singles = single_models(*outcomes)
        reference = best_single(singles)
        rows = [(BEST_SINGLE, np.nan, metric, "", reference[metric]) for metric in PANELS]
        for fraction in tqdm(self.fractions, desc="labels", mininterval=5):
            first = usable & split(groups, fraction, benchmark.salt)
            count = int(first.sum())
            rows.append(("", fraction, "labels", "", np.full(len(weights), float(count))))
            if count < FEWEST_LABELS or not np.isfinite(table.utility[first]).any(axis=0).all():
                logger.info("label_efficiency: %g of the labels, %d, are too few", fraction, count)
                continue
            own = replace(benchmark, in_train=first, in_test=last)
            predictions = {STRONGEST: train_and_predict(Strongest(), own, None)}
            for router, prototype in routers.items():
                predictions[router] = train_and_predict(clone(prototype), own, features[router])
            measured = {
                router: measure([one], *outcomes, singles, policy)
                for router, one in predictions.items()
            }
            for router, one in measured.items():
                others = {BEST_SINGLE: reference, STRONGEST: measured[STRONGEST]}
                if router == STRONGEST:
                    del others[STRONGEST]
                rows += [(router, fraction, metric, "", one[metric]) for metric in PANELS]
                rows += [
                    (router, fraction, metric, minus, difference(one[metric], other[metric]))
                    for minus, other in others.items()
                    for metric in PANELS
                ]
        return pd.DataFrame(rows, columns=[*KEYS, "replicates"])

    def present(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return, for people, each router's metrics by the number of labelled queries.

        Parameters
        ----------
        table
            The summary of ``findings``.
        """
        table = table.fillna({"router": "", "minus": ""})
        shown = map(format_interval, table["value"], table["low"], table["high"])
        cells = dict(zip(table[KEYS].itertuples(index=False, name=None), shown, strict=True))
        labels = table[table["metric"] == "labels"].set_index("fraction")["value"]
        routers = [name for name in table["router"].unique() if name not in ("", BEST_SINGLE)]
        rows = []
        for fraction, count in labels.items():
            known = [router for router in routers if (router, fraction, "nauc", "") in cells]
            for router in known or ["(too few labels)"]:
                row = {
                    "Labels": f"{fraction:.0%}",
                    "Labelled queries": f"{count:.0f}",
                    "Router": router,
                }
                for metric, title in (("nauc", "nAUC"), ("peak_score", "Peak score")):
                    own = router, fraction, metric
                    row |= {
                        title: cells.get((*own, ""), "–"),
                        f"{title}, minus best single model": cells.get((*own, BEST_SINGLE), "–"),
                        f"{title}, minus strongest": cells.get((*own, STRONGEST), "–"),
                    }
                rows.append(row)
        return pd.DataFrame(rows)

    def draw(self, table: pd.DataFrame, title: str) -> Figure:
        """Draw nAUC and peak score of each router by its labelled queries, with intervals.

        Parameters
        ----------
        table
            The summary of ``findings``.
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
            for name, colour in zip(
                routers, sns.color_palette("colorblind", len(routers)), strict=True
            )
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
        figure.legend(
            *panels[0].get_legend_handles_labels(), loc="outside right upper", frameon=False
        )
        figure.suptitle(title)
        return figure
