from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mmroute.errors import InputError
from mmroute.predictions import Predictions


def test_survive_writing_and_reading(make_table, tmp_path):
    ids = make_table().samples["sample_id"]
    generator = np.random.default_rng(0)
    predictions = Predictions(ids, generator.random((3, 12, 4)), generator.random((3, 12, 4)))
    predictions.write(tmp_path / "p.parquet")
    again = Predictions.read(tmp_path / "p.parquet")
    assert again.u_hat.shape == (3, 12, 4)
    np.testing.assert_array_equal(again.u_hat, predictions.u_hat)
    np.testing.assert_array_equal(again.c_hat, predictions.c_hat)
    assert again.sample_ids.tolist() == ids.tolist()


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "p.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"p\.parquet: not readable as Parquet"):
        Predictions.read(tmp_path / "p.parquet")


def test_a_grid_its_scores_and_what_deciding_costs_survive_too(make_table, tmp_path):
    ids = make_table().samples["sample_id"]
    generator = np.random.default_rng(0)
    given = Predictions(
        ids,
        generator.random((1, 12, 4)),
        generator.random((1, 12, 4)),
        grid=np.array([0.0, 0.1, 1e-17 + 3]),
        scores=generator.random((3, 12, 4)),
        overhead=generator.random(12),
    )
    given.write(tmp_path / "p.parquet")
    again = Predictions.read(tmp_path / "p.parquet")
    for name in ("grid", "scores", "overhead"):
        np.testing.assert_array_equal(getattr(again, name), getattr(given, name))


def test_parts_that_do_not_say_what_is_possible_let_all_be():
    ids, nothing = pd.Series(list("abc")), np.zeros((1, 3, 2))
    mask = np.array([[True, False], [False, True], [True, True]])
    told = Predictions(ids, nothing, nothing, possible=mask)
    np.testing.assert_array_equal(told.take(np.array([1])).possible, mask[[1]])
    silent = replace(told, sample_ids=pd.Series(list("xyz")), possible=None)
    both = Predictions.joined([told, silent], pd.Series(["b", "x", "a"]))
    assert both.possible.tolist() == [[False, True], [True, True], [True, False]]
    assert Predictions.joined([silent], silent.sample_ids).possible is None


def test_a_part_of_a_trial_is_read_alone(make_table, tmp_path):
    ids = make_table().samples["sample_id"]
    generator = np.random.default_rng(0)
    given = Predictions(ids, generator.random((3, 12, 4)), generator.random((3, 12, 4)))
    given.write(tmp_path / "p.parquet")
    part = Predictions.read_part(tmp_path / "p.parquet", 2, slice(24 + 5, 24 + 8), ids[5:8])
    np.testing.assert_array_equal(part.u_hat, given.u_hat[2:, 5:8])
    np.testing.assert_array_equal(part.c_hat, given.c_hat[2:, 5:8])
    assert part.sample_ids.tolist() == ids[5:8].tolist()
    with pytest.raises(InputError, match=r"row 1 of 3 is 'B_5 of trial 1' where 'B_5' "):
        Predictions.read_part(tmp_path / "p.parquet", 2, slice(12 + 5, 12 + 8), ids[5:8])


def test_what_deciding_costs_is_added_to_every_model(make_table):
    ids = make_table().samples["sample_id"]
    nothing = np.zeros((1, 12, 2))
    paid = Predictions(ids, nothing, nothing, overhead=np.arange(12.0)).paid(np.ones((12, 2)))
    np.testing.assert_array_equal(paid, np.tile(1 + np.arange(12.0)[:, None], 2))
    assert (Predictions(ids, nothing, nothing).paid(np.ones((12, 2))) == 1).all()
