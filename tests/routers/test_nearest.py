"""The nearest training samples, all compared or searched in lists."""

import gc
import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_distances

from mmroute import persistence
from mmroute.errors import InputError
from mmroute.routers import nearest as module
from mmroute.routers.knn import KNN
from mmroute.routers.nearest import Lists, nearest
from mmroute.routers.prknn import KNNVL, PRkNN


def clustered(n_samples, seed=0, width=16, n_clusters=40):
    """Return features of which the nearest are in the same of some clusters."""
    centres = np.random.default_rng(0).normal(size=(n_clusters, width))
    generator = np.random.default_rng(seed)
    near = 0.1 * generator.normal(size=(n_samples, width))
    return (centres[generator.integers(n_clusters, size=n_samples)] + near).astype(np.float32)


def scattered(n_samples, seed=0, width=32):
    """Return features that are equally far from each other in all directions."""
    return np.random.default_rng(seed).normal(size=(n_samples, width)).astype(np.float32)


def all_of(features, Z, k):
    """Return distances and indices of all queries."""
    return tuple(map(np.concatenate, zip(*nearest(features, Z, k), strict=True)))


def brute(features, Z, k):
    """Return distances and indices of the nearest by comparing all, ties by the index."""
    distance = cosine_distances(Z.astype(float), features.astype(float))
    order = np.argsort(distance, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distance, order, 1), order


@pytest.fixture
def small(monkeypatch):
    """Search from 500 samples on as from the limit on."""
    monkeypatch.setattr(module, "EXHAUSTIVE", 500)
    monkeypatch.setattr(module, "HELD_OUT", 200)
    monkeypatch.setattr(module, "MOST_SEARCHED", 1 / 4)
    monkeypatch.setattr(module, "_kept", {})


def test_up_to_the_limit_all_samples_are_compared_piece_by_piece(monkeypatch):
    features, Z = scattered(400), scattered(50, seed=1)
    whole = list(nearest(features, Z, 7))
    assert len(whole) == 1
    monkeypatch.setattr(module, "AT_ONCE", 20)
    pieces = list(nearest(features, Z, 7))
    assert [len(indices) for _, indices in pieces] == [20, 20, 10]
    distance, found = all_of(features, Z, 7)
    expected, order = brute(features, Z, 7)
    np.testing.assert_array_equal(found, order)
    np.testing.assert_array_equal(found, whole[0][1])
    np.testing.assert_allclose(distance, expected, atol=1e-6)


def test_beyond_it_the_nearest_are_found_in_a_few_lists(small):
    features, Z = clustered(5000), clustered(300, seed=1)
    lists = Lists(features, 10)
    assert lists.searched < lists.n_lists / 4
    assert lists.recall >= 0.99
    distance, found = all_of(features, Z, 10)
    expected, order = brute(features, Z, 10)
    shares = [len(np.intersect1d(*pair)) / 10 for pair in zip(found, order, strict=True)]
    assert np.mean(shares) >= 0.985
    assert (np.diff(distance) >= 0).all()
    np.testing.assert_allclose(
        distance, np.take_along_axis(cosine_distances(Z, features), found, 1), atol=1e-6
    )
    assert (distance >= expected - 1e-12).all()


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_where_lists_do_not_help_all_are_compared_and_none_is_missed(small, kind):
    features, Z = scattered(1000).astype(kind), scattered(100, seed=1).astype(kind)
    lists = Lists(features, 10)
    assert lists.searched is None
    distance, found = all_of(features, Z, 10)
    expected, order = brute(features, Z, 10)
    np.testing.assert_array_equal(found, order)
    np.testing.assert_allclose(distance, expected, atol=1e-12)


def test_what_a_query_finds_too_few_of_is_looked_for_everywhere(small):
    """Its list holds three samples, all others lie in the opposite direction."""
    crowd = clustered(1000)
    lonely = np.repeat(-10 * np.ones((1, 16), np.float32), 3, axis=0)
    features = np.concatenate([crowd + 10, lonely])
    lists = Lists(features, 5)
    lists.searched = lists._index.nprobe = 1
    _, found = lists.search(features, lonely[:1])
    assert found[0, :3].tolist() == [1000, 1001, 1002]
    assert len(set(found[0])) == 5
    assert (found >= 0).all()


def test_equal_samples_are_ordered_by_their_index_and_are_at_no_distance(small):
    features = np.repeat(clustered(300), 4, axis=0)
    distance, found = all_of(features, features[:8], 4)
    assert found.tolist() == [[0, 1, 2, 3]] * 4 + [[4, 5, 6, 7]] * 4
    assert distance.max() < 1e-12


def test_a_row_of_zeros_is_at_a_right_angle_to_all(small):
    features = clustered(1000)
    features[7] = 0
    distance, _ = all_of(features, np.zeros((1, 16), np.float32), 3)
    assert distance.tolist() == [[1, 1, 1]]


PROGRAM = """
import sys
import numpy as np
from mmroute.routers import nearest
nearest.EXHAUSTIVE = 500
generator = np.random.default_rng(0)
features = generator.normal(size=(30, 24))[generator.integers(30, size=6000)]
features = (features + .2 * generator.normal(size=features.shape)).astype(np.float32)
for distance, found in nearest.nearest(features, features[::7], 20):
    sys.stdout.buffer.write(distance.tobytes() + found.tobytes())
"""


@pytest.mark.slow
def test_finds_the_same_bytes_in_one_thread_and_in_two(monkeypatch):
    found = []
    for threads in ("1", "2"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        found.append(
            subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True).stdout
        )
    assert len(found[0]) > 0
    assert found[0] == found[1]


def test_lists_are_made_once_and_go_with_their_samples(small):
    features = clustered(1000)
    for _ in range(2):
        all_of(features, features[:5], 3)
    assert len(module._kept) == 1
    del features
    gc.collect()
    assert not module._kept


def test_fewer_samples_than_neighbours_are_all_returned():
    _, found = all_of(scattered(3), scattered(2, seed=1), 50)
    assert np.sort(found, axis=1).tolist() == [[0, 1, 2]] * 2


@pytest.mark.parametrize("router", [KNN(10), PRkNN(5), KNNVL(5)], ids=lambda own: own.name)
def test_routers_predict_beyond_the_limit_as_below_it(router, monkeypatch):
    features, Z = scattered(1500), scattered(60, seed=1)
    generator = np.random.default_rng(2)
    utility = (generator.random((1500, 3)) < 0.5).astype(float)
    cost = generator.lognormal(size=(1500, 3))
    utility[generator.random(utility.shape) < 0.2] = np.nan
    cost[np.isnan(utility)] = np.nan
    router.fit(features, utility, cost)
    below = router.predict(Z)
    monkeypatch.setattr(module, "EXHAUSTIVE", 500)
    for predicted, expected in zip(router.predict(Z), below, strict=True):
        np.testing.assert_allclose(predicted, expected, rtol=1e-4, atol=1e-6)


def test_a_router_that_was_read_makes_the_same_lists_anew(small, tmp_path):
    features, Z = clustered(2000), clustered(50, seed=1)
    utility = np.random.default_rng(2).random((2000, 3))
    router = KNN(10).fit(features, utility, utility)
    expected = router.predict(Z)
    persistence.write(tmp_path / "router.safetensors", router)
    read = persistence.read(tmp_path / "router.safetensors", KNN)
    np.testing.assert_array_equal(read.predict(Z), expected)
    assert len(module._kept) == 2


def test_without_faiss_the_extra_is_named_where_it_is_needed(small, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    assert len(all_of(scattered(500), scattered(2), 3)[0]) == 2
    with pytest.raises(
        InputError, match=r'among 501 training samples needs faiss: .*"mmroute\[near\]"'
    ):
        all_of(scattered(501), scattered(2), 3)
