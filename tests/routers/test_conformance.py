"""What every router must do, a new one included."""

import json
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from mmroute import persistence
from mmroute.catalogue import REQUIRED, build, catalogue, find
from mmroute.outcome_table import PRICE_COLUMNS
from mmroute.routers import DynamicRouter, GridRouter, Pool, fit

pytestmark = pytest.mark.slow

LEARNED = [
    name
    for name, entry in catalogue("routers").items()
    if REQUIRED not in [default for _, default in entry.parameters.values()]
    and not hasattr(build("routers", name, {}), "reveal")
]
"""All but routers that need a parameter, such as an address: these have tests of their own."""
QUICK = {"mlp_vl": {"epochs": 4, "lambdas": [100.0]}, "linear_vl": {"epochs": 20}}
"""Less to train, where the published schedule takes minutes; the contract is the same."""
sys.path.append(str(Path(__file__).parents[1] / "examples"))
DERIVED = "my_knn:MyKNN"
"""From outside the package, and all but one method from a router of it."""


def problem(n_samples=120, n_models=4, width=10, missing=0.2, seed=0):
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(n_samples, width)).astype(np.float32)
    skill = generator.normal(size=(width, n_models))
    utility = (features @ skill + generator.normal(size=(n_samples, n_models)) > 0).astype(float)
    cost = generator.lognormal(size=(n_samples, n_models)) * np.geomspace(0.01, 1, n_models)
    gone = generator.random(utility.shape) < missing
    gone[:n_models] = False
    utility[gone] = cost[gone] = np.nan
    return features, utility, cost


def questions(features):
    """Return samples in place of features, for a router that reads them."""
    names = [f"sample {index}" for index in range(len(features))]
    columns = {
        "sample_id": names,
        "dataset": ["A", "B"] * (len(names) // 2) + ["A"] * (len(names) % 2),
    }
    return pd.DataFrame(columns | {"question": names, "image": None})


def given(name, features):
    return (
        questions(features) if find("routers", name).attributes.get("reads_samples") else features
    )


def pool_of(cost):
    """Return a pool whose costs all come from completion tokens, known where the outcomes are."""
    models = pd.DataFrame({"model": [f"model-{index}" for index in range(cost.shape[1])]})
    models = models.assign(**dict(zip(PRICE_COLUMNS, (0.0, 1.0), strict=True)))
    return Pool(models, 1e-6, np.where(np.isfinite(cost), 10.0, np.nan), cost)


def trained(name, features, utility, cost):
    router = build("routers", name, QUICK.get(name, {}))
    return fit(router, given(name, features), utility, cost, pool_of(cost))


def pytest_generate_tests(metafunc):
    names = [*LEARNED, DERIVED, *metafunc.config.getoption("--router")]
    if metafunc.function is test_a_router_with_a_fusion_learns_what_its_features_tell:
        names = [name for name in names if find("routers", name).attributes["fusion"]]
    if metafunc.function is test_a_file_may_name_the_classes_that_the_router_holds_and_no_others:
        # Of a module of one's own all classes are trusted.
        names = LEARNED
    metafunc.parametrize("name", names)


@cache
def fitted(name, **changes):
    """Return a router, which only predicts from here on, and what it was trained on."""
    features, utility, cost = problem(**changes)
    return trained(name, features, utility, cost), given(name, features)


def test_predicts_finite_numbers_of_the_right_shape_with_missing_outcomes(name):
    router, features = fitted(name)
    for prediction in router.predict(features[:7]):
        assert prediction.shape == (7, 4)
        assert np.isfinite(prediction).all()


def test_trials_have_one_axis_more_and_begin_with_the_prediction(name):
    router, features = fitted(name)
    for trials, single in zip(
        router.predict_trials(features[:7]), router.predict(features[:7]), strict=True
    ):
        assert trials.shape[1:] == (7, 4)
        np.testing.assert_array_equal(trials[0], single)


def test_is_a_scikit_learn_estimator(name):
    router = build("routers", name, {})
    assert set(router.get_params()) == set(find("routers", name).parameters)
    assert clone(router).get_params() == router.get_params()


def test_fitting_twice_gives_the_same_bytes(name):
    router, features = fitted(name)
    again = trained(name, *problem())
    for first, second in zip(router.predict(features), again.predict(features), strict=True):
        assert first.tobytes() == second.tobytes()


def test_a_stored_router_predicts_the_same_bytes(name, tmp_path):
    router, features = fitted(name)
    persistence.write(tmp_path / "router.safetensors", router)
    own = [name.split(":")[0].split(".")[0]] if ":" in name else []
    stored = persistence.read(tmp_path / "router.safetensors", type(router), own)
    for before, after in zip(
        router.predict_trials(features), stored.predict_trials(features), strict=True
    ):
        assert before.tobytes() == after.tobytes()
    if isinstance(router, GridRouter):
        scores = router.predict_scores(features)
        assert scores.tobytes() == stored.predict_scores(features).tobytes()


def test_a_file_may_name_the_classes_that_the_router_holds_and_no_others(name, tmp_path):
    router, _ = fitted(name)
    persistence.write(tmp_path / "router.safetensors", router)
    with safe_open(tmp_path / "router.safetensors", "np") as file:
        held = json.loads(file.metadata()[persistence.KEY][32:])
    admission = persistence._Admission(type(router), [])
    assert set(held["classes"]) == set(admission.kinds)
    assert not [kind for kind in admission.kinds if kind.startswith("torch")]
    assert {kind for kind in admission.kinds if not kind.startswith("mmroute.routers.")} <= {
        "sklearn.tree._tree:Tree"
    }
    assert [admission.trusted, admission.packages, held["functions"]] == [[], set(), []]


def test_fitting_leaves_its_input_alone(name):
    before = problem()
    own = tuple(matrix.copy() for matrix in before)
    trained(name, *own).predict(given(name, own[0]))
    for matrix, copy in zip(own, before, strict=True):
        np.testing.assert_array_equal(matrix, copy)


def test_a_prediction_depends_on_its_own_sample_only(name):
    router, features = fitted(name)
    changed = features.copy()
    if isinstance(changed, pd.DataFrame):
        changed.loc[3, ["dataset", "question"]] = "B", "another"
    else:
        changed[3] = 9
    for before, after in zip(router.predict(features), router.predict(changed), strict=True):
        np.testing.assert_allclose(np.delete(before, 3, 0), np.delete(after, 3, 0), rtol=1e-6)


@pytest.mark.parametrize("n_samples", [5, 6])
def test_fits_fewer_samples_than_neighbours_clusters_or_components(name, n_samples):
    router, features = fitted(name, n_samples=n_samples)
    for prediction in router.predict(features):
        assert np.isfinite(prediction).all()


def test_fits_a_pool_of_one_model_and_identical_features(name):
    features = np.ones((30, 5), np.float32)
    outcomes = np.tile([[0.0], [1.0]], (15, 1))
    router = trained(name, features, outcomes, outcomes + 1)
    for prediction in router.predict(given(name, features[:4])):
        assert prediction.shape == (4, 1)
        assert np.isfinite(prediction).all()


def test_a_router_with_a_fusion_learns_what_its_features_tell(name):
    features, utility, cost = problem(n_samples=1000, missing=0)
    router = trained(name, features[:500], utility[:500], cost[:500])
    u_hat, c_hat = router.predict(features[500:])
    told = [roc_auc_score(utility[500:, model], u_hat[:, model]) for model in range(4)]
    assert np.mean(told) > 0.6
    assert np.argmax(c_hat.mean(axis=0)) == 3


def test_a_router_with_a_grid_scores_every_model_at_every_lambda(name):
    router, features = fitted(name)
    if isinstance(router, GridRouter):
        scores = router.predict_scores(features)
        assert scores.shape == (len(router.grid), len(features), 4)
        assert np.isfinite(scores).all()
        assert router.grid[0] == 0
        assert (np.diff(router.grid) > 0).all()


def test_a_model_that_joins_is_the_last_and_leaves_the_others_as_they_are(name):
    features, utility, cost = problem(missing=0)
    router, inputs = trained(name, features, utility, cost), given(name, features)
    if isinstance(router, DynamicRouter):
        before = router.predict(inputs)
        joined = router.add_model(inputs[:30], 1 - utility[:30, 0], 3 * cost[:30, 0])
        assert joined is router
        u_hat, c_hat = router.predict(inputs)
        for prediction, others in zip((u_hat, c_hat), before, strict=True):
            assert prediction.shape == (len(inputs), 5)
            np.testing.assert_array_equal(prediction[:, :4], others)
        assert roc_auc_score(1 - utility[:, 0], u_hat[:, 4]) > 0.5
        assert c_hat[:, 4].mean() == pytest.approx(3 * cost[:30, 0].mean(), rel=0.3)


def test_a_decision_costs_a_finite_amount(name):
    router, features = fitted(name)
    overhead = router.overhead(features)
    assert overhead.shape == (len(features),)
    assert (overhead >= 0).all()
