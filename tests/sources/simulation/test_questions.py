import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmroute.sources.simulation.questions import OPTIONS, STEPS, TASKS, ask

every_task = pytest.mark.parametrize("name", TASKS)
REASONING = [name for name, task in TASKS.items() if task.reasons]


def query(name: str, seed: int, **difficulty):
    parameters = {"steps": 0, "recall": 0.5, "clutter": 0.5, "choice": False} | difficulty
    return ask(np.random.default_rng(seed), TASKS[name], **parameters)


@every_task
@settings(max_examples=4, deadline=None)
@given(
    seed=st.integers(0, 2**32), clutter=st.floats(0, 1), recall=st.floats(0, 1, exclude_max=True)
)
def test_every_task_has_a_question_a_picture_and_wrong_answers(name, seed, clutter, recall):
    asked = query(name, seed, clutter=clutter, recall=recall)
    assert asked.question.strip()
    assert 150 <= min(asked.picture.size) <= max(asked.picture.size) <= 600
    assert asked.answer not in asked.wrong
    assert len(set(asked.wrong)) == OPTIONS - 1


@every_task
@pytest.mark.parametrize("seed", range(3))
def test_options_hold_the_answer_once(name, seed):
    asked = query(name, seed, choice=True)
    free = query(name, seed)
    options = dict(re.findall(r"^([A-D])\. (.*)$", asked.question, flags=re.MULTILINE))
    assert len(set(options.values())) == OPTIONS
    assert options[asked.answer] == free.answer
    assert set(asked.wrong) == options.keys() - {asked.answer}


@pytest.mark.parametrize("name", REASONING)
def test_more_steps_show_as_a_longer_question(name):
    lengths = [
        np.mean([len(query(name, seed, steps=steps).question) for seed in range(6)])
        for steps in (0, 1, STEPS)
    ]
    assert lengths[0] < lengths[1] < lengths[2]


def test_steps_are_carried_out():
    for seed in range(30):
        asked = query("grid_shaded", seed, steps=3)
        start = int(query("grid_shaded", seed).answer)
        formula = re.search(r"\\\[ (.*) \\\]", asked.question)
        if formula:
            python = formula[1].replace(r"\cdot", "*").replace(r"\bmod", "%")
            assert int(asked.answer) == eval(python, {"n": start})
            return
    pytest.fail("no question was put as a formula")


@every_task
def test_more_clutter_shows_in_the_picture(name):
    def detail(clutter: float) -> float:
        grey = np.asarray(query(name, 3, clutter=clutter).picture.convert("L"), float)
        return np.abs(np.diff(grey, axis=0)).sum() + np.abs(np.diff(grey, axis=1)).sum()

    assert detail(1.0) > 1.2 * detail(0.0)


@pytest.mark.parametrize(
    ("recall", "fact"),
    [(0.0, "capital is Paris"), (0.41, "symbol Au"), (0.99, "atomic number $Z = 65$")],
)
def test_rarer_facts_stand_in_the_words(recall, fact):
    assert fact in query("chart_known", 0, recall=recall).question


def test_questions_vary_in_form():
    texts = [
        query(name, seed, steps=3 * TASKS[name].reasons).question
        for name in TASKS
        for seed in range(4)
    ]
    assert any("\n" in text for text in texts)
    assert any("\\[" in text for text in texts)
    assert any(not text.isascii() for text in texts)


def test_counts_have_no_negative_options():
    for seed in range(20):
        assert all(int(wrong) >= 0 for wrong in query("map_roads", seed).wrong)
