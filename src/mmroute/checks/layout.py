"""A check as text for a terminal."""

import unicodedata
from collections.abc import Iterable, Iterator
from textwrap import wrap

import numpy as np
import pandas as pd

from mmroute.checks.remark import LEVELS, Remark, counted
from mmroute.outcome_table import LATENCY, PRICE_COLUMNS

COLUMNS = 100
"""Width of the terminal that a check is printed for."""
FILLER = "\0"
"""Stands before a wide character, which takes two columns."""


def text_of(name: str, datasets: pd.DataFrame, models: pd.DataFrame, remarks: list[Remark]) -> str:
    """Lay out what ``Check`` has, for a terminal of ``COLUMNS``.

    Characters that could steer a terminal are shown as escape sequences: names and
    messages come from data that nobody vouches for.
    """
    title = f"{name}: nothing could be read"
    tables: Iterable[str] = []
    if len(datasets):
        title = (
            f"{name}: {counted(int(datasets['samples'].iloc[-1]), 'sample')} in "
            f"{counted(len(datasets) - 1, 'data set')}, "
            f"{models['used'].sum()} of {counted(len(models), 'model')}"
        )
        tables = _tables(datasets, models)
    told = ", ".join(counted(sum(own.level == level for own in remarks), level) for level in LEVELS)
    blocks = ["\n".join(_wrapped(title)), *tables, *map(_laid_out, remarks), told]
    return "\n\n".join(blocks) + "\n"


def _tables(datasets: pd.DataFrame, models: pd.DataFrame) -> Iterator[str]:
    """Yield the data sets and the models, aligned."""
    counts = ["samples", "train", "test", "text", "image"]
    yield _aligned(
        ["data set", *counts, "coverage"],
        [
            [row["dataset"], *(f"{row[name]:,}" for name in counts), f"{row['coverage']:.1%}"]
            for row in datasets.to_dict("records")
        ],
    )
    titles = ["USD/call", "USD/1M in", "USD/1M out"]
    amounts = ["cost_usd", *PRICE_COLUMNS]
    if LATENCY in models and models[LATENCY].notna().any():
        titles, amounts = [*titles, "s/call"], [*amounts, LATENCY]
    yield _aligned(
        ["model", "coverage", "accuracy", *titles, "costs from"],
        [
            [row["model"], f"{row['coverage']:.1%}", f"{row['accuracy']:.1%}"]
            + ["-" if np.isnan(row[name]) else f"{row[name]:.3g}" for name in amounts]
            + [(row["cost_from"] or "unknown") if row["used"] else "not used"]
            for row in models.to_dict("records")
        ],
    )


def _aligned(head: list[str], rows: list[list[str]]) -> str:
    """Lay out a table; names, in the first column, are cut where there is no room."""
    first, *cells = zip(head, *rows, strict=True)
    widths = [max(map(len, column)) for column in cells]
    names = list(map(_spaced, first))
    room = min(max(map(len, names)), COLUMNS - sum(widths) - 2 * len(widths))
    names = [
        name if len(name) <= room else name[: room - 1].removesuffix(FILLER) + "…" for name in names
    ]
    lines = [
        "  ".join([name.ljust(room), *map(str.rjust, row, widths)])
        for name, row in zip(names, zip(*cells, strict=True), strict=True)
    ]
    return "\n".join(lines).replace(FILLER, "")


def _laid_out(remark: Remark) -> str:
    """Lay out a remark, with its cure below; lines of a file begin on their own."""
    indent = " " * 9
    lines = _wrapped(remark.message, f"{remark.level:<9}", indent)
    for number, line in enumerate(remark.cure.splitlines()):
        lines += _wrapped(line, f"{indent}{'   ' if number else '-> '}", f"{indent}     ")
    return "\n".join(lines)


def _wrapped(text: str, first: str = "", others: str = "") -> list[str]:
    lines = wrap(
        _spaced(text),
        # A long word may be broken between a filler and its character.
        COLUMNS - 1,
        initial_indent=first,
        subsequent_indent=others,
        break_on_hyphens=False,
    )
    return [line.replace(FILLER, "") for line in lines]


def _spaced(text: str) -> str:
    """Escape what cannot be printed, and let each character take as much as its columns."""
    return "".join(
        one.encode("unicode_escape").decode()
        if not one.isprintable()
        else FILLER + one
        if unicodedata.east_asian_width(one) in "WF"
        else one
        for one in text
    )
