import numpy as np

from mmroute.routers.standardiser import Standardiser


def test_columns_have_mean_0_and_variance_1_on_what_they_are_fitted_to():
    standardiser = Standardiser.fit(np.array([[1.0, 5.0], [3.0, 5.0]], np.float32))
    np.testing.assert_allclose(
        standardiser.apply(np.array([[1.0, 5.0], [3.0, 5.0], [4.0, 7.0]], np.float32)),
        [[-1, 0], [1, 0], [2, 2]],
    )


def test_the_variance_may_be_over_one_sample_less():
    Z = np.array([[1.0, 5.0], [3.0, 5.0]])
    np.testing.assert_allclose(Standardiser.fit(Z, ddof=1).scale, [np.sqrt(2), 1])
    np.testing.assert_allclose(Standardiser.fit(Z[:1], ddof=1).scale, [1, 1])
