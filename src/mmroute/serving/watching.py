"""Whether the queries that come are still like those that the router was measured on.

Looks follow one another without end, and each may raise a false alarm. So one stands only where two
looks in a row, at other queries, find the same.
"""

import asyncio
import logging
import threading
from collections import deque
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from prometheus_client import Gauge
from threadpoolctl import threadpool_limits

from mmroute.decision.drift import FEWEST, Calibration, Drift, Seen, in_words, look
from mmroute.errors import plain

logger = logging.getLogger(__name__)

WINDOW = 500
"""Queries that a look is at."""
PAUSE = 600.0
"""Seconds between looks: of many more would raise a false alarm."""


class Watch:
    """Looks at queries as they come; any number of threads may tell of them.

    Parameters
    ----------
    seen
        What the router was measured on; None: nothing is told.
    gauge
        Of what drift is found, by ``of``.

    Attributes
    ----------
    alarms
        The checks that two looks in a row have found drift by.
    """

    def __init__(self, seen: Seen | None, gauge: Gauge) -> None:
        self._seen, self._gauge = seen, gauge
        self._adding = threading.Lock()
        self._vectors: deque[np.ndarray] = deque(maxlen=WINDOW)
        self._outcomes: deque[tuple[float, float, float, float]] = deque(maxlen=WINDOW)
        self._failed: set[str] = set()
        self.alarms: list[str] = []
        self._last: tuple[Drift, datetime] | None = None
        self._n_looks = 0

    def saw(self, samples: pd.DataFrame, features: np.ndarray) -> None:
        """Queries have come; see ``DeployedRouter.watch``."""
        if self._seen is not None and features.shape[1] != len(self._seen.centre):
            logger.error("drift is not told: the folder describes other features")
            self._seen = None
        if self._seen is not None:
            vectors = self._seen.project(features, samples)
            with self._adding:
                self._vectors.extend(vectors[np.isfinite(vectors).all(axis=1)])

    def came(self, utility: float, u_hat: float, paid: float, foreseen: float) -> None:
        """An outcome of the router's own choice is known, and so is its cost."""
        with self._adding:
            self._outcomes.append((utility, u_hat, paid, foreseen))

    async def run(self) -> None:
        """Look from time to time."""
        if self._seen is None:
            logger.warning("drift is not told: %s", self.tell()["words"][0])
            return
        while True:
            await asyncio.sleep(PAUSE)
            if len(self._vectors) == WINDOW:
                try:
                    await asyncio.to_thread(self.look)
                except Exception as error:
                    logger.error("whether queries have drifted cannot be told", exc_info=error)

    def look(self) -> None:
        """Look at the queries since the last look, and at their outcomes, if these are enough."""
        assert self._seen is not None
        with self._adding:
            vectors, outcomes = np.array(self._vectors), np.array(self._outcomes)
            self._vectors.clear()
            if len(outcomes) >= FEWEST:
                self._outcomes.clear()
        # Of a query that is asked again and again one; batches round its features differently.
        vectors = vectors[np.unique(vectors.round(3), axis=0, return_index=True)[1]]
        calibration = Calibration.of(*outcomes.T) if len(outcomes) >= FEWEST else Calibration()
        # More threads would take turns with those that decide.
        with threadpool_limits(1):
            drift = look(self._seen, vectors, calibration, self._n_looks)
        told, failed = set(drift.p_values), set(drift.alarms)
        before, kept = set(self.alarms), set(self.alarms) - told
        self.alarms = sorted(kept | (failed & self._failed))
        self._failed = failed | (self._failed - told)
        self._last, self._n_looks = (drift, datetime.now(UTC)), self._n_looks + 1
        for name in told:
            self._gauge.labels(name).set(name in self.alarms)
        if before != set(self.alarms):
            logger.warning("%s", plain("\n".join(self._words(drift))))

    def _words(self, drift: Drift) -> list[str]:
        found = f"found by two looks in a row: {', '.join(self.alarms)}" if self.alarms else "none"
        return [f"drift: {found}; the last look:", *in_words(drift)]

    def tell(self) -> dict[str, Any]:
        """What was found, for people."""
        if self._seen is None:
            words = ["the folder does not describe its labels; export the router again"]
            return {"alarms": None, "looked": None, "words": words}
        if self._last is None:
            words = [f"nothing was looked at: {len(self._vectors)} queries of {WINDOW}"]
            return {"alarms": [], "looked": None, "words": words}
        drift, looked = self._last
        return {
            "alarms": self.alarms,
            "looked": looked.isoformat(timespec="seconds"),
            "words": self._words(drift),
        }
