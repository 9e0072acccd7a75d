"""Frozen splits and folds by group, and the slices that the parts allow."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmroute.errors import InputError
from mmroute.outcomes.splits import (
    SLICE,
    fold_of,
    freeze,
    require_outcomes,
    require_parts,
    salts_of,
    slices,
    split,
)

KEYS = st.lists(st.text(max_size=12), max_size=60)


@given(KEYS, st.text(max_size=12))
@settings(deadline=None)
def test_a_new_sample_never_moves_another(keys, new):
    before = split(keys, 0.2, 0)
    after = split([*keys, new], 0.2, 0)
    np.testing.assert_array_equal(after[:-1], before)


@given(KEYS)
@settings(deadline=None)
def test_a_larger_training_share_only_adds_samples(keys):
    assert (split(keys, 0.5, 0) >= split(keys, 0.2, 0)).all()


@given(st.lists(st.sampled_from("abcdef"), min_size=1), st.sampled_from([0, 1, "other"]))
@settings(deadline=None)
def test_neither_a_split_nor_a_fold_cuts_a_group(keys, salt):
    for drawn in (split(keys, 0.5, salt), fold_of(keys)):
        assert pd.Series(drawn).groupby(keys).nunique().eq(1).all()


def test_the_split_takes_its_share_and_depends_on_the_salt():
    keys = [f"group {index}" for index in range(20_000)]
    first, second = split(keys, 0.2, 0), split(keys, 0.2, 1)
    assert abs(first.mean() - 0.2) < 0.01
    assert abs((first & second).mean() - 0.04) < 0.01
    assert np.abs(np.bincount(fold_of(keys)) / 20_000 - 0.2).max() < 0.01


def test_splits_have_a_column_per_salt_and_one_of_slices(make_table):
    splits = freeze(make_table(n_samples=400).samples, 0.2, [0, "other"])
    assert list(splits) == ["sample_id", SLICE, "0", "other"]
    assert splits["0"].dtype == bool
    assert list(salts_of(splits)) == ["0", "other"]


def test_development_samples_are_the_last_places_of_the_training_split(make_table):
    samples = make_table(n_samples=4000).samples
    splits = freeze(samples, 0.8, [0, 1], development=0.1)
    plain, smaller = freeze(samples, 0.8, [0, 1]), freeze(samples, 0.7, [0, 1])
    assert list(salts_of(splits)) == ["0", "1"]
    for salt in ("0", "1"):
        held = splits[f"development {salt}"]
        np.testing.assert_array_equal(splits[salt], plain[salt])
        np.testing.assert_array_equal(splits[salt] & ~held, smaller[salt])
        assert abs(held.mean() - 0.1) < 0.015
    assert not [column for column in plain if column.startswith("development")]


def samples_of(**counts):
    """Return (training, test) samples of data sets, all of one scenario, and their mask."""
    rows = [
        (dataset, part)
        for dataset, parts in counts.items()
        for part, count in zip((True, False), parts, strict=True)
        for _ in range(count)
    ]
    samples = pd.DataFrame(rows, columns=["dataset", "train"]).assign(scenario="S")
    return samples, samples[["train"]]


def slice_names(*masks, **counts):
    samples, mask = samples_of(**counts)
    found = slices(samples, pd.concat([mask, *masks], axis=1) if masks else mask)
    return found.groupby(samples["dataset"], sort=False).first().fillna("").to_dict()


def test_a_data_set_in_both_parts_is_a_slice_of_its_own():
    assert slice_names(big=(2, 8), other=(1, 1)) == {"big": "big", "other": "other"}


def test_the_small_ones_of_a_scenario_are_one_slice_together_if_that_is_in_both_parts():
    rest = "S (small data sets)"
    assert slice_names(big=(2, 8), one=(1, 0), two=(0, 3)) == {
        "big": "big",
        "one": rest,
        "two": rest,
    }
    assert slice_names(big=(2, 8), two=(0, 3)) == {"big": "big", "two": ""}


def test_it_takes_both_parts_under_every_salt():
    other = pd.DataFrame({"1": [True, False, False, False]})
    assert slice_names(other, a=(1, 1), b=(1, 1)) == {"a": "a", "b": ""}


def test_what_is_in_one_part_as_a_whole_is_refused(make_table, monkeypatch):
    samples = make_table(n_samples=6).samples
    require_parts(make_table(n_samples=60).samples, 0.2, [0])
    with pytest.raises(
        InputError, match=r"all 6 samples, in 1 groups, are in the \w+ split \(salt 0"
    ):
        require_parts(samples.assign(group="one"), 0.5, [0])
    monkeypatch.setattr("mmroute.outcomes.splits.N_FOLDS", 1)
    with pytest.raises(InputError, match="in the same fold of the training split"):
        require_parts(make_table(n_samples=60).samples, 0.2, [0])


def test_what_nothing_can_be_learned_of_or_measured_on_is_refused(make_table):
    table = make_table(n_samples=40)
    splits = freeze(table.samples, 0.5, [0, 1])
    require_outcomes(table, splits)
    utility = table.utility.copy()
    utility[splits["1"], 2] = np.nan
    with pytest.raises(
        InputError, match=r"'model-2' has no outcome in the training split \(salt 1"
    ):
        require_outcomes(replace(table, utility=utility), splits)
    utility = np.where(splits[["0"]], table.utility, np.nan)
    with pytest.raises(InputError, match=r"no outcome in the test split \(salt 0\)"):
        require_outcomes(replace(table, utility=utility), splits)
