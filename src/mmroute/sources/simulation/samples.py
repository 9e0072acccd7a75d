"""Drawing the samples of a data set: how hard each is, and what every model makes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmroute.sources.simulation.datasets import DATASETS, TEXT_DATASETS, DataSet
from mmroute.sources.simulation.pool import POOL, completion_tokens, cost
from mmroute.sources.simulation.skills import UNIFORMS, Facets, calibrated, facets


@dataclass(frozen=True)
class Samples:
    """N samples of a data set, before their questions are written.

    Attributes
    ----------
    generators
        N, one a sample, for what is still open.
    facets
        What makes them hard.
    levels
        (N,) difficulty from 1 to ``skills.LEVELS``.
    solved
        (N, K) whether each model is right.
    completion
        (N, K) completion tokens.
    """

    generators: Sequence[np.random.Generator]
    facets: Facets
    levels: np.ndarray
    solved: np.ndarray
    completion: np.ndarray

    def outcomes(
        self, index: int, prompt: np.ndarray, answer: str, wrong: Sequence[str]
    ) -> dict[str, Any]:
        """Return the columns of all models for one sample, as the release names them.

        Parameters
        ----------
        index
            Of the sample.
        prompt
            (K,) prompt tokens.
        answer, wrong
            What a model says that is right, and one of what it says otherwise.
        """
        columns: dict[str, Any] = {}
        prices = cost(prompt, self.completion[index])
        for column, candidate in enumerate(POOL):
            right = self.solved[index, column]
            said = answer if right else self.generators[index].choice(wrong)
            columns |= {
                f"{candidate.name}_prediction": said,
                f"{candidate.name}_correct": int(right),
                f"{candidate.name}_prompt_token": prompt[column],
                f"{candidate.name}_token": self.completion[index, column],
                f"{candidate.name}_cost": prices[column],
            }
        return columns


def draw(dataset: DataSet, size: int, seed: int) -> Samples:
    """Draw samples; each depends on the data set, the seed and its own index alone."""
    number = [*DATASETS, *TEXT_DATASETS].index(dataset)
    generators = [np.random.default_rng((seed, number, index)) for index in range(size)]
    drawn = facets(dataset, np.stack([rng.random(UNIFORMS) for rng in generators]))
    residuals = np.stack([rng.standard_normal(1 + len(POOL)) for rng in generators])
    verbosity = np.stack([rng.standard_normal(len(POOL)) for rng in generators])
    model = calibrated()[dataset.prefix]
    return Samples(
        generators,
        drawn,
        model.levels(drawn),
        model.solves(drawn, residuals[:, 0], residuals[:, 1:]),
        completion_tokens(drawn.effort(), verbosity),
    )
