"""The papers' conclusions, each with what this benchmark says of it.

What routing gains and saves is against static mixtures of models, which need no router, and
against their last one, the single model that is best in training; papers compare with the
single model that is best on the test split.

Routers, operating points and references are chosen on training data: of many rows the one that
looks best on the test split is lucky. A claim that something is larger holds where the paired
difference is above zero with p < 0.05, does not hold where it is below with p < 0.05, and
otherwise cannot be told. Of several rows that could show it, each is judged by itself; where
some are above and some below, the verdict is mixed. What is claimed but for a tolerance is judged
by whether the interval lies within it. What was not measured is not tested.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from mmroute.decision.decide import ALL_BUDGETS
from mmroute.evaluation.inference import SIGNIFICANCE
from mmroute.evaluation.metrics import SAVED_AT
from mmroute.evaluation.static import ZERO
from mmroute.presentation.tables import (
    REFERENCES,
    difference_of,
    format_interval,
    format_p,
    record_of,
)

HOLDS, FAILS, MIXED = "holds", "does not hold", "mixed"
OPEN, UNTESTED = "cannot be told", "not tested"
ABOUT_A_THIRD = 1 / 2
"""The largest share of a cost that is about a third of it."""
AS_ACCURATE = 0.01
"""A policy that is less accurate by no more than this is as accurate."""
FACTORISED = ("linear_mf", "mlp_mf")
UNFACTORISED = ("kmeans", "knn", "linear", "mlp")
PAPER_ROUTERS = (*FACTORISED, *UNFACTORISED)
BALANCED = ("kmeans_vl", "prknn")
TOLERANCES = (
    f"About a third is at most {ABOUT_A_THIRD:g} times, and as accurate at most {AS_ACCURATE:g} "
    "below."
)
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
            verdict, measured = (
                UNTESTED,
                f"It takes {claim.table}, of an experiment that was not run.",
            )
        found.append(asdict(Conclusion(claim.source, claim.text, verdict, measured)))
    return found


def by_chance(conclusions: Sequence[Mapping[str, str]]) -> str:
    """How many verdicts would be wrong if nothing but chance told the rows apart."""
    tested = sum(own["verdict"] != UNTESTED for own in conclusions)
    return (
        f"Claims that are tested: {tested}, each at the {SIGNIFICANCE:.0%} level. Were there "
        f"nothing to tell, at most about {SIGNIFICANCE * tested:g} of them would hold or not "
        "hold by chance."
    )


def verdict_of(value: float, p: float) -> str:
    """What a difference with its two-sided p-value says of a claim that it is positive."""
    if not p < SIGNIFICANCE:
        return OPEN
    return HOLDS if value > 0 else FAILS


def _joint(verdicts: Iterable[str]) -> str:
    """One verdict of several rows."""
    distinct = set(verdicts)
    if {HOLDS, FAILS} <= distinct:
        return MIXED
    return distinct.pop() if len(distinct) == 1 else OPEN


def _judge(rows: pd.DataFrame, name: Callable[[pd.Series], str], what: str) -> tuple[str, str]:
    """Judge differences, one a row, and tell every number."""
    if rows.empty:
        return UNTESTED, "No row of this benchmark tells."
    verdicts = [verdict_of(row["value"], row["p_value"]) for _, row in rows.iterrows()]
    numbers = "; ".join(f"{name(row)} {_tested(row)}" for _, row in rows.iterrows())
    if len({*verdicts}) > 1:
        numbers += " (the rows do not agree)"
    return _joint(verdicts), f"{what}: {numbers}."


def _interval(row: pd.Series) -> str:
    return format_interval(row["value"], row["low"], row["high"])


def _tested(row: pd.Series) -> str:
    return f"{_interval(row)} (p {format_p(row['p_value'])})"


def _differences(tables: Tables, name: str, minus: str, **where: str) -> pd.DataFrame:
    table = tables[name]
    kept = pd.Series(True, table.index)
    for column, wanted in {"minus": minus, **where}.items():
        # Empty text is missing after CSV, and a column of it has no text at all.
        kept &= table[column].astype(object).fillna("") == wanted
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
    first, second = (
        _best_in_training(tables, "nauc_honest", names) for names in (FACTORISED, UNFACTORISED)
    )
    if first is None or second is None:
        return UNTESTED, "The main table lacks one of the two kinds."
    row = difference_of(tables["differences"], "nauc_honest", first, second)
    return (
        verdict_of(row["value"], row["p_value"]),
        f"nAUC of {first} less that of {second}, both the best of their kind in training, at "
        f"points chosen there: {_tested(row)}.",
    )


def _beats_best_single(tables: Tables) -> tuple[str, str]:
    best = _best_in_training(tables, "peak_score_honest")
    if best is None:
        return NO_ROUTER
    row = difference_of(tables["differences"], "peak_score_honest", best, ZERO)
    return (
        verdict_of(row["value"], row["p_value"]),
        f"Accuracy of {best}, the most accurate router in training, at the point chosen there, "
        f"less that of the single model that was best there: {_tested(row)}.",
    )


def _against_zero(metrics: Mapping[str, str], what: str) -> Callable[[Tables], tuple[str, str]]:
    """Test one row: the one that was named beforehand, else that of the largest gain in training.

    Parameters
    ----------
    metrics
        Comparisons with ``zero`` that are judged together, and what stands before their values.
    what
        Said of all.
    """

    def test(tables: Tables) -> tuple[str, str]:
        decided = tables["decision"]
        named = next(iter(decided.loc[decided["asked"] == ALL_BUDGETS, "router"]), None)
        how = "which was named beforehand"
        if named not in set(tables["table2"]["router"]):
            named, how = _best_in_training(tables, "gain_honest"), "the best in training"
        if named is None:
            return NO_ROUTER
        rows = [_on_all(tables, metric).loc[[named]].iloc[0] for metric in metrics]
        numbers = "; ".join(
            words + _tested(row) for words, row in zip(metrics.values(), rows, strict=True)
        )
        verdict = _joint(verdict_of(row["value"], row["p_value"]) for row in rows)
        return verdict, f"{what} of {named}, {how}: {numbers}."

    return test


def _third_of_cost(tables: Tables) -> tuple[str, str]:
    best = _best_in_training(tables, "qnc_honest", PAPER_ROUTERS)
    if best is None:
        return UNTESTED, "The main table has none of the paper's routers."
    cost, accuracy = (
        _on_all(tables, metric).loc[[best]].iloc[0] for metric in ("qnc_honest", "parity_honest")
    )
    if not np.isfinite(cost["value"]):
        return _never_there(tables)
    verdict = OPEN
    if cost["high"] < ABOUT_A_THIRD and accuracy["low"] > -AS_ACCURATE:
        verdict = HOLDS
    elif cost["low"] > ABOUT_A_THIRD or accuracy["high"] < -AS_ACCURATE:
        verdict = FAILS
    return verdict, (
        f"{best}, the cheapest of the paper's routers at the best single model's accuracy in "
        f"training, costs, at the point chosen there, {_interval(cost)} times as much as that "
        f"model, and its accuracy less that model's is {_interval(accuracy)}. {TOLERANCES}"
    )


def _never_there(tables: Tables) -> tuple[str, str]:
    best = _best_in_training(tables, "peak_score_honest", PAPER_ROUTERS)
    row = difference_of(tables["differences"], "peak_score_honest", str(best), ZERO)
    return FAILS if row["high"] < -AS_ACCURATE else OPEN, (
        "None of the paper's routers reached the best single model's accuracy in every training. "
        f"The accuracy of the most accurate one in training, {best}, at the point chosen there, "
        f"less that model's is {_interval(row)}. {TOLERANCES}"
    )


def _shift(tables: Tables) -> tuple[str, str]:
    return _elsewhere(
        tables,
        "table4",
        lambda row: f"{row['router']} on {row['scenario']}",
        "the other data set",
        test="",
    )


def _transfer(tables: Tables) -> tuple[str, str]:
    return _elsewhere(
        tables, "table5", lambda row: row["router"], "samples with images", dataset="full"
    )


def _elsewhere(
    tables: Tables, table: str, name: Callable[[pd.Series], str], where: str, **rows: str
) -> tuple[str, str]:
    """Judge routers that were trained elsewhere by what they gain on static mixtures from there.

    Parameters
    ----------
    tables, name
        As elsewhere here.
    table
        The table that tells.
    where
        What they, their points and the mixtures were chosen on.
    rows
        The rows that tell.
    """
    gains = _differences(tables, table, ZERO, metric="nauc_honest", **rows)
    what = f"nAUC less that of static mixtures, points and mixtures chosen on {where}"
    verdict, told = _judge(gains, name, what)
    if verdict == UNTESTED:
        return verdict, told
    peaks = _differences(tables, table, ZERO, metric="peak_score_honest", **rows)
    beside = "Accuracy of the point that was best there less that of the single model best there"
    _, beside = _judge(peaks, name, beside)
    return verdict, f"{told} {beside}"


def _balanced(tables: Tables) -> tuple[str, str]:
    rows = _differences(tables, "vl_main", ZERO, point="training", metric="rank_score")
    return _judge(
        rows[rows["router"].isin(BALANCED)],
        lambda row: row["router"],
        "Rank score, less that of the static mixture, points chosen in training",
    )


def _gap_to_oracle(tables: Tables) -> tuple[str, str]:
    known = _differences(tables, "vl_main", "", point="cross-fitted", metric="rank_score")
    ranked = known.set_index("router")["value"].drop([*REFERENCES], errors="ignore").dropna()
    gaps = _differences(tables, "vl_main", "oracle", metric="clear_gap").set_index("router")
    ranked = ranked[ranked.index.isin(gaps.index)]
    if ranked.empty:
        return UNTESTED, "The oracle is not in the table, or no router."
    best = str(ranked.idxmax())
    row = gaps.loc[[best]].iloc[0]
    behind = _differences(tables, "vl_main", "oracle", metric="rank_score").set_index("router")
    return (
        verdict_of(row["value"], row["p_value"]),
        f"Rank score of {best}, the best in training, less the oracle's: "
        f"{_interval(behind.loc[[best]].iloc[0])}. A gap is clear beyond a tenth of the one that "
        f"static mixtures leave; by so much it is larger: {_tested(row)}.",
    )


def _best_in_training(tables: Tables, metric: str, among: Sequence[str] = ()) -> str | None:
    """The router that is best of all, or of some, on the training split; None without any."""
    known = _on_all(tables, metric)["training"].drop([*REFERENCES], errors="ignore").dropna()
    known = known[known.index.isin(among)] if among else known
    if known.empty:
        return None
    return str(known.idxmin() if record_of(metric).lower_is_better else known.idxmax())


def _on_all(tables: Tables, metric: str) -> pd.DataFrame:
    table = tables["table2"]
    return table[(table["dataset"] == "full") & (table["metric"] == metric)].set_index("router")


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
        "K-means and PRkNN balance accuracy and cost well: better than static mixtures of models.",
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
