"""A benchmark of more samples than one job takes is evaluated in shards, with the same results."""

import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.slow

ROWS = ("random", "knn+shrink")
PARTS = ("replicates", "frontiers", "bands", "calibration", "lines")
FOLDER = "results/small/evaluation"
TARGETS = [
    *(f"{FOLDER}/routers/{row}/0/replicates.parquet" for row in ROWS),
    f"{FOLDER}/singles/0/models.parquet",
]
IN_SHARDS = {"shard_size": {"evaluate": 70}}


@pytest.fixture(scope="module")
def scattered(finished, make_checkout, small):
    """Return a checkout that went on from the finished run, and the messages of its jobs."""
    checkout = make_checkout(finished.folder)
    return checkout, checkout.run(small | IN_SHARDS, *TARGETS)


def stored(checkout, file):
    return pd.read_parquet(checkout.folder / FOLDER / file)


def both(scattered, finished, row):
    """Return the replicates of both runs by data set, operating point and metric."""
    return (
        stored(checkout, f"routers/{row}/0/replicates.parquet").set_index(
            ["level", "dataset", "point", "metric"]
        )["replicates"]
        for checkout in (scattered[0], finished)
    )


def test_every_shard_is_a_job_and_nothing_is_trained_again(scattered):
    expected = {f"Choosing the thresholds that the shards of {row} share (salt 0)" for row in ROWS}
    expected |= {f"Finding the operating points of {row} (salt 0)" for row in ROWS}
    expected |= {f"Tracing the operating curves of {row} (salt 0)" for row in ROWS}
    for row in ROWS:
        for shard in range(3):
            expected.add(f"Adding up shard {shard} of {row} (salt 0)")
            expected.add(f"Measuring the operating points of {row} on shard {shard} (salt 0)")
    expected |= {
        "Laying out the shards of evaluation (salt 0)",
        "Evaluating the single models (salt 0)",
    }
    assert scattered[1] == expected


@pytest.mark.parametrize("row", ROWS)
def test_all_outputs_are_there_with_the_same_rows(scattered, finished, row):
    found, expected = both(scattered, finished, row)
    assert set(found.index) == set(expected.index)
    for part in PARTS:
        own, other = (
            stored(checkout, f"routers/{row}/0/{part}.parquet")
            for checkout in (scattered[0], finished)
        )
        assert own.dtypes.to_dict() == other.dtypes.to_dict()


def test_a_router_whose_breakpoints_the_grid_holds_is_measured_exactly(scattered, finished):
    found, expected = both(scattered, finished, "random")
    for key, values in expected.items():
        np.testing.assert_allclose(found[key], values, atol=1e-9, err_msg=str(key))


def test_another_router_is_measured_on_the_grid(scattered, finished):
    found, expected = both(scattered, finished, "knn+shrink")
    for metric, tolerance in {"nauc": 5e-3, "peak_score": 0.02, "auroc": 1e-3}.items():
        key = "full", "full", "", metric
        assert found[key][0] == pytest.approx(expected[key][0], abs=tolerance), metric


def test_single_models_are_measured_exactly(scattered, finished):
    own, other = (
        stored(checkout, "singles/0/models.parquet") for checkout in (scattered[0], finished)
    )
    pd.testing.assert_frame_equal(own, other, rtol=1e-9, atol=1e-12)


def test_what_shards_add_up_to_is_not_kept(scattered):
    left = scattered[0].folder / FOLDER / "shards/random/0"
    assert {path.name for path in left.iterdir()} == {"grid.parquet", "points.parquet"}


def test_a_second_run_does_nothing(scattered, small):
    assert scattered[0].run(small | IN_SHARDS, *TARGETS) == set()
