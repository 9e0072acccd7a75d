import numpy as np
import pytest
from PIL import Image

from mmroute.sources.simulation import pictures
from mmroute.sources.simulation.pictures import THINGS, Thing

RNG_SEED = 11


def rng() -> np.random.Generator:
    return np.random.default_rng(RNG_SEED)


def sharpness(image: Image.Image) -> float:
    grey = np.asarray(image.convert("L"), float)
    return np.abs(np.diff(grey, axis=1)).mean()


@pytest.fixture
def chart():
    return pictures.bar_chart(rng(), "Stocks in 1999", ["Apples", "Pears", "Figs"], [10, 60, 90])


def test_the_same_generator_draws_the_same_picture(chart):
    again = pictures.bar_chart(rng(), "Stocks in 1999", ["Apples", "Pears", "Figs"], [10, 60, 90])
    assert chart.tobytes() == again.tobytes()


def test_a_longer_bar_takes_more_ink():
    def ink(value: int) -> int:
        image = np.asarray(pictures.bar_chart(rng(), "Sales", ["Figs"], [value]))
        return (image.max(axis=2) - image.min(axis=2) > 60).sum()

    assert ink(80) > 3 * ink(20)


def test_shaded_cells_are_the_ones_drawn():
    shaded = np.array([[True, False], [False, True]])
    image = np.asarray(pictures.grid(rng(), shaded)).astype(int)
    cell = (image.shape[0] - 60) // 2
    centres = 30 + cell // 2 + cell * np.arange(2)
    coloured = np.ptp(image[np.ix_(centres, centres)], axis=2) > 40
    assert np.array_equal(coloured, shaded)


def test_night_is_darker_than_day():
    things = [Thing(kind, "red") for kind in THINGS]
    day, night = (
        np.asarray(pictures.scene(rng(), day=day, things=things)).mean() for day in (True, False)
    )
    assert night < 0.6 * day


def test_fading_takes_contrast_and_sharpness(chart):
    assert pictures.faded(chart, 0.0).tobytes() == chart.tobytes()
    levels = [sharpness(pictures.faded(chart, fade)) for fade in (0.0, 0.3, 0.7, 1.0)]
    assert np.all(np.diff(levels) < 0)


@pytest.mark.parametrize("shade", [0, 60, 127, 128, 150, 200, 255])
def test_the_mark_is_legible_in_the_lower_right_corner_of_any_picture(shade):
    blank = Image.new("RGB", (200, 100), (shade, shade, shade))
    difference = np.abs(np.asarray(pictures.marked(blank.copy())).astype(int) - shade)
    rows, columns, _ = np.nonzero(difference > 40)
    assert 86 <= rows.min() <= rows.max() < 100
    assert 130 <= columns.min() <= columns.max() < 200


def test_a_printed_question_is_added_above_the_picture(chart):
    asked = pictures.with_question(chart, "How many figs?\nGive a number.")
    strip = asked.height - chart.height
    assert strip > 30
    assert asked.crop((0, strip, *asked.size)).tobytes() == chart.tobytes()
    assert np.asarray(asked.crop((0, 0, asked.width, strip))).min() < 100
