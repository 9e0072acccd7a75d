"""Training a router whose labels depend on costs in USD."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mmroute.routers import Pool, fit


@pytest.fixture(scope="session")
def fit_usd():
    """Return what fits a router where a normalised cost of 1 is ``unit`` USD."""

    def fitted(router: Any, Z: Any, U: np.ndarray, C: np.ndarray, unit: float = 1.0) -> Any:
        return fit(router, Z, U, C, Pool(pd.DataFrame(), unit, np.empty(0), np.empty(0)))

    return fitted
