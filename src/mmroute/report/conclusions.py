"""The papers' conclusions, each with what this benchmark says of it.

What routing gains and saves is against static mixtures of models, which need no router;
papers compare with the best single model, and it stays beside them.

A claim that something is larger holds where the 95 % interval of the paired difference
lies above zero, does not hold where it lies below, and otherwise cannot be told. Of
several rows that could show it, each is judged by itself, and what was not measured is
not tested.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from mmroute.decision.decide import ALL_BUDGETS
from mmroute.evaluation.metrics import BEST_SINGLE, SAVED_AT
from mmroute.evaluation.static import ZERO
from mmroute.presentation.tables import REFERENCES, SIGNIFICANCE, format_interval

HOLDS, FAILS, OPEN, UNTESTED = "holds", "does not hold", "cannot be told", "not tested"
FACTORISED = ("linear_mf", "mlp_mf")
UNFACTORISED = ("kmeans", "knn", "linear", "mlp")
PAPER_ROUTERS = (*FACTORISED, *UNFACTORISED)
BALANCED = ("kmeans_vl", "prknn")
NO_ROUTER = UNTESTED, "No router was measured."

Tables = Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Claim:
    """What a paper concludes.

    Attributes
    ----------
    source, text
        Where, and what.
    table
        The table that tells; without it the claim is not tested.
    test
        Tables to verdict and the sentence that says what was measured.
    """

    source: str
    text: str
    table: str
    test: Callable[[Tables], tuple[str, str]]


@dataclass(frozen=True)
class Conclusion:
    """A claim, its verdict here, and the numbers behind it."""

    source: str
    claim: str
    verdict: str
    measured: str


def conclude(tables: Tables) -> list[dict[str, str]]:
    """Judge every claim.

    Parameters
    ----------
    tables
        Result tables by name, as read from their CSV; ``table2``, ``differences``
        and ``decision`` always, those of experiments if they ran.
    """
    found = []
    for claim in CLAIMS:
        if claim.table in tables:
            verdict, measured = claim.test(tables)
        else:
            verdict, measured = UNTESTED, f"{claim.table} was not made."
        found.append(asdict(Conclusion(claim.source, claim.text, verdict, measured)))
    return found


def verdict_of(low: float, high: float) -> str:
    """What an interval of a difference says of a claim that it is positive."""
    if low > 0:
        return HOLDS
    return FAILS if high < 0 else OPEN


def _judge(rows: pd.DataFrame, name: Callable[[pd.Series], str], what: str) -> tuple[str, str]:
    """Judge differences, one a row: one verdict if all agree, and every number."""
    if rows.empty:
        return UNTESTED, "No row of this benchmark tells."
    verdicts = {verdict_of(row["low"], row["high"]) for _, row in rows.iterrows()}
    numbers = "; ".join(
        f"{name(row)} {format_interval(row['value'], row['low'], row['high'])}"
        for _, row in rows.iterrows()
    )
    joint = verdicts.pop() if len(verdicts) == 1 else OPEN
    if verdicts:
        numbers += " (the rows do not agree)"
    return joint, f"{what}: {numbers}."


def _differences(tables: Tables, name: str, minus: str, **where: str) -> pd.DataFrame:
    table = tables[name].fillna({"minus": ""})
    kept = table["minus"] == minus
    for column, wanted in where.items():
        kept &= table[column].fillna("") == wanted
    return table[kept]


def _multimodal(other: str) -> Callable[[Tables], tuple[str, str]]:
    def test(tables: Tables) -> tuple[str, str]:
        rows = _differences(tables, "fig2", other, router="kmeans", metric="nauc")
        return _judge(rows, lambda row: row["features"], f"nAUC of kmeans, less {other} alone")

    return test


def _adaptive(tables: Tables) -> tuple[str, str]:
    rows = _differences(tables, "table3", "mean", metric="nauc")
    rows = rows[rows["router"].isin(("kmeans", *FACTORISED))]
    return _judge(rows, lambda row: row["router"], "nAUC, adaptive less mean")


def _factorised(tables: Tables) -> tuple[str, str]:
    ranking = _on_all(tables, "nauc")["value"]
    ours, others = (ranking.reindex(names).dropna() for names in (FACTORISED, UNFACTORISED))
    if ours.empty or others.empty:
        return UNTESTED, "The main table lacks one of the two kinds."
    first, second = str(ours.idxmax()), str(others.idxmax())
    value, low, high = _difference(tables["differences"], "nauc", first, second)
    return (
        verdict_of(low, high),
        f"nAUC of {first} less that of {second}: {format_interval(value, low, high)}.",
    )


def _beats_best_single(tables: Tables) -> tuple[str, str]:
    best = _largest(_on_all(tables, "peak_score_honest"))
    if best is None:
        return NO_ROUTER
    value, low, high = _difference(tables["differences"], "peak_score", best, BEST_SINGLE)
    honest = _on_all(tables, "peak_score_honest").loc[[best]].iloc[0]
    numbers = format_interval(honest["value"], honest["low"], honest["high"])
    return (
        verdict_of(low, high),
        f"Peak score of {best} less the best single model's accuracy: "
        f"{format_interval(value, low, high)}; at the point chosen in training it gets {numbers}."
        f"{_without_router(tables, 'peak_score')}",
    )


def _without_router(tables: Tables, metric: str) -> str:
    """What the best static mixtures have of a metric; nothing if they are not in the table."""
    table = tables["table2"]
    own = table[(table["dataset"] == "full") & (table["metric"] == metric)]
    zero = own[own["router"] == ZERO]
    return "".join(
        f" Static mixtures of models ({ZERO}) have {format_interval(value, low, high)}."
        for value, low, high in zero[["value", "low", "high"]].itertuples(index=False)
    )


def _against_zero(metrics: Mapping[str, str], what: str) -> Callable[[Tables], tuple[str, str]]:
    """Test one row: the named one, else that of the largest honest gain, and then so much harder.

    Parameters
    ----------
    metrics
        Comparisons with ``zero`` that all have to hold, and what stands before their values.
    what
        Said of all.
    """

    def test(tables: Tables) -> tuple[str, str]:
        gains = _on_all(tables, "gain_honest")["value"].drop([*REFERENCES], errors="ignore")
        if gains.empty:
            return NO_ROUTER
        decided = tables["decision"]
        named = next(iter(decided.loc[decided["asked"] == ALL_BUDGETS, "router"]), None)
        router = named if named in gains.index else str(gains.idxmax())
        tried = 1 if router == named else len(gains)
        table = tables["table2"]
        own = table[(table["dataset"] == "full") & (table["router"] == router)].set_index("metric")
        verdicts, numbers = set(), []
        for metric, words in metrics.items():
            row = own.loc[[metric]].iloc[0]
            # Of several rows the best is the luckiest: Bonferroni.
            told = row["p_value"] * tried < SIGNIFICANCE
            verdicts.add(verdict_of(row["low"], row["high"]) if told else OPEN)
            numbers.append(words + format_interval(row["value"], row["low"], row["high"]))
        verdict = verdicts.pop() if len(verdicts) == 1 else OPEN
        chosen = f", the best of {tried} rows, so that p counts {tried} times" if tried > 1 else ""
        return verdict, f"{what} of {router}{chosen}: {'; '.join(numbers)}."

    return test


def _third_of_cost(tables: Tables) -> tuple[str, str]:
    table = _on_all(tables, "qnc")
    own = table.reindex([name for name in PAPER_ROUTERS if name in table.index])
    if own.empty:
        return UNTESTED, "The main table has none of the paper's routers."
    best = str(own["value"].idxmin())
    row = own.loc[[best]].iloc[0]
    verdict = verdict_of(1 / 3 - row["high"], 1 / 3 - row["low"])
    numbers = format_interval(row["value"], row["low"], row["high"])
    zero = _without_router(tables, "qnc")
    return verdict, f"QNC of {best}, the best of the paper's routers: {numbers}.{zero}"


def _shift(tables: Tables) -> tuple[str, str]:
    if "scenario" not in tables["table4"]:
        return UNTESTED, "No scenario has two data sets."
    return _elsewhere(
        tables,
        "table4",
        lambda row: f"{row['router']} on {row['scenario']}",
        "chosen on the same other data set",
        train="",
        test="",
    )


def _transfer(tables: Tables) -> tuple[str, str]:
    return _elsewhere(
        tables,
        "table5",
        lambda row: row["router"],
        "chosen on the same multimodal samples, on all text-only ones",
        dataset="full",
    )


def _elsewhere(
    tables: Tables, table: str, name: Callable[[pd.Series], str], chosen: str, **where: str
) -> tuple[str, str]:
    """Judge routers that were trained on other samples by what they gain on static mixtures.

    Parameters
    ----------
    tables, name
        As elsewhere here.
    table
        The table that tells.
    chosen
        What is said of these static mixtures.
    where
        The rows that tell.
    """
    gains = _differences(tables, table, ZERO, metric="nauc", **where)
    verdict, told = _judge(
        gains,
        name,
        f"nAUC, at points that are the best where it is measured, less that of static mixtures "
        f"{chosen}",
    )
    if verdict == UNTESTED:
        return verdict, told
    papers = _differences(tables, table, BEST_SINGLE, metric="peak_score", **where)
    _, beside = _judge(
        papers, name, "Peak score less the best single model's, the paper's comparison"
    )
    return verdict, f"{told} {beside}"


def _balanced(tables: Tables) -> tuple[str, str]:
    scores = _rank_scores(tables)
    own = scores.drop(["random", "cheapest", "strongest"], errors="ignore")
    best = _largest(own)
    named = own.reindex([*BALANCED]).dropna(subset="value")
    if best is None or named.empty:
        return UNTESTED, "Neither is in the table."
    behind = named["high"] < own.loc[best, "low"]
    verdict = OPEN
    if behind.all():
        verdict = FAILS
    elif best in named.index and not behind.any():
        verdict = HOLDS
    numbers = "; ".join(
        f"{name} {format_interval(row['value'], row['low'], row['high'])}"
        for name, row in own.loc[[best, *named.index.drop(best, errors="ignore")]].iterrows()
    )
    return verdict, f"Rank score, the largest first: {numbers}."


def _gap_to_oracle(tables: Tables) -> tuple[str, str]:
    scores = _rank_scores(tables)
    if "oracle" not in scores.index:
        return UNTESTED, "The oracle is not in the table."
    best = _largest(scores)
    if best is None:
        return NO_ROUTER
    row, oracle = scores.loc[[best]].iloc[0], scores.loc[["oracle"]].iloc[0]
    numbers = [format_interval(own["value"], own["low"], own["high"]) for own in (row, oracle)]
    verdict = verdict_of(oracle["low"] - row["high"], oracle["high"] - row["low"])
    return verdict, f"Rank score of {best} {numbers[0]}, of the oracle {numbers[1]}."


def _largest(table: pd.DataFrame) -> str | None:
    """The router of the largest value; None without any."""
    values = table["value"].drop([*REFERENCES], errors="ignore").dropna()
    return None if values.empty else str(values.idxmax())


def _rank_scores(tables: Tables) -> pd.DataFrame:
    table = _differences(tables, "vl_main", "", point="training", metric="rank_score")
    return table.set_index("router")


def _on_all(tables: Tables, metric: str) -> pd.DataFrame:
    table = tables["table2"]
    own = table[(table["dataset"] == "full") & (table["metric"] == metric)].set_index("router")
    return own[np.isfinite(own["value"]) | (metric == "qnc")]


def _difference(
    differences: pd.DataFrame, metric: str, router: str, other: str
) -> tuple[float, float, float]:
    """Router minus other with its interval, whichever way round the table has it."""
    own = differences[differences["metric"] == metric].set_index(["router", "other"])
    if (router, other) in own.index:
        row = own.loc[[(router, other)]].iloc[0]
        return row["difference"], row["low"], row["high"]
    row = own.loc[[(other, router)]].iloc[0]
    return -row["difference"], -row["high"], -row["low"]


CLAIMS = (
    Claim(
        "RouterBench, zero router",
        "Routing is more accurate at equal cost than static mixtures of models.",
        "table2",
        _against_zero(
            {"gain_honest": ""}, "nAUC less that of static mixtures, points chosen in training,"
        ),
    ),
    Claim(
        "RouterBench, zero router",
        "Routing costs less at equal accuracy than static mixtures of models.",
        "table2",
        _against_zero(
            {f"saving_{percent}": f"at {percent} % " for percent in SAVED_AT},
            "Share of the static mixture's cost that is saved at parts of the best static "
            "policy's accuracy, points chosen in training,",
        ),
    ),
    Claim(
        "MMR-Bench 3.2, Figure 2",
        "Features of text and image together route better than the text alone.",
        "fig2",
        _multimodal("text"),
    ),
    Claim(
        "MMR-Bench 3.2, Figure 2",
        "Features of text and image together route better than the image alone.",
        "fig2",
        _multimodal("image"),
    ),
    Claim(
        "MMR-Bench 6 (1), Table 3",
        "Adaptive fusion routes better than the mean of both embeddings.",
        "table3",
        _adaptive,
    ),
    Claim(
        "MMR-Bench 5.3, Table 2",
        "Routers by matrix factorisation have the largest nAUC of the paper's routers.",
        "table2",
        _factorised,
    ),
    Claim(
        "MMR-Bench 5.3, Table 2",
        "Routing exceeds the accuracy of the best single model.",
        "table2",
        _beats_best_single,
    ),
    Claim(
        "MMR-Bench abstract, Figure 4",
        "Routing reaches the best single model's accuracy at about a third of its cost.",
        "table2",
        _third_of_cost,
    ),
    Claim(
        "MMR-Bench 6 (2), Table 4",
        "A router from another data set of the scenario is more accurate at equal cost than "
        "static mixtures of models from there.",
        "table4",
        _shift,
    ),
    Claim(
        "MMR-Bench 6 (3), Table 5",
        "A multimodal router is more accurate at equal cost on text-only benchmarks than static "
        "mixtures of models.",
        "table5",
        _transfer,
    ),
    Claim(
        "VL-RouterBench, key results",
        "K-means and PRkNN balance accuracy and cost well.",
        "vl_main",
        _balanced,
    ),
    Claim(
        "VL-RouterBench, abstract",
        "The best routers leave a clear gap to the oracle.",
        "vl_main",
        _gap_to_oracle,
    ),
)
