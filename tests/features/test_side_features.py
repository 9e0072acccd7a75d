"""Side features: what the form of a question and the look of its image tell."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from mmroute.features.side_features import SIDE_FEATURES, asked_otherwise, side_features


def measure(root, question="", image=None):
    (row,) = side_features(pd.DataFrame({"question": [question], "image": [image]}), root)
    return dict(zip(SIDE_FEATURES, row.tolist(), strict=True))


@pytest.fixture
def pictures(tmp_path):
    page = Image.new("RGB", (600, 400), "white")
    draw = ImageDraw.Draw(page)
    for line in range(20, 380, 16):
        draw.text((20, line), "the quick brown fox jumps over the lazy dog " * 2, fill="black")
    page.save(tmp_path / "page.png")
    Image.new("RGB", (600, 400), "white").save(tmp_path / "paper.png")
    Image.linear_gradient("L").resize((1200, 300)).convert("RGB").save(tmp_path / "grey.jpg")
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:32, :, 0] = stripes[32:, :, 2] = 255
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    (tmp_path / "broken.jpg").write_bytes((tmp_path / "grey.jpg").read_bytes()[:500])
    return tmp_path


def test_one_row_per_sample_in_the_order_of_the_names(pictures):
    samples = pd.DataFrame(
        {"question": ["How many?", "", "Read it."], "image": [None, "page.png", "page.png"]}
    )
    rows = side_features(samples, pictures)
    assert rows.shape == (3, len(SIDE_FEATURES))
    assert rows.dtype == np.float32
    assert len(set(SIDE_FEATURES)) == len(SIDE_FEATURES)
    assert rows[:, SIDE_FEATURES.index("has_text")].tolist() == [1, 0, 1]
    assert rows[:, SIDE_FEATURES.index("log_images")].tolist() == [0, 1, 1]
    for row, question, image in zip(rows, samples["question"], samples["image"], strict=True):
        alone = np.array(list(measure(pictures, question, image).values()))
        np.testing.assert_array_equal(row, alone.astype(np.float32))


def test_what_a_missing_modality_would_tell_is_unknown(pictures):
    text = [name for name, value in measure(pictures, "How many?").items() if np.isfinite(value)]
    image = [name for name, value in measure(pictures, " \n", "page.png").items() if value == value]
    both = measure(pictures, "How many?", "page.png")
    assert set(text) & set(image) == {"has_text", "log_images"}
    assert set(text) | set(image) == set(SIDE_FEATURES)
    assert np.isfinite(list(both.values())).all()


@pytest.mark.parametrize("image", ["broken.jpg", "nowhere.png", "."])
def test_an_image_that_cannot_be_decoded_is_missing(pictures, image):
    measured, without = measure(pictures, "Why?", image), measure(pictures, "Why?")
    np.testing.assert_equal(measured, without)


def test_several_images_are_counted_and_what_they_tell_is_averaged(pictures):
    page, stripes = (measure(pictures, "", name) for name in ("page.png", "stripes.png"))
    both = measure(pictures, "", "page.png//broken.jpg//stripes.png")
    assert (page["log_images"], both["log_images"]) == (1, np.float32(np.log2(3)))
    for name in SIDE_FEATURES[SIDE_FEATURES.index("log_width") :]:
        assert both[name] == pytest.approx((page[name] + stripes[name]) / 2, rel=1e-6, abs=1e-7)
    alone = measure(pictures, "", "paper.png")["grey_levels"]
    assert (alone, np.signbit(alone)) == (0, True)
    thrice = measure(pictures, "", "page.png//page.png//stripes.png")
    assert thrice["log_images"] == 2
    assert thrice["log_width"] == pytest.approx((2 * page["log_width"] + stripes["log_width"]) / 3)


def test_counts_options_numbers_and_formulas(tmp_path):
    plain = measure(tmp_path, "Which is it?")
    choice = measure(tmp_path, "Which is it?\nA. one\nB. two\n(C) three")
    sum_of = measure(tmp_path, "What is $\\frac{12}{7} + 450$?")
    assert plain["log_options"] == plain["log_numbers"] == plain["log_latex_commands"] == 0
    assert choice["log_options"] == pytest.approx(np.log(4))
    assert choice["log_lines"] == pytest.approx(np.log(4))
    assert sum_of["log_numbers"] == pytest.approx(np.log(4))
    assert sum_of["log_largest_number"] == pytest.approx(np.log(451))
    assert sum_of["log_latex_commands"] == pytest.approx(np.log(4))
    assert plain["log_question_marks"] == pytest.approx(np.log(2))


def test_a_script_without_spaces_has_words_numbers_and_question_marks(tmp_path):
    chinese = measure(tmp_path, "图中有多少个三角形？共12个。")
    assert chinese["log_words"] == pytest.approx(np.log(13))
    assert chinese["log_numbers"] == chinese["log_question_marks"] == pytest.approx(np.log(2))
    assert chinese["non_ascii_share"] > 0.8
    arabic = measure(tmp_path, "كم عدد المثلثات في الصورة؟")
    assert arabic["log_words"] == pytest.approx(np.log(6))
    assert arabic["log_question_marks"] == pytest.approx(np.log(2))


def test_a_printed_page_is_told_from_empty_paper_and_from_a_gradient(pictures):
    page, paper, grey = (
        measure(pictures, image=name) for name in ("page.png", "paper.png", "grey.jpg")
    )
    for feature in ("strokes_across", "strokes_down", "edge_density", "filled_cells"):
        assert page[feature] > 0.02
        assert paper[feature] == 0
        assert grey[feature] < 0.01
    assert paper["white_share"] == 1
    assert grey["grey_levels"] > paper["grey_levels"]


def test_size_is_that_of_the_file_and_not_of_the_shrunk_image(pictures):
    grey = measure(pictures, image="grey.jpg")
    assert grey["log_width"] == pytest.approx(np.log2(1200))
    assert grey["log_area"] == pytest.approx(np.log2(1200 * 300))
    assert grey["log_aspect"] == pytest.approx(2)


def test_colours_are_told_from_grey(pictures):
    assert measure(pictures, image="grey.jpg")["colourfulness"] < 0.01
    assert measure(pictures, image="stripes.png")["colourfulness"] > 0.5


def test_an_image_of_one_pixel_has_features(tmp_path):
    Image.new("L", (1, 1)).save(tmp_path / "dot.png")
    assert np.isfinite(list(measure(tmp_path, "What?", "dot.png").values())).all()


@given(st.text(max_size=200))
def test_any_text_has_finite_features_or_none(tmp_path_factory, text):
    measured = measure(tmp_path_factory.getbasetemp(), text)
    assert bool(measured["has_text"]) == bool(text.strip())
    about_text = list(measured.values())[2 : SIDE_FEATURES.index("log_width")]
    assert (np.isfinite(about_text) == bool(text.strip())).all()


def test_asked_otherwise_the_image_is_the_same_and_the_text_measured_anew(tmp_path):
    Image.new("RGB", (40, 30), "red").save(tmp_path / "red.png")
    images = ["red.png", None, "red.png"]
    before = pd.DataFrame({"question": ["What is 3?", "Why?", ""], "image": images})
    after = before.assign(question=["what  is 34?", "Why ever?", ""])
    found = asked_otherwise(side_features(before, tmp_path), after["question"].tolist())
    np.testing.assert_array_equal(found, side_features(after, tmp_path))
    assert not np.array_equal(found, side_features(before, tmp_path), equal_nan=True)
