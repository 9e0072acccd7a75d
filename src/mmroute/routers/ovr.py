"""One-vs-rest logistic regression of each model's correctness (VL-RouterBench)."""

from typing import ClassVar, Self

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from mmroute.routers import OneChoice, observed_means
from mmroute.routers.soft_labels import is_correct, taught
from mmroute.routers.standardiser import Standardiser

_MAX_ITERATIONS = 1000


class OVR(OneChoice):
    """The model of the largest P(right), by one logistic regression a model.

    Right and wrong weigh alike in each ("balanced"), with an L2 penalty of C = 1; the features
    are standardised. Costs play no part.

    Published
    ---------
    ``routers/ovr/router.py`` of https://github.com/yutao1024/SCOPE-Router. Departures:

    - Features are standardised in float64, the code's in float32. Its solver, which ends short of
      the optimum, ends elsewhere then: 98.5 % of the choices on MathVision are its, 99.7 % on
      GSM8K, and all where it is given float64.
    - A regression is fitted to the samples on which its model was observed; the code has no
      missing outcomes.
    - A model that is right on all of these has a probability of 1; the code, which cannot fit
      one class, fails there.
    """

    name: ClassVar[str] = "ovr"
    fusion: ClassVar[str] = "concat"
    standardiser_: Standardiser
    constant_: np.ndarray
    mixed_: np.ndarray
    coefficients_: np.ndarray

    def fit(self, Z: np.ndarray, U: np.ndarray, C: np.ndarray) -> Self:
        """Fit each model's regression on the samples that some model solves."""
        self.mean_utility_, self.mean_cost_ = observed_means(U), observed_means(C)
        self.standardiser_ = Standardiser.fit(Z)
        kept = taught(U)
        features, right = self.standardiser_.apply(Z[kept]), is_correct(U[kept])
        seen = np.isfinite(U[kept])
        ever, always = right.any(axis=0), (right | ~seen).all(axis=0)
        self.constant_ = ever.astype(float)
        self.mixed_ = np.flatnonzero(ever & ~always)
        self.coefficients_ = np.empty((Z.shape[1] + 1, len(self.mixed_)))
        for column, model in enumerate(self.mixed_):
            rows = seen[:, model]
            estimator = LogisticRegression(class_weight="balanced", max_iter=_MAX_ITERATIONS)
            estimator.fit(features[rows], right[rows, model])
            self.coefficients_[:, column] = np.append(estimator.coef_[0], estimator.intercept_)
        self.mean_score_ = self.predict_scores(Z)[0].mean(axis=0)
        return self

    def predict_scores(self, Z: np.ndarray) -> np.ndarray:
        """Apply the regressions."""
        probabilities = np.tile(self.constant_, (1, len(Z), 1))
        logits = self.standardiser_.apply(Z) @ self.coefficients_[:-1] + self.coefficients_[-1]
        probabilities[0, :, self.mixed_] = expit(logits).T
        return probabilities
