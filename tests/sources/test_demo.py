import csv
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from mmroute.config import load
from mmroute.errors import InputError
from mmroute.sources.demo import Demo
from mmroute.sources.simulation.datasets import DATASETS
from mmroute.sources.simulation.pool import POOL

PER_DATASET = 40


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return Demo(samples=PER_DATASET).fetch(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def release(root):
    return pd.read_csv(root / "MMR_Bench.csv", keep_default_na=False)


def content(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def test_nothing_local_is_read():
    assert list(Demo().local_files()) == []


def test_the_layout_is_the_release_s(root, release):
    assert list(release.columns[:3]) == ["dataset_idx", "question", "answer"]
    for model in POOL:
        for column in ("prediction", "correct", "prompt_token", "token", "cost"):
            assert f"{model.name}_{column}" in release
    assert sorted(path.name for path in root.iterdir() if path.is_dir()) == [
        "MMStar",
        "MathVerse",
        "MathVision",
        "MathVista",
        "OCRBench",
        "RealWorldQA",
        "SEEDBenchv2Plus",
    ]
    folders = {dataset.prefix: dataset.folder for dataset in DATASETS}
    for name in release["dataset_idx"]:
        prefix, sample = name.rsplit("_", 1)
        assert (root / folders[prefix] / f"{sample}.jpg").is_file()


def test_each_dataset_has_the_samples_asked_for(release):
    counts = Counter(name.rsplit("_", 1)[0] for name in release["dataset_idx"])
    assert counts == {dataset.prefix: PER_DATASET for dataset in DATASETS}


def test_the_paper_s_sizes_are_those_of_table_s1():
    assert {dataset.prefix: dataset.paper_size for dataset in DATASETS} == {
        "OCRBench": 1000,
        "SEEDBench2_Plus": 2277,
        "MMStar": 1500,
        "RealWorldQA": 765,
        "MathVista": 1000,
        "MathVerse": 788,
        "MathVision": 3040,
    }


def test_the_release_reader_reads_it(root, release):
    table = Demo().read(root)
    assert list(table.samples["sample_id"]) == list(release["dataset_idx"])
    assert set(table.samples["scenario"]) == {"OCR", "VQA", "Math"}
    assert table.samples["image"].notna().all()
    assert set(table.samples["tag_level"]) == {"1", "2", "3", "4", "5"}
    assert set(table.models["model"]) == {model.name for model in POOL}
    for matrix in (table.utility, table.cost, table.prompt_tokens, table.completion_tokens):
        assert matrix.shape == (len(release), len(POOL))
        assert (matrix >= 0).all()


def test_it_says_everywhere_that_it_is_simulated(root, release):
    assert release["simulated"].all()
    assert "simulated" in (root / "README.txt").read_text(encoding="utf-8")
    for path in root.rglob("*.jpg"):
        with Image.open(path) as image:
            assert b"simulated" in image.info["comment"]
            corner = image.convert("L").crop(
                (image.width - 48, image.height - 12, image.width, image.height)
            )
        darkest, lightest = corner.getextrema()
        assert lightest - darkest > 20, path


def test_an_empty_question_stands_in_a_taller_image(root, release):
    empty = release[release["question"] == ""]
    assert len(empty) > 0
    assert set(empty["dataset_idx"].str.rsplit("_", n=1).str[0]) <= {"MathVerse", "MathVision"}
    for name in empty["dataset_idx"]:
        dataset, sample = name.rsplit("_", 1)
        assert (root / dataset / f"{sample}.jpg").is_file()


def test_costs_are_tokens_times_prices(release):
    for model in POOL:
        cost = (
            release[f"{model.name}_prompt_token"] * model.prompt_price
            + release[f"{model.name}_token"] * model.completion_price
        ) / 1e6
        assert release[f"{model.name}_cost"].to_numpy() == pytest.approx(cost.to_numpy())
        assert (cost > 0).all()


def test_a_prediction_is_the_answer_exactly_where_the_model_is_right(release):
    answers = release["answer"].astype(str)
    for model in POOL:
        agrees = release[f"{model.name}_prediction"].astype(str) == answers
        assert (agrees == release[f"{model.name}_correct"].astype(bool)).all()


def test_two_runs_are_equal_byte_by_byte(tmp_path):
    first = Demo(samples=3).fetch(tmp_path / "first")
    second = Demo(samples=3).fetch(tmp_path / "second")
    assert content(first) == content(second)


def test_another_seed_draws_other_samples(tmp_path):
    first = content(Demo(samples=2, seed=0).fetch(tmp_path / "first"))
    second = content(Demo(samples=2, seed=1).fetch(tmp_path / "second"))
    assert first.keys() == second.keys()
    assert all(first[name] != second[name] for name in first)


def test_more_samples_leave_the_others_as_they_are(root, release, tmp_path):
    fewer = Demo(samples=3).fetch(tmp_path)
    before, after = content(fewer), content(root)
    assert all(after[name] == before[name] for name in before if name.endswith(".jpg"))
    rows = pd.read_csv(fewer / "MMR_Bench.csv", keep_default_na=False)
    kept = release[release["dataset_idx"].isin(rows["dataset_idx"])].reset_index(drop=True)
    assert len(rows) == 3 * len(DATASETS)
    pd.testing.assert_frame_equal(rows, kept, check_dtype=False)


def test_a_second_fetch_replaces_the_first(tmp_path):
    Demo(samples=2).fetch(tmp_path)
    root = Demo(samples=1).fetch(tmp_path)
    assert len(list(root.rglob("*.jpg"))) == len(DATASETS)


def test_a_fetch_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def full(*_arguments, **_options):
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="disk full"):
        Demo(samples=1).fetch(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [("samples", 0), ("samples", -3), ("samples", 1.5), ("samples", "all"), ("seed", -1)],
)
def test_the_config_refuses_what_cannot_be_drawn(key, value):
    content = {"name": "try", "source": {"kind": "demo", key: value}}
    with pytest.raises(InputError, match=key) as refusal:
        load(content, "my.yaml")
    assert repr(value) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_the_price_table_holds_the_pool_s_prices():
    path = Path(__file__).parents[2] / "config" / "prices" / "mmr_table_s2.csv"
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [
        (
            row["model"],
            float(row["usd_per_1m_prompt_tokens"]),
            float(row["usd_per_1m_completion_tokens"]),
        )
        for row in rows
    ] == [(model.name, model.prompt_price, model.completion_price) for model in POOL]
    assert all("assumed" in row["note"] for row in rows)
