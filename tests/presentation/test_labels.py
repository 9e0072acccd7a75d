"""Each label of a point stands where its own point is the nearest, and over no other."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib import pyplot as plt

from mmroute.presentation.labels import label_points

pytestmark = pytest.mark.slow

# Like the demo's models, and like fifteen of which many are as good as others.
DEMO = {
    "Qwen2.5-VL-3B-Instruct": (0.0052, 0.500),
    "Gemma3-4B": (0.0095, 0.467),
    "Qwen2.5-VL-7B-Instruct": (0.0133, 0.570),
    "gpt-5-nano-2025-08-07": (0.081, 0.599),
    "Qwen2.5-VL-72B-Instruct": (0.114, 0.661),
    "InternVL3-78B": (0.184, 0.654),
    "GeminiFlash2-5": (0.213, 0.699),
    "Claude3-7V_Sonnet": (3.0, 0.643),
    "GeminiPro2-5": (5.95, 0.721),
    "gpt-5-2025-08-07": (10.0, 0.737),
}
PLACES = [
    *[(0.02, 0.19), (0.021, 0.2), (0.05, 0.22), (0.055, 0.225), (0.06, 0.22), (0.1, 0.3)],
    *[(0.11, 0.31), (0.4, 0.35), (0.42, 0.33), (0.45, 0.34), (0.9, 0.46), (1.0, 0.47)],
    *[(1.1, 0.455), (4.0, 0.6), (9.0, 0.72)],
]
FIFTEEN = {f"a-vision-language-model-{index:02}": place for index, place in enumerate(PLACES)}


def random_pool(seed):
    generator = np.random.default_rng(seed)
    size = int(generator.integers(5, 35))
    cost = 10 ** generator.uniform(-3, 1, size)
    utility = 0.5 + 0.1 * np.log10(cost) + 0.05 * generator.standard_normal(size)
    names = [f"model-{'x' * int(generator.integers(20))}-{index}" for index in range(size)]
    return dict(zip(names, zip(cost, utility, strict=True), strict=True))


POOLS = {"demo": DEMO, "fifteen": FIFTEEN} | {
    f"random {seed}": random_pool(seed) for seed in range(10)
}


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def labelled(pool, lines=()):
    figure, axes = plt.subplots(figsize=(9, 5.6))
    axes.set_xscale("log")
    points = np.array(list(pool.values()))
    axes.scatter(*points.T)
    label_points(axes, points, list(pool), lines)
    figure.canvas.draw()
    return axes, axes.transData.transform(points)


def told(axes):
    """Names by the numbers that stand for them."""
    lines = [text.get_text() for text in axes.texts if ": " in text.get_text()]
    return dict(line.split(": ") for text in lines for line in text.splitlines())


def gap(box, point):
    left, bottom, right, top = box.extents
    x, y = point
    return np.hypot(max(left - x, 0, x - right), max(bottom - y, 0, y - top))


@pytest.mark.parametrize("name", POOLS)
def test_the_nearest_point_of_each_label_is_its_own(name):
    pool = POOLS[name]
    axes, points = labelled(pool)
    numbers = told(axes)
    own = [text for text in axes.texts if ": " not in text.get_text()]
    names = [numbers.get(text.get_text(), text.get_text()) for text in own]
    assert sorted(names) == sorted(pool)
    for text, label in zip(own, names, strict=True):
        gaps = [gap(text.get_window_extent(), point) for point in points]
        assert list(pool)[int(np.argmin(gaps))] == label


@pytest.mark.parametrize("name", POOLS)
def test_no_label_covers_another_nor_leaves_the_panel(name):
    cost, utility = np.quantile(list(POOLS[name].values()), [0.4, 0.6], axis=0).T
    lines = [(cost[0], utility[1], "a line", "0.2"), (cost[1], utility[0], "another", "0.4")]
    axes, _ = labelled(POOLS[name], lines)
    boxes = [text.get_window_extent() for text in axes.texts if ": " not in text.get_text()]
    assert not any(first.overlaps(second) for first, second in combinations(boxes, 2))
    panel = axes.get_window_extent()
    for box in boxes:
        assert panel.x0 <= box.x0 <= box.x1 <= panel.x1
        assert panel.y0 <= box.y0 <= box.y1 <= panel.y1


def test_names_stand_in_full_where_there_is_room():
    axes, _ = labelled(DEMO)
    assert sorted(text.get_text() for text in axes.texts) == sorted(DEMO)


def test_where_there_is_no_room_numbers_stand_for_names():
    pool = {f"one-of-many-models-{index}": (1 + index / 50, 0.5) for index in range(30)}
    axes, points = labelled(pool | {"far": (1000, 0.7)})
    numbers = told(axes)
    assert numbers
    assert set(numbers.values()) <= set(pool)
    # On its point, or beside it and nearer than any other.
    for text in axes.texts:
        if text.get_text() in numbers:
            gaps = [gap(text.get_window_extent(), point) for point in points]
            assert min(gaps) == gaps[list(pool).index(numbers[text.get_text()])]


def test_of_equally_near_places_a_label_takes_one_that_covers_no_line():
    figure, axes = plt.subplots()
    axes.plot(np.linspace(0, 1, 100), np.full(100, 0.5))
    axes.set(xlim=(0, 1), ylim=(0, 1))
    label_points(axes, np.array([[0.5, 0.5]]), ["on the line"])
    figure.canvas.draw()
    box = axes.texts[0].get_window_extent()
    height = axes.transData.transform((0.5, 0.5))[1]
    assert height < box.y0 or box.y1 < height
