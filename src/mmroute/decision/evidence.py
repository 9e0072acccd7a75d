"""What a decision is made on, and the labels that measure it without having had a say in it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from mmroute.decision.files import HELD, Labelled
from mmroute.decision.rule import (
    LISTED,
    Advice,
    Foresight,
    Labels,
    Limit,
    Mixture,
    Spending,
    Target,
    advise,
    own_policy,
)
from mmroute.evaluation.curve import Policy, Steps, training_steps
from mmroute.evaluation.setting import Setting
from mmroute.evaluation.shrinkage import choose, shrink_crossfit
from mmroute.outcome_table import OutcomeTable
from mmroute.outcomes.pool import require_latencies
from mmroute.outcomes.splits import N_FOLDS, fold_of
from mmroute.predictions import Predictions
from mmroute.storage import SHRUNK


@dataclass(frozen=True)
class Learned:
    """What a decision is made on.

    Attributes
    ----------
    table
        Outcomes of n labelled samples.
    crossfit
        A router's predictions of each by a fit that has not seen it.
    n_queries
        How many are to be answered.
    unit, policy
        USD of a normalised cost of 1, and the policy family.
    priced_by
        As for ``Labels``.
    max_latency
        Seconds that a query is to take at most, on average; None: no such limit.
    """

    table: OutcomeTable
    crossfit: Predictions
    n_queries: int
    unit: float
    policy: Policy
    priced_by: int | None = None
    max_latency: float | None = None

    @cached_property
    def labels(self) -> Labels:
        """The outcomes, as the rule takes them."""
        return Labels.of(self.table, self.n_queries, self.priced_by)

    @cached_property
    def fold(self) -> np.ndarray:
        """(n,) of the cross-fitting."""
        return fold_of(self.table.samples["group"])

    @cached_property
    def spending(self) -> Spending:
        """What the router's cross-fitted choices spend and earn."""
        return Spending.of(self.labels, self.crossfit, self.unit, self.policy, self.max_latency)

    def advise(self, asked: Sequence[Limit | Target]) -> list[Advice]:
        """Choose between static mixtures and the router."""
        return advise(self.labels, self.fold, self.spending, asked)


@dataclass(frozen=True)
class Run:
    """What each of N queries is expected to earn and to cost.

    Attributes
    ----------
    traffic
        (N, K) share of the query that each model gets; NaN where none was observed that it
        could be sent to.
    utility, cost
        (N,) likewise; cost in USD, the decision's own included.
    latency
        (N,) seconds, likewise; NaN where they are not known of a model that it could be sent to.
    """

    traffic: np.ndarray
    utility: np.ndarray
    cost: np.ndarray
    latency: np.ndarray

    @classmethod
    def joined(cls, runs: "list[Run]") -> "Run":
        """Several, one after the other."""
        names = ("traffic", "utility", "cost", "latency")
        return cls(*(np.concatenate([getattr(run, name) for run in runs]) for name in names))


@dataclass(frozen=True)
class Trial:
    """A decision, and N queries that it is tried on.

    Attributes
    ----------
    learned
        What it is made on.
    table
        Outcomes of the queries.
    predictions
        The router's of them, trained on all that was learned.
    """

    learned: Learned
    table: OutcomeTable
    predictions: Predictions

    @property
    def best(self) -> Run:
        """The model that was best alone on what was learned."""
        return self.always(self.learned.labels.best)

    @property
    def reference(self) -> Run:
        """The model whose cost a limit in percent is of."""
        return self.always(self.learned.labels.reference)

    def always(self, model: int) -> Run:
        """One model."""
        return self.mixed(Mixture(model, model, 0.0, True))

    def mixed(self, mixture: Mixture) -> Run:
        """A mixture; a model that was not observed leaves its share to the other."""
        utility, cost = self.table.utility, self.table.cost
        share = np.zeros(utility.shape)
        share[:, mixture.first] += 1 - mixture.share
        share[:, mixture.second] += mixture.share
        share = np.where(np.isfinite(utility), share, 0)
        with np.errstate(invalid="ignore"):
            share /= share.sum(axis=1, keepdims=True)
        earned, paid = (
            np.nansum(share * matrix, axis=1) + 0 * share[:, 0] for matrix in (utility, cost)
        )
        taken = np.where(share > 0, share * self._latency, 0).sum(axis=1) + 0 * share[:, 0]
        return Run(share, earned, paid, taken)

    @property
    def _latency(self) -> np.ndarray:
        """(N, K) seconds of the queries, NaN where unknown."""
        own = self.table.latency_s
        return np.broadcast_to(np.nan, self.table.utility.shape) if own is None else own

    @cached_property
    def _steps(self) -> tuple[np.ndarray, Steps]:
        return training_steps(self.predictions, self.table.utility, self.learned.policy)

    @cached_property
    def foresight(self) -> Foresight:
        """What the router's choices for the queries are foreseen to cost."""
        rows, steps = self._steps
        predicted = self.predictions.take(rows).without_gaps().c_hat[0] * self.learned.unit
        policy = own_policy(self.predictions, self.learned.policy)
        return Foresight.of(steps, self.learned.labels.mean_cost, predicted, policy)

    def routed(self, parameter: float) -> Run:
        """The router at one value of its policy's parameter."""
        table, unit = self.table, self.learned.unit
        rows, steps = self._steps
        choice = steps.choices(parameter)
        paid = self.predictions.paid(table.cost / unit) * unit
        run = Run(*(np.full(shape, np.nan) for shape in (table.utility.shape, *[len(paid)] * 3)))
        run.traffic[rows] = np.eye(table.utility.shape[1])[choice]
        run.utility[rows], run.cost[rows] = table.utility[rows, choice], paid[rows, choice]
        run.latency[rows] = self._latency[rows, choice]
        return run

    def parameter(self, asked: Limit | Target, learned: Learned, advice: Advice) -> float | None:
        """The policy's, on the queries, as what was learned and advised asks for.

        None where the router keeps nothing that was asked.
        """
        if advice.point is None:
            return None
        labels, spending = learned.labels, learned.spending
        if isinstance(asked, Limit):
            reserve = float(spending.reserve(asked)[advice.point])
            return self.foresight.keeping(labels.usd(asked), spending.ratios[advice.point], reserve)
        return self.foresight.spending(float(spending.means[advice.point, LISTED]))


@dataclass(frozen=True)
class Evidence:
    """All that there is to decide on and to measure with.

    Attributes
    ----------
    learned
        What is decided on.
    trials
        The same procedure made on other samples, whose queries measure it.
    """

    learned: Learned
    trials: tuple[Trial, ...]

    @classmethod
    def read(
        cls, setting: Setting, row: str, labels: Labelled, files: Iterable[Path]
    ) -> "Evidence":
        """Read what a run keeps of a row, see ``files.evidence_files``."""
        if labels == "train":
            parts = setting.table, setting.training
            predictions, crossfit = (
                Predictions.read(path, part.samples["sample_id"])
                for path, part in zip(files, parts, strict=True)
            )
            return cls.of_splits(setting, predictions, crossfit)
        samples = setting.benchmark.observed.samples
        fold = fold_of(samples["group"])
        told = {
            held: Predictions.read(path, samples["sample_id"][np.isin(fold, held)])
            for held, path in zip(HELD, files, strict=True)
        }
        return cls.of_folds(setting, told, row.endswith(SHRUNK))

    @classmethod
    def of_splits(
        cls, setting: Setting, predictions: Predictions, crossfit: Predictions
    ) -> "Evidence":
        """Decide on the training split, measure on the test split, as the papers do.

        Parameters
        ----------
        setting
            The benchmark, and how it is measured.
        predictions, crossfit
            A router's of the test split, and cross-fitted of the training split.
        """
        learned = Learned(
            setting.training, crossfit, len(setting.table.samples), setting.unit, setting.policy
        )
        return cls(learned, (Trial(learned, setting.table, predictions),))

    @classmethod
    def of_folds(
        cls, setting: Setting, held: Mapping[tuple[int, ...], Predictions], shrunk: bool = False
    ) -> "Evidence":
        """Decide on all labels; measure on each fold what is decided on the others.

        A fit that has seen neither of two folds serves twice: in the trial of each it is the
        cross-fitting of the other.

        Parameters
        ----------
        setting
            The benchmark, and how it is measured.
        held
            For each of ``HELD`` a router's predictions of these folds, trained on the others.
        shrunk
            Whether its row is the one whose predictions are shrunk.
        """
        table = setting.benchmark.observed
        fold = fold_of(table.samples["group"])
        folds = range(N_FOLDS)
        singles = [held[(own,)] for own in folds]

        def trial(
            rest: OutcomeTable, crossfit: Predictions, own: int, priced_by: int | None = None
        ) -> Trial:
            queries, predictions = table.take(fold == own), singles[own]
            if shrunk:
                given = rest.utility, rest.cost / setting.unit, setting.policy
                predictions = choose(crossfit, *given).apply(predictions)
                crossfit = shrink_crossfit(crossfit, rest.samples["group"], *given)
            # The trials together answer as many queries as there are labels.
            learned = Learned(rest, crossfit, len(fold), setting.unit, setting.policy, priced_by)
            return Trial(learned, queries, predictions)

        crossfit = Predictions.joined(singles, table.samples["sample_id"])
        whole = trial(table, crossfit, int(fold[0])).learned
        trials = []
        for own in np.unique(fold):
            rest = table.take(fold != own)
            ids = rest.samples["sample_id"]
            pairs = (held[min(own, other), max(own, other)] for other in folds if other != own)
            others = [pair.take(np.flatnonzero(pair.sample_ids.isin(ids))) for pair in pairs]
            # What was asked for is the same in all trials, whichever model is the best in one.
            joined = Predictions.joined(others, ids)
            trials.append(trial(rest, joined, own, whole.labels.best))
        return cls(whole, tuple(trials))

    @property
    def samples(self) -> pd.DataFrame:
        """Of the queries of all trials, in their order."""
        return pd.concat([trial.table.samples for trial in self.trials], ignore_index=True)

    def within(self, seconds: float) -> "Evidence":
        """The same among the models that surely answer within so many seconds on average.

        Which these are is decided on what was learned, for all trials alike; the fastest alone
        where none does. The others are as if they had never been observed.

        Raises
        ------
        InputError
            If no latency is known.
        """
        require_latencies(self.learned.table)
        names = self.learned.table.model_names
        fast, _ = self.learned.labels.candidates(seconds, names)

        def known(table: OutcomeTable) -> OutcomeTable:
            utility, cost = (np.where(fast, own, np.nan) for own in (table.utility, table.cost))
            return replace(table, utility=utility, cost=cost)

        def decided(learned: Learned, priced_by: int | None) -> Learned:
            return replace(
                learned, table=known(learned.table), max_latency=seconds, priced_by=priced_by
            )

        whole = decided(self.learned, None)
        trials = (
            replace(
                trial,
                learned=whole
                if trial.learned is self.learned
                else decided(trial.learned, whole.labels.best),
                table=known(trial.table),
            )
            for trial in self.trials
        )
        return Evidence(whole, tuple(trials))

    def repriced(self, factor: np.ndarray) -> "Evidence":
        """The same with the costs of the K models, true and predicted ones, multiplied."""

        def priced(table: OutcomeTable) -> OutcomeTable:
            return replace(table, cost=table.cost * factor)

        def foreseen(predictions: Predictions) -> Predictions:
            return replace(predictions, c_hat=predictions.c_hat * factor)

        def decided(learned: Learned) -> Learned:
            return replace(
                learned, table=priced(learned.table), crossfit=foreseen(learned.crossfit)
            )

        trials = (
            Trial(decided(trial.learned), priced(trial.table), foreseen(trial.predictions))
            for trial in self.trials
        )
        return Evidence(decided(self.learned), tuple(trials))
