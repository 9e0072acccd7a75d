"""The page of a comparison: the answer in words first, then tables that sort."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmroute.decision.decide import BUDGET
from mmroute.decision.words import answers
from mmroute.evaluation.inference import SIGNIFICANCE
from mmroute.evaluation.metrics import CURVE_METRICS
from mmroute.presentation.looks import LEAST_NAMED
from mmroute.presentation.tables import REFERENCES, format_p, format_value
from mmroute.report.comparison import (
    ADVISED,
    BOUNDS,
    CHANGED,
    DIFFERENCE,
    GAINED,
    MOVED,
    Comparison,
    Pair,
)
from mmroute.report.html import HEADLINE, Frame
from mmroute.report.page import render as render_page
from mmroute.report.runs import KEYS, Run, as_written, read_runs

BEYOND = dict(zip(ADVISED, ("accuracy", "cost"), strict=True))
"""What is compared of an advice and of a model, in a word."""
ABOUT = {
    "config": "Config",
    "models": "Models of the pool",
    "prices": "Prices",
    "data": "Data",
    "code": "Versions",
}
"""What may differ between runs, and the headers of its tables."""


@dataclass(frozen=True)
class Cell:
    """A cell of a table: what it says, what stands below it, and whether it is marked."""

    text: str
    notes: Sequence[str] = ()
    marked: bool = False


@dataclass(frozen=True)
class Table:
    """A table of cells.

    Attributes
    ----------
    title, columns
        Its title and headers.
    rows
        Name to cells.
    references
        Rows that are no routers.
    """

    title: str
    columns: Sequence[str]
    rows: Mapping[str, Sequence[Cell]]
    references: Sequence[str] = REFERENCES


def compare(folders: Sequence[Path]) -> tuple[str, pd.DataFrame]:
    """The page and the long table of runs, by their folders; errors as of ``Comparison.of``."""
    with as_written(*folders):
        comparison = Comparison.of(read_runs(folders))
        return render(comparison), comparison.table()


def render(comparison: Comparison) -> str:
    """The HTML; all text from data is escaped."""
    pairs = [pair for own in comparison.pairs for pair in own]
    names = [run.name for runs in comparison.benchmarks for run in runs]
    return render_page(
        "comparison.html.j2",
        title=_listed(names),
        runs=_runs([run for runs in comparison.benchmarks for run in runs]),
        pairs=[
            {
                "title": f"{pair.first.name} → {pair.second.name}",
                "answer": answer(pair),
                "pays": {run.name: answers(run.decisions) for run in pair.runs.values()},
                "advice": _advice(pair),
                "changes": _changes(pair),
                "models": _models(pair),
                "changed_models": changed_models(pair),
                "pairing": pair.pairing.told,
                "paired": pair.pairing.how != "apart",
                "yardstick": _yardstick(pair),
                "headline": [_on_all(pair, metric) for metric in HEADLINE],
                "others": [
                    _on_all(pair, metric.name) for metric in CURVE_METRICS if _other(metric)
                ],
                "datasets": [_by_dataset(pair, metric) for metric in HEADLINE],
            }
            for pair in pairs
        ],
        leaderboard=_leaderboard(comparison),
        significance=SIGNIFICANCE,
    )


def _other(metric: Any) -> bool:
    return metric.shown and metric.name not in HEADLINE


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _runs(runs: Sequence[Run]) -> Frame:
    """What was given."""
    return Frame(
        ["Run", "Folder", "Benchmark", "Queries", "Models", "mmroute", "Commit"],
        [
            [
                run.name,
                str(run.folder),
                run.record.config.name,
                f"{len(run.samples):,}",
                f"{len(run.models):,}",
                str(run.record.versions.get("mmroute", "–")),
                str(run.record.code.get("commit") or "–")[:12],
            ]
            for run in runs
        ],
    )


def answer(pair: Pair) -> str:
    """Whether what to run changed, and whether what to expect of it did."""
    advice, n_asked = pair.advice, len(pair.advice)
    if not n_asked:
        return "The two runs were asked nothing in common: no budget and no accuracy of both."
    n_changed, n_moved = ((advice["became"] == one).sum() for one in (CHANGED, MOVED))
    told = f"What to run changed for {n_changed} of {n_asked} budgets and accuracies"
    if n_moved:
        told += (
            f"; for {n_moved} more the same router or mixture sends over {LEAST_NAMED:.0%} of the "
            "queries to other models"
        )
    beyond = [
        f"{BEYOND[name]} for {(advice[name] != 0).sum()}"
        for name in ADVISED
        if (advice[name] != 0).any()
    ]
    if not beyond:
        return f"{told}. What to expect did not move beyond its intervals."
    return f"{told}. What to expect moved beyond its intervals: {' and '.join(beyond)}."


def changed_models(pair: Pair) -> str:
    """Which models' accuracy or cost changed, on the samples that both runs have."""
    told = []
    for metric, words in BEYOND.items():
        own = pair.models[(pair.models["dataset"] == "full") & (pair.models["metric"] == metric)]
        changed = own[own["p_value"] < SIGNIFICANCE]
        part = f"the {words} of {len(changed)} of {len(own)} models differs"
        if len(changed):
            part += f" ({_listed([*changed['model']])})"
        told.append(part)
    n_samples = pair.models["samples"].max() if len(pair.models) else 0
    return (
        f"On the {n_samples:,} queries that both runs have, {' and '.join(told)}, each tested at "
        f"the {SIGNIFICANCE:.0%} level by itself."
    )


def _advice(pair: Pair) -> Frame:
    told = [
        {(row["asked"], row["amount"]): row for _, row in run.decisions.iterrows()}
        for run in pair.runs.values()
    ]
    rows = []
    for _, own in pair.advice.iterrows():
        both = [by_key[own["asked"], own["amount"]] for by_key in told]
        beyond = [BEYOND[name] for name in ADVISED if own[name] != 0]
        advised = (own[one] + _unsure(row) for one, row in zip(pair.runs, both, strict=True))
        rows.append(
            [
                f"{_asked(own)} ({_limits(both)})",
                " → ".join(dict.fromkeys(advised)),
                f"{own['moved']:.0%} of the traffic" if own["became"] == MOVED else own["became"],
                " → ".join(_percent(row, "accuracy") for row in both),
                " → ".join(_usd(row, "cost_usd_per_1000") for row in both),
                _listed(beyond) if beyond else "nothing",
            ]
        )
    columns = ["Asked", "What to run", "Changed", "Accuracy", "USD per 1,000"]
    return Frame([*columns, "Beyond the intervals"], rows)


def _asked(row: pd.Series) -> str:
    amount = str(row["amount"])
    if not amount.endswith("%"):
        return str(row["asked"])
    of = "cost" if row["asked"] == BUDGET else "accuracy"
    return f"{row['asked']} of {amount} of the best single model's {of}"


def _limits(rows: Sequence[pd.Series]) -> str:
    """What was asked in numbers, which differ where a percentage is of something else."""
    text = "${:.3g}" if rows[0]["asked"] == BUDGET else "{:.1%}"
    return " → ".join(dict.fromkeys(text.format(row["limit"]) for row in rows))


def _unsure(row: pd.Series) -> str:
    return "" if row["feasible"] else " (not sure to keep it)"


def _percent(row: pd.Series, name: str) -> str:
    return f"{row[name]:.1%} [{row[f'{name}_low']:.1%}, {row[f'{name}_high']:.1%}]"


def _usd(row: pd.Series, name: str) -> str:
    return f"{row[name]:.3g} [{row[f'{name}_low']:.3g}, {row[f'{name}_high']:.3g}]"


def _changes(pair: Pair) -> dict[str, Frame]:
    names = [pair.first.name, pair.second.name]
    return {
        title: Frame(
            ["", *names],
            [
                [str(row["key"]), *(str(row[one]) or "–" for one in pair.runs)]
                for _, row in pair.changes[pair.changes["about"] == about].iterrows()
            ],
        )
        for about, title in ABOUT.items()
        if about in set(pair.changes["about"])
    }


def _models(pair: Pair) -> list[Table]:
    """The single models, a table of each metric."""
    tables = []
    for metric, title, text in (
        ("accuracy", "Accuracy", format_value),
        ("cost_usd_per_1000", "USD per 1,000 queries", "{:.3g}".format),
    ):
        own = pair.models[(pair.models["metric"] == metric) & (pair.models["dataset"] == "full")]
        rows = {
            str(row["model"]): [
                *(
                    _valued(row[one], row[f"{one}_low"], row[f"{one}_high"], text)
                    for one in pair.runs
                ),
                *_difference(row, text),
                Cell(f"{row['samples']:,}"),
            ]
            for _, row in own.iterrows()
        }
        columns = [pair.first.name, pair.second.name, "difference", "p", "queries"]
        tables.append(Table(f"{title} of single models", columns, rows, ()))
    return tables


def _valued(
    value: float, low: float, high: float, text: Callable[[float], str] = format_value
) -> Cell:
    return Cell(text(value), [] if np.isnan(low) else [f"{text(low)} to {text(high)}"])


def _difference(row: pd.Series, text: Callable[[float], str] = format_value) -> list[Cell]:
    """A difference with its interval, and its p-value."""
    value, low, high, p = (float(row[name]) for name in DIFFERENCE)
    bounds = " to ".join(_signed(bound, text) for bound in (low, high))
    notes = [] if np.isnan(low) else [bounds]
    return [Cell(_signed(value, text), notes, p < SIGNIFICANCE), Cell(format_p(p))]


def _signed(value: float, text: Callable[[float], str] = format_value) -> str:
    return f"+{text(value)}" if value > 0 else text(value)


def _yardstick(pair: Pair) -> str:
    """What gains and nAUC of two runs are each measured against, where that differs."""
    ranges = [run.models["cost_usd"] for run in pair.runs.values()]
    (low, high), (other_low, other_high) = ((own.min() * 1000, own.max() * 1000) for own in ranges)
    if (low, high) == (other_low, other_high):
        return ""
    return (
        "Each run's nAUC and gain are over the costs of its own models, "
        f"${low:.3g} to ${high:.3g} per 1,000 queries in {pair.first.name} and ${other_low:.3g} to "
        f"${other_high:.3g} in {pair.second.name}, and against its own static mixtures: a gain may "
        "fall because the models alone became better."
    )


def _title(metric: str) -> str:
    return next(own.title for own in CURVE_METRICS if own.name == metric)


def _on_all(pair: Pair, metric: str) -> Table:
    """A metric on all test samples: the rows of both runs, and their difference."""
    before, after = (_full(run.main, metric) for run in pair.runs.values())
    compared = _full(pair.rows, metric)
    nothing = pd.Series(np.nan, [*BOUNDS, *DIFFERENCE])
    rows = {}
    for name in dict.fromkeys([*before.index, *after.index]):
        values = [own.loc[name] if name in own.index else nothing for own in (before, after)]
        cells = [_valued(row["value"], row["low"], row["high"]) for row in values]
        difference = compared.loc[name] if name in compared.index else nothing
        rows[str(name)] = [*cells, *_difference(difference)]
    columns = [pair.first.name, pair.second.name, "difference", "p"]
    return Table(_title(metric), columns, rows)


def _full(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    own = table[(table["level"] == "full") & (table["metric"] == metric)]
    return own.set_index("router")


def _by_dataset(pair: Pair, metric: str) -> Table:
    """The differences of a metric on each data set and in the averages."""
    own = pair.rows[pair.rows["metric"] == metric]
    names = [str(name) for name in own["dataset"].unique()]
    found = {tuple(row[name] for name in KEYS[1:3]): row for _, row in own.iterrows()}
    rows = {
        str(router): [
            _difference(found[name, router])[0] if (name, router) in found else Cell("–")
            for name in names
        ]
        for router in own["router"].unique()
    }
    return Table(_title(metric), names, rows)


def _leaderboard(comparison: Comparison) -> dict[str, Any] | None:
    board = comparison.leaderboard
    if board is None:
        return None
    placed = [own for _, own in board[board["level"] == "all benchmarks"].iterrows()]
    everywhere = {(str(own["row"]), str(own["metric"])): own for own in placed}
    single = {
        (str(own["row"]), str(own["run"])): own
        for _, own in board[
            (board["level"] == "benchmark") & (board["metric"] == GAINED)
        ].iterrows()
    }
    runs = list(dict.fromkeys(run for _, run in single))
    ranked = list(dict.fromkeys(row for row, _ in everywhere))
    rows = {
        row: [
            _rank(everywhere[row, "rank"]),
            *_gain(everywhere[row, GAINED]),
            *(_gain(single[row, run])[0] for run in runs),
        ]
        for row in sorted(ranked, key=lambda row: float(everywhere[row, "rank"]["value"]))
    }
    others = dict.fromkeys(row for row, _ in single if row not in ranked)
    return {
        "table": Table(
            "Leaderboard", ["mean rank", "mean gain", "p", *(f"gain, {one}" for one in runs)], rows
        ),
        "answer": _leading(everywhere, ranked, len(runs)),
        "runs": _listed(runs),
        "latest": [
            _listed([run.name for run in own]) for own in comparison.benchmarks if len(own) > 1
        ],
        "others": {
            row: f"{sum((row, run) in single for run in runs)} of {len(runs)}" for row in others
        },
        "settings": _differing(comparison, ranked),
    }


def _leading(
    everywhere: Mapping[tuple[str, str], pd.Series], rows: Sequence[str], n_runs: int
) -> str:
    """Which router is ahead in ranks, and which in gains."""
    first = min(rows, key=lambda row: float(everywhere[row, "rank"]["value"]))
    most = max(rows, key=lambda row: float(everywhere[row, GAINED]["value"]))
    rank, gain = everywhere[first, "rank"], _gained(everywhere[most, GAINED])
    told = (
        f"Of {len(rows)} routers over {n_runs} benchmarks {first} has the best mean rank, "
        f"{rank['value']:.2f} ({rank['low']:.2f} to {rank['high']:.2f})"
    )
    if first == most:
        return f"{told}, and the largest mean gain, {gain}."
    own = _gained(everywhere[first, GAINED])
    return f"{told}, with a mean gain of {own}; {most} gains most, {gain}."


def _gained(row: pd.Series) -> str:
    return f"{_signed(row['value'])} ({_signed(row['low'])} to {_signed(row['high'])})"


def _rank(row: pd.Series) -> Cell:
    return Cell(f"{row['value']:.2f}", [f"{row['low']:.2f} to {row['high']:.2f}"])


def _gain(row: pd.Series) -> list[Cell]:
    notes = [f"{_signed(row['low'])} to {_signed(row['high'])}"]
    return [Cell(_signed(row["value"]), notes), Cell(format_p(row["p_value"]))]


def _differing(comparison: Comparison, rows: Sequence[str]) -> list[str]:
    """Which rows have other settings in one of the ranked runs than in another."""
    configs = [own[-1].record.config.routers for own in comparison.benchmarks]
    return [
        row
        for row in rows
        if any(
            config.get(row.split("+")[0]) != configs[0].get(row.split("+")[0]) for config in configs
        )
    ]
