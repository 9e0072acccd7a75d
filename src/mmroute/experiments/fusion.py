"""Is adaptive fusion better than the mean of both embeddings (definitions, section 7).

MMR-Bench 6 (1), Table 3: each router trained on either, all else alike.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from tqdm import tqdm

from mmroute.evaluation.bootstrap import evaluation_weights
from mmroute.evaluation.curve import Policy
from mmroute.evaluation.metrics import single_models
from mmroute.experiments import Experiment
from mmroute.experiments.findings import METRICS, difference, measure
from mmroute.outcomes.benchmark import Benchmark
from mmroute.presentation.tables import format_interval
from mmroute.training import train_and_predict

MEAN, ADAPTIVE = "mean", "adaptive"
KEYS = ["router", "fusion", "metric", "minus"]


class Fusion(Experiment):
    """Each router with either fusion."""

    name = "fusion"
    output = "table3"
    title = "Adaptive fusion against the mean"
    question = (
        "Each router trained on adaptively fused features and on the mean of both embeddings; "
        "differences are adaptive less mean, over the same resamples (MMR-Bench, Table 3)."
    )
    protocol = "{policy} policy; trained on all data sets; nAUC over the costs of the single models"
    trains = True
    fusions = ("mean", "adaptive")

    def findings(
        self,
        benchmark: Benchmark,
        features: Mapping[str, np.ndarray],
        routers: Mapping[str, Any],
        policy: Policy,
        n_resamples: int,
        seed: int,
    ) -> pd.DataFrame:
        """Measure each router with each fusion, on all evaluation samples.

        Parameters
        ----------
        benchmark
            Outcomes and splits.
        features
            ``mean`` and ``adaptive``: (N, d) features of all N samples, fitted on the
            training split.
        routers
            Name to router, which is copied.
        policy
            Policy family of the operating curve.
        n_resamples, seed
            The bootstrap's.

        Returns
        -------
        Findings with the keys ``router`` and ``fusion``. Metrics are ``nauc``,
        ``peak_score`` and ``qnc``, means over the trials of a router that draws; those of
        ``adaptive`` also ``minus`` the ``mean``. Two infinite ``qnc`` differ by 0.
        """
        test = benchmark.test
        weights = evaluation_weights(benchmark, n_resamples, seed)
        outcomes = test.utility, test.cost / benchmark.unit, weights
        singles = single_models(*outcomes)
        rows = []
        for router, prototype in tqdm(routers.items(), desc="fusions", mininterval=5):
            measured = {}
            for fusion in (MEAN, ADAPTIVE):
                predictions = train_and_predict(clone(prototype), benchmark, features[fusion])
                measured[fusion] = measure([predictions], *outcomes, singles, policy)
                rows += [
                    (router, fusion, metric, "", measured[fusion][metric]) for metric in METRICS
                ]
            adaptive, mean = measured[ADAPTIVE], measured[MEAN]
            rows += [
                (router, ADAPTIVE, metric, MEAN, difference(adaptive[metric], mean[metric]))
                for metric in METRICS
            ]
        return pd.DataFrame(rows, columns=[*KEYS, "replicates"])

    def present(self, table: pd.DataFrame) -> pd.DataFrame:
        """Lay out as MMR-Bench's Table 3, with the values behind the differences.

        Parameters
        ----------
        table
            The summary of ``findings``.
        """
        table = table.fillna({"minus": ""})
        shown = map(format_interval, table["value"], table["low"], table["high"])
        table = table.assign(shown=list(shown))
        rows = []
        for router, own in table.groupby("router", sort=False):
            cells = own.set_index(["metric", "fusion", "minus"])["shown"]
            rows.append(
                {
                    "Router": router,
                    "nAUC, mean": cells["nauc", MEAN, ""],
                    "nAUC, adaptive": cells["nauc", ADAPTIVE, ""],
                    "nAUC, adaptive minus mean": cells["nauc", ADAPTIVE, MEAN],
                    "Peak score, mean": cells["peak_score", MEAN, ""],
                    "Peak score, adaptive": cells["peak_score", ADAPTIVE, ""],
                    "Peak score, adaptive minus mean": cells["peak_score", ADAPTIVE, MEAN],
                    "QNC, mean": cells["qnc", MEAN, ""],
                    "QNC, adaptive": cells["qnc", ADAPTIVE, ""],
                    "QNC, adaptive minus mean": cells["qnc", ADAPTIVE, MEAN],
                }
            )
        return pd.DataFrame(rows)
