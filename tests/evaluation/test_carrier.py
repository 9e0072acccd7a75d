"""Operating points that go over from cross-fitted predictions to the trained router."""

import numpy as np
import pandas as pd
import pytest

from mmroute.evaluation.carrier import BorneOut, Carrier, Foreseen, moments
from mmroute.evaluation.curve import steps_of
from mmroute.predictions import Predictions

N, K = 200, 3


def predicted(u_hat, c_hat, **more):
    ids = pd.Series([str(row) for row in range(len(u_hat))])
    return Predictions(ids, u_hat[None], c_hat[None], **more)


@pytest.fixture
def table():
    """Utilities, costs of models that differ in price, and what is told of either."""
    generator = np.random.default_rng(0)
    u_hat = 0.3 + 0.3 * generator.random((N, K))
    told = np.array([1.0, 2.0, 4.0]) * generator.lognormal(0, 0.3, (N, K))
    cost = told * generator.lognormal(0, 0.1, (N, K))
    return (generator.random((N, K)) < u_hat).astype(float), cost, u_hat, told


def spent(predictions, parameters, costs):
    """Return what the choices at some parameters cost, on average."""
    steps = steps_of(predictions, 0, np.ones((N, K), bool), "lambda")
    return [costs[np.arange(N), steps.choices(own)].mean() for own in parameters]


def carried(crossfit, own, utility, cost, parameters):
    carrier = Carrier.of(crossfit, utility, cost, "lambda")
    steps = steps_of(own, 0, np.ones((N, K), bool), "lambda")
    return carrier.carry(np.array(parameters), carrier.foreseen(steps, own.c_hat[0], "lambda"))


PARAMETERS = [0.0, 0.01, 0.03, 0.08, 0.2]


@pytest.mark.parametrize(("stretch", "factor"), [(1.0, 1.0), (2.0, 2.0), (0.5, 0.5)])
def test_a_fit_on_another_scale_of_utility_spends_the_same_at_another_threshold(
    table, stretch, factor
):
    utility, cost, u_hat, told = table
    own = predicted(0.1 + stretch * (u_hat - 0.3), told)
    crossfit = predicted(u_hat, told)
    found = carried(crossfit, own, utility, cost, PARAMETERS)
    np.testing.assert_allclose(
        spent(own, found, told), spent(crossfit, PARAMETERS, told), rtol=1e-12
    )
    # At the first of what holds up to the given one.
    assert (found <= factor * np.array(PARAMETERS) + 1e-12).all()


def test_the_ends_go_over_as_ends_although_other_queries_cost_more(table):
    utility, cost, u_hat, told = table
    crossfit, own = predicted(u_hat, told), predicted(u_hat, 3 * told)
    carrier = Carrier.of(crossfit, utility, cost, "lambda")
    steps = steps_of(own, 0, np.ones((N, K), bool), "lambda")
    foreseen = Foreseen.of(steps, 3 * told, "lambda")
    first, last = carrier.carry(np.array([0.0, 1e9]), foreseen)
    assert foreseen.cost[foreseen.threshold == first] == foreseen.cost.max()
    assert foreseen.cost[foreseen.threshold == last] == foreseen.cost.min()


def test_a_router_that_has_a_grid_keeps_its_lambdas(table):
    utility, cost, u_hat, told = table
    grid = np.array([0.0, 1.0])
    own = predicted(u_hat, told, grid=grid, scores=np.stack([u_hat, -told]))
    carrier = Carrier.of(own, utility, cost, "lambda")
    steps = steps_of(own, 0, np.ones((N, K), bool), "lambda")
    assert carrier.foreseen(steps, told, "lambda") is None
    np.testing.assert_array_equal(carrier.carry(grid, None), grid)


def test_predicted_costs_count_as_far_as_labels_bear_them_out():
    """Half of what is told of the first model is true, of the second nothing, of the third all."""
    told = np.array([[2.0, 1.0, 1.0], [4.0, 2.0, 2.0], [6.0, 1.0, np.nan]])
    cost = np.array([[1.0, 5.0, 2.0], [2.0, 4.0, 4.0], [3.0, 5.0, 9.0]])
    borne_out = BorneOut.of(moments(told, cost))
    np.testing.assert_allclose(borne_out.mean, [2, 14 / 3, 5])
    np.testing.assert_allclose(borne_out.slope, [0.5, 0, 1])
    queries = np.array([[1.0, 9.0, 3.0], [3.0, 0.0, 5.0]])
    expected = [[2 - 0.5, 14 / 3, 5 - 1], [2 + 0.5, 14 / 3, 5 + 1]]
    np.testing.assert_allclose(borne_out.costs(queries), expected)


def test_moments_add_up_over_parts_of_the_samples(table):
    _, cost, _, told = table
    whole = moments(told, np.where(told > 3, np.nan, cost))
    parts = [
        moments(told[own], np.where(told > 3, np.nan, cost)[own])
        for own in np.split(np.arange(N), 4)
    ]
    np.testing.assert_allclose(sum(parts), whole)


def test_under_a_budget_a_choice_among_equally_dear_models_stays_one(table):
    utility, _, u_hat, _ = table
    told = np.tile([1.0, 1.0, 5.0], (N, 1))
    own = predicted(u_hat, told)
    carrier = Carrier.of(own, utility, told, "budget")
    steps = steps_of(own, 0, np.ones((N, K), bool), "budget")
    parameters = np.array([-np.inf, 1.0, 5.0])
    found = carrier.carry(parameters, carrier.foreseen(steps, told, "budget"))
    np.testing.assert_array_equal(found, parameters)
