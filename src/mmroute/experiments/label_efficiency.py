"""How many labels does a router need (definitions, section 7).

Trained on growing shares of all labels, tested on the same samples each time.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from tqdm import tqdm

from mmroute.errors import InputError
from mmroute.evaluation.bootstrap import resample_weights
from mmroute.evaluation.curve import Policy
from mmroute.evaluation.metrics import BEST_SINGLE, single_models
from mmroute.experiments.findings import best_single, difference, measure
from mmroute.outcomes.benchmark import Benchmark
from mmroute.outcomes.splits import split
from mmroute.presentation.tables import format_interval
from mmroute.routers.baselines import Strongest
from mmroute.training import Inputs, train_and_predict

FRACTIONS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8)
LAST = 0.8
"""Samples beyond this part of the hash range are the test samples of every fraction."""
FEWEST_LABELS = 5
STRONGEST = "strongest"
METRICS = ("nauc", "peak_score")
KEYS = ["router", "fraction", "metric", "minus"]

logger = logging.getLogger(__name__)


def findings(
    benchmark: Benchmark,
    features: Mapping[str, Inputs],
    routers: Mapping[str, Any],
    policy: Policy,
    n_resamples: int,
    seed: int,
    salt: int | str,
    fractions: Sequence[float] = FRACTIONS,
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
    salt
        The split's.
    fractions
        Shares of the samples that are labelled, at most 0.8.

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
    table, ids = benchmark.table, benchmark.table.samples["sample_id"]
    usable = benchmark.in_train | benchmark.in_test
    last = usable & ~split(ids, LAST, salt)
    if not last.any():
        raise InputError(
            f"label_efficiency: none of the {len(ids)} samples is in the last fifth under the "
            f"salt {salt!r}; add samples, or leave the experiment out"
        )
    test = table.take(last)
    weights = resample_weights(test.samples["dataset"], n_resamples, seed)
    outcomes = test.utility, test.cost / benchmark.unit, weights
    singles = single_models(*outcomes)
    reference = best_single(singles)
    rows = [(BEST_SINGLE, np.nan, metric, "", reference[metric]) for metric in METRICS]
    for fraction in tqdm(fractions, desc="labels", mininterval=5):
        first = usable & split(ids, fraction, salt)
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
            rows += [(router, fraction, metric, "", one[metric]) for metric in METRICS]
            rows += [
                (router, fraction, metric, minus, difference(one[metric], other[metric]))
                for minus, other in others.items()
                for metric in METRICS
            ]
    return pd.DataFrame(rows, columns=[*KEYS, "replicates"])


def present(table: pd.DataFrame) -> pd.DataFrame:
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
