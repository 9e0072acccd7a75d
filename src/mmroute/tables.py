"""Tables of results: long CSV for programs, Markdown and LaTeX for people."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmroute.storage import read_table, write_text

METRIC_TITLES = {
    "nauc": "nAUC (higher is better)",
    "peak_score": "Peak score (higher is better)",
    "qnc": "QNC (below 1: the best single model's accuracy at a lower cost)",
}
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def read_measured(files: Iterable[tuple[tuple[str, str], str]]) -> pd.DataFrame:
    """Stack metric files, each given as ((router, salt), path)."""
    frames = [
        read_table(Path(path)).to_pandas().assign(router=router, salt=salt)
        for (router, salt), path in files
    ]
    return pd.concat(frames, ignore_index=True)


def aggregate(measured: pd.DataFrame, scenarios: Mapping[str, str]) -> pd.DataFrame:
    """Add macro-averages to per-slice metrics and average over the salts.

    Parameters
    ----------
    measured
        ``router``, ``salt``, ``level`` (``dataset`` or ``full``), ``dataset``,
        ``metric``, ``value``; the order of rows is kept.
    scenarios
        Scenario of each data set.

    Returns
    -------
    ``level``, ``dataset``, ``router``, ``metric``, ``value``, ``salt_sd`` and
    ``salts``. Level ``scenario`` is the mean over a scenario's data sets, named
    ``<scenario> (macro)``; ``macro`` the mean over the scenarios. ``salt_sd`` is
    the standard deviation over the salts, empty for a single one.
    """
    keys = ["router", "salt", "metric"]
    datasets = measured[measured["level"] == "dataset"]
    by_scenario = (
        datasets.assign(dataset=datasets["dataset"].map(scenarios))
        .groupby([*keys, "dataset"], sort=False)["value"]
        .mean()
        .reset_index()
        .assign(level="scenario")
    )
    macro = by_scenario.groupby(keys, sort=False)["value"].mean().reset_index()
    macro = macro.assign(level="macro", dataset="macro")
    by_scenario["dataset"] += " (macro)"
    full = measured[measured["level"] == "full"]
    everything = pd.concat([datasets, by_scenario, macro, full], ignore_index=True)
    grouped = everything.groupby(["level", "dataset", "router", "metric"], sort=False)["value"]
    table = grouped.agg(value="mean", salt_sd=_spread, salts="size")
    return table.reset_index()


def _spread(values: pd.Series) -> float:
    return (
        float(np.std(values, ddof=1)) if np.isfinite(values).all() and len(values) > 1 else np.nan
    )


def wide(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return one metric with a row per router and a column per data set and aggregate."""
    part = table[table["metric"] == metric]
    return part.pivot(index="router", columns="dataset", values="value").reindex(
        index=part["router"].unique(), columns=part["dataset"].unique()
    )


def format_value(value: float) -> str:
    """Format a metric: four decimals, the infinity sign, a dash where undefined."""
    if np.isnan(value):
        return "–"
    return "∞" if np.isinf(value) else f"{value:.4f}"


def to_markdown(table: pd.DataFrame) -> str:
    """Render the long table as one Markdown table per metric."""
    sections = []
    for metric in table["metric"].unique():
        cells = _cells(wide(table, metric), _markdown_escape)
        lines = [" | ".join(row) for row in cells]
        rule = " | ".join(["---"] + ["---:"] * (len(cells[0]) - 1))
        body = "\n".join(f"| {line} |" for line in [lines[0], rule, *lines[1:]])
        sections.append(f"## {METRIC_TITLES[metric]}\n\n{body}\n")
    return "\n".join(sections)


def to_latex(table: pd.DataFrame) -> str:
    """Render the long table as one LaTeX tabular per metric (needs booktabs)."""
    sections = []
    for metric in table["metric"].unique():
        cells = _cells(wide(table, metric), _latex_escape)
        head, *body = (" & ".join(row) + r" \\" for row in cells)
        sections.append(
            "\n".join(
                [
                    f"% {METRIC_TITLES[metric]}",
                    rf"\begin{{tabular}}{{l{'r' * (len(cells[0]) - 1)}}}",
                    r"\toprule",
                    head,
                    r"\midrule",
                    *body,
                    r"\bottomrule",
                    r"\end{tabular}",
                    "",
                ]
            )
        )
    return "\n".join(sections).replace("∞", r"$\infty$").replace("–", "--")


def _cells(frame: pd.DataFrame, escape: Callable[[str], str]) -> list[list[str]]:
    head = ["router", *map(escape, frame.columns)]
    return [head] + [
        [escape(router), *(format_value(value) for value in row)]
        for router, row in zip(frame.index, frame.to_numpy(), strict=True)
    ]


def _markdown_escape(text: str) -> str:
    for character in "\\`*_[]<>|":
        text = text.replace(character, "\\" + character)
    return text.replace("\n", " ")


def _latex_escape(text: str) -> str:
    replacements = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\^{}"}
    replacements |= {character: "\\" + character for character in "&%$#_{}"}
    return "".join(replacements.get(character, character) for character in text)


def neutral_cell(value: Any) -> Any:
    """Return text so that no spreadsheet takes it for a formula."""
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return "'" + value
    return value


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a CSV with all digits, infinity as ``inf`` and neutral text cells."""
    neutral = table.map(neutral_cell).rename(columns=neutral_cell)
    write_text(path, neutral.to_csv(index=False, lineterminator="\n"))
