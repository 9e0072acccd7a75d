import errno
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mmroute.errors import InputError
from mmroute.outcome_table import validate
from mmroute.sources.routereval import ARCHIVE, SPLITS, RouterEval

SIZES = {"train": 3, "val": 1, "test": 2}


def pool(models):
    return {
        "model": models,
        "data": {
            f"{split}_score": np.arange(SIZES[split] * len(models)).reshape(-1, len(models)) % 2
            for split in SPLITS
        },
    }


def benchmark(*models):
    return {
        "prompt": {
            f"{split}_prompt": [f"{split} prompt {index}" for index in range(SIZES[split])]
            for split in SPLITS
        },
        "embedding": {f"{split}_embed": np.ones((SIZES[split], 4), "f4") for split in SPLITS},
        "easy": {5: {"strong_to_weak": pool(list(models)), "all_weak": pool(["weak"])}},
        "hard": {10: {"all_strong": pool(["strong", "stronger"])}},
    }


def release(folder, **benchmarks):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in benchmarks.items():
        (folder / f"{name}_router_dataset.pkl").write_bytes(pickle.dumps(content))
    return folder


def read(path, folder=Path("unused"), **arguments):
    source = RouterEval(path=str(path), **arguments)
    with pytest.warns(UserWarning, match=r"no token counts.*estimated.*completion_tokens"):
        return source.read(source.fetch(folder))


def test_a_benchmark_becomes_an_outcome_table(tmp_path):
    table = read(release(tmp_path, mmlu=benchmark("m", "n")), completion_tokens=3)
    validate(table, "here")
    assert table.model_names == ["m", "n"]
    np.testing.assert_array_equal(table.utility, [[0, 1]] * 6)
    assert np.isnan(table.cost).all()
    # "train prompt 0" has 14 bytes, "val prompt 0" 12 and "test prompt 0" 13.
    np.testing.assert_array_equal(table.prompt_tokens[:, 0], [4, 4, 4, 3, 4, 4])
    assert (table.completion_tokens == 3).all()
    samples = table.samples
    assert samples["sample_id"].tolist()[2:5] == ["mmlu_train_2", "mmlu_val_0", "mmlu_test_0"]
    assert samples["question"].tolist()[2:5] == ["train prompt 2", "val prompt 0", "test prompt 0"]
    assert samples["tag_split"].tolist() == ["train"] * 3 + ["val"] + ["test"] * 2
    assert samples["dataset"].unique().tolist() == ["mmlu"]
    assert samples["scenario"].unique().tolist() == ["mmlu"]
    assert samples[["answer", "image", "image_digest"]].isna().all(axis=None)


def test_benchmarks_are_joined_over_the_union_of_their_models(tmp_path):
    release(tmp_path, arc=benchmark("m", "n"), mmlu=benchmark("n"))
    table = read(tmp_path)
    assert table.model_names == ["m", "n"]
    assert table.samples["dataset"].tolist() == ["arc"] * 6 + ["mmlu"] * 6
    assert np.isnan(table.utility[6:, 0]).all()
    np.testing.assert_array_equal(table.utility[6:, 1], [0, 1, 0, 0, 0, 1])
    assert read(tmp_path, benchmark="mmlu").model_names == ["n"]


def test_another_pool_can_be_chosen(tmp_path):
    release(tmp_path, arc=benchmark("m"))
    assert read(tmp_path, group="all_weak").model_names == ["weak"]
    strong = read(tmp_path, level="hard", pool_size=10, group="all_strong")
    assert strong.model_names == ["strong", "stronger"]


def test_sizes_may_be_texts_and_scores_labels_in_lists(tmp_path):
    content = benchmark("m")
    content["easy"]["5"] = content["easy"].pop(5)
    data = content["easy"]["5"]["strong_to_weak"]["data"]
    data["train_label"] = data.pop("train_score").tolist()
    content["prompt"]["val_prompt"] = np.array([None], dtype=object)
    content["prompt"]["val_prompt"][0] = ["one", "two"]
    table = read(release(tmp_path, arc=content))
    assert table.utility[:3, 0].tolist() == [0, 1, 0]
    assert table.samples["question"].tolist()[3] == "one\n\ntwo"


@pytest.mark.parametrize("given", ["folder", "archive"])
def test_pickles_in_an_archive_are_unpacked_by_their_bare_names(tmp_path, given):
    inside = release(tmp_path / "inside", arc=benchmark("m"), mmlu=benchmark("n"))
    folder = tmp_path / "release"
    folder.mkdir()
    with zipfile.ZipFile(folder / ARCHIVE, "w") as archive:
        archive.write(inside / "arc_router_dataset.pkl", "../../arc_router_dataset.pkl")
        archive.write(inside / "mmlu_router_dataset.pkl", "router_dataset/mmlu_router_dataset.pkl")
        archive.writestr("../evil.txt", "evil")
    path = folder if given == "folder" else folder / ARCHIVE
    table = read(path, tmp_path / "fetched")
    assert table.samples["dataset"].unique().tolist() == ["arc", "mmlu"]
    assert sorted(one.name for one in (tmp_path / "fetched/unpacked").iterdir()) == [
        "arc_router_dataset.pkl",
        "mmlu_router_dataset.pkl",
    ]
    assert not (tmp_path / "evil.txt").exists()
    assert RouterEval(path=str(path)).local_files() == [folder / ARCHIVE]
    assert read(path, tmp_path / "other", benchmark="mmlu").model_names == ["n"]
    with pytest.raises(InputError, match=rf"{ARCHIVE}: holds no bbh_router_dataset\.pkl"):
        RouterEval(path=str(path), benchmark="bbh").fetch(tmp_path / "third")


def test_a_broken_archive_is_refused(tmp_path):
    (tmp_path / ARCHIVE).write_bytes(b"PK")
    with pytest.raises(InputError, match=rf"{ARCHIVE}: not readable as zip"):
        RouterEval(path=str(tmp_path)).fetch(tmp_path / "fetched")


def test_the_hub_gives_the_pickles_or_the_archive():
    source = RouterEval(repo="a/b", revision="main", benchmark="arc")
    paths = ["leaderboard_score.zip", ARCHIVE, "x/arc_router_dataset.pkl"]
    assert source.choose(paths) == paths[2:]
    assert source.choose(paths[:2]) == [ARCHIVE]
    assert source.choose(paths[:1]) == []
    assert source.local_files() == []


def zipped(folder, **benchmarks):
    """Write the archive of some benchmarks and return its folder."""
    inside = release(folder / "inside", **benchmarks)
    with zipfile.ZipFile(folder / ARCHIVE, "w") as archive:
        for path in sorted(inside.iterdir()):
            archive.write(path, f"router_dataset/{path.name}")
    shutil.rmtree(inside)
    return folder


def test_the_hub_gives_what_the_folder_gives(tmp_path, check_on_hub):
    folder = zipped(tmp_path / "r", bbh=benchmark("m"))
    release(folder / "x", arc=benchmark("m", "n"), mmlu=benchmark("n"))
    wanted = {f"x/{name}_router_dataset.pkl" for name in ("arc", "mmlu")}
    check_on_hub(RouterEval, folder, wanted)


def test_the_archive_of_the_hub_gives_what_the_folder_gives(tmp_path, check_on_hub):
    folder = zipped(tmp_path / "r", arc=benchmark("m", "n"), mmlu=benchmark("n"))
    (folder / "leaderboard_score.zip").write_bytes(b"not read")
    check_on_hub(RouterEval, folder, {ARCHIVE}, benchmark="arc")
    assert not list((tmp_path / "source").rglob("mmlu*"))


@pytest.mark.parametrize("form", [release, zipped])
def test_what_an_earlier_fetch_left_is_not_read(tmp_path, hub, form):
    def datasets(folder, **arguments):
        hub.serve(folder)
        source = RouterEval(repo="someone/release", revision="v1", **arguments)
        with pytest.warns(UserWarning, match="no token counts"):
            table = source.read(source.fetch(tmp_path / "source"))
        return table.samples["dataset"].unique().tolist()

    both = form(tmp_path / "both", arc=benchmark("m"), mmlu=benchmark("n"))
    one = form(tmp_path / "one", arc=benchmark("m"))
    assert datasets(both, benchmark="mmlu") == ["mmlu"]
    assert datasets(both) == ["arc", "mmlu"]
    assert datasets(one) == ["arc"]


def test_a_single_pickle_may_be_given(tmp_path):
    release(tmp_path, arc=benchmark("m"), mmlu=benchmark("n"))
    path = tmp_path / "arc_router_dataset.pkl"
    assert read(path).samples["dataset"].unique().tolist() == ["arc"]
    assert RouterEval(path=str(path)).local_files() == [path]
    with pytest.raises(InputError, match=rf"no <benchmark>_router_dataset\.pkl or {ARCHIVE}"):
        RouterEval(path=str(tmp_path / "gone")).local_files()


def change(keys, value):
    content = benchmark("m", "n")
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    if value is None:
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = value
    return content


EASY = ("easy", 5, "strong_to_weak")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([1], "no key 'easy' among none"),
        (change(("prompt",), None), "no key 'prompt' among 'embedding', 'easy', 'hard'"),
        (change(("prompt", "val_prompt"), None), "no key 'val_prompt'"),
        (change(("prompt", "val_prompt"), "text"), "'val_prompt' holds no list"),
        (change(("prompt", "val_prompt"), [1.5]), r"'val_prompt' 0 is 1\.5"),
        (change(("easy",), None), "no key 'easy'"),
        (change(("easy", 5), None), r"no key 5 or '5' among none.*source\.pool_size"),
        (change(EASY, None), r"no key 'strong_to_weak' among 'all_weak'.*source\.group"),
        (change((*EASY, "model"), ["m", "m"]), "'model' holds no list of different names"),
        (change((*EASY, "model"), [1, 2]), "'model' holds no list of different names"),
        (change((*EASY, "data", "val_score"), None), "no key 'val_score' or 'val_label'"),
        (
            change((*EASY, "data", "val_score"), np.ones((2, 2))),
            r"'val_score' is no matrix of 1 prompts x 2 models but of shape \(2, 2\)",
        ),
        (change((*EASY, "data", "val_score"), [["a", "b"]]), "'val_score' is no matrix"),
        (change((*EASY, "data", "val_score"), [[[1], [1]]]), "'val_score' is no matrix"),
        (change((*EASY, "data", "val_score"), [[0, 1, 1]]), "'val_score' is no matrix"),
        (change((*EASY, "data", "val_score"), 1.0), "'val_score' is no matrix"),
        (change((*EASY, "data", "val_score"), np.array(1.0)), "'val_score' is no matrix"),
        (change(("prompt", "val_prompt"), np.array("x")), "'val_prompt' holds no list"),
        (change((*EASY, "data", "val_score"), [[1], [1, 2]]), "'val_score' is no matrix"),
        (change((*EASY, "data", "val_score"), [[0, 7]]), "prompt 0 and model 1 is 7"),
        (change((*EASY, "data", "val_score"), [[0, np.inf]]), "prompt 0 and model 1 is inf"),
    ],
)
def test_another_layout_is_refused(tmp_path, content, said):
    release(tmp_path, arc=content)
    with pytest.raises(InputError, match=rf"arc_router_dataset\.pkl: .*{said}") as raised:
        RouterEval(path=str(tmp_path)).read(tmp_path)
    assert "\n" not in str(raised.value)


def test_a_missing_score_is_a_missing_outcome(tmp_path):
    release(tmp_path, arc=change((*EASY, "data", "val_score"), [[np.nan, 1]]))
    table = read(tmp_path)
    np.testing.assert_array_equal(table.utility[3], [np.nan, 1])
    np.testing.assert_array_equal(table.completion_tokens[3], [np.nan, 100])


def test_a_full_disk_is_not_blamed_on_the_archive(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    folder = zipped(tmp_path / "r", bbh=benchmark("m"))
    monkeypatch.setattr("shutil.copyfileobj", refuse)
    with pytest.raises(OSError, match="No space left on device") as caught:
        RouterEval(path=str(folder)).fetch(tmp_path / "out")
    assert str(caught.value.filename).startswith(str(tmp_path / "out"))
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(("power", "said"), [(400, "whole number of"), (300, "is 1e\\+300")])
def test_a_score_beyond_all_numbers_is_refused(tmp_path, power, said):
    given = benchmark("m")
    given["easy"][5]["strong_to_weak"]["data"]["train_score"] = [[10**power]] * SIZES["train"]
    source = RouterEval(path=str(release(tmp_path / "r", bbh=given)))
    with pytest.raises(InputError, match=said):
        source.read(source.fetch(tmp_path / "out"))
