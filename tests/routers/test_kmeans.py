import numpy as np

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
