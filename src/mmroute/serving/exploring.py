"""A random share: some queries go to a model that is drawn, so that a log tells of all models."""

from random import Random

import numpy as np


class Draw:
    """Takes for one query, with a probability, a model that is drawn among all that may be.

    Parameters
    ----------
    share
        The probability.
    random
        What draws.

    Attributes
    ----------
    allowed
        (K,) mask of the models that could be called, each as likely to be drawn.
    is_own
        Whether the model is the one that the router chose.
    propensity
        The probability of the model.
    """

    allowed: np.ndarray
    is_own: bool
    propensity: float

    def __init__(self, share: float, random: Random) -> None:
        self._share, self._random = share, random

    def __call__(self, chosen: int, allowed: np.ndarray) -> int:
        """Return the model to take where the router chose one."""
        models, model = np.flatnonzero(allowed), chosen
        if self._random.random() < self._share:
            model = int(self._random.choice(models))
        self.allowed, self.is_own = allowed, model == chosen
        self.propensity = self._share / len(models) + (1 - self._share) * self.is_own
        return model
