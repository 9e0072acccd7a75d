"""A config for logs: which source reads them, what it has to be told, what they cost."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from textwrap import indent, wrap
from typing import Any

import numpy as np
import yaml

from mmroute.catalogue import build, catalogue, find
from mmroute.checks.layout import COLUMNS
from mmroute.checks.reading import SHARES
from mmroute.checks.remark import counted
from mmroute.checks.undeclared import group_column
from mmroute.config import FILE_SAFE, Config, load
from mmroute.errors import InputError, Undecided, printable
from mmroute.outcome_table import PRICE_COLUMNS, OutcomeTable
from mmroute.outcomes.ingestion import fetch, ingest
from mmroute.outcomes.pool import read_prices, require_benchmark
from mmroute.source_tree import SOURCE_TREE
from mmroute.sources import Source
from mmroute.sources.survey import Survey
from mmroute.storage import file_name, is_file

PRICES_BESIDE = "prices.csv"
ONE = 1.0
"""Stands for a price that nobody has given, of all models alike."""
MOST_ROUNDS = 200
"""Of reading, each of which may show what else a source has to be told."""
NAMED_FILES = 8
FOLDERS_TRIED = 200


@dataclass(frozen=True)
class Proposal:
    """A config for logs.

    Attributes
    ----------
    kind
        The source's kind.
    others
        Other kinds in whose layout the logs are too.
    content
        The config.
    said
        What was guessed, and what is missing: a key of the config, such as ``source.metrics``,
        and a text. That of ``name`` is about all.
    problem
        Why the logs cannot be read; empty if they can.
    """

    kind: str
    others: list[str]
    content: dict[str, Any]
    said: list[tuple[str, str]]
    problem: str

    def text(self) -> str:
        """Write the config as YAML, with what was said as comments."""
        lines: list[str] = []
        for key, value in self.content.items():
            lines += self._comments(key, "")
            if key != "source":
                lines.append(_entry(key, value))
                continue
            lines.append("source:")
            for own, inner in value.items():
                lines += self._comments(f"source.{own}", "  ")
                lines.append(indent(_entry(own, inner), "  "))
        return "\n".join(lines) + "\n"

    def _comments(self, key: str, margin: str) -> Iterator[str]:
        for about, text in self.said:
            if about == key:
                words = printable(" ".join(text.split()))
                mark = f"{margin}# "
                yield from wrap(
                    words,
                    COLUMNS,
                    initial_indent=mark,
                    subsequent_indent=f"{mark}  ",
                    break_long_words=False,
                    break_on_hyphens=False,
                )


def propose(path: Path, results: Path) -> Proposal:
    """Propose a config for what lies at a path.

    Parameters
    ----------
    path
        A folder of logs, or a file.
    results
        The folder of all results, where a run has what it unpacks.

    Raises
    ------
    InputError
        If no source recognises it.
    """
    there = Survey(path)
    kinds = _recognised(there)
    if not kinds:
        raise InputError(_unknown(there))
    kind, *others = kinds
    found = kinds[kind]
    proposal = Proposal(
        kind,
        others,
        {"name": _name(path), "source": {"kind": kind, **found.keys}},
        [("name", f"Proposed by mmroute init for {path}, which is read as {kind}.")],
        "",
    )
    if others:
        proposal.said.append(("name", f"It could be read as {', '.join(others)}, too."))
    if not there.whole:
        proposal.said.append(("name", f"Only the first {len(there.names):,} files were looked at."))
    proposal.said.extend((f"source.{key}", f"A guess: {text}") for key, text in found.guesses)
    return _completed(proposal, there, results)


def _recognised(there: Survey) -> dict[str, Any]:
    """Ask every source, and return what they recognise by kind, the most specific first."""
    found = {}
    for name, entry in catalogue("sources").items():
        source: type[Source] = getattr(import_module(entry.module), entry.class_name)
        recognised = source.recognise(there)
        if recognised:
            found[name] = recognised
    is_general = {name: find("sources", name).attributes.get("general", False) for name in found}
    return {name: found[name] for name in sorted(found, key=lambda name: (is_general[name], name))}


def _completed(proposal: Proposal, there: Survey, results: Path) -> Proposal:
    """Read the logs, and add what reading shows to be needed."""
    try:
        table = _read(proposal, results)
        if _declare_groups(proposal, table):
            table = _read(proposal, results)
        _price(proposal, table, there)
        _cover(proposal, table)
        _split(proposal, table)
    except InputError as error:
        proposal.said.append(("name", f"NOT USABLE YET: {error}"))
        return Proposal(proposal.kind, proposal.others, proposal.content, proposal.said, str(error))
    return proposal


def _read(proposal: Proposal, results: Path) -> OutcomeTable:
    """Read the logs, and answer what the source asks for in the way that it names first."""
    source = proposal.content["source"]
    parameters = find("sources", proposal.kind).parameters
    tried: set[str] = set()
    while True:
        config = load(proposal.content, "the config")
        try:
            return _ingested(config, results / config.name / "source")
        except Undecided as error:
            tried.add(json.dumps(source, sort_keys=True))
            for key, value in error.keys.items():
                if key in parameters:
                    known = source.get(key)
                    both = isinstance(value, Mapping) and isinstance(known, Mapping)
                    source[key] = {**known, **value} if both else value
            if json.dumps(source, sort_keys=True) in tried or len(tried) > MOST_ROUNDS:
                raise
            key = next(iter(error.keys))
            proposal.said.append((f"source.{key}", f"A guess: {str(error).rpartition('; ')[0]}"))


def _ingested(config: Config, folder: Path) -> OutcomeTable:
    (part,) = config.source.parts
    source = build("sources", part.name, part.parameters)
    return ingest({part.label: source}, fetch([source], folder)).table


def _declare_groups(proposal: Proposal, table: OutcomeTable) -> bool:
    """Name the column of groups that a split would cut; return whether one tells them."""
    parameters, source = find("sources", proposal.kind).parameters, proposal.content["source"]
    column = group_column(table)
    if column is None:
        return False
    told = f"{column!r} tells samples apart that are likely variants of each other; see Splits"
    if "columns" in parameters and "group" not in source.get("columns", {}):
        source["columns"] = {**source.get("columns", {}), "group": column}
        proposal.said.append(("source.columns", told))
    elif parameters.get("group", ("", ""))[1] == "group":
        source["group"] = column
        proposal.said.append(("source.group", told))
    else:
        return False
    return True


def _price(proposal: Proposal, table: OutcomeTable, there: Survey) -> None:
    """Add prices where costs are unknown, or leave out the models that cannot be priced."""
    names, seen = np.array(table.model_names), np.isfinite(table.utility)
    has_cost = (seen & np.isfinite(table.cost)).any(axis=0)
    counts = np.isfinite(table.prompt_tokens) & np.isfinite(table.completion_tokens)
    counted = (seen & counts).any(axis=0)
    if has_cost.all():
        return
    source, said = proposal.content["source"], proposal.said
    beside = there.root / PRICES_BESIDE
    if is_file(beside) and "model" in there.columns(PRICES_BESIDE):
        source["prices"] = str(beside)
        return
    priced = counted if counted.any() else ~has_cost
    if has_cost.any() and not counted.all():
        proposal.content["pool"] = names[has_cost].tolist()
        left = ", ".join(names[~has_cost])
        said.append(("pool", f"Without those whose costs are unknown and not to be had: {left}"))
        return
    if not (counted | has_cost).all() and counted.any():
        proposal.content["pool"] = names[counted].tolist()
        left = ", ".join(names[~counted])
        said.append(("pool", f"Without those that have no token counts: {left}"))
    published = _published(names[priced].tolist()) if counted.any() else None
    if published:
        source["prices"], file = published
        text = f"USD per million prompt and completion tokens, those of {file}: correct them."
    elif counted.any():
        source["prices"] = {name: [ONE, ONE] for name in names[priced].tolist()}
        text = (
            "MISSING: USD per million prompt and completion tokens. With 1 for all models costs "
            "count tokens, and are no USD: write the prices that you pay."
        )
    else:
        source["prices"] = {name: ONE for name in names[priced].tolist()}
        text = (
            "MISSING: USD per call, as there are neither costs nor token counts nor answers. With "
            "1 for all models there is nothing to save: write what a call costs."
        )
    said.append(("source.prices", text))
    if has_cost.any():
        own = ", ".join(names[has_cost])
        said.append(("source.prices", f"Costs in the logs, of {own}, do not count beside them."))


def _published(models: list[str]) -> tuple[dict[str, list[float]], str] | None:
    """Return the prices of a table of ``config/prices`` that has all of some models."""
    for path in sorted((SOURCE_TREE / "config/prices").glob("*.csv"), reverse=True):
        prices = read_prices(path).set_index("model")
        if set(models) <= set(prices.index):
            rows = prices.loc[models, list(PRICE_COLUMNS)].astype(float).to_numpy().tolist()
            return dict(zip(models, rows, strict=True)), f"config/prices/{path.name}"
    return None


def _cover(proposal: Proposal, table: OutcomeTable) -> None:
    """Ask for less coverage where fewer than two models have enough."""
    if "pool" in proposal.content:
        return
    share = Config.model_fields["min_coverage"].default
    best = np.sort(table.coverage)[::-1][:2]
    if best[-1] < share:
        proposal.content["min_coverage"] = float(np.floor(best[-1] * 1000) / 1000)
        text = f"Fewer than two models were observed on {share:.0%} of the samples."
        proposal.said.append(("min_coverage", text))


def _split(proposal: Proposal, table: OutcomeTable) -> None:
    """Find the training share nearest to the default with which a run would start."""
    config = load(proposal.content, "the config")
    default, first = config.split.train, None
    for share in sorted((default, *SHARES.tolist()), key=lambda share: abs(share - default)):
        given = config.source.prices, config.pool, config.min_coverage
        try:
            require_benchmark(table, share, config.split.salts, *given)
        except InputError as error:
            first = first or error
            continue
        if share != default:
            proposal.content["split"] = {"train": share}
            proposal.said.append(("split", f"With {default:g}: {first}"))
        return
    if first:
        raise first


def _name(path: Path) -> str:
    """Return a run's name after a file or folder."""
    real = path.resolve()
    stem = real.name if real.is_dir() else real.name.partition(".")[0]
    name = re.sub(r"[^A-Za-z0-9._]+", "-", stem).strip("._-")
    return name if re.fullmatch(FILE_SAFE, name) and file_name(name) == name else "logs"


def _entry(key: str, value: Any) -> str:
    """Write one key of YAML, of a mapping one line for each of its own."""
    if isinstance(value, Mapping):
        own = "\n".join(_entry(str(name), inner) for name, inner in value.items())
        return f"{key}:\n{indent(own, '  ')}"
    listed = value if isinstance(value, list) else [value]
    is_plain = all(str(text).isprintable() for text in (key, *listed))
    written: str = yaml.safe_dump(
        {key: value},
        # Across lines a text would be folded, and a mark of direction would steer the reader.
        default_style=None if is_plain else '"',
        default_flow_style=None if isinstance(value, list) else False,
        allow_unicode=is_plain,
        width=float("inf"),
    )
    return written.rstrip("\n")


def _unknown(there: Survey) -> str:
    """Say what was found where no source recognises anything, and what they look for."""
    for folder in dict.fromkeys(_folders(there)):
        kinds = _recognised(there.within(folder))
        if kinds:
            return (
                f"{there.path}: no logs of a known layout; but {there.root / folder} is read as "
                f"{next(iter(kinds))}; name that folder"
            )
    tables = there.tables()
    if tables and len(tables) == len(there.names) and (columns := there.columns(tables[0])):
        table = there.root / tables[0]
        return (
            f"{there.path}: no logs of a known layout: {table} is a table with the columns "
            f"{', '.join(columns):.500}. Say which are the sample's id, the model and its score: "
            f"'source: {{kind: table, path: {table}, columns: {{sample_id: A, model: B, "
            "utility: C}}', or rename them; of a wide table, with a column <model>_correct for "
            "each model, 'shape: wide' and 'columns: {sample_id: A}'; of a file for each model "
            "make one, with a column 'model'"
        )
    suffixes = dict.fromkeys(Path(name).suffix or "no suffix" for name in there.names)
    named = ", ".join(there.names[:NAMED_FILES])
    what = (
        f"{counted(len(there.names), 'file')} ({', '.join(suffixes):.200}), such as {named:.500}"
        if there.names
        else "no files"
    )
    wanted = "; ".join(f"{kind}: {layout}" for kind, layout in _wanted().items())
    return (
        f"{there.path}: no logs of a known layout: it has {what}. Known are {wanted}. Give one of "
        "these, or a config with 'kind: table' and 'columns'"
    )


def _folders(there: Survey) -> Iterator[str]:
    for name in there.names[: FOLDERS_TRIED * 10]:
        if "/" in name:
            yield name.partition("/")[0]


def _wanted() -> dict[str, str]:
    """Return by kind what its files are called."""
    return {
        kind: build("sources", kind, {"path": "."}).wanted
        for kind, entry in catalogue("sources").items()
        if "path" in entry.parameters
    }
