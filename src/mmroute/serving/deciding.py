"""Decisions for queries that come at any time: those that wait are decided together."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import accumulate
from random import Random, SystemRandom

import numpy as np
import pandas as pd

from mmroute.decision.budget import Budget
from mmroute.decision.deployed import LONGEST_TEXT, Decisions, DeployedRouter, Routed
from mmroute.decision.messages import Asked
from mmroute.errors import InputError
from mmroute.predictions import Predictions
from mmroute.serving.exploring import Draw

AT_ONCE = 32
"""Queries that are decided together at most, of no more text than one may have."""
MOST_WAITING = 1000


@dataclass(frozen=True)
class Query:
    """What is to be decided.

    Attributes
    ----------
    asked
        Its text and images.
    models
        Names of the models that can be asked.
    parameter
        Of the router's policy.
    budgeted
        Whether the budget decides, and counts it.
    dataset
        For a router that goes by it.
    asked_for
        What limits were given, as a decision log has them.
    as_exported
        Whether it is decided as was measured: by the exported threshold among all models.
    """

    asked: Asked
    models: tuple[str, ...]
    parameter: float | None
    budgeted: bool
    dataset: str = ""
    asked_for: Mapping[str, float] = field(default_factory=dict)
    as_exported: bool = False


@dataclass(frozen=True)
class Decided:
    """An answer.

    Attributes
    ----------
    answer
        The model to ask, and what is predicted.
    foreseen, row
        By what it was chosen: a row of predictions.
    kept
        Whether the budget can be kept with it; None where none counts it.
    draw
        Among which models it was chosen, and how surely.
    """

    answer: Routed
    foreseen: Predictions
    row: int
    kept: bool | None
    draw: Draw


class Busy(Exception):
    """More queries wait than can be decided soon."""


class Deciding:
    """Decides for queries as they come, as ``DeployedRouter.route`` does for each.

    Texts wait for no image: each have a thread of their own. A random share goes to a model that is
    drawn among those that the budget allows for.
    """

    def __init__(
        self,
        router: DeployedRouter,
        budget: Budget | None,
        random_share: float = 0.0,
        random: Random | None = None,
    ) -> None:
        self._router, self._budget = router, budget
        self._random_share, self._random = random_share, random or SystemRandom()
        self._texts, self._images = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        self._waiting: list[tuple[Query, asyncio.Future[Decided]]] = []
        self._task: asyncio.Task[None] | None = None
        self._n_pictured = 0

    def close(self) -> None:
        """End the threads."""
        for pool in (self._texts, self._images):
            pool.shutdown(cancel_futures=True)

    async def decide(self, query: Query) -> Decided:
        """Decide for one query; raises InputError as ``route``, and Busy."""
        if len(self._waiting) + self._n_pictured >= MOST_WAITING:
            raise Busy
        loop = asyncio.get_running_loop()
        if query.asked.images:
            self._n_pictured += 1
            try:
                return await loop.run_in_executor(self._images, self._alone, query)
            finally:
                self._n_pictured -= 1
        future: asyncio.Future[Decided] = loop.create_future()
        self._waiting.append((query, future))
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._work())
        return await future

    async def instead(self, query: Query, decided: Decided) -> Decided:
        """Decide once more for a query, of whose models some gave no answer; nothing is drawn."""
        loop = asyncio.get_running_loop()
        told = decided.foreseen, decided.row, 0.0
        return await loop.run_in_executor(self._texts, self._chosen, query, *told)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            lengths = [len(query.asked.text[:LONGEST_TEXT]) for query, _ in self._waiting[:AT_ONCE]]
            count = max(1, sum(total <= LONGEST_TEXT for total in accumulate(lengths)))
            batch, self._waiting = self._waiting[:count], self._waiting[count:]
            queries = [query for query, future in batch if not future.done()]
            futures = [future for _, future in batch if not future.done()]
            outcomes = await loop.run_in_executor(self._texts, self._together, queries)
            for future, outcome in zip(futures, outcomes, strict=True):
                if future.done():
                    continue
                if isinstance(outcome, Decided):
                    future.set_result(outcome)
                else:
                    future.set_exception(outcome)

    def _together(self, queries: Sequence[Query]) -> list[Decided | Exception]:
        """Decide for texts; those that no budget counts and that have one parameter at once."""
        if not queries:
            return []
        try:
            columns = {
                "question": [query.asked.text for query in queries],
                "dataset": [query.dataset for query in queries],
            }
            foreseen = self._router.foresee(pd.DataFrame(columns, dtype=object))
            possible, share = np.array([*map(self._possible, queries)]), self._random_share
            foreseen = replace(foreseen, possible=possible)
            rows: dict[float | None, list[int]] = defaultdict(list)
            for row, query in enumerate(queries):
                if not query.budgeted:
                    rows[query.parameter].append(row)
            decided: dict[int, Decided | Exception] = {}
            for parameter, own in rows.items():
                decisions = self._router.choose(foreseen.take(np.array(own)), parameter)
                for index, row in enumerate(own):
                    draw = self._draw(decisions, index, possible[row], share)
                    decided[row] = Decided(decisions[index], foreseen, row, None, draw)
        except Exception as error:
            if len(queries) == 1:
                return [error]
            # One of them is at fault, and shall not be the others'.
            return [self._together([query])[0] for query in queries]
        for row, query in enumerate(queries):
            if query.budgeted:
                try:
                    decided[row] = self._chosen(query, foreseen, row, share)
                except Exception as error:
                    decided[row] = error
        return [decided[row] for row in range(len(queries))]

    def _alone(self, query: Query) -> Decided:
        asked = query.asked
        foreseen = self._router.foresee_one(asked.text, asked.images, query.dataset)
        return self._chosen(query, foreseen, 0, self._random_share)

    def _chosen(self, query: Query, foreseen: Predictions, row: int, share: float) -> Decided:
        own = foreseen.take(np.array([row]))
        possible = self._possible(query)
        own = replace(own, possible=possible[None])
        if query.budgeted and self._budget is not None:
            draw = Draw(share, self._random)
            decisions = self._budget.decide(own, draw)
        else:
            decisions = self._router.choose(own, query.parameter)
            draw = self._draw(decisions, 0, possible, share)
        return Decided(decisions[0], own, 0, decisions.kept, draw)

    def _draw(self, decisions: Decisions, index: int, possible: np.ndarray, share: float) -> Draw:
        """Draw for one of some decisions, and take what was drawn."""
        draw = Draw(share, self._random)
        chosen, allowed = int(decisions.choice[index]), self._router.allowed & possible
        decisions.choice[index] = draw(chosen, allowed)
        return draw

    def _possible(self, query: Query) -> np.ndarray:
        """(K,) mask of the models that can be asked."""
        return np.array([name in query.models for name in self._router.models])


def candidates(
    pool: Sequence[str], models: Sequence[str] | None, blind: frozenset[str], pictured: bool
) -> tuple[str, ...]:
    """The names among ``pool`` that are asked for and, where there is an image, see.

    Raises InputError if a name is none of the pool, or if there is none left.
    """
    if models is not None:
        if not isinstance(models, list) or not all(isinstance(name, str) for name in models):
            raise InputError(f"models: {models!r:.80} is no list of names; give one")
        if not models:
            raise InputError("models: is empty; name one, or leave it out")
        if unknown := [name for name in models if name not in pool]:
            raise InputError(
                f"models: no model {unknown[0]!r:.80} here; there are: {', '.join(pool)}"
            )
    named = [name for name in pool if models is None or name in models]
    left = tuple(name for name in named if not (pictured and name in blind))
    if not left:
        raise InputError(
            f"models: none of {', '.join(named) or 'none':.200} takes images; give one that does"
        )
    return left
