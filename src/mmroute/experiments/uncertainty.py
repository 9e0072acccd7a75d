"""What should a router do when it is unsure: an open question of the article (section 7).

A growing share of the queries, the most uncertain first, is handed on: to the strongest
model, to a vote of several models, or to a person. The uncertainty of a decision is
1 - the predicted utility of the chosen model, so it is known before any model is called.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Annotated

import numpy as np
import pandas as pd
import seaborn as sns
from annotated_types import Ge, Gt, Le
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from mmroute.evaluation.curve import Policy, steps_of
from mmroute.evaluation.metrics import single_models
from mmroute.evaluation.policy_metrics import auroc
from mmroute.evaluation.setting import Setting
from mmroute.experiments import Experiment, Problem
from mmroute.experiments.difficulty import training_points
from mmroute.experiments.findings import difference
from mmroute.outcome_table import OutcomeTable
from mmroute.outcomes.benchmark import Benchmark
from mmroute.predictions import Predictions
from mmroute.presentation.figures import panels
from mmroute.presentation.looks import ACCURACY_LABEL
from mmroute.presentation.tables import format_interval

SHARES = np.arange(21) / 20
"""Shares of the queries that are handed on."""
PRESENTED = (0.1, 0.25, 0.5)
STRONGEST, VOTE, PERSON = "strongest model", "vote", "person"
AT_RANDOM = "at random"
KEYS = ["router", "point", "strategy", "handed_on", "metric", "minus"]
KNOWN_ANSWERS = 0.5
"""A vote needs the answers of this share of the observed outcomes."""
PER_ROW = 4
COLOURS = dict(zip((STRONGEST, VOTE, PERSON), sns.color_palette("colorblind"), strict=False))
MARKED = (0.25, 0.5)
MARKED_LABEL = "25 % and 50 % handed on"
ENDS = (("router alone", 0.0, "*", 11), ("strongest model alone", 1.0, "D", 6))


class Uncertainty(Experiment):
    """What handing on the most uncertain queries brings.

    Parameters
    ----------
    votes
        How many models vote: see ``vote``.
    person_cost_usd, person_accuracy
        Cost of a person's answer, and how often it is right.
    """

    name = "uncertainty"
    output = "uncertainty"
    title = "When the router is unsure"
    question = (
        "Queries whose chosen model has the least predicted utility are handed on: to the "
        "strongest model, to a vote, or to a person."
    )
    routers = ("ensemble",)
    figure = True

    def __init__(
        self,
        votes: Annotated[int, Ge(2)] = 3,
        person_cost_usd: Annotated[float, Ge(0)] = 0.5,
        person_accuracy: Annotated[float, Gt(0), Le(1)] = 1.0,
    ) -> None:
        self.votes = votes
        self.person_cost_usd = person_cost_usd
        self.person_accuracy = person_accuracy

    def findings(
        self,
        setting: Setting,
        predictions: Mapping[str, Predictions],
        crossfit: Mapping[str, Predictions],
    ) -> pd.DataFrame:
        """Measure each strategy as the share of the queries that are handed on sweeps 0 to 1.

        The router works at the point ``half_cost`` of its training frontier, or at ``peak``
        where there is none. Queries of equal uncertainty are handed on with equal
        probability and counted in expectation, so that each share is met exactly and the
        order of the samples does not matter. A resample keeps the decisions.

        Parameters
        ----------
        setting
            What to measure with.
        predictions, crossfit
            Per router, of the evaluation samples and, cross-fitted, of the training samples.
            Of a router that draws, the first trial.

        Returns
        -------
        Findings with the keys ``router``, ``point``, ``strategy`` and ``handed_on``.
        ``accuracy``, ``cost`` (normalised), ``cost_usd`` of all queries; ``accuracy`` also
        ``minus`` that of handing on as many queries ``at random``. The strongest model is
        that of the training split; where it was not observed, the next. The vote is left
        out where answers are missing (see ``notices``). Of the router itself, ``strategy``
        empty: ``coverage``, the share of the queries that it answers, and, ``handed_on``
        undefined, ``accuracy_sure`` and ``accuracy_unsure``, on the less and the more
        uncertain half, their difference, and ``auroc`` of the uncertainty against wrong
        answers (utility at most 0.5).
        """
        table, unit = setting.table, setting.unit
        cost = table.cost / unit
        observed = np.isfinite(table.utility)
        weights = setting.weights().astype(float)
        person = (
            np.full(len(cost), self.person_accuracy),
            np.full(len(cost), self.person_cost_usd / unit),
        )
        answers = None if notices(table) else answer_codes(table.prediction)
        rows = []
        for router, own in predictions.items():
            points = training_points(setting, crossfit[router], own)
            point = "half_cost" if "half_cost" in points else "peak"
            choice = steps_of(own, 0, observed, setting.policy).choices(points[point])
            alone = _outcomes(table.utility, cost, choice)
            strategies = {STRONGEST: _outcomes(table.utility, cost, _strongest(setting))}
            if answers is not None:
                ranked = ranking(own, points[point], choice, observed, setting.policy)
                strategies[VOTE] = vote(ranked[:, : self.votes], answers, table.utility, cost)
            strategies[PERSON] = person
            predicted = np.take_along_axis(own.u_hat[0], choice[:, None], axis=1)
            given = handed_on(1 - predicted[:, 0])
            overhead = _mean(weights, np.zeros(len(cost)) if own.overhead is None else own.overhead)
            measured = _itself(predicted, alone[0], given, weights)
            for strategy, handed in strategies.items():
                accuracy, gained = _sweep(alone[0], handed[0], given, weights)
                paid = _sweep(alone[1], handed[1], given, weights)[0] + overhead[:, None]
                for share, *values in zip(SHARES, accuracy.T, gained.T, paid.T, strict=True):
                    measured += [
                        (strategy, share, "accuracy", "", values[0]),
                        (strategy, share, "accuracy", AT_RANDOM, values[1]),
                        (strategy, share, "cost", "", values[2]),
                        (strategy, share, "cost_usd", "", values[2] * unit),
                    ]
            rows += [(router, point, *row) for row in measured]
        return pd.DataFrame(rows, columns=[*KEYS, "replicates"])

    def problems(self, benchmark: Benchmark, text_only: OutcomeTable | None) -> Iterator[Problem]:
        """Look for the models' answers, which a vote needs; see ``Experiment``."""
        for line in notices(benchmark.table):
            yield "note", line

    def present(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return, for people, each strategy at some shares handed on, and what the router is alone.

        Parameters
        ----------
        table
            The summary of ``findings``.
        """
        values = table[table["minus"].fillna("") == ""]
        shown = map(format_interval, values["value"], values["low"], values["high"])
        values = values.assign(strategy=values["strategy"].fillna(""), shown=list(shown))
        areas = values[values["metric"] == "auroc"].set_index(["router", "point"])["shown"]
        swept = values[values["strategy"] != ""]
        rows = []
        for (router, point, strategy), own in swept.groupby(
            ["router", "point", "strategy"], sort=False
        ):
            row = {
                "Router": router,
                "Operating point": str(point).replace("_", " "),
                "AUROC of the uncertainty": areas[str(router), str(point)],
                "Unsure queries go to": strategy,
            }
            for share in (0, *PRESENTED):
                there = own[np.isclose(own["handed_on"], share)].set_index("metric")
                row[f"Accuracy, {share:.0%} handed on"] = there["shown"]["accuracy"]
                usd = 1000 * there["value"]["cost_usd"]
                row[f"USD per 1,000 queries, {share:.0%}"] = f"{usd:.3g}"
            rows.append(row)
        return pd.DataFrame(rows)

    def draw(self, table: pd.DataFrame, title: str) -> Figure:
        """Draw a line per strategy, from the router alone to handing on every query.

        Parameters
        ----------
        table
            The summary of ``findings``.
        title
            What the figure shows.
        """
        values = table[table["minus"].fillna("") == ""]
        routers = list(values.groupby(["router", "point"], sort=False))
        figure, grid = panels(len(routers), PER_ROW, 2.7, 2.3, (1.4, 1))
        for axes, ((router, point), own) in zip(grid, routers, strict=False):
            _panel(axes, own)
            area = own.loc[own["metric"] == "auroc", "value"].item()
            axes.set_title(
                f"{router} ({str(point).replace('_', ' ')}), AUROC {area:.2f}", fontsize="small"
            )
        if routers:
            _scale(grid[0], 1000 * values.loc[values["metric"] == "cost_usd", "value"])
            figure.legend(
                *grid[0].get_legend_handles_labels(),
                title="unsure queries go to",
                loc="outside right upper",
                frameon=False,
            )
        figure.supxlabel("mean cost (USD per 1,000 queries)", fontsize="medium")
        figure.supylabel(ACCURACY_LABEL, fontsize="medium")
        figure.suptitle(title)
        return figure


def notices(table: OutcomeTable) -> list[str]:
    """Return what a reader has to know: whether the vote is left out.

    It is where fewer than half of the observed outcomes come with an answer.
    """
    known = known_answers(table)
    if known >= KNOWN_ANSWERS:
        return []
    return [
        f"uncertainty: the vote is left out, as only {known:.0%} of the outcomes come with the "
        "model's answer; give answers in the source to have it"
    ]


def known_answers(table: OutcomeTable) -> float:
    """Return the share of the observed outcomes that come with the model's answer."""
    observed = np.isfinite(table.utility)
    return float((answer_codes(table.prediction) >= 0)[observed].mean())


def handed_on(uncertainty: np.ndarray) -> np.ndarray:
    """Return (N, 21): how likely each sample is handed on at each of ``SHARES``.

    The most uncertain (N,) first, equal ones with equal probability; a column's mean is
    its share.
    """
    _, group, size = np.unique(-uncertainty, return_inverse=True, return_counts=True)
    before = (np.cumsum(size) - size)[group]
    wanted = SHARES * len(uncertainty)
    return np.clip((wanted - before[:, None]) / size[group][:, None], 0, 1)


def ranking(
    predictions: Predictions,
    parameter: float,
    choice: np.ndarray,
    observed: np.ndarray,
    policy: Policy,
) -> np.ndarray:
    """Return the (N, K) models of each sample, the best-scoring first, -1 for unobserved ones.

    The policy's choice is the first. The others follow by u_hat - lambda c_hat
    (``lambda``), by u_hat (``budget``) or by the scores of the grid's lambda; of equals
    the cheaper first.
    """
    if predictions.scores is not None and predictions.grid is not None:
        reached = np.searchsorted(predictions.grid, parameter, side="right") - 1
        score = predictions.scores[max(int(reached), 0)]
    else:
        price = parameter if policy == "lambda" else 0.0
        score = predictions.u_hat[0] - price * predictions.c_hat[0]
    is_other = np.arange(observed.shape[1]) != choice[:, None]
    order = np.lexsort((predictions.c_hat[0], -score, ~observed, is_other), axis=1)
    return np.where(np.take_along_axis(observed, order, axis=1), order, -1)


def vote(
    ranked: np.ndarray, answers: np.ndarray, utility: np.ndarray, cost: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the (N,) utility and cost of asking several models and taking the commonest answer.

    Parameters
    ----------
    ranked
        (N, m) models to ask, -1 for none, as from ``ranking``. Of answers with equally
        many votes the one of the model that comes first wins.
    answers
        (N, K) as from ``answer_codes``. A model without an answer has no vote; if none
        has one, the first model's outcome counts.
    utility, cost
        (N, K) outcomes. The vote is as good as the models of the winning answer, on
        average if they were graded differently, and costs as much as all m.
    """
    cells = np.arange(len(ranked))[:, None], ranked
    codes = np.where(ranked >= 0, answers[cells], -1)
    same = (codes[:, :, None] == codes[:, None]) & (codes >= 0)[:, None]
    winner = same.sum(axis=2).argmax(axis=1)
    winning = np.take_along_axis(same, winner[:, None, None], axis=1)[:, 0]
    np.put_along_axis(winning, winner[:, None], True, axis=1)
    won = np.where(winning, utility[cells], 0).sum(axis=1) / winning.sum(axis=1)
    return won, np.where(ranked >= 0, cost[cells], 0).sum(axis=1)


def answer_codes(prediction: np.ndarray) -> np.ndarray:
    """Return (N, K) integers, alike for alike answers, -1 where there is no answer."""
    codes, _ = pd.factorize(np.array([_or_none(text) for text in prediction.ravel()], object))
    return codes.reshape(prediction.shape)


def _or_none(text: str | None) -> str | None:
    return None if text is None else normalised(text) or None


def normalised(answer: str) -> str:
    """Return an answer in the form in which equal answers are equal texts.

    Outer white space, punctuation and dollar signs, letter case and Unicode
    compatibility forms are dropped; ``(B)``, ``b.``, ``Option B`` and ``B) 12 cm`` are
    the option letter; ``1,200.0`` and ``1200``, ``0.5`` and ``1/2`` are one number.
    Answers of many words, such as whole derivations, hardly ever agree by this: a vote
    needs final answers.
    """
    text = unicodedata.normalize("NFKC", answer).casefold()
    text = " ".join(text.split()).lstrip(_OUTER).rstrip(_OUTER + ".")
    option = _OPTION.fullmatch(text)
    if option:
        return option[1]
    number = text.replace(",", "") if _THOUSANDS.fullmatch(text) else text
    return str(Fraction(number)) if _NUMBER.fullmatch(number) else text


_OUTER = " ,:;$\"'*"
_OPTION = re.compile(
    r"(?:(?:the )?(?:option|answer|choice)(?: is)?:? )?\(?([a-z])(?:[.:]?\)?|\) .*)"
)
_THOUSANDS = re.compile(r"[+-]?[0-9]{1,3}(,[0-9]{3}){1,6}(\.[0-9]{1,20})?")
# Bounded, as what stands in the data may be long; no zero denominators.
_NUMBER = re.compile(r"[+-]?([0-9]{1,20}(/0{0,9}[1-9][0-9]{0,9})?|[0-9]{0,20}\.[0-9]{1,20})")


def _strongest(setting: Setting) -> np.ndarray:
    """Return the (N,) most accurate model in training of those observed for each sample."""
    training = setting.training
    singles = single_models(training.utility, training.cost)
    order = np.lexsort((singles.cost[0], -singles.utility[0].round(12)))
    observed = np.isfinite(setting.table.utility)
    return order[observed[:, order].argmax(axis=1)]


def _outcomes(
    utility: np.ndarray, cost: np.ndarray, choice: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    rows = np.arange(len(choice))
    return utility[rows, choice], cost[rows, choice]


def _mean(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the (1 + B,) weighted means."""
    return weights @ values / weights.sum(axis=1)


def _sweep(
    alone: np.ndarray, handed: np.ndarray, given: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return (1 + B, 21) means over all samples, and what they gain on handing on at random."""
    change = handed - alone
    total = weights.sum(axis=1, keepdims=True)
    moved = weights @ (given * change[:, None]) / total
    at_random = SHARES * _mean(weights, change)[:, None]
    return _mean(weights, alone)[:, None] + moved, moved - at_random


def _itself(
    predicted: np.ndarray, utility: np.ndarray, given: np.ndarray, weights: np.ndarray
) -> list[tuple[str, float, str, str, np.ndarray]]:
    """Measure the router's own answers: coverage, sure and unsure half, AUROC."""
    total = weights.sum(axis=1, keepdims=True)
    coverage = weights @ (1 - given) / total
    unsure = given[:, SHARES == 0.5][:, 0]
    halves = [weights @ (half * utility) / (weights @ half) for half in (1 - unsure, unsure)]
    return [
        *(
            ("", share, "coverage", "", kept)
            for share, kept in zip(SHARES, coverage.T, strict=True)
        ),
        ("", np.nan, "accuracy_sure", "", halves[0]),
        ("", np.nan, "accuracy_unsure", "", halves[1]),
        ("", np.nan, "accuracy_sure", "accuracy_unsure", difference(*halves)),
        ("", np.nan, "auroc", "", auroc(predicted, utility[:, None], weights)),
    ]


def _panel(axes: Axes, own: pd.DataFrame) -> None:
    """Draw the lines, the strategies before the points so that the legend has them in order."""
    swept = own[own["handed_on"].notna()].set_index("handed_on")
    accuracy = swept[swept["metric"] == "accuracy"].pivot(columns="strategy")
    cost = 1000 * swept[swept["metric"] == "cost_usd"].pivot(columns="strategy", values="value")
    drawn = [strategy for strategy in COLOURS if strategy in cost]
    for strategy in drawn:
        one = accuracy.xs(strategy, axis=1, level="strategy")
        colour = COLOURS[strategy]
        axes.fill_between(cost[strategy], one["low"], one["high"], color=colour, alpha=0.15, lw=0)
        axes.plot(cost[strategy], one["value"], color=colour, lw=1.5, label=strategy)
    for strategy in drawn:
        some = list(MARKED)
        axes.plot(
            cost[strategy][some],
            accuracy["value"][strategy][some],
            "o",
            ms=3.5,
            color=COLOURS[strategy],
            label="_" if strategy != drawn[-1] else MARKED_LABEL,
        )
    for name, share, marker, size in ENDS:
        axes.plot(
            cost[STRONGEST][share],
            accuracy["value"][STRONGEST][share],
            marker,
            ms=size,
            color="black",
            mfc="white",
            label=name,
            zorder=5,
        )


def _scale(axes: Axes, usd: pd.Series) -> None:
    """Use a log axis of costs, unless a query can be free."""
    if (usd > 0).all():
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
