"""A decision, not only a table: what to run under a budget, and for a quality.

What is advised follows from labels by ``rule``, on cross-fitted predictions, and is measured on
others only, see ``evidence``: what stands here is what to expect in use.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mmroute.decision.evidence import Evidence, Learned, Run, Trial
from mmroute.decision.rule import EARNED, LISTED, PAID, Advice, Limit, Target
from mmroute.errors import InputError
from mmroute.evaluation.bootstrap import resample_weights
from mmroute.evaluation.inference import interval, p_value
from mmroute.evaluation.metrics import ROUNDING, reaches
from mmroute.outcome_table import LATENCY

TODAY, WHAT_IF = "today", "what if"
BUDGET, ACCURACY, ALL_BUDGETS = "budget", "accuracy", "all budgets"
PER_1000 = 1000
SHARE = "share "
EXPECTED = ("accuracy", "cost_usd_per_1000", "saving", "gain_on_best")
"""What is expected of anything that is run."""
DEPLOYED = ("cost_usd_per_1000", "saving", LATENCY)
"""What is expected of what is advised on all labels, whatever a trial advises."""
COSTS = (*DEPLOYED, "mixture_cost_usd_per_1000")
GAINS = ("gain_on_best", "gain", "routed_gain")
"""Differences of two ways to answer the same queries."""
MEASURED = (*EXPECTED, *GAINS[1:], "mixture_accuracy", "mixture_cost_usd_per_1000")
"""What of a decision has an interval."""
RANGES = {
    "accuracy": (0.0, 1.0),
    "mixture_accuracy": (0.0, 1.0),
    "cost_usd_per_1000": (0.0, np.inf),
    "mixture_cost_usd_per_1000": (0.0, np.inf),
    "saving": (-np.inf, 1.0),
    LATENCY: (0.0, np.inf),
}
"""What there can be of these: no interval is wider."""
OVERLAP, UNSTEADY = 7.0, 1.2
"""Trials share most of their labels, and tell too little of their own variance (Bates, Hastie and
Tibshirani, Cross-validation: what does it estimate and how well does it do it?, 2023). By how much
was found by ``make coverage``: the variance of an advice's accuracy counts so many times, and costs
vary more by so much, as a threshold on a trial's few queries is less steady than on many."""
POWER = (1.959964 + 0.841621) ** 2
"""Variances by which a gain exceeds 0 that a two-sided test at 5 % finds in 80 % of the cases."""
SETTLED = (0.01, 0.02, 0.05)
"""Gains in accuracy of which it is told how many labels would show them."""
CHEAPER = 0.9
"""Share of the cost of what is advised for an accuracy, below which another choice is cheaper."""


@dataclass(frozen=True)
class Yardstick:
    """What N queries are measured by.

    Attributes
    ----------
    weights
        (1 + B, N): 1, then the resamples.
    best, reference
        The model that was best alone on what was learned, and the one whose cost a limit in
        percent is of.
    """

    weights: np.ndarray
    best: Run
    reference: Run

    @classmethod
    def of(cls, evidence: Evidence, n_resamples: int, seed: int) -> "Yardstick":
        """Draw the resamples."""
        weights = resample_weights(evidence.samples, n_resamples, seed).astype(np.float64)
        return cls(weights, *_compared(evidence))

    def mean(self, values: np.ndarray) -> np.ndarray:
        """(1 + B,) means of (N,) values where they are known."""
        known = np.isfinite(values)
        if known.all():
            return self.weights @ values / self.weights.sum(axis=1)
        return self.weights[:, known] @ values[known] / self.weights[:, known].sum(axis=1)

    def expected(self, run: Run) -> dict[str, np.ndarray]:
        """The (1 + B,) values of ``EXPECTED``, and of the latency where any is known."""
        cost, spent = self.mean(run.cost), self.mean(self.reference.cost)
        with np.errstate(divide="ignore", invalid="ignore"):
            saving = np.where(spent > 0, 1 - cost / spent, np.nan)
        gain = self.mean(run.utility - self.best.utility)
        values = (self.mean(run.utility), PER_1000 * cost, saving, gain)
        told = dict(zip(EXPECTED, values, strict=True))
        if np.isfinite(run.latency).any():
            told[LATENCY] = self.mean(run.latency)
        return told


def _compared(evidence: Evidence) -> tuple[Run, Run]:
    best = Run.joined([trial.best for trial in evidence.trials])
    return best, Run.joined([trial.reference for trial in evidence.trials])


def with_bounds(values: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Each value with the bounds of its interval, ``_low`` and ``_high``."""
    row: dict[str, float] = {}
    for name, replicates in values.items():
        low, high = interval(replicates, compared=name in GAINS)
        row |= {name: float(replicates[0]), f"{name}_low": low, f"{name}_high": high}
    return row


def decide(
    evidence: Evidence,
    row: str,
    budgets: Sequence[float | str],
    quality_targets: Sequence[float | str],
    what_if_prices: Mapping[str, float],
    n_resamples: int,
    seed: int,
    max_latency: float | None = None,
) -> pd.DataFrame:
    """Choose what to run for each budget and quality, and measure the choice.

    Parameters
    ----------
    evidence
        What to decide on, and to measure with.
    row
        The router that was named beforehand.
    budgets
        Mean costs not to exceed: USD per 1,000 queries, or a share such as ``50%`` of the
        best single model's.
    quality_targets
        Accuracies to reach, or shares of the best single model's.
    what_if_prices
        Model to a multiple of its price. If there is any, all is decided once more with
        the costs of these models, true and predicted ones, multiplied.
    n_resamples, seed
        The bootstrap's.
    max_latency
        Seconds that a query is to take at most, on average: only models that surely do are
        chosen among, and a router's points at which its choices surely do; see
        ``Evidence.within``. A share of the best single model's cost or accuracy is then of the
        best of these. None: no such limit.

    Returns
    -------
    A row for each thing asked: ``prices`` (``today`` or ``what if``), ``asked`` (``budget``
    or ``accuracy``), ``amount`` as given, ``limit`` in USD per 1,000 queries or as
    accuracy; ``router``: the row that is advised, empty where it is a static mixture of
    ``first`` and ``second``, which gets ``second_share`` of the queries; ``threshold``: the
    router's on the labels, where it surely keeps the limit; ``feasible``: whether what
    is advised surely does.

    On the queries of the trials, each with its bounds ``_low`` and ``_high``: ``accuracy`` and
    ``cost_usd_per_1000``; against the model that was best alone on what was learned the
    ``saving`` of its cost, undefined where that model is free, and ``gain_on_best`` in
    accuracy; against the mixture the ``gain``, and ``routed_gain``, of the router whether it is
    advised or not, with its ``p_value``; ``mixture_accuracy`` and
    ``mixture_cost_usd_per_1000``. ``kept``: the share of resamples that keep the limit,
    where a percentage is of what the best single model has in the resample. ``labels``: samples
    that were decided on; ``labels_for_1``, ``_2``, ``_5``: how many would show a ``routed_gain``
    of as many points in 80 % of the cases. ``labels_for_target``: for an accuracy, how many
    would surely show that the router has it at nine tenths of the cost of what is advised, if it
    is as it looks on these. Where latencies are known, ``latency_s`` with its bounds, the mean of
    what is advised over the queries where it is known, and ``latency_coverage``, which share of
    them these are. With ``max_latency`` the column of that name, ``latency_kept``: the share of
    resamples whose mean keeps it, ``latency_feasible``: whether any model surely does, and
    ``too_slow``: those that do not, in words. ``share <model>``: the traffic. Accuracies and gains
    are the procedure's, which may advise otherwise in a trial; costs and traffic are of what is
    advised on all that was learned.

    A last row, ``all budgets``, has the means of ``routed_gain`` over the budgets: whether
    routing pays here. A router that was trained once for each lambda keeps its choices when
    predicted costs are multiplied.

    Raises
    ------
    InputError
        If a model of ``what_if_prices`` is not in the pool, or no latency is known to limit.
    """
    names = evidence.learned.table.model_names
    for model in what_if_prices:
        if model not in names:
            raise InputError(
                f"config key decision.what_if_prices: no model {model!r} in the pool; it has: "
                + ", ".join(names)
            )
    asked: list[tuple[str, float | str]] = [(BUDGET, amount) for amount in budgets]
    asked += [(ACCURACY, amount) for amount in quality_targets]
    if max_latency is not None:
        evidence = evidence.within(max_latency)
    measure = Yardstick.of(evidence, n_resamples, seed)
    rows = decided(evidence, measure, row, asked)
    if what_if_prices:
        factor = np.array([what_if_prices.get(name, 1.0) for name in names])
        repriced = evidence.repriced(factor)
        again = decided(repriced, Yardstick(measure.weights, *_compared(repriced)), row, asked)
        rows += [one | {"prices": WHAT_IF} for one in again]
    timed = evidence.learned.table.latency_s is not None
    return pd.DataFrame(rows, columns=_columns(names, timed, max_latency is not None))


def _columns(models: Sequence[str], timed: bool, limited: bool) -> list[str]:
    """The columns, which are there even if nothing was asked."""
    bounds = [f"{name}{bound}" for name in MEASURED for bound in ("", "_low", "_high")]
    first = ["prices", "asked", "amount", "limit", "router", "first", "second", "second_share"]
    needed = [*(f"labels_for_{100 * gain:.0f}" for gain in SETTLED), "labels_for_target"]
    shares = [f"{SHARE}{name}" for name in models]
    seconds = [f"{LATENCY}{bound}" for bound in ("", "_low", "_high")]
    latency = [*seconds, "latency_coverage"] if timed else []
    latency += ["max_latency", "latency_kept", "latency_feasible", "too_slow"] if limited else []
    told = [*bounds, *latency, "p_value", "kept", "labels", *needed]
    return [*first, "threshold", "feasible", *told, *shares]


def request(what: str, amount: float | str) -> Limit | Target:
    """What is asked for, as the config has it."""
    paired = isinstance(amount, str)
    number = float(amount[:-1]) / 100 if isinstance(amount, str) else float(amount)
    if what == ACCURACY:
        return Target(number, paired)
    return Limit(number if paired else number / PER_1000, paired)


def decided(
    evidence: Evidence,
    measure: Yardstick,
    row: str,
    asked: Sequence[tuple[str, float | str]],
) -> list[dict[str, Any]]:
    """Decide for each thing asked, and all budgets together: rows of ``decide`` at one price."""
    requests = [request(what, amount) for what, amount in asked]
    learned, best = evidence.learned, measure.best
    labels, names = learned.labels, learned.table.model_names
    advice = learned.advise(requests)
    runs, standing = [], []
    for trial in evidence.trials:
        own = trial.learned.advise(requests)
        runs.append(_runs(trial, requests, own, learned, advice))
        standing.append(_standing(learned, trial, requests, own, advice))
    sizes = len(labels.utility), len(best.cost)
    rows, gains = [], []
    for index, ((what, amount), one, chosen) in enumerate(
        zip(asked, requests, advice, strict=True)
    ):
        run, mixture, routed = (
            Run.joined([part[index][kind] for part in runs]) for kind in range(3)
        )
        # What is to be run is known, and so is what it costs, but for the queries.
        fixed = Run.joined([trial.mixed(chosen.mixture) for trial in evidence.trials])
        deployed = routed if chosen.routed else fixed
        costs = measure.expected(deployed)
        values = {name: own for name, own in measure.expected(run).items() if name not in DEPLOYED}
        values |= {name: costs[name] for name in DEPLOYED if name in costs}
        values |= {"gain": measure.mean(run.utility - mixture.utility)}
        values |= {"routed_gain": measure.mean(routed.utility - mixture.utility)}
        values |= {"mixture_accuracy": measure.mean(mixture.utility)}
        values |= {"mixture_cost_usd_per_1000": PER_1000 * measure.mean(fixed.cost)}
        gain = values["routed_gain"]
        beyond = _jackknife(pd.DataFrame([trial[index] for trial in standing]))
        if chosen.routed and isinstance(one, Limit):
            beyond |= _foreseen(learned, one, chosen, measure)
        if len(runs) > 1:
            values = _widened(values, beyond)
        settled: dict[str, float] = {}
        if isinstance(one, Limit):
            gains.append((values["routed_gain"], gain))
            limit = PER_1000 * labels.usd(one)
            paid = measure.mean(measure.reference.cost) if one.paired else 1.0
            held = PER_1000 * one.amount * paid
            keeps = costs["cost_usd_per_1000"] <= held * (1 + ROUNDING)
        else:
            limit = one.amount * (labels.mean_utility[labels.best] if one.paired else 1.0)
            held = one.amount * (measure.mean(best.utility) if one.paired else 1.0)
            keeps = reaches(measure.mean(run.utility), held)
            cost = float(chosen.mixture.mean(labels.mean_cost))
            if chosen.routed:
                cost = float(learned.spending.means[chosen.point, PAID])
            settled = {"labels_for_target": learned.spending.settling(one, CHEAPER * cost)}
        threshold = np.nan
        if chosen.point is not None:
            threshold = float(learned.spending.threshold[chosen.point])
        told: dict[str, Any] = {"prices": TODAY, "asked": what, "amount": str(amount)}
        told |= {"limit": limit, "router": row if chosen.routed else "", "threshold": threshold}
        told |= {"first": names[chosen.mixture.first], "second": names[chosen.mixture.second]}
        told |= {"second_share": chosen.mixture.share, "kept": keeps[1:].mean()}
        told |= {"feasible": chosen.routed or chosen.mixture.kept}
        told |= {"latency_coverage": np.isfinite(deployed.latency).sum() / len(deployed.latency)}
        if learned.max_latency is not None:
            told |= _within(learned, learned.max_latency, costs.get(LATENCY, np.full(2, np.nan)))
            told["feasible"] = told["feasible"] and told["latency_feasible"]
        traffic = np.nanmean(deployed.traffic, axis=0)
        told |= {f"{SHARE}{name}": share for name, share in zip(names, traffic, strict=True)}
        rows.append(told | settled | _settled(values, gain, *sizes))
    if gains:
        widened, gain = np.mean(gains, axis=0)
        told = {"prices": TODAY, "asked": ALL_BUDGETS, "amount": "", "router": row}
        rows.append(told | _settled({"routed_gain": widened}, gain, *sizes))
    return rows


def _within(learned: Learned, seconds: float, latency: np.ndarray) -> dict[str, Any]:
    """What is told of a limit in seconds, with the (1 + B,) mean latencies of what is advised."""
    _, too_slow = learned.labels.candidates(seconds, learned.table.model_names)
    return {
        "max_latency": seconds,
        "latency_kept": (latency[1:] <= seconds).mean(),
        "latency_feasible": bool(learned.labels.within(seconds).any()),
        "too_slow": too_slow,
    }


def _standing(
    learned: Learned,
    trial: Trial,
    requests: Sequence[Limit | Target],
    own: Sequence[Advice],
    advice: Sequence[Advice],
) -> list[dict[str, float]]:
    """How accurate on all labels is what a trial advises for each request, by ``MEASURED``."""
    labels, means = learned.labels, learned.spending.means
    best = labels.mean_utility[trial.learned.labels.best]
    found = []
    for one, chosen, final in zip(requests, own, advice, strict=True):
        mixture = routed = float(chosen.mixture.mean(labels.mean_utility))
        if isinstance(one, Target) and final.point is not None:
            routed = float(means[final.point, EARNED])
        elif chosen.point is not None:
            listed = trial.learned.spending.means[chosen.point, LISTED]
            routed = float(means[np.abs(means[:, LISTED] - listed).argmin(), EARNED])
        accuracy = routed if chosen.routed else mixture
        found.append(
            {
                "accuracy": accuracy,
                "gain_on_best": accuracy - best,
                "gain": accuracy - mixture,
                "routed_gain": routed - mixture,
                "mixture_accuracy": mixture,
            }
        )
    return found


def _jackknife(standing: pd.DataFrame) -> dict[str, float]:
    """Variance of an advice over labels, by name, from a row for each trial.

    The trials' labels overlap as those of a delete-a-group jackknife do, and all that is told was
    chosen by them.
    """
    n_trials = len(standing)
    squares = OVERLAP * ((standing - standing.mean()) ** 2).sum()
    return {
        str(name): float(square) for name, square in ((n_trials - 1) / n_trials * squares).items()
    }


def _foreseen(
    learned: Learned, limit: Limit, advice: Advice, measure: Yardstick
) -> dict[str, float]:
    """Variance of a router's cost because the labels do not surely tell how it is foreseen."""
    spread = learned.labels.spread
    error = float(learned.spending.reserve(limit)[advice.point]) / limit.margin
    # Of 1/n + 1/N the labels' part: the queries' is in the resamples.
    cost = error**2 / spread
    spent = float(np.nanmean(measure.reference.cost))
    saving = cost / spent**2 if spent > 0 else 0.0
    return {"cost_usd_per_1000": PER_1000**2 * cost, "saving": saving}


def _widened(
    values: Mapping[str, np.ndarray], beyond: Mapping[str, float]
) -> dict[str, np.ndarray]:
    """Widen (1 + B,) resamples, which vary with the queries, by a variance beyond theirs."""
    widened = {}
    for name, replicates in values.items():
        sampled = float(replicates[1:].var())
        share = beyond.get(name, 0.0) / sampled if sampled > 0 else 0.0
        factor = np.sqrt(1 + share) * (UNSTEADY if name in COSTS else 1.0)
        wider = replicates[0] + factor * (replicates - replicates[0])
        widened[name] = np.clip(wider, *RANGES.get(name, (-np.inf, np.inf)))
    return widened


def tried(trial: Trial, requests: Sequence[Limit | Target]) -> list[tuple[Run, Run, Run]]:
    """What is advised in a trial for each request, its mixture, and its router."""
    own = trial.learned.advise(requests)
    return _runs(trial, requests, own, trial.learned, own)


def _runs(
    trial: Trial,
    requests: Sequence[Limit | Target],
    own: Sequence[Advice],
    deployed: Learned,
    advice: Sequence[Advice],
) -> list[tuple[Run, Run, Run]]:
    """As ``tried``, of what a trial advises itself.

    For a target the router spends what it will once ``deployed`` as is advised there, by its
    models' list prices.
    """
    runs = []
    for one, chosen, final in zip(requests, own, advice, strict=True):
        mixture = routed = trial.mixed(chosen.mixture)
        told = (deployed, final) if isinstance(one, Target) else (trial.learned, chosen)
        parameter = trial.parameter(one, *told)
        if parameter is not None:
            routed = trial.routed(parameter)
        runs.append((routed if chosen.routed else mixture, mixture, routed))
    return runs


def _settled(
    values: Mapping[str, np.ndarray], gain: np.ndarray, n_labels: int, n_queries: int
) -> dict[str, float]:
    """All with bounds, the p-value of the router's gain, and how many labels would settle it.

    That goes by how its gain varies with the queries alone.
    """
    # The variance of one query's difference, as far as groups let it count as one.
    variance = n_queries * float(np.nanvar(gain[1:]))
    needed = {
        f"labels_for_{100 * least:.0f}": np.ceil(POWER * variance / least**2) for least in SETTLED
    }
    return (
        with_bounds(values)
        | {"labels": n_labels, "p_value": p_value(values["routed_gain"])}
        | needed
    )
