"""Tables of results: long CSV for programs, Markdown and LaTeX for people."""

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmroute.evaluation.bootstrap import difference, interval, p_value
from mmroute.evaluation.metrics import BEST_SINGLE, CURVE_METRICS, Majorants, aiq
from mmroute.evaluation.policy_metrics import POLICY_METRICS
from mmroute.evaluation.static import STATIC
from mmroute.outcomes.splits import rest_of
from mmroute.storage import read_table, write_text

UNRANKED = "traffic "
"""Shares of the traffic are neither good nor bad."""
REFERENCES = (BEST_SINGLE, *STATIC, "oracle")
"""Rows that are no routers and stand in no ranking."""
SIGNIFICANCE = 0.05
SPREAD = ("value", "low", "high", "infinite", "undefined")
FIGURE_ROWS = 9
"""Routers that a figure shows beside the oracle: more could not be told apart."""
_MAJORANT = "majorant_"
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
"""A spreadsheet runs it; after apostrophes it looks as if it had been neutralised."""
_CSV_CELL = re.compile(r'("[^"]*(?:""[^"]*)*"|[^,\n]*)[,\n]')
_COLUMN = ["level", "dataset", "point", "metric"]
"""What the routers of one column of a table have in common."""


def read_replicates(
    references: Iterable[tuple[str, str]], files: Iterable[tuple[tuple[str, str], str]]
) -> pd.DataFrame:
    """Stack replicate files.

    Parameters
    ----------
    references
        Each (salt, path), of what needs no router; they name their rows themselves.
    files
        Each ((router, salt), path).
    """
    frames = [read_table(Path(path)).to_pandas().assign(salt=salt) for salt, path in references]
    frames += [
        read_table(Path(path)).to_pandas().assign(router=router, salt=salt)
        for (router, salt), path in files
    ]
    return add_aiq(pd.concat(frames, ignore_index=True))


def add_aiq(replicates: pd.DataFrame) -> pd.DataFrame:
    """Turn the routers' majorants into their ``aiq``, which depends on all of them.

    Static policies are compared with the routers, and do not change what these are.
    """
    is_part = replicates["metric"].str.startswith(_MAJORANT)
    rows = []
    for keys, parts in replicates[is_part].groupby(["salt", "level", "dataset"], sort=False):
        own = {
            router: Majorants(
                *(
                    part.set_index("metric")["replicates"][f"{_MAJORANT}{name}"]
                    for name in [field.name for field in fields(Majorants)]
                )
            )
            for router, part in parts.groupby("router", sort=False)
        }
        compared = [majorant for router, majorant in own.items() if router not in STATIC]
        rows += [
            (*keys, router, "", "aiq", aiq(majorant, [*compared, majorant]))
            for router, majorant in own.items()
        ]
    columns = ["salt", "level", "dataset", "router", "point", "metric", "replicates"]
    return pd.concat([replicates[~is_part], pd.DataFrame(rows, columns=columns)], ignore_index=True)


def add_macro_averages(replicates: pd.DataFrame, scenarios: Mapping[str, str]) -> pd.DataFrame:
    """Add means over the data sets of each scenario and over the scenarios.

    Resample by resample, so that they have intervals like any other value.

    Parameters
    ----------
    replicates
        Metrics of whole curves, with levels ``dataset``, ``rest`` and ``full``.
    scenarios
        Scenario of each data set. The rest of its scenario, a slice of data sets too small
        for a row, counts as one more there.

    Returns
    -------
    The rows of the data sets, then level ``scenario``, named ``<scenario> (macro)``,
    level ``macro``, and the rows of ``full``.
    """
    keys = ["router", "salt", "point", "metric"]
    scenarios = {**scenarios, **{rest_of(one): one for one in scenarios.values()}}
    parts = replicates[replicates["level"] != "full"]
    by_scenario = _means(
        parts.assign(dataset=parts["dataset"].map(scenarios)), [*keys, "dataset"]
    ).assign(level="scenario")
    macro = _means(by_scenario, keys).assign(level="macro", dataset="macro")
    by_scenario["dataset"] += " (macro)"
    datasets, full = (replicates[replicates["level"] == level] for level in ("dataset", "full"))
    return pd.concat([datasets, by_scenario, macro, full], ignore_index=True)


def _means(replicates: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    rows = [
        (*names, np.mean(np.stack(list(part)), axis=0))
        for names, part in replicates.groupby(keys, sort=False)["replicates"]
    ]
    return pd.DataFrame(rows, columns=[*keys, "replicates"])


def summarise(replicates: pd.DataFrame) -> pd.DataFrame:
    """Turn replicates into values with intervals, averaged over the salts.

    Returns
    -------
    ``level``, ``dataset``, ``router``, ``point``, ``metric``; ``value``, ``low``,
    ``high``: the 95 % interval; ``infinite`` and ``undefined``: the shares of
    resamples with no finite and with no defined value; ``p_best``: two-sided
    p-value of the paired difference to the best router of the column, empty for
    references; ``p_value``: two-sided, that a comparison with ``zero`` is 0, empty for
    other metrics; ``salt_sd``: standard deviation over the salts, empty for a single
    one; ``salts``. Bounds, shares and p-values are means over the salts.
    """
    rows = []
    against_zero = {metric.name for metric in CURVE_METRICS if metric.against_zero}
    for keys, group in replicates.groupby(_COLUMN, sort=False):
        best = _best_router(group, str(keys[-1]))
        for _, of_salt in group.groupby("salt", sort=False):
            by_router = dict(zip(of_salt["router"], of_salt["replicates"], strict=True))
            rows += [
                dict(zip(_COLUMN, keys, strict=True))
                | {"router": router}
                | spread(values)
                | {"p_best": _p_best(router, best, by_router)}
                | {"p_value": p_value(values) if keys[-1] in against_zero else np.nan}
                for router, values in by_router.items()
            ]
    columns = [*_COLUMN, "router", *SPREAD, "p_best", "p_value"]
    table = over_salts(pd.DataFrame(rows, columns=columns), [*_COLUMN, "router"])
    return table[["level", "dataset", "router", "point", "metric", *table.columns[5:]]]


def spread(replicates: np.ndarray) -> dict[str, float]:
    """What a table tells of (1 + B,) replicates: the value, its interval, and shares of them.

    Without resamples it is the value alone.
    """
    told = replicates[0], *interval(replicates)
    resamples = replicates[1:] if len(replicates) > 1 else np.full(1, replicates[0])
    shares = np.isinf(resamples).mean(), np.isnan(resamples).mean()
    return dict(zip(SPREAD, (*told, *shares), strict=True))


def over_salts(frame: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Average over the salts.

    Parameters
    ----------
    frame
        A row for each salt: ``keys``, then measures, ``value`` among them.
    keys
        What the salts' rows have in common.

    Returns
    -------
    A row for each of the keys, with the standard deviation of the value over the salts in
    ``salt_sd``, empty for a single one or an infinite value, and the number of ``salts``.
    """
    grouped = frame.groupby(keys, sort=False, dropna=False)
    table = grouped[[column for column in frame if column not in keys]].mean()
    table["salt_sd"] = grouped["value"].agg(_deviation)
    table["salts"] = grouped.size()
    return table.reset_index()


def _best_router(group: pd.DataFrame, metric: str) -> str | None:
    """The router of the best mean over the salts; None where there is none."""
    if metric.startswith(UNRANKED):
        return None
    ranked = group[~group["router"].isin(REFERENCES)]
    values = ranked["replicates"].str[0].astype(float).groupby(ranked["router"], sort=False).mean()
    values = values[np.isfinite(values)]
    if values.empty:
        return None
    lower = {own.name for own in (*CURVE_METRICS, *POLICY_METRICS) if own.lower_is_better}
    return str(values.idxmin() if metric in lower else values.idxmax())


def _p_best(router: str, best: str | None, own: Mapping[str, np.ndarray]) -> float:
    if best is None or best not in own or router in REFERENCES:
        return np.nan
    return 1.0 if router == best else p_value(difference(own[router], own[best]))


def differences(replicates: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Compare every two routers, and each with the best single model, on ``full``.

    Returns
    -------
    ``metric``, ``router``, ``other``, ``difference`` (router minus other), ``low``,
    ``high``, ``p_value``, ``undefined``: means over the salts.
    """
    full = replicates[(replicates["level"] == "full") & (replicates["point"] == "")]
    rows = []
    for (metric, _), group in full.groupby(["metric", "salt"], sort=False):
        own = dict(zip(group["router"], group["replicates"], strict=True))
        compared = [name for name in own if name != "oracle"]
        if metric in metrics:
            for other, router in combinations(compared, 2):
                values = difference(own[router], own[other])
                rows.append(
                    (
                        metric,
                        router,
                        other,
                        values[0],
                        *interval(values),
                        p_value(values),
                        np.isnan(values[1:]).mean(),
                    )
                )
    columns = ["metric", "router", "other", "difference", "low", "high", "p_value", "undefined"]
    keys = columns[:3]
    return pd.DataFrame(rows, columns=columns).groupby(keys, sort=False).mean().reset_index()


def _deviation(values: pd.Series) -> float:
    return (
        float(np.std(values, ddof=1)) if np.isfinite(values).all() and len(values) > 1 else np.nan
    )


def wide(table: pd.DataFrame, metric: str, column: str = "value") -> pd.DataFrame:
    """A column of one metric with a row per router and a column per data set."""
    part = table[table["metric"] == metric]
    return part.pivot(index="router", columns="dataset", values=column).reindex(
        index=part["router"].unique(), columns=part["dataset"].unique()
    )


def prominent(table: pd.DataFrame, limit: int = FIGURE_ROWS) -> list[str]:
    """The rows to show: the ``limit`` best by honest nAUC on all samples, and the oracle.

    Of a router and its shrunk twin the better one. In the main table's order.
    """
    full = table[(table["dataset"] == "full") & (table["metric"] == "nauc_honest")]
    ranked = full[~full["router"].isin(REFERENCES)].sort_values(
        "value", ascending=False, kind="stable"
    )
    twins = ranked["router"].astype(str).str.split("+").str[0]
    kept = {*ranked["router"][~twins.duplicated()][:limit], "oracle"}
    return [router for router in table["router"].unique() if router in kept]


def published_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Lay the rows that a paper has too out for people: what it is, here, and published."""
    shown = table.dropna(subset="published")
    keys = table.columns[: table.columns.get_loc("value")]
    cells = shown[keys].astype(object).fillna("").astype(str)
    cells["here"] = [
        format_interval(*numbers)
        for numbers in shown[["value", "low", "high"]].itertuples(index=False)
    ]
    cells["published"] = shown["published"].map(format_value)
    return cells.loc[:, (cells != "").any()]


def format_value(value: float) -> str:
    """Format a metric: three decimals, the infinity sign, a dash where undefined."""
    if np.isnan(value):
        return "–"
    if np.isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{value:.3f}"


def format_interval(value: float, low: float, high: float) -> str:
    """Format a metric with its interval."""
    if np.isnan(low):
        return format_value(value)
    return f"{format_value(value)} [{format_value(low)}, {format_value(high)}]"


def with_intervals(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """One metric as text with its intervals, laid out as by ``wide``."""
    values, low, high = (wide(table, metric, column) for column in ("value", "low", "high"))
    return pd.DataFrame(
        np.vectorize(format_interval)(values, low, high), values.index, values.columns
    )


def metric_title(name: str) -> str:
    """The title of a metric of operating curves."""
    return next(metric.title for metric in CURVE_METRICS if metric.name == name)


def _metrics(table: pd.DataFrame) -> list[str]:
    """The metrics of a table, in the order of their records."""
    return [metric.name for metric in CURVE_METRICS if metric.name in set(table["metric"])]


def to_markdown(table: pd.DataFrame, title: str) -> str:
    """Render the long table as one Markdown table per metric."""
    sections = [f"# {markdown_escape(title)}\n"]
    for metric in _metrics(table):
        body = _markdown_rows(_cells(table, metric, markdown_escape))
        sections.append(f"## {metric_title(metric)}\n\n{body}\n")
    return "\n".join(sections)


def to_latex(table: pd.DataFrame, title: str) -> str:
    """Render the long table as one LaTeX tabular per metric (needs booktabs)."""
    sections = [rf"\paragraph{{{_latex_escape(title)}}}"]
    for metric in _metrics(table):
        sections.append(
            f"% {metric_title(metric)}\n{_latex_tabular(_cells(table, metric, _latex_escape))}\n"
        )
    return "\n".join(sections)


def frame_to_markdown(frame: pd.DataFrame, title: str) -> str:
    """Render a frame of display strings as a Markdown table."""
    return f"# {markdown_escape(title)}\n\n{_markdown_rows(_frame_cells(frame, markdown_escape))}\n"


def frame_to_latex(frame: pd.DataFrame, title: str) -> str:
    """Render a frame of display strings as a LaTeX tabular (needs booktabs)."""
    return (
        rf"\paragraph{{{_latex_escape(title)}}}"
        + f"\n{_latex_tabular(_frame_cells(frame, _latex_escape))}\n"
    )


def _frame_cells(frame: pd.DataFrame, escape: Callable[[str], str]) -> list[list[str]]:
    rows = [list(frame.columns), *frame.astype(str).to_numpy().tolist()]
    return [[escape(cell) for cell in row] for row in rows]


def _markdown_rows(cells: list[list[str]]) -> str:
    lines = [" | ".join(row) for row in cells]
    rule = " | ".join(["---"] + ["---:"] * (len(cells[0]) - 1))
    return "\n".join(f"| {line} |" for line in [lines[0], rule, *lines[1:]])


def _latex_tabular(cells: list[list[str]]) -> str:
    head, *body = (" & ".join(row) + r" \\" for row in cells)
    return "\n".join(
        [
            rf"\begin{{tabular}}{{l{'r' * (len(cells[0]) - 1)}}}",
            r"\toprule",
            head,
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def _cells(table: pd.DataFrame, metric: str, escape: Callable[[str], str]) -> list[list[str]]:
    cells = with_intervals(table, metric)
    head = ["router", *map(escape, cells.columns)]
    return [head] + [
        [escape(router), *(_typeset(cell, escape) for cell in row)]
        for router, row in zip(cells.index, cells.to_numpy().tolist(), strict=True)
    ]


def _typeset(number: str, escape: Callable[[str], str]) -> str:
    """Escape what a formatted number has beside digits and brackets."""
    return "".join(escape(part) if part in "∞–" else part for part in number)


def markdown_escape(text: str) -> str:
    """Text that Markdown shows as it is, in one line."""
    for character in "\\`*_[]<>|$~&":
        text = text.replace(character, "\\" + character)
    return _one_line(text)


def _latex_escape(text: str) -> str:
    replacements = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\^{}"}
    replacements |= {character: "\\" + character for character in "&%$#_{}"}
    replacements |= {"∞": r"$\infty$", "–": "--"}
    return "".join(replacements.get(character, character) for character in _one_line(text))


def _one_line(text: str) -> str:
    """Text without line ends and control characters, which a terminal would obey."""
    return "".join(c for c in " ".join(text.split()) if unicodedata.category(c) != "Cc")


def neutral_cell(value: Any) -> Any:
    """Text so that no spreadsheet takes it for a formula."""
    if isinstance(value, str) and _FORMULA.match(value):
        return "'" + value
    return value


def _original_cell(value: Any) -> Any:
    """What ``neutral_cell`` was given."""
    if isinstance(value, str) and value.startswith("'") and _FORMULA.match(value):
        return value[1:]
    return value


def read_csv(path: Path) -> pd.DataFrame:
    """Read a table that ``write_csv`` has written: text is that text again, though empty is NaN.

    A name such as NA or 007 stays a name.
    """
    with path.open(encoding="utf-8", newline="") as stream:
        text = stream.read()
    names = pd.read_csv(io.StringIO(text), nrows=0).columns
    table = pd.read_csv(
        io.StringIO(text),
        keep_default_na=False,
        na_values=[""],
        dtype={names[column]: str for column in _text_columns(text, len(names))},
    )
    return table.map(_original_cell).rename(columns=_original_cell)


def _text_columns(text: str, count: int) -> list[int]:
    """Which of a CSV's columns hold text: their first cell that is not empty is quoted."""
    quoted: dict[int, bool] = {}
    for position, cell in enumerate(_CSV_CELL.finditer(text)):
        if position >= count and cell[1] not in ("", '""'):
            quoted.setdefault(position % count, cell[1].startswith('"'))
        if len(quoted) == count:
            break
    return [column for column, is_text in quoted.items() if is_text]


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a CSV with all digits, infinity as ``inf`` and neutral text cells."""
    neutral = table.map(neutral_cell).rename(columns=neutral_cell)
    text = neutral.to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    write_text(path, text)
