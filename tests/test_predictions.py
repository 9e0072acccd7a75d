import numpy as np
import pandas as pd
import pytest

from mmroute.benchmark import Benchmark
from mmroute.errors import InputError
from mmroute.predictions import Predictions, train_and_predict
from mmroute.routers.baselines import Oracle, Random, Strongest
from mmroute.routers.linear import Linear
from mmroute.storage import write_frame, write_json


@pytest.fixture
def benchmark(make_table, tmp_path):
    table = make_table(n_samples=40)
    table.utility[0] = table.cost[0] = np.nan
    table.write(tmp_path)
    write_json(tmp_path / "pool.json", {"unit_usd": 2.0, "left_out": []})
    splits = pd.DataFrame({"sample_id": table.samples["sample_id"], "0": np.arange(40) < 20})
    write_frame(tmp_path / "splits.parquet", splits)
    return Benchmark.read(tmp_path, tmp_path / "splits.parquet", "0")


def test_a_sample_that_no_model_was_observed_on_is_in_neither_split(benchmark):
    assert len(benchmark.train.samples) == 19
    assert len(benchmark.test.samples) == 20
    assert not set(benchmark.train.samples["sample_id"]) & set(benchmark.test.samples["sample_id"])


def test_training_sees_normalised_costs(benchmark):
    features = np.zeros((40, 1), np.float32)
    predictions = train_and_predict(Linear(), benchmark, features)
    np.testing.assert_allclose(
        predictions.c_hat[0, 0], benchmark.train.cost.mean(axis=0) / 2, rtol=1e-6
    )


def test_test_outcomes_change_no_prediction(benchmark):
    features = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    before = train_and_predict(Linear(), benchmark, features)
    benchmark.table.utility[benchmark.in_test] = 1 - benchmark.table.utility[benchmark.in_test]
    shown = Benchmark(benchmark.table, benchmark.unit, benchmark.in_train, benchmark.in_test)
    after = train_and_predict(Linear(), shown, features)
    np.testing.assert_array_equal(before.u_hat, after.u_hat)


def test_the_oracle_is_shown_the_test_outcomes(benchmark):
    predictions = train_and_predict(Oracle(), benchmark, None)
    np.testing.assert_array_equal(predictions.u_hat[0], benchmark.test.utility)


def test_a_model_without_training_outcomes_is_refused(benchmark):
    benchmark.table.utility[benchmark.in_train, 1] = np.nan
    with pytest.raises(InputError, match="'model-1' has no outcome in the training split"):
        train_and_predict(Strongest(), benchmark, None)


def test_survive_writing_and_reading(benchmark, tmp_path):
    predictions = train_and_predict(Random(trials=3), benchmark, None)
    predictions.write(tmp_path / "p.parquet")
    again = Predictions.read(tmp_path / "p.parquet")
    assert again.u_hat.shape == (3, 20, 3)
    np.testing.assert_array_equal(again.u_hat, predictions.u_hat)
    np.testing.assert_array_equal(again.c_hat, predictions.c_hat)
    assert again.sample_ids.tolist() == benchmark.test.samples["sample_id"].tolist()
