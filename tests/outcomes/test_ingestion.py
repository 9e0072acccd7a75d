import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mmroute.errors import InputError
from mmroute.outcomes.groups import group_keys
from mmroute.outcomes.ingestion import fetch, ingest
from mmroute.sources import Source
from mmroute.sources.table import TableSource


class Given(Source):
    """A source that holds a table."""

    def __init__(self, table, says=()):
        self.table = table
        self.says = says

    def local_files(self):
        return []

    def fetch(self, folder):
        return folder

    def read(self, root):
        for message in self.says:
            warnings.warn(message, stacklevel=2)
        return self.table


def renamed(table, **models):
    return replace(table, models=table.models.assign(model=list(models)))


def test_one_source_is_read_as_it_is(make_table):
    table = make_table()
    read = ingest({"mine": Given(table)}, Path("root"))
    expected = table.samples.assign(group=group_keys(table.samples))
    pd.testing.assert_frame_equal(read.table.samples, expected)
    np.testing.assert_array_equal(read.table.utility, table.utility)
    assert read.origins.to_dict("list") == {
        "source": ["mine"] * 6,
        "dataset": ["A"] * 3 + ["B"] * 3,
        "model": ["model-0", "model-1", "model-2"] * 2,
        "pairs": [6] * 6,
    }
    assert read.notices == []


def test_more_models_on_the_same_samples_are_joined_on_ids_whatever_their_order(make_table):
    table = make_table()
    other = renamed(make_table(n_models=2), x=0, y=0)
    backwards = other.take(np.arange(12)[::-1])
    read = ingest({"first": Given(table), "second": Given(backwards)}, Path("root"))
    assert read.table.model_names == ["model-0", "model-1", "model-2", "x", "y"]
    np.testing.assert_array_equal(read.table.samples["sample_id"], table.samples["sample_id"])
    np.testing.assert_array_equal(read.table.utility[:, :3], table.utility)
    np.testing.assert_array_equal(read.table.utility[:, 3:], other.utility)
    np.testing.assert_array_equal(read.table.prompt_tokens[:, 3:], other.prompt_tokens)
    by_source = read.origins.groupby("source")["model"].agg(set)
    assert by_source["second"] == {"x", "y"}


def test_other_samples_are_added_and_the_models_miss_there(make_table):
    table, text = make_table(datasets=("A",)), make_table(datasets=("T",), n_models=2)
    read = ingest({"first": Given(table), "second": Given(text)}, Path("root"))
    assert read.table.samples["dataset"].tolist() == ["A"] * 12 + ["T"] * 12
    assert np.isnan(read.table.utility[12:, 2]).all()
    assert np.isfinite(read.table.utility[12:, :2]).all()
    assert read.origins.set_index(["source", "model"])["pairs"].to_dict() == {
        ("first", "model-0"): 12,
        ("first", "model-1"): 12,
        ("first", "model-2"): 12,
        ("second", "model-0"): 12,
        ("second", "model-1"): 12,
    }


def test_of_a_pair_in_two_sources_the_first_counts_whole_and_it_is_said(make_table):
    table = make_table(utility=np.zeros((12, 3)))
    table.utility[0, 0] = np.nan
    other = make_table(utility=np.ones((12, 3)), cost=np.full((12, 3), 7.0))
    read = ingest({"first": Given(table), "second": Given(other)}, Path("root"))
    assert read.table.utility[0, 0] == 1
    assert read.table.cost[0, 0] == 7
    assert np.nansum(read.table.utility) == 1
    assert read.table.cost[1, 0] == table.cost[1, 0]
    (notice,) = read.notices
    assert notice == (
        "second: 35 of its outcomes stand in an earlier source too, which counts (35 have "
        "another utility there), for instance that of model-1 on A_0"
    )
    assert read.origins.groupby("source")["pairs"].sum().to_dict() == {"first": 35, "second": 1}


def test_gaps_in_what_is_known_of_a_sample_are_filled(make_table):
    table, other = make_table(), make_table(n_models=1)
    table.samples["question"] = ["", *table.samples["question"][1:]]
    table.samples["scenario"] = table.samples["dataset"]
    other.samples["tag_level"] = "hard"
    other.samples.loc[1, ["image", "image_digest"]] = "x.png", "digest"
    read = ingest({"first": Given(table), "second": Given(renamed(other, z=0))}, Path("root"))
    samples = read.table.samples
    assert samples["question"][0] == "What is 0?"
    assert samples["tag_level"].unique().tolist() == ["hard"]
    assert samples["scenario"].unique().tolist() == ["scenario of A", "scenario of B"]
    assert samples["image"][1] == "1/root/x.png"
    assert samples["image"].isna().sum() == 11


def test_another_question_under_the_same_id_is_said(make_table):
    other = make_table(n_models=1)
    other.samples["question"] = ["Who?", "What   is 1?", *other.samples["question"][2:]]
    read = ingest({"a": Given(make_table()), "b": Given(renamed(other, z=0))}, Path("root"))
    (notice,) = read.notices
    assert notice.startswith("b: 1 of 12 samples that an earlier source has too ask another")
    assert "A_0" in notice
    assert read.table.samples["question"][0] == "What is 0?"


def test_a_sample_in_two_data_sets_is_refused(make_table):
    other = make_table(n_models=1)
    other.samples["dataset"] = "elsewhere"
    with pytest.raises(InputError, match=r"b: sample 'A_0' is of data set 'elsewhere', but 'A'"):
        ingest({"a": Given(make_table()), "b": Given(other)}, Path("root"))


def test_what_a_source_says_is_kept(make_table):
    read = ingest({"a": Given(make_table(), ["x.csv: the newest run was taken"])}, Path("root"))
    assert read.notices == ["x.csv: the newest run was taken"]


def test_a_data_set_that_nobody_names_is_called_after_the_file(make_table):
    table = make_table()
    nameless = make_table(n_samples=13, n_models=1)
    nameless.samples = nameless.samples.assign(dataset="", scenario="", question="What?")
    nameless.samples["sample_id"] = [*table.samples["sample_id"], "new"]
    source = Given(renamed(nameless, z=0))
    source.origin = lambda root: Path("my/runs.csv")
    read = ingest({"a": Given(table), "b": source}, Path("root"))
    assert read.table.samples["dataset"].tolist() == ["A", "B"] * 6 + ["runs"]
    assert read.table.samples["scenario"].tolist()[-2:] == ["scenario of B", "runs"]


def test_an_unusable_source_is_refused_by_its_own_name(make_table):
    wrong = make_table(utility=np.full((12, 3), 2.0))
    with pytest.raises(InputError, match=re.escape(str(Path("root/1/root")))):
        ingest({"a": Given(make_table()), "b": Given(wrong)}, Path("root"))


def test_images_of_joined_sources_are_found_below_the_common_root(tmp_path):
    sources = {}
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        Image.new("RGB", (8, 8), "red" if name == "a" else "blue").save(folder / "x.png")
        table = f"sample_id,model,utility,cost,image\n{name}1,m,1,0.1,x.png\n"
        (folder / "t.csv").write_text(table)
        sources[name] = TableSource(str(folder / "t.csv"))
    root = fetch(list(sources.values()), tmp_path / "source")
    samples = ingest(sources, root).table.samples
    assert [Image.open(root / path).getpixel((0, 0)) for path in samples["image"]] == [
        (255, 0, 0),
        (0, 0, 255),
    ]
    again = fetch(list(sources.values())[::-1], tmp_path / "source")
    assert (again / "0/root/t.csv").read_text().splitlines()[1].startswith("b1")


def test_each_of_several_images_is_found_below_the_common_root(make_table, tmp_path):
    class Fixed:
        def __init__(self, table):
            self.table = table

        def origin(self, root):
            return root

        def read(self, root):
            return self.table

    table = make_table()
    images = table.samples.assign(image="x.png//y/z.png", image_digest="1//2")
    found = ingest({"a": Fixed(table), "b": Fixed(replace(table, samples=images))}, tmp_path)
    assert found.table.samples["image"].unique().tolist() == ["1/root/x.png//1/root/y/z.png"]
    assert found.table.samples["image_digest"].unique().tolist() == ["1//2"]


def without_outcomes(table, rows):
    return table.take(np.array(rows), [])


def test_a_table_without_outcomes_describes_the_samples_of_others(make_table):
    table = make_table(n_samples=3)
    bare = replace(table, samples=table.samples.assign(question=["", "", "own"], image="i.png"))
    facts = without_outcomes(table, [1, 0, 2])
    whole = ingest({"a": Given(bare), "b": Given(facts)}, Path("root")).table
    assert whole.samples["question"].tolist() == [*table.samples["question"][:2], "own"]
    np.testing.assert_array_equal(whole.utility, table.utility)


def test_samples_that_are_only_described_are_left_out_and_said(make_table):
    table = make_table(n_samples=5)
    sources = {"b": Given(without_outcomes(table, range(5))), "a": Given(table.take(np.arange(3)))}
    found = ingest(sources, Path("root"))
    assert found.table.samples["sample_id"].tolist() == table.samples["sample_id"].tolist()[:3]
    assert found.table.utility.shape == (3, len(table.model_names))
    (notice,) = found.notices
    left = table.samples["sample_id"][3]
    assert notice.startswith("b: 2 of its 5 samples have no outcome")
    assert notice.endswith(repr(left))


def test_a_table_that_describes_no_sample_of_the_others_is_refused(make_table):
    table = make_table(n_samples=3)
    other = without_outcomes(table, range(3))
    other = replace(other, samples=other.samples.assign(sample_id=["x", "y", "z"]))
    with pytest.raises(InputError, match="b: none of its sample ids, such as 'x', is one"):
        ingest({"a": Given(table), "b": Given(other)}, Path("root"))


def test_sources_without_any_outcome_are_refused(make_table):
    facts = without_outcomes(make_table(n_samples=3), range(3))
    with pytest.raises(InputError, match="no source has outcomes"):
        ingest({"a": Given(facts), "b": Given(facts)}, Path("root"))
    with pytest.raises(InputError, match="no model columns"):
        ingest({"a": Given(facts)}, Path("root"))


def test_a_model_that_another_source_has_outcomes_of_may_be_without_in_one(make_table):
    table = make_table(n_samples=3)
    utility = table.utility.copy()
    utility[:, 0] = np.nan
    silent = replace(table, utility=utility)
    assert ingest({"a": Given(silent), "b": Given(table)}, Path("root")).table.utility.shape == (
        3,
        len(table.model_names),
    )
    with pytest.raises(InputError, match="no outcome at all"):
        ingest({"a": Given(silent)}, Path("root"))


@pytest.mark.parametrize("names", [["a", "a "], ["a b", "a  b"]])
def test_names_that_differ_in_blanks_only_are_refused(make_table, names):
    table = make_table(n_samples=3, n_models=2)
    table.models["model"] = names
    with pytest.raises(InputError, match=r"models 'a.* and 'a.* differ in blanks only"):
        ingest({"a": Given(table)}, Path("root"))


def test_latency_goes_with_the_outcome_that_counts(make_table):
    first, second = make_table(n_samples=4), make_table(n_samples=4)
    first.utility[0, 0] = np.nan
    second.latency_s = np.full((4, 3), 2.0)
    whole = ingest({"first": Given(first), "second": Given(second)}, Path("root")).table
    expected = np.full((4, 3), np.nan)
    expected[0, 0] = 2
    np.testing.assert_array_equal(whole.latency_s, expected)
    whole = ingest({"second": Given(second), "first": Given(first)}, Path("root")).table
    assert (whole.latency_s == 2).all()
    alone = ingest({"first": Given(first), "again": Given(first)}, Path("root")).table
    assert alone.latency_s is None
