"""Ask a model, judge its answer, and stop or ask another: cascades and cascade routing.

Dekoninck, Baader and Vechev, "A Unified Approach to Routing and Cascading for LLMs" (arXiv
2410.10347). What is asked next depends on the answers so far, and every model that was asked is
paid, so that a cascade is no router: no function of the query alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Annotated, Self

import numpy as np
import pandas as pd
from annotated_types import Ge
from scipy.special import ndtr

from mmroute.errors import InputError
from mmroute.evaluation.metrics import (
    ROUNDING,
    SingleModels,
    frontiers,
    nauc,
    peak_score,
    qnc,
    single_models,
)
from mmroute.evaluation.policy_metrics import auroc
from mmroute.evaluation.setting import Setting
from mmroute.evaluation.shards import threshold_grid
from mmroute.evaluation.static import ZERO, static_models
from mmroute.experiments import Experiment, Problem
from mmroute.experiments.findings import METRICS, difference, measure, zero
from mmroute.experiments.judge import Answers, Judge
from mmroute.experiments.uncertainty import KNOWN_ANSWERS, known_answers
from mmroute.outcome_table import OutcomeTable
from mmroute.outcomes.benchmark import Benchmark
from mmroute.predictions import Predictions
from mmroute.presentation.tables import format_interval

ROUTING, CASCADE, CASCADE_ROUTING = "routing", "cascade", "cascade routing"
KEYS = ["router", "method", "metric", "minus"]
LAMBDAS = 128
"""Operating points of a cascade, at most."""
LOOKAHEAD = 2
"""Models that cascade routing adds to those asked, at most, to look at what they would bring."""
_CELLS = 1 << 14
"""Samples times sets of models that are worked on at once, so that temporaries stay small."""


class Cascade(Experiment):
    """A router beside the cascades that are built on its predictions.

    At each step the models asked so far are completed to *supermodels*. The utility of one is
    the expected maximum of its models' utilities: ex-post, by a ``Judge``, of those that were
    asked; of the others normal around the router's prediction, with the deviation that judged
    utilities had from predictions in training. The supermodel with the best utility less lambda
    times cost is chosen; if it has models left, its first by mean training cost is asked, else
    the answer of the highest ex-post utility is taken. ``cascade`` goes through one list of
    models in their order, ``cascade routing`` may ask any.

    Published (eth-sri/cascade-routing, ``src/selection/cascade_router.py``; figures from
    ``notebooks/postprocess.ipynb``, the paper's Table 1): on RouterBench with 11 models and five
    shots, utilities being the true ones with low, medium and high noise, an AUC of 88.8, 80.9
    and 78.0 % for cascade routing; 87.1, 78.6 and 74.9 % for the baseline cascade; 86.7, 78.7
    and 75.1 % for their cascade; 85.3, 77.8 and 76.4 % for routing; 75.2 % for mixtures of
    models. Departures:

    - One lambda for all steps, swept; the published search tunes one for each step on training
      data, for each budget. Ties are not mixed at random.
    - In cascade routing supermodels have at most two models more than were asked, where the
      published search goes through all subsets.
    - Utilities are independent, and their maximum is Clark's approximation (Operations Research
      9, 1961); published are 100 draws with a covariance. Judged utilities are taken for certain.
    - The list of a cascade is not given but the models that ``zero`` mixes: the cascade decides
      by an answer what ``zero`` decides by lot.
    - The judge is one logistic regression for all models, on what ``judge.seen`` has; the
      published ones take log probabilities, which an outcome table does not keep.

    Parameters
    ----------
    depth
        The most models that are asked of a query; 5, as published for RouterBench.
    """

    name = "cascade"
    output = "cascade"
    title = "Cascades: ask, judge the answer, ask another"
    question = (
        "Each router, and cascades built on its predictions that judge the answers so far to stop "
        "or ask another model (Dekoninck et al., arXiv 2410.10347). Every call is paid."
    )
    routers = ("ensemble",)

    def __init__(self, depth: Annotated[int, Ge(1)] = 5) -> None:
        self.depth = depth

    def findings(
        self,
        setting: Setting,
        predictions: Mapping[str, Predictions],
        crossfit: Mapping[str, Predictions],
    ) -> pd.DataFrame:
        """Measure each router and its cascades on all evaluation samples.

        Parameters
        ----------
        setting
            What to measure with. Of the evaluation samples the choices know the answers, and
            which models were observed: no other is asked.
        predictions, crossfit
            Per router, of the evaluation samples and, cross-fitted, of the training samples.
            Of a router that draws, the first trial.

        Returns
        -------
        Findings with the keys ``router`` and ``method``. ``nauc``, ``peak_score`` and ``qnc``,
        those of a cascade also ``minus`` ``routing``, and all ``minus`` ``zero``, which is a
        row. ``auroc`` of the predictions, and of the ex-post utilities when all models of the
        cascade's list have answered; both over the models of that list.

        Raises
        ------
        InputError
            If fewer than half of the outcomes come with the model's answer.
        """
        table, training = setting.table, setting.training
        _require_answers(table)
        cost, training_cost = table.cost / setting.unit, training.cost / setting.unit
        weights = setting.weights()
        singles = single_models(table.utility, cost, weights)
        known = single_models(training.utility, training_cost)
        answers, learned = Answers.of(table.prediction), Answers.of(training.prediction)
        order = np.argsort(known.cost[0], kind="stable")
        chain = static_models(known, known)
        plans = {
            CASCADE: Plan.cascade(chain, order, self.depth),
            CASCADE_ROUTING: Plan.routing(order, self.depth),
        }
        static = zero(known, singles)
        rows = [(ZERO, "", metric, "", static[metric]) for metric in METRICS]
        for router, own in predictions.items():
            told = np.clip(crossfit[router].u_hat[0], 0, 1)
            how = training.samples["group"], self.depth, setting.seed
            judge = Judge.of(learned, told, training.utility, *how)
            measured = {
                ROUTING: measure([own], table.utility, cost, weights, singles, setting.policy)
            }
            for method, plan in plans.items():
                utility, paid = _outcomes(plan, judge, answers, own, table.utility, cost)
                measured[method] = _curve_metrics(utility, paid, weights, singles)
            listed = np.isfinite(table.utility) & np.isin(np.arange(len(order)), chain)
            judged = judge.utilities(answers, _within(own)[0], listed)
            for method, predicted in ((ROUTING, own.u_hat[0]), (CASCADE, judged)):
                areas = auroc(predicted[:, chain], table.utility[:, chain], weights)
                rows.append((router, method, "auroc", "", areas))
            for method, metrics in measured.items():
                rows += [(router, method, metric, "", metrics[metric]) for metric in METRICS]
                rows += [
                    (router, method, metric, minus, difference(metrics[metric], other[metric]))
                    for minus, other in ((ROUTING, measured[ROUTING]), (ZERO, static))
                    if minus != method
                    for metric in METRICS
                ]
        return pd.DataFrame(rows, columns=[*KEYS, "replicates"])

    def problems(self, benchmark: Benchmark, text_only: OutcomeTable | None) -> Iterator[Problem]:
        """Refuse data without the models' answers; see ``Experiment``."""
        _require_answers(benchmark.table)
        yield from ()

    def present(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return, for people, a row for each method of each router.

        Parameters
        ----------
        table
            The summary of ``findings``.
        """
        table = table.fillna({"method": "", "minus": ""})
        shown = map(format_interval, table["value"], table["low"], table["high"])
        table = table.assign(shown=list(shown))
        rows = []
        for (router, method), own in table.groupby(["router", "method"], sort=False):
            cells = own.set_index(["metric", "minus"])["shown"]
            rows.append(
                {
                    "Router": router,
                    "Method": method or "–",
                    "nAUC": cells["nauc", ""],
                    "nAUC, minus routing": cells.get(("nauc", ROUTING), "–"),
                    "nAUC, minus best static mixture": cells.get(("nauc", ZERO), "–"),
                    "Peak score": cells["peak_score", ""],
                    "Peak score, minus routing": cells.get(("peak_score", ROUTING), "–"),
                    "QNC": cells["qnc", ""],
                    "AUROC, the list's models": cells.get(("auroc", ""), "–"),
                }
            )
        return pd.DataFrame(rows)


def _require_answers(table: OutcomeTable) -> None:
    known = known_answers(table)
    if known < KNOWN_ANSWERS:
        datasets = ", ".join(table.samples["dataset"].unique())
        raise InputError(
            f"cascade: only {known:.0%} of the outcomes of {datasets:.80} come with the model's "
            "answer, which a cascade judges; give it in the source, as in the column prediction "
            "of a table, or take cascade out of experiments"
        )


def cost_shares(lambdas: np.ndarray) -> np.ndarray:
    """Return lambda / (1 + lambda), the weight of costs where utilities have the rest; 1 at inf."""
    finite = np.isfinite(lambdas)
    return np.where(finite, lambdas / np.where(finite, 1 + lambdas, 1), 1)


def _within(predictions: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """The (N, K) predictions, utilities within [0, 1] and costs not negative."""
    return np.clip(predictions.u_hat[0], 0, 1), np.maximum(predictions.c_hat[0], 0)


def _outcomes(
    plan: "Plan",
    judge: Judge,
    answers: Answers,
    predictions: Predictions,
    utility: np.ndarray,
    cost: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The (N, G) utilities and costs of following a plan, of (N, K) outcomes."""
    (u_hat, c_hat), observed = _within(predictions), np.isfinite(utility)
    shares = cost_shares(threshold_grid(u_hat, c_hat, observed, "lambda", LAMBDAS))
    taken, paid = [], []
    rows = max(1, _CELLS // len(plan.sets))
    for begin in range(0, len(cost), rows):
        part = slice(begin, begin + rows)
        given = answers.take(part), u_hat[part], c_hat[part], observed[part]
        course = plan.follow(judge, *given, shares)
        taken.append(course.taken(utility[part]))
        paid.append(course.paid(cost[part]))
    overhead = 0 if predictions.overhead is None else predictions.overhead[:, None]
    return np.concatenate(taken), np.concatenate(paid) + overhead


def _curve_metrics(
    utility: np.ndarray, paid: np.ndarray, weights: np.ndarray, singles: SingleModels
) -> dict[str, np.ndarray]:
    """Measure (N, G) outcomes at G operating points under (1 + B, N) weights."""
    total = weights.sum(axis=1, keepdims=True, dtype=float)
    best = frontiers(weights @ paid / total, weights @ utility / total)
    return {"nauc": nauc(best, singles), "peak_score": peak_score(best), "qnc": qnc(best, singles)}


@dataclass(frozen=True)
class Course:
    """What N samples are asked at each of G operating points.

    Attributes
    ----------
    asked
        (N, G, K) whether a model is asked.
    final
        (N, G) the model whose answer is taken.
    """

    asked: np.ndarray
    final: np.ndarray

    def taken(self, utility: np.ndarray) -> np.ndarray:
        """Return the (N, G) utilities of the answers that are taken."""
        return np.take_along_axis(utility, self.final, axis=1)

    def paid(self, cost: np.ndarray) -> np.ndarray:
        """Return the (N, G) costs of all models that are asked."""
        return np.where(self.asked, cost[:, None], 0).sum(axis=2)


@dataclass(frozen=True)
class Plan:
    """Which models may be asked, after which others.

    Attributes
    ----------
    sets
        P sets of models that supermodels have beyond those asked, each in the order of asking.
    first
        (P, K) which models must have been asked, if observed, before a set is looked at.
    order
        (K,) all models in the order of asking.
    depth
        The most models that are asked of a sample.
    """

    sets: Sequence[tuple[int, ...]]
    first: np.ndarray
    order: np.ndarray
    depth: int

    @classmethod
    def cascade(cls, chain: np.ndarray, order: np.ndarray, depth: int) -> Self:
        """Ask a list of models one after the other."""
        chain = order[np.isin(order, chain)]
        parts = list(combinations(range(len(chain) + 1), 2))
        first = np.array([np.isin(np.arange(len(order)), chain[:begin]) for begin, _ in parts])
        return cls([tuple(chain[begin:end]) for begin, end in parts], first, order, depth)

    @classmethod
    def routing(cls, order: np.ndarray, depth: int) -> Self:
        """Ask any model next."""
        sets = [one for size in range(1, LOOKAHEAD + 1) for one in combinations(order, size)]
        return cls(sets, np.zeros((len(sets), len(order)), bool), order, depth)

    def follow(
        self,
        judge: Judge,
        answers: Answers,
        u_hat: np.ndarray,
        c_hat: np.ndarray,
        observed: np.ndarray,
        shares: np.ndarray,
    ) -> Course:
        """Ask N samples at every operating point.

        Parameters
        ----------
        judge
            Tells ex-post utilities.
        answers
            Of all models; one is looked at where its model was asked.
        u_hat, c_hat
            (N, K) predictions.
        observed
            (N, K) which models may be asked; each sample has one.
        shares
            (G,) ``cost_shares``.
        """
        (n_samples, n_models), n_points = u_hat.shape, len(shares)
        more = self.member & observed[:, None]
        cost = (more * c_hat[:, None]).sum(axis=2)
        mean, spread = self._maxima(u_hat, judge.deviation, observed)
        following = np.where(more, np.argsort(self.order), n_models).argmin(axis=2)
        # Where none of a cascade's list was observed.
        cheapest = self._first_of(observed)
        course = Course(
            np.zeros((n_samples * n_points, n_models), bool),
            np.zeros(n_samples * n_points, np.int64),
        )
        point = np.arange(n_samples * n_points)
        # Points of one sample share a state until their decisions differ.
        state, sample = point // n_points, np.arange(n_samples)
        asked = np.zeros((n_samples, n_models), bool)
        while len(point):
            ex_post = judge.utilities(answers.take(sample), u_hat[sample], asked)
            reached = ex_post.max(axis=1)
            started = reached > -np.inf
            there = self._open(asked, observed[sample], more[sample])
            hoped = np.where(there, mean[sample], 0)
            utility, _ = larger_of(reached[:, None], 0, hoped, spread[sample])
            share = shares[point % n_points, None]
            score = (1 - share) * utility[state] - share * cost[sample[state]]
            score = np.where(there[state], score, -np.inf)
            stop = (1 - share[:, 0]) * np.where(started, reached, 0)[state]
            go_on = np.where(started[state], score.max(axis=1) > stop + ROUNDING, True)
            ended, end = point[~go_on], state[~go_on]
            course.asked[ended] = asked[end]
            course.final[ended] = self._first_of(ex_post == reached[:, None])[end]
            choice = score[go_on].argmax(axis=1)
            point, state = point[go_on], state[go_on]
            own = sample[state]
            model = np.where(there[state].any(axis=1), following[own, choice], cheapest[own])
            reached_by, state = np.unique(state * n_models + model, return_inverse=True)
            parent, model = np.divmod(reached_by, n_models)
            sample, asked = sample[parent], asked[parent]
            asked[np.arange(len(model)), model] = True
        shape = n_samples, n_points
        return Course(course.asked.reshape(*shape, n_models), course.final.reshape(shape))

    @cached_property
    def member(self) -> np.ndarray:
        """(P, K) which models are in a set."""
        return np.array([np.isin(np.arange(len(self.order)), own) for own in self.sets])

    def _first_of(self, among: np.ndarray) -> np.ndarray:
        """The first in the order of asking of some models, (n, K)."""
        return self.order[among[:, self.order].argmax(axis=1)]

    def _open(self, asked: np.ndarray, observed: np.ndarray, more: np.ndarray) -> np.ndarray:
        """Which sets may be asked next, (n, P), of (n, K) and their observed models, (n, P, K)."""
        missed = ((observed & ~asked)[:, None] & self.first).any(axis=2)
        again = (asked[:, None] & self.member).any(axis=2)
        size = asked.sum(axis=1)[:, None] + more.sum(axis=2)
        return more.any(axis=2) & ~again & ~missed & (size <= self.depth)

    def _maxima(
        self, u_hat: np.ndarray, deviation: np.ndarray, observed: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each set's largest utility, (N, P) each."""
        found = []
        for own in self.sets:
            mean, spread = np.full(len(u_hat), -np.inf), np.zeros(len(u_hat))
            for model in own:
                there = observed[:, model]
                larger = larger_of(mean, spread, u_hat[:, model], deviation[model])
                mean, spread = (
                    np.where(there, *pair) for pair in zip(larger, (mean, spread), strict=True)
                )
            found.append((mean, spread))
        means, spreads = zip(*found, strict=True)
        return np.stack(means, axis=1), np.stack(spreads, axis=1)


def larger_of(
    mean: np.ndarray, spread: np.ndarray | float, other: np.ndarray, other_spread: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the larger of two independent normal variables (Clark 1961).

    One of mean -inf is never the larger; one without spread is a number.
    """
    both = np.sqrt(np.square(spread) + np.square(other_spread))
    with np.errstate(divide="ignore", invalid="ignore"):
        ahead = np.nan_to_num((mean - other) / both, posinf=np.inf, neginf=-np.inf)
    share, density = ndtr(ahead), both * np.exp(-(ahead**2) / 2) / np.sqrt(2 * np.pi)
    first = np.where(share > 0, mean, 0)
    largest = first * share + other * (1 - share) + density
    square = (first**2 + np.square(spread)) * share + (other**2 + other_spread**2) * (1 - share)
    variance = square + (first + other) * density - largest**2
    return largest, np.sqrt(np.maximum(variance, 0))
