"""The latent-skill model: what makes a sample hard, and which model copes.

A sample has facets. Some show in its text alone (``steps``, ``recall``), one in
its image alone (``fade``), and one in both together: a busy image
(``clutter``) is hard only for a question about much of it (``span``). Where there
is no image, only what shows in the text is left.

Facets make three demands; model m solves sample i with probability

    p_im = chance_i + (1 - chance_i) * sigmoid(b_m - sum_s demand_is * slope_ms)

where a skilled model has a small slope. The intercepts ``b_m`` are set so that
the expected accuracies are the published ones. What the facets leave open is a
standard normal residual shared by all models, mixed with one of each model's
own in the proportion that gives the published oracle (a Gaussian copula, which
leaves the accuracies as they are).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import expit, ndtr, ndtri

from mmroute.sources.simulation.datasets import DATASETS, TEXT_DATASETS, DataSet
from mmroute.sources.simulation.pool import POOL, SKILLS
from mmroute.sources.simulation.questions import OPTIONS, STEPS, TASKS
from mmroute.sources.simulation.text_questions import TEXT_TASKS

UNIFORMS = 7
"""Uniform variates that decide a sample's facets."""

SLOPES = 20.0 * (1 - SKILLS)
"""(K, 3): what a full demand of each kind costs each model, in logits."""

LEVELS = 5

_POPULATION = 13
"""Log2 of the Sobol points that stand for a data set's whole population."""


@dataclass(frozen=True)
class Facets:
    """What makes N samples hard. All arrays are (N,) and, but for ``task``, in [0, 1].

    Attributes
    ----------
    task
        Index into the data set's tasks.
    steps
        Arithmetic steps asked for beyond reading the image or the first lines, over
        ``STEPS``.
    recall
        Rarity of the fact the question relies on.
    fade
        Loss of contrast and sharpness of the image.
    clutter
        How much the image holds.
    span
        How much of the image the question is about.
    choice
        Whether the question has options.
    picture_only
        Whether the question stands in the image.
    """

    task: np.ndarray
    steps: np.ndarray
    recall: np.ndarray
    fade: np.ndarray
    clutter: np.ndarray
    span: np.ndarray
    choice: np.ndarray
    picture_only: np.ndarray

    def demands(self) -> np.ndarray:
        """(N, 3): the demands on reading, knowledge and reasoning."""
        busy = self.span * self.clutter
        return np.column_stack(
            [0.8 * (self.fade + busy), 1.1 * self.recall, self.steps + 0.2 * busy]
        )

    def difficulty(self) -> np.ndarray:
        """(N,): logits that the average model of the pool loses."""
        return self.demands() @ SLOPES.mean(axis=0)

    def effort(self) -> np.ndarray:
        """(N,): what lengthens an answer, mostly the reasoning."""
        return self.demands() @ np.array([0.3, 0.3, 1.0])


def facets(dataset: DataSet, uniforms: np.ndarray) -> Facets:
    """Turn (N, ``UNIFORMS``) uniform variates into the facets of N samples."""
    which, steps, recall, fade, clutter, choice, picture_only = uniforms.T
    known = TASKS if dataset.pictured else TEXT_TASKS
    tasks = [known[name] for name in dataset.tasks]
    borders = np.cumsum(list(dataset.tasks.values()))[:-1]
    task = np.searchsorted(borders, which, side="right")
    reasons = np.array([task.reasons for task in tasks])[task]
    recalls = np.array([task.recalls for task in tasks])[task]
    return Facets(
        task=task,
        steps=np.where(reasons, np.floor(steps * (STEPS + 1)) / STEPS, 0.0),
        recall=np.where(recalls, recall, 0.0),
        fade=fade**2 * dataset.pictured,
        clutter=clutter * dataset.pictured,
        span=np.array([task.span for task in tasks])[task],
        choice=choice < dataset.choice_share,
        picture_only=picture_only < dataset.picture_only_share,
    )


def accuracies(dataset: DataSet) -> np.ndarray:
    """(K,): expected accuracy of each model.

    The ablest has the published best, and all fall behind it in proportion to
    their lack of ability, such that their mean is the published mean.
    """
    ability = SKILLS @ np.array(dataset.ability)
    behind = ability.max() - ability
    return dataset.best - (dataset.best - dataset.mean) * behind / behind.mean()


@dataclass(frozen=True)
class SkillModel:
    """The latent-skill model of one data set.

    Attributes
    ----------
    intercepts
        (K,): logits of each model on a sample without demands.
    shared
        Share of the residual's variance that all models have in common.
    level_borders
        Quantiles of difficulty between the levels 1 to ``LEVELS``.
    """

    intercepts: np.ndarray
    shared: float
    level_borders: np.ndarray

    def probabilities(self, facets: Facets) -> np.ndarray:
        """(N, K): how likely each model is to solve each sample."""
        return _probabilities(facets, self.intercepts)

    def solves(self, facets: Facets, common: np.ndarray, own: np.ndarray) -> np.ndarray:
        """(N, K) booleans from standard normal residuals, (N,) common and (N, K) own."""
        residual = np.sqrt(self.shared) * common[:, None] + np.sqrt(1 - self.shared) * own
        return residual < ndtri(self.probabilities(facets))

    def levels(self, facets: Facets) -> np.ndarray:
        """(N,): difficulty from 1 to ``LEVELS``, each a quantile of the population."""
        return np.searchsorted(self.level_borders, facets.difficulty(), side="right") + 1


def _probabilities(facets: Facets, intercepts: np.ndarray) -> np.ndarray:
    chance = np.where(facets.choice, 1 / OPTIONS, 0.0)[:, None]
    return chance + (1 - chance) * expit(intercepts - facets.demands() @ SLOPES.T)


@cache
def calibrated() -> Mapping[str, SkillModel]:
    """Calibrate each data set's model on its population, whatever samples are drawn later."""
    return {dataset.prefix: _calibrate(dataset) for dataset in (*DATASETS, *TEXT_DATASETS)}


def _calibrate(dataset: DataSet) -> SkillModel:
    # Imported where they are used: every start of the workflow builds its sources.
    from scipy.optimize import brentq
    from scipy.stats import qmc

    points = qmc.Sobol(UNIFORMS + 1, rng=np.random.default_rng(0)).random_base2(_POPULATION)
    population = facets(dataset, points[:, :UNIFORMS])
    intercepts = _intercepts(population, accuracies(dataset))
    thresholds = ndtri(_probabilities(population, intercepts))
    common = ndtri(points[:, UNIFORMS, None])

    def oracle_excess(shared: float) -> float:
        own = (thresholds - np.sqrt(shared) * common) / np.sqrt(1 - shared)
        return 1 - ndtr(-own).prod(axis=1).mean() - dataset.oracle

    return SkillModel(
        intercepts=intercepts,
        shared=brentq(oracle_excess, 0.0, 0.999, xtol=1e-4),
        level_borders=np.quantile(
            population.difficulty(), np.arange(1, LEVELS) / LEVELS, method="higher"
        ),
    )


def _intercepts(population: Facets, accuracies: np.ndarray) -> np.ndarray:
    """Bisect for all models at once; expected accuracy rises with the intercept."""
    low = np.full(len(POOL), -20.0)
    high = np.full(len(POOL), 40.0)
    for _ in range(40):
        middle = (low + high) / 2
        enough = _probabilities(population, middle).mean(axis=0) >= accuracies
        high = np.where(enough, middle, high)
        low = np.where(enough, low, middle)
    return high
