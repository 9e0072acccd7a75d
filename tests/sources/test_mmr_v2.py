"""MMR-Bench V2, in miniature: three models, two tasks, several images, failures."""

import os
import warnings

import numpy as np
import pandas as pd
import pytest

from mmroute.errors import InputError
from mmroute.outcome_table import validate
from mmroute.sources.mmr_release import MmrRelease
from mmroute.storage import digest_bytes

INSTANCES = {
    "ERQA": [
        ("ERQA_0", "Which one?", ["images/ERQA/0_0.png", "images/ERQA/0_1.png"]),
        ("ERQA_1", "Where?", ["images/ERQA/1.png"]),
    ],
    "MathVista_MINI": [("MathVista_MINI_7", "How many?", ["images/MathVista/7.jpg"])],
}
RESULTS = {
    "gpt": {
        "ERQA": [("ERQA_0", 1.0, 0.002, "ok", "B"), ("ERQA_1", None, None, "api_error", None)],
        "MathVista_MINI": [("MathVista_MINI_7", 0.25, 0.0, "ok", "3")],
    },
    "Qwen/Qwen3-VL": {
        "ERQA": [("ERQA_1", 1.0, 0.001, "ok", "A"), ("ERQA_0", 0.0, 0.001, "timeout", "")],
        "MathVista_MINI": [("MathVista_MINI_7", None, 0.001, "ok", "")],
    },
    "ovis": {"ERQA": [("ERQA_0", 0.0, None, "ok", "C"), ("ERQA_1", 0.5, 0.003, "ok", "D")]},
}
PICTURES = ("images/ERQA/0_0.png", "images/ERQA/0_1.png", "images/MathVista/7.jpg")
FILES = {
    "data/instances/ERQA.parquet",
    "data/instances/MathVista_MINI.parquet",
    "data/results/gpt/ERQA.parquet",
    "data/results/gpt/MathVista_MINI.parquet",
    "data/results/Qwen/Qwen3-VL/ERQA.parquet",
    "data/results/Qwen/Qwen3-VL/MathVista_MINI.parquet",
    "data/results/ovis/ERQA.parquet",
}


def write(path, frame):
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(path)


def release(folder, images=None):
    for task, rows in INSTANCES.items():
        frame = pd.DataFrame(rows, columns=["sample_id", "prompt_text", "images"])
        frame = frame.assign(benchmark=task, level=[str(n) for n in range(len(rows))])
        write(folder / f"data/instances/{task}.parquet", frame)
    for model, tasks in RESULTS.items():
        for task, rows in tasks.items():
            columns = ["sample_id", "score", "cost", "status", "prediction"]
            frame = pd.DataFrame(rows, columns=columns).astype({"score": float, "cost": float})
            frame = frame.assign(benchmark=task, model_id=model, cost_unit="USD")
            write(folder / f"data/results/{model}/{task}.parquet", frame)
    for name in PICTURES:
        path = (images or folder / "LMUData") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return folder


def change(path, **columns):
    pd.read_parquet(path).assign(**columns).to_parquet(path)


def read(folder, scratch=None, **arguments):
    source = MmrRelease(str(folder), **arguments)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = source.read(source.fetch(scratch or folder / "unused"))
    return table, [str(warning.message) for warning in caught]


def test_a_release_becomes_an_outcome_table(tmp_path):
    table, said = read(release(tmp_path / "r"))
    validate(table, "here")
    samples = table.samples
    assert samples["sample_id"].tolist() == ["ERQA_0", "ERQA_1", "MathVista_MINI_7"]
    assert samples["dataset"].tolist() == ["ERQA", "ERQA", "MathVista_MINI"]
    assert samples["scenario"].tolist() == ["ERQA", "ERQA", "Math"]
    assert samples["question"].tolist() == ["Which one?", "Where?", "How many?"]
    assert samples["tag_level"].tolist() == ["0", "1", "0"]
    assert samples["image"].isna().tolist() == [False, True, False]
    both = ("images/ERQA/0_0.png", "images/ERQA/0_1.png")
    assert samples["image"][0] == "//".join(f"LMUData/{name}" for name in both)
    assert samples["image_digest"][0] == "//".join(digest_bytes(name.encode()) for name in both)
    assert samples["image_digest"][1] == "unknown images/ERQA/1.png"
    models = ["Qwen/Qwen3-VL", "gpt", "ovis"]
    assert table.model_names == models
    nan = np.nan
    np.testing.assert_array_equal(table.utility, [[nan, 1, 0], [1, nan, 0.5], [nan, 0.25, nan]])
    np.testing.assert_array_equal(
        table.cost, [[nan, 0.002, nan], [0.001, nan, 0.003], [0.001, 0, nan]]
    )
    assert np.isnan(table.prompt_tokens).all()
    assert np.isnan(table.completion_tokens).all()
    assert table.prediction.tolist() == [[None, "B", "C"], ["A", None, "D"], [None, "3", None]]
    place = f"{tmp_path / 'r'}: "
    assert said == [
        f"{place}3 of 8 outcomes are missing, by status: timeout 1, ok, but without a score 1, "
        "api_error 1",
        f"{place}costs are MMR-Bench V2's estimates, from recorded output only: neither prompts, "
        "images nor unrecorded reasoning are in them, and the release calls 29 of its 44 prices of "
        "low confidence",
        f"{place}1 of 4 images are no files below {tmp_path / 'r/LMUData'}, such as "
        "'LMUData/images/ERQA/1.png' of 'ERQA_1'; their samples have no image, or fewer, set "
        "source.images to VLMEvalKit's folder LMUData",
    ]


def test_the_folder_of_images_can_lie_elsewhere(tmp_path):
    folder = release(tmp_path / "r", tmp_path / "mine")
    table, _ = read(folder, tmp_path / "fetched", images=str(tmp_path / "mine"))
    assert table.samples["image"].notna().tolist() == [True, False, True]
    image = tmp_path / "fetched" / table.samples["image"][2]
    assert image.read_bytes() == b"images/MathVista/7.jpg"
    with pytest.raises(InputError, match=r"source\.images: .*gone is no folder"):
        MmrRelease(str(folder), images=str(tmp_path / "gone")).fetch(tmp_path / "f")
    table, _ = read(folder)
    assert table.samples["image"].isna().all()
    assert table.samples["image_digest"][0] == (
        "unknown images/ERQA/0_0.png//unknown images/ERQA/0_1.png"
    )


def test_of_several_images_those_that_are_there_count_and_all_tell_samples_apart(tmp_path):
    folder = release(tmp_path / "r")
    (folder / "LMUData/images/ERQA/0_0.png").unlink()
    table, said = read(folder)
    assert table.samples["image"][0] == "LMUData/images/ERQA/0_1.png"
    there = digest_bytes(b"images/ERQA/0_1.png")
    assert table.samples["image_digest"][0] == f"unknown images/ERQA/0_0.png//{there}"
    assert "2 of 4 images are no files" in said[-1]
    assert "'LMUData/images/ERQA/0_0.png' of 'ERQA_0'" in said[-1]


def test_the_hub_gives_what_the_folder_gives(tmp_path, check_on_hub):
    folder = release(tmp_path / "r", tmp_path / "mine")
    (folder / "MMR_Bench_V2.csv").write_text("sample_id\n")
    check_on_hub(MmrRelease, folder, FILES, images=str(tmp_path / "mine"))


def test_the_fingerprint_changes_with_tables_and_images(tmp_path):
    folder = release(tmp_path / "r", tmp_path / "mine")
    source = MmrRelease(str(folder), images=str(tmp_path / "mine"))
    assert set(source.local_files()) == {folder / name for name in FILES}
    first = source.fingerprint()
    (tmp_path / "mine/images/ERQA/1.png").write_bytes(b"now there")
    second = source.fingerprint()
    change(folder / "data/results/gpt/ERQA.parquet", score=0.5)
    assert len({first, second, source.fingerprint()}) == 3


def test_the_fingerprint_of_the_hubs_tables_changes_with_images_of_ones_own(tmp_path):
    place = {"repo": "o/n", "revision": "v1"}
    assert MmrRelease(**place).fingerprint() == ""
    release(tmp_path / "r", tmp_path / "mine")
    source = MmrRelease(**place, images=str(tmp_path / "mine"))
    first = source.fingerprint()
    (tmp_path / "mine/notes.txt").write_text("no image")
    assert source.fingerprint() == first
    (tmp_path / "mine/images/ERQA/0_0.png").write_bytes(b"another")
    second = source.fingerprint()
    (tmp_path / "mine/images/ERQA/1.png").write_bytes(b"now there")
    assert len({"", first, second, source.fingerprint()}) == 4


def test_a_column_of_groups_may_be_named(tmp_path):
    folder = release(tmp_path / "r")
    table, _ = read(folder, group="level")
    assert table.samples["group"].tolist() == ["0", "1", "0"]
    assert "tag_level" not in table.samples
    with pytest.raises(InputError, match=r"source\.group: .*ERQA\.parquet has no column 'g'; it"):
        read(folder, group="g")


def test_long_answers_are_cut_and_said(tmp_path):
    folder = release(tmp_path / "r")
    change(folder / "data/results/gpt/ERQA.parquet", prediction=["x" * 1001, "no outcome"])
    table, said = read(folder)
    assert table.prediction[0, 1] == "x" * 1000
    assert any("1 answers were cut after 1,000 characters (such as 'ERQA_0')" in s for s in said)


def test_images_have_no_key_in_the_first_release(tmp_path):
    rows = {"dataset_idx": ["X_1"], "question": "?", "m_correct": "1", "m_cost": "1"}
    pd.DataFrame(rows).to_csv(tmp_path / "MMR_Bench.csv", index=False)
    source = MmrRelease(str(tmp_path), images=str(tmp_path))
    with pytest.raises(InputError, match=r"source\.images: .* no meaning for .*MMR_Bench\.csv"):
        source.read(source.fetch(tmp_path / "f"))


@pytest.mark.parametrize(
    ("name", "columns", "said"),
    [
        ("results/gpt", {"score": [1.5, 0]}, "'score' of 'ERQA_0' holds '1.5', .* from 0 to 1"),
        ("results/gpt", {"cost": [-1, 0]}, "'cost' of 'ERQA_0' holds '-1', .* at least 0"),
        ("results/gpt", {"cost_unit": "EUR"}, "'cost_unit' of 'ERQA_0' holds 'EUR'; .* in USD"),
        ("results/gpt", {"sample_id": ["ERQA_0", "x"]}, "'sample_id' holds 'x', which is no"),
        ("results/gpt", {"sample_id": "ERQA_0", "status": "ok"}, "'ERQA_0' stands twice for mod"),
        ("results/gpt", {"model_id": ["a", "b"]}, "'model_id' holds 'a', 'b'; name one model"),
        ("results/gpt", {"model_id": "ovis"}, "ovis/ERQA.parquet: .* twice for model 'ovis'"),
        ("instances", {"sample_id": ["a", ""]}, "'sample_id' is empty in row 2; fill it"),
        ("instances", {"sample_id": "a"}, "'sample_id' holds 'a', which another row has too"),
        ("instances", {"images": "a.png"}, "column 'images' holds large_string, not lists of text"),
        ("instances", {"images": [["../../x"], []]}, "'images' of 'ERQA_0' holds '../../x'"),
        ("instances", {"images": [[], ["a", "../x"]]}, "'images' of 'ERQA_1' holds '../x'"),
        ("instances", {"images": [["/etc/x"], []]}, "'images' of 'ERQA_0' holds '/etc/x'"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, name, columns, said):
    folder = release(tmp_path / "r")
    change(folder / f"data/{name}/ERQA.parquet", **columns)
    with pytest.raises(InputError, match=said) as caught:
        read(folder)
    assert "\n" not in str(caught.value)
    assert "ERQA" in str(caught.value) or "images" in columns


@pytest.mark.parametrize("column", ["sample_id", "model_id", "score", "cost_unit", "status"])
def test_a_column_that_is_not_there_is_named(tmp_path, column):
    path = release(tmp_path / "r") / "data/results/gpt/ERQA.parquet"
    pd.read_parquet(path).drop(columns=column).to_parquet(path)
    with pytest.raises(InputError, match=rf"gpt/ERQA\.parquet: no column '{column}'; MMR-Bench V2"):
        read(tmp_path / "r")


def test_a_model_may_be_called_like_a_folder_of_the_layout(tmp_path):
    folder = release(tmp_path / "r")
    (folder / "data/results/gpt").rename(folder / "data/results/instances")
    assert read(folder)[0].model_names == ["Qwen/Qwen3-VL", "gpt", "ovis"]


def test_results_without_instances_are_named(tmp_path):
    folder = release(tmp_path / "r")
    (folder / "data/instances/ERQA.parquet").unlink()
    with pytest.raises(InputError, match=r"no instances ERQA\.parquet below .*data/instances; add"):
        read(folder)


def test_a_damaged_table_is_named(tmp_path):
    path = release(tmp_path / "r") / "data/results/gpt/ERQA.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"gpt/ERQA\.parquet: not readable as PARQUET"):
        read(tmp_path / "r")


def test_what_is_no_file_or_has_no_name_in_utf8_is_passed_over(tmp_path):
    folder = release(tmp_path / "r")
    os.mkfifo(folder / "data/results/gpt/pipe.parquet")
    (folder / os.fsdecode(b"data/instances/\xff.parquet")).write_bytes(b"")
    assert set(MmrRelease(str(folder)).local_files()) == {folder / name for name in FILES}
    assert read(folder)[0].utility.shape == (3, 3)
