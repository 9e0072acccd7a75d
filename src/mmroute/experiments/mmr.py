"""MMR-Bench's protocol: each data set's row from routers that were trained on that data set alone.

Table 2 of the paper by its released code: the ``budget`` policy, and nAUC over the router's own
costs. ``config/benchmarks/mmr_bench.yaml`` has the fusions and schedules that go with it.
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from mmroute.evaluation.bootstrap import evaluation_weights
from mmroute.evaluation.curve import Policy
from mmroute.evaluation.metrics import BEST_SINGLE, single_models
from mmroute.evaluation.setting import slices
from mmroute.experiments import Experiment
from mmroute.experiments.findings import best_single, measure
from mmroute.outcomes.benchmark import Benchmark
from mmroute.outcomes.splits import SLICE
from mmroute.presentation.tables import format_interval
from mmroute.training import Inputs, take, train_and_predict

POLICY: Policy = "budget"
METRICS = ("nauc_own_range", "peak_score", "qnc")


class MMR(Experiment):
    """MMR-Bench's routers, trained on each data set alone.

    Differences from the released code that stay: the split is by groups and hashes, as for all
    that is trained here; missing outcomes are left out, not filled by means that hold test
    outcomes; where no model is predicted to be within the budget the cheapest is taken, not the
    first; predicted utilities are clipped to [0, 1]; a fusion's statistics are those of the
    training split of all data sets.
    """

    name = "mmr"
    output = "mmr_main"
    title = "MMR-Bench's protocol"
    question = (
        "Each router trained on one data set alone, for full on all of them, under the budget "
        "policy; nAUC is over the router's own costs, as in the released code, so that rows of "
        "other costs do not compare (MMR-Bench, Tables 2 and S4). Our own numbers, of another "
        "policy, metric and training, are those of the tables of routers."
    )
    protocol = (
        "budget policy; trained on the data set alone, for full on all of them; nAUC over the "
        "router's own costs"
    )
    trains = True
    studied = False
    routers = (
        "random",
        "kmeans",
        "knn",
        "linear",
        "mlp",
        "linear_mf",
        "mlp_mf",
        "cmr",
        "oracle",
    )

    def findings(
        self,
        benchmark: Benchmark,
        features: Mapping[str, Inputs],
        routers: Mapping[str, Any],
        policy: Policy,
        n_resamples: int,
        seed: int,
    ) -> pd.DataFrame:
        """Train and measure each router on each data set, and on all of them.

        Parameters
        ----------
        benchmark
            Outcomes and splits.
        features
            What each router reads of all N samples.
        routers
            Name to router, which is copied.
        policy
            The config's, which has no part in it.
        n_resamples, seed
            The bootstrap's.

        Returns
        -------
        Findings with the keys ``dataset``, a data set with training and test samples or ``full``,
        and ``router``. Metrics are ``nauc_own_range``, ``peak_score`` and ``qnc``, means over the
        trials of a router that draws; ``best_single`` has the last two.
        """
        rows = []
        for name, alone, kept in _alone(benchmark):
            test = alone.test
            weights = evaluation_weights(alone, n_resamples, seed)
            outcomes = test.utility, test.cost / alone.unit, weights
            singles = single_models(*outcomes)
            measured = {BEST_SINGLE: best_single(singles)}
            for router, prototype in tqdm(routers.items(), desc=name, mininterval=5):
                inputs = features[router]
                predictions = train_and_predict(
                    deepcopy(prototype), alone, None if inputs is None else take(inputs, kept)
                )
                given = [predictions], *outcomes, singles, POLICY, METRICS
                measured[router] = measure(*given)
            rows += [
                (name, router, metric, "", own[metric])
                for router, own in measured.items()
                for metric in METRICS
                if metric in own
            ]
        return pd.DataFrame(rows, columns=["dataset", "router", "metric", "minus", "replicates"])

    def present(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return, for people, a row for each data set and router.

        Parameters
        ----------
        table
            The summary of ``findings``.
        """
        shown = map(format_interval, table["value"], table["low"], table["high"])
        keys = table[["dataset", "router", "metric"]].itertuples(index=False, name=None)
        cells = dict(zip(keys, shown, strict=True))
        titles = dict(zip(METRICS, ("nAUC over its own costs", "Peak score", "QNC"), strict=True))
        return pd.DataFrame(
            {"Data set": dataset, "Router": router}
            | {title: cells.get((dataset, router, name), "–") for name, title in titles.items()}
            for dataset, router in dict.fromkeys(key[:2] for key in cells)
        )


def _alone(benchmark: Benchmark) -> Iterator[tuple[str, Benchmark, np.ndarray]]:
    """Yield each data set that is in both parts, and ``full``, with its (N,) mask.

    A model that was not observed in training there takes no part, as no router could know it.
    """
    samples = benchmark.table.samples
    labels = samples.get(SLICE, samples["dataset"]).to_numpy()
    observed = np.isfinite(benchmark.table.utility)
    for part in slices(benchmark.test.samples):
        if part.level == "rest":
            continue
        inside = (labels == part.name) | (part.level == "full")
        known = observed[inside & benchmark.in_train].any(axis=0)
        kept = inside & observed[:, known].any(axis=1)
        masks = benchmark.in_train[kept], benchmark.in_test[kept]
        if all(mask.any() for mask in masks):
            own = benchmark.table.take(kept, np.flatnonzero(known))
            yield part.name, Benchmark(own, benchmark.unit, *masks, benchmark.salt), kept
