import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmroute.sources.simulation.questions import OPTIONS, STEPS
from mmroute.sources.simulation.text_questions import TEXT_TASKS, ask_text

every_task = pytest.mark.parametrize("name", TEXT_TASKS)
REASONING = [name for name, task in TEXT_TASKS.items() if task.reasons]


def query(name: str, seed: int, **difficulty):
    parameters = {"steps": 0, "recall": 0.5, "choice": False} | difficulty
    return ask_text(np.random.default_rng(seed), TEXT_TASKS[name], **parameters)


@every_task
@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    steps=st.integers(0, STEPS),
    recall=st.floats(0, 1, exclude_max=True),
)
def test_every_task_has_a_question_and_wrong_answers(name, seed, steps, recall):
    asked = query(name, seed, steps=steps, recall=recall)
    assert asked.question.strip()
    assert "{" not in asked.question.split("\\[")[0]
    assert asked.answer not in asked.wrong
    assert len(set(asked.wrong)) == OPTIONS - 1


@every_task
@pytest.mark.parametrize("seed", range(3))
def test_options_hold_the_answer_once(name, seed):
    asked = query(name, seed, choice=True)
    options = dict(re.findall(r"^([A-D])\. (.*)$", asked.question, flags=re.MULTILINE))
    assert len(set(options.values())) == OPTIONS
    assert options[asked.answer] == query(name, seed).answer
    assert set(asked.wrong) == options.keys() - {asked.answer}


@pytest.mark.parametrize("name", REASONING)
def test_more_steps_show_as_a_longer_question(name):
    lengths = [
        np.mean([len(query(name, seed, steps=steps).question) for seed in range(10)])
        for steps in (0, 1, STEPS)
    ]
    assert lengths[0] < lengths[1] < lengths[2]


def test_a_story_ends_where_its_events_lead():
    operations = {
        r"(?:adds|come another) (\d+) km": lambda value, k: value + k,
        r"(?:saves|The last) (\d+) km": lambda value, k: value - k,
        r"(?:done|distance is) (\d+) times": lambda value, k: value * k,
        r"(?:among|into) (\d+) (?:drivers|equal)": lambda value, k: value // k,
    }
    used = set()
    for seed in range(40):
        asked = query("journey_story", seed, steps=3)
        opening, *events, _ = re.split(r"(?<=\.) ", asked.question)
        a, b = map(int, re.findall(r"\d+", opening))
        value = a * b
        for event in events:
            (pattern,) = [one for one in operations if re.search(one, event)]
            used.add(pattern)
            value = operations[pattern](value, int(re.search(pattern, event)[1]))
        assert str(value) == asked.answer
    assert used == operations.keys()


@pytest.mark.parametrize(
    ("name", "recall", "fact", "answer"),
    [
        ("capital", 0.0, "France", "Paris"),
        ("capital", 0.99, "Palau", "Ngerulmud"),
        ("element", 0.0, "Au|79", "Gold"),
        ("author", 0.99, "Niels Lyhne", "Jens Peter Jacobsen"),
        ("year", 0.0, "Moon", "1969"),
        ("unit_quantity", 0.99, "katal", "catalytic activity"),
        ("animal_class", 0.0, "dog", "mammals"),
    ],
)
def test_rarer_facts_stand_in_the_words(name, recall, fact, answer):
    asked = query(name, 0, recall=recall)
    assert re.search(fact, asked.question)
    assert asked.answer == answer


def test_a_law_is_applied_and_its_name_is_not_told():
    asked = query("physical_law", 0, recall=0.0)
    hours, speed = map(int, re.findall(r"\d+", asked.question))
    assert int(asked.answer) == hours * speed
    assert "inductance" not in query("physical_law", 0, recall=0.9).question
