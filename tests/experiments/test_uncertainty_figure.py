"""The figure of what to do with unsure queries."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from mmroute.experiments.uncertainty import ENDS, PERSON, SHARES, STRONGEST, VOTE, Uncertainty
from mmroute.presentation.figures import save

draw = Uncertainty().draw


def summary(n_routers=1, strategies=(STRONGEST, VOTE, PERSON), free=False):
    rows = []
    for router in range(n_routers):
        own = (f"router-{router}", "half_cost")
        rows.append((*own, None, np.nan, "auroc", None, 0.7))
        for index, strategy in enumerate(strategies):
            for share in SHARES:
                value = 0.5 + 0.1 * index * share
                cost = 0.0 if free else 0.001 * (1 + index * share)
                rows += [
                    (*own, strategy, share, "accuracy", None, value),
                    (*own, strategy, share, "accuracy", "at random", 0.01),
                    (*own, strategy, share, "cost_usd", None, cost),
                ]
    keys = ["router", "point", "strategy", "handed_on", "metric", "minus", "value"]
    table = pd.DataFrame(rows, columns=keys)
    return table.assign(low=table["value"] - 0.01, high=table["value"] + 0.01)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def panels(figure):
    return [axes for axes in figure.axes if axes.axison]


def line_of(axes, label):
    return next(line for line in axes.lines if line.get_label() == label)


@pytest.mark.parametrize("n_routers", [1, 4, 5, 11])
def test_every_router_has_a_panel_that_tells_how_much_its_uncertainty_is_worth(n_routers):
    names = [axes.get_title() for axes in panels(draw(summary(n_routers), "title"))]
    assert names == [f"router-{index} (half cost), AUROC 0.70" for index in range(n_routers)]


def test_a_line_is_accuracy_against_cost_as_the_share_sweeps():
    (axes,) = panels(draw(summary(), "title"))
    line = line_of(axes, PERSON)
    np.testing.assert_allclose(line.get_xdata(), 1 + 2 * SHARES)
    np.testing.assert_allclose(line.get_ydata(), 0.5 + 0.2 * SHARES)
    assert len(axes.collections) == 3


def test_the_router_and_the_strongest_model_are_points_of_their_own():
    (axes,) = panels(draw(summary(), "title"))
    for name, share, *_ in ENDS:
        strongest = line_of(axes, STRONGEST)
        at = np.flatnonzero(share == SHARES)
        np.testing.assert_allclose(line_of(axes, name).get_xydata(), strongest.get_xydata()[at])


def test_a_strategy_that_was_left_out_is_not_in_the_legend():
    figure = draw(summary(strategies=(STRONGEST, PERSON)), "title")
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names[:2] == [STRONGEST, PERSON]
    assert VOTE not in names


@pytest.mark.parametrize(("free", "scale"), [(False, "log"), (True, "linear")])
def test_costs_are_on_a_log_axis_unless_a_query_can_be_free(free, scale):
    (axes,) = panels(draw(summary(free=free), "title"))
    assert axes.get_xscale() == scale


def test_the_same_table_gives_the_same_bytes(tmp_path):
    for run in ("one", "two"):
        save(draw(summary(), "A$_{\\frac{$<b>&"), [tmp_path / f"{run}.svg"])
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
