"""Training a router on one split of a benchmark, and what it predicts."""

from dataclasses import replace
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
from mmroute.routers import Elsewhere, GridRouter, Pool, Router, UpperBound, fit
from mmroute.storage import read_json, read_vectors

Inputs = np.ndarray | pd.DataFrame | None
"""What a router reads of N samples: (N, d) features, a frame of samples, or nothing."""


def pool_of(table: OutcomeTable, unit: float, development: np.ndarray | None = None) -> Pool:
    """Return what an outcome table tells of its models, and which samples are to stop by."""
    groups = pd.factorize(table.samples["group"])[0]
    tokens = table.prompt_tokens, table.completion_tokens
    return Pool(table.models, unit, *tokens, groups, development)


def with_paths(samples: pd.DataFrame, root: Path) -> pd.DataFrame:
    """Return what a router may read of N samples, with the images' paths below ``root``."""
    frame = samples[["sample_id", "dataset", "question"]].copy()
    frame["image"] = paths_below(root, samples["image"]).set_axis(frame.index)
    return frame


def read_inputs(samples: pd.DataFrame, features: str | None, source: str | None) -> Inputs:
    """Read what a router reads of N samples: a file of features, or where the images lie."""
    if features:
        return read_vectors([features], samples["sample_id"])
    return with_paths(samples, Path(read_json(Path(source))["root"])) if source else None


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


def hold_out(
    router: Any,
    table: OutcomeTable,
    unit: float,
    inputs: Inputs,
    held: np.ndarray,
    development: np.ndarray | None = None,
) -> Predictions:
    """Predict some samples by a copy of a router that was trained on the others.

    Parameters
    ----------
    router
        It is copied, not fitted.
    table, unit
        Outcomes of n samples, and the USD of a normalised cost of 1.
    inputs
        What the router reads of them.
    held
        (n,) mask of those that it does not see.
    development
        (n,) mask of the others that it does not learn from, either; None: none.

    Returns
    -------
    Predictions of the samples of the mask, NaN for a model that was never observed on the
    others.
    """
    ids = table.samples["sample_id"][held].reset_index(drop=True)
    u_hat, c_hat = (np.full((1, len(ids), table.utility.shape[1]), np.nan) for _ in range(2))
    teaching = ~held if development is None else ~held & ~development
    seen = np.flatnonzero(np.isfinite(table.utility[teaching]).any(axis=0))
    if not len(seen) or not len(ids):
        return Predictions(ids, u_hat, c_hat)
    given = ~held if router.stops_by_development else teaching
    rest = np.flatnonzero(given)
    known = np.ix_(rest, seen)
    fitted = fit(
        clone(router),
        take(inputs, given),
        table.utility[known],
        table.cost[known] / unit,
        pool_of(table, unit, development).take(rest, seen),
    )
    own = predict(fitted, ids, take(inputs, held))
    u_hat[..., seen], c_hat[..., seen] = own.u_hat[:1], own.c_hat[:1]
    scores = None
    if own.scores is not None:
        scores = np.full((len(own.scores), *u_hat.shape[1:]), np.nan)
        scores[..., seen] = own.scores
    return Predictions(ids, u_hat, c_hat, own.grid, scores, own.overhead)


def cross_fit(router: Any, benchmark: Benchmark, inputs: Inputs) -> Predictions:
    """Predict each training sample by a router that was trained without it.

    Operating points that are chosen on these predictions owe nothing to the test
    split. A sample's fold depends on its group alone.

    Parameters
    ----------
    router, benchmark, inputs
        As for ``train``; the router is copied, not fitted. It must be trained if there are
        development samples: these it predicts itself.

    Returns
    -------
    Predictions of the training samples, NaN for a model that was never observed
    in the other folds, and for a sample without a choice from elsewhere.
    """
    if isinstance(router, Elsewhere):
        return router.predictions(benchmark, benchmark.in_train)
    table = benchmark.train
    ids = table.samples["sample_id"]
    if isinstance(router, UpperBound):
        u_hat, c_hat = router.reveal(table.utility, table.cost / benchmark.unit)
        return Predictions(ids, u_hat[None], c_hat[None])
    rows, folds = take(inputs, benchmark.in_train), fold_of(table.samples["group"])
    held = benchmark.held_out
    teaching = np.ones(len(ids), bool) if held is None else ~held
    parts = [
        hold_out(router, table, benchmark.unit, rows, teaching & (folds == fold), held)
        for fold in tqdm(np.unique(folds[teaching]), desc="cross-fitting", mininterval=5)
    ]
    if held is not None:
        own = predict(router, ids[held].reset_index(drop=True), take(rows, held))
        parts.append(replace(own, u_hat=own.u_hat[:1], c_hat=own.c_hat[:1]))
    return Predictions.joined(parts, ids)


def train(router: Any, benchmark: Benchmark, inputs: Inputs) -> None:
    """Train a router on the training split, in place; some learn nothing.

    Parameters
    ----------
    router
        A router; an upper bound, which is shown the outcomes of the test split; or choices
        from elsewhere.
    benchmark
        Outcomes and splits.
    inputs
        What the router reads of all N samples, as the splits have them.

    Raises
    ------
    InputError
        If a model of the pool has no outcome in the training split.
    """
    if isinstance(router, UpperBound | Elsewhere):
        return
    table, rows, held = benchmark.train, take(inputs, benchmark.in_train), benchmark.held_out
    require_labels(table if held is None else table.take(~held), benchmark.salt)
    if held is not None and not router.stops_by_development:
        table, rows, held = table.take(~held), take(rows, ~held), None
    train_on(router, table, benchmark.unit, rows, held)


def train_on(
    router: Any,
    table: OutcomeTable,
    unit: float,
    inputs: Inputs,
    development: np.ndarray | None = None,
) -> None:
    """Train a router on all of n samples, in place; arguments as for ``hold_out``."""
    fit(router, inputs, table.utility, table.cost / unit, pool_of(table, unit, development))


def predict_test(router: Any, benchmark: Benchmark, inputs: Inputs) -> Predictions:
    """Return a trained router's predictions of the test split; arguments as for ``train``."""
    if isinstance(router, Elsewhere):
        return router.predictions(benchmark, benchmark.in_test)
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
