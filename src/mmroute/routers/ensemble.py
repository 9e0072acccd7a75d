"""An ensemble whose trust in its predictions is measured where the policy chooses (ours).

Only the differences between models on a sample decide the choice. They are a small
part of what can be predicted - most of it is how hard the sample is for all of
them - and the policy's argmax picks the noise in them. So a prediction is taken
apart into

    u_hat_ij = mu_j + common_i + specific_ij

with mu_j the model's mean on the training split. Both parts are non-negative
combinations of two base learners, extremely randomised trees and a ridge
regression on principal components; less weight in all is more shrinkage. The
weights of ``common_i`` fit the samples' mean deviations, for calibration's sake. Those of
``specific_ij`` fit the observed differences between the models that compete for
the sample at some exchange rate of utility for cost: a difference between two models
that nobody would choose says little of how far to trust one between the best two.
Where nothing can be told from the features the weights come near 0, and the
policy is left with mu_j and the predicted costs.

All weights are found on predictions for training samples by learners that have
not seen them.
"""

from typing import Annotated, ClassVar, Self

import numpy as np
import pandas as pd
from annotated_types import Ge
from scipy.optimize import nnls
from scipy.special import softmax
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import Ridge
from sklearn.tree._tree import Tree

from mmroute.routers import Pool, Router, observed_means, same_mask_columns

N_FOLDS = 10
MAX_FEATURES = 0.1
"""Share of the features that a split is sought among: more take longer and tell no more."""
N_COMPONENTS = 128
ALPHA = 5.0
"""Of the ridge regressions, on components that vary by 1 in all."""
PRIOR = np.array([0.5, 0.3])
PRIOR_PRECISION = 4.0
"""Weights of forest and ridge regression expected beforehand, each +- 1/2: they decide as long
as the training samples are too few to tell."""
EXCHANGE_RATES = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Utility per normalised cost at which models compete; the dearest costs 1 on average."""
TEMPERATURE = 0.03
"""Lead in net utility at which a model is e times as likely to be chosen as another."""
CHEAPEST_CALL = 1e-3
"""Share of a model's mean cost that a call costs at least, for the logarithm of free calls."""


class Ensemble(Router):
    """Trees and a ridge regression, stacked apart for difficulty and for models' differences.

    Costs are stacked model by model on the scale of their logarithms, and scaled so
    that the mean prediction on the training split is the mean cost (Duan's smearing).
    Missing outcomes are masked.

    Parameters
    ----------
    n_trees
        Trees for utilities, and as many for costs.
    min_samples_leaf
        Least number of training samples in a leaf.
    random_state
        Seed of folds and trees.
    """

    name: ClassVar[str] = "ensemble"
    fusion: ClassVar[str] = "tabular"
    uses_pool: ClassVar[bool] = True
    means_: np.ndarray
    utility_: "_CrossFitted"
    common_weights_: np.ndarray
    specific_weights_: np.ndarray
    log_means_: np.ndarray
    log_bounds_: tuple[np.ndarray, np.ndarray]
    cost_: "_CrossFitted"
    cost_weights_: np.ndarray
    smearing_: np.ndarray

    def __init__(
        self,
        n_trees: Annotated[int, Ge(10)] = 500,
        min_samples_leaf: Annotated[int, Ge(1)] = 10,
        random_state: int = 0,
    ) -> None:
        self.n_trees = n_trees
        self.min_samples_leaf = min_samples_leaf
        self.random_state = random_state

    def fit(self, Z: np.ndarray, U: np.ndarray, C: np.ndarray, pool: Pool | None = None) -> Self:
        """Train the learners fold by fold, then weigh them on the folds they have not seen.

        Of the pool only the samples' groups are used, which no fold cuts.
        """
        told = np.isfinite(U).any(axis=1)
        groups = None if pool is None else pool.groups
        groups = (np.arange(len(U)) if groups is None else groups)[told]
        Z, U, C = Z[told], U[told], C[told]
        c_hat = self._fit_costs(Z, C, groups)
        self.means_ = observed_means(U)
        deviation = U - self.means_
        self.utility_ = self._learners()
        predicted = self.utility_.cross_fit(Z, deviation, groups)
        common = predicted.mean(axis=2)
        seen = np.isfinite(U)
        self.common_weights_ = _weigh(common, np.nanmean(deviation, axis=1), np.ones(len(U)))
        # Which models compete is told by a first trust, in the differences between all.
        self.specific_weights_ = _weigh_differences(
            predicted, deviation, seen / seen.sum(axis=1, keepdims=True)
        )
        contest = _contest(self._utilities(predicted), c_hat, seen)
        self.specific_weights_ = _weigh_differences(predicted, deviation, contest)
        return self

    def predict(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Combine the learners' predictions."""
        return self._utilities(self.utility_.predict(Z)), self._costs(self.cost_.predict(Z))

    def _learners(self) -> "_CrossFitted":
        return _CrossFitted(self.n_trees, self.min_samples_leaf, self.random_state)

    def _utilities(self, predicted: np.ndarray) -> np.ndarray:
        """Combine (2, N, K) predicted deviations from the models' means."""
        common = predicted.mean(axis=2, keepdims=True)
        difficulty = np.tensordot(self.common_weights_, common, 1)
        return (
            self.means_ + difficulty + np.tensordot(self.specific_weights_, predicted - common, 1)
        )

    def _fit_costs(self, Z: np.ndarray, C: np.ndarray, groups: np.ndarray) -> np.ndarray:
        """Fit the costs and return what is predicted of (n, K) unseen ones."""
        mean = observed_means(C)
        logs = np.log(np.maximum(C, np.where(mean > 0, CHEAPEST_CALL * mean, 1)))
        self.log_means_ = observed_means(logs)
        self.log_bounds_ = np.nanmin(logs, axis=0), np.nanmax(logs, axis=0)
        deviation = logs - self.log_means_
        self.cost_ = self._learners()
        predicted = self.cost_.cross_fit(Z, deviation, groups)
        seen = np.isfinite(C)
        self.cost_weights_ = np.column_stack(
            [
                _weigh(predicted[..., model], np.nan_to_num(deviation[:, model]), own)
                for model, own in enumerate(seen.astype(float).T)
            ]
        )
        self.smearing_ = np.ones(C.shape[1])
        self.smearing_ = mean / observed_means(np.where(seen, self._costs(predicted), np.nan))
        return self._costs(predicted)

    def _costs(self, predicted: np.ndarray) -> np.ndarray:
        """Combine (2, N, K) predicted deviations from the models' mean logarithms."""
        logs = self.log_means_ + (self.cost_weights_[:, None] * predicted).sum(axis=0)
        return np.exp(np.clip(logs, *self.log_bounds_)) * self.smearing_


class _CrossFitted:
    """A forest and a ridge regression of m outcomes, trained as often as there are folds.

    Each time a fold is left out. A new sample's prediction is the mean over all
    learners; a training sample's is that of the learners that have not seen it.
    """

    components_: np.ndarray
    center_: np.ndarray
    spread_: float
    forests_: list[list[Tree]]
    coefficients_: list[np.ndarray]

    def __init__(self, n_trees: int, min_samples_leaf: int, random_state: int) -> None:
        self.n_trees = n_trees
        self.min_samples_leaf = min_samples_leaf
        self.random_state = random_state

    def cross_fit(self, Z: np.ndarray, Y: np.ndarray, groups: np.ndarray) -> np.ndarray:
        """Train on (n, d) features and (n, m) outcomes, NaN where missing; predict (2, n, m).

        ``groups`` are the (n,) samples' groups; each is in one fold.
        """
        projection = PCA(min(N_COMPONENTS, *Z.shape), random_state=self.random_state)
        # The share of variance that it also reports is 0 / 0 where all features are the same.
        with np.errstate(invalid="ignore"):
            projection.fit(Z)
        self.components_ = projection.components_
        self.center_ = projection.mean_ @ self.components_.T
        self.spread_ = np.sqrt(Z.var(axis=0).sum()) or 1.0
        low = self._components(Z)
        member, distinct = pd.factorize(groups)
        drawn = np.random.default_rng(self.random_state).permutation(len(distinct))
        fold = drawn[member] % N_FOLDS
        unseen = np.zeros((2, *Y.shape))
        self.forests_, self.coefficients_ = [], []
        for index in range(N_FOLDS):
            held, rest = fold == index, fold != index
            if not rest.any():
                continue
            forest = self._forest(Z[rest], Y[rest], index)
            coefficients = _ridge_regression(low[rest], Y[rest])
            if held.any():
                unseen[:, held] = _predict(forest, coefficients, Z[held], low[held])
            self.forests_.append(forest)
            self.coefficients_.append(coefficients)
        return unseen

    def predict(self, Z: np.ndarray) -> np.ndarray:
        """Predict (2, N, m) outcomes: by the forest, by the ridge regression."""
        low = self._components(Z)
        folds = zip(self.forests_, self.coefficients_, strict=True)
        total = sum((_predict(*learners, Z, low) for learners in folds), start=np.zeros(()))
        return total / len(self.forests_)

    def _components(self, Z: np.ndarray) -> np.ndarray:
        return (Z @ self.components_.T - self.center_) / self.spread_

    def _forest(self, Z: np.ndarray, Y: np.ndarray, index: int) -> list[Tree]:
        seen = np.isfinite(Y)
        filled = np.where(seen, Y, 0)
        forest = ExtraTreesRegressor(
            self.n_trees // N_FOLDS,
            min_samples_leaf=self.min_samples_leaf,
            max_features=MAX_FEATURES,
            random_state=N_FOLDS * self.random_state + index,
        ).fit(Z, filled if filled.shape[1] > 1 else filled.ravel())
        if not seen.all():
            # A missing outcome has not drawn the splits, being 0 there; nor may it dilute a leaf.
            for tree, leaf in zip(forest.estimators_, forest.apply(Z).T, strict=True):
                _average_observed(tree.tree_.value[..., 0], leaf, filled, seen)
        return [estimator.tree_ for estimator in forest.estimators_]


def _average_observed(
    values: np.ndarray, leaf: np.ndarray, filled: np.ndarray, seen: np.ndarray
) -> None:
    """Set a tree's (nodes, m) values to its leaves' means over observed outcomes, in place.

    A leaf that has none of a model predicts no deviation.
    """
    total, count = np.zeros_like(values), np.zeros_like(values)
    np.add.at(total, leaf, filled)
    np.add.at(count, leaf, seen)
    values[:] = total / np.maximum(count, 1)


def _ridge_regression(low: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """Return (r + 1, m) coefficients and intercepts; 0 for a model without outcomes."""
    coefficients = np.zeros((low.shape[1] + 1, Y.shape[1]))
    for columns in same_mask_columns(Y):
        rows = np.isfinite(Y[:, columns[0]])
        if rows.any():
            ridge = Ridge(alpha=ALPHA).fit(low[rows], Y[np.ix_(rows, columns)])
            coefficients[:-1, columns] = np.atleast_2d(ridge.coef_).T
            coefficients[-1, columns] = ridge.intercept_
    return coefficients


def _predict(
    forest: list[Tree], coefficients: np.ndarray, Z: np.ndarray, low: np.ndarray
) -> np.ndarray:
    by_regression = low @ coefficients[:-1] + coefficients[-1]
    # A tree does not look whether it has all features that it asks for.
    if any(tree.n_features != Z.shape[1] for tree in forest):
        raise ValueError(f"a tree of other features than the {Z.shape[1]} that there are")
    Z = Z.astype(np.float32)
    by_forest = sum(tree.predict(Z)[..., 0] for tree in forest) / len(forest)
    return np.stack([by_forest.reshape(by_regression.shape), by_regression])


def _weigh(predicted: np.ndarray, observed: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the (2,) non-negative weights of predictions that fit what was observed best.

    They are the mode of their distribution given the observations and a normal prior,
    taking all that was observed for noise: what the learners can explain of an outcome
    is little beside it.

    Parameters
    ----------
    predicted
        (2, n) predictions.
    observed, weight
        (n,) observations, and how much each of them counts.
    """
    noise = (weight * observed**2).sum() / max(weight.sum(), 1)
    precision = (noise * PRIOR_PRECISION + np.finfo(float).eps) * np.eye(len(PRIOR))
    root = np.linalg.cholesky((weight * predicted) @ predicted.T + precision)
    linear = (weight * predicted) @ observed + precision @ PRIOR
    return nnls(root.T, np.linalg.solve(root, linear))[0]


def _weigh_differences(
    predicted: np.ndarray, observed: np.ndarray, contest: np.ndarray
) -> np.ndarray:
    """Weigh (2, n, K) predictions by the differences between models, however it goes for all.

    Parameters
    ----------
    predicted, observed
        Deviations from the models' means, observed ones NaN where missing.
    contest
        (n, K) share that a model has in the contest for a sample; rows sum to 1, and
        it is 0 where the outcome is missing.
    """
    observed = np.nan_to_num(observed)
    observed = observed - (contest * observed).sum(axis=1, keepdims=True)
    predicted = predicted - (contest * predicted).sum(axis=2, keepdims=True)
    return _weigh(predicted.reshape(len(predicted), -1), observed.ravel(), contest.ravel())


def _contest(u_hat: np.ndarray, c_hat: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Return the (n, K) chances of each model to be chosen, averaged over exchange rates."""
    shares = [
        softmax(np.where(seen, u_hat - rate * c_hat, -np.inf) / TEMPERATURE, axis=1)
        for rate in EXCHANGE_RATES
    ]
    return np.mean(shares, axis=0)
