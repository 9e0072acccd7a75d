import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression

from mmroute.sources.simulation.datasets import DATASETS, TEXT_DATASETS
from mmroute.sources.simulation.pool import POOL
from mmroute.sources.simulation.questions import TASKS
from mmroute.sources.simulation.skills import (
    LEVELS,
    SLOPES,
    UNIFORMS,
    Facets,
    accuracies,
    calibrated,
    facets,
)
from mmroute.sources.simulation.text_questions import TEXT_TASKS

TABLE_2 = {
    "OCRBench": (0.9050, 0.8075, 0.9825),
    "SEEDBench2_Plus": (0.7502, 0.7102, 0.8913),
    "MMStar": (0.7716, 0.6942, 0.9650),
    "RealWorldQA": (0.8235, 0.7108, 0.9853),
    "MathVista": (0.8037, 0.6688, 0.9475),
    "MathVerse": (0.7194, 0.4800, 0.8954),
    "MathVision": (0.6932, 0.3927, 0.8741),
}
"""Best single model, random choice, oracle."""

N = 40_000
by_dataset = pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.prefix)


def draw(dataset, count: int = N):
    rng = np.random.default_rng((7, DATASETS.index(dataset)))
    drawn = facets(dataset, rng.random((count, UNIFORMS)))
    model = calibrated()[dataset.prefix]
    solved = model.solves(
        drawn, rng.standard_normal(count), rng.standard_normal((count, len(POOL)))
    )
    return drawn, model, solved


def test_the_figures_calibrated_to_are_those_of_table_2():
    assert {d.prefix: (d.best, d.mean, d.oracle) for d in DATASETS} == TABLE_2


@by_dataset
def test_expected_accuracies_are_the_published_ones(dataset):
    drawn, model, _ = draw(dataset)
    expected = model.probabilities(drawn).mean(axis=0)
    best, mean, _ = TABLE_2[dataset.prefix]
    assert expected.max() == pytest.approx(best, abs=0.004)
    assert expected.mean() == pytest.approx(mean, abs=0.004)
    assert expected == pytest.approx(accuracies(dataset), abs=0.005)


@by_dataset
def test_outcomes_reach_the_published_best_mean_and_oracle(dataset):
    _, _, solved = draw(dataset)
    best, mean, oracle = TABLE_2[dataset.prefix]
    assert solved.mean(axis=0).max() == pytest.approx(best, abs=0.008)
    assert solved.mean() == pytest.approx(mean, abs=0.008)
    assert solved.any(axis=1).mean() == pytest.approx(oracle, abs=0.008)


@by_dataset
def test_task_shares_add_up_and_name_known_tasks(dataset):
    assert sum(dataset.tasks.values()) == pytest.approx(1)
    assert dataset.tasks.keys() <= TASKS.keys()


def test_no_model_is_the_best_everywhere():
    best = {POOL[accuracies(dataset).argmax()].name for dataset in DATASETS}
    assert len(best) >= 3


@by_dataset
def test_harder_levels_are_equally_frequent_and_less_accurate(dataset):
    drawn, model, solved = draw(dataset)
    levels = model.levels(drawn)
    shares = np.bincount(levels, minlength=LEVELS + 1)[1:] / N
    assert shares == pytest.approx(np.full(LEVELS, 1 / LEVELS), abs=0.02)
    accuracy = [solved[levels == level].mean() for level in range(1, LEVELS + 1)]
    assert np.all(np.diff(accuracy) < -0.01)


def test_text_and_image_together_tell_more_than_either():
    drawn = [draw(dataset, 4000) for dataset in DATASETS]
    text = np.vstack([np.column_stack([f.steps, f.recall, f.span]) for f, _, _ in drawn])
    image = np.vstack([np.column_stack([f.fade, f.clutter]) for f, _, _ in drawn])
    joint = (text[:, 2] * image[:, 1])[:, None]
    solved = np.concatenate([solved.mean(axis=1) for _, _, solved in drawn])

    def explained(*features: np.ndarray) -> float:
        stacked = np.hstack(features)
        return LinearRegression().fit(stacked, solved).score(stacked, solved)

    assert explained(text) > 0.05
    assert explained(image) > 0.02
    assert explained(text, image) > max(explained(text), explained(image)) + 0.02
    assert explained(text, image, joint) > explained(text, image) + 0.005


def test_a_router_that_knows_the_facets_beats_the_best_model_at_lower_cost():
    drawn = [draw(dataset, 4000) for dataset in DATASETS]
    expected = np.vstack([model.probabilities(f) for f, model, _ in drawn])
    solved = np.vstack([solved for _, _, solved in drawn])
    price = np.array([model.completion_price for model in POOL])
    rows = np.arange(len(solved))
    best = solved.mean(axis=0).argmax()
    peak = expected.argmax(axis=1)
    frugal = (expected - 0.02 * price).argmax(axis=1)
    assert solved[rows, peak].mean() > solved[:, best].mean() + 0.02
    assert solved[rows, frugal].mean() > solved[:, best].mean()
    assert price[frugal].mean() < 0.7 * price[best]


unit = st.floats(0, 1)


@given(fade=unit, clutter=unit, more_clutter=unit, steps=unit, recall=unit)
def test_a_busy_image_is_hard_only_for_a_question_about_much_of_it(
    fade, clutter, more_clutter, steps, recall
):
    def difficulty(span: float, clutter: float) -> float:
        values = {
            "steps": steps,
            "recall": recall,
            "fade": fade,
            "clutter": clutter,
            "span": span,
        }
        flags = dict.fromkeys(("task", "choice", "picture_only"), np.zeros(1, int))
        return Facets(
            **{name: np.array([value]) for name, value in values.items()}, **flags
        ).difficulty()[0]

    low, high = sorted((clutter, more_clutter))
    assert difficulty(0.0, low) == pytest.approx(difficulty(0.0, high))
    assert difficulty(1.0, high) - difficulty(1.0, low) == pytest.approx(
        (high - low) * (np.array([0.8, 0, 0.2]) @ SLOPES.mean(axis=0)), abs=1e-9
    )


def test_facets_that_a_task_lacks_are_zero():
    for dataset in DATASETS:
        drawn, _, _ = draw(dataset, 2000)
        tasks = [TASKS[name] for name in dataset.tasks]
        reasons = np.array([task.reasons for task in tasks])[drawn.task]
        recalls = np.array([task.recalls for task in tasks])[drawn.task]
        assert not drawn.steps[~reasons].any()
        assert not drawn.recall[~recalls].any()


TABLE_5 = {"GSM8K": 0.945, "MMLU": 0.912, "ARC": 0.657}
"""Best single model."""

by_text_dataset = pytest.mark.parametrize(
    "dataset", TEXT_DATASETS, ids=lambda dataset: dataset.prefix
)


def test_the_text_only_figures_are_those_of_table_5():
    assert {dataset.prefix: dataset.best for dataset in TEXT_DATASETS} == TABLE_5


@by_text_dataset
def test_text_only_outcomes_reach_what_they_are_calibrated_to(dataset):
    rng = np.random.default_rng(7)
    drawn = facets(dataset, rng.random((N, UNIFORMS)))
    residuals = rng.standard_normal(N), rng.standard_normal((N, len(POOL)))
    solved = calibrated()[dataset.prefix].solves(drawn, *residuals)
    assert solved.mean(axis=0).max() == pytest.approx(TABLE_5[dataset.prefix], abs=0.008)
    assert solved.mean() == pytest.approx(dataset.mean, abs=0.008)
    assert solved.any(axis=1).mean() == pytest.approx(dataset.oracle, abs=0.008)


@by_text_dataset
def test_without_an_image_nothing_has_to_be_read(dataset):
    drawn = facets(dataset, np.random.default_rng(7).random((2000, UNIFORMS)))
    reading, knowledge, reasoning = drawn.demands().T
    assert not reading.any()
    assert not drawn.clutter.any()
    assert not drawn.picture_only.any()
    assert (knowledge + reasoning).std() > 0.1
    assert dataset.tasks.keys() <= TEXT_TASKS.keys()
    assert sum(dataset.tasks.values()) == pytest.approx(1)


def test_calibration_is_repeatable():
    first = calibrated()["MMStar"]
    calibrated.cache_clear()
    second = calibrated()["MMStar"]
    assert first.shared == second.shared
    assert np.array_equal(first.intercepts, second.intercepts)
