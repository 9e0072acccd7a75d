"""Questions worded otherwise, whose meaning stays."""

import re
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmroute.features.perturbation import KINDS, TEMPLATES, perturb

ASKED = (
    "Compute $x^2 + Three$ for Triangle ABC with NaCl, 12.5 Mg of Water and \\frac{1}{2} carefully."
)
OPTIONS = "Which Animal is heaviest?\nA) Elephant of Africa\n(B) Mouse deer\nC. Spider monkey"


def one(question, kind, name="a", seed=0):
    (changed,) = perturb([question], [name], kind, seed)
    return changed


def test_case_makes_words_small_that_begin_with_a_capital():
    assert one(ASKED, "case") == (
        "compute $x^2 + Three$ for triangle ABC with NaCl, 12.5 Mg of water and \\frac{1}{2} "
        "carefully."
    )


def test_spacing_doubles_spaces_between_words_and_nothing_else():
    changed = one(ASKED, "spacing")
    assert changed != ASKED
    assert changed.replace("  ", " ") == ASKED
    # A fifth of the 7 that have a letter behind them, and a letter or its punctuation before.
    assert changed.count("  ") == 1
    assert one(" ".join(["word"] * 21), "spacing").count("  ") == 4


def test_typing_errors_are_in_long_plain_words_and_keep_their_ends():
    for name in map(str, range(30)):
        pairs = [
            (before, after)
            for before, after in zip(
                ASKED.split(" "), one(ASKED, "typing", name).split(" "), strict=True
            )
            if before != after
        ]
        ((before, after),) = pairs
        assert before in ("Compute", "Triangle", "carefully.")
        word, typed = before.strip("."), after.strip(".")
        assert (word[0], word[-1]) == (typed[0], typed[-1])
        doubled = Counter(typed) - Counter(word)
        assert len(typed) - len(word) == doubled.total() <= 1


def test_a_tenth_of_the_long_words_is_mistyped():
    words = [f"{first}wordy{last}" for first in "abcde" for last in "abcdef"]
    changed = one(" ".join(words), "typing").split(" ")
    assert sum(a != b for a, b in zip(words, changed, strict=True)) == 3


def test_a_paraphrase_is_a_template_around_the_question():
    seen = {one("Why?", "paraphrase", str(index)) for index in range(40)}
    assert seen == {template.replace("{}", "Why?") for template in TEMPLATES}
    assert one("{} {0} {x}", "paraphrase").endswith("{} {0} {x}")


@pytest.mark.parametrize("kind", ["case", "spacing", "typing"])
@pytest.mark.parametrize(
    "kept",
    [
        "A) Elephant of Africa",
        "(b) Mouse deer Running",
        "C. Spider monkey Climbing",
        "(2) Second answer Possible",
        "$Triangle of Squares$",
        "$$Triangle\nof Squares$$",
        "\\(Triangle of Squares\\)",
        "\\[Triangle of Squares\\]",
        "`Triangle of Squares`",
        "```\nfor Triangle in Squares:\n    print Triangle\n```",
        "12,345.6",
        "H2O",
        "McDonald_value",
        "https://Example.org/Triangle",
        "ABC",
        "pH",
        "Mg",
        "x",
        "\\frac{Triangle}{Squares}",
    ],
)
def test_what_carries_the_meaning_stays(kind, kept):
    question = f"Whatever Happens There\n{kept}\nSomething Different Happens"
    changed = [one(question, kind, str(index)) for index in range(20)]
    assert all(kept in text for text in changed)
    assert set(changed) != {question}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("question", ["", "  ", "\n\t"])
def test_an_empty_question_stays_empty(kind, question):
    assert one(question, kind) == question


@pytest.mark.parametrize("kind", ["case", "spacing", "typing"])
@pytest.mark.parametrize("question", ["12 + 7 = ?", "求三角形的面积。", "x"])
def test_a_question_without_a_place_to_change_stays(kind, question):
    assert one(question, kind) == question


@pytest.mark.parametrize("kind", KINDS)
def test_a_question_depends_on_its_id_the_kind_and_the_seed_only(kind):
    questions = [f"{ASKED} {OPTIONS} {index}" for index in range(9)]
    ids = [f"s{index}" for index in range(9)]
    whole = perturb(questions, ids, kind, 3)
    assert perturb(questions[::-1], ids[::-1], kind, 3)[::-1] == whole
    assert perturb(questions[4:5], ids[4:5], kind, 3) == whole[4:5]
    if kind != "case":
        assert perturb(questions, ids, kind, 4) != whole
        assert perturb(questions, ids[::-1], kind, 3) != whole


@given(st.text(), st.sampled_from(sorted(KINDS)))
def test_digits_signs_and_lines_are_those_of_the_question(question, kind):
    changed = one(question, kind)
    if kind == "paraphrase":
        assert question.isspace() or not question or changed.endswith(question)
        return
    told, asked = (re.sub(r"[^\W\d_]| ", "", text) for text in (changed, question))
    assert told == asked


@pytest.mark.parametrize("piece", ["\\(", "`", "$", "A) ", "((", "a", "a ", "\n", "```"])
def test_a_long_question_takes_no_time(piece):
    begin = time.perf_counter()
    for kind in KINDS:
        one(piece * 20_000, kind)
    assert time.perf_counter() - begin < 5


def test_the_draws_of_kinds_are_not_the_same():
    lines = ["What Happens in Different Places over Several Decades of Progress"] * 200
    ids = [str(index) for index in range(200)]
    changed = np.array([perturb(lines, ids, kind, 0) for kind in ("spacing", "typing")])
    assert len(set(changed[0])) > 10
    assert len(set(changed[1])) > 10
