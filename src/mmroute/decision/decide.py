"""A decision, not only a table: what to use under a budget, and for a quality.

Everything is chosen on the training split, on cross-fitted predictions, and only measured
on the test split: what stands here is what to expect in use. Of many candidates some keep
a limit in training by luck, so each must keep it by ``MARGIN`` standard errors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from mmroute.errors import InputError
from mmroute.evaluation.bootstrap import interval
from mmroute.evaluation.curve import (
    last_of_ties,
    running_mean,
    steps_of,
    thresholds,
    training_steps,
)
from mmroute.evaluation.metrics import ROUNDING, SingleModels, reaches, single_models
from mmroute.evaluation.setting import Setting
from mmroute.predictions import Predictions

TODAY, WHAT_IF = "today", "what if"
BUDGET, ACCURACY = "budget", "accuracy"
PER_1000 = 1000
SHARE = "share "
MEASURED = ("accuracy", "cost_usd_per_1000", "saving", "gain")
"""What has an interval."""
MARGIN = 1.645
"""Standard errors: what keeps a limit by them does so with 95 % confidence, were it alone."""
DIGITS = 12
MOST_NAMED, LEAST_NAMED = 3, 0.05


@dataclass(frozen=True)
class Candidate:
    """Something to use: a router, or always one model.

    Attributes
    ----------
    name
        The row of the main table, or the model.
    model
        Index of the model; None for a router.
    threshold
        (P,) the policy's parameter at each point, which a single model does not have.
    cost, utility
        (P,) means on the n training samples: USD, and utility.
    cost_error
        (P,) standard errors of the mean costs.
    second, joint
        (P,) means of the squared utility, and of its product with the best single model's.
    n_samples
        n.
    """

    name: str
    model: int | None
    threshold: np.ndarray
    cost: np.ndarray
    utility: np.ndarray
    cost_error: np.ndarray
    second: np.ndarray
    joint: np.ndarray
    n_samples: int

    @property
    def cost_at_most(self) -> np.ndarray:
        """(P,) mean cost in USD that surely holds in use, with ``MARGIN``."""
        return self.cost + MARGIN * self.cost_error

    def keeps_budget(self, limit: float) -> np.ndarray:
        """Which points keep a mean cost in USD."""
        return self.cost_at_most <= limit + ROUNDING

    def keeps_quality(self, share: float, constant: float, best: np.ndarray) -> np.ndarray:
        """Which points reach ``share`` of the best single model's utility, and ``constant``.

        The errors of both are paired: the samples are the same.
        """
        lead = self.utility - share * best.mean() - constant
        square = self.second - 2 * share * self.joint + share**2 * np.square(best).mean()
        error = _standard_error(lead + constant, square, self.n_samples)
        return lead >= MARGIN * error - ROUNDING


@dataclass(frozen=True)
class Yardstick:
    """What a policy is measured by on the test split.

    Attributes
    ----------
    setting
        What to measure with.
    weights
        (1 + B, N) of the samples: 1, then the resamples.
    alone
        The single models, on each resample.
    best
        The model that was best alone in training.
    """

    setting: Setting
    weights: np.ndarray
    alone: SingleModels
    best: int

    @classmethod
    def of(cls, setting: Setting) -> "Yardstick":
        """Prepare the resamples of a setting."""
        training = single_models(setting.training.utility, setting.training.cost)
        weights = setting.weights().astype(np.float64)
        alone = single_models(setting.table.utility, setting.table.cost, weights)
        return cls(setting, weights, alone, int(training.best[0]))

    def use(
        self, chosen: Predictions | int, parameter: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Use a router at one value of its parameter, or always one model.

        Returns
        -------
        (1 + B,) mean cost in USD, the decision's own included, (1 + B,) mean utility, and
        the (K,) shares of the traffic.
        """
        table = self.setting.table
        n_models = len(table.models)
        if isinstance(chosen, int):
            alone = self.alone.cost[:, chosen], self.alone.utility[:, chosen]
            return *alone, np.eye(n_models)[chosen]
        steps = steps_of(chosen, 0, np.isfinite(table.utility), self.setting.policy)
        choice = steps.choices(parameter)
        rows, total = np.arange(len(choice)), self.weights.sum(axis=1)
        paid = chosen.paid(table.cost / self.setting.unit) * self.setting.unit
        cost, utility = (self.weights @ own[rows, choice] / total for own in (paid, table.utility))
        return cost, utility, np.bincount(choice, minlength=n_models) / len(choice)

    def expected(self, cost: np.ndarray, utility: np.ndarray) -> dict[str, float]:
        """The values of ``MEASURED`` with their bounds, of what ``use`` returns."""
        spent = np.where(self.alone.cost[:, self.best] > 0, self.alone.cost[:, self.best], np.nan)
        gain = utility - self.alone.utility[:, self.best]
        expected: dict[str, float] = {}
        for name, own in zip(
            MEASURED, (utility, PER_1000 * cost, 1 - cost / spent, gain), strict=True
        ):
            low, high = interval(own)
            expected |= {name: own[0], f"{name}_low": low, f"{name}_high": high}
        return expected


def decide(
    setting: Setting,
    predictions: Mapping[str, Predictions],
    crossfit: Mapping[str, Predictions],
    budgets: Sequence[float | str],
    quality_targets: Sequence[float | str],
    what_if_prices: Mapping[str, float],
) -> pd.DataFrame:
    """Choose a router and its threshold for each budget and quality, and measure the choice.

    Parameters
    ----------
    setting
        What to measure with.
    predictions, crossfit
        By row of the main table, of the evaluation samples and, cross-fitted, of the
        training samples; of a router that draws, the first trial.
    budgets
        Mean costs not to exceed: USD per 1,000 queries, or a share such as ``50%`` of the
        best single model's.
    quality_targets
        Accuracies to reach, or shares of the best single model's.
    what_if_prices
        Model to a multiple of its price. If there is any, all is decided once more with
        the costs of these models, true and predicted ones, multiplied.

    Returns
    -------
    A row for each thing asked: ``prices`` (``today`` or ``what if``), ``asked`` (``budget``
    or ``accuracy``), ``amount`` as given, ``limit`` in USD per 1,000 queries or as
    accuracy; ``router``: a row, or a model that is always taken; ``threshold``, empty for
    a model; ``feasible``: whether anything surely kept the limit in training, without which
    the cheapest or the most accurate choice stands. On the test split, each with its
    bounds ``_low`` and ``_high``: ``accuracy``, ``cost_usd_per_1000``, and against the
    best single model of the training split the ``saving`` of its cost, undefined where that
    model is free, and the ``gain`` in accuracy. ``kept``: the share of resamples that keep
    the limit, where a percentage is of what the best single model has in the resample;
    ``share <model>``: the traffic. A router that was trained once for each lambda keeps
    its choices when predicted costs are multiplied.

    Raises
    ------
    InputError
        If a model of ``what_if_prices`` is not in the pool.
    """
    names = setting.table.model_names
    for model in what_if_prices:
        if model not in names:
            raise InputError(
                f"config key decision.what_if_prices: no model {model!r} in the pool; it has: "
                + ", ".join(names)
            )
    asked = [(BUDGET, amount) for amount in budgets]
    asked += [(ACCURACY, amount) for amount in quality_targets]
    rows = _decide(setting, predictions, crossfit, asked)
    if what_if_prices:
        factor = np.array([what_if_prices.get(name, 1.0) for name in names])
        priced = setting.benchmark
        table = replace(priced.table, cost=priced.table.cost * factor)
        repriced = replace(setting, benchmark=replace(priced, table=table))
        told, crossfitted = (
            {row: replace(own, c_hat=own.c_hat * factor) for row, own in parts.items()}
            for parts in (predictions, crossfit)
        )
        rows += [row | {"prices": WHAT_IF} for row in _decide(repriced, told, crossfitted, asked)]
    return pd.DataFrame(rows, columns=_columns(names))


def _columns(models: Sequence[str]) -> list[str]:
    """The columns, which are there even if nothing was asked."""
    bounds = [f"{name}{bound}" for name in MEASURED for bound in ("", "_low", "_high")]
    shares = [f"{SHARE}{name}" for name in models]
    first = ["prices", "asked", "amount", "limit", "router", "threshold", "feasible"]
    return [*first, *bounds, "kept", *shares]


def _decide(
    setting: Setting,
    predictions: Mapping[str, Predictions],
    crossfit: Mapping[str, Predictions],
    asked: Sequence[tuple[str, float | str]],
) -> list[dict[str, object]]:
    training, measure = setting.training, Yardstick.of(setting)
    alone, best = single_models(training.utility, training.cost), measure.best
    reference = {BUDGET: PER_1000 * alone.cost[0, best], ACCURACY: alone.utility[0, best]}
    utility_of_best = training.utility[:, best]
    filled = np.where(np.isnan(utility_of_best), alone.utility[0, best], utility_of_best)
    candidates = _candidates(setting, crossfit, filled)
    of_best = {BUDGET: PER_1000 * measure.alone.cost, ACCURACY: measure.alone.utility}
    rows = []
    for what, amount in asked:
        share = float(amount[:-1]) / 100 if isinstance(amount, str) else 0.0
        limit = share * reference[what] if isinstance(amount, str) else float(amount)
        if what == BUDGET:
            keeps = [own.keeps_budget(limit / PER_1000) for own in candidates]
        else:
            constant = 0.0 if share else limit
            keeps = [own.keeps_quality(share, constant, filled) for own in candidates]
        candidate, point, feasible = _choose(candidates, what, np.concatenate(keeps))
        parameter = float(candidate.threshold[point])
        chosen = predictions[candidate.name] if candidate.model is None else candidate.model
        cost, utility, shares = measure.use(chosen, parameter)
        kept = _keeps(what, share * of_best[what][:, best] if share else limit, cost, utility)
        row = {"prices": TODAY, "asked": what, "amount": str(amount), "limit": limit}
        row |= {"router": candidate.name, "threshold": parameter, "feasible": feasible}
        row |= measure.expected(cost, utility) | {"kept": kept[1:].mean()}
        names = setting.table.model_names
        rows.append(row | {f"{SHARE}{name}": own for name, own in zip(names, shares, strict=True)})
    return rows


def _candidates(
    setting: Setting, crossfit: Mapping[str, Predictions], best: np.ndarray
) -> list[Candidate]:
    """Always one model, for each, and the routers: of equals the first is chosen."""
    training = setting.training
    candidates = []
    for model, name in enumerate(training.model_names):
        seen = np.isfinite(training.utility[:, model])
        moments = _moments(training.cost[seen, model], training.utility[seen, model], best[seen])
        means = [np.array([own.mean()]) for own in moments]
        candidates.append(_candidate(name, model, np.array([np.nan]), means, int(seen.sum())))
    candidates += [router_candidate(row, own, setting, best) for row, own in crossfit.items()]
    return candidates


def router_candidate(
    row: str, crossfit: Predictions, setting: Setting, best: np.ndarray
) -> Candidate:
    """What cross-fitted predictions reach at every threshold on the training split.

    Parameters
    ----------
    row
        The router's row of the main table.
    crossfit
        Of the n training samples.
    setting
        Holds their outcomes.
    best
        (n,) utility of the best single model.
    """
    training = setting.training
    kept, steps = training_steps(crossfit, training.utility, setting.policy)
    paid = crossfit.take(kept).paid(training.cost[kept] / setting.unit) * setting.unit
    threshold = thresholds(steps, setting.policy)
    points = last_of_ties(threshold)
    moments = _moments(paid, training.utility[kept], best[kept, None])
    means = [running_mean(steps, matrix)[points] for matrix in moments]
    return _candidate(row, None, threshold[points], means, len(kept))


def _moments(cost: np.ndarray, utility: np.ndarray, best: np.ndarray) -> list[np.ndarray]:
    return [cost, np.square(cost), utility, np.square(utility), utility * best]


def _candidate(
    name: str, model: int | None, threshold: np.ndarray, means: list[np.ndarray], n_samples: int
) -> Candidate:
    cost, cost_square, utility, second, joint = means
    error = _standard_error(cost, cost_square, n_samples)
    return Candidate(name, model, threshold, cost, utility, error, second, joint, n_samples)


def _standard_error(mean: np.ndarray, square: np.ndarray, n_samples: int) -> np.ndarray:
    """The standard error of means from the means of squares; rounding is no spread."""
    variance = square - mean**2
    return np.sqrt(np.where(variance > ROUNDING * square, variance, 0) / n_samples)


def _choose(
    candidates: Sequence[Candidate], asked: str, keeps: np.ndarray
) -> tuple[Candidate, int, bool]:
    """The candidate, its point, and whether it keeps the limit in training."""
    owner = np.repeat(np.arange(len(candidates)), [len(own.cost) for own in candidates])
    point = np.concatenate([np.arange(len(own.cost)) for own in candidates])
    cost = np.concatenate([own.cost for own in candidates])
    # Means that differ by rounding only are equal: the simpler candidate comes first.
    cost = np.round(cost / (cost.max() or 1.0), DIGITS)
    utility = np.round(np.concatenate([own.utility for own in candidates]), DIGITS)
    by_utility, by_cost = np.lexsort((owner, cost, -utility)), np.lexsort((owner, -utility, cost))
    order = by_utility if asked == BUDGET else by_cost
    if not keeps.any():
        # What comes nearest: the cheapest, or the most accurate.
        order = by_cost if asked == BUDGET else by_utility
    first = order[keeps[order].argmax()] if keeps.any() else order[0]
    return candidates[owner[first]], int(point[first]), bool(keeps.any())


def _keeps(
    asked: str, limit: float | np.ndarray, cost: np.ndarray, utility: np.ndarray
) -> np.ndarray:
    """Where a mean cost in USD, or a mean utility, keeps the limit, up to rounding."""
    if asked == BUDGET:
        return cost <= limit / PER_1000 + ROUNDING
    return reaches(utility, limit)


def present(table: pd.DataFrame) -> pd.DataFrame:
    """Lay the decisions out for people; with other prices they follow in rows of their own."""
    shown = pd.DataFrame(
        {
            "Asked": [_asked(row) for _, row in table.iterrows()],
            "Use": table["router"],
            "Threshold": [
                "–" if np.isnan(threshold) else f"{threshold:.3g}"
                for threshold in table["threshold"]
            ],
            "Accuracy": _percent(table, "accuracy"),
            "USD per 1,000 queries": [
                f"{row['cost_usd_per_1000']:.3g} [{row['cost_usd_per_1000_low']:.3g}, "
                f"{row['cost_usd_per_1000_high']:.3g}]"
                for _, row in table.iterrows()
            ],
            "Kept in": [f"{kept:.0%} of resamples" for kept in table["kept"]],
            "Saving against the best single model": _percent(table, "saving"),
            "Accuracy gained on it": _percent(table, "gain"),
            "Mostly sends to": [_traffic(row) for _, row in table.iterrows()],
        }
    )
    if (table["prices"] == WHAT_IF).any():
        shown.insert(0, "Prices", table["prices"])
    return shown


def _asked(row: pd.Series) -> str:
    """Say what was asked, and that nothing could keep it in training."""
    if row["asked"] == BUDGET:
        text = f"at most ${row['limit']:.3g} per 1,000 queries"
        of = "cost"
    else:
        text, of = f"an accuracy of {row['limit']:.1%}", "accuracy"
    amount = str(row["amount"])
    if amount.endswith("%"):
        text += f" ({amount} of the best single model's {of})"
    return text if row["feasible"] else f"{text}: out of reach, this comes nearest"


def _percent(table: pd.DataFrame, name: str) -> list[str]:
    return [
        "–"
        if np.isnan(row[name])
        else f"{row[name]:.1%} [{row[f'{name}_low']:.1%}, {row[f'{name}_high']:.1%}]"
        for _, row in table.iterrows()
    ]


def _traffic(row: pd.Series) -> str:
    """Name the models that get most queries."""
    shares = row[[name for name in row.index if name.startswith(SHARE)]].astype(float)
    largest = shares.sort_values(ascending=False, kind="stable")[:MOST_NAMED]
    return ", ".join(
        f"{str(name).removeprefix(SHARE)} {share:.0%}"
        for name, share in largest.items()
        if share >= LEAST_NAMED
    )
