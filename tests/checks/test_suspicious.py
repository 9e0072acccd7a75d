"""What looks wrong in outcomes, costs, images and questions."""

from PIL import Image


def test_a_model_that_is_always_or_never_right(bench):
    bench.rows.loc[bench.of("a"), "utility"] = 1
    bench.rows.loc[bench.of("b") & (bench.rows["dataset"] == "B"), "utility"] = 0
    found = bench.check()
    assert found.one("a is always right in all data sets (400 samples)").level == "warning"
    never = found.one("b is never right in B (200 samples)")
    assert bench.cure(never).none("b is never right")


def test_few_outcomes_say_nothing(bench):
    bench.rows.loc[bench.number < 19, "dataset"] = "C"
    bench.rows.loc[bench.number < 19, "utility"] = 1
    assert bench.check().none("always right")
    bench.rows.loc[bench.number < 20, ["dataset", "utility"]] = "C", 1
    found = bench.check()
    assert all(found.one(f"{model} is always right in C (20 samples)") for model in "abc")


def test_two_models_with_identical_outcomes(bench):
    bench.rows.loc[bench.of("c"), "utility"] = bench.rows.loc[bench.of("a"), "utility"].to_numpy()
    twins = bench.check().one("identical utilities on every sample: a, c")
    assert twins.level == "warning"
    assert bench.cure(twins).none("identical")


def test_a_model_that_is_missing_in_a_data_set(bench):
    bench.rows = bench.rows[~(bench.of("c") & (bench.rows["dataset"] == "B"))]
    assert bench.check(min_coverage=0.4).one("no outcome at all: c in B").level == "warning"


def test_costs_that_are_all_equal(bench):
    bench.rows.loc[bench.of("b"), "cost"] = 0.25
    remark = bench.check().one("every call of the model costs the same: b")
    assert "give the cost of each call" in remark.cure


def test_costs_by_a_price_per_call_are_equal_and_meant_to_be(bench):
    bench.rows = bench.rows.drop(columns="cost")
    path = bench.price_file()
    path.write_text("model,usd_per_call\na,0.5\nb,0.25\nc,0.125\n")
    found = bench.check()
    assert found.none("costs the same")
    assert set(found.models["cost_from"]) == {"price per call"}
    path.write_text("model,usd_per_call\na,0.5\nb,0.25\nc,\n")
    remark = bench.check().one("neither costs nor token counts: c")
    assert "usd_per_call in source.prices" in remark.cure


def test_completion_tokens_that_are_too_few_for_the_answers(bench):
    bench.tokens_for_costs()
    bench.price_file("a,1,2", "b,1,2", "c,1,2")
    bench.rows["prediction"] = "x" * 64
    assert bench.check().none("completion tokens are too few")
    bench.rows.loc[bench.of("b"), "completion_tokens"] = 0
    bench.rows.loc[bench.of("c") & (bench.number == 0), "completion_tokens"] = 1
    bench.rows.loc[bench.of("c") & (bench.number == 1), "completion_tokens"] = 2
    remark = bench.check().one("completion tokens are too few for the text of the answers")
    assert "b (400 answers), c (1 answer)" in remark.message
    assert "correct the counts" in remark.cure


def test_one_price_of_tokens_for_all_models(bench):
    bench.tokens_for_costs()
    bench.source["prices"] = {model: [1, 1] for model in "abc"}
    found = bench.check()
    assert found.one("tokens cost the same whatever the model").level == "warning"
    assert not found.errors
    bench.source["prices"] = {"a": [1, 1], "b": [1, 2]}
    found = bench.check()
    assert found.none("whatever the model")
    remark = found.one("config key source.prices: no price for 1 model: c")
    assert remark.cure.endswith("\nc: [?, ?]")


def test_free_calls(bench):
    bench.rows.loc[bench.of("b"), "cost"] = 0
    assert bench.check().one("every call is free: b").level == "warning"


def test_all_models_equally_dear(bench):
    bench.rows["cost"] = 1.0 + bench.number % 5
    found = bench.check()
    assert found.one("all models are equally dear").level == "warning"
    assert found.none("costs the same")


def test_ids_that_became_numbers_with_a_fraction(bench):
    assert bench.check().none("but for '.0'")
    bench.rows["sample_id"] = bench.rows["sample_id"].str[1:]
    bench.rows.loc[bench.of("b"), "sample_id"] += ".0"
    remark = bench.check(min_coverage=0.1).one("400 samples whose id is another one's but for '.0'")
    assert "without '.0'" in remark.cure


def test_sound_images(bench):
    bench.draw(range(400))
    found = bench.check()
    assert found.one("200 of 400 images were decoded").level == "note"
    assert found.datasets["image"].iloc[-1] == 400


def test_an_image_that_is_named_but_is_no_file(bench):
    bench.draw([number for number in range(400) if number not in (2, 5)])
    found = bench.check()
    lost = found.one("2 of 400 images named there are no files, such as 'i2.png' of 's2'")
    assert lost.level == "warning"
    assert found.datasets["image"].tolist() == [199, 199, 398]


def test_an_image_that_cannot_be_decoded(bench):
    bench.draw(range(150))
    bench.rows["image"] = bench.rows["image"].where(bench.number < 150, "")
    (bench.folder / "i7.png").write_bytes(b"no image")
    remark = bench.check().one("150 of 150 images were decoded; 1 cannot be")
    assert remark.level == "warning"
    assert "i7.png" in remark.message


def test_each_of_several_images_is_looked_at(bench):
    bench.draw(range(150))
    bench.rows["image"] = [f"['i{n % 75}.png', 'i{n % 75 + 75}.png']" for n in bench.number]
    (bench.folder / "i100.png").write_bytes(b"no image")
    remark = bench.check().one("150 of 150 images were decoded; 1 cannot be")
    assert "i100.png" in remark.message


def test_no_image_although_there_is_a_column(bench):
    bench.draw([])
    assert bench.check().one("400 of 400 images named there are no files").level == "warning"


def test_images_of_the_release(bench):
    for number in range(2):
        folder = bench.folder / "X"
        folder.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / f"{number}.png")
    rows = "".join(f"X_{i},what {i}?,X/{i}.png,{i % 2},0.{i + 1}\n" for i in range(9))
    cells = "dataset_idx,question,img_path,m_correct,m_cost\n" + rows
    (bench.folder / "MMR_Bench.csv").write_text(cells)
    bench.source = {"kind": "mmr_release", "path": str(bench.folder)}
    bench.check(split={"train": 0.5}).one("7 of 9 images named there are no files")


def test_an_image_without_question(bench):
    bench.draw(range(400))
    bench.rows.loc[bench.number == 4, "question"] = "  "
    assert bench.check().one("with an image and no question: s4").level == "warning"
