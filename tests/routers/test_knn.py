import numpy as np

from mmroute.routers.knn import KNN

FEATURES = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9]], np.float32)


def test_averages_the_nearest_neighbours_by_cosine():
    utility = np.array([[1.0], [0.0], [0.5], [0.5]])
    u_hat, c_hat = (
        KNN(n_neighbors=2)
        .fit(FEATURES, utility, utility * 2)
        .predict(np.array([[100.0, 5.0]], np.float32))
    )
    assert u_hat.tolist() == [[0.5]]
    assert c_hat.tolist() == [[1.0]]


def test_leaves_missing_outcomes_out_and_falls_back_to_the_models_mean():
    utility = np.array([[1.0, np.nan], [np.nan, np.nan], [0.0, 0.25], [0.0, 0.75]])
    router = KNN(n_neighbors=2).fit(FEATURES, utility, np.where(np.isnan(utility), np.nan, 1.0))
    u_hat, _ = router.predict(FEATURES[:1])
    assert u_hat.tolist() == [[1.0, 0.5]]
