"""A metric is one record: what is added there is measured, and stands in the table."""

from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest

from mmroute.evaluation.exact import evaluate
from mmroute.evaluation.metrics import CURVE_METRICS, CurveMetric
from mmroute.evaluation.policy_metrics import POLICY_METRICS, PolicyMetric
from mmroute.predictions import Predictions
from mmroute.presentation.tables import summarise, to_markdown


@contextmanager
def added(records, record):
    records.append(record)
    try:
        yield
    finally:
        records.remove(record)


def evaluated(make_table, make_setting):
    both = make_table(n_samples=60)
    setting = make_setting(
        both.take(np.arange(30)), both.take(np.arange(30, 60)), 2.0, "lambda", 99
    )
    generator = np.random.default_rng(0)
    replicates = evaluate(
        setting,
        *(
            Predictions(table.samples["sample_id"], *generator.random((2, 1, *table.utility.shape)))
            for table in (setting.table, setting.training)
        ),
    ).replicates
    return replicates.assign(router="knn", salt="0")


@pytest.mark.parametrize(("lower_is_better", "best"), [(True, "low"), (False, "high")])
def test_a_record_of_a_curve_is_measured_and_stands_in_the_table(
    make_table, make_setting, lower_is_better, best
):
    record = CurveMetric(
        name="peak_cost",
        title="Cost of the peak",
        measure=lambda curve: np.full(curve.frontier.n_rows, curve.frontier.cost.max()),
        lower_is_better=lower_is_better,
    )
    with added(CURVE_METRICS, record):
        replicates = evaluated(make_table, make_setting)
        of_metric = replicates[replicates["metric"] == "peak_cost"]
        assert of_metric["dataset"].tolist() == ["A", "B", "full"]
        values = of_metric["replicates"].iloc[0]
        assert len(values) == 100
        both = [
            of_metric.assign(router=router, replicates=[values * scale] * 3)
            for router, scale in (("low", 1.0), ("high", 2.0))
        ]
        table = summarise(pd.concat(both))
        assert set(table[table["p_best"] == 1]["router"]) == {best}
        assert "## Cost of the peak\n" in to_markdown(table, "bench")
    assert "peak_cost" not in set(evaluated(make_table, make_setting)["metric"])


def test_a_record_of_a_policy_is_measured_at_every_operating_point(make_table, make_setting):
    plain = evaluated(make_table, make_setting)
    record = PolicyMetric(
        name="shortfall", title="shortfall", ratio=lambda own: (own.best - own.gained, 1)
    )
    with added(POLICY_METRICS, record):
        replicates = evaluated(make_table, make_setting)
    kept = replicates[replicates["metric"] != "shortfall"].reset_index(drop=True)
    for column in ("dataset", "point", "metric"):
        assert kept[column].tolist() == plain[column].tolist()
    shortfall = replicates[replicates["metric"] == "shortfall"]
    accuracy = replicates[replicates["metric"] == "accuracy"]
    assert shortfall["point"].tolist() == accuracy["point"].tolist()
    optimal = replicates[replicates["metric"] == "optimal_accuracy"]
    for lost, gained, share in zip(
        *(rows["replicates"] for rows in (shortfall, accuracy, optimal)), strict=True
    ):
        np.testing.assert_allclose(lost + gained, gained / share)
