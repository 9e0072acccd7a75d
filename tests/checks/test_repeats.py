"""Questions that are in both splits, or nearly. Samples in training are those under salt 0."""

import random

import numpy as np
import pandas as pd
import pytest

from mmroute.checks import repeats

WORDS = [f"{a}{b}{c}" for a in "bd" for b in "aeiou" for c in ("r", "n", "st", "mp")]


@pytest.fixture
def sides(bench):
    """Return the training and the test samples, whose own groups hold them there."""
    bench.rows["group"] = bench.rows["sample_id"]
    trained = bench.trained
    return np.flatnonzero(trained).tolist(), np.flatnonzero(~trained).tolist()


def ask(bench, number, question):
    bench.rows.loc[bench.number == number, "question"] = question


def asked(bench, number):
    return bench.rows.loc[bench.number == number, "question"].iloc[0]


def test_the_same_question_in_both_splits(bench, sides):
    (first, *_), (other, more, *_) = sides
    question = asked(bench, first)
    ask(bench, other, question.upper().replace(" ", "\n  "))
    ask(bench, more, question.replace(" ", "  "))
    remark = bench.check().one("whose question is in the training split too")
    assert remark.level == "warning"
    assert f"s{other} and s{first}" in remark.message
    assert remark.message.startswith("2 of ")


def test_what_is_the_same_to_the_letter_is_never_in_both_splits(bench, sides):
    (first, *_), (other, *_) = sides
    ask(bench, other, asked(bench, first))
    assert bench.check().none("training split too")


def test_within_one_split_it_is_no_leak(bench, sides):
    _, (first, other, *_) = sides
    ask(bench, other, asked(bench, first))
    assert bench.check().none("training split too")


def test_another_image_makes_another_question(bench, sides):
    (first, *_), (other, *_) = sides
    ask(bench, other, asked(bench, first))
    bench.draw(range(400))
    assert bench.check().none("training split too")


def test_a_near_duplicate(bench, sides):
    (first, second, *_), (other, more, *_) = sides
    ask(bench, other, asked(bench, first) + " Now.")
    ask(bench, more, asked(bench, second).replace(" ", "  ", 1)[:-30])
    remark = bench.check().one("near-duplicate")
    assert remark.level == "warning"
    assert remark.message.startswith("1 of ")
    assert f"s{other} and s{first}" in remark.message


def test_other_numbers_make_another_question(bench, sides):
    (first, second, *_), (other, more, *_) = sides
    for number, question in (
        (first, "How many of the 12 apples are left?"),
        (other, "How many of the 13 apples are left?"),
        (second, asked(bench, second) + " in 1999"),
        (more, asked(bench, second) + " in 2001."),
    ):
        ask(bench, number, question)
    found = bench.check()
    assert found.none("near-duplicate")
    ask(bench, more, asked(bench, second) + "!")
    assert bench.check().one("near-duplicate").message.startswith("1 of ")


def test_what_all_questions_begin_with_makes_none_alike(bench):
    preamble = " ".join(bench.sentences(30))
    bench.rows["question"] = preamble + " " + bench.rows["question"]
    assert bench.check().none("near-duplicate")


def test_near_duplicates_are_found_whatever_the_language(bench, sides):
    (first, *_), (other, *_) = sides
    letters = [chr(code) for code in range(0x4E00, 0x4F00)]
    question = "".join(random.Random(1).choices(letters, k=60))
    ask(bench, first, question)
    ask(bench, other, question + "吗？")
    assert bench.check().one("near-duplicate").message.startswith("1 of ")


@pytest.mark.parametrize("seed", range(3))
def test_alike_is_what_comparing_all_pairs_finds(seed):
    rng = random.Random(seed)
    texts = [" ".join(rng.choices(WORDS, k=rng.randint(1, 25))) for _ in range(60)]
    for _ in range(60):
        text = rng.choice(texts)
        at = rng.randrange(len(text))
        texts.append(text[:at] + rng.choice("xyz") * rng.randint(0, 2) + text[at + 1 :])
    frame = pd.DataFrame({"template": texts}).drop_duplicates(ignore_index=True)
    frame = frame.assign(dataset=frame.index.astype(str), trains=True, tests=True)
    frame["image"] = [index % 2 for index in range(len(frame))]
    sets = [{text[i : i + 5] for i in range(len(text) - 4)} for text in frame["template"]]
    expected = {
        (i, j)
        for j in range(len(frame))
        for i in range(j)
        if frame["image"][i] == frame["image"][j]
        and min(len(sets[i]), len(sets[j])) >= repeats.FEWEST_SHINGLES
        and len(sets[i] & sets[j]) >= 0.9 * len(sets[i] | sets[j])
    }
    assert len(expected) > 3
    first, second, limits = repeats._similar(frame)
    assert set(zip(first.tolist(), second.tolist(), strict=True)) == expected
    assert limits == ""


def test_a_search_that_leaves_pairs_out_or_estimates_says_so(bench, sides, monkeypatch):
    monkeypatch.setattr(repeats, "MOST_PAIRS", 1)
    (first, *_), (other, *_) = sides
    plenty = " ".join(bench.sentences(3))
    for number in (first, other):
        ask(bench, number, f"{plenty} {(number == other) * 'One more.'}")
    for number in sides[1][1:4]:
        ask(bench, number, f"{plenty} {'.' * number}")
    said = "only the likeliest 1 pairs were compared"
    assert said in bench.check().one("near-duplicate").message
    monkeypatch.undo()
    assert said not in bench.check().one("near-duplicate").message
    monkeypatch.setattr(repeats, "MOST_SHINGLES", 20_000)
    assert "estimated from about 1 in 2 runs" in bench.check().one("near-duplicate").message
    bench.rows["question"] = bench.number.map(dict(enumerate(bench.sentences(400))))
    note = bench.check().one(
        f"0 of {len(sides[1])} test samples that a training sample is a near-duplicate of"
    )
    assert note.level == "note"
    assert note.message.endswith("characters)")


def test_a_place_with_very_many_members_needs_no_memory():
    owner, place = np.arange(200_000), np.zeros(200_000, int)
    first, second, whole = repeats._pairs(owner, place)
    assert not whole
    assert len(first) == len(second) == 0
