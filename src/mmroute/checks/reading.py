"""The steps of a run up to the split: what would stop it, and what it would use."""

import math
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from mmroute.catalogue import build, find
from mmroute.checks.remark import (
    Level,
    Remark,
    close,
    counted,
    flow,
    pool_line,
    some,
    stopping,
    with_close,
)
from mmroute.config import Config, SourceConfig
from mmroute.confined import working_on
from mmroute.errors import InputError
from mmroute.outcome_table import LATENCY, PER_CALL, PRICE_COLUMNS, OutcomeTable
from mmroute.outcomes.ingestion import Ingested, fetch, ingest, read_valid
from mmroute.outcomes.pool import (
    Prices,
    choose_pool,
    mask_unpriced,
    price_origin,
    read_prices,
    reprice,
)
from mmroute.outcomes.splits import freeze, masks, require_parts
from mmroute.report.data_report import dataset_report, model_report, notices
from mmroute.sources import Source

SHARES = np.arange(1, 20) / 20
"""Training shares that are tried as a cure."""
DATASET_COLUMNS = ("dataset", "scenario", "samples", "train", "test", "text", "image", "coverage")
MODEL_COLUMNS = (
    *("model", "used", "coverage", "accuracy", "cost_usd", *PRICE_COLUMNS, "cost_from"),
    LATENCY,
)


class Read(NamedTuple):
    """Sources that were read: what they hold, their common root, and the files."""

    ingested: Ingested
    root: Path
    files: str

    @property
    def table(self) -> OutcomeTable:
        """Return the outcomes."""
        return self.ingested.table


class _Held:
    """A source that was read already, for ``ingest``."""

    def __init__(self, source: Source, root: Path, joined: bool) -> None:
        with warnings.catch_warnings(record=True) as self.said, working_on(source.origin(root)):
            warnings.simplefilter("always")
            self.table = read_valid(source, root, joined)
        self._origin = source.origin

    def origin(self, root: Path) -> Path:
        return self._origin(root)

    def read(self, root: Path) -> OutcomeTable:
        for one in self.said:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
        return self.table


def built(key: str, config: SourceConfig, found: list[Remark]) -> dict[str, Source]:
    """Build sources by their labels, and look for the files that the config names."""
    if config.price_file and not config.price_file.is_file():
        cure = "write this file, or name another"
        found.append(Remark("error", f"{key}.prices: no file {config.prices!r}", cure))
    sources = {}
    for label, part in config.labelled.items():
        with stopping(found):
            source = build("sources", part.name, part.parameters)
            with working_on(Path(label)):
                source.local_files()
            sources[label] = source
    return sources


def read(key: str, config: SourceConfig, folder: Path, found: list[Remark]) -> Read | None:
    """Fetch and read sources; None if that fails, with a remark for each that it fails for."""
    sources, held = built(key, config, found), {}
    if len(sources) < len(config.parts):
        return None
    with stopping(found):
        root = fetch(list(sources.values()), folder)
        several = len(sources) > 1
        roots = [root / f"{index}/root" if several else root for index in range(len(sources))]
        for own, (label, source) in zip(roots, sources.items(), strict=True):
            with stopping(found):
                held[label] = _Held(source, own, several)
        if len(held) == len(sources):
            files = ", ".join(
                str(one.origin(own)) for one, own in zip(held.values(), roots, strict=True)
            )
            _drop_without_input(held, files, found)
            return Read(ingest(held, root), root, files)
    return None


def _drop_without_input(held: Mapping[str, _Held], files: str, found: list[Remark]) -> None:
    """Take the samples that no source has a question or an image of out of the tables."""
    samples = pd.concat([one.table.samples for one in held.values()], ignore_index=True)
    told = (samples["question"].str.strip() != "") | samples["image"].notna()
    told = told.groupby(samples["sample_id"], sort=False).any()
    silent = told.index[~told]
    if silent.empty:
        return
    for one in held.values():
        one.table = one.table.take(~one.table.samples["sample_id"].isin(silent).to_numpy())
    message = f"{counted(len(silent), 'sample')} with neither a question nor an image: "
    cure = f"in {files}: give them a question or an image, or remove their rows"
    found.append(Remark("error", message + some(silent), cure))


def text_only(config: Config, folder: Path, found: list[Remark]) -> OutcomeTable | None:
    """The outcomes of the second source, if an experiment takes it."""
    if config.text_only is None:
        return None
    if not config.needing_text_only:
        built("text_only", config.text_only, found)
        return None
    own = read("text_only", config.text_only, folder, found)
    if own is None:
        return None
    found += [Remark("warning", f"text_only: {notice}") for notice in own.ingested.notices]
    return priced("text_only", config.text_only, own, own.table, found)


def chosen(config: Config, table: OutcomeTable, found: list[Remark]) -> OutcomeTable:
    """Choose the pool of the config, cured if a run would not take it."""
    names, share = table.model_names, config.min_coverage
    if config.pool is None:
        return _covered(table, share, found)
    alike = {name: close(name, names) for name in config.pool if name not in names}
    meant = list(dict.fromkeys(one for name in config.pool for one in alike.get(name, [name])[:1]))
    known = [name for name in config.pool if name in names]
    for part in filter(None, [*([name] for name in alike), known]):
        with stopping(found, f"pool: {flow(meant or None)}"):
            choose_pool(table, part, share)
    return choose_pool(table, meant, share)[0] if meant else _covered(table, share, found)


def _covered(table: OutcomeTable, share: float, found: list[Remark]) -> OutcomeTable:
    """Choose the models that reach a coverage, or the most covered ones if none does."""
    short = table.coverage < share
    if short.any():
        best = math.floor(table.coverage[short].max() * 1000) / 1000
        names = np.array(table.model_names)[short]
        told = ", ".join(map("{} {:.1%}".format, names, table.coverage[short]))
        level: Level = "error" if short.all() else "warning"
        what = "no model reaches" if short.all() else "left out, as below"
        message = f"{what} min_coverage {share:.0%}: {told}"
        found.append(Remark(level, message, f"min_coverage: {best:g}"))
        share = best if short.all() else share
    return choose_pool(table, None, share)[0]


def priced(
    key: str, config: SourceConfig, source: Read, table: OutcomeTable, found: list[Remark]
) -> OutcomeTable | None:
    """Reprice a table as a run does; None if no model is left whose costs are known."""
    if config.prices and (config.price_file is None or config.price_file.is_file()):
        table = _repriced(config.prices, table, found)
    names = np.array(table.model_names)
    seen, known = np.isfinite(table.utility), np.isfinite(table.cost)
    free = ~(seen & known).any(axis=0)
    counts = np.isfinite(table.prompt_tokens) & np.isfinite(table.completion_tokens)
    by_tokens = (seen & counts).any(axis=0)
    if (free & by_tokens).any():
        path, lacking = str(config.price_file or "my/prices.csv"), names[free & by_tokens]
        found.append(
            Remark(
                "error",
                f"{key}: token counts, but neither costs nor prices: {', '.join(lacking)}",
                f"{key}: {{..., prices: {flow(path)}}}\n"
                f"{path}, with USD per million tokens for each ?:\n"
                + _price_lines(pd.DataFrame(columns=["model", *PRICE_COLUMNS]), lacking, True),
            )
        )
    unknown = free & ~by_tokens
    if unknown.any():
        cure = f"in {source.files}: give costs or token counts, or {PER_CALL} in {key}.prices"
        if key == "source" and not unknown.all():
            cure += f", or leave these models out:\n{pool_line(names[~unknown].tolist())}"
        message = f"{key}: neither costs nor token counts: {', '.join(names[unknown])}"
        found.append(Remark("error", message, cure))
    if free.all():
        return None
    lacking = (seen & ~known).sum(axis=0)
    if lacking[~free].any():
        own = np.flatnonzero(~free & (lacking > 0))
        told = ", ".join(map("{} {:,}".format, names[own], lacking[own]))
        message = f"{key}: outcomes whose cost is unknown count as missing: {told}"
        cure = f"in {source.files}: give their costs or token counts"
        found.append(Remark("warning", message, cure))
    return mask_unpriced(table.take(columns=np.flatnonzero(~free)), "")


def _repriced(given: Prices, table: OutcomeTable, found: list[Remark]) -> OutcomeTable:
    """Reprice what a price table prices; leave out the models that it should and does not."""
    origin = price_origin(given)
    try:
        prices = read_prices(given)
        reprice(table.take(columns=[]), prices, origin)
    except InputError as error:
        found.append(Remark.of(error, ",".join(("model", *PRICE_COLUMNS))))
        return table
    unpriced, priced = [], []
    for column, name in enumerate(table.model_names):
        try:
            reprice(table.take(columns=[column]), prices, origin)
            priced.append(column)
        except InputError:
            unpriced.append(name)
    if unpriced:
        told = (with_close(name, prices["model"].dropna()) for name in unpriced)
        message = f"{origin}: no price for {counted(len(unpriced), 'model')}: {', '.join(told)}"
        cure = f"correct {origin}, with USD per million tokens for each ?:\n"
        if isinstance(given, Mapping):
            cure += "\n".join(f"{flow(name)}: [?, ?]" for name in unpriced)
        else:
            cure += _price_lines(prices, unpriced)
        found.append(Remark("error", message, cure))
    return reprice(table.take(columns=priced), prices, origin)


def _price_lines(prices: pd.DataFrame, names: Iterable[str], header: bool = False) -> str:
    """Return CSV lines in the order of a price table's columns, ``?`` for a price to give."""
    rows = prices.astype(object).set_index("model", drop=False).reindex(list(names))
    rows["model"] = rows.index
    rows = rows.reindex(columns=list(dict.fromkeys([*rows.columns, *PRICE_COLUMNS])))
    for column in PRICE_COLUMNS:
        given = pd.to_numeric(rows[column], errors="coerce").between(0, sys.float_info.max)
        rows[column] = rows[column].where(given, "?")
    return rows.to_csv(index=False, header=header, lineterminator="\n").rstrip("\n")


def splits(config: Config, samples: pd.DataFrame, found: list[Remark]) -> pd.DataFrame:
    """Split the samples as a run does, even where it would refuse to."""
    own = config.split
    with stopping(found, other_share(config, samples)):
        require_parts(samples, own.train, own.salts)
    return freeze(samples, own.train, own.salts)


def other_share(config: Config, samples: pd.DataFrame, fewest: int = 1) -> str:
    """Return the line with the nearest training share that suits, empty if none does.

    It splits the samples, and leaves ``fewest`` of them to test under each salt.
    """
    own = config.split
    for share in sorted(SHARES.tolist(), key=lambda share: abs(share - own.train)):
        try:
            require_parts(samples, share, own.salts)
        except InputError:
            continue
        if (~masks(samples, share, own.salts)).sum().min() >= fewest:
            salts = {} if own.salts == [0] else {"salts": own.salts}
            return f"split: {flow({'train': share, **salts})}"
    return ""


def described(
    whole: OutcomeTable, pool: OutcomeTable, priced: OutcomeTable | None, splits: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what the data report says of the data sets, and the models as ``Check`` has them."""
    samples = whole.samples
    text = (samples["question"].str.strip() != "").to_numpy()
    present = {"text": text, "image": samples["image"].notna().to_numpy()}
    datasets = dataset_report(pool if priced is None else priced, splits, present)
    datasets["text"] = datasets["samples"] - datasets["no_text"]
    datasets["image"] = datasets["samples"] - datasets["no_image"]
    models = pd.DataFrame(
        {
            "used": np.isin(whole.model_names, pool.model_names),
            "coverage": whole.coverage,
            "accuracy": np.nanmean(whole.utility, axis=0),
            "cost_from": "",
        },
        pd.Index(whole.model_names, name="model"),
    )
    if priced is not None:
        models = model_report(priced, 1, 0).set_index("model").combine_first(models)
    order = dict.fromkeys([*pool.model_names, *whole.model_names])
    models = models.reindex(list(order)).reset_index()
    return datasets, models.reindex(columns=list(MODEL_COLUMNS))


def told(
    config: Config, source: Read, table: OutcomeTable, datasets: pd.DataFrame
) -> Iterator[Remark]:
    """Yield what the sources say of themselves, and what the report will say of them."""
    kinds = [find("sources", part.name).attributes for part in config.source.parts]
    simulated = any(kind.get("simulated", False) for kind in kinds)
    for notice in source.ingested.notices:
        yield Remark("warning", notice)
    in_shards = len(table.samples) > config.shard_size.evaluate
    for line in notices(table, datasets, [], simulated, in_shards, config.elsewhere):
        yield Remark("note", line)
    pairs = source.ingested.origins.groupby("source", sort=False)["pairs"].sum()
    if len(pairs) > 1:
        joined = (f"{count:,} pairs from {label}" for label, count in pairs.items())
        yield Remark("note", f"outcomes are joined: {', '.join(joined)}")
