"""Safe to turn on: what a router would have cost and answered on logged traffic.

Of each logged query the outcome of the model that was called is known, and seldom that of others.
``shadow`` lets the router choose for these queries, and tells what its choices would have earned:

- replayed where the outcome of its choice is known: a measurement, of these queries only;
- estimated for all of them where the log's policy was random in part, see
  ``evaluation.off_policy``;
- as it predicts itself, which is no measurement.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mmroute.decision.budget import Budget
from mmroute.decision.decide import PER_1000
from mmroute.decision.deployed import DeployedRouter, _paths
from mmroute.decision.drift import MOST_COMPARED, Calibration, Drift, Seen, look
from mmroute.decision_log import Log
from mmroute.errors import InputError, plain
from mmroute.evaluation.off_policy import (
    FEWEST_CARRYING,
    SMALLEST_SIZE,
    Estimate,
    Overlap,
    mean,
    queries_needed,
)
from mmroute.outcomes.groups import group_keys
from mmroute.predictions import Predictions
from mmroute.sources.image_files import digests

RANDOM_SHARES = (0.1, 0.5)
"""Of traffic, that are said to be needed."""
FOLDS = 5
_GROUPED = ("dataset", "group", "text", "image_digest")


@dataclass(frozen=True)
class Traffic:
    """N logged queries, and what a router of K models would have done.

    Attributes
    ----------
    models
        K names.
    called
        (N,) names of the models that were called.
    logged
        (N,) their indices; -1 for one that is not the router's.
    target
        (N,) indices of the router's choices.
    utility, cost_usd
        (N, K) what the router predicts.
    propensity
        (N,) of the called models; NaN where unknown.
    group
        (N,) numbers of the queries' groups, see ``groups_of``.
    as_exported
        (N,) whether the choice is by the exported threshold, among all models that there can be.
    kept
        Whether the router can keep its budget; None without one.
    """

    models: Sequence[str]
    called: Sequence[str]
    logged: np.ndarray
    target: np.ndarray
    utility: np.ndarray
    cost_usd: np.ndarray
    propensity: np.ndarray
    group: np.ndarray
    as_exported: np.ndarray
    kept: bool | None = None

    @classmethod
    def of(
        cls,
        router: DeployedRouter,
        log: Log,
        predictions: Predictions,
        queries: pd.DataFrame | None = None,
        *,
        budget: float | None = None,
        trade_off: float | None = None,
    ) -> "Traffic":
        """Let a router choose for logged queries, each among the models that it could call.

        A budget is kept as ``serve`` keeps it: the queries come one after the other in the order of
        the log, and what a choice has cost counts once the log knows it, else what was foreseen.

        Parameters
        ----------
        router
            As loaded.
        log
            N decisions.
        predictions
            The router's of them, see ``foreseen``.
        queries
            See ``queries_of``.
        budget, trade_off
            As for ``route``.

        Raises
        ------
        InputError
            If there is no decision, or one without a candidate that the router knows.
        """
        if not log.decisions:
            raise InputError("the log holds no decision; give one that does")
        models = router.models
        allowed = np.array(
            [np.isin(models, one.candidates or models) & router.allowed for one in log.decisions]
        )
        if not allowed.any(axis=1).all():
            one = log.decisions[int((~allowed.any(axis=1)).argmax())]
            raise InputError(
                f"decision {one.id!r:.80}: its candidates are no models of the router, "
                f"{', '.join(models):.500}; leave such decisions out"
            )
        threshold = router.threshold(budget, trade_off)
        decided = router.choose(predictions, threshold, allowed)
        possible = allowed if predictions.possible is None else allowed & predictions.possible
        every = router.allowed if predictions.possible is None else predictions.possible
        as_exported = (possible == (every & router.allowed)).all(axis=1)
        as_exported &= budget is None and trade_off is None
        if budget is not None:
            predictions = replace(predictions, possible=possible)
            decided = replace(decided, **_one_by_one(Budget(router, budget), predictions, log))
        column = {model: index for index, model in enumerate(models)}
        called = [one.model for one in log.decisions]
        return cls(
            models,
            called,
            np.array([column.get(model, -1) for model in called]),
            decided.choice,
            decided.utility,
            decided.cost_usd,
            np.array([one.propensity or np.nan for one in log.decisions]),
            groups_of(log, queries),
            as_exported,
            decided.kept,
        )

    def overlap(self, policy: np.ndarray, rows: np.ndarray) -> Overlap:
        """How far some of the queries can tell of a policy, by its (N,) models."""
        of_them = (self.logged, self.propensity, self.group)
        return Overlap.of(policy[rows], *(own[rows] for own in of_them))

    @cached_property
    def unit(self) -> str:
        """What tells something of its own: a query, or a group."""
        repeated = len(np.unique(self.group)) < len(self.group)
        return "groups of queries" if repeated else "queries"

    def estimating_propensities(self, seed: int = 0) -> "Traffic":
        """The same with propensities estimated from what the router predicts of each query.

        By multinomial logistic regression, each fifth of the queries by a fit to the others; right
        only if nothing else has decided which model was called.

        Raises
        ------
        InputError
            If a model was called less often than there are fits.
        """
        names, labels, counts = np.unique(self.called, return_inverse=True, return_counts=True)
        shares = np.ones((len(labels), 1))
        if labels.any():
            if (rarest := int(counts.min())) < FOLDS:
                raise InputError(
                    f"--estimate-propensities: model {names[counts.argmin()]!s:.80} was called in "
                    f"{rarest} of the decisions, and {FOLDS} are needed of each model; leave these "
                    "out, or log the propensities"
                )
            shares = cross_val_predict(
                make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
                np.hstack([self.utility, self.cost_usd]),
                labels,
                cv=StratifiedKFold(FOLDS, shuffle=True, random_state=seed),
                method="predict_proba",
            )
        own = shares[np.arange(len(labels)), labels]
        return replace(self, propensity=np.clip(own, 1 / len(labels), 1))


def _one_by_one(budget: Budget, predictions: Predictions, log: Log) -> dict[str, Any]:
    """What a budget decides for logged queries in their order, and whether it can be kept."""
    choice, kept = np.empty(len(log.decisions), int), True
    for row, one in enumerate(log.decisions):
        decided = budget.decide(predictions.take(np.array([row])))
        answer, choice[row] = decided[0], decided.choice[0]
        usd = log.outcomes.get((one.id, answer.model), {}).get("cost_usd")
        if usd is not None:
            budget.paid(answer, usd)
        kept = kept and bool(decided.kept)
    return {"choice": choice, "kept": kept}


def groups_of(log: Log, queries: pd.DataFrame | None) -> np.ndarray:
    """The (N,) numbers of the groups of logged queries, as of ``outcomes.groups``.

    Queries are of one group where the log says so, or where text and images are the same. One whose
    text is not known shares its content with none.

    Parameters
    ----------
    log
        N decisions.
    queries
        See ``queries_of``; None: the log alone tells.
    """
    decisions = log.decisions
    samples = pd.DataFrame(
        {name: [getattr(one, name) for one in decisions] for name in _GROUPED}, dtype=object
    )
    # No question begins like what stands for an unknown one.
    unknown = pd.Series([f"\0{one.id}" for one in decisions], dtype=object)
    samples["question"] = samples.pop("text").fillna(unknown)
    if queries is not None:
        shown = _samples_of(queries)
        samples["question"] = shown["question"]
        samples["image_digest"] = digests(shown["image"], Path()).astype(object)
    return pd.factorize(group_keys(samples))[0]


def tells_repeated(log: Log, queries: pd.DataFrame | None) -> bool:
    """Whether ``groups_of`` could know which queries belong together."""
    return queries is not None or any(one.text is not None or one.group for one in log.decisions)


def _samples_of(queries: pd.DataFrame) -> pd.DataFrame:
    """Queries as an outcome table has them: ``question`` and ``image``."""
    empty = pd.Series([None] * len(queries), queries.index, object)
    images = list(map(_paths, queries.get("image", empty)))
    return pd.DataFrame(
        {
            "question": queries.get("question", empty).fillna(""),
            "image": pd.Series(images, queries.index, object),
        }
    ).reset_index(drop=True)


def queries_of(log: Log, given: pd.DataFrame | None) -> pd.DataFrame | None:
    """The logged queries, as for ``route_all``; None where the log does not hold them all.

    Parameters
    ----------
    log
        N decisions.
    given
        Queries indexed by id, in place of the log's texts.

    Raises
    ------
    InputError
        If a decision is not among those that are given.
    """
    ids = pd.Index([one.id for one in log.decisions])
    if given is not None:
        missing = ids.difference(given.index)
        if len(missing):
            raise InputError(
                f"decision {missing[0]!r:.80} ({len(missing):,} of {len(ids):,}) is not among the "
                "queries; give them all"
            )
        return given.loc[ids]
    if any(one.text is None or one.image_digest for one in log.decisions):
        return None
    rows = [(one.text, one.dataset) for one in log.decisions]
    return pd.DataFrame(rows, ids, ["question", "dataset"], dtype=object)


def foreseen(
    router: DeployedRouter, digest: str, log: Log, queries: pd.DataFrame | None, threads: int = 1
) -> Predictions:
    """What a router predicts of logged queries: as it was logged, or anew from the queries.

    Parameters
    ----------
    router, digest
        As loaded, and ``card.folder_digest`` of its folder.
    log
        N decisions.
    queries
        See ``queries_of``.
    threads
        For images.

    Raises
    ------
    InputError
        If the log holds neither this router's predictions nor the queries.
    """
    decisions, told = log.decisions, set(router.models)
    if router.goes_by_predictions and all(
        one.router == digest and told <= one.utility.keys() & one.cost_usd.keys()
        for one in decisions
    ):
        u_hat, cost = (
            np.array([[getattr(one, name)[model] for model in router.models] for one in decisions])
            for name in ("utility", "cost_usd")
        )
        ids = pd.Series([one.id for one in decisions])
        return Predictions(ids, u_hat[None], cost[None] / router.card.unit_usd)
    if queries is None:
        raise InputError(
            "the log holds neither this router's predictions of all queries nor their texts, or "
            "there are images; give the queries by --queries, a JSON object a line with id, text "
            "and image"
        )
    return router.foresee(queries, threads)


def drifted(
    router: DeployedRouter,
    seen: Seen | None,
    traffic: Traffic,
    log: Log,
    queries: pd.DataFrame | None,
    threads: int = 1,
) -> Drift | None:
    """Hold logged traffic against what the router was trained on.

    Parameters
    ----------
    router, seen
        As loaded, and what ``read_seen`` has of its folder.
    traffic, log
        The router's choices for the log's queries.
    queries
        See ``queries_of``; ``MOST_COMPARED`` of them are looked at, each of another group.
    threads
        For images.

    Returns
    -------
    None where the folder does not tell what was seen. Errors and costs are of choices by the
    exported threshold among all models, as on the labels.
    """
    if seen is None:
        return None
    vectors = None
    if queries is not None:
        alone = np.flatnonzero(~pd.Series(traffic.group).duplicated())
        rows = np.random.default_rng(0).permutation(alone)[:MOST_COMPARED]
        samples = _samples_of(queries.iloc[rows])
        vectors = seen.project(router.features(samples, threads), samples)
    rows = np.flatnonzero((traffic.target == traffic.logged) & traffic.as_exported)
    calls = [log.paid(log.decisions[row]) for row in rows]
    paid, utility = (
        np.array([one.get(name, np.nan) for one in calls], float)
        for name in ("cost_usd", "utility")
    )
    cells = rows, traffic.target[rows]
    told = utility, traffic.utility[cells], paid, traffic.cost_usd[cells]
    calibration = Calibration.of(*told, traffic.group[rows])
    return look(seen, vectors, calibration)


@dataclass(frozen=True)
class Told:
    """What logged traffic tells of one kind of outcome.

    Attributes
    ----------
    rows
        What, its value and the bounds of its 95 % interval; NaN where unknown.
    n_queries
        Those whose outcome is known.
    overlap
        Of the router's choices with the log.
    refusal
        Why nothing is estimated, and what would change that; empty if it is.
    """

    rows: list[tuple[str, float, float, float]]
    n_queries: int
    overlap: Overlap
    refusal: str


def tell(
    traffic: Traffic, paid: np.ndarray, own: np.ndarray, predicted: np.ndarray, best: str | None
) -> Told:
    """Tell what a router's choices would have earned, or cost.

    Parameters
    ----------
    traffic
        N queries.
    paid
        (N,) outcomes of the models that were called, NaN where unknown.
    own
        (N,) outcomes of the router's choices, likewise.
    predicted
        (N, K) what the router predicts.
    best
        The best single model of the labels, to compare with; None: there is none.
    """
    foreseen = predicted[np.arange(len(paid)), traffic.target]
    known = np.isfinite(paid)
    logged = mean(paid[known], traffic.group[known]) if known.any() else None
    rows = [_row("as logged", logged)] if logged else []
    if (told := np.isfinite(own)).any():
        part = "all queries" if told.all() else f"the {told.sum():,} queries that tell it"
        rows.append(_row(f"the router, replayed on {part}", mean(own[told], traffic.group[told])))
    guess = float(foreseen.mean())
    rows.append(("the router, as it predicts: no measurement", guess, np.nan, np.nan))
    overlap = traffic.overlap(traffic.target, known)
    refusal = _refusal(traffic, known, overlap)
    if logged and not refusal:
        policies = {"": traffic.target}
        if best and best in traffic.models:
            policies[best] = np.full(len(paid), traffic.models.index(best))
        for name, estimates in _estimates(traffic, paid, predicted, known, policies):
            router = estimates.pop("")
            rows.append(_row(f"the router, {name}", router))
            rows.append(_row("  less what was logged", router - logged))
            rows += [
                _row(f"  less {model} alone", router - other) for model, other in estimates.items()
            ]
    return Told(rows, int(known.sum()), overlap, refusal)


def _row(title: str, estimate: Estimate) -> tuple[str, float, float, float]:
    low, high = estimate.interval
    return title, estimate.value, low, high


def _estimates(
    traffic: Traffic,
    paid: np.ndarray,
    predicted: np.ndarray,
    known: np.ndarray,
    policies: dict[str, np.ndarray],
) -> Iterator[tuple[str, dict[str, Estimate]]]:
    """Yield each kind of estimate, for each policy that the log can tell of."""
    rows = np.flatnonzero(known)
    overlaps = {name: traffic.overlap(policy, rows) for name, policy in policies.items()}
    overlaps = {name: overlap for name, overlap in overlaps.items() if overlap.is_enough}
    # What is not the router's weighs nothing.
    of_logged = predicted[rows, traffic.logged[rows]]
    yield "SNIPS", {name: overlap.snips(paid[rows]) for name, overlap in overlaps.items()}
    yield (
        "doubly robust",
        {
            name: overlap.doubly_robust(
                paid[rows], predicted[rows, policies[name][rows]], of_logged
            )
            for name, overlap in overlaps.items()
        },
    )


def _refusal(traffic: Traffic, known: np.ndarray, overlap: Overlap) -> str:
    """Why nothing is estimated, and what would change that; empty if something is."""
    unknown = int(np.isnan(traffic.propensity[known]).sum())
    if not known.any():
        return "no outcome of a call is known; give some by --outcomes"
    if unknown:
        return (
            f"{unknown:,} of {known.sum():,} decisions have no propensity; log the probability of "
            "the model that was called, 1 where nothing was random, or let it be estimated by "
            "--estimate-propensities, if nothing but the query decided"
        )
    if overlap.is_enough:
        return ""
    if overlap.is_inflated:
        return (
            f"weights are {overlap.weight.mean():.2f} on average, where 1 is right: propensities "
            "are too small, or outcomes are told of some models rather than of others; log the "
            "probability with which the model was called, and outcomes whatever the model"
        )
    if overlap.denied:
        why = (
            f"for {overlap.denied:.1%} of the queries another model was sure to be called, so that "
            "nothing tells what the router's would have answered"
        )
    elif overlap.share < 1:
        why = (
            f"at most {overlap.share:.1%} of the queries could go to the router's model at all, by "
            "the propensities"
        )
    else:
        why = (
            f"too little overlaps: an effective sample size of {overlap.effective_size:.0f}, where "
            f"{SMALLEST_SIZE} are needed, and {overlap.carrying:.0f} {traffic.unit} carry the "
            "weights, "
            f"where {FEWEST_CARRYING} are"
        )
    differing = float((traffic.target != traffic.logged)[known].mean())
    needed = " or ".join(
        f"{share:.0%} of {queries_needed(len(traffic.models), share, differing):,} {traffic.unit}"
        for share in RANDOM_SHARES
    )
    return (
        f"{why}. Send a share of the traffic to a random one of the {len(traffic.models)} models, "
        f"and log its propensity: {needed} would be enough"
    )


def shadow(traffic: Traffic, log: Log, best: str | None = None) -> dict[str, Told]:
    """Tell what a router would have earned and cost on logged traffic.

    Parameters
    ----------
    traffic
        The log's queries, and the router's choices.
    log
        N decisions and their outcomes.
    best
        As for ``tell``; compared with only if it was a candidate throughout.

    Returns
    -------
    By ``accuracy`` and ``USD per 1,000 queries``.
    """
    if not all(best in (one.candidates or (best,)) for one in log.decisions):
        best = None
    told = {}
    for title, name, scale, predicted in (
        ("accuracy", "utility", 1, traffic.utility),
        ("USD per 1,000 queries", "cost_usd", PER_1000, traffic.cost_usd),
    ):
        paid = scale * np.array([log.paid(one).get(name, np.nan) for one in log.decisions])
        own = scale * log.outcome(name, traffic.models)[np.arange(len(paid)), traffic.target]
        told[title] = tell(traffic, paid, own, scale * predicted, best)
    return told


def in_words(traffic: Traffic, log: Log, told: dict[str, Told]) -> str:
    """What ``shadow`` told, for a terminal."""
    times = [one.time for one in log.decisions]
    chosen = Counter(traffic.models[index] for index in traffic.target)
    lines = [
        f"{len(times):,} decisions from {min(times):%Y-%m-%d} to {max(times):%Y-%m-%d}, in "
        f"{(n_groups := len(np.unique(traffic.group))):,} group{'s' * (n_groups > 1)}",
        f"called: {_shares(Counter(traffic.called))}",
        f"the router would have called: {_shares(chosen)}; another model than was called for "
        f"{(traffic.target != traffic.logged).mean():.1%}",
    ]
    for title, one in told.items():
        lines += ["", f"{title}, known of {one.n_queries:,} calls"]
        width = max(len(name) for name, *_ in one.rows)
        lines += [f"  {name:<{width}}  {_shown(title, *numbers)}" for name, *numbers in one.rows]
        if one.refusal:
            lines.append(f"  not told for all queries: {one.refusal}")
        else:
            lines.append(
                f"  effective sample size {one.overlap.effective_size:,.0f}; "
                f"{one.overlap.carrying:,.0f} {traffic.unit} carry the weights"
            )
    return plain("\n".join(lines))


def _shares(counts: Counter[str]) -> str:
    total = sum(counts.values())
    return ", ".join(f"{name} {count / total:.1%}" for name, count in counts.most_common())


def _shown(title: str, value: float, low: float, high: float) -> str:
    def one(number: float) -> str:
        return f"{number:.1%}" if title == "accuracy" else f"{number:.4g}"

    return one(value) if np.isnan(low) else f"{one(value)}  ({one(low)} to {one(high)})"
