"""The builtin encoder: deterministic features, apart where texts and images differ."""

import random
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from mmroute.encoders.builtin import Builtin

QUESTIONS = [
    "What is 3 + 4?",
    "What is 5 + 9?",
    "Which company issued the invoice in the picture, and on which date is it due?",
]


def cosine(rows):
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit @ unit.T


def page(lines, seed, size=(500, 600)):
    """Draw dashes for words: a page of print with the given number of lines."""
    generator = random.Random(seed)
    image = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(image)
    for line in range(lines):
        x = 20
        while x < size[0] - 60:
            width = generator.randint(3, 9)
            pen.rectangle((x, 20 + 12 * line, x + width, 26 + 12 * line), "black")
            x += width + generator.randint(3, 6)
    return image


def scene(seed, size=(500, 600)):
    """Draw discs of all colours on a coloured ground."""
    generator = random.Random(seed)

    def colour():
        return tuple(generator.randint(0, 255) for _ in range(3))

    image = Image.new("RGB", size, colour())
    pen = ImageDraw.Draw(image)
    for _ in range(20):
        x, y, r = (generator.randint(10, 500) for _ in range(3))
        pen.ellipse((x - r / 4, y - r / 4, x + r / 4, y + r / 4), colour())
    return image


@pytest.fixture
def folder(tmp_path):
    def save(*drawings, kind="jpg"):
        paths = [tmp_path / f"{index}.{kind}" for index in range(len(drawings))]
        for path, drawing in zip(paths, drawings, strict=True):
            drawing.save(path)
        return paths

    return save


def test_the_key_is_its_name():
    assert Builtin().key == "builtin"
    assert Builtin().fingerprint() == ""


def test_texts_are_512_wide_and_in_order():
    rows = Builtin().encode_texts(QUESTIONS)
    assert rows.shape == (3, 512)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(Builtin().encode_texts(QUESTIONS[::-1]), rows[::-1])


def test_similar_questions_are_nearer_than_others():
    similarity = cosine(Builtin().encode_texts(QUESTIONS))
    assert similarity[0, 1] > similarity[0, 2] + 0.2


def test_the_norm_of_a_text_is_the_logarithm_of_its_length():
    rows = Builtin().encode_texts(QUESTIONS)
    lengths = [len(question) for question in QUESTIONS]
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), np.log1p(lengths), rtol=1e-5)


@given(st.lists(st.text(min_size=1), min_size=1, max_size=5))
@settings(max_examples=50, deadline=None)
def test_any_text_has_finite_features_that_are_its_own(texts):
    rows = Builtin().encode_texts(texts)
    assert np.isfinite(rows).all()
    assert (np.linalg.norm(rows, axis=1) > 0).all()
    np.testing.assert_array_equal(rows[-1:], Builtin().encode_texts(texts[-1:]))


def test_more_texts_than_fit_in_one_pass_are_the_same_rows(monkeypatch):
    whole = Builtin().encode_texts(QUESTIONS)
    monkeypatch.setattr("mmroute.encoders.builtin.TEXTS_AT_ONCE", 2)
    np.testing.assert_array_equal(Builtin().encode_texts(QUESTIONS), whole)


@pytest.mark.parametrize("text", ["\n" * 100_000, "A " * 50_000, "(" * 100_000])
def test_a_hostile_text_takes_no_more_than_linear_time(text):
    assert np.isfinite(Builtin().encode_texts([text])).all()


def test_a_text_has_the_same_features_in_every_process():
    program = (
        "import sys; from mmroute.encoders.builtin import Builtin;"
        "sys.stdout.write(Builtin().encode_texts(['What is 3 + 4?']).tobytes().hex())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "7"},
    )
    assert done.stdout == Builtin().encode_texts(["What is 3 + 4?"]).tobytes().hex()


def test_nothing_to_encode_gives_no_rows():
    assert Builtin().encode_texts([]).shape == (0, 512)
    assert Builtin().encode_images([], 2).shape[0] == 0


def test_pages_and_scenes_are_told_apart(folder):
    paths = folder(page(40, 1), scene(1), page(40, 2), scene(2))
    similarity = cosine(Builtin().encode_images(paths, 1))
    np.fill_diagonal(similarity, -1)
    assert similarity.argmax(axis=1).tolist() == [2, 3, 0, 1]


def test_density_of_print_orders_pages(folder):
    rows = Builtin().encode_images(folder(page(45, 1), page(40, 2), page(4, 3)), 1)
    similarity = cosine(rows)
    assert similarity[0, 1] > similarity[0, 2] + 0.05
    norms = np.linalg.norm(rows, axis=1)
    assert norms[0] > norms[1] > norms[2]


def test_a_resaved_image_is_nearly_the_same(folder, tmp_path):
    path = folder(page(20, 1), kind="png")[0]
    Image.open(path).save(tmp_path / "again.jpg", quality=80)
    assert cosine(Builtin().encode_images([path, tmp_path / "again.jpg"], 1))[0, 1] > 0.97


def test_no_kind_of_feature_dominates_an_image(folder):
    rows = Builtin().encode_images(folder(*(page(4 * n, n) for n in range(4)), scene(1)), 1)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    widths = [8, 64, 144, 32, 16, 63]
    shares = np.split((unit**2).mean(axis=0), np.cumsum(widths)[:-1])
    assert max(share.sum() for share in shares) < 0.5


def test_an_unreadable_image_is_a_row_of_nan_in_its_place(folder, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    rows = Builtin().encode_images([broken, *folder(page(3, 1)), tmp_path / "missing.jpg"], 2)
    assert rows.dtype == np.float32
    assert np.isnan(rows).all(axis=1).tolist() == [True, False, True]
    assert np.isfinite(rows[1]).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 2), (2000, 3)])
@pytest.mark.parametrize("mode", ["L", "RGBA", "1"])
def test_an_image_of_any_size_has_finite_features(folder, size, mode):
    rows = Builtin().encode_images(folder(Image.new(mode, size), kind="png"), 1)
    assert np.isfinite(rows).all()
    assert np.linalg.norm(rows) > 0


def test_the_number_of_threads_changes_no_byte(folder):
    paths = folder(*(page(5 * seed, seed) for seed in range(4)), *(scene(s) for s in range(4)))
    one, three = (Builtin().encode_images(paths, threads).tobytes() for threads in (1, 3))
    assert one == three
