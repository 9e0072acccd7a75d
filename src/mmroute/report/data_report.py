"""The data report: what the benchmark holds, what is missing, and what was left out."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mmroute.evaluation.bootstrap import resample_weights
from mmroute.evaluation.inference import interval
from mmroute.evaluation.metrics import single_models
from mmroute.evaluation.shards import GRID_SIZE
from mmroute.images import counts as image_counts
from mmroute.outcome_table import LATENCY, PER_CALL, PRICE_COLUMNS, OutcomeTable
from mmroute.outcomes.pool import cost_unit
from mmroute.outcomes.splits import SLICE, salts_of

SIMULATED = "the data are simulated: nothing here says anything about a real model"
"""A notice."""
TAIL = 0.95
"""Share of the calls that a percentile of latencies is of."""


def dataset_report(
    table: OutcomeTable,
    splits: pd.DataFrame,
    present: Mapping[str, np.ndarray],
    missed: np.ndarray | None = None,
) -> pd.DataFrame:
    """Count what each data set holds; one row per data set and a last one for ``full``.

    Parameters
    ----------
    table
        The outcome table, N samples.
    splits
        As from ``freeze``; the first salt is counted.
    present
        (N,) masks of ``text`` and ``image``: what could be embedded.
    missed
        (N,) images that could not be, of samples of which others could.

    Returns
    -------
    ``dataset``, ``scenario``, ``samples``, ``groups``, ``train``, ``test``; ``small``: whether
    it has no row of its own in tables, see ``splits.slices``; ``no_text`` and
    ``no_image``: samples that come without; ``undecodable_images``: images that
    are there but cannot be decoded; ``duplicates``: samples whose question and
    image stood before in the data set; ``unobserved``: samples that no model was
    observed on, which are left out; ``coverage``: observed share of all pairs.
    """
    samples = table.samples
    train = salts_of(splits).iloc[:, 0].to_numpy()
    observed = np.isfinite(table.utility)
    counts = pd.DataFrame(
        {
            "dataset": samples["dataset"],
            "scenario": samples["scenario"],
            "samples": 1,
            "groups": samples["group"],
            "train": train,
            "test": ~train,
            "small": (samples["dataset"] != splits[SLICE]).to_numpy(),
            "no_text": ~present["text"],
            "no_image": samples["image"].isna(),
            "undecodable_images": np.where(
                present["image"], 0 if missed is None else missed, image_counts(samples["image"])
            ),
            "duplicates": samples.duplicated(["dataset", "question", "image_digest"]),
            "unobserved": ~observed.any(axis=1),
            "coverage": observed.mean(axis=1),
        }
    )
    how = dict.fromkeys(counts.columns[2:], "sum")
    how |= {"groups": "nunique", "small": "any", "coverage": "mean"}
    by_dataset = counts.groupby(["dataset", "scenario"], sort=False).agg(how).reset_index()
    counts = counts.assign(dataset="full", scenario="", small=False)
    full = counts.groupby(["dataset", "scenario"]).agg(how)
    return pd.concat([by_dataset, full.reset_index()], ignore_index=True)


def model_report(table: OutcomeTable, n_resamples: int, seed: int) -> pd.DataFrame:
    """Describe each model of the pool over all samples, train and test.

    Parameters
    ----------
    table
        The outcome table.
    n_resamples, seed
        Of the bootstrap behind the intervals.

    Returns
    -------
    ``model``, ``coverage``, ``accuracy``, ``cost_usd`` (mean per call), each of the two
    with its bounds ``_low`` and ``_high``, ``cost`` (normalised), the prices, and
    ``cost_from``: ``tokens`` where prices and token counts gave all costs, ``source``
    where the source did, ``price per call`` where there is one, ``mixed`` otherwise. Where
    latencies are known, in seconds and with bounds, ``latency_s``, their mean, and
    ``latency_p95_s``, their 95th percentile; ``latency_coverage``: of which share of the
    outcomes they are known.
    """
    weights = resample_weights(table.samples, n_resamples, seed)
    singles = single_models(table.utility, table.cost, weights)
    measured = _bounded("accuracy", singles.utility) | _bounded("cost_usd", singles.cost)
    counted = np.isfinite(table.prompt_tokens) & np.isfinite(table.completion_tokens)
    counted &= np.isfinite(table.models[list(PRICE_COLUMNS)].to_numpy(float)).all(axis=1)
    by_call = np.isfinite(table.models.get(PER_CALL, pd.Series(np.nan, table.models.index)))
    observed = np.isfinite(table.utility)
    priced = np.where(observed, counted, False).sum(axis=0) / observed.sum(axis=0)
    return pd.DataFrame(
        {
            "model": table.model_names,
            "coverage": table.coverage,
            **measured,
            "cost": singles.cost[0] / cost_unit(table.cost),
            **{column: table.models[column] for column in PRICE_COLUMNS},
            "cost_from": np.select(
                [by_call, priced == 1, priced == 0],
                ["price per call", "tokens", "source"],
                "mixed",
            ),
            **({} if table.latency_s is None else _latencies(table, table.latency_s, weights)),
        }
    )


def _bounded(name: str, replicates: np.ndarray, atoms: bool = False) -> dict[str, np.ndarray]:
    """The (K,) values of (1 + B, K) replicates, with their bounds."""
    low, high = np.array([interval(column, atoms) for column in replicates.T]).T
    return {name: replicates[0], f"{name}_low": low, f"{name}_high": high}


def _latencies(
    table: OutcomeTable, latency: np.ndarray, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """What ``model_report`` says of (N, K) latencies under (1 + B, N) weights."""
    observed = np.isfinite(table.utility)
    latency = np.where(observed, latency, np.nan)
    percentiles = [_percentile(column, weights, TAIL) for column in latency.T]
    return {
        **_bounded(LATENCY, single_models(latency, latency, weights).cost),
        **_bounded("latency_p95_s", np.stack(percentiles, axis=1), atoms=True),
        "latency_coverage": np.isfinite(latency).sum(axis=0) / observed.sum(axis=0),
    }


def _percentile(values: np.ndarray, weights: np.ndarray, share: float) -> np.ndarray:
    """The (1 + B,) smallest of (N,) values that a share of those known does not exceed."""
    order = np.argsort(values)[: np.isfinite(values).sum()]
    if not len(order):
        return np.full(len(weights), np.nan)
    below = np.cumsum(weights[:, order], axis=1, dtype=np.uint32)
    total = below[:, -1]
    at = (below >= share * total[:, None]).argmax(axis=1)
    return np.where(total > 0, values[order][at], np.nan)


def notices(
    table: OutcomeTable,
    datasets: pd.DataFrame,
    left_out: Sequence[str],
    simulated: bool,
    in_shards: bool,
    elsewhere: Mapping[str, str] | None = None,
) -> list[str]:
    """Put into words what a reader of the results has to know.

    Parameters
    ----------
    table
        The outcome table.
    datasets
        As from ``dataset_report``.
    left_out
        What was said of the models that are not in the pool.
    simulated
        Whether the source makes its outcomes up.
    in_shards
        Whether evaluation is scattered.
    elsewhere
        Rows that a router from elsewhere has, and the file of what it chose.
    """
    full = datasets.iloc[-1]
    lines = [SIMULATED] * simulated
    if in_shards:
        lines.append(
            f"operating curves and frontiers are known at {GRID_SIZE} thresholds only, exactly "
            "there: the benchmark is larger than shard_size.evaluate, what one job evaluates"
        )
    lines += [
        f"{row}: its choices come from elsewhere ({path}); what it was trained on is unknown, and "
        "it may have seen these samples, so that it is never the router that training chose. "
        "Without choices for training samples, what takes points chosen there is undefined"
        for row, path in (elsewhere or {}).items()
    ]
    lines += left_out
    small = datasets[datasets["small"]]
    if len(small):
        told = zip(small["dataset"], small["samples"], strict=True)
        named = ", ".join(f"{dataset} ({samples:,})" for dataset, samples in told)
        lines.append(
            "too small to be trained and tested on, and without a row of their own: "
            f"{named}; their samples count in full, and those of one scenario together in its "
            "average where they are enough"
        )
    if full["unobserved"]:
        lines.append(f"{full['unobserved']} samples were left out: no model was observed on them")
    if full["undecodable_images"]:
        lines.append(
            f"{full['undecodable_images']} images could not be decoded; "
            "these samples are routed by their text"
            + (" and other images" if image_counts(table.samples["image"]).max() > 1 else "")
        )
    if full["duplicates"]:
        lines.append(f"{full['duplicates']} samples repeat the question and image of another")
    if full["coverage"] < 1:
        lines.append(f"coverage is {full['coverage']:.2%} of all (sample, model) pairs")
    if table.latency_s is not None:
        known = np.isfinite(table.latency_s)
        share = (known & np.isfinite(table.utility)).sum() / np.isfinite(table.utility).sum()
        untimed = [
            name for name, own in zip(table.model_names, known.T, strict=True) if not own.any()
        ]
        if share < 1:
            none = f"; none is of {', '.join(untimed)}" if untimed else ""
            lines.append(
                f"latencies are means over the {share:.2%} of the outcomes that have one{none}"
            )
    lines += equal_prices(table)
    if not np.isfinite(table.prompt_tokens).any():
        lines.append("prompt tokens are unknown: costs are used as the source gives them")
    return lines


def equal_prices(table: OutcomeTable) -> list[str]:
    """Say that tokens of all models have one price, if they have."""
    prices = table.models[list(PRICE_COLUMNS)].drop_duplicates()
    if len(table.models) < 2 or len(prices) > 1 or prices.isna().any(axis=None):
        return []
    return [
        "tokens cost the same whatever the model: costs compare how many tokens each takes, and "
        "no prices"
    ]
