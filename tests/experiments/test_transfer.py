from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mmroute.errors import InputError
from mmroute.evaluation.static import ZERO
from mmroute.experiments import TextOnly
from mmroute.experiments.findings import summarise
from mmroute.experiments.transfer import BEST_SINGLE, Transfer, notices, transferred
from mmroute.outcomes.benchmark import Benchmark
from mmroute.routers.baselines import Oracle, Random, Strongest, StrongestPerDataset
from mmroute.routers.knn import KNN

B = 40


@pytest.fixture
def benchmark(make_table):
    """Samples whose only feature tells which of two models is right; the third never is."""
    table = make_table(n_samples=80, n_models=3)
    feature = np.tile([[1.0, 0.0], [0.0, 1.0]], (40, 1))
    outcomes = np.column_stack([feature, np.zeros(80)])
    table = replace(table, utility=outcomes, cost=np.tile([1.0, 4.0, 2.0], (80, 1)))
    in_train = np.arange(80) % 4 < 2
    return Benchmark(table, 4.0, in_train, ~in_train), feature


@pytest.fixture
def text_only(make_table):
    """The same law on other samples, each model ten times as dear."""
    table = make_table(n_samples=30, n_models=3, datasets=("T", "S"))
    feature = np.tile([[0.0, 1.0], [1.0, 0.0]], (15, 1))
    outcomes = np.column_stack([feature, np.zeros(30)])
    table = replace(table, utility=outcomes, cost=np.tile([10.0, 40.0, 20.0], (30, 1)))
    return table, feature


def run(benchmark, text_only, **routers):
    (own, features), (table, others) = benchmark, text_only
    routers = routers or {"knn": KNN(n_neighbors=5)}
    mine, theirs = dict.fromkeys(routers, features), dict.fromkeys(routers, others)
    return Transfer().findings(own, mine, routers, "lambda", B, 0, TextOnly(table, theirs))


def value(found, **keys):
    keys = {"minus": "", "dataset": "full"} | keys
    kept = np.logical_and.reduce([found[column] == key for column, key in keys.items()])
    (replicates,) = found["replicates"][kept]
    return replicates


def test_what_the_text_shares_with_training_is_transferred(benchmark, text_only):
    found = run(benchmark, text_only)
    for dataset in ("T", "S", "full"):
        assert value(found, dataset=dataset, router="knn", metric="peak_score")[0] == 1
    gain = value(found, router="knn", metric="peak_score", minus=BEST_SINGLE)
    assert gain == pytest.approx(
        1 - value(found, router=BEST_SINGLE, metric="peak_score"), abs=1e-12
    )
    assert gain[0] == pytest.approx(0.5)
    assert value(found, router=BEST_SINGLE, metric="qnc").tolist() == [1]


def test_static_mixtures_are_chosen_on_the_multimodal_training_split(benchmark, text_only):
    own, features = benchmark
    # In training the dear model is always right; on the text the cheap one is, half the time.
    table = replace(own.table, utility=np.tile([0.5, 1.0, 0.0], (80, 1)))
    text, others = text_only
    text = replace(text, utility=np.tile([0.5, 0.25, 1.0], (30, 1)))
    found = run((replace(own, table=table), features), (text, others))
    for dataset in ("T", "S", "full"):
        static = {
            metric: value(found, router=ZERO, metric=metric, dataset=dataset)
            for metric in ("nauc", "peak_score", "qnc")
        }
        np.testing.assert_allclose(static["nauc"], (0.5 + 0.25) / 2)
        np.testing.assert_allclose(static["peak_score"], 0.5)
        assert np.isinf(static["qnc"]).all()
        for metric in ("nauc", "peak_score"):
            np.testing.assert_allclose(
                value(found, router="knn", metric=metric, dataset=dataset, minus=ZERO),
                value(found, router="knn", metric=metric, dataset=dataset) - static[metric],
            )


def test_the_test_split_of_the_multimodal_side_chooses_points_and_nothing_else(
    benchmark, text_only
):
    own, features = benchmark
    table = own.table
    spoilt = replace(
        table, utility=np.where(own.in_test[:, None], 1 - table.utility, table.utility)
    )
    expected = run(benchmark, text_only)
    found = run((replace(own, table=spoilt), features), text_only)
    honest = found["metric"].str.endswith("_honest")
    pd.testing.assert_frame_equal(found[~honest], expected[~honest])
    assert value(found, router="knn", metric="nauc_honest").tolist() != (
        value(expected, router="knn", metric="nauc_honest").tolist()
    )


def test_no_metric_depends_on_the_unit_of_cost(benchmark, text_only):
    own, features = benchmark
    expected, found = run(benchmark, text_only), run((replace(own, unit=0.01), features), text_only)
    for first, second in zip(expected["replicates"], found["replicates"], strict=True):
        np.testing.assert_allclose(first, second)


def test_columns_are_matched_by_name(benchmark, text_only):
    table, others = text_only
    expected = run(benchmark, text_only)
    found = run(benchmark, (table.take(columns=[2, 0, 1]), others))
    for first, second in zip(expected["replicates"], found["replicates"], strict=True):
        np.testing.assert_allclose(first, second)


def test_a_model_on_one_side_only_is_left_out_with_a_notice(benchmark, text_only):
    (table, _), own = text_only, benchmark[0]
    renamed = table.models.assign(model=["model-0", "another", "model-2"])
    joint, usable, met = transferred(own, replace(table, models=renamed))
    assert joint.table.model_names == ["model-0", "model-2"]
    assert usable.sum() == own.in_train.sum() + own.in_test.sum()
    assert joint.in_train.sum() == own.in_train.sum()
    assert met.all()
    assert notices(own.table.model_names, renamed["model"].tolist()) == [
        "transfer: model-1 is left out, as the text-only source does not have it",
        "transfer: another is left out, as the benchmark does not have it",
    ]
    assert notices(own.table.model_names, own.table.model_names) == []


def test_a_sample_without_any_shared_model_is_left_out(benchmark, text_only):
    table, others = text_only
    utility = table.utility.copy()
    utility[3] = np.nan
    table = replace(table, utility=utility, cost=np.where(np.isnan(utility), np.nan, table.cost))
    _, _, met = transferred(benchmark[0], table)
    assert np.flatnonzero(~met).tolist() == [3]
    found = run(benchmark, (table, others))
    assert value(found, router="knn", metric="peak_score")[0] == 1


def test_no_shared_model_is_refused(benchmark, text_only):
    table, _ = text_only
    strangers = replace(table, models=table.models.assign(model=["x", "y", "z"]))
    with pytest.raises(InputError, match="model-0, model-1, model-2") as refusal:
        transferred(benchmark[0], strangers)
    assert "x, y, z" in str(refusal.value)


def test_routers_without_features_and_bounds_take_part(benchmark, text_only):
    (own, _), (table, _) = benchmark, text_only
    frames = [part.samples[["sample_id", "dataset", "question"]] for part in (own.table, table)]
    routers = {
        "strongest": Strongest(),
        "by_dataset": StrongestPerDataset(),
        "random": Random(trials=20),
        "oracle": Oracle(),
    }
    mine, theirs = (dict.fromkeys(routers) | {"by_dataset": frame} for frame in frames)
    found = Transfer().findings(own, mine, routers, "budget", B, 0, TextOnly(table, theirs))
    peaks = {name: value(found, router=name, metric="peak_score")[0] for name in routers}
    assert peaks["oracle"] == 1
    assert peaks["strongest"] == peaks["by_dataset"] == 0.5
    assert 0.2 < peaks["random"] < 0.5


def test_the_router_given_is_not_fitted(benchmark, text_only):
    router = KNN(n_neighbors=5)
    run(benchmark, text_only, knn=router)
    assert not hasattr(router, "index_")


def test_it_is_laid_out_as_table_5(benchmark, text_only):
    table = Transfer().present(summarise([run(benchmark, text_only)]))
    assert table["Router"].tolist() == ["best single model", "best static mixture", "knn"]
    assert list(table.columns) == ["Router"] + [
        header.format(dataset)
        for dataset in ("T", "S", "full")
        for header in (
            "Peak score, {}",
            "minus the best single model, {}",
            "minus the best static mixture, {}",
            "nAUC, minus the best static mixture, {}",
            "nAUC, points from the samples with images, minus the best static mixture, {}",
        )
    ]
    best, static, knn = table.to_dict("records")
    assert static["Peak score, full"].startswith("0.500 [")
    assert best["minus the best single model, T"] == "–"
    assert knn["Peak score, full"].startswith("1.000 [")
    assert knn["minus the best single model, full"].startswith("0.500 [")
    assert knn["minus the best static mixture, full"].startswith("0.500 [")
    # Right of a cost of 2.5 in [1, 4] the router is always right, and zero half the time.
    assert knn["nAUC, minus the best static mixture, full"].startswith("0.375 [")
