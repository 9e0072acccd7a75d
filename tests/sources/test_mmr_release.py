import tarfile
from typing import Annotated

import numpy as np
import pandas as pd
import pytest
from annotated_types import Ge, Gt

from mmroute.catalogue import catalogue
from mmroute.errors import InputError
from mmroute.sources.mmr_release import SCENARIOS, MmrRelease
from mmroute.storage import digest_bytes


def release(folder, rows, images=(), csv="MMR_Bench.csv"):
    """Write a miniature release whose images contain their own path."""
    folder.mkdir(parents=True, exist_ok=True)
    defaults = {"question": "why?", "answer": "B", "m_correct": "1", "m_cost": "0.5"}
    frame = pd.DataFrame([{**defaults, **row} for row in rows])
    frame.to_csv(folder / csv, index=False)
    for image in images:
        (folder / image).parent.mkdir(parents=True, exist_ok=True)
        (folder / image).write_bytes(image.encode())
    return folder


def read(folder, scratch=None):
    source = MmrRelease(path=str(folder))
    return source.read(source.fetch(scratch or folder / "unused"))


def images_of(table):
    return [None if pd.isna(image) else image for image in table.samples["image"]]


def test_a_release_becomes_an_outcome_table(tmp_path):
    rows = [
        {
            "dataset_idx": "MathVision_1",
            "level": "3",
            "m_token": "7",
            "m_prediction": "B",
            "n_correct": "0",
            "n_prompt_token": "11",
        },
        {
            "dataset_idx": "Own_set_a",
            "question": "",
            "answer": "",
            "m_correct": "",
            "n_correct": "True",
        },
    ]
    table = read(release(tmp_path / "r", rows, ["MathVision/1.jpg", "Own_set/a.png"]))
    samples = table.samples
    assert samples["sample_id"].tolist() == ["MathVision_1", "Own_set_a"]
    assert samples["dataset"].tolist() == ["MathVision", "Own_set"]
    assert samples["scenario"].tolist() == ["Math", "Own_set"]
    assert samples["question"].tolist() == ["why?", ""]
    assert samples["answer"].isna().tolist() == [False, True]
    assert samples["tag_level"].tolist() == ["3", ""]
    assert samples["image"].tolist() == ["MathVision/1.jpg", "Own_set/a.png"]
    assert samples["image_digest"].tolist() == [
        digest_bytes(b"MathVision/1.jpg"),
        digest_bytes(b"Own_set/a.png"),
    ]
    assert table.models["model"].tolist() == ["m", "n"]
    np.testing.assert_array_equal(table.utility, [[1, 0], [np.nan, 1]])
    np.testing.assert_array_equal(table.cost, [[0.5, np.nan], [0.5, np.nan]])
    np.testing.assert_array_equal(table.completion_tokens, [[7, np.nan], [np.nan, np.nan]])
    np.testing.assert_array_equal(table.prompt_tokens, [[np.nan, 11], [np.nan, np.nan]])
    assert table.prediction.tolist() == [["B", None], [None, None]]
    assert [name for name in samples if name.startswith("tag_")] == ["tag_level"]


def test_texts_are_kept_as_they_are(tmp_path):
    texts = ["NA", "None", 'a "b",\nc', "$\\frac{1}{2}$", "字é😀", "007"]
    rows = [{"dataset_idx": f"X_{i}", "question": t, "answer": t} for i, t in enumerate(texts)]
    samples = read(release(tmp_path, rows)).samples
    assert samples["question"].tolist() == texts
    assert samples["answer"].tolist() == texts


def test_the_seven_data_sets_have_their_scenarios(tmp_path):
    rows = [{"dataset_idx": f"{name}_0"} for name in SCENARIOS]
    images = ["SEEDBenchv2Plus/0.jpg", "MMStar/0.webp"]
    samples = read(release(tmp_path, rows, images)).samples.set_index("dataset")
    assert samples.groupby("scenario").size().to_dict() == {"OCR": 2, "VQA": 2, "Math": 3}
    assert samples.loc["SEEDBench2_Plus", "image"] == "SEEDBenchv2Plus/0.jpg"
    assert samples.loc["MMStar", "image"] == "MMStar/0.webp"


def test_the_newer_name_of_the_csv_is_read(tmp_path):
    table = read(release(tmp_path, [{"dataset_idx": "X_1"}], csv="MMR-Bench.csv"))
    assert len(table.samples) == 1


@pytest.mark.filterwarnings("error")
def test_jpg_comes_before_png_and_a_missing_image_is_null(tmp_path):
    rows = [{"dataset_idx": "X_1"}, {"dataset_idx": "X_2"}]
    table = read(release(tmp_path, rows, ["X/1.png", "X/1.jpg", "Y/2.jpg"]))
    assert images_of(table) == ["X/1.jpg", None]
    assert table.samples["image_digest"].isna().tolist() == [False, True]


def test_img_path_wins_and_an_empty_one_falls_back(tmp_path):
    rows = [
        {"dataset_idx": "X_1", "img_path": "other/pic.gif"},
        {"dataset_idx": "X_2", "img_path": ""},
        {"dataset_idx": "X_3", "img_path": "other/gone.jpg"},
        {"dataset_idx": "X_4", "img_path": str(tmp_path / "X/1.jpg")},
    ]
    images = ["other/pic.gif", "X/1.jpg", "X/2.jpg", "X/3.jpg"]
    said = r"MMR_Bench\.csv: column 'img_path': 1 of 3 .* such as 'other/gone\.jpg' of 'X_3'"
    with pytest.warns(UserWarning, match=said) as warned:
        table = read(release(tmp_path, rows, images))
    assert len(warned) == 1
    assert images_of(table) == ["other/pic.gif", "X/2.jpg", None, "X/1.jpg"]
    assert "tag_img_path" not in table.samples


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd"])
def test_an_img_path_out_of_the_release_is_refused(tmp_path, path):
    release(tmp_path, [{"dataset_idx": "X_1", "img_path": path}])
    with pytest.raises(InputError, match=f"'img_path' of 'X_1' holds '{path}'"):
        read(tmp_path)


def test_an_id_cannot_reach_out_of_the_release(tmp_path):
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    folder = release(tmp_path / "r", [{"dataset_idx": "X_../../secret"}], ["X/1.jpg"])
    assert images_of(read(folder)) == [None]


def test_images_in_an_archive_are_unpacked_below_the_fetch_folder(tmp_path):
    rows = [{"dataset_idx": "X_1"}, {"dataset_idx": "Y_1", "img_path": "Y/1.jpg"}]
    folder = release(tmp_path / "r", rows, ["images/X/1.jpg", "Y/1.jpg"])
    with tarfile.open(folder / "images.tar.gz", "w:gz") as archive:
        archive.add(folder / "images", "images")
    (folder / "images/X/1.jpg").unlink()
    before = sorted(folder.rglob("*"))
    fetched = tmp_path / "fetched"
    for _ in range(2):
        table = read(folder, fetched)
        assert images_of(table) == ["images/images/X/1.jpg", "release/Y/1.jpg"]
    assert (fetched / "images/images/X/1.jpg").read_bytes() == b"images/X/1.jpg"
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("limit", "key"),
    [({"max_members": 1}, r"source\.max_members"), ({"max_gigabytes": 2e-8}, "max_gigabytes")],
)
def test_the_config_limits_what_an_archive_may_hold(tmp_path, limit, key):
    folder = release(tmp_path / "r", [{"dataset_idx": "X_1"}], ["images/X/1.jpg", "images/2.jpg"])
    with tarfile.open(folder / "images.tar.gz", "w:gz") as archive:
        archive.add(folder / "images/X/1.jpg", "X/1.jpg")
        archive.add(folder / "images/2.jpg", "X/2.jpg")
    with pytest.raises(InputError, match=rf"images\.tar\.gz: more than .*{key}"):
        MmrRelease(path=str(folder), **limit).fetch(tmp_path / "fetched")
    assert not (tmp_path / "fetched/images").exists()
    fetched = MmrRelease(path=str(folder), max_members=2, max_gigabytes=1e-7).fetch(tmp_path / "f")
    assert (fetched / "images/X/1.jpg").read_bytes() == b"images/X/1.jpg"


def test_the_limits_are_keys_of_the_config():
    parameters = catalogue("sources")["mmr_release"].parameters
    assert parameters["max_members"] == (Annotated[int, Ge(1)], 1_000_000)
    assert parameters["max_gigabytes"] == (Annotated[float, Gt(0)], 200)


def test_a_local_release_is_read_in_place(tmp_path):
    folder = release(tmp_path / "r", [{"dataset_idx": "X_1"}], ["X/1.jpg"])
    assert MmrRelease(path=str(folder)).fetch(tmp_path / "fetched") == folder
    assert not (tmp_path / "fetched").exists()


def test_the_fingerprint_changes_with_the_csv_and_the_images(tmp_path):
    folder = release(tmp_path, [{"dataset_idx": "X_1"}], ["X/1.jpg"])
    source = MmrRelease(path=str(folder))
    assert source.local_files() == [folder / "MMR_Bench.csv"]
    first = source.fingerprint()
    assert source.fingerprint() == first
    (folder / "X/1.jpg").write_bytes(b"another picture")
    second = source.fingerprint()
    (folder / "images.tar.gz").write_bytes(b"")
    assert len({first, second, source.fingerprint()}) == 3
    assert MmrRelease(repo="a/b", revision="main").local_files() == []


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ({}, r"source\.path and source\.repo"),
        ({"path": "p", "repo": "a/b", "revision": "r"}, r"source\.path and source\.repo"),
        ({"repo": "a/b"}, r"source\.revision: missing"),
        ({"path": "p", "revision": "r"}, r"source\.revision"),
    ],
)
def test_either_a_path_or_a_pinned_repo(arguments, key):
    with pytest.raises(InputError, match=key):
        MmrRelease(**arguments)


def test_a_folder_without_the_csv_is_named(tmp_path):
    source = MmrRelease(path=str(tmp_path / "gone"))
    for call in (source.local_files, lambda: source.fetch(tmp_path / "f")):
        with pytest.raises(InputError, match=r"gone: no .*MMR_Bench\.csv.*source\.path"):
            call()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"dataset_idx": "X_1", "m_correct": "perhaps"}, "'m_correct' of 'X_1' holds 'perhaps'"),
        ({"dataset_idx": "X_1", "m_cost": "$1"}, r"'m_cost' of 'X_1' holds '\$1'"),
        ({"dataset_idx": "X_1", "m_token": "x"}, "'m_token' of 'X_1' holds 'x'"),
        ({"dataset_idx": "17"}, "'dataset_idx' holds '17' in row 1"),
        ({"dataset_idx": ""}, "'dataset_idx' holds '' in row 1"),
        ({"dataset_idx": "X_"}, "'dataset_idx' holds 'X_' in row 1"),
        ({"id": "X_1"}, "no column 'dataset_idx'"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path, row, said):
    release(tmp_path, [row])
    with pytest.raises(InputError, match=rf"MMR_Bench\.csv: .*{said}"):
        read(tmp_path)


def test_duplicate_ids_are_left_to_the_check_of_the_finished_table(tmp_path):
    table = read(release(tmp_path, [{"dataset_idx": "X_1"}, {"dataset_idx": "X_1"}], ["X/1.jpg"]))
    assert images_of(table) == ["X/1.jpg", "X/1.jpg"]


def test_the_column_of_groups_can_be_named_and_must_be_there(tmp_path):
    rows = [{"dataset_idx": f"Own_{number}", "seed": number // 2} for number in range(4)]
    folder = release(tmp_path / "r", rows)
    source = MmrRelease(path=str(folder), group="seed")
    samples = source.read(folder).samples
    assert samples["group"].tolist() == ["0", "0", "1", "1"]
    assert "tag_seed" not in samples
    assert read(folder).samples["group"].eq("").all()
    with pytest.raises(InputError, match=r"source.group: .* has no column 'variant'; it has"):
        MmrRelease(path=str(folder), group="variant").read(folder)
