"""Stored files that rot are found out by their content, named, and can be made again."""

import shutil

import numpy as np
import pandas as pd
import pytest

from mmroute.benchmark import Benchmark
from mmroute.embeddings import Embeddings, read_all
from mmroute.errors import InputError
from mmroute.predictions import Predictions
from mmroute.storage import read_vectors, write_frame, write_json, write_vectors

IDS = {"A": ["A_0", "A_1", "A_2"], "B": ["B_0", "B_1", "B_2"]}
ALL = [*IDS["A"], *IDS["B"]]


@pytest.fixture
def embedded(tmp_path):
    """Return the paths of the embeddings of two data sets of the same shape."""
    paths = {name: tmp_path / f"text/builtin/{name}.parquet" for name in IDS}
    for seed, (name, path) in enumerate(paths.items()):
        vectors = np.random.default_rng(seed).random((3, 4), np.float32)
        parts = vectors, np.ones(3, np.float32), np.ones(3, bool)
        Embeddings(*parts).write(path, pd.Series(IDS[name]))
    return paths


def predicted(path, ids=ALL):
    values = np.random.default_rng(len(ids)).random((1, len(ids), 2))
    Predictions(pd.Series(ids), values, values).write(path)
    return path


def test_whole_files_are_read(embedded):
    assert read_all(map(str, embedded.values()), ALL).vectors.shape == (6, 4)


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_a_truncated_file_is_named(embedded, kept):
    content = embedded["B"].read_bytes()
    embedded["B"].write_bytes(content[:kept])
    with pytest.raises(InputError, match=r"builtin/B\.parquet: .*delete it and run again"):
        read_all(map(str, embedded.values()), ALL)


def test_no_flipped_bit_is_read_as_another_value(embedded):
    paths = [str(embedded["A"])]
    whole = read_all(paths, IDS["A"])
    content = embedded["A"].read_bytes()
    found = 0
    for place in range(0, len(content), 3):
        rotten = bytearray(content)
        rotten[place] ^= 1 << place % 8
        embedded["A"].write_bytes(rotten)
        try:
            read = read_all(paths, IDS["A"])
            for name in ("vectors", "norms", "present"):
                np.testing.assert_array_equal(getattr(read, name), getattr(whole, name))
        except InputError as error:
            found += "builtin/A.parquet: " in str(error)
    assert found > len(content) / 12


def test_swapped_data_sets_are_found_out(embedded):
    shutil.copy(embedded["B"], embedded["A"])
    said = r"A\.parquet: was written as 'text/builtin/B\.parquet', .*delete it and run again"
    with pytest.raises(InputError, match=said):
        read_all(map(str, embedded.values()), ALL)


def test_a_swapped_modality_or_encoder_is_found_out(embedded, tmp_path):
    other = tmp_path / "image/builtin/A.parquet"
    other.parent.mkdir(parents=True)
    shutil.copy(embedded["A"], other)
    with pytest.raises(InputError, match=r"image/builtin/A\.parquet: was written as 'text/"):
        read_all([str(other)], IDS["A"])


def test_embeddings_of_another_run_are_found_out(embedded):
    with pytest.raises(InputError, match=r"B\.parquet: column sample_id: row 3 of 3 is 'B_2'"):
        read_all(map(str, embedded.values()), [*ALL[:-1], "B_9"])
    with pytest.raises(InputError, match=r"B\.parquet: .* is missing where 'B_3' of 4"):
        read_all(map(str, embedded.values()), [*ALL, "B_3"])


def test_a_whole_folder_may_be_moved(embedded, tmp_path):
    (tmp_path / "text").rename(tmp_path / "moved")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "moved").rename(tmp_path / "elsewhere/text")
    paths = [str(tmp_path / f"elsewhere/text/builtin/{name}.parquet") for name in IDS]
    assert read_all(paths, ALL).present.all()


def test_predictions_of_another_router_are_found_out(tmp_path):
    own, other = (tmp_path / f"routers/{row}/0/predictions.parquet" for row in ("knn", "linear"))
    shutil.copy(predicted(other), predicted(own))
    with pytest.raises(InputError, match=r"knn/0/predictions\.parquet: was written as 'linear/0/"):
        Predictions.read(own, ALL)


def test_predictions_of_another_run_are_found_out(tmp_path):
    path = predicted(tmp_path / "predictions.parquet", IDS["A"])
    assert len(Predictions.read(path, IDS["A"]).sample_ids) == 3
    with pytest.raises(InputError, match=r"row 1 of 3 is 'A_0' where 'B_0' of 3"):
        Predictions.read(path, IDS["B"])


def test_features_of_another_salt_are_found_out(tmp_path):
    first, second = tmp_path / "features/mean/0.parquet", tmp_path / "features/mean/1.parquet"
    write_vectors(first, ALL, np.ones((6, 2), np.float32))
    shutil.copy(first, second)
    assert read_vectors([str(first)], ALL).shape == (6, 2)
    with pytest.raises(InputError, match=r"1\.parquet: was written as 'features/mean/0\.parquet'"):
        read_vectors([str(second)], ALL)


def test_splits_of_another_run_are_found_out(make_table, tmp_path):
    table = make_table()
    table.write(tmp_path / "outcomes")
    write_json(tmp_path / "outcomes/pool.json", {"unit_usd": 1.0})
    ids = table.samples["sample_id"]
    places = tmp_path / "outcomes", tmp_path / "splits.parquet", "0"
    write_frame(places[1], pd.DataFrame({"sample_id": ids, "0": True}))
    assert Benchmark.read(*places).in_train.all()
    write_frame(places[1], pd.DataFrame({"sample_id": ids[::-1].to_numpy(), "0": True}))
    with pytest.raises(InputError, match=r"splits\.parquet: column sample_id: row 1 of"):
        Benchmark.read(*places)
