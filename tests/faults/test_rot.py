"""Stored files that rot are found out by their content and named, with the way to new ones."""

import shutil

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mmroute.cli import app
from mmroute.errors import DamagedFile, InputError
from mmroute.features.embeddings import Embeddings, read_all
from mmroute.outcome_table import OutcomeTable
from mmroute.outcomes.benchmark import Benchmark
from mmroute.outcomes.splits import SLICE
from mmroute.predictions import Predictions
from mmroute.presentation.tables import read_by_router
from mmroute.provenance import digests
from mmroute.storage import (
    read_json,
    read_table,
    read_vectors,
    write_frame,
    write_json,
    write_vectors,
)

IDS = {"A": ["A_0", "A_1", "A_2"], "B": ["B_0", "B_1", "B_2"]}
ALL = [*IDS["A"], *IDS["B"]]


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results/run"


@pytest.fixture
def embedded(results):
    """Return the paths of the embeddings of two data sets of the same shape."""
    paths = {name: results / f"embeddings/text/builtin/{name}.parquet" for name in IDS}
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
    with pytest.raises(InputError, match=r"builtin/B\.parquet: .* --forcerun .*B\.parquet$"):
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
    said = r"A\.parquet: was written as 'embeddings/text/builtin/B\.parquet'; make it anew: mmroute"
    with pytest.raises(InputError, match=said):
        read_all(map(str, embedded.values()), ALL)


def test_a_swapped_modality_or_encoder_is_found_out(embedded, results):
    other = results / "embeddings/image/builtin/A.parquet"
    other.parent.mkdir(parents=True)
    shutil.copy(embedded["A"], other)
    with pytest.raises(
        InputError, match=r"image/builtin/A\.parquet: was written as 'embeddings/text/"
    ):
        read_all([str(other)], IDS["A"])


def test_embeddings_of_another_run_are_found_out(embedded):
    with pytest.raises(InputError, match=r"B\.parquet: column sample_id: row 3 of 3 is 'B_2'"):
        read_all(map(str, embedded.values()), [*ALL[:-1], "B_9"])
    with pytest.raises(InputError, match=r"B\.parquet: .* is missing where 'B_3' of 4"):
        read_all(map(str, embedded.values()), [*ALL, "B_3"])


def test_a_whole_run_may_be_moved_and_renamed(embedded, results, tmp_path):
    (tmp_path / "archive").mkdir()
    for moved in (results.with_name("other"), tmp_path / "archive/run"):
        results = results.rename(moved)
        paths = [str(moved / f"embeddings/text/builtin/{name}.parquet") for name in IDS]
        assert read_all(paths, ALL).present.all()


def test_predictions_of_another_router_are_found_out(results):
    own, other = (results / f"routers/{row}/0/predictions.parquet" for row in ("knn", "linear"))
    shutil.copy(predicted(other), predicted(own))
    with pytest.raises(
        InputError, match=r"knn/0/predictions\.parquet: was written as 'routers/linear/"
    ):
        Predictions.read(own, ALL)


def test_predictions_of_another_run_are_found_out(tmp_path):
    path = predicted(tmp_path / "predictions.parquet", IDS["A"])
    assert len(Predictions.read(path, IDS["A"]).sample_ids) == 3
    with pytest.raises(InputError, match=r"row 1 of 3 is 'A_0' where 'B_0' of 3"):
        Predictions.read(path, IDS["B"])


def test_features_of_another_salt_are_found_out(results):
    first, second = (results / f"features/mean/{salt}.parquet" for salt in "01")
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
    own = {SLICE: table.samples["dataset"], "0": True}
    write_frame(places[1], pd.DataFrame({"sample_id": ids} | own))
    assert Benchmark.read(*places).in_train.all()
    write_frame(places[1], pd.DataFrame({"sample_id": ids[::-1].to_numpy()} | own))
    with pytest.raises(InputError, match=r"splits\.parquet: column sample_id: row 1 of"):
        Benchmark.read(*places)


@pytest.mark.parametrize("name", ["samples", "models", "utility", "prediction"])
def test_outcomes_in_each_others_place_are_found_out(make_table, results, name):
    make_table().write(results / "outcomes")
    (results / "outcomes/.snakemake_timestamp").touch()
    assert len(OutcomeTable.read(results / "outcomes").samples)
    shutil.copy(results / "outcomes/cost.parquet", results / f"outcomes/{name}.parquet")
    said = rf"outcomes/{name}\.parquet: was written as 'outcomes/cost\.parquet'; .*/outcomes$"
    with pytest.raises(DamagedFile, match=said):
        OutcomeTable.read(results / "outcomes")


def test_outcomes_of_another_run_are_found_out(make_table, results):
    make_table().write(results / "outcomes")
    other = make_table()
    other.take(np.arange(len(other.samples) - 1)).write(results.with_name("other") / "outcomes")
    shutil.copy(results.with_name("other") / "outcomes/cost.parquet", results / "outcomes")
    with pytest.raises(
        DamagedFile, match=r"run/outcomes/cost\.parquet: holds other samples or mod"
    ):
        OutcomeTable.read(results / "outcomes")


def test_a_file_that_is_gone_from_a_stored_folder_is_damage(make_table, results):
    make_table().write(results / "outcomes")
    (results / "outcomes/cost.parquet").unlink()
    with pytest.raises(DamagedFile, match=r"outcomes/cost\.parquet: no such file"):
        OutcomeTable.read(results / "outcomes")


def test_results_of_another_router_are_found_out(results):
    own, other = (
        results / f"evaluation/routers/{row}/0/bands.parquet" for row in ("knn", "linear")
    )
    for path in (own, other):
        write_frame(path, pd.DataFrame({"dataset": ["full"], "replicates": [[0.5, 0.25]]}))
    assert len(read_by_router(["knn"], [str(own)])) == 1
    shutil.copy(other, own)
    with pytest.raises(DamagedFile, match=r"knn/0/bands\.parquet: was written as 'evaluation/rou"):
        read_by_router(["knn"], [str(own)])


def test_a_file_that_no_run_has_written_is_found_out(results):
    results.mkdir(parents=True)
    pd.DataFrame({"a": [1]}).to_parquet(results / "a.parquet")
    with pytest.raises(DamagedFile, match=r"a\.parquet: was not written by this version"):
        read_table(results / "a.parquet")


def test_what_a_disk_or_a_guard_refuses_is_no_damage(results):
    results.mkdir(parents=True)
    (results / "a.json").symlink_to("a.json")
    with pytest.raises(OSError, match=r"a\.json"):
        read_json(results / "a.json")
    (results / "a.parquet").symlink_to("a.parquet")
    with pytest.raises(OSError, match=r"a\.parquet"):
        read_table(results / "a.parquet")


def test_verify_says_how_to_make_anew_what_rotted(make_table, results, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_table().write(results / "outcomes")
    (results / "outcomes/.snakemake_timestamp").touch()
    write_json(results / "pool size.json", 3)
    write_json(results / "provenance.json", {"files": digests(results, threads=1)})
    write_json(results / ".outcomes.damaged/pool.json", {})
    write_json(results / "pool size.json", 4)
    (results / "outcomes/cost.parquet").unlink()
    done = CliRunner().invoke(app, ["verify", "results/run"])
    assert done.exit_code == 2
    assert done.stdout.splitlines() == [
        "missing: outcomes/cost.parquet",
        "changed: pool size.json",
        "6 as recorded, 1 missing, 1 changed, 0 new",
        "make them anew: mmroute run CONFIG --forcerun results/run/outcomes "
        "'results/run/pool size.json'",
    ]
