"""Training a router on one split of a benchmark, and what it predicts."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from tqdm import tqdm

from mmroute.images import paths_below
from mmroute.outcome_table import OutcomeTable
from mmroute.outcomes.benchmark import Benchmark
from mmroute.outcomes.splits import fold_of, require_labels
from mmroute.predictions import Predictions
from mmroute.routers import GridRouter, Pool, Router, UpperBound, fit

Inputs = np.ndarray | pd.DataFrame | None
"""What a router reads of N samples: (N, d) features, a frame of samples, or nothing."""


def pool_of(table: OutcomeTable, unit: float) -> Pool:
    """Return what an outcome table tells of its models."""
    groups = pd.factorize(table.samples["group"])[0]
    return Pool(table.models, unit, table.prompt_tokens, table.completion_tokens, groups)


def with_paths(samples: pd.DataFrame, root: Path) -> pd.DataFrame:
    """Return what a router may read of N samples, with the images' paths below ``root``."""
    frame = samples[["sample_id", "dataset", "question"]].copy()
    frame["image"] = paths_below(root, samples["image"]).set_axis(frame.index)
    return frame


def take(inputs: Inputs, rows: np.ndarray) -> np.ndarray | pd.DataFrame:
    """Return the inputs of the samples of a mask; no columns for a router that reads nothing."""
    if inputs is None:
        return np.empty((int(rows.sum()), 0), np.float32)
    return inputs[rows].reset_index(drop=True) if isinstance(inputs, pd.DataFrame) else inputs[rows]


def predict(router: Router, sample_ids: pd.Series, rows: np.ndarray | pd.DataFrame) -> Predictions:
    """Return all that a fitted router predicts of some samples."""
    overhead = router.overhead(rows)
    return Predictions(
        sample_ids,
        *router.predict_trials(rows),
        grid=router.grid if isinstance(router, GridRouter) else None,
        scores=router.predict_scores(rows) if isinstance(router, GridRouter) else None,
        overhead=overhead if overhead.any() else None,
    )


def cross_fit(router: Any, benchmark: Benchmark, inputs: Inputs) -> Predictions:
    """Predict each training sample by a router that was trained without it.

    Operating points that are chosen on these predictions owe nothing to the test
    split. A sample's fold depends on its group alone.

    Parameters
    ----------
    router, benchmark, inputs
        As for ``train``; the router is copied, not fitted.

    Returns
    -------
    Predictions of the training samples, NaN for a model that was never observed
    in the other folds.
    """
    train = benchmark.train
    ids = train.samples["sample_id"]
    cost = train.cost / benchmark.unit
    if isinstance(router, UpperBound):
        u_hat, c_hat = router.reveal(train.utility, cost)
        return Predictions(ids, u_hat[None], c_hat[None])
    rows = take(inputs, benchmark.in_train)
    pool, folds = pool_of(train, benchmark.unit), fold_of(train.samples["group"])
    u_hat, c_hat = (np.full(train.utility.shape, np.nan) for _ in range(2))
    overhead = np.zeros(len(ids))
    grid, scores = None, None
    for fold in tqdm(np.unique(folds), desc="cross-fitting", mininterval=5):
        held, rest = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        seen = np.flatnonzero(np.isfinite(train.utility[rest]).any(axis=0))
        if not len(seen):
            continue
        cells, known = np.ix_(held, seen), np.ix_(rest, seen)
        fitted = fit(
            clone(router),
            take(rows, folds != fold),
            train.utility[known],
            cost[known],
            pool.take(rest, seen),
        )
        own = predict(fitted, ids[held], take(rows, folds == fold))
        u_hat[cells], c_hat[cells] = own.u_hat[0], own.c_hat[0]
        if own.overhead is not None:
            overhead[held] = own.overhead
        if own.scores is not None and own.grid is not None:
            if scores is None:
                grid, scores = own.grid, np.full((len(own.grid), *u_hat.shape), np.nan)
            scores[:, held[:, None], seen] = own.scores
    return Predictions(
        ids, u_hat[None], c_hat[None], grid, scores, overhead if overhead.any() else None
    )


def train(router: Any, benchmark: Benchmark, inputs: Inputs) -> None:
    """Train a router on the training split, in place; an upper bound learns nothing.

    Parameters
    ----------
    router
        A router, or an upper bound, which is shown the outcomes of the test split.
    benchmark
        Outcomes and splits.
    inputs
        What the router reads of all N samples, as the splits have them.

    Raises
    ------
    InputError
        If a model of the pool has no outcome in the training split.
    """
    if isinstance(router, UpperBound):
        return
    own = benchmark.train
    require_labels(own, benchmark.salt)
    fit(
        router,
        take(inputs, benchmark.in_train),
        own.utility,
        own.cost / benchmark.unit,
        pool_of(own, benchmark.unit),
    )


def predict_test(router: Any, benchmark: Benchmark, inputs: Inputs) -> Predictions:
    """Return a trained router's predictions of the test split; arguments as for ``train``."""
    test = benchmark.test
    ids = test.samples["sample_id"]
    if isinstance(router, UpperBound):
        u_hat, c_hat = router.reveal(test.utility, test.cost / benchmark.unit)
        return Predictions(ids, u_hat[None], c_hat[None])
    return predict(router, ids, take(inputs, benchmark.in_test))


def train_and_predict(router: Any, benchmark: Benchmark, inputs: Inputs) -> Predictions:
    """Train a router and return its predictions of the test split; arguments as for ``train``."""
    train(router, benchmark, inputs)
    return predict_test(router, benchmark, inputs)
