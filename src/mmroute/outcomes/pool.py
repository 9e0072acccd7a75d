"""The outcome table of a benchmark: its data sets joined, the pool chosen, tokens priced."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd

from mmroute.confined import reading
from mmroute.errors import InputError, raise_disk_fault
from mmroute.outcome_table import LATENCY, PER_CALL, PRICE_COLUMNS, OutcomeTable
from mmroute.outcomes.datasets import join
from mmroute.outcomes.splits import freeze, require_outcomes, require_parts
from mmroute.storage import read_json, read_table, write_json

Prices: TypeAlias = Path | str | Mapping[str, Sequence[float] | float]
"""A price table's path, or by model USD per million prompt and completion tokens, or per call."""


def assemble(
    folder: Path,
    prices: Prices | None,
    pool: Sequence[str] | None,
    min_coverage: float,
    destination: Path,
    splits: Path | None = None,
) -> None:
    """Build the benchmark's outcome table from its data sets.

    Writes the table to ``destination`` and ``pool.json`` beside it: the USD of a
    normalised cost of 1, and a notice for each model that was left out.

    Parameters
    ----------
    folder
        What ``write_datasets`` has written.
    prices
        What to reprice tokens with; None keeps the source's costs.
    pool, min_coverage
        As for ``choose_pool``.
    destination
        The folder to write.
    splits
        The frozen splits under which there must be outcomes, see ``require_outcomes``.
    """
    index = read_json(folder / "index.json")
    table = join([OutcomeTable.read(folder / dataset["folder"]) for dataset in index["datasets"]])
    position = {name: column for column, name in enumerate(table.model_names)}
    table = table.take(columns=[position[name] for name in index["models"]])
    table, left_out = _in_use(table, prices, pool, min_coverage)
    if splits is not None:
        require_outcomes(table, read_table(splits).to_pandas())
    table.write(destination)
    write_json(destination / "pool.json", {"unit_usd": cost_unit(table.cost), "left_out": left_out})


def require_benchmark(
    table: OutcomeTable,
    train: float,
    salts: Sequence[int | str],
    prices: Prices | None,
    pool: Sequence[str] | None,
    min_coverage: float,
    max_latency: float | None = None,
) -> None:
    """Raise InputError for what ``assemble``, a split or the decision would refuse.

    Parameters
    ----------
    table
        As ingested.
    train, salts
        As for ``splits.freeze``.
    prices, pool, min_coverage
        As for ``assemble``.
    max_latency
        As of the decision.
    """
    given = table.samples, train, salts
    require_parts(*given)
    used, _ = _in_use(table, prices, pool, min_coverage)
    require_outcomes(used, freeze(*given))
    if max_latency is not None:
        require_latencies(used)


def require_latencies(table: OutcomeTable) -> None:
    """Raise InputError for a limit in seconds where no outcome has a latency."""
    if table.latency_s is None:
        raise InputError(
            "config key decision.max_latency: no outcome of the pool has a latency; give a "
            f"source that says how long calls took, such as a table's column {LATENCY}, or "
            "remove the key"
        )


def _in_use(
    table: OutcomeTable,
    prices: Prices | None,
    pool: Sequence[str] | None,
    min_coverage: float,
) -> tuple[OutcomeTable, list[str]]:
    """The outcomes of the pool that have a cost, and a notice for each model left out."""
    table, left_out = choose_pool(table, pool, min_coverage)
    if prices is not None:
        table = reprice(table, read_prices(prices), price_origin(prices))
    return mask_unpriced(table, "the source"), left_out


def price_origin(prices: Prices) -> str:
    """Return what messages call prices: their file, or their key of the config."""
    return "config key source.prices" if isinstance(prices, Mapping) else str(prices)


def read_prices(given: Prices) -> pd.DataFrame:
    """Read a price table's CSV, or lay prices out as one; raise InputError if it is none."""
    if isinstance(given, Mapping):
        listed = [
            (model, *price, "") if isinstance(price, Sequence) else (model, "", "", price)
            for model, price in given.items()
        ]
        prices = pd.DataFrame(listed, columns=["model", *PRICE_COLUMNS, PER_CALL], dtype=object)
        return prices if (prices[PER_CALL] != "").any() else prices.drop(columns=PER_CALL)
    path = Path(given)
    try:
        with reading(path):
            # All is text at first: pandas would take a price True for 1, and name columns anew.
            header, *rows = pd.read_csv(
                path, header=None, dtype=str, keep_default_na=False
            ).to_numpy()
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise_disk_fault(error, path)
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not readable as CSV ({reason}); give a price table") from error
    prices = pd.DataFrame(rows, columns=header).fillna("").astype(str)
    twice = prices.columns[prices.columns.duplicated()]
    if len(twice):
        raise InputError(f"{path}: column {twice[0]!r:.80} stands twice; keep one")
    for column in {*PRICE_COLUMNS, PER_CALL} & set(prices):
        values = pd.to_numeric(prices[column], errors="coerce")
        prices[column] = values.astype(object).where(values.notna(), prices[column])
    return prices


def choose_pool(
    table: OutcomeTable, pool: Sequence[str] | None, min_coverage: float
) -> tuple[OutcomeTable, list[str]]:
    """Keep the models of the pool.

    Parameters
    ----------
    table
        The joined outcome table.
    pool
        Models to keep, in this order; None keeps every model whose coverage is
        at least ``min_coverage``.
    min_coverage
        Share of the samples, in [0, 1].

    Returns
    -------
    The smaller table, and one notice for each model that was left out.

    Raises
    ------
    InputError
        If a model of the pool is not in the table or stands there twice, or none is left.
    """
    names = table.model_names
    if pool is not None:
        for position, name in enumerate(pool):
            if name not in names:
                raise InputError(
                    f"config key pool: no model {name!r} in the source; it has: {', '.join(names)}"
                )
            if name in pool[:position]:
                raise InputError(
                    f"config key pool: model {name!r} stands there twice; name it once"
                )
        kept = [names.index(name) for name in pool]
        notices = [f"{name} is not in the pool" for name in names if name not in pool]
    else:
        kept = np.flatnonzero(table.coverage >= min_coverage).tolist()
        notices = [
            f"{name} was left out: coverage {coverage:.1%} is below min_coverage {min_coverage:.0%}"
            for name, coverage in zip(names, table.coverage, strict=True)
            if coverage < min_coverage
        ]
    if not kept:
        raise InputError(
            f"config key min_coverage: no model reaches {min_coverage:.0%} of the samples; lower it"
        )
    return table.take(columns=kept), notices


def reprice(table: OutcomeTable, prices: pd.DataFrame, origin: str) -> OutcomeTable:
    """Compute costs from token counts and a price table.

    cost = (prompt tokens x price in + completion tokens x price out) / 1e6
    (definitions, section 1), and the price of a call if there is one. Outcomes without both
    token counts cost the price of a call where their model has no other, and else keep the
    cost that the source gave.

    Parameters
    ----------
    table
        Outcomes with their token counts.
    prices
        Columns ``model`` and ``PRICE_COLUMNS``, USD per million tokens, or ``PER_CALL``, USD,
        or all.
    origin
        The price table's file, for messages.

    Raises
    ------
    InputError
        If a column is missing, a price is not a number >= 0, a model stands
        twice, or a model with token counts has no price.
    """
    needed = ("model", *(PRICE_COLUMNS if PER_CALL not in prices else ()))
    missing = [column for column in needed if column not in prices]
    if missing:
        raise InputError(f"{origin}: no column {missing[0]!r}; a price table needs it")
    repeated = prices["model"][prices["model"].duplicated()]
    if len(repeated):
        raise InputError(
            f"{origin}: column model: {repeated.iloc[0]!r:.80} stands twice; keep one row"
        )
    indexed = prices.set_index("model").reindex(table.model_names)
    per_call = _per_call(indexed, origin)
    indexed = indexed.reindex(columns=list(PRICE_COLUMNS))
    by_call_alone = np.isfinite(per_call) & indexed.isin(["", np.nan]).all(axis=1).to_numpy()
    known = np.isfinite(table.prompt_tokens) & np.isfinite(table.completion_tokens)
    rates = []
    for column in PRICE_COLUMNS:
        values = pd.to_numeric(indexed[column], errors="coerce")
        for model, text, value, counted in zip(
            indexed.index,
            indexed[column],
            values,
            known.any(axis=0) & ~by_call_alone,
            strict=True,
        ):
            if counted and not (0 <= value < np.inf):
                raise InputError(
                    f"{origin}: column {column}: the price of model {model!r:.80} is "
                    f"{' '.join(str(text).split()):.80}; "
                    "give USD per million tokens"
                )
        rates.append(values.to_numpy(float))
    tokens = (table.prompt_tokens * rates[0] + table.completion_tokens * rates[1]) / 1e6
    cost = np.where(known, tokens + np.nan_to_num(per_call), table.cost)
    cost = np.where(by_call_alone & np.isfinite(table.utility), per_call, cost)
    models = table.models.assign(**dict(zip(PRICE_COLUMNS, rates, strict=True)))
    if PER_CALL in prices:
        models[PER_CALL] = per_call
    return replace(table, models=models, cost=cost)


def _per_call(prices: pd.DataFrame, origin: str) -> np.ndarray:
    """Return each model's price of a call, NaN where it has none."""
    given = prices.get(PER_CALL, pd.Series("", prices.index))
    values = pd.to_numeric(given, errors="coerce").to_numpy(float)
    bad = ~given.isin(["", np.nan]).to_numpy() & ~((values >= 0) & (values < np.inf))
    if bad.any():
        row = int(bad.argmax())
        raise InputError(
            f"{origin}: column {PER_CALL}: the price of model {prices.index[row]!r:.80} is "
            f"{' '.join(str(given.iloc[row]).split()):.80}; give USD, or leave it empty"
        )
    return values


def mask_unpriced(table: OutcomeTable, origin: str) -> OutcomeTable:
    """Treat an outcome as observed only where both its utility and its cost are known.

    Raises InputError if a model is left without any outcome, as it is when
    neither costs nor prices are given.
    """
    observed = np.isfinite(table.utility) & np.isfinite(table.cost)
    unpriced = ~observed.any(axis=0)
    if unpriced.any():
        raise InputError(
            f"{origin}: model {table.model_names[int(unpriced.argmax())]!r:.80} has no outcome "
            "with a known cost; give costs, or a price table in source.prices, with token counts "
            f"or with a column {PER_CALL}, or name the other models in pool"
        )
    latency = table.latency_s
    return replace(
        table,
        utility=np.where(observed, table.utility, np.nan),
        cost=np.where(observed, table.cost, np.nan),
        latency_s=None if latency is None else np.where(observed, latency, np.nan),
    )


def cost_unit(cost: np.ndarray) -> float:
    """The USD that a normalised cost of 1.0 stands for.

    It is the mean cost of an observed call of the most expensive model
    (MMR-Bench S1); 1.0 if every call is free.

    Parameters
    ----------
    cost
        (N, K) in USD, NaN where missing; each model has at least one outcome.
    """
    return float(np.nanmean(cost, axis=0).max()) or 1.0
