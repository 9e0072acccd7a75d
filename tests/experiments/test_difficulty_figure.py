"""The figure of where queries of each difficulty go."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from mmroute.experiments.difficulty import TIERS, Difficulty
from mmroute.presentation.figures import save

draw = Difficulty().draw
HOSTILE = "level $\\frac{<b>" + "x" * 80
COLUMNS = ["router", "point", "stratum", "tier", "metric", "minus", "value"]
STRATA = ("level 1", "level 2", HOSTILE)


def summary(n_routers=2, point="half_cost"):
    shares = np.random.default_rng(0).dirichlet(np.ones(3), size=(n_routers, 3))
    rows = [
        (f"router-{router}", point, stratum, tier, "traffic", None, shares[router, index, place])
        for router in range(n_routers)
        for index, stratum in enumerate(STRATA)
        for place, tier in enumerate(TIERS)
    ]
    rows += [
        (f"router-{router}", point, stratum, None, "accuracy", None, 0.9 - 0.3 * index)
        for router in range(n_routers)
        for index, stratum in enumerate(STRATA)
    ]
    rows += [("router-0", point, HOSTILE, "dear", "traffic", "level 1", 0.3)]
    return pd.DataFrame(rows, columns=COLUMNS)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def panels(figure):
    return [axes for axes in figure.axes if axes.axison]


@pytest.mark.parametrize("n_routers", [1, 4, 5, 11])
def test_every_router_has_a_panel(n_routers):
    figure = draw(summary(n_routers), "title")
    names = [axes.get_title() for axes in panels(figure)]
    assert names == [f"router-{index} (half cost)" for index in range(n_routers)]


def test_the_bars_of_a_stratum_reach_from_nothing_to_all():
    table = summary(1)
    (axes,) = panels(draw(table, "title"))
    by_tier = [[bar.get_height() for bar in container] for container in axes.containers]
    np.testing.assert_allclose(np.sum(by_tier, axis=0), 1)
    dear = table[(table["tier"] == "dear") & table["minus"].isna()]["value"]
    np.testing.assert_allclose(by_tier[-1], dear)
    tops = [bar.get_y() + bar.get_height() for bar in axes.containers[-1]]
    np.testing.assert_allclose(tops, 1)


def test_the_accuracy_of_each_stratum_stands_above_its_bar():
    (axes,) = panels(draw(summary(1), "title"))
    assert [text.get_text() for text in axes.texts] == ["90", "60", "30"]


def test_strata_are_named_in_their_order_and_briefly():
    figure = draw(summary(1), "title")
    names = [label.get_text() for label in panels(figure)[0].get_xticklabels()]
    assert names[:2] == ["level 1", "level 2"]
    assert names[2] == HOSTILE[:19] + "…"


def test_a_router_is_shown_at_half_cost_or_else_at_its_peak():
    table = pd.concat([summary(2), summary(3, "peak")])
    names = [axes.get_title() for axes in panels(draw(table, "title"))]
    assert names == ["router-0 (half cost)", "router-1 (half cost)", "router-2 (peak)"]


def test_the_sizes_of_the_strata_have_no_panel():
    sizes = pd.DataFrame([("", "", "level 1", "", "samples", "", 1.0)], columns=COLUMNS)
    assert len(panels(draw(pd.concat([sizes, summary(1)]), "title"))) == 1


def test_the_same_table_gives_the_same_bytes(tmp_path):
    for run in ("one", "two"):
        save(draw(summary(), HOSTILE), [tmp_path / f"{run}.svg"])
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
