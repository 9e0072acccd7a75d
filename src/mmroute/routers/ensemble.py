"""An ensemble whose trust in its predictions is measured where the policy chooses (ours).

Only the differences between models on a sample decide the choice. They are a small
part of what can be predicted - most of it is how hard the sample is for all of
them - and the policy's argmax picks the noise in them. So a prediction is taken
apart into

    u_hat_ij = mu_j + common_i + specific_ij

with mu_j the model's mean on the training split. Both parts are non-negative
combinations of the predictions of learners; less weight in all is more shrinkage. The
weights of ``common_i`` fit the samples' mean deviations, for calibration's sake. Those of
``specific_ij`` fit the observed differences between the models that compete for
the sample at some exchange rate of utility for cost: a difference between two models
that nobody would choose says little of how far to trust one between the best two.
Where nothing can be told from the features the weights come near 0, and the
policy is left with mu_j and the predicted costs.

The learners are extremely randomised trees on all features, such trees on the few features and
components that vary most, a ridge regression on principal components, and the mean of these
three as far as it lies in the few directions in which the models' outcomes vary most: a
difference that several models share is told from all of them.

All weights are found on predictions for training samples by learners that have
not seen them; the learners are then trained on all.

Each choice was measured on 12 splits of the demo (simulated), GSM8K and MathVision, a fifth for
training; `docs/benchmarks.md` has the table. Against one forest, a ridge regression and 10 folds
nAUC is .0046 +- .0014, .0010 +- .0009 and -.0006 +- .0005 higher (standard errors over the splits,
whose test parts overlap). No further learner helped: a ridge regression so smooth that it is
nearly one gradient step, pairwise logistic regressions, neighbours, weighted by their agreement
or not, Gaussian kernels; nor did smoothed labels, or trees that split by differences alone.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple, Self

import numpy as np
import pandas as pd
from annotated_types import Ge
from scipy.optimize import nnls
from scipy.special import softmax
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import Ridge

from mmroute.routers import Pool, Router, observed_means, same_mask_columns

N_FOLDS = 5
WIDE, NARROW = 0.1, 0.3
"""Shares of all features, and of the few, that a split is sought among."""
N_VARYING, N_LEADING = 64, 40
"""The few features: those that vary most alone, and the leading principal components."""
N_COMPONENTS = 128
ALPHA = 5.0
"""Of the ridge regressions, on components that vary by 1 in all."""
N_DIRECTIONS = 3
"""Directions among models in which the learners' mean is a learner of its own."""
PRIOR, PRIOR_PRECISION = 0.8, 4.0
"""What the learners' weights are expected to add up to beforehand, alike for each and each
+- 1/2: it decides as long as the training samples are too few to tell."""
EXCHANGE_RATES = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Utility per normalised cost at which models compete; the dearest costs 1 on average."""
TEMPERATURE = 0.1
"""Lead in net utility at which a model is e times as likely to be chosen as another."""
CHEAPEST_CALL = 1e-3
"""Share of a model's mean cost that a call costs at least, for the logarithm of free calls."""
_WALKS = 1 << 16
"""Walks through a tree that are made at once, to stay in cache."""
_DEPTH = 64
"""Levels that trees may have: so many, and as many times their mean number of nodes. Grown trees
are far from it; in a file they can share nodes, and take steps by the square of its size."""


class Ensemble(Router):
    """Trees and a ridge regression, stacked apart for difficulty and for models' differences.

    Costs are stacked model by model on the scale of their logarithms, and scaled so
    that the mean prediction on the training split is the mean cost (Duan's smearing).
    Missing outcomes are masked.

    Parameters
    ----------
    n_trees
        Trees of each of two forests for utilities, and as many for costs; of those that
        find the weights, a fifth in each fold.
    min_samples_leaf
        Least number of training samples in a leaf.
    random_state
        Seed of folds and trees.
    """

    name: ClassVar[str] = "ensemble"
    fusion: ClassVar[str] = "tabular"
    uses_pool: ClassVar[bool] = True
    means_: np.ndarray
    utility_: "_Learners"
    directions_: np.ndarray
    common_weights_: np.ndarray
    specific_weights_: np.ndarray
    log_means_: np.ndarray
    log_bounds_: tuple[np.ndarray, np.ndarray]
    cost_: "_Learners"
    cost_weights_: np.ndarray
    smearing_: np.ndarray

    def __init__(
        self,
        n_trees: Annotated[int, Ge(10)] = 150,
        min_samples_leaf: Annotated[int, Ge(1)] = 5,
        random_state: int = 0,
    ) -> None:
        self.n_trees = n_trees
        self.min_samples_leaf = min_samples_leaf
        self.random_state = random_state

    def fit(self, Z: np.ndarray, U: np.ndarray, C: np.ndarray, pool: Pool | None = None) -> Self:
        """Weigh the learners on folds that they have not seen, and train them on all.

        Of the pool only the samples' groups are used, which no fold cuts.
        """
        told = np.isfinite(U).any(axis=1)
        groups = None if pool is None else pool.groups
        groups = (np.arange(len(U)) if groups is None else groups)[told]
        Z, U, C = Z[told], U[told], C[told]
        c_hat = self._fit_costs(Z, C, groups)
        self.means_ = observed_means(U)
        deviation = U - self.means_
        self.directions_ = _leading_directions(deviation)
        self.utility_ = self._learners()
        predicted = self._with_mean(self.utility_.cross_fit(Z, deviation, groups))
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
        return (
            self._utilities(self._with_mean(self.utility_.predict(Z))),
            self._costs(self.cost_.predict(Z)),
        )

    def _learners(self) -> "_Learners":
        return _Learners(self.n_trees, self.min_samples_leaf, self.random_state)

    def _with_mean(self, predicted: np.ndarray) -> np.ndarray:
        """Add to (L, N, K) predictions their mean in the leading directions."""
        return np.concatenate([predicted, predicted.mean(axis=0, keepdims=True) @ self.directions_])

    def _utilities(self, predicted: np.ndarray) -> np.ndarray:
        """Combine (L, N, K) predicted deviations from the models' means."""
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
        """Combine (L, N, K) predicted deviations from the models' mean logarithms."""
        logs = self.log_means_ + (self.cost_weights_[:, None] * predicted).sum(axis=0)
        return np.exp(np.clip(logs, *self.log_bounds_)) * self.smearing_


class _Views(NamedTuple):
    """What the learners see of N samples: all features, few features, and (N, r) components."""

    wide: np.ndarray
    narrow: np.ndarray
    low: np.ndarray

    def take(self, rows: np.ndarray) -> "_Views":
        return _Views(*(view[rows] for view in self))


@dataclass(frozen=True)
class _Trained:
    """Two forests and a ridge regression of m outcomes."""

    wide: "_Forest"
    narrow: "_Forest"
    coefficients: np.ndarray

    def predict(self, views: _Views) -> np.ndarray:
        """Predict (3, N, m) outcomes."""
        by_regression = views.low @ self.coefficients[:-1] + self.coefficients[-1]
        return np.stack(
            [self.wide.predict(views.wide), self.narrow.predict(views.narrow), by_regression]
        )


class _Learners:
    """Learners of m outcomes, and what they predict where they have not seen the outcome."""

    components_: np.ndarray
    center_: np.ndarray
    spread_: float
    varying_: np.ndarray
    trained_: _Trained

    def __init__(self, n_trees: int, min_samples_leaf: int, random_state: int) -> None:
        self.n_trees = n_trees
        self.min_samples_leaf = min_samples_leaf
        self.random_state = random_state

    def cross_fit(self, Z: np.ndarray, Y: np.ndarray, groups: np.ndarray) -> np.ndarray:
        """Train on (n, d) features and (n, m) outcomes, NaN where missing; predict (3, n, m).

        The predictions are fold by fold of learners that were trained on the other folds.
        ``groups`` are the (n,) samples' groups; each is in one fold.
        """
        projection = PCA(min(N_COMPONENTS, *Z.shape), random_state=self.random_state)
        # The share of variance that it also reports is 0 / 0 where all features are the same.
        with np.errstate(invalid="ignore"):
            projection.fit(Z)
        self.components_ = projection.components_
        self.center_ = projection.mean_ @ self.components_.T
        variance = Z.var(axis=0)
        self.spread_ = np.sqrt(variance.sum()) or 1.0
        self.varying_ = np.sort(np.argsort(-variance, kind="stable")[:N_VARYING])
        views = self._views(Z)
        member, distinct = pd.factorize(groups)
        drawn = np.random.default_rng(self.random_state).permutation(len(distinct))
        fold = drawn[member] % N_FOLDS
        unseen = np.zeros((3, *Y.shape))
        for index in range(N_FOLDS):
            held, rest = fold == index, fold != index
            if held.any() and rest.any():
                learned = self._train(views.take(rest), Y[rest], self.n_trees // N_FOLDS, index)
                unseen[:, held] = learned.predict(views.take(held))
        self.trained_ = self._train(views, Y, self.n_trees, N_FOLDS)
        return unseen

    def predict(self, Z: np.ndarray) -> np.ndarray:
        """Predict (3, N, m) outcomes of new samples."""
        return self.trained_.predict(self._views(Z))

    def _views(self, Z: np.ndarray) -> _Views:
        low = (Z @ self.components_.T - self.center_) / self.spread_
        narrow = np.hstack([Z[:, self.varying_], low[:, :N_LEADING]])
        return _Views(Z.astype(np.float32), narrow.astype(np.float32), low)

    def _train(self, views: _Views, Y: np.ndarray, n_trees: int, index: int) -> _Trained:
        seed = (N_FOLDS + 1) * self.random_state + index
        wide, narrow = (
            _forest(
                view,
                Y,
                n_estimators=n_trees,
                min_samples_leaf=self.min_samples_leaf,
                max_features=share,
                random_state=seed,
            )
            for view, share in ((views.wide, WIDE), (views.narrow, NARROW))
        )
        return _Trained(wide, narrow, _ridge_regression(views.low, Y))


@dataclass(frozen=True)
class _Forest:
    """Trees whose nodes stand one after the other, so that all are walked at once.

    Attributes
    ----------
    roots
        (T,) nodes at which the trees begin.
    feature, threshold
        (P,) what a node compares.
    child
        (P, 2) nodes that follow where the feature is up to the threshold, and where it is
        beyond; further on, or the node itself if it is a leaf.
    value
        (P, m) predictions.
    """

    roots: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    child: np.ndarray
    value: np.ndarray

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the trees' (N, m) mean predictions from (N, d) float32 features.

        Raises ValueError for nodes among which a walk would not end, or not soon.
        """
        size = max(1, _WALKS // len(self.roots))
        chunks = [self._predict(X[begin : begin + size]) for begin in range(0, len(X), size)]
        return np.concatenate(chunks) if chunks else np.empty((0, self.value.shape[1]))

    def _predict(self, X: np.ndarray) -> np.ndarray:
        row = np.arange(len(X))[:, None]
        node = np.tile(self.roots, (len(X), 1))
        for _ in range(_DEPTH + _DEPTH * len(self.child) // len(self.roots)):
            beyond = X[row, self.feature.take(node)] > self.threshold.take(node)
            following = self.child.take(2 * node + beyond)
            if (following < node).any():
                raise ValueError("a tree whose nodes lead back")
            if not (following > node).any():
                return self.value.take(node, axis=0).mean(axis=1, dtype=np.float64)
            node = following
        raise ValueError("trees with more levels than their nodes can make")


def _forest(X: np.ndarray, Y: np.ndarray, **parameters: Any) -> _Forest:
    """Train extremely randomised trees on (n, m) outcomes, NaN where missing."""
    seen = np.isfinite(Y)
    filled = np.where(seen, Y, 0)
    forest = ExtraTreesRegressor(**parameters)
    forest.fit(X, filled if filled.shape[1] > 1 else filled.ravel())
    trees = [estimator.tree_ for estimator in forest.estimators_]
    values = [tree.value[..., 0] for tree in trees]
    if not seen.all():
        # A missing outcome has not drawn the splits, being 0 there; nor may it dilute a leaf.
        for own, leaf in zip(values, forest.apply(X).T, strict=True):
            _average_observed(own, leaf, filled, seen)
    roots = np.cumsum([0, *(tree.node_count for tree in trees[:-1])])
    followed = [np.column_stack([tree.children_left, tree.children_right]) for tree in trees]
    child = np.concatenate([root + own for root, own in zip(roots, followed, strict=True)])
    inner = np.concatenate(followed) >= 0
    return _Forest(
        roots,
        np.concatenate([np.maximum(tree.feature, 0) for tree in trees]),
        np.concatenate([tree.threshold for tree in trees]),
        np.where(inner, child, np.arange(len(child))[:, None]),
        np.concatenate(values, dtype=np.float32),
    )


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


def _leading_directions(deviation: np.ndarray) -> np.ndarray:
    """Return the (K, K) projection on the directions in which (n, K) deviations vary most.

    They are the first eigenvectors of the covariance over what was observed of each two models.
    """
    seen, filled = np.isfinite(deviation).astype(float), np.nan_to_num(deviation)
    covariance = filled.T @ filled / np.maximum(seen.T @ seen, 1)
    directions = np.linalg.eigh(covariance)[1][:, ::-1][:, :N_DIRECTIONS]
    return directions @ directions.T


def _weigh(predicted: np.ndarray, observed: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the (L,) non-negative weights of predictions that fit what was observed best.

    They are the mode of their distribution given the observations and a normal prior,
    taking all that was observed for noise: what the learners can explain of an outcome
    is little beside it.

    Parameters
    ----------
    predicted
        (L, n) predictions.
    observed, weight
        (n,) observations, and how much each of them counts.
    """
    noise = (weight * observed**2).sum() / max(weight.sum(), 1)
    precision = (noise * PRIOR_PRECISION + np.finfo(float).eps) * np.eye(len(predicted))
    root = np.linalg.cholesky((weight * predicted) @ predicted.T + precision)
    linear = (weight * predicted) @ observed + precision.sum(axis=1) * PRIOR / len(predicted)
    return nnls(root.T, np.linalg.solve(root, linear))[0]


def _weigh_differences(
    predicted: np.ndarray, observed: np.ndarray, contest: np.ndarray
) -> np.ndarray:
    """Weigh (L, n, K) predictions by the differences between models, however it goes for all.

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
