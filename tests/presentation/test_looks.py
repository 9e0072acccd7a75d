"""Lines are told apart, on light and on dark paper, and a row looks like its shrunk twin."""

import numpy as np
import pytest

from mmroute.presentation.looks import COLOURS, OTHERS, largest_shares, looks


def level(colour):
    parts = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    linear = np.where(parts <= 0.03928, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


@pytest.mark.parametrize("paper", ["#ffffff", "#14181d"])
@pytest.mark.parametrize("colour", [*COLOURS, OTHERS])
def test_a_line_stands_out_from_the_paper(colour, paper):
    low, high = sorted([level(colour), level(paper)])
    assert (high + 0.05) / (low + 0.05) >= 3


def test_ten_prominent_routers_have_looks_of_their_own_and_the_others_one():
    names = [f"router-{index}" for index in range(12)]
    found = looks([*names, "oracle"], [*names[:10], "oracle"])
    own = [(found[name].colour, found[name].dash) for name in [*names[:10], "oracle"]]
    assert len(set(own)) == 11
    assert {found[name].colour for name in names[10:]} == {OTHERS}
    assert [found[name].prominent for name in names] == [True] * 10 + [False] * 2


def test_a_row_looks_like_that_of_its_shrunk_predictions():
    found = looks(["knn", "knn+shrink", "svm"], ["knn+shrink"])
    assert found["knn"] == found["knn+shrink"]
    assert found["svm"].colour == OTHERS


def test_the_main_shares_are_told_and_no_small_one():
    assert largest_shares([0.04, 0.5, 0.06, 0.1, 0.3]) == [(1, 0.5), (4, 0.3), (3, 0.1)]
    assert largest_shares([0.97, 0.03]) == [(0, 0.97)]
