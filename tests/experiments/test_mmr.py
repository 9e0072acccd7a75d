"""MMR-Bench's protocol."""

from dataclasses import replace

import numpy as np
import pytest

from mmroute.evaluation.curve import operating_curve
from mmroute.evaluation.metrics import frontier_of, nauc_own_range
from mmroute.experiments.findings import summarise
from mmroute.experiments.mmr import MMR
from mmroute.outcomes.benchmark import Benchmark
from mmroute.outcomes.splits import SLICE
from mmroute.routers.baselines import Oracle, Strongest
from mmroute.routers.linear import Linear

N, B = 60, 100


@pytest.fixture
def problem(make_table):
    """Return a benchmark of two data sets, each of which has another best model, and features."""
    table = make_table(N, 3)
    utility, cost = table.utility.copy(), np.tile([1.0, 2.0, 4.0], (N, 1))
    first = (table.samples["dataset"] == "A").to_numpy()
    utility[:, 0], utility[:, 1], utility[:, 2] = 0, first, ~first
    in_train = np.arange(N) // 2 % 2 == 0
    features = np.random.default_rng(0).normal(size=(N, 4)).astype(np.float32)
    own = Benchmark(replace(table, utility=utility, cost=cost), 4.0, in_train, ~in_train)
    return own, features


def found(own, features, **routers):
    given = dict.fromkeys(routers, features)
    return MMR().findings(own, given, routers, "lambda", B, 0)


def value(frame, dataset, router, metric):
    rows = frame.query("dataset == @dataset and router == @router and metric == @metric")
    return rows["replicates"].item()


def test_a_row_is_of_a_router_that_was_trained_on_that_data_set_alone(problem):
    own, _ = problem
    frame = found(own, None, strongest=Strongest(), oracle=Oracle())
    assert frame["dataset"].unique().tolist() == ["A", "B", "full"]
    # Pooled, one of the models is right on half the samples.
    peaks = [value(frame, name, "strongest", "peak_score")[0] for name in ("A", "B", "full")]
    assert peaks == [1, 1, 0.5]
    assert value(frame, "full", "oracle", "peak_score")[0] == 1


def test_the_policy_is_the_budget_whatever_the_config_says(problem):
    own, features = problem
    frame = found(own, features, linear=Linear())
    known = own.in_train
    fitted = Linear().fit(features[known], own.table.utility[known], own.table.cost[known])
    u_hat, c_hat = fitted.predict(features[own.in_test])
    outcomes = own.test.utility, own.test.cost
    curve = operating_curve(np.clip(u_hat, 0, 1), c_hat, *outcomes, "budget")
    area = nauc_own_range(frontier_of(curve))
    replicates = value(frame, "full", "linear", "nauc_own_range")
    assert len(replicates) == 1 + B
    assert replicates[0] == pytest.approx(area.item())


def test_what_cannot_be_trained_or_measured_has_no_row(problem):
    own, features = problem
    own.table.utility[own.in_train & (own.table.samples["dataset"] == "A"), 2] = np.nan
    own.table.samples[SLICE] = own.table.samples["dataset"].replace("B", "of B (small data sets)")
    frame = found(own, features, linear=Linear())
    assert frame["dataset"].unique().tolist() == ["A", "full"]
    # Of A the third model, which is never right there, takes no part.
    assert value(frame, "A", "best_single", "qnc").tolist() == [1]


def test_the_table_has_a_row_for_each_data_set_and_router(problem):
    own, features = problem
    shown = MMR().present(summarise([found(own, features, linear=Linear())]))
    assert shown.columns.tolist() == [
        *("Data set", "Router", "nAUC over its own costs", "Peak score", "QNC")
    ]
    assert shown[["Data set", "Router"]].to_numpy().tolist() == [
        [name, router] for name in ("A", "B", "full") for router in ("best_single", "linear")
    ]
    assert shown["nAUC over its own costs"].tolist()[::2] == ["–"] * 3
