import numpy as np

from mmroute.routers import kmeans as module
from mmroute.routers.kmeans import KMeans

FEATURES = np.array([[1, 0], [0.9, 0], [0, 1], [0, 0.9]], np.float32)


def test_gives_each_cluster_its_own_means():
    utility = np.array([[1.0], [0.5], [0.0], [0.5]])
    router = KMeans(n_clusters=2).fit(FEATURES, utility, utility * 4)
    u_hat, c_hat = router.predict(np.array([[2.0, 0.1], [0.1, 2.0]], np.float32))
    assert u_hat.tolist() == [[0.75], [0.25]]
    assert c_hat.tolist() == [[3.0], [1.0]]


def test_a_model_that_a_cluster_never_saw_keeps_its_training_mean():
    utility = np.array([[1.0, np.nan], [1.0, np.nan], [0.0, 0.25], [0.0, 0.75]])
    router = KMeans(n_clusters=2).fit(FEATURES, utility, utility)
    assert router.predict(FEATURES[:1])[0].tolist() == [[1.0, 0.5]]


def test_of_many_samples_some_teach_the_centres_and_all_the_means(monkeypatch):
    generator = np.random.default_rng(0)
    centres = 10 * np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    cluster = generator.integers(3, size=3000)
    features = (centres[cluster] + generator.normal(size=(3000, 3))).astype(np.float32)
    utility = generator.random((3000, 2))
    utility[generator.random(utility.shape) < 0.2] = np.nan
    monkeypatch.setattr(module, "MOST_CLUSTERED", 300)
    router, again = (KMeans(n_clusters=3).fit(features, utility, utility * 2) for _ in range(2))
    np.testing.assert_array_equal(router.centers_, again.centers_)
    expected = np.stack([np.nanmean(utility[cluster == own], axis=0) for own in range(3)])
    u_hat, c_hat = router.predict(centres.astype(np.float32))
    np.testing.assert_allclose(u_hat, expected)
    np.testing.assert_allclose(c_hat, 2 * expected)
