"""Features with mean 0 and variance 1 in each column of the training samples."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from sklearn.preprocessing import StandardScaler


@dataclass(frozen=True)
class Standardiser:
    """Standardises features by what it was fitted to.

    Attributes
    ----------
    mean, scale
        (d,) of the columns; the scale of a constant one is 1.
    """

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, Z: np.ndarray) -> Self:
        """Take the columns of (n, d) features."""
        scaler = StandardScaler().fit(Z.astype(np.float64))
        return cls(scaler.mean_, scaler.scale_)

    def apply(self, Z: np.ndarray) -> np.ndarray:
        """Return (N, d) features standardised, in float64."""
        return np.asarray((Z - self.mean) / self.scale)
