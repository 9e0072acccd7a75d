import numpy as np
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
