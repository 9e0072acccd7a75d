"""Training a router on one split of a benchmark, and what it predicts."""

from typing import Any

import numpy as np
from sklearn.base import clone
from tqdm import tqdm

from mmroute.benchmark import Benchmark
from mmroute.errors import InputError
from mmroute.predictions import Predictions
from mmroute.storage import digest_bytes

N_FOLDS = 5


def cross_fit(router: Any, benchmark: Benchmark, features: np.ndarray | None) -> Predictions:
    """Predict each training sample by a router that was trained without it.

    Operating points that are chosen on these predictions owe nothing to the test
    split. A sample's fold depends on its id alone.

    Parameters
    ----------
    router, benchmark, features
        As for ``train_and_predict``; the router is copied, not fitted.

    Returns
    -------
    Predictions of the training samples, NaN for a model that was never observed
    in the other folds.
    """
    train = benchmark.train
    ids = train.samples["sample_id"]
    cost = train.cost / benchmark.unit
    if hasattr(router, "reveal"):
        u_hat, c_hat = router.reveal(train.utility, cost)
        return Predictions(ids, u_hat[None], c_hat[None])
    rows = features[benchmark.in_train] if features is not None else np.empty((len(ids), 0))
    folds = np.array([int(digest_bytes(sample_id.encode())[:8], 16) for sample_id in ids]) % N_FOLDS
    u_hat, c_hat = (np.full(train.utility.shape, np.nan) for _ in range(2))
    for fold in tqdm(np.unique(folds), desc="cross-fitting", mininterval=5):
        held, rest = np.flatnonzero(folds == fold), folds != fold
        seen = np.flatnonzero(np.isfinite(train.utility[rest]).any(axis=0))
        if len(seen):
            cells = np.ix_(held, seen)
            u_hat[cells], c_hat[cells] = (
                clone(router)
                .fit(rows[rest], train.utility[rest][:, seen], cost[rest][:, seen])
                .predict(rows[held])
            )
    return Predictions(ids, u_hat[None], c_hat[None])


def train_and_predict(
    router: Any, benchmark: Benchmark, features: np.ndarray | None
) -> Predictions:
    """Train a router on the training split and predict the test split.

    Parameters
    ----------
    router
        A router, fitted in place, or an upper bound, which is shown the outcomes
        of the test split.
    benchmark
        Outcomes and splits.
    features
        (N, d) features of all samples, as the splits have them; None for a router
        that uses none.

    Raises
    ------
    InputError
        If a model of the pool has no outcome in the training split.
    """
    train, test = benchmark.train, benchmark.test
    ids = test.samples["sample_id"]
    if hasattr(router, "reveal"):
        u_hat, c_hat = router.reveal(test.utility, test.cost / benchmark.unit)
        return Predictions(ids, u_hat[None], c_hat[None])
    unseen = ~np.isfinite(train.utility).any(axis=0)
    if unseen.any():
        raise InputError(
            f"model {train.model_names[int(unseen.argmax())]!r} has no outcome in the training "
            "split; leave it out of the pool or add outcomes"
        )
    if features is None:
        features = np.empty((len(benchmark.in_train), 0), np.float32)
    router.fit(features[benchmark.in_train], train.utility, train.cost / benchmark.unit)
    return Predictions(ids, *router.predict_trials(features[benchmark.in_test]))
