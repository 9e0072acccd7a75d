"""A limit that a stream of queries keeps: what was spent decides how far to go."""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mmroute.decision.deployed import AnImage, Decisions, DeployedRouter, Routed
from mmroute.errors import InputError
from mmroute.predictions import Predictions

WINDOW = 500
"""Last queries whose predictions tell what a threshold costs."""
FEWEST = 50
"""Queries before that is told by them, and not by the labels."""
HORIZON = 50
"""Queries over which what was overspent, or left, is made up for."""
BEFORE = 10
"""Queries' worth of calls that cost what was foreseen, before any has told: few tell little."""
ADVANCE = 20
"""Queries' worth of the limit that may be spent in advance, and never more."""
Draw = Callable[[int, np.ndarray], int]
"""Takes a model in place of the one that was chosen, among the (K,) mask of those that may be."""


class Budget:
    """Routes queries one by one so that their mean cost keeps a limit.

    It does so whatever the queries are, if ``paid`` tells what each call has cost. Without, it goes
    by foreseen costs, which are right on average for queries like the labelled ones.

    For each query the threshold is chosen anew: as far as the last queries' predictions allow for
    the limit, corrected by what the queries so far have cost. What calls have cost, beside what was
    foreseen for them, tells what others will. No choice is made that would, as foreseen, spend more
    than the limit allows for ``ADVANCE`` queries more, unless it costs no more than the limit, and
    so brings the mean nearer to it. Threads may share it: they are decided for one after the other.

    Parameters
    ----------
    router
        As loaded; no mixture.
    usd_per_1000
        The limit, in USD per 1,000 queries.

    Attributes
    ----------
    usd_per_1000
        As given.
    n_queries
        How many were routed.
    kept
        Whether it can: False where every model would overspend; the cheapest is then chosen.

    Raises
    ------
    InputError
        If there is no router, or if no threshold surely keeps the limit on the labels.
    """

    def __init__(self, router: DeployedRouter, usd_per_1000: float) -> None:
        if router.card.router is None:
            raise InputError(
                f"Budget: {router.card.row!r} was exported without a router, so that its cost is "
                "fixed; export a router"
            )
        self.usd_per_1000 = usd_per_1000
        self.n_queries, self.kept = 0, True
        self._n_paid, self._paid_usd, self._foreseen_usd = 0, 0.0, np.zeros(2)
        self._told_usd, self._told_foreseen_usd = 0.0, np.zeros(2)
        self._router, self._deciding = router, threading.Lock()
        self._limit = router.limit(usd_per_1000)
        self._reserve_usd = self._limit.reserve_usd * router.error(router.card.n_labels)
        self._ratios = np.array([self._limit.listed_ratio, self._limit.predicted_ratio])
        self._last: deque[Predictions] = deque(maxlen=WINDOW)
        self._foresight = router.foresight_on_labels(self._limit)

    def route(
        self,
        text: str | None = None,
        image: AnImage | Sequence[AnImage] | None = None,
        *,
        messages: Sequence[Mapping[str, Any]] | None = None,
        dataset: str = "",
        models: Sequence[str] | None = None,
        images_from_network: bool = False,
    ) -> Routed:
        """Choose the model for the next query; arguments and errors as for the router's."""
        foreseen = self._router.foresee_one(
            text,
            image,
            dataset,
            messages=messages,
            models=models,
            images_from_network=images_from_network,
        )
        return self.decide(foreseen)[0]

    def decide(self, predictions: Predictions, draw: Draw | None = None) -> Decisions:
        """Choose the models for the next queries, one after the other, once they were foreseen.

        ``draw`` may take others that keep the limit. ``Decisions.kept`` says whether all of them
        could keep it.
        """
        decisions, kept = self._router.choose(predictions, 0.0), True
        with self._deciding:
            for row in range(len(decisions)):
                decisions.choice[row] = self._next(predictions.take(np.array([row])), draw)
                kept = kept and self.kept
        return replace(decisions, kept=kept)

    def paid(self, answer: Routed, usd: float) -> None:
        """Say what an answer's model has cost, in place of what was foreseen.

        Raises
        ------
        InputError
            If it is no cost.
        """
        with self._deciding:
            self._told_foreseen_usd += self._settle(answer, usd)
            self._told_usd += usd
            self._n_paid += 1

    def withdraw(self, answer: Routed, usd: float | None = 0.0) -> None:
        """Say that an answer's model gave none: the query does not count, whatever it has cost.

        Where that is None, it is not known, and what was foreseen stays.

        Raises
        ------
        InputError
            If that is no cost.
        """
        with self._deciding:
            if usd is not None:
                self._settle(answer, usd)
            self.n_queries -= 1

    def _settle(self, answer: Routed, usd: float) -> np.ndarray:
        """Let a cost take the place of what was foreseen, and return that."""
        if not 0 <= usd < np.inf:
            raise InputError(f"paid: {usd} is no cost in USD; give a number of at least 0")
        model = self._router.models.index(answer.model)
        foreseen = self._foreseen(model, answer.cost_usd[answer.model])
        self._foreseen_usd -= foreseen
        self._paid_usd += usd
        return foreseen

    @property
    def spent_usd(self) -> float:
        """What the queries have cost: where ``paid`` did not say it, what was foreseen."""
        return self._paid_usd + float((self._told_ratios * self._foreseen_usd).max())

    @property
    def _told_ratios(self) -> np.ndarray:
        """(2,) paid cost of a call, per cost foreseen by the list and by the router."""
        before = BEFORE * self._limit.usd
        return (before + self._told_usd) / (before + self._told_foreseen_usd)

    def _foreseen(self, model: int, predicted_usd: float) -> np.ndarray:
        """(2,) a call's cost by the list and by the router."""
        listed = self._router.card.models[model].cost_usd
        return self._ratios * [listed, max(predicted_usd, 0.0)]

    def _next(self, predictions: Predictions, draw: Draw | None) -> int:
        self._last.append(predictions)
        self.n_queries += 1
        # Anew as the window moves on, not for each query.
        if self.n_queries >= FEWEST and self.n_queries % (FEWEST // 2) == 0:
            self._foresight = self._router.foresight(Predictions.stacked(self._last))
        before = self.n_queries - 1
        # What is only foreseen may be wrong as far as the labels can tell.
        unsure = 1 - self._n_paid / max(before, 1)
        limit = self._limit.usd - unsure * self._reserve_usd
        target = limit + (limit * before - self.spent_usd) / HORIZON
        told = self._told_ratios
        ratios = self._ratios * told
        parameter = self._foresight.keeping(target, ratios, 0.0)
        if parameter is None:
            parameter = self._foresight.cheapest(ratios)
        predicted = self._router.choose(predictions, parameter).cost_usd[0]
        foreseen = np.array([self._foreseen(*one) for one in enumerate(predicted)])
        possible = self._router.allowed
        if predictions.possible is not None:
            possible = possible & predictions.possible[0]
        foreseen[~possible] = np.inf
        room = self._limit.usd * (self.n_queries + ADVANCE)
        allowed = (told * (foreseen + self._foreseen_usd)).max(axis=1) + self._paid_usd <= room
        allowed |= (told * foreseen).max(axis=1) <= self._limit.usd
        self.kept = bool(allowed.any())
        if not self.kept:
            # Prices may fall again, and one call may have been an exception: it fades.
            self._told_usd *= 1 - 1 / WINDOW
            self._told_foreseen_usd *= 1 - 1 / WINDOW
            allowed[foreseen.max(axis=1).argmin()] = True
        model = int(self._router.choose(predictions, parameter, allowed[None]).choice[0])
        if draw:
            model = draw(model, allowed)
        self._foreseen_usd += foreseen[model]
        return model
