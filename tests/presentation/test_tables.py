"""Tables: aggregation resample by resample, ranking, differences and the three formats."""

import csv
import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri

from mmroute.presentation.tables import (
    add_macro_averages,
    difference_of,
    differences,
    format_interval,
    format_p,
    format_share,
    format_value,
    frame_to_latex,
    frame_to_markdown,
    neutral_cell,
    prominent,
    published_rows,
    read_csv,
    read_replicates,
    summarise,
    to_latex,
    to_markdown,
    wide,
    write_csv,
)
from mmroute.storage import write_frame

SCENARIOS = {"A": "Text", "B": "Text", "C": "Maths"}
RANKS = np.arange(1, 100)
NOISE = (RANKS - 50) / 1024
"""Of 99 resamples: the third smallest is -BOUND, the third largest BOUND, the median 0."""
BOUND = 47 / 1024
CLOSE = 41 / 2048
"""Of 99 resamples, NOISE - CLOSE has 70 below zero. All of these are exact in binary."""


def replicates_of(value, resamples=NOISE):
    """A value whose resamples lie evenly around it, or the given ones."""
    resamples = value + NOISE if resamples is NOISE else resamples
    return np.array([value, *resamples], dtype=float)


def measured(values, metric="nauc", point=""):
    """Stack replicates given as {(router, salt, dataset): replicates or value}."""
    rows = [
        (router, salt, "full" if dataset == "full" else "dataset", dataset, point, metric, own)
        for (router, salt, dataset), given in values.items()
        for own in [given if isinstance(given, np.ndarray) else replicates_of(given)]
    ]
    columns = ["router", "salt", "level", "dataset", "point", "metric", "replicates"]
    return pd.DataFrame(rows, columns=columns)


def on_full(values, metric="nauc"):
    return measured({(router, "0", "full"): own for router, own in values.items()}, metric)


def by_router(replicates):
    return summarise(replicates).set_index("router")


# --- macro averages ---------------------------------------------------------------------------


def test_macro_averages_weigh_data_sets_then_scenarios_equally():
    table = add_macro_averages(
        measured(
            {
                ("knn", "0", "A"): np.array([0.2, 0.1, 0.3]),
                ("knn", "0", "B"): np.array([0.4, 0.5, 0.1]),
                ("knn", "0", "C"): np.array([0.9, 0.7, 0.8]),
                ("knn", "0", "full"): np.array([0.5, 0.4, 0.6]),
            }
        ),
        SCENARIOS,
    )
    values = table.set_index("dataset")["replicates"]
    np.testing.assert_allclose(values["Text (macro)"], [0.3, 0.3, 0.2])
    np.testing.assert_allclose(values["Maths (macro)"], [0.9, 0.7, 0.8])
    np.testing.assert_allclose(values["macro"], [0.6, 0.5, 0.5])
    np.testing.assert_array_equal(values["full"], [0.5, 0.4, 0.6])
    np.testing.assert_array_equal(values["A"], [0.2, 0.1, 0.3])


def test_macro_averages_stand_between_the_data_sets_and_the_pooled_set():
    table = add_macro_averages(
        measured({("knn", "0", name): 0.5 for name in ("full", "A", "B", "C")}), SCENARIOS
    )
    assert list(zip(table["level"], table["dataset"], strict=True)) == [
        ("dataset", "A"),
        ("dataset", "B"),
        ("dataset", "C"),
        ("scenario", "Text (macro)"),
        ("scenario", "Maths (macro)"),
        ("macro", "macro"),
        ("full", "full"),
    ]


def test_a_macro_average_of_what_may_never_be_reached_is_the_share_of_data_sets_that_do():
    table = add_macro_averages(
        measured(
            {
                ("knn", "0", "A"): np.array([0.5, math.inf, 0.5]),
                ("knn", "0", "B"): np.array([math.inf, 0.5, math.nan]),
                ("knn", "0", "full"): np.array([0.9, math.inf, 0.5]),
            },
            "qnc",
        ),
        SCENARIOS,
    )
    values = table.set_index("dataset")["replicates"]
    np.testing.assert_allclose(values["macro"], [0.5, 0.5, math.nan])
    np.testing.assert_allclose(values["A"], [0.5, math.inf, 0.5])
    np.testing.assert_allclose(values["full"], [0.9, math.inf, 0.5])


def test_where_more_data_sets_reach_it_a_router_is_better_although_less_qnc_is():
    values = {
        (router, "0", name): replicates_of(own, [own] * 99)
        for router, at in (("one", (0.9, math.inf)), ("both", (1.5, 2.0)))
        for name, own in zip("AC", at, strict=True)
    }
    table = summarise(add_macro_averages(measured(values, "qnc"), SCENARIOS))
    macro = table[table["dataset"] == "macro"].set_index("router")
    assert macro["value"].to_dict() == {"one": 0.5, "both": 1}
    assert macro.loc["both", "p_best"] == 1
    assert macro.loc["one", "p_best"] < 0.05
    assert (
        "| one | 0.900 [0.900, 0.900] | ∞ [∞, ∞] | reached on 100% [100%, 100%] | "
        "reached on 0% [0%, 0%] | reached on 50% [50%, 50%] |"
    ) in to_markdown(table, "bench")


def test_a_share_of_data_sets_is_no_comparison_and_has_no_p_value():
    values = {("knn", "0", "A"): 0.25, ("knn", "0", "full"): 0.25}
    table = summarise(add_macro_averages(measured(values, "saving_90"), SCENARIOS))
    tested = table.set_index("dataset")["p_value"].notna()
    assert tested.to_dict() == {"A": True, "Text (macro)": False, "macro": False, "full": True}


def test_macro_averages_do_not_mix_routers_salts_or_metrics():
    values = {("knn", "0", "A"): 0.1, ("knn", "1", "A"): 0.2, ("svm", "0", "A"): 0.3}
    both = pd.concat([measured(values), measured({("knn", "0", "A"): 0.4}, "qnc")])
    table = add_macro_averages(both, SCENARIOS)
    macro = table[table["dataset"] == "macro"].set_index(["router", "salt", "metric"])
    assert {keys: own[0] for keys, own in macro["replicates"].items()} == {
        ("knn", "0", "nauc"): 0.1,
        ("knn", "1", "nauc"): 0.2,
        ("svm", "0", "nauc"): 0.3,
        ("knn", "0", "qnc"): 1.0,
    }


# --- summarise --------------------------------------------------------------------------------


def test_the_value_is_the_samples_and_the_interval_leaves_out_a_fortieth_on_either_side():
    # Half of the 99 resamples are below the value, so there is no bias to correct:
    # 0.025 * 99 = 2.475 and 0.975 * 99 = 96.525, hence the 3rd and the 97th.
    row = by_router(on_full({"knn": 0.5})).loc["knn"]
    assert row["value"] == 0.5
    assert row["low"] == 0.5 - BOUND
    assert row["high"] == 0.5 + BOUND


def test_the_table_has_one_row_per_router_data_set_point_and_metric():
    both = pd.concat(
        [
            measured({("knn", "0", "A"): 0.5, ("knn", "0", "full"): 0.5}),
            measured({("knn", "0", "full"): 0.7}, "accuracy", "peak"),
        ]
    )
    table = summarise(both)
    assert table[["level", "dataset", "router", "point", "metric", "value"]].values.tolist() == [
        ["dataset", "A", "knn", "", "nauc", 0.5],
        ["full", "full", "knn", "", "nauc", 0.5],
        ["full", "full", "knn", "peak", "accuracy", 0.7],
    ]


def test_infinite_and_undefined_resamples_are_counted_apart():
    resamples = [math.inf, math.inf, math.inf, math.nan, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    row = by_router(on_full({"knn": replicates_of(0.6, resamples)}, "qnc")).loc["knn"]
    assert row["infinite"] == 0.3
    assert row["undefined"] == 0.1
    assert row["value"] == 0.6
    assert row["high"] == math.inf


def test_the_samples_own_value_is_no_resample():
    row = by_router(on_full({"knn": replicates_of(math.inf, [0.5, 0.5])}, "qnc")).loc["knn"]
    assert (row["value"], row["infinite"]) == (math.inf, 0)
    undefined = by_router(on_full({"knn": replicates_of(math.nan, [0.5, 0.5])})).loc["knn"]
    assert undefined["undefined"] == 0
    assert math.isnan(undefined["low"])
    assert math.isnan(undefined["high"])


def test_the_best_router_of_a_column_is_at_one_and_references_stand_in_no_ranking():
    table = by_router(on_full({"best_single": 0.875, "weak": 0.25, "knn": 0.625, "oracle": 0.9375}))
    assert table.loc["knn", "p_best"] == 1
    # All 99 differences are -0.375: the smallest p-value that 99 resamples can show.
    assert table.loc["weak", "p_best"] == pytest.approx(1 / 100)
    assert np.isnan(table.loc[["best_single", "oracle"], "p_best"]).all()


def test_the_comparison_with_the_best_is_paired():
    # The centred differences are NOISE, of which 29 of 99 are as large as CLOSE.
    table = by_router(
        on_full({"best": replicates_of(0.5, [0.5] * 99), "close": replicates_of(0.5 - CLOSE)})
    )
    assert table.loc["close", "p_best"] == pytest.approx((1 + 29) / 100)
    together = by_router(on_full({"best": 0.5, "close": 0.5 - CLOSE}))
    assert together.loc["close", "p_best"] == pytest.approx(1 / 100)


def test_of_qnc_the_lowest_is_best_and_an_infinite_one_never():
    table = by_router(
        on_full(
            {"dear": 0.75, "never": replicates_of(math.inf, [math.inf] * 99), "knn": 0.375}, "qnc"
        )
    )
    assert table["p_best"].idxmax() == "knn"
    assert table.loc["knn", "p_best"] == 1
    assert table.loc["dear", "p_best"] < 0.05
    assert table.loc["never", "p_best"] < 0.05


def test_routers_with_the_same_replicates_rank_alike():
    sometimes = replicates_of(math.inf, [math.inf] * 60 + [0.5] * 39)
    table = by_router(on_full({"one": sometimes, "two": sometimes.copy()}, "qnc"))
    np.testing.assert_equal(table.loc["one", "p_best"], table.loc["two", "p_best"])
    tied = by_router(on_full({"one": 0.5, "two": 0.5}))
    assert tied["p_best"].tolist() == [1, 1]


def test_a_router_without_a_value_is_not_the_best():
    undefined = replicates_of(math.nan, [math.nan] * 99)
    table = by_router(on_full({"undefined": undefined, "knn": 0.4}))
    assert table.loc["knn", "p_best"] == 1
    assert math.isnan(table.loc["undefined", "p_best"])
    assert table.loc["undefined", "undefined"] == 1


def test_each_column_has_its_own_best_router():
    table = summarise(
        measured(
            {
                ("knn", "0", "A"): 0.6,
                ("svm", "0", "A"): 0.3,
                ("knn", "0", "B"): 0.3,
                ("svm", "0", "B"): 0.6,
            }
        )
    )
    best = table[table["p_best"] == 1]
    assert dict(zip(best["dataset"], best["router"], strict=True)) == {"A": "knn", "B": "svm"}


def test_salts_are_put_together_resample_by_resample_and_their_spread_reported():
    table = by_router(
        measured(
            {
                ("knn", "0", "A"): replicates_of(0.5, 0.5 + 4 * NOISE),
                ("svm", "0", "A"): 0.25,
                ("knn", "1", "A"): replicates_of(0.625, 0.625 - 4 * NOISE),
                ("svm", "1", "A"): 0.25,
            }
        )
    )
    knn, svm = table.loc["knn"], table.loc["svm"]
    # The resamples of the two cancel, and hold all that the two lie apart.
    assert knn["value"] == knn["low"] == knn["high"] == 0.5625
    assert knn["salt_sd"] == pytest.approx(0.0625 * 2**0.5)
    assert knn["salts"] == 2
    assert knn["p_best"] == 1
    assert (svm["low"], svm["high"]) == (0.25 - BOUND, 0.25 + BOUND)
    assert svm["p_best"] < 0.05


def test_an_infinite_salt_makes_the_mean_infinite_and_leaves_no_spread():
    never = replicates_of(math.inf, [math.inf] * 3 + [1.0])
    row = by_router(
        measured({("knn", "0", "A"): never, ("knn", "1", "A"): replicates_of(0.5, [0.5] * 4)})
    ).loc["knn"]
    assert row["value"] == math.inf
    assert row["infinite"] == pytest.approx(0.75)
    assert math.isnan(row["salt_sd"])
    assert row["salts"] == 2


def test_a_single_salt_has_no_spread():
    row = by_router(on_full({"knn": 0.5})).loc["knn"]
    assert math.isnan(row["salt_sd"])
    assert row["salts"] == 1


def test_salts_with_different_winners_still_have_one_best_router():
    # Means over the salts: knn 0.6, svm 0.5. The column shows means; knn is its best.
    table = by_router(
        measured(
            {
                ("knn", "0", "A"): 0.8,
                ("svm", "0", "A"): 0.5,
                ("knn", "1", "A"): 0.4,
                ("svm", "1", "A"): 0.5,
            }
        )
    )
    assert table.loc["knn", "value"] > table.loc["svm", "value"]
    assert table.loc["knn", "p_best"] == 1
    assert table.loc["svm", "p_best"] < 1


def test_a_comparison_with_zero_has_a_p_value_and_zero_itself_only_a_value():
    table = summarise(
        pd.concat(
            [
                on_full({"zero": np.zeros(1), "knn": 0.5}, metric="gain"),
                on_full({"zero": 0.4, "knn": 0.9}),
            ]
        )
    ).set_index(["metric", "router"])
    assert table["p_value"].notna().tolist() == [False, True, False, False]
    assert table.loc[("gain", "knn"), "p_value"] == pytest.approx(2 / 100)
    zero = table.loc[("gain", "zero")]
    assert zero["value"] == zero["infinite"] == zero["undefined"] == 0
    assert np.isnan([zero["low"], zero["high"], zero["p_best"]]).all()


def test_replicates_are_read_with_their_router_and_salt(tmp_path):
    files = []
    for router, salt in (("knn", "0"), ("svm", "0"), ("knn", "1")):
        path = tmp_path / f"{router}{salt}.parquet"
        write_frame(path, on_full({"": 0.5}).drop(columns=["router", "salt"]))
        files.append(((router, salt), str(path)))
    references = tmp_path / "references.parquet"
    write_frame(references, on_full({"best_single": 0.3, "zero": 0.4}).drop(columns="salt"))
    table = read_replicates([("0", str(references))], files)
    assert table[["router", "salt"]].values.tolist() == [
        ["best_single", "0"],
        ["zero", "0"],
        ["knn", "0"],
        ["svm", "0"],
        ["knn", "1"],
    ]
    np.testing.assert_array_equal(table["replicates"].iloc[2], replicates_of(0.5))


def test_what_a_router_was_in_training_stands_beside_its_value():
    both = pd.concat(
        [
            on_full({"knn": 0.5}).assign(training=0.625),
            on_full({"knn": 0.5}).assign(training=0.875, salt="1"),
        ]
    )
    assert summarise(both)["training"].tolist() == [0.75]
    assert summarise(on_full({"knn": 0.5}))["training"].isna().all()


# --- differences ------------------------------------------------------------------------------


def test_every_pair_stands_once_the_best_single_model_included_and_the_oracle_not():
    table = differences(
        on_full({"best_single": 0.5, "knn": 0.6, "svm": 0.3, "oracle": 0.9}), ["nauc"]
    )
    pairs = {frozenset(pair) for pair in zip(table["router"], table["other"], strict=True)}
    assert len(table) == 3
    assert pairs == {
        frozenset({"best_single", "knn"}),
        frozenset({"best_single", "svm"}),
        frozenset({"knn", "svm"}),
    }


def test_a_difference_is_the_router_minus_the_other_over_the_same_resamples():
    table = differences(on_full({"best_single": 0.5, "knn": 0.625}), ["nauc"])
    (row,) = table.to_dict("records")
    sign = 1 if row["router"] == "knn" else -1
    assert {row["router"], row["other"]} == {"best_single", "knn"}
    # The resamples move together: each alone has an interval of +-BOUND, the difference none.
    assert row["difference"] == row["low"] == row["high"] == sign * 0.125
    assert row["p_value"] == pytest.approx(2 / 100)


def test_routers_are_compared_against_the_best_single_model_and_not_it_against_them():
    table = differences(on_full({"best_single": 0.5, "knn": 0.6, "svm": 0.7}), ["nauc"])
    assert "best_single" not in set(table["router"])


def test_the_interval_of_a_difference_holds_it_and_zero_if_it_is_none():
    table = differences(
        on_full({"one": replicates_of(0.5, [0.5] * 99), "two": replicates_of(0.5 + CLOSE)}),
        ["nauc"],
    )
    (row,) = table.to_dict("records")
    assert abs(row["difference"]) == CLOSE
    # Standard errors of what lies evenly reach further than its percentiles.
    assert row["high"] - row["low"] == pytest.approx(2 * ndtri(0.975) * NOISE.std())
    assert row["low"] < 0 < row["high"]
    assert row["low"] < row["difference"] < row["high"]
    assert row["p_value"] == pytest.approx(58 / 99)


def test_salts_of_opposite_signs_are_no_difference():
    values = {(router, salt, "full"): 0.5 for router in ("one", "two") for salt in "01"}
    values |= {("two", "0", "full"): 0.75, ("two", "1", "full"): 0.25}
    (row,) = differences(measured(values), ["nauc"]).to_dict("records")
    assert row["difference"] == 0
    assert row["p_value"] == 1
    assert row["low"] < 0 < row["high"]


def test_no_difference_has_a_p_value_of_one():
    (row,) = differences(on_full({"one": 0.5, "two": 0.5}), ["nauc"]).to_dict("records")
    assert (row["difference"], row["low"], row["high"], row["p_value"]) == (0, 0, 0, 1)


@pytest.mark.parametrize("direction", [0, 1])
def test_routers_that_differ_by_rounding_are_no_different(direction):
    # The same choices, whose means were summed in another order.
    own = replicates_of(0.5)
    both = on_full({"one": own, "two": np.nextafter(own, direction)})
    (row,) = differences(both, ["nauc"]).to_dict("records")
    assert row["p_value"] == 1
    assert by_router(both)["p_best"].tolist() == [1, 1]


def test_rounding_does_not_count_for_a_bias():
    # Every difference is a quarter, up to the last digit: none lies above or below the value.
    above, below = np.nextafter(0.75, 1), np.nextafter(0.75, 0)
    one = replicates_of(0.75, [above] * 70 + [below] * 29)
    both = on_full({"one": one, "two": replicates_of(0.5, [0.5] * 99)})
    (row,) = differences(both, ["nauc"]).to_dict("records")
    assert row["p_value"] == pytest.approx(2 / 100)


def test_only_whole_curves_on_the_pooled_set_in_the_metrics_asked_for_are_compared():
    values = {(router, "0", "A"): 0.5 for router in ("one", "two")}
    everything = pd.concat(
        [
            on_full({"one": 0.5, "two": 0.6}),
            on_full({"one": 0.5, "two": 0.6}, "aiq"),
            measured(values),
            measured(
                {(router, "0", "full"): 0.5 for router in ("one", "two")}, "nauc", point="peak"
            ),
        ]
    )
    table = differences(everything, ["nauc"])
    assert table["metric"].tolist() == ["nauc"]
    assert abs(table["difference"].item()) == pytest.approx(0.1)


def test_differences_are_means_over_the_salts():
    table = differences(
        measured(
            {
                ("one", "0", "full"): 0.5,
                ("two", "0", "full"): 0.625,
                ("one", "1", "full"): 0.5,
                ("two", "1", "full"): 0.5,
            }
        ),
        ["nauc"],
    )
    (row,) = table.to_dict("records")
    assert abs(row["difference"]) == 0.0625
    assert row["p_value"] > 0.05


@pytest.mark.parametrize(
    ("router", "other", "value", "low", "high"),
    [("knn", "svm", 0.125, -0.25, 0.5), ("svm", "knn", -0.125, -0.5, 0.25)],
)
def test_a_difference_is_found_whichever_way_round_it_stands(router, other, value, low, high):
    columns = ["metric", "router", "other", "difference", "low", "high", "p_value"]
    table = pd.DataFrame(
        [
            ("peak_score", "knn", "svm", 9.0, 9.0, 9.0, 1.0),
            ("nauc", "knn", "mlp", 9.0, 9.0, 9.0, 1.0),
            ("nauc", "knn", "svm", 0.125, -0.25, 0.5, 0.04),
        ],
        columns=columns,
    )
    found = difference_of(table, "nauc", router, other)
    assert found.to_dict() == {"value": value, "low": low, "high": high, "p_value": 0.04}


def test_resamples_without_a_difference_are_counted():
    resamples = [math.nan, 0.5, 0.5, 0.5]
    own = {name: replicates_of(0.5, resamples) for name in ("one", "two")}
    (row,) = differences(on_full(own, "qnc"), ["qnc"]).to_dict("records")
    assert row["undefined"] == 0.25
    assert row["difference"] == 0


def test_references_alone_leave_an_empty_table_with_its_columns():
    table = differences(on_full({"best_single": 0.5, "oracle": 0.9}), ["nauc"])
    assert table.empty
    assert list(table.columns) == [
        "metric",
        "router",
        "other",
        "difference",
        "low",
        "high",
        "p_value",
        "undefined",
    ]


def test_nothing_measured_at_a_point_is_an_empty_table_with_its_columns():
    whole = on_full({"best_single": 0.5})
    table = summarise(whole[whole["point"] != ""])
    assert table.empty
    assert list(table.columns) == list(summarise(whole).columns)


@pytest.mark.parametrize(
    ("metric", "best"),
    [("accuracy", "dear"), ("cost_usd", "cheap"), ("brier", "cheap"), ("rci", "cheap")],
)
def test_the_best_router_at_a_point_is_that_of_the_better_value(metric, best):
    table = by_router(on_full({"cheap": 0.1, "dear": 0.9}, metric))
    assert table.index[table["p_best"] == 1].tolist() == [best]


def test_shares_of_the_traffic_are_not_ranked():
    table = by_router(on_full({"one": 0.1, "other": 0.9}, "traffic gpt"))
    assert table["p_best"].isna().all()


# --- formats ----------------------------------------------------------------------------------

HOSTILE = "=cmd|'/C calc'!A1 <b>x</b> [a](b) *s* `c` _$x$%&#{}^~\\end"


def hostile_table(name=HOSTILE):
    return summarise(
        measured({("knn", "0", name): 0.25, ("knn", "0", "full"): replicates_of(0.5, [0.5])})
    )


def header(text):
    """Return the line that names the columns."""
    return next(line for line in text.splitlines() if "router" in line)


def assert_inert_in_markdown(text):
    assert not set(re.sub(r"\\.", "", text)) & set("\\`*_[]<>|")


def test_a_hostile_name_opens_nothing_in_markdown():
    text = to_markdown(hostile_table(), HOSTILE)
    assert_inert_in_markdown(text.splitlines()[0].removeprefix("# "))
    cells = re.split(r"(?<!\\)\|", header(text))
    assert len(cells) == 5
    assert_inert_in_markdown(cells[2])


@pytest.mark.parametrize("character", ["$", "~", "&"])
def test_formulas_strikes_and_entities_are_escaped_in_markdown(character):
    name = f"{character * 2}lt;x{character * 2}"
    text = to_markdown(hostile_table(name), name)
    for line in (text.splitlines()[0], header(text)):
        assert line.count(character) == line.count("\\" + character) == 4


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_a_line_end_in_a_name_breaks_no_markdown_line(end):
    name = f"a{end}# b"
    lines = re.split(r"\r\n|\r|\n", to_markdown(hostile_table(name), name).strip("\n"))
    assert len(lines) == 7
    assert all(line.startswith("|") for line in lines[4:])


@pytest.mark.parametrize("write", [to_markdown, to_latex])
def test_a_name_with_controls_or_line_ends_stays_on_its_line_and_steers_no_terminal(write):
    name = "a\n\nb\x1b[31m\x00\x9bc"
    text = write(hostile_table(name), name)
    assert not set(text) & set("\x1b\0\x9b")
    assert text.count("\n") == write(hostile_table("a"), "a").count("\n")


def assert_inert_in_latex(text):
    for escaped in (r"\textbackslash{}", r"\textasciitilde{}", r"\^{}"):
        assert escaped in text
        text = text.replace(escaped, "")
    assert not set(re.sub(r"\\[&%$#_{}]", "", text)) & set("\\&%$#_{}~^")


def test_a_hostile_name_opens_nothing_in_latex():
    text = to_latex(hostile_table(), HOSTILE)
    title = text.splitlines()[0]
    assert_inert_in_latex(title.removeprefix(r"\paragraph{").removesuffix("}"))
    cells = header(text).removesuffix(r" \\").split(" & ")
    assert len(cells) == 3
    assert_inert_in_latex(cells[1])


def test_a_hostile_name_is_no_formula_in_a_csv(tmp_path):
    write_csv(tmp_path / "t.csv", hostile_table())
    assert pd.read_csv(tmp_path / "t.csv")["dataset"].tolist() == ["'" + HOSTILE, "full"]


@pytest.mark.parametrize("name", ['a,"b"', "a\nb", "a\r=1+1", "a\r\n=1+1", "a;b\t=1"])
def test_a_name_stays_in_its_csv_cell(tmp_path, name):
    write_csv(tmp_path / "t.csv", hostile_table(name))
    table = pd.read_csv(tmp_path / "t.csv")
    assert table["dataset"].tolist() == [name, "full"]
    assert table["value"].tolist() == [0.25, 0.5]


def test_a_columns_name_is_no_formula_either(tmp_path):
    write_csv(tmp_path / "t.csv", pd.DataFrame({"=1": [1]}))
    assert (tmp_path / "t.csv").read_text() == '"\'=1"\n1\n'


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\tx", "\rx"])
def test_cells_that_a_spreadsheet_would_run_are_neutral(text):
    assert neutral_cell(text) == "'" + text
    assert neutral_cell("x" + text) == "x" + text
    assert neutral_cell(-1.5) == -1.5


def test_the_csv_keeps_every_digit_and_infinities(tmp_path):
    table = summarise(
        measured(
            {
                ("knn", "0", "A"): replicates_of(1 / 3, [0.1 + 0.2] * 3),
                ("knn", "0", "full"): replicates_of(math.inf, [math.inf] * 3),
            },
            "qnc",
        )
    )
    write_csv(tmp_path / "t.csv", table)
    again = pd.read_csv(tmp_path / "t.csv").set_index("dataset")
    assert again.loc["A", "value"] == 1 / 3
    assert again.loc["A", "low"] == 0.1 + 0.2
    assert again.loc["full", ["value", "low", "high"]].tolist() == [math.inf] * 3
    assert again.loc["full", "infinite"] == 1
    assert math.isnan(again.loc["full", "salt_sd"])


@pytest.mark.parametrize(
    ("value", "text"), [(0.12345, "0.123"), (-0.5, "-0.500"), (math.inf, "∞"), (math.nan, "–")]
)
def test_values_are_shown_with_three_decimals(value, text):
    assert format_value(value) == text


@pytest.mark.parametrize(
    ("p", "text"),
    [(2 / 1001, "< .002"), (0.002, ".002"), (0.0496, ".050"), (1.0, "1.000"), (math.nan, "–")],
)
def test_a_p_value_has_three_decimals_and_a_floor(p, text):
    assert format_p(p) == text


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((0.75, 0.5, 1.0), "reached on 75% [50%, 100%]"),
        ((1.0, math.nan, math.nan), "reached on 100%"),
        ((math.nan, math.nan, math.nan), "–"),
    ],
)
def test_a_share_of_data_sets_is_shown_with_its_interval_if_it_has_one(numbers, text):
    assert format_share(*numbers) == text


def test_a_value_is_shown_with_its_interval_if_it_has_one():
    assert format_interval(0.5, 0.4, math.inf) == "0.500 [0.400, ∞]"
    assert format_interval(0.5, math.nan, math.nan) == "0.500"
    assert format_interval(math.nan, math.nan, math.nan) == "–"


def shown():
    values = {("knn", "0", "A"): 0.5, ("knn", "0", "full"): 0.25, ("svm", "0", "full"): 0.75}
    never = measured({("knn", "0", "full"): replicates_of(math.inf, [math.inf] * 9)}, "qnc")
    return summarise(pd.concat([measured(values), never]))


def test_markdown_has_a_table_per_metric_with_values_and_intervals():
    assert to_markdown(shown(), "bench") == (
        "# bench\n\n"
        "## nAUC (higher is better)\n\n"
        "| router | A | full |\n"
        "| --- | ---: | ---: |\n"
        "| knn | 0.500 [0.454, 0.546] | 0.250 [0.204, 0.296] |\n"
        "| svm | – | 0.750 [0.704, 0.796] |\n"
        "\n"
        "## QNC (below 1: the best single model's accuracy at a lower cost)\n\n"
        "| router | full |\n"
        "| --- | ---: |\n"
        "| knn | ∞ [∞, ∞] |\n"
    )


def test_latex_has_a_tabular_per_metric_with_values_and_intervals():
    text = to_latex(shown(), "bench")
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 2
    assert r"\begin{tabular}{lrr}" in text
    assert r"router & A & full \\" in text
    assert r"knn & 0.500 [0.454, 0.546] & 0.250 [0.204, 0.296] \\" in text
    assert r"svm & -- & 0.750 [0.704, 0.796] \\" in text
    assert r"knn & $\infty$ [$\infty$, $\infty$] \\" in text


def test_wide_keeps_the_order_of_routers_and_data_sets():
    table = summarise(
        measured(
            {
                (router, "0", dataset): value
                for router, shift in (("knn", 0), ("a-router", 0.5))
                for dataset, value in (("B", 0.1 + shift), ("A", 0.2 + shift), ("full", 0.3))
            }
        )
    )
    grid = wide(table, "nauc")
    assert list(grid.index) == ["knn", "a-router"]
    assert list(grid.columns) == ["B", "A", "full"]
    assert grid.loc["a-router", "A"] == pytest.approx(0.7)
    assert wide(table, "nauc", "low").loc["a-router", "A"] == pytest.approx(0.7 - BOUND)


def test_a_figure_shows_the_better_of_two_twins_and_the_oracle():
    values = {"a": 0.5, "a+shrink": 0.6, "b": 0.4, "c": 0.7, "oracle": 0.9, "best_single": 0.8}
    table = pd.DataFrame({"router": values.keys(), "value": values.values()})
    table = table.assign(dataset="full", metric="nauc_honest")
    assert prominent(table, 2) == ["a+shrink", "c", "oracle"]
    assert prominent(table, 9) == ["a+shrink", "b", "c", "oracle"]


def test_published_rows_say_what_was_found_here_and_how_both_came_about():
    table = pd.DataFrame(
        {"router": ["knn", "own", "vl"], "metric": ["qnc", "qnc", "cost_usd"], "minus": np.nan}
        | {"value": [0.5, 0.6, 2e-4], "low": [0.4, 0.4, 1e-4], "high": [0.7, 0.7, 3e-4]}
        | {"protocol": "ours", "published": [np.inf, np.nan, 2.72e-4]}
        | {"published_protocol": ["theirs", np.nan, "theirs"]}
    )
    both = {"protocol here": "ours", "protocol published": "theirs"}
    first = {"router": "knn", "metric": "qnc", "here": "0.500 [0.400, 0.700]", "published": "∞"}
    last = {"router": "vl", "metric": "USD per 10,000 queries", "here": "2.000 [1.000, 3.000]"}
    assert published_rows(table).to_dict("records") == [
        first | both,
        last | {"published": "2.720"} | both,
    ]


def test_a_frame_of_text_becomes_markdown_and_latex():
    frame = pd.DataFrame({"a|b": ["x_1 [0, ∞]"], "c": ["50 %"]})
    assert "| a\\|b | c |" in frame_to_markdown(frame, "T|")
    assert r"x\_1 [0, $\infty$] & 50 \% \\" in frame_to_latex(frame, "T")


def test_names_and_infinity_survive_csv(tmp_path):
    table = pd.DataFrame({"router": ["NA", "null"], "value": [np.inf, np.nan]})
    write_csv(tmp_path / "t.csv", table)
    pd.testing.assert_frame_equal(read_csv(tmp_path / "t.csv"), table, check_dtype=False)


TEXTS = st.text(st.sampled_from("='+-@\t\r\n\"\\,;7 aé\0"), min_size=1) | st.sampled_from(
    ["NA", "nan", "null", "True", "007", "1e5", "-1", "inf", "-inf", "'", "''=1", "'tis", "'-1"]
)


@given(st.lists(TEXTS, min_size=1), TEXTS)
def test_text_survives_csv_whatever_it_is(tmp_path_factory, texts, name):
    path = tmp_path_factory.getbasetemp() / "texts.csv"
    table = pd.DataFrame({name: texts, "number": np.arange(len(texts)) - 1.5})
    write_csv(path, table)
    again = read_csv(path)
    assert again.columns.tolist() == table.columns.tolist()
    assert again[name].tolist() == texts
    assert again["number"].tolist() == table["number"].tolist()


@given(st.lists(TEXTS, min_size=1))
def test_no_cell_of_a_csv_begins_a_formula(tmp_path_factory, texts):
    path = tmp_path_factory.getbasetemp() / "texts.csv"
    write_csv(path, pd.DataFrame({"text": texts}))
    with path.open(newline="") as stream:
        cells = [row[0] for row in csv.reader(stream)]
    assert len(cells) == len(texts) + 1
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)


@given(
    st.lists(
        st.tuples(st.floats(), st.integers(-(2**53), 2**53), st.booleans()), min_size=1
    ).filter(lambda rows: not all(math.isnan(row[0]) for row in rows))
)
def test_numbers_survive_csv_to_the_last_digit(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "numbers.csv"
    table = pd.DataFrame(rows, columns=["float", "int", "bool"])
    write_csv(path, table)
    assert "'" not in path.read_text()
    pd.testing.assert_frame_equal(read_csv(path), table, check_exact=True)


def test_empty_text_is_missing_after_csv(tmp_path):
    write_csv(tmp_path / "t.csv", pd.DataFrame({"a": ["", "1"], "b": [None, None]}))
    table = read_csv(tmp_path / "t.csv")
    assert table["a"].fillna("").tolist() == ["", "1"]
    assert table["b"].isna().all()


def test_a_share_of_data_sets_is_a_share_although_trainings_lie_apart():
    own = measured(
        {("a", salt, "full"): value + 0 * NOISE for salt, value in (("0", 0.5), ("1", 1.0))}, "qnc"
    ).assign(level="macro", dataset="macro")
    own["replicates"] = [np.append(one[0], one) for one in own["replicates"]]
    row = summarise(own).iloc[0]
    assert (row["value"], row["low"], row["high"]) == (0.75, 0.0, 1.0)
