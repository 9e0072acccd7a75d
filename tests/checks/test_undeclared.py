"""Likely groups that nobody declared: variants of a question, questions on one image."""

import numpy as np
import pytest
import yaml
from PIL import Image

NAMES = ("Ada", "Mia", "Cleo", "Zoe", "Eve", "Noa", "Tim", "Hal", "Ida", "Jo")


def vary(bench, alike=True):
    """Make the samples variants of 40 questions, which each model always gets right, or wrong."""
    seed = bench.number // 10
    sentences = bench.sentences(40)
    bench.rows["question"] = [
        f"{NAMES[number % 10]} has {number} of: {sentences[number // 10]} Is it {number % 7}.5?"
        for number in bench.number
    ]
    bench.rows["dataset"] = "A"
    if alike:
        right = np.random.default_rng(2).integers(0, 2, (40, 3))
        column = bench.rows["model"].map({"a": 0, "b": 1, "c": 2})
        bench.rows["utility"] = right[seed, column]
    return seed


def test_variants_of_a_question_that_are_answered_alike(bench):
    bench.rows["seed"] = "q" + vary(bench).astype(str)
    remark = bench.check().one("A: 400 of 400 samples are equal to another but for numbers, names")
    assert remark.level == "warning"
    assert "in 40 groups that are not declared" in remark.message
    assert "s0, s1, s2 and 7 more" in remark.message
    assert "correlation 1.00" in remark.message
    assert remark.cure == "source: {..., columns: {..., group: seed}}"
    bench.source["columns"] = {"group": "seed"}
    assert bench.check().none("not declared")


def test_without_a_column_of_the_groups_there_is_one_to_add(bench):
    seed = vary(bench)
    bench.rows["coarse"], bench.rows["fine"] = (seed // 8).astype(str), bench.number.astype(str)
    remark = bench.check().one("not declared")
    assert "add a column 'group'" in remark.cure


def test_questions_of_one_kind_that_are_not_answered_alike_are_no_variants(bench):
    bench.rows["seed"] = vary(bench, alike=False).astype(str)
    assert bench.check().none("not declared")


def test_questions_with_nothing_in_common_are_no_variants(bench):
    assert bench.check().none("not declared")


@pytest.mark.parametrize("tagged", [True, False])
def test_variants_with_images_of_their_own_need_a_column_that_tells_them(bench, tagged):
    seed = vary(bench)
    bench.draw(range(400))
    if tagged:
        bench.rows["seed"] = seed.astype(str)
    found = bench.check()
    assert found.none("not declared") != tagged


def test_options_in_another_order_are_variants(bench):
    vary(bench)
    odd = bench.number % 2 == 1
    backwards = bench.rows["question"].str.split().str[::-1].str.join(" ")
    bench.rows["question"] = bench.rows["question"].where(~odd, backwards)
    assert bench.check().one("not declared").message.startswith("A: 400 of 400")


@pytest.mark.parametrize(("shared", "level"), [(4, "note"), (40, "warning")])
def test_questions_on_one_image(bench, shared, level):
    bench.draw(range(400))
    bench.rows["dataset"] = "A"
    for number in range(shared):
        Image.new("RGB", (8, 8), (number // 2, 9, 9)).save(bench.folder / f"i{number}.png")
    found = bench.check()
    remark = found.one("samples are questions on the same image as another")
    assert remark.level == level
    assert f"{shared} of 400 samples" in remark.message
    assert f"in {shared // 2} groups" in remark.message
    assert "add a column 'group'" in remark.cure


def test_one_image_in_place_of_all_is_no_group(bench):
    bench.rows["image"] = "one.png"
    Image.new("RGB", (8, 8)).save(bench.folder / "one.png")
    assert bench.check().none("not declared")


def test_groups_that_are_too_coarse(bench):
    bench.rows["group"] = (bench.number % 7).astype(str)
    bench.rows["dataset"] = "A"
    remark = bench.check().one("A: 400 samples are in 7 groups only")
    assert remark.level == "warning"


def test_the_line_of_a_source_that_has_no_columns_to_rename(bench, tmp_path):
    vary(bench)
    wide = bench.rows.assign(dataset_idx="A_" + bench.rows["sample_id"]).pivot(
        index=["dataset_idx", "question"], columns="model", values=["utility", "cost"]
    )
    names = {"utility": "correct", "cost": "cost"}
    wide.columns = [f"{model}_{names[what]}" for what, model in wide.columns]
    wide = wide.reset_index()
    wide["seed"] = wide["dataset_idx"].str[3:].astype(int) // 10
    folder = tmp_path / "release"
    folder.mkdir()
    wide.to_csv(folder / "MMR_Bench.csv", index=False)
    bench.source = {"kind": "mmr_release", "path": str(folder)}
    remark = bench.check().one("not declared")
    assert remark.cure == "source: {..., group: seed}"
    bench.source |= yaml.safe_load("group: seed")
    assert bench.check().none("not declared")
