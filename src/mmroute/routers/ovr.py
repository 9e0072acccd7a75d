"""One-vs-rest logistic regression of each model's correctness (VL-RouterBench)."""

from typing import Annotated, ClassVar, Self

import numpy as np
from annotated_types import Gt
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from mmroute.routers import Router, observed_means

_MAX_ITERATIONS = 1000


class OVR(Router):
    """P(correct) by one logistic regression a model, with an L2 penalty of ``alpha``.

    A utility between 0 and 1 counts as right with its own weight and as wrong with
    the rest. A model that was always right, or always wrong, is predicted its mean.
    The predicted cost is each model's training mean: the regressions know nothing of
    costs.
    """

    name: ClassVar[str] = "ovr"
    fusion: ClassVar[str] = "concat"
    cost_: np.ndarray
    mean_: np.ndarray
    mixed_: np.ndarray
    coefficients_: np.ndarray

    def __init__(self, alpha: Annotated[float, Gt(0)] = 1.0) -> None:
        self.alpha = alpha

    def fit(self, Z: np.ndarray, U: np.ndarray, C: np.ndarray) -> Self:
        """Fit each model's regression on the samples on which it was observed."""
        self.cost_ = observed_means(C)
        self.mean_ = observed_means(U)
        self.mixed_ = np.flatnonzero((self.mean_ > 0) & (self.mean_ < 1))
        self.coefficients_ = np.empty((Z.shape[1] + 1, len(self.mixed_)))
        Z = Z.astype(np.float64)
        for column, model in enumerate(self.mixed_):
            seen = np.isfinite(U[:, model])
            self.coefficients_[:, column] = self._regression(Z[seen], U[seen, model])
        return self

    def predict(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Apply the regressions."""
        u_hat, c_hat = (np.tile(means, (len(Z), 1)) for means in (self.mean_, self.cost_))
        logits = Z.astype(np.float64) @ self.coefficients_[:-1] + self.coefficients_[-1]
        u_hat[:, self.mixed_] = expit(logits)
        return u_hat, c_hat

    def _regression(self, Z: np.ndarray, utility: np.ndarray) -> np.ndarray:
        """Return (d + 1,) coefficients and intercept from (n,) utilities."""
        right, wrong = np.flatnonzero(utility > 0), np.flatnonzero(utility < 1)
        estimator = LogisticRegression(C=1 / self.alpha, max_iter=_MAX_ITERATIONS).fit(
            Z[np.concatenate([right, wrong])],
            np.repeat([1, 0], [len(right), len(wrong)]),
            np.concatenate([utility[right], 1 - utility[wrong]]),
        )
        return np.append(estimator.coef_[0], estimator.intercept_)
