"""Does a router trained on multimodal queries serve text-only ones (definitions, section 7).

MMR-Bench 6 (3), Table 5: the router is trained on the multimodal training split and
meets a text-only benchmark of the same models, whose missing image is masked.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from mmroute.errors import InputError
from mmroute.evaluation.bootstrap import resample_weights
from mmroute.evaluation.curve import Policy
from mmroute.evaluation.metrics import BEST_SINGLE, single_models
from mmroute.evaluation.setting import slices
from mmroute.evaluation.static import ZERO
from mmroute.experiments import Experiment, Problem, TextOnly
from mmroute.experiments.findings import best_single, difference, measure_elsewhere, zero
from mmroute.outcome_table import OutcomeTable
from mmroute.outcomes.benchmark import Benchmark
from mmroute.outcomes.datasets import join
from mmroute.outcomes.splits import SLICE
from mmroute.presentation.tables import format_interval
from mmroute.training import Inputs, take, train_and_predict


class Transfer(Experiment):
    """Each router trained on images and text, and tested on text alone."""

    name = "transfer"
    output = "table5"
    title = "Text-only benchmarks"
    question = (
        "Trained on samples with images, tested on text alone with the image masked (MMR-Bench, "
        "Table 5)."
    )
    protocol = "{policy} policy; trained on the multimodal data sets"
    trains = True
    routers = ("ensemble",)
    text_only = True

    def findings(
        self,
        benchmark: Benchmark,
        features: Mapping[str, Inputs],
        routers: Mapping[str, Any],
        policy: Policy,
        n_resamples: int,
        seed: int,
        text_only: TextOnly,
    ) -> pd.DataFrame:
        """Train on the multimodal training split, measure on all text-only samples.

        The honest twins are measured at points that the multimodal test split chose.

        Parameters
        ----------
        benchmark
            The N multimodal samples.
        features
            What each router reads of them, by the router's name.
        routers
            Name to router, which is copied.
        policy
            Policy family of the operating curve.
        n_resamples, seed
            The bootstrap's.
        text_only
            The M text-only samples. Models are matched by name; one that is not on both
            sides is left out (see ``notices``).

        Returns
        -------
        Findings with the keys ``dataset``, each text-only one and ``full``, and ``router``,
        ``best_single`` and ``zero``, the static mixtures that the multimodal training split
        chose, among them; each router also ``minus`` either. Metrics are means over
        the trials of a router that draws. Costs are in the unit of ``benchmark``, predicted
        and true ones alike; no metric depends on the unit.

        Raises
        ------
        InputError
            If no model is on both sides.
        """
        joint, usable, met = transferred(benchmark, text_only.table)
        known = single_models(joint.train.utility, joint.train.cost / joint.unit)
        predictions = {
            name: train_and_predict(
                clone(router, safe=False),
                joint,
                _stacked(take(features[name], usable), take(text_only.features[name], met)),
            )
            for name, router in routers.items()
        }
        first = len(joint.test.samples) - int(met.sum())
        held, text = np.split(np.arange(len(joint.test.samples)), [first])
        chooser, table = joint.test.take(held), joint.test.take(text)
        cost = table.cost / joint.unit
        weights = resample_weights(table.samples, n_resamples, seed)
        rows = []
        for part in slices(table.samples):
            outcomes = table.utility[part.rows], cost[part.rows], weights[:, part.rows]
            singles = single_models(*outcomes)
            references = {BEST_SINGLE: best_single(singles), ZERO: zero(known, singles)}
            rows += [
                (part.name, name, metric, "", own)
                for name, reference in references.items()
                for metric, own in reference.items()
            ]
            for name, own in predictions.items():
                told = own.take(held), chooser.utility, chooser.cost / joint.unit
                there = own.take(text[part.rows])
                measured = measure_elsewhere(told, known, there, *outcomes, singles, policy)
                for metric, value in measured.items():
                    rows.append((part.name, name, metric, "", value))
                    rows += [
                        (part.name, name, metric, minus, difference(value, reference[metric]))
                        for minus, reference in references.items()
                        if metric in reference
                    ]
        return pd.DataFrame(rows, columns=["dataset", "router", "metric", "minus", "replicates"])

    def problems(self, benchmark: Benchmark, text_only: OutcomeTable | None) -> Iterator[Problem]:
        """Look for models that only one side has; see ``Experiment``."""
        if text_only is not None:
            transferred(benchmark, text_only)
            for line in notices(benchmark.table.model_names, text_only.model_names):
                yield "note", line

    def present(self, table: pd.DataFrame) -> pd.DataFrame:
        """Lay out as MMR-Bench's Table 5: a row a router, the peak score by text-only data set.

        Beside it what is gained, in nAUC too, on static mixtures.

        Parameters
        ----------
        table
            The summary of ``findings``.
        """
        table = table.fillna({"minus": ""})
        shown = map(format_interval, table["value"], table["low"], table["high"])
        table = table.assign(shown=list(shown))
        names = {BEST_SINGLE: "best single model", ZERO: "best static mixture"}
        rows = []
        for router, own in table.groupby("router", sort=False):
            row = {"Router": names.get(str(router), router)}
            for dataset, cells in own.groupby("dataset", sort=False):
                told = cells.set_index(["metric", "minus"])["shown"]
                row |= {
                    f"Peak score, {dataset}": told["peak_score", ""],
                    f"minus the best single model, {dataset}": told.get(
                        ("peak_score", BEST_SINGLE), "–"
                    ),
                    f"minus the best static mixture, {dataset}": told.get(
                        ("peak_score", ZERO), "–"
                    ),
                    f"nAUC, minus the best static mixture, {dataset}": told.get(
                        ("nauc", ZERO), "–"
                    ),
                    "nAUC, points from the samples with images, minus the best static mixture, "
                    f"{dataset}": told.get(("nauc_honest", ZERO), "–"),
                }
            rows.append(row)
        return pd.DataFrame(rows)


def transferred(
    benchmark: Benchmark, text_only: OutcomeTable
) -> tuple[Benchmark, np.ndarray, np.ndarray]:
    """Return a benchmark of the shared models that trains on one side and tests on the other.

    It tests on the multimodal test split, and after that on text alone. Beside it the masks of
    the (N,) multimodal samples and of the (M,) text-only ones that it has: those on which a
    shared model was observed, text only where its group is in no image's. Raises InputError if
    no model is shared.
    """
    ours, theirs = benchmark.table.model_names, text_only.model_names
    shared = [name for name in ours if name in theirs]
    if not shared:
        raise InputError(
            f"transfer: no model of the benchmark ({', '.join(ours)}) is in the text-only source "
            f"({', '.join(theirs)}); name the models alike in both"
        )
    own = benchmark.table.take(columns=[ours.index(name) for name in shared])
    other = text_only.take(columns=[theirs.index(name) for name in shared])
    observed = np.isfinite(own.utility).any(axis=1)
    usable = (benchmark.in_train | benchmark.in_test) & observed
    known = other.samples["group"].isin(own.samples["group"][usable]).to_numpy()
    met = np.isfinite(other.utility).any(axis=1) & ~known
    table = join([own.take(usable), other.take(met)])
    # The slices of the benchmark's splits are not those of other samples.
    table = replace(table, samples=table.samples.drop(columns=SLICE, errors="ignore"))
    in_train = np.append(benchmark.in_train[usable], np.zeros(met.sum(), bool))
    return Benchmark(table, benchmark.unit, in_train, ~in_train), usable, met


def _stacked(own: np.ndarray | pd.DataFrame, other: np.ndarray | pd.DataFrame) -> Inputs:
    if isinstance(own, pd.DataFrame) and isinstance(other, pd.DataFrame):
        return pd.concat([own, other], ignore_index=True)
    return np.concatenate([own, other])


def notices(models: Sequence[str], text_only: Sequence[str]) -> list[str]:
    """Return what a reader has to know: which models the experiment leaves out.

    Parameters
    ----------
    models, text_only
        Models of the benchmark and of the text-only source.
    """
    return [
        f"transfer: {name} is left out, as the {lacking} does not have it"
        for own, other, lacking in (
            (models, text_only, "text-only source"),
            (text_only, models, "benchmark"),
        )
        for name in own
        if name not in other
    ]
