"""What every router must do, a new one included."""

import numpy as np
import pytest
from sklearn.base import clone

from mmroute.catalogue import build, catalogue, find

LEARNED = [
    name
    for name, entry in catalogue("routers").items()
    if not hasattr(build("routers", name, {}), "reveal")
]


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


@pytest.fixture(params=LEARNED)
def name(request):
    return request.param


def fitted(name, **changes):
    features, utility, cost = problem(**changes)
    return build("routers", name, {}).fit(features, utility, cost), features


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
    features, utility, cost = problem()
    predictions = [
        build("routers", name, {}).fit(features, utility, cost).predict(features) for _ in range(2)
    ]
    for first, second in zip(*predictions, strict=True):
        assert first.tobytes() == second.tobytes()


def test_fitting_leaves_its_input_alone(name):
    before = problem()
    given = tuple(matrix.copy() for matrix in before)
    build("routers", name, {}).fit(*given).predict(given[0])
    for matrix, copy in zip(given, before, strict=True):
        np.testing.assert_array_equal(matrix, copy)


def test_a_prediction_depends_on_its_own_sample_only(name):
    router, features = fitted(name)
    changed = features.copy()
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
    router = build("routers", name, {}).fit(features, outcomes, outcomes + 1)
    for prediction in router.predict(features[:4]):
        assert prediction.shape == (4, 1)
        assert np.isfinite(prediction).all()


@pytest.mark.parametrize(
    "name", [name for name in LEARNED if find("routers", name).attributes["fusion"]]
)
def test_a_router_with_a_fusion_learns_what_its_features_tell(name):
    features, utility, cost = problem(n_samples=2000, missing=0)
    router = build("routers", name, {}).fit(features[:1000], utility[:1000], cost[:1000])
    u_hat, c_hat = router.predict(features[1000:])
    truth = utility[1000:]
    error = np.square(u_hat - truth).mean()
    assert error < np.square(utility[:1000].mean(axis=0) - truth).mean()
    assert np.argmax(c_hat.mean(axis=0)) == 3
