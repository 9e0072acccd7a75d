"""Linear regression of each model's outcomes, at full and at low rank (MMR-Bench D.3.2, D.3.3)."""

from typing import Annotated, Any, ClassVar, Self

import numpy as np
from annotated_types import Ge
from sklearn.decomposition import TruncatedSVD
from sklearn.linear_model import LinearRegression, Ridge

from mmroute.routers import Router, observed_means, same_mask_columns


class Linear(Router):
    """Multi-output least squares, for utility and for cost, on the mean of both embeddings.

    A model's regression uses the samples on which it was observed. With fewer
    samples than features it is the solution of least norm.

    Published
    ---------
    ``src/mmrbench/routers/linear.py`` of https://github.com/Hunter-Wrynn/MMR-Bench. Departures:

    - Missing outcomes are left out, where the code fills them with the models' means over
      training and test samples together, which leaks.
    - Features are taken in float64; the code takes them in float32. With no more samples than
      features its regression then follows a direction that is rounding alone: on GSM8K, with 263
      of 512, 98.7 % of the choices under a budget are its, and 97.2 to 98.8 % of its own stay
      where its samples come in another order. In float64 all are the same.
    """

    name: ClassVar[str] = "linear"
    fusion: ClassVar[str] = "mean"
    utility_: np.ndarray
    cost_: np.ndarray

    def fit(self, Z: np.ndarray, U: np.ndarray, C: np.ndarray) -> Self:
        """Fit the two regressions."""
        self.utility_ = _masked_regression(LinearRegression(), Z, U)
        self.cost_ = _masked_regression(LinearRegression(), Z, C)
        return self

    def predict(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Apply the two regressions."""
        return _apply(self.utility_, Z), _apply(self.cost_, Z)


class LinearMF(Router):
    """Ridge regressions on a shared truncated SVD of the fused features (MMR-Bench S11).

    The rank is ``n_components`` or, where the training split allows no more, the
    smaller of its samples and features. ``alpha`` is the ridge's penalty.

    Published
    ---------
    ``src/mmrbench/routers/linear_mf.py`` of https://github.com/Hunter-Wrynn/MMR-Bench. Departures:

    - The features are fused adaptively, as the paper's table says; the code takes the mean.
    - Missing outcomes are left out, where the code fills them with the models' means over
      training and test samples together, which leaks.
    """

    name: ClassVar[str] = "linear_mf"
    fusion: ClassVar[str] = "adaptive"
    components_: np.ndarray
    utility_: np.ndarray
    cost_: np.ndarray

    def __init__(
        self,
        n_components: Annotated[int, Ge(1)] = 128,
        alpha: Annotated[float, Ge(0)] = 1.0,
        random_state: int = 0,
    ) -> None:
        self.n_components = n_components
        self.alpha = alpha
        self.random_state = random_state

    def fit(self, Z: np.ndarray, U: np.ndarray, C: np.ndarray) -> Self:
        """Fit the projection, then the two regressions."""
        rank = min(self.n_components, *Z.shape)
        # The variance it also reports is 0 / 0 where all features are the same.
        with np.errstate(divide="ignore", invalid="ignore"):
            projection = TruncatedSVD(rank, random_state=self.random_state).fit(Z)
        self.components_ = projection.components_
        low = Z @ self.components_.T
        self.utility_ = _masked_regression(Ridge(alpha=self.alpha), low, U)
        self.cost_ = _masked_regression(Ridge(alpha=self.alpha), low, C)
        return self

    def predict(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Project, then apply the two regressions."""
        low = Z @ self.components_.T
        return _apply(self.utility_, low), _apply(self.cost_, low)


def _masked_regression(estimator: Any, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """Return the (d + 1, K) coefficients and intercepts, in float64."""
    observed_means(Y)
    Z = Z.astype(np.float64)
    coefficients = np.empty((Z.shape[1] + 1, Y.shape[1]))
    for columns in same_mask_columns(Y):
        rows = np.isfinite(Y[:, columns[0]])
        estimator.fit(Z[rows], Y[np.ix_(rows, columns)])
        coefficients[:-1, columns] = np.atleast_2d(estimator.coef_).T
        coefficients[-1, columns] = estimator.intercept_
    return coefficients


def _apply(coefficients: np.ndarray, Z: np.ndarray) -> np.ndarray:
    return Z.astype(np.float64) @ coefficients[:-1] + coefficients[-1]
