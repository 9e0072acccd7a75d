from collections import Counter

import numpy as np
import pandas as pd
import pytest

from mmroute.config import load
from mmroute.errors import InputError
from mmroute.outcome_table import validate
from mmroute.sources.demo_text import DemoText
from mmroute.sources.simulation.datasets import TEXT_DATASETS
from mmroute.sources.simulation.pool import POOL

PER_DATASET = 300
NAMES = ["GSM8K", "MMLU", "ARC"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return DemoText(samples=PER_DATASET).fetch(tmp_path_factory.mktemp("demo_text"))


@pytest.fixture(scope="module")
def release(root):
    return pd.read_csv(root / "MMR_Bench.csv", keep_default_na=False)


@pytest.fixture(scope="module")
def table(root):
    return DemoText().read(root)


def test_nothing_local_is_read_and_the_csv_is_named_in_messages(root):
    assert list(DemoText().local_files()) == []
    assert DemoText().origin(root).is_file()


def test_the_data_sets_are_those_of_table_5(release):
    counts = Counter(name.rsplit("_", 1)[0] for name in release["dataset_idx"])
    assert counts == dict.fromkeys(NAMES, PER_DATASET)


def test_it_is_read_as_a_release_without_images(root, release, table):
    assert sorted(path.name for path in root.iterdir()) == ["MMR_Bench.csv", "README.txt"]
    validate(table, "the CSV")
    assert list(table.samples["sample_id"]) == list(release["dataset_idx"])
    assert set(table.samples["scenario"]) == {"Text"}
    assert table.samples["image"].isna().all()
    assert table.samples["image_digest"].isna().all()
    assert (table.samples["question"].str.len() > 10).all()
    assert table.samples["answer"].notna().all()
    assert set(table.samples["tag_level"]) == {"1", "2", "3", "4", "5"}


def test_the_models_are_the_demo_s(table):
    assert table.model_names == [model.name for model in POOL]
    assert np.isfinite(table.utility).all()
    assert (table.cost > 0).all()


def test_it_says_that_it_is_simulated(root, release):
    assert DemoText.simulated
    assert release["simulated"].all()
    assert "simulated" in (root / "README.txt").read_text(encoding="utf-8")


def test_costs_are_tokens_times_prices_and_no_image_is_paid_for(release):
    for model in POOL:
        prompt = release[f"{model.name}_prompt_token"]
        assert prompt.tolist() == release[f"{POOL[0].name}_prompt_token"].tolist()
        cost = (
            prompt * model.prompt_price + release[f"{model.name}_token"] * model.completion_price
        ) / 1e6
        assert release[f"{model.name}_cost"].to_numpy() == pytest.approx(cost.to_numpy())


def test_a_prediction_is_the_answer_exactly_where_the_model_is_right(release):
    answers = release["answer"].astype(str)
    for model in POOL:
        agrees = release[f"{model.name}_prediction"].astype(str) == answers
        assert (agrees == release[f"{model.name}_correct"].astype(bool)).all()


def test_difficulty_shows_in_the_text(table):
    stories = table.samples["dataset"] == "GSM8K"
    words = table.samples["question"][stories].str.len().to_numpy()
    accuracy = table.utility[stories.to_numpy()].mean(axis=1)
    longer = words > np.median(words)
    assert accuracy[longer].mean() < accuracy[~longer].mean() - 0.05


def test_questions_vary(table):
    for dataset, lowest in zip(NAMES, (0.95, 0.5, 0.6), strict=True):
        own = table.samples[table.samples["dataset"] == dataset]["question"]
        assert own.nunique() > lowest * PER_DATASET


def test_two_runs_are_equal_byte_by_byte(tmp_path):
    for name in ("first", "second"):
        DemoText(samples=3).fetch(tmp_path / name)
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in ("first", "second")
    )
    assert first == second
    assert len(first) == 2


def test_another_seed_draws_other_samples(tmp_path):
    first, second = (
        DemoText(samples=5, seed=seed).read(
            DemoText(samples=5, seed=seed).fetch(tmp_path / f"{seed}")
        )
        for seed in (0, 1)
    )
    assert (first.samples["sample_id"] == second.samples["sample_id"]).all()
    assert (first.samples["question"] != second.samples["question"]).mean() > 0.8


def test_more_samples_leave_the_others_as_they_are(release, tmp_path):
    fewer = DemoText(samples=3).fetch(tmp_path)
    rows = pd.read_csv(fewer / "MMR_Bench.csv", keep_default_na=False)
    kept = release[release["dataset_idx"].isin(rows["dataset_idx"])].reset_index(drop=True)
    assert len(rows) == 3 * len(TEXT_DATASETS)
    pd.testing.assert_frame_equal(rows, kept, check_dtype=False)


def test_a_second_fetch_replaces_the_first(tmp_path):
    DemoText(samples=2).fetch(tmp_path)
    source = DemoText(samples=1)
    assert len(source.read(source.fetch(tmp_path)).samples) == len(TEXT_DATASETS)


@pytest.mark.parametrize(("key", "value"), [("samples", 0), ("samples", "paper"), ("seed", -1)])
def test_the_config_refuses_what_cannot_be_drawn(key, value):
    content = {"name": "try", "source": {"kind": "demo_text", key: value}}
    with pytest.raises(InputError, match=key) as refusal:
        load(content, "my.yaml")
    assert repr(value) in str(refusal.value)
