"""A claim is judged by the interval of its difference, and only where a table tells."""

import numpy as np
import pandas as pd
import pytest

from mmroute.decision.decide import ALL_BUDGETS
from mmroute.evaluation.metrics import SAVED_AT
from mmroute.report.conclusions import CLAIMS, FAILS, HOLDS, OPEN, UNTESTED, conclude, verdict_of


def main_table(**values):
    """Return a main table and differences of routers whose metrics are all alike."""
    rows = [
        {"dataset": "full", "router": router, "metric": metric, "value": value}
        | {"low": value - 0.01, "high": value + 0.01}
        for router, value in values.items()
        for metric in ("nauc", "peak_score", "peak_score_honest", "qnc")
    ]
    names = list(values)
    differences = [
        {"metric": metric, "router": first, "other": second}
        | dict(
            zip(("difference", "low", "high"), spread(values[first] - values[second]), strict=True)
        )
        for metric in ("nauc", "peak_score")
        for index, first in enumerate(names)
        for second in names[index + 1 :]
    ]
    decision = pd.DataFrame({"asked": ["budget", ALL_BUDGETS], "router": ["", "ensemble"]})
    tables = {"table2": pd.DataFrame(rows), "differences": pd.DataFrame(differences)}
    return tables | {"decision": decision}


def spread(value):
    return value, value - 0.02, value + 0.02


def judged(tables, text):
    return next(found for found in conclude(tables) if text in found["claim"])


def differences(name, minus, **columns):
    """Return an experiment's table with one difference of 0.1, 0 or -0.1 a row."""
    frame = pd.DataFrame(columns).assign(minus=minus)
    frame["low"], frame["high"] = frame["value"] - 0.05, frame["value"] + 0.05
    return main_table(knn=0.5, best_single=0.5) | {name: frame}


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(0.1, 0.2, HOLDS), (-0.2, -0.1, FAILS), (-0.1, 0.1, OPEN)]
)
def test_the_interval_decides(low, high, verdict):
    assert verdict_of(low, high) == verdict


def test_without_its_table_a_claim_is_not_tested():
    found = conclude(main_table(knn=0.5, best_single=0.5))
    assert len(found) == len(CLAIMS)
    of_experiments = [
        own["verdict"]
        for own, claim in zip(found, CLAIMS, strict=True)
        if claim.table not in ("table2", "differences")
    ]
    assert set(of_experiments) == {UNTESTED}


@pytest.mark.parametrize(("value", "verdict"), [(0.1, HOLDS), (0.0, OPEN), (-0.1, FAILS)])
@pytest.mark.parametrize("other", ["text", "image"])
def test_multimodal_features_are_judged_against_each_modality(other, value, verdict):
    tables = differences(
        "fig2", other, router="kmeans", features=["adaptive"], metric="nauc", value=value
    )
    assert judged(tables, f"the {other} alone")["verdict"] == verdict


def test_rows_that_disagree_leave_a_claim_open_and_say_so():
    tables = differences(
        "table3", "mean", router=["kmeans", "linear_mf"], metric="nauc", value=[0.1, -0.1]
    )
    found = judged(tables, "Adaptive")
    assert found["verdict"] == OPEN
    assert "do not agree" in found["measured"]


@pytest.mark.parametrize(("own", "verdict"), [(0.6, HOLDS), (0.51, OPEN), (0.4, FAILS)])
def test_factorised_routers_are_compared_with_the_best_other(own, verdict):
    tables = main_table(knn=0.45, kmeans=0.5, linear_mf=own, mlp_mf=0.3, best_single=0.5)
    assert judged(tables, "factorisation")["verdict"] == verdict


@pytest.mark.parametrize(("own", "verdict"), [(0.6, HOLDS), (0.5, OPEN), (0.4, FAILS)])
def test_the_best_router_is_compared_with_the_best_single_model(own, verdict):
    tables = main_table(best_single=0.5, oracle=0.99, knn=own, random=0.1)
    assert judged(tables, "exceeds the accuracy")["verdict"] == verdict


def against_zero(routers, p_value=0.002):
    """Return a main table with gains and savings of some routers, {name: (gain, saving)}."""
    tables = main_table(best_single=0.5, zero=0.55, **dict.fromkeys(routers, 0.6))
    rows = [
        {"dataset": "full", "router": router, "metric": metric, "value": value}
        | {"low": value - 0.02, "high": value + 0.02, "p_value": p_value}
        for router, (gain, saving) in routers.items()
        for metric, value in [("gain_honest", gain)]
        + [(f"saving_{percent}", saving) for percent in SAVED_AT]
    ]
    return tables | {"table2": pd.concat([tables["table2"], pd.DataFrame(rows)])}


@pytest.mark.parametrize(("value", "verdict"), [(0.1, HOLDS), (0.01, OPEN), (-0.1, FAILS)])
def test_routing_is_judged_against_static_mixtures(value, verdict):
    tables = against_zero({"ensemble": (value, value)})
    for claim in ("more accurate at equal cost", "costs less at equal accuracy"):
        assert judged(tables, claim)["verdict"] == verdict


def test_the_row_that_was_named_beforehand_is_judged_and_not_the_luckiest():
    tables = against_zero({"ensemble": (-0.1, 0.0), "knn": (0.2, 0.3)})
    found = judged(tables, "more accurate at equal cost")
    assert found["verdict"] == FAILS
    assert "ensemble" in found["measured"]


@pytest.mark.parametrize(("p_value", "verdict"), [(0.002, HOLDS), (0.02, OPEN)])
def test_the_best_of_several_rows_has_to_show_so_much_more(p_value, verdict):
    routers = {"knn": (0.2, 0.3), "svm": (0.1, 0.3), "mlp": (0.1, 0.3)}
    found = judged(against_zero(routers, p_value), "more accurate at equal cost")
    assert found["verdict"] == verdict
    assert "knn, the best of 3 rows" in found["measured"]


def test_static_mixtures_stand_beside_the_papers_comparisons():
    tables = main_table(best_single=0.5, zero=0.55, knn=0.6)
    for claim in ("exceeds the accuracy", "third of its cost"):
        assert "(zero) have 0.550 [0.540, 0.560]" in judged(tables, claim)["measured"]


@pytest.mark.parametrize(
    ("value", "low", "high", "verdict"),
    [(0.2, 0.1, 0.3, HOLDS), (0.9, 0.5, np.inf, FAILS), (0.3, 0.2, 0.4, OPEN)],
)
def test_a_third_of_the_cost_is_judged_by_qnc(value, low, high, verdict):
    tables = main_table(knn=0.5, best_single=0.5)
    own = (tables["table2"]["metric"] == "qnc") & (tables["table2"]["router"] == "knn")
    tables["table2"].loc[own, ["value", "low", "high"]] = value, low, high
    assert judged(tables, "third of its cost")["verdict"] == verdict


@pytest.mark.parametrize(("value", "verdict"), [(0.1, HOLDS), (0.0, OPEN), (-0.1, FAILS)])
def test_shift_and_transfer_are_judged_against_static_mixtures(value, verdict):
    of_pairs = {"scenario": "Math", "train": ["", "A", ""], "test": ["", "B", ""]}
    for table, text, where in (
        ("table4", "another data set", of_pairs),
        ("table5", "text-only", {"dataset": ["full", "ARC", "full"]}),
    ):
        found = judged(
            differences(
                table,
                ["zero", "zero", "best_single"],
                **where,
                router="knn",
                metric=["nauc", "nauc", "peak_score"],
                value=[value, 9.0, 0.2],
            ),
            text,
        )
        assert found["verdict"] == verdict
        assert f"{value:.3f} [" in found["measured"]
        assert found["measured"].endswith("0.200 [0.150, 0.250].")


def test_what_exceeds_the_best_single_model_alone_is_not_tested():
    tables = differences(
        "table5", "best_single", dataset=["full"], router="knn", metric="peak_score", value=0.1
    )
    assert judged(tables, "text-only")["verdict"] == UNTESTED


def test_no_scenario_with_two_data_sets_is_no_test():
    tables = main_table(knn=0.5, best_single=0.5) | {"table4": pd.DataFrame({"note": ["none"]})}
    assert judged(tables, "another data set")["verdict"] == UNTESTED


def rank_scores(**scores):
    """Return VL's table with rank scores of intervals 4 wide."""
    table = pd.DataFrame({"router": scores.keys(), "value": scores.values(), "point": "training"})
    table = table.assign(
        minus="", metric="rank_score", low=table["value"] - 2, high=table["value"] + 2
    )
    return main_table(knn=0.5, best_single=0.5) | {"vl_main": table}


@pytest.mark.parametrize(
    ("kmeans", "prknn", "verdict"),
    [(70.0, 69.0, HOLDS), (59.0, 58.0, OPEN), (70.0, 10.0, OPEN), (10.0, 9.0, FAILS)],
)
def test_vl_is_judged_by_the_rank_score_chosen_in_training(kmeans, prknn, verdict):
    tables = rank_scores(ovr=60.0, kmeans_vl=kmeans, prknn=prknn, oracle=90.0, strongest=80.0)
    assert judged(tables, "PRkNN")["verdict"] == verdict
    assert judged(tables, "oracle")["verdict"] == HOLDS


def test_what_was_not_measured_is_not_tested():
    without_either = rank_scores(ovr=60.0, oracle=90.0)
    assert judged(without_either, "PRkNN")["verdict"] == UNTESTED
    assert judged(without_either, "oracle")["verdict"] == HOLDS


@pytest.mark.parametrize("references", [{"best_single": 0.5}, {"best_single": 0.5, "oracle": 0.9}])
def test_without_any_router_nothing_is_tested(references):
    tables = main_table(**references) | {"vl_main": rank_scores(**references)["vl_main"]}
    assert {found["verdict"] for found in conclude(tables)} == {UNTESTED}
