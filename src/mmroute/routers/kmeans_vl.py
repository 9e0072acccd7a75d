"""One prototype a model (VL-RouterBench)."""

from typing import ClassVar, Self

import numpy as np
from sklearn.preprocessing import normalize

from mmroute.routers import OneChoice, observed_means
from mmroute.routers.soft_labels import is_correct, taught
from mmroute.routers.standardiser import Standardiser


class KMeansVL(OneChoice):
    """The model whose prototype has the largest cosine to the sample's features.

    A prototype is the mean of the standardised and normalised features of the training
    samples that the model solves; of one that solves none, the mean of all. No cost plays a
    part, and nothing is clustered, whatever the published name says. Scores are
    (1 + cosine) / 2, so that none is negative.

    Published
    ---------
    ``routers/kmeans/router.py`` of https://github.com/yutao1024/SCOPE-Router. No departures.
    """

    name: ClassVar[str] = "kmeans_vl"
    fusion: ClassVar[str] = "concat"
    standardiser_: Standardiser
    prototypes_: np.ndarray

    def fit(self, Z: np.ndarray, U: np.ndarray, C: np.ndarray) -> Self:
        """Average the features of the samples that each model solves."""
        self.mean_utility_, self.mean_cost_ = observed_means(U), observed_means(C)
        kept = taught(U)
        self.standardiser_ = Standardiser.fit(Z[kept])
        features, right = normalize(self.standardiser_.apply(Z[kept])), is_correct(U[kept])
        members = np.where(right.any(axis=0), right, True).T.astype(float)
        # Their sums do: only the direction of a prototype counts.
        self.prototypes_ = normalize(members @ features)
        self.mean_score_ = self.predict_scores(Z)[0].mean(axis=0)
        return self

    def predict_scores(self, Z: np.ndarray) -> np.ndarray:
        """Compare the samples with the prototypes."""
        features = normalize(self.standardiser_.apply(Z))
        return ((1 + features @ self.prototypes_.T) / 2)[None]
