"""Tables of results: long CSV for programs, Markdown and LaTeX for people."""

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmroute.evaluation.inference import (
    difference,
    interval_over,
    over_trainings,
    p_best,
    p_value,
)
from mmroute.evaluation.metrics import BEST_SINGLE, CURVE_METRICS
from mmroute.evaluation.policy_metrics import POLICY_METRICS
from mmroute.evaluation.record import Metric
from mmroute.evaluation.static import STATIC
from mmroute.outcomes.splits import rest_of
from mmroute.storage import read_table, write_text

UNRANKED = "traffic "
"""Shares of the traffic are neither good nor bad."""
REFERENCES = (BEST_SINGLE, *STATIC, "oracle")
"""Rows that are no routers and stand in no ranking."""
AVERAGES = ("scenario", "macro")
"""Levels that are averages over data sets."""
SPREAD = ("value", "low", "high", "infinite", "undefined")
FIGURE_ROWS = 9
"""Routers that a figure shows beside the oracle: more could not be told apart."""
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
    return pd.concat(frames, ignore_index=True)


def read_by_router(routers: Sequence[str], paths: Sequence[str]) -> pd.DataFrame:
    """Read one file per router into one frame with a column ``router``."""
    frames = [
        read_table(Path(path)).to_pandas().assign(router=router)
        for router, path in zip(routers, paths, strict=True)
    ]
    return pd.concat(frames, ignore_index=True)


def add_macro_averages(replicates: pd.DataFrame, scenarios: Mapping[str, str]) -> pd.DataFrame:
    """Add means over the data sets of each scenario and over the scenarios.

    Resample by resample, so that they have intervals like any other value. Of a metric that
    can be infinite it is the share of data sets where it is finite.

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
    parts = replicates[replicates["level"] != "full"].copy()
    shares = parts["metric"].map(lambda name: record_of(name).infinite)
    parts.loc[shares, "replicates"] = parts.loc[shares, "replicates"].map(_reached)
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


def _reached(replicates: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(replicates), np.nan, np.isfinite(replicates))


def summarise(replicates: pd.DataFrame) -> pd.DataFrame:
    """Turn replicates into values with intervals, of all salts together.

    Returns
    -------
    ``level``, ``dataset``, ``router``, ``point``, ``metric``; ``value``, ``low``,
    ``high``: the 95 % interval; ``infinite`` and ``undefined``: the shares of
    resamples with no finite and with no defined value; ``p_best``: p-value of no
    router of the column being better, see ``inference.p_best``, empty for
    references; ``p_value``: two-sided, that a comparison with ``zero`` is 0, empty for
    other metrics and shares of data sets; ``training``: the value on cross-fitted
    training predictions, where one was kept to choose routers by; ``salt_sd``: standard
    deviation over the salts, empty for a single one; ``salts``. Several salts are put together by
    ``inference.over_trainings``.
    """
    rows = []
    for keys, group in replicates.groupby(_COLUMN, sort=False):
        record = record_of(str(keys[-1]))
        share = record.infinite and keys[0] in AVERAGES
        tested = record.against_zero and not share
        by_router = {
            str(router): list(own)
            for router, own in group.groupby("router", sort=False)["replicates"]
        }
        told = {router: over_trainings(own) for router, own in by_router.items()}
        ranked = {name: own for name, own in told.items() if name not in REFERENCES}
        best = (
            {}
            if str(keys[-1]).startswith(UNRANKED)
            else p_best(ranked, record.lower_is_better and not share, record.atoms)
        )
        if "training" in group:
            training = group.groupby("router", sort=False)["training"].mean()
        else:
            training = pd.Series(dtype=float)
        rows += [
            dict(zip(_COLUMN, keys, strict=True))
            | {"router": router}
            | _within(spread(by_router[router], record.atoms, tested), share)
            | {"p_best": best.get(router, np.nan)}
            | {"p_value": p_value(values, record.atoms) if tested else np.nan}
            | {"training": training.get(router, np.nan)}
            | over_salts(by_router[router])
            for router, values in told.items()
        ]
    columns = ["level", "dataset", "router", "point", "metric", *SPREAD]
    return pd.DataFrame(
        rows, columns=[*columns, "p_best", "p_value", "training", "salt_sd", "salts"]
    )


def _within(told: dict[str, float], share: bool) -> dict[str, float]:
    """A share's bounds as there can be: other trainings are drawn without regard to it."""
    return told | {end: np.clip(told[end], 0, 1) for end in ("low", "high") if share}


def record_of(metric: str) -> Metric:
    """What a metric says of itself: nothing of one without a record, as shares of traffic."""
    records = (*CURVE_METRICS, *POLICY_METRICS)
    return next((own for own in records if own.name == metric), Metric(name=metric, title=metric))


def spread(
    trainings: Sequence[np.ndarray], atoms: bool = False, compared: bool = False
) -> dict[str, float]:
    """What a table tells of (1 + B,) replicates: the value, its interval, and shares of them.

    Without resamples it is the value alone. The last two are those of ``interval_over``.
    """
    replicates = over_trainings(trainings)
    told = replicates[0], *interval_over(trainings, atoms, compared)
    resamples = replicates[1:] if len(replicates) > 1 else np.full(1, replicates[0])
    shares = np.isinf(resamples).mean(), np.isnan(resamples).mean()
    return dict(zip(SPREAD, (*told, *shares), strict=True))


def over_salts(replicates: Sequence[np.ndarray]) -> dict[str, float]:
    """How the values of several salts lie apart, and how many there are.

    Their standard deviation is NaN for a single one or an infinite value.
    """
    values = np.array([own[0] for own in replicates])
    apart = len(values) > 1 and np.isfinite(values).all()
    return {
        "salt_sd": float(np.std(values, ddof=1)) if apart else np.nan,
        "salts": len(values),
    }


def differences(replicates: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Compare every two routers, and each with what needs no router, on ``full``.

    Returns
    -------
    ``metric``, ``router``, ``other``, ``difference`` (router minus other), ``low``,
    ``high``, ``p_value``, ``undefined``, of all salts together.
    """
    full = replicates[(replicates["level"] == "full") & (replicates["point"] == "")]
    rows = []
    for metric, group in full[full["metric"].isin(metrics)].groupby("metric", sort=False):
        own = {
            str(router): list(values)
            for router, values in group.groupby("router", sort=False)["replicates"]
            if router != "oracle"
        }
        atoms = record_of(str(metric)).atoms
        for other, router in combinations(own, 2):
            apart = [*map(difference, own[router], own[other])]
            values = over_trainings(apart)
            bounds = interval_over(apart, atoms, compared=True)
            told = values[0], *bounds, p_value(values, atoms)
            rows.append((metric, router, other, *told, np.isnan(values[1:]).mean()))
    columns = ["metric", "router", "other", "difference", "low", "high", "p_value", "undefined"]
    return pd.DataFrame(rows, columns=columns)


def difference_of(differences: pd.DataFrame, metric: str, router: str, other: str) -> pd.Series:
    """Router minus other, of a table of ``differences``, whichever way round that has it.

    ``value``, ``low``, ``high`` and ``p_value``.
    """
    own = differences[differences["metric"] == metric].set_index(["router", "other"])
    sign = 1 if (router, other) in own.index else -1
    row = own.loc[[(router, other) if sign == 1 else (other, router)]].iloc[0]
    low, high = sorted((sign * row["low"], sign * row["high"]))
    told = {"value": sign * row["difference"], "low": low, "high": high}
    return pd.Series(told | {"p_value": row["p_value"]})


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
    """Lay the rows that a paper has too out for people: what it is, here, and published.

    Costs in USD are of 10,000 queries, as VL-RouterBench has them.
    """
    shown = table.dropna(subset="published")
    keys = table.columns[: table.columns.get_loc("value")]
    cells = shown[keys].astype(object).fillna("").astype(str)
    in_usd = (shown["metric"] == "cost_usd").to_numpy()
    cells.loc[in_usd, "metric"] = "USD per 10,000 queries"
    numbers = ["value", "low", "high", "published"]
    shown = shown.assign(**(shown[numbers].T * np.where(in_usd, 10_000, 1)).T)
    cells["here"] = [
        format_interval(*own) for own in shown[["value", "low", "high"]].itertuples(index=False)
    ]
    cells["protocol here"] = shown["protocol"]
    cells["published"] = shown["published"].map(format_value)
    cells["protocol published"] = shown["published_protocol"]
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


def format_p(p: float) -> str:
    """Format a p-value, a dash where undefined; 1,000 resamples tell none below 2 / 1,001."""
    if np.isnan(p):
        return "–"
    return "< .002" if p < 0.002 else f"{p:.3f}".removeprefix("0")


def format_share(value: float, low: float, high: float) -> str:
    """Format the share of data sets on which something is reached, with its interval."""
    if np.isnan(value):
        return format_value(value)
    bounds = "" if np.isnan(low) else f" [{low:.0%}, {high:.0%}]"
    return f"reached on {value:.0%}{bounds}"


def with_intervals(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """One metric as text with its intervals, laid out as by ``wide``."""
    values, low, high = (wide(table, metric, column) for column in ("value", "low", "high"))
    cells = pd.DataFrame(
        np.vectorize(format_interval)(values, low, high), values.index, values.columns
    )
    if record_of(metric).infinite:
        for name in table.loc[table["level"].isin(AVERAGES), "dataset"].unique():
            cells[name] = [*map(format_share, values[name], low[name], high[name])]
    return cells


def metric_title(name: str) -> str:
    """The title of a metric of operating curves."""
    return next(metric.title for metric in CURVE_METRICS if metric.name == name)


def _metrics(table: pd.DataFrame) -> list[str]:
    """The metrics of a table that people are shown, in the order of their records."""
    shown = (metric.name for metric in CURVE_METRICS if not metric.convention)
    return [name for name in shown if name in set(table["metric"])]


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
