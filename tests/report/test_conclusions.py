"""Claims are judged on what training chose, by the p-value of a paired difference."""

from math import inf, nan

import pandas as pd
import pytest

from mmroute.decision.decide import ALL_BUDGETS
from mmroute.experiments.vl import CLEAR
from mmroute.report.conclusions import (
    CLAIMS,
    FAILS,
    HOLDS,
    MIXED,
    OPEN,
    UNTESTED,
    by_chance,
    conclude,
    verdict_of,
)

GAIN, SAVING = "more accurate at equal cost than static mixtures of models.", "Routing costs less"
CHOOSING = ("nauc_honest", "gain_honest", "peak_score_honest", "qnc_honest")
"""Metrics that are known in training."""
SAVINGS = ("saving_90", "saving_95", "saving_100")
SURE, UNSURE = 0.01, 0.4


def main_table(**routers):
    """Return the tables of a benchmark whose routers have the same numbers in every metric.

    Parameters
    ----------
    routers
        Name to (in training, on the test split). Differences are SURE, unless there is none.
        On data set A all is the other way round.
    """
    rows = [
        {"dataset": dataset, "router": router, "metric": metric, "value": sign * value}
        | {"training": sign * training if metric in CHOOSING else nan}
        | {"low": sign * value - 0.02, "high": sign * value + 0.02, "p_value": SURE}
        for dataset, sign in (("full", 1), ("A", -1))
        for router, (training, value) in routers.items()
        for metric in (*CHOOSING, "parity_honest", *SAVINGS)
    ]
    pairs = [
        {"metric": metric, "router": first, "other": second, "difference": apart}
        | {"low": apart - 0.02, "high": apart + 0.02, "p_value": SURE if apart else UNSURE}
        for metric in ("nauc_honest", "peak_score_honest")
        for first in routers
        for second in routers
        if first < second
        for apart in [routers[first][1] - routers[second][1]]
    ]
    return {
        "table2": pd.DataFrame(rows),
        "differences": pd.DataFrame(pairs),
        "decision": pd.DataFrame({"asked": ["budget", ALL_BUDGETS], "router": [nan, "ensemble"]}),
    }


REFERENCES = {"best_single": (nan, 0.9), "zero": (nan, 0.5), "oracle": (nan, 0.99)}
ALONE = main_table(knn=(0.5, 0.5), **REFERENCES)


def with_cells(tables, router, metric, **cells):
    """Return the tables with other numbers of a router on all samples."""
    table = tables["table2"].copy()
    own = (table["dataset"] == "full") & (table["metric"] == metric) & (table["router"] == router)
    table.loc[own, list(cells)] = list(cells.values())
    return tables | {"table2": table}


def experiment(table, minus, value, p_value=SURE, **columns):
    """Return an experiment's table of differences, beside a main table."""
    frame = pd.DataFrame({"value": value, "p_value": p_value, "minus": minus, **columns})
    frame = frame.assign(low=frame["value"] - 0.05, high=frame["value"] + 0.05)
    return ALONE | {table: frame}


def judged(tables, text):
    (found,) = (own for own in conclude(tables) if text in own["claim"])
    return found


# --- verdicts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "p", "verdict"),
    [
        (0.1, 0.049, HOLDS),
        (-0.1, 0.049, FAILS),
        (-inf, 0.002, FAILS),
        (0.1, 0.05, OPEN),
        (-0.1, 0.05, OPEN),
        (nan, nan, OPEN),
    ],
)
def test_the_p_value_tells_whether_and_the_sign_which(value, p, verdict):
    assert verdict_of(value, p) == verdict


@pytest.mark.parametrize(
    ("low", "p", "verdict", "told"),
    [
        (0.01, 0.06, OPEN, "adaptive 0.100 [0.010, 0.150] (p .060)."),
        (-0.01, 0.04, HOLDS, "adaptive 0.100 [-0.010, 0.150] (p .040)."),
        (0.05, 2 / 1001, HOLDS, "adaptive 0.100 [0.050, 0.150] (p < .002)."),
    ],
)
def test_where_the_interval_says_otherwise_the_p_value_decides_and_is_shown(low, p, verdict, told):
    row = {"router": "kmeans", "features": ["adaptive"], "metric": "nauc"}
    tables = experiment("fig2", "text", 0.1, p, **row)
    tables["fig2"]["low"] = low
    found = judged(tables, "the text alone")
    assert found["verdict"] == verdict
    assert found["measured"].endswith(told)


def test_without_its_table_a_claim_is_not_tested():
    found = conclude(ALONE)
    assert len(found) == len(CLAIMS)
    untested = {own["measured"] for own in found if own["verdict"] == UNTESTED}
    names = ("fig2", "table3", "table4", "table5", "vl_main")
    made = {f"It takes {name}, of an experiment that was not run." for name in names}
    assert made <= untested
    # Of the main table one claim is untested, too: there is no factorised router.
    assert len(untested - made) == 1


@pytest.mark.parametrize(
    ("verdicts", "tested", "wrong"),
    [([HOLDS, FAILS, MIXED, OPEN, UNTESTED, OPEN, OPEN], 6, "0.3"), ([HOLDS] * 12, 12, "0.6")],
)
def test_it_is_told_how_many_verdicts_chance_alone_would_give(verdicts, tested, wrong):
    told = by_chance([{"verdict": verdict} for verdict in verdicts])
    assert told == (
        f"Claims that are tested: {tested}, each at the 5% level. Were there nothing to tell, at "
        f"most about {wrong} of them would hold or not hold by chance."
    )


# --- rows of experiments ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "p", "verdict"), [(0.1, SURE, HOLDS), (0.1, UNSURE, OPEN), (-0.1, SURE, FAILS)]
)
@pytest.mark.parametrize("other", ["text", "image"])
def test_multimodal_features_are_judged_against_each_modality(other, value, p, verdict):
    row = {"router": "kmeans", "features": ["adaptive"], "metric": "nauc"}
    tables = experiment("fig2", other, value, p, **row)
    assert judged(tables, f"the {other} alone")["verdict"] == verdict


@pytest.mark.parametrize(
    ("values", "p", "verdict"),
    [
        ([0.1, 0.2, 0.3], [SURE, SURE, SURE], HOLDS),
        ([-0.1, -0.2, -0.3], [SURE, SURE, SURE], FAILS),
        ([0.1, -0.2, 0.3], [UNSURE, UNSURE, UNSURE], OPEN),
        ([0.1, 0.2, 0.3], [SURE, UNSURE, SURE], OPEN),
        ([-0.1, -0.2, 0.3], [SURE, SURE, UNSURE], OPEN),
        ([0.1, -0.2, 0.3], [SURE, SURE, SURE], MIXED),
        ([0.1, -0.2, 0.3], [SURE, SURE, UNSURE], MIXED),
    ],
)
def test_several_rows_have_one_verdict_if_all_agree_and_are_mixed_if_they_contradict(
    values, p, verdict
):
    routers = ["kmeans", "linear_mf", "mlp_mf"]
    found = judged(
        experiment("table3", "mean", values, p, router=routers, metric="nauc"), "Adaptive"
    )
    assert found["verdict"] == verdict
    agree = verdict != MIXED and len(set(p)) == 1
    assert ("(the rows do not agree)" in found["measured"]) != agree
    for router, value in zip(routers, values, strict=True):
        assert f"{router} {value:.3f} [" in found["measured"]


def test_rows_of_other_routers_metrics_and_references_do_not_tell():
    tables = experiment(
        "table3",
        ["mean", "mean", "mean", "text"],
        [0.1, -0.1, -0.1, -0.1],
        router=["kmeans", "knn", "kmeans", "kmeans"],
        metric=["nauc", "nauc", "peak_score", "nauc"],
    )
    assert judged(tables, "Adaptive")["verdict"] == HOLDS


SHIFT, TRANSFER = "A router from another data set", "on text-only benchmarks"
ELSEWHERE = [
    ("table4", SHIFT, {"scenario": "Math", "train": [nan, "A"] * 2, "test": [nan, "B"] * 2}),
    ("table5", TRANSFER, {"dataset": ["full", "ARC"] * 2}),
]


@pytest.mark.parametrize(
    ("value", "p", "verdict"), [(0.1, SURE, HOLDS), (0.1, UNSURE, OPEN), (-0.1, SURE, FAILS)]
)
@pytest.mark.parametrize(("table", "claim", "where"), ELSEWHERE)
def test_routers_from_elsewhere_are_judged_at_points_from_there_against_static_mixtures(
    table, claim, where, value, p, verdict
):
    # On all pairs, or all data sets, and beside them on one, which does not tell.
    metrics = ["nauc_honest"] * 2 + ["peak_score_honest"] * 2
    numbers = [value, 9.0, 0.2, 9.0], [p, SURE, SURE, SURE]
    tables = experiment(table, "zero", *numbers, **where, router="knn", metric=metrics)
    flattering = tables[table].assign(
        metric=tables[table]["metric"].str.removesuffix("_honest"), value=-9.0
    )
    against_best = tables[table].assign(minus="best_single", value=-9.0)
    tables[table] = pd.concat([tables[table], flattering, against_best])
    found = judged(tables, claim)
    assert found["verdict"] == verdict
    first, second = found["measured"].split("]", 1)
    assert first.startswith("nAUC less that of static mixtures, points and mixtures chosen on ")
    assert first.endswith(f" {value:.3f} [{value - 0.05:.3f}, {value + 0.05:.3f}")
    assert "less that of the single model best there: knn" in second
    assert second.endswith(" 0.200 [0.150, 0.250] (p .010).")
    assert "9.000" not in found["measured"]


def test_each_router_and_scenario_of_a_shift_is_named():
    tables = experiment(
        "table4",
        "zero",
        [0.1, -0.1] * 2,
        scenario=["Math", "OCR"] * 2,
        train=nan,
        test=nan,
        router="knn",
        metric=["nauc_honest"] * 2 + ["peak_score_honest"] * 2,
    )
    found = judged(tables, SHIFT)
    assert found["verdict"] == MIXED
    assert "knn on Math 0.100 [0.050, 0.150] (p .010); knn on OCR -0.100 [" in found["measured"]


@pytest.mark.parametrize(("table", "claim", "where"), ELSEWHERE)
def test_what_exceeds_the_best_single_model_alone_is_not_tested(table, claim, where):
    metrics = ["nauc_honest"] * 2 + ["peak_score_honest"] * 2
    row = {"router": "knn", "metric": metrics}
    tables = experiment(table, "best_single", [0.1] * 4, **where, **row)
    assert judged(tables, claim)["verdict"] == UNTESTED


def test_no_scenario_with_two_data_sets_is_no_test():
    row = {name: [] for name in ("scenario", "train", "test", "router", "metric")}
    assert judged(experiment("table4", [], [], [], **row), SHIFT)["verdict"] == UNTESTED


# --- routers of the main table ----------------------------------------------------------------


@pytest.mark.parametrize(("own", "verdict"), [(0.7, HOLDS), (0.6, OPEN), (0.5, FAILS)])
def test_factorised_routers_are_compared_by_the_best_of_each_kind_in_training(own, verdict):
    # On the test split mlp_mf and knn are better than those of their kind that training chose.
    tables = main_table(
        linear_mf=(0.5, own),
        mlp_mf=(0.4, 0.8),
        kmeans=(0.5, 0.6),
        knn=(0.4, 0.9),
        ensemble=(0.9, 0.9),
        **REFERENCES,
    )
    for router in ("mlp_mf", "knn"):
        tables = with_cells(tables, router, "peak_score_honest", training=1.0)
    found = judged(tables, "factorisation")
    assert found["verdict"] == verdict
    assert "nAUC of linear_mf less that of kmeans" in found["measured"]


@pytest.mark.parametrize("missing", ["linear_mf", "kmeans"])
def test_one_kind_of_routers_alone_is_not_compared(missing):
    routers = {"linear_mf": (0.5, 0.5), "kmeans": (0.5, 0.5), "ensemble": (0.5, 0.5)}
    del routers[missing]
    assert judged(main_table(**routers, **REFERENCES), "factorisation")["verdict"] == UNTESTED


@pytest.mark.parametrize(("own", "verdict"), [(0.6, HOLDS), (0.5, OPEN), (0.4, FAILS)])
def test_the_most_accurate_router_in_training_is_compared_with_the_best_model_there(own, verdict):
    # zero's most accurate policy is that model; best_single is the one best on the test split.
    tables = main_table(svm=(0.8, own), knn=(0.7, 0.95), **REFERENCES)
    tables = with_cells(tables, "knn", "nauc_honest", training=1.0)
    found = judged(tables, "exceeds the accuracy")
    assert found["verdict"] == verdict
    assert "Accuracy of svm" in found["measured"]
    interval = f"{own - 0.5:.3f} [{own - 0.52:.3f}, {own - 0.48:.3f}]"
    assert interval in found["measured"]


@pytest.mark.parametrize(
    ("value", "p", "verdict"), [(0.1, SURE, HOLDS), (0.1, UNSURE, OPEN), (-0.1, SURE, FAILS)]
)
@pytest.mark.parametrize(("claim", "metrics"), [(GAIN, ["gain_honest"]), (SAVING, SAVINGS)])
def test_routing_is_judged_against_static_mixtures(claim, metrics, value, p, verdict):
    tables = ALONE
    for metric in metrics:
        tables = with_cells(tables, "knn", metric, value=value, p_value=p)
    assert judged(tables, claim)["verdict"] == verdict


@pytest.mark.parametrize("claim", [GAIN, SAVING])
def test_the_row_that_was_named_beforehand_is_judged_whatever_others_are(claim):
    tables = main_table(ensemble=(0.1, -0.1), knn=(0.2, 0.3), **REFERENCES)
    found = judged(tables, claim)
    assert found["verdict"] == FAILS
    assert "of ensemble, which was named beforehand: " in found["measured"]


@pytest.mark.parametrize("claim", [GAIN, SAVING])
def test_without_that_row_it_is_that_of_the_largest_gain_in_training(claim):
    tables = main_table(svm=(0.2, -0.1), knn=(0.1, 0.3), **REFERENCES)
    found = judged(tables, claim)
    assert found["verdict"] == FAILS
    assert "of svm, the best in training: " in found["measured"]


@pytest.mark.parametrize(
    ("values", "p", "verdict"),
    [
        ((0.3, 0.2, -inf), SURE, MIXED),
        ((0.3, 0.2, -inf), UNSURE, OPEN),
        ((-0.3, -0.2, -inf), SURE, FAILS),
    ],
)
def test_savings_are_judged_at_all_accuracies_together(values, p, verdict):
    tables = ALONE
    for metric, value in zip(SAVINGS, values, strict=True):
        tables = with_cells(tables, "knn", metric, value=value, p_value=SURE)
    found = judged(with_cells(tables, "knn", SAVINGS[-1], p_value=p), SAVING)
    assert found["verdict"] == verdict
    assert f"at 90 % {values[0]:.3f} [" in found["measured"]
    assert "; at 100 % -∞ [" in found["measured"]


# --- about a third of the cost ----------------------------------------------------------------


THIRD = "third of its cost"


@pytest.mark.parametrize(
    ("cost", "accuracy", "verdict"),
    [
        ((0.40, 0.49), (-0.009, 0.02), HOLDS),
        ((0.40, 0.51), (-0.009, 0.02), OPEN),
        ((0.40, 0.49), (-0.011, 0.02), OPEN),
        ((0.49, 0.60), (-0.015, -0.009), OPEN),
        ((0.51, 0.60), (-0.009, 0.02), FAILS),
        ((0.40, 0.49), (-0.020, -0.011), FAILS),
        ((0.51, 0.60), (-0.020, -0.011), FAILS),
    ],
)
def test_both_tolerances_of_a_third_of_the_cost_count_on_both_sides(cost, accuracy, verdict):
    tables = ALONE
    for metric, bounds in (("qnc_honest", cost), ("parity_honest", accuracy)):
        cells = {"value": sum(bounds) / 2} | dict(zip(("low", "high"), bounds, strict=True))
        tables = with_cells(tables, "knn", metric, **cells)
    found = judged(tables, THIRD)
    assert found["verdict"] == verdict
    assert f"[{cost[0]:.3f}, {cost[1]:.3f}] times as much as that model" in found["measured"]
    assert f"[{accuracy[0]:.3f}, {accuracy[1]:.3f}]." in found["measured"]
    assert found["measured"].endswith(
        "About a third is at most 0.5 times, and as accurate at most 0.01 below."
    )


def test_it_is_the_papers_router_that_was_the_cheapest_at_parity_in_training():
    # On the test split mlp is cheaper; ensemble is no router of the paper; linear never got there.
    tables = main_table(
        knn=(0.3, 0.7), mlp=(0.4, 0.1), ensemble=(0.2, 0.1), linear=(inf, inf), **REFERENCES
    )
    found = judged(tables, THIRD)
    assert found["verdict"] == FAILS
    assert found["measured"].startswith("knn, the cheapest of the paper's routers at ")


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(-0.03, -0.011, FAILS), (-0.03, -0.009, OPEN), (-0.01, 0.01, OPEN), (0.01, 0.03, OPEN)],
)
def test_where_none_reaches_parity_in_training_the_most_accurate_one_there_is_judged(
    low, high, verdict
):
    # On the test split mlp is more accurate; ensemble is no router of the paper.
    tables = main_table(knn=(0.8, 0.5), mlp=(0.7, 0.9), ensemble=(0.9, 0.9), **REFERENCES)
    for router in ("knn", "mlp"):
        tables = with_cells(tables, router, "qnc_honest", training=inf, value=inf)
    pairs = tables["differences"]
    pairs.loc[(pairs["router"] == "knn") & (pairs["other"] == "zero"), ["low", "high"]] = low, high
    found = judged(tables, THIRD)
    assert found["verdict"] == verdict
    assert found["measured"].startswith("None of the paper's routers reached ")
    assert "most accurate one in training, knn, at the point chosen there" in found["measured"]
    assert f"[{low:.3f}, {high:.3f}]. About a third" in found["measured"]


def test_without_the_papers_routers_a_third_of_the_cost_is_not_tested():
    tables = main_table(ensemble=(0.3, 0.3), **REFERENCES)
    assert judged(tables, THIRD)["verdict"] == UNTESTED


# --- VL-RouterBench ---------------------------------------------------------------------------


def vl_table(routers, oracle=True):
    """Return VL's table of {name: (in training, less zero, gap beyond a clear one, p of both)}."""
    rows = []
    for router, (crossfit, ahead, gap, p) in routers.items():
        rows.append((router, "cross-fitted", "rank_score", nan, crossfit, nan))
        rows.append((router, "training", "rank_score", nan, -crossfit, nan))
        rows.append((router, "training", "rank_score", "zero", ahead, p))
        rows.append((router, "training", "rank_score", "best_single", -9 * ahead, SURE))
        if oracle:
            rows.append((router, "training", "rank_score", "oracle", -gap - 1, SURE))
            rows.append((router, "training", "clear_gap", "oracle", gap, p))
    rows += [(name, "cross-fitted", "rank_score", nan, 99, nan) for name in ("oracle",) if oracle]
    columns = ["router", "point", "metric", "minus", "value", "p_value"]
    table = pd.DataFrame(rows, columns=columns)
    return ALONE | {"vl_main": table.assign(low=table["value"] - 2, high=table["value"] + 2)}


BALANCE, CLEAR_GAP = "PRkNN", "clear gap"


@pytest.mark.parametrize(
    ("kmeans", "prknn", "verdict"),
    [
        ((9, SURE), (8, SURE), HOLDS),
        ((9, SURE), (8, UNSURE), OPEN),
        ((9, SURE), (-8, SURE), MIXED),
        ((-9, SURE), (-8, SURE), FAILS),
    ],
)
def test_balance_is_judged_by_the_rank_score_against_static_mixtures(kmeans, prknn, verdict):
    ours = {"kmeans_vl": kmeans, "prknn": prknn, "ovr": (-5, SURE)}
    tables = vl_table({name: (50, ahead, 1, p) for name, (ahead, p) in ours.items()})
    found = judged(tables, BALANCE)
    assert found["verdict"] == verdict
    assert f"kmeans_vl {kmeans[0]:.3f} [" in found["measured"]
    assert "ovr" not in found["measured"]


@pytest.mark.parametrize(
    ("gap", "p", "verdict"), [(27, SURE, HOLDS), (27, UNSURE, OPEN), (-3, SURE, FAILS)]
)
def test_the_gap_to_the_oracle_is_that_of_the_best_router_in_training(gap, p, verdict):
    # On the test split prknn is better, and its gap smaller.
    tables = vl_table({"ovr": (60, 1, gap, p), "prknn": (50, 1, -50, SURE)})
    found = judged(tables, CLEAR_GAP)
    assert found["verdict"] == verdict
    behind = f"less the oracle's: {-gap - 1:.3f} [{-gap - 3:.3f}, {-gap + 1:.3f}]"
    assert f"Rank score of ovr, the best in training, {behind}." in found["measured"]
    assert f"by so much it is larger: {gap:.3f} [" in found["measured"]


def test_what_a_clear_gap_is_stands_beside_it():
    found = judged(vl_table({"ovr": (60, 1, 27, SURE)}), CLEAR_GAP)
    assert "clear beyond a tenth of the one that static mixtures leave" in found["measured"]
    assert CLEAR == 1 / 10


def test_of_routers_without_a_value_in_training_or_a_gap_none_is_the_best():
    tables = vl_table({"ovr": (nan, 1, 27, SURE)})
    assert judged(tables, CLEAR_GAP)["verdict"] == UNTESTED
    tables = vl_table({"ovr": (60, 1, 27, SURE), "prknn": (50, 1, -3, SURE)})
    table = tables["vl_main"]
    lacking = (table["router"] == "ovr") & (table["minus"] == "oracle")
    tables["vl_main"] = table[~lacking]
    assert judged(tables, CLEAR_GAP)["verdict"] == FAILS


def test_what_was_not_measured_is_not_tested():
    without_either = vl_table({"ovr": (60, 1, 27, SURE)})
    assert judged(without_either, BALANCE)["verdict"] == UNTESTED
    without_oracle = vl_table({"prknn": (60, 1, 27, SURE)}, oracle=False)
    assert judged(without_oracle, BALANCE)["verdict"] == HOLDS
    assert judged(without_oracle, CLEAR_GAP)["verdict"] == UNTESTED


@pytest.mark.parametrize("names", [["best_single", "zero"], list(REFERENCES)])
def test_without_any_router_nothing_is_tested(names):
    tables = main_table(**{name: REFERENCES[name] for name in names})
    tables["vl_main"] = vl_table({})["vl_main"]
    assert {found["verdict"] for found in conclude(tables)} == {UNTESTED}
