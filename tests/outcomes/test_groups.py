"""Groups: what is declared, what has the same content, and that nothing else moves a key."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from mmroute.outcomes.groups import group_keys

SAMPLES = st.lists(
    st.tuples(st.sampled_from("AB"), st.sampled_from(["", "", "g", "h", "i"]), st.integers(0, 9)),
    min_size=1,
    max_size=25,
)


def samples_of(rows):
    return pd.DataFrame(
        [
            {
                "dataset": dataset,
                "group": group,
                "question": f"What is {what}?",
                "image_digest": None,
            }
            for dataset, group, what in rows
        ]
    )


def keys_of(*rows):
    return group_keys(samples_of(rows)).tolist()


def test_samples_of_different_content_are_alone():
    assert len(set(keys_of(("A", "", 1), ("A", "", 2), ("B", "", 3)))) == 3


def test_the_same_question_and_image_are_one_group_in_whatever_data_set():
    samples = samples_of([("A", "", 1), ("B", "", 1), ("A", "", 1), ("A", "", 1)])
    samples["image_digest"] = ["aa", "aa", "bb", None]
    first, second, *others = group_keys(samples)
    assert first == second
    assert len({first, *others}) == 3


def test_a_declared_group_is_one_within_its_data_set():
    first, second, elsewhere = keys_of(("A", "g", 1), ("A", "g", 2), ("B", "g", 3))
    assert first == second != elsewhere


def test_declared_groups_that_share_a_content_are_joined():
    keys = keys_of(("A", "g", 1), ("A", "h", 1), ("A", "g", 2), ("A", "h", 3), ("B", "", 3))
    assert len(set(keys)) == 1
    assert keys[0] == min(keys_of(("A", "g", 7), ("A", "h", 8)))


def test_a_key_cannot_be_taken_for_one_of_another_kind():
    samples = samples_of([("A", "g", 1), ("A", "", 2)])
    samples.loc[1, ["question", "image_digest"]] = "A", "g"
    assert group_keys(samples).nunique() == 2


@given(SAMPLES, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_keys_do_not_depend_on_the_order(rows, random):
    samples = samples_of(rows)
    order = random.sample(range(len(rows)), len(rows))
    shuffled = samples.iloc[order].reset_index(drop=True)
    np.testing.assert_array_equal(group_keys(shuffled), group_keys(samples).to_numpy()[order])


@given(SAMPLES, st.integers(0, 9))
@settings(max_examples=100, deadline=None)
def test_a_new_sample_without_a_group_moves_no_other(rows, what):
    assert keys_of(*rows, ("B", "", what))[:-1] == keys_of(*rows)


@given(SAMPLES, st.sampled_from(["g", "h", "new"]), st.integers(0, 30))
@settings(max_examples=100, deadline=None)
def test_a_new_sample_of_a_group_moves_only_what_it_joins(rows, group, what):
    before, after = keys_of(*rows), keys_of(*rows, ("A", group, what))
    moved = {old for old, new in zip(before, after[:-1], strict=True) if old != new}
    alike = [old for old, row in zip(before, rows, strict=True) if row[2] == what]
    declared = [old for old, row in zip(before, rows, strict=True) if row[:2] == ("A", group)]
    assert moved <= {*alike, *declared}
    if not alike:
        assert not moved


@given(SAMPLES)
@settings(max_examples=100, deadline=None)
def test_groups_are_the_connected_samples(rows):
    """By brute force: two samples are linked by their content or their declared group."""
    group = list(range(len(rows)))
    for _ in rows:
        for i, one in enumerate(rows):
            for j, other in enumerate(rows):
                if one[2] == other[2] or (one[1] and one[:2] == other[:2]):
                    group[i] = group[j] = min(group[i], group[j])
    keys = keys_of(*rows)
    assert pd.factorize(np.array(keys))[0].tolist() == pd.factorize(np.array(group))[0].tolist()
