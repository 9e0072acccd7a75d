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
        (d,) of the columns; the scale is a standard deviation, and 1 of a constant one.
    """

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, Z: np.ndarray, ddof: int = 0) -> Self:
        """Take the columns of (n, d) features; their variance is a sum over n - ``ddof``."""
        scaler = StandardScaler().fit(Z.astype(np.float64))
        correction = np.sqrt(len(Z) / max(len(Z) - ddof, 1))
        return cls(scaler.mean_, scaler.scale_ * np.where(scaler.var_ > 0, correction, 1.0))

    def apply(self, Z: np.ndarray) -> np.ndarray:
        """Return (N, d) features standardised, in float64."""
        return np.asarray((Z - self.mean) / self.scale)
