from dataclasses import replace

import numpy as np
import pandas as pd

from mmroute.outcome_table import PRICE_COLUMNS
from mmroute.outcomes.splits import SLICE
from mmroute.report.data_report import dataset_report, model_report, notices


def report_of(table, text=None, image=None, small=()):
    everywhere = np.ones(len(table.samples), bool)
    splits = table.samples[["sample_id"]].assign(
        **{SLICE: table.samples["dataset"], "0": np.arange(len(everywhere)) < 4}
    )
    splits.loc[table.samples["dataset"].isin(small), SLICE] = None
    present = {
        "text": everywhere if text is None else text,
        "image": ~everywhere if image is None else image,
    }
    return dataset_report(table, splits, present)


def test_counts_add_up_to_full(make_table):
    report = report_of(make_table()).set_index("dataset")
    assert report["samples"].tolist() == [6, 6, 12]
    assert report["train"].tolist() == [2, 2, 4]
    assert report["test"].tolist() == [4, 4, 8]
    assert report["no_image"].tolist() == [6, 6, 12]
    assert report["coverage"].tolist() == [1, 1, 1]


def test_data_sets_without_a_row_of_their_own_are_named(make_table):
    table = make_table()
    table.samples["group"] = ["one", "two"] * 6
    report = report_of(table, small=["B"])
    assert report["small"].tolist() == [False, True, False]
    assert report["groups"].tolist() == [1, 1, 2]
    (line,) = notices(table, report, [], simulated=False, in_shards=False)
    assert "without a row of their own: B (6)" in line


def test_what_is_missing_is_counted(make_table):
    table = make_table()
    table.utility[0] = np.nan
    table.utility[1, 0] = np.nan
    table.samples.loc[:1, "image"] = "picture.jpg"
    table.samples.loc[2, "question"] = table.samples.loc[0, "question"]
    table.samples.loc[[0, 2], "image_digest"] = "same"
    text = np.arange(12) != 5
    image = np.arange(12) == 1
    full = report_of(table, text, image).iloc[-1]
    assert full["no_text"] == 1
    assert full["no_image"] == 10
    assert full["undecodable_images"] == 1
    assert full["duplicates"] == 1
    assert full["unobserved"] == 1
    assert full["coverage"] == 32 / 36


def test_of_several_images_each_undecodable_one_is_counted(make_table):
    table = make_table()
    table.samples["image"] = ["a.png//b.png//c.png", "a.png", "a.png", "a.png//b.png"] * 3
    missed = np.array([2, 0, 0, 0] * 3)
    present = np.array([True, False, True, False] * 3)
    splits = table.samples[["sample_id"]].assign(**{SLICE: "x", "0": np.arange(12) < 4})
    masks = {"text": np.ones(12, bool), "image": present}
    report = dataset_report(table, splits, masks, missed)
    assert report["undecodable_images"].tolist() == [6, 9, 15]
    (line,) = notices(table, report, [], simulated=False, in_shards=False)[-1:]
    assert (
        "15 images could not be decoded; these samples are routed by their text and other" in line
    )


def test_each_loss_has_a_notice(make_table):
    table = make_table()
    table.utility[0] = np.nan
    table.samples["image"] = "picture.jpg"
    table.prompt_tokens[:] = np.nan
    lines = notices(table, report_of(table), ["x was left out"], simulated=False, in_shards=False)
    assert lines[0] == "x was left out"
    assert any("1 samples were left out" in line for line in lines)
    assert any("12 images could not be decoded" in line for line in lines)
    assert any("coverage is 91.67%" in line for line in lines)
    assert any("costs are used as the source gives them" in line for line in lines)


def test_a_whole_benchmark_needs_no_notice(make_table):
    table = make_table()
    assert notices(table, report_of(table), [], simulated=False, in_shards=False) == []


def test_simulated_data_have_one(make_table):
    table = make_table()
    (line,) = notices(table, report_of(table), [], simulated=True, in_shards=False)
    assert "simulated" in line


def test_a_benchmark_that_was_evaluated_in_shards_says_so(make_table):
    table = make_table()
    (line,) = notices(table, report_of(table), [], simulated=False, in_shards=True)
    assert "known at 512 thresholds only" in line


def test_models_say_where_their_costs_come_from(make_table):
    table = make_table()
    table.models[list(PRICE_COLUMNS)] = [[1.0, 1.0], [1.0, 1.0], [np.nan, np.nan]]
    table.prompt_tokens[0, 1] = np.nan
    report = model_report(table, 200, 0)
    assert report["cost_from"].tolist() == ["tokens", "mixed", "source"]
    assert report["cost"].max() == 1
    np.testing.assert_allclose(report["accuracy"], table.utility.mean(axis=0))
    for name in ("accuracy", "cost_usd"):
        assert (report[f"{name}_low"] < report[name]).all()
        assert (report[name] < report[f"{name}_high"]).all()


def test_models_have_their_mean_latency_and_its_95th_percentile(make_table):
    table = make_table(n_samples=40, n_models=3)
    latency = np.tile(np.arange(1.0, 41)[:, None], (1, 3))
    latency[20:, 1] = latency[:, 2] = np.nan
    table.utility[0, 0] = np.nan
    report = model_report(replace(table, latency_s=latency), 200, 0)
    assert report["latency_s"][:2].tolist() == [21, 10.5]
    # Of 39 the 38th, of 20 the 19th.
    assert report["latency_p95_s"][:2].tolist() == [39, 19]
    assert report["latency_coverage"].tolist() == [1, 0.5, 0]
    assert report.loc[2, ["latency_s", "latency_s_low", "latency_p95_s"]].isna().all()
    for name in ("latency_s", "latency_p95_s"):
        assert (report[f"{name}_low"] <= report[name])[:2].all()
        assert (report[name] < report[f"{name}_high"])[:2].all()
    plain = model_report(table, 200, 0)
    pd.testing.assert_frame_equal(report[plain.columns], plain)
    assert not any(column.startswith("latency") for column in plain)


def test_latencies_that_are_not_known_are_counted(make_table):
    table = make_table()
    latency = np.ones((12, 3))
    latency[:, 1] = np.nan
    (line,) = notices(replace(table, latency_s=latency), report_of(table), [], False, False)
    assert line == (
        "latencies are means over the 66.67% of the outcomes that have one; none is of model-1"
    )
    latency[:, 1] = 1
    assert notices(replace(table, latency_s=latency), report_of(table), [], False, False) == []
