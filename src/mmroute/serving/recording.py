"""What a server writes down of its decisions, and what came of them.

Of a query the model that is called first is the decision, as it was chosen, perhaps at random,
among all that could be called. One that is asked because the first gave no answer was not chosen
so: its answer is an outcome of another model on the same query. So a propensity is that of a draw.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import compress
from random import Random, SystemRandom
from typing import Any
from uuid import uuid4

from prometheus_client import Counter
from pydantic import ValidationError

from mmroute.config import describe
from mmroute.decision.deployed import DeployedRouter
from mmroute.decision.drift import Seen
from mmroute.decision_log import Decision, DecisionLog, Outcome
from mmroute.errors import InputError, one_line, plain
from mmroute.images import joined
from mmroute.serving.deciding import Decided, Query
from mmroute.storage import digest_bytes

logger = logging.getLogger(__name__)

MOST_OPEN = 100_000
"""Last decisions of which outcomes are taken."""
MOST_WAITING = 64 * 10**6
"""Bytes of lines that wait for the disk, at most."""
LINE = 2000
"""Bytes that a line without a text is taken to have."""
PATIENCE = 1.0
"""Seconds that an answer waits for its line."""


@dataclass(frozen=True)
class Learning:
    """What is to be learnt from use.

    Attributes
    ----------
    log
        Where decisions are written; None: nowhere.
    digest
        Of the router's folder, see ``card.folder_digest``.
    random_share
        Probability of a query to go to a model that is drawn.
    random
        What draws.
    seen
        What the router was measured on; None: whether traffic is still like it is not told.
    """

    log: DecisionLog | None = None
    digest: str = ""
    random_share: float = 0.0
    random: Random = field(default_factory=SystemRandom)
    seen: Seen | None = None


class Unknown(Exception):
    """An outcome is of no decision that is known."""


class Contradiction(Exception):
    """An outcome is not what was told before."""


class NotWritten(Exception):
    """The log cannot be written."""


@dataclass(slots=True)
class _Open:
    """A decision that outcomes may come of; what is known of them by model and name."""

    called: str
    answered: str
    u_hat: float
    foreseen_usd: float
    as_exported: bool
    known: dict[tuple[str, str], float]


def _digests(images: list[bytes]) -> str:
    return joined(map(digest_bytes, images))


class Recorder:
    """Writes a decision log, in a thread, so that a slow disk holds up no decision.

    Parameters
    ----------
    learning
        Where to.
    router
        Whose decisions they are.
    failures
        Counts the lines that could not be written.
    came
        Is told utility, its prediction, cost and what was foreseen of the router's own choices.
    """

    def __init__(
        self,
        learning: Learning,
        router: DeployedRouter,
        failures: Counter,
        came: Callable[[float, float, float, float], None],
    ) -> None:
        self._log, self._came, self._failures = learning.log, came, failures
        self._models = router.models
        self._router: dict[str, Any] = {"router": learning.digest, "row": router.card.row}
        self._thread = ThreadPoolExecutor(1)
        self._open: dict[str, _Open] = {}
        self._waiting = self._n_lost = 0

    async def close(self) -> None:
        """End, once what waits is written."""
        await asyncio.to_thread(self._thread.shutdown)

    async def of(self, query: Query, decided: Decided) -> "Record | None":
        """The record of a query; None if there is no log."""
        if not self._log:
            return None
        facts = dict(query.asked_for) | {"dataset": query.dataset}
        if query.parameter is not None and not query.budgeted:
            facts["threshold"] = query.parameter
        if self._log.with_texts:
            facts["text"] = query.asked.text
            if query.asked.images:
                digests = await asyncio.to_thread(_digests, query.asked.images)
                facts["image_digest"] = digests
        return Record(self, facts | self._router, decided, query.as_exported)

    def open(self, name: str, one: _Open) -> None:
        """Take outcomes of a decision."""
        self._open[name] = one
        if len(self._open) > MOST_OPEN:
            del self._open[next(iter(self._open))]

    async def outcome(self, content: dict[str, Any]) -> None:
        """Write what came of a decision.

        Raises
        ------
        InputError, Unknown, Contradiction
            If it is no outcome, of no decision that is known, or not what was told before.
        NotWritten
            If the log cannot be written; the outcome may be told again.
        """
        try:
            told = Outcome.model_validate(content)
        except ValidationError as error:
            raise InputError(f"{describe(error, model=Outcome)}; correct it") from None
        one = self._open.get(told.id)
        if one is None:
            raise Unknown
        model = told.model or one.answered
        if model not in self._models:
            raise InputError(f"model: no model {model!r:.80} in the pool; leave it out")
        amounts = {(model, name): value for name, value in told.amounts.items()}
        for key, value in amounts.items():
            if one.known.get(key, value) != value:
                raise Contradiction(f"{key[1]}: was {one.known[key]:g} of {model}; leave it out")
        new = {key: value for key, value in amounts.items() if key not in one.known}
        if not new:
            return
        # At once, as another request may tell of the same meanwhile.
        one.known |= new
        entry = told.model_copy(update={"model": model})
        if not await asyncio.shield(self.put(lambda: entry)):
            for key in new:
                del one.known[key]
            raise NotWritten
        utility, cost = ((one.called, name) for name in ("utility", "cost_usd"))
        if one.as_exported and new.keys() & {utility, cost} and {utility, cost} <= one.known.keys():
            self._came(one.known[utility], one.u_hat, one.known[cost], one.foreseen_usd)

    def put(self, make: Callable[[], Decision | Outcome], size: int = LINE) -> asyncio.Future[bool]:
        """Write a line of some bytes, made in the thread; the future says whether it was."""
        loop = asyncio.get_running_loop()
        if self._waiting + size > MOST_WAITING:
            self._lost("too many wait for the disk")
            refused = loop.create_future()
            refused.set_result(False)
            return refused
        self._waiting += size
        future = loop.run_in_executor(self._thread, self._write, make)
        future.add_done_callback(lambda _: self._done(size))
        return future

    def _done(self, size: int) -> None:
        self._waiting -= size

    def _write(self, make: Callable[[], Decision | Outcome]) -> bool:
        assert self._log is not None
        try:
            self._log.write(make())
        except Exception as error:
            self._lost(one_line(error))
            return False
        if self._n_lost:
            logger.warning("the decision log is written again; %d lines are lost", self._n_lost)
            self._n_lost = 0
        return True

    def _lost(self, why: str) -> None:
        self._failures.inc()
        self._n_lost += 1
        if self._n_lost == 1:
            logger.error(
                "lines of the decision log are lost (%s); mmroute_log_failures counts them",
                plain(why),
            )


class Record:
    """What is written down of one query.

    Attributes
    ----------
    id
        Of the query, drawn here: one that a client gives might be in the log before.
    """

    def __init__(
        self, recorder: Recorder, facts: dict[str, Any], decided: Decided, as_exported: bool
    ) -> None:
        self.id = uuid4().hex
        self._recorder, self._facts, self._first = recorder, facts, decided
        self._as_exported = as_exported and decided.draw.is_own
        self._time, self._began = datetime.now(UTC), time.perf_counter()
        self._line: asyncio.Future[bool] | None = None

    def calls(self) -> None:
        """A model is called from now on."""
        self._began = time.perf_counter()

    def told(self, decided: Decided, answered: bool, usd: float | None = None) -> None:
        """Write that a call has ended; of one that gave no whole answer it tells no outcome."""
        seconds = time.perf_counter() - self._began
        paid = {} if usd is None else {"cost_usd": usd}
        self._write(decided, answered, paid | {"latency_s": seconds} if answered else {})

    def advised(self) -> None:
        """Write a decision that others act on."""
        self._write(self._first, True, {})

    async def written(self) -> None:
        """Wait until its last line is, but not for long."""
        if self._line:
            await asyncio.wait([self._line], timeout=PATIENCE)

    def _write(self, decided: Decided, answered: bool, known: dict[str, Any]) -> None:
        first, model = self._first.answer, decided.answer.model
        if decided is self._first:
            size = LINE + len(self._facts.get("text", ""))
            self._line = self._recorder.put(partial(self._decision, known), size)
        elif known:
            self._line = self._recorder.put(partial(Outcome, id=self.id, model=model, **known))
        if answered:
            own = _Open(
                first.model,
                model,
                first.utility[first.model],
                first.cost_usd[first.model],
                self._as_exported,
                {(model, name): value for name, value in known.items()},
            )
            self._recorder.open(self.id, own)

    def _decision(self, known: dict[str, Any]) -> Decision:
        draw, answer = self._first.draw, self._first.answer
        own = {"paid_usd" if name == "cost_usd" else name: known[name] for name in known}
        return Decision(
            id=self.id,
            time=self._time,
            model=answer.model,
            candidates=tuple(compress(answer.utility, draw.allowed)),
            utility=answer.utility,
            cost_usd=answer.cost_usd,
            foreseen_usd=max(answer.cost_usd[answer.model], 0.0),
            propensity=draw.propensity,
            **self._facts,
            **own,
        )
