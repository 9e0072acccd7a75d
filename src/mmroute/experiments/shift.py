"""Does a router serve another data set of its scenario (definitions, section 7).

MMR-Bench 6 (2), Table 4: trained on data set A, tested on B of the same scenario, beside
the best single model on B, the best static mixture of A, and a router that was trained on
B itself.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from tqdm import tqdm

from mmroute.evaluation.bootstrap import evaluation_weights
from mmroute.evaluation.curve import Policy
from mmroute.evaluation.metrics import BEST_SINGLE, single_models
from mmroute.evaluation.static import ZERO
from mmroute.experiments import Experiment, Problem
from mmroute.experiments.findings import (
    best_single,
    difference,
    measure,
    measure_elsewhere,
    zero,
)
from mmroute.outcome_table import OutcomeTable
from mmroute.outcomes.benchmark import Benchmark
from mmroute.presentation.tables import format_interval
from mmroute.training import Inputs, take, train_and_predict

IN_DOMAIN = "in_domain"
METRICS = ("peak_score", "nauc", "peak_score_honest", "nauc_honest")
KEYS = ["scenario", "train", "test", "router", "metric", "minus"]
NO_PAIRS = (
    "No scenario has two data sets with training and test samples of the same models, so there "
    "is no other data set to shift to."
)

logger = logging.getLogger(__name__)

Measured = dict[str, np.ndarray]


@dataclass(frozen=True)
class Scenario:
    """The data sets of one scenario, over the models that all of them know.

    Attributes
    ----------
    name
        As in the outcome table.
    benchmark
        The samples on which such a model was observed.
    rows
        (N,) mask of these samples among all.
    datasets
        Two or more, in order of first appearance.
    """

    name: str
    benchmark: Benchmark
    rows: np.ndarray
    datasets: list[str]


def scenarios(benchmark: Benchmark) -> Iterator[Scenario]:
    """Yield the scenarios with two data sets or more that have training and test samples.

    A model that one of the data sets has not observed in training takes no part, as the
    router from there cannot know it: not in the shifted router's pool, nor in the pools
    of what it is compared with.
    """
    table = benchmark.table
    observed = np.isfinite(table.utility)
    dataset = table.samples["dataset"]
    for name, inside in table.samples.groupby("scenario", sort=False).indices.items():
        rows = np.isin(np.arange(len(dataset)), inside)
        trained = rows & benchmark.in_train
        known = pd.DataFrame(observed[trained]).groupby(dataset[trained].to_numpy()).any()
        shared = known.to_numpy().all(axis=0)
        rows &= observed[:, shared].any(axis=1)
        met = set(dataset[rows & benchmark.in_test])
        datasets = [one for one in dataset[rows].unique() if one in known.index and one in met]
        if len(datasets) < 2:
            logger.info("shift: scenario %s has no two data sets to compare", name)
            continue
        rows &= dataset.isin(datasets).to_numpy()
        own = table.take(rows, np.flatnonzero(shared))
        masks = benchmark.in_train[rows], benchmark.in_test[rows]
        yield Scenario(str(name), Benchmark(own, benchmark.unit, *masks), rows, datasets)


class Shift(Experiment):
    """Each router trained on one data set, and tested on the others."""

    name = "shift"
    output = "table4"
    title = "Another data set of the scenario"
    question = (
        "Trained on data set A and tested on B of the same scenario, beside the best single model "
        "on B, the best static mixture of models as A has it, and a router trained on B itself "
        "(MMR-Bench, Table 4)."
    )
    protocol = "{policy} policy; trained on another data set of the scenario"
    trains = True

    def findings(
        self,
        benchmark: Benchmark,
        features: Mapping[str, Inputs],
        routers: Mapping[str, Any],
        policy: Policy,
        n_resamples: int,
        seed: int,
    ) -> pd.DataFrame:
        """Train on the training split of one data set, test on the test split of another.

        As published, a peak score is the best point on the samples that measure it, of the
        router as of the single models. The honest twins are measured at points that were
        chosen on the test split of the data set that the router was trained on.

        Parameters
        ----------
        benchmark
            Outcomes and splits. Costs stay in its unit.
        features
            What each router reads of all N samples. A fusion's statistics are those of the
            whole training split; only the labels are of one data set.
        routers
            Name to router, which is copied.
        policy
            Policy family of the operating curve.
        n_resamples, seed
            The bootstrap's.

        Returns
        -------
        Findings with the keys ``scenario``, ``train``, ``test`` and ``router``; see
        ``scenarios`` for those that take part, empty if none does. Metrics are
        ``peak_score`` and ``nauc`` and their honest twins, which ``best_single`` and a router
        ``in_domain`` have not; means over the trials of a router that draws.

        - Each router by the data sets ``train`` and ``test``, which differ; also ``minus`` the
          ``best_single`` model on ``test``, ``minus`` the ``zero`` that was chosen on ``train``,
          and ``minus`` the same router ``in_domain``.
        - ``train`` is ``in_domain``: trained on ``test`` itself.
        - ``router`` is ``best_single``: ``train`` is empty.
        - ``router`` is ``zero``: static mixtures, by the data sets as if they were a router.
        - ``test`` is empty, and ``train`` unless it is ``in_domain``: means over the pairs of
          the scenario, resample by resample.
        """
        rows = []
        for scenario in scenarios(benchmark):
            own, test = scenario.benchmark, scenario.benchmark.test
            weights = evaluation_weights(own, n_resamples, seed)
            grouped = test.samples.groupby("dataset", sort=False).indices
            targets = {str(name): np.asarray(at) for name, at in grouped.items()}
            outcomes = {
                name: (test.utility[at], test.cost[at] / own.unit, weights[:, at])
                for name, at in targets.items()
            }
            singles = {name: single_models(*cells) for name, cells in outcomes.items()}
            references = {name: best_single(one) for name, one in singles.items()}
            cells = {("", name): one for name, one in references.items()}
            cells["", ""] = _mean(references.values())
            rows += _rows(scenario.name, BEST_SINGLE, "", cells)
            training = {}
            for source in scenario.datasets:
                of_source = (own.table.samples["dataset"] == source).to_numpy()
                training[source] = replace(own, in_train=own.in_train & of_source)
            static, known = {}, {}
            for source, trained in training.items():
                alone = trained.train.utility, trained.train.cost / own.unit
                known[source] = single_models(*alone)
                for name, one in singles.items():
                    static[source, name] = zero(known[source], one)
            rows += _values(scenario.name, ZERO, static)
            for router, prototype in tqdm(routers.items(), desc=scenario.name, mininterval=5):
                inputs = take(features[router], scenario.rows)
                measured = {}
                for source, trained in training.items():
                    predictions = train_and_predict(clone(prototype), trained, inputs)
                    told = {name: predictions.take(at) for name, at in targets.items()}
                    held = told[source], *outcomes[source][:2]
                    for name, there in told.items():
                        given = *outcomes[name], singles[name], policy
                        measured[source, name] = (
                            measure([there], *given)
                            if name == source
                            else measure_elsewhere(held, known[source], there, *given)
                        )
                rows += _values(scenario.name, router, measured)
                rows += _compared(scenario.name, router, measured, references, static)
        return pd.DataFrame(rows, columns=[*KEYS, "replicates"])

    def problems(self, benchmark: Benchmark, text_only: OutcomeTable | None) -> Iterator[Problem]:
        """Look for two data sets of one scenario; see ``Experiment``."""
        if not any(True for _ in scenarios(benchmark)):
            yield "warning", f"shift: {NO_PAIRS}"

    def present(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return, for people, Table 4's means over the pairs of each scenario, then each pair.

        Parameters
        ----------
        table
            The summary of ``findings``; of an empty one a note.
        """
        if table.empty:
            return pd.DataFrame({"Note": [NO_PAIRS]})
        table = table.fillna({"train": "", "test": "", "minus": ""})
        shown = map(format_interval, table["value"], table["low"], table["high"])
        keys = ["scenario", "router", "train", "test", "metric", "minus"]
        cells = dict(zip(table[keys].itertuples(index=False, name=None), shown, strict=True))
        routed = table[~table["router"].isin([BEST_SINGLE, ZERO]) & (table["train"] != IN_DOMAIN)]
        pairs = routed[["scenario", "router", "train", "test"]].drop_duplicates()
        pairs = pairs.sort_values("test", key=lambda test: test != "", kind="stable")
        rows = []
        for scenario, router, train, test in pairs.itertuples(index=False, name=None):
            peak, area, _, honest = ((scenario, router, train, test, metric) for metric in METRICS)
            rows.append(
                {
                    "Scenario": scenario,
                    "Router": router,
                    "Trained on": train or "mean over pairs",
                    "Tested on": test or "mean over pairs",
                    "Peak score": cells[*peak, ""],
                    "Peak score, best single model": cells[
                        scenario, BEST_SINGLE, "", test, "peak_score", ""
                    ],
                    "Peak score, in domain": cells[
                        scenario, router, IN_DOMAIN, test, "peak_score", ""
                    ],
                    "Peak score, minus best single model": cells[*peak, BEST_SINGLE],
                    "Peak score, minus best static mixture": cells[*peak, ZERO],
                    "Peak score, minus in domain": cells[*peak, IN_DOMAIN],
                    "nAUC": cells[*area, ""],
                    "nAUC, minus best single model": cells[*area, BEST_SINGLE],
                    "nAUC, minus best static mixture": cells[*area, ZERO],
                    "nAUC, points from the other data set, minus best static mixture": cells[
                        *honest, ZERO
                    ],
                    "nAUC, minus in domain": cells[*area, IN_DOMAIN],
                }
            )
        return pd.DataFrame(rows)


def _values(
    scenario: str, router: str, measured: Mapping[tuple[str, str], Measured]
) -> list[tuple[Any, ...]]:
    """Return what one router has, shifted and in domain."""
    in_domain = {(IN_DOMAIN, test): own for (train, test), own in measured.items() if train == test}
    cells = _with_mean(_shifted(measured)) | in_domain
    cells[IN_DOMAIN, ""] = _mean(in_domain.values())
    return _rows(scenario, router, "", cells)


def _compared(
    scenario: str,
    router: str,
    measured: Mapping[tuple[str, str], Measured],
    references: Mapping[str, Measured],
    static: Mapping[tuple[str, str], Measured],
) -> list[tuple[Any, ...]]:
    """Return one shifted router's rows, less each of its three references."""
    shifted = _shifted(measured)
    others = {
        BEST_SINGLE: {(train, test): references[test] for train, test in shifted},
        ZERO: static,
        IN_DOMAIN: {(train, test): measured[test, test] for train, test in shifted},
    }
    rows = []
    for minus, other in others.items():
        cells = {pair: _less(own, other[pair]) for pair, own in shifted.items()}
        rows += _rows(scenario, router, minus, _with_mean(cells))
    return rows


def _shifted(measured: Mapping[tuple[str, str], Measured]) -> dict[tuple[str, str], Measured]:
    return {(train, test): own for (train, test), own in measured.items() if train != test}


def _with_mean(cells: Mapping[tuple[str, str], Measured]) -> dict[tuple[str, str], Measured]:
    return {("", ""): _mean(cells.values()), **cells}


def _less(own: Measured, other: Measured) -> Measured:
    both = own.keys() & other.keys()
    return {metric: difference(own[metric], other[metric]) for metric in METRICS if metric in both}


def _mean(measured: Iterable[Measured]) -> Measured:
    measured = list(measured)
    known = set.intersection(*(set(own) for own in measured))
    return {
        metric: np.mean([own[metric] for own in measured], axis=0)
        for metric in METRICS
        if metric in known
    }


def _rows(
    scenario: str, router: str, minus: str, cells: Mapping[tuple[str, str], Measured]
) -> list[tuple[Any, ...]]:
    return [
        (scenario, *pair, router, metric, minus, own[metric])
        for pair, own in cells.items()
        for metric in METRICS
        if metric in own
    ]
