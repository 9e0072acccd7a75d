"""The server: ``POST /route`` decides, ``POST /v1/chat/completions`` decides and forwards."""

import asyncio
import io
import json
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from typing import Any, NoReturn, TypeVar
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from PIL import Image
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from mmroute.decision.budget import Budget
from mmroute.decision.deployed import DeployedRouter
from mmroute.decision.messages import query_of
from mmroute.errors import InputError, is_utf8
from mmroute.images import FORMATS, quiet_decoding
from mmroute.serving.deciding import Busy, Decided, Deciding, Query, candidates
from mmroute.serving.recording import (
    Contradiction,
    Learning,
    NotWritten,
    Record,
    Recorder,
    Unknown,
)
from mmroute.serving.upstreams import DONE, NoAnswer, Refused, Upstreams, Usage
from mmroute.serving.watching import Watch

logger = logging.getLogger(__name__)

AUTO = "auto"
"""The model that a request names to have one chosen."""
OPTIONS = "mmroute"
"""Key of a request with what is for the router; it is not forwarded."""
_Result = TypeVar("_Result")
_KNOWN = {"models", "budget", "trade_off", "trade_off_usd", "dataset"}
LARGE, MOST_HELD = 10**6, 64 * 10**6
"""Bytes of a request that there is always room for, and of what is beyond in all requests."""
QUICK = 50_000
"""Bytes that are parsed at once; more in another thread."""
MOST_VALUES, DEEPEST = 200_000, 100
"""Of a request's JSON."""
LONGEST_NAME = 200
"""Characters of a data set's name."""
MOST_PIXELS = 30 * 10**6
"""Of all images of a request together."""
MOST_DECODED, START_OF_SCAN = 100 * MOST_PIXELS, b"\xff\xda"
"""Of an image, each as often as its file goes over it, as a JPEG may without end; and how."""


@dataclass(frozen=True)
class Settings:
    """What requests may take.

    Attributes
    ----------
    largest
        Bytes of a request.
    seconds
        That a request may take to arrive.
    network
        Whether images are fetched that messages name by their URLs.
    """

    largest: int = 32 * 10**6
    seconds: float = 30.0
    network: bool = False


class Fault(Exception):
    """What a request is answered with instead."""

    def __init__(self, status: int, message: str, code: str) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code

    @property
    def body(self) -> dict[str, Any]:
        """As OpenAI's API has it."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        return {"error": {"message": self.message, "type": kind, "code": self.code}}


class _Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own = self.registry
        of_requests, of_calls = ["path", "status"], ["model", "outcome"]
        self.requests = Counter("mmroute_requests", "Requests", of_requests, registry=own)
        self.decisions = Counter("mmroute_decisions", "Models chosen", ["model"], registry=own)
        self.calls = Counter("mmroute_calls", "Calls of models", of_calls, registry=own)
        self.seconds = Histogram(
            "mmroute_decision_seconds",
            "Time to decide, with the wait",
            buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5),
            registry=own,
        )
        self.spent = Gauge("mmroute_spent_usd", "What was spent of the budget", registry=own)
        self.log_failures = Counter(
            "mmroute_log_failures", "Lines of the decision log that are lost", registry=own
        )
        self.drift = Gauge(
            "mmroute_drift", "1: two looks in a row found drift", ["of"], registry=own
        )


class Server:
    """A router in use.

    Parameters
    ----------
    router
        As loaded.
    upstreams
        Where its models answer; None: it only decides.
    budget
        What completions keep; None: no limit.
    settings
        What requests may take.
    learning
        What is to be learnt from use.
    """

    def __init__(
        self,
        router: DeployedRouter,
        upstreams: Upstreams | None = None,
        budget: Budget | None = None,
        settings: Settings | None = None,
        learning: Learning | None = None,
    ) -> None:
        self._router, self._upstreams, self._budget = router, upstreams, budget
        self._settings = settings or Settings()
        learning = learning or Learning()
        self._random_share = learning.random_share
        self._deciding = Deciding(router, budget, learning.random_share, learning.random)
        self._metrics = _Metrics()
        self._held, self._parsing = 0, asyncio.Semaphore(1)
        self._watch = Watch(learning.seen, self._metrics.drift)
        router.watch = self._watch.saw
        failures = self._metrics.log_failures
        self._recorder = Recorder(learning, router, failures, self._watch.came)
        self._models = {model.model: model for model in router.card.models}
        if budget is not None:
            self._metrics.spent.set_function(lambda: budget.spent_usd)

    def app(self) -> FastAPI:
        """The application, whose documentation pages are off, as they load code from elsewhere."""

        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            watching = asyncio.create_task(self._watch.run())
            yield
            watching.cancel()
            self._deciding.close()
            if self._upstreams:
                await self._upstreams.close()
            await self._recorder.close()

        app = FastAPI(
            lifespan=lifespan,
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            # It would lead to whatever host the request names.
            redirect_slashes=False,
        )
        app.add_api_route("/route", self._answering(self._route), methods=["POST"])
        completions = self._answering(self._complete)
        app.add_api_route("/v1/chat/completions", completions, methods=["POST"])
        app.add_api_route("/outcome", self._answering(self._outcome), methods=["POST"])
        app.add_api_route("/drift", self._drift, methods=["GET"])
        app.add_api_route("/v1/models", self._list, methods=["GET"])
        app.add_api_route("/health", self._health, methods=["GET"])
        app.add_api_route("/metrics", self._tell_metrics, methods=["GET"])
        return app

    async def _health(self) -> dict[str, Any]:
        return {"status": "ok", "router": self._router.card.row, "models": len(self._pool)}

    async def _list(self) -> dict[str, Any]:
        names = [AUTO, *(self._pool if self._upstreams else [])]
        models = [{"id": name, "object": "model", "owned_by": "mmroute"} for name in names]
        return {"object": "list", "data": models}

    async def _drift(self) -> dict[str, Any]:
        return self._watch.tell()

    async def _outcome(self, body: dict[str, Any], _: bool) -> Response:
        try:
            await self._recorder.outcome(body)
        except Unknown:
            raise Fault(
                404,
                "id: of none of the last decisions that are logged here; write it to a file of "
                "outcomes",
                "no_decision",
            ) from None
        except Contradiction as error:
            raise Fault(409, str(error), "contradiction") from None
        except NotWritten:
            raise Fault(503, "the log cannot be written; tell it again later", "log") from None
        return JSONResponse({"id": body["id"]})

    async def _tell_metrics(self) -> Response:
        return Response(generate_latest(self._metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @property
    def _pool(self) -> list[str]:
        """The models that there are: those that have an endpoint, where any has."""
        names = [name for name in self._models if name not in self._router.card.left_out]
        return [name for name in names if name in self._upstreams.of] if self._upstreams else names

    @property
    def _blind(self) -> frozenset[str]:
        own = self._upstreams.of.items() if self._upstreams else ()
        return frozenset(self._router.card.blind) | {
            name for name, upstream in own if not upstream.vision
        }

    def _answering(self, handle: Any) -> Any:
        """What reads a request, answers it by ``handle``, and says what is wrong with it."""

        async def answer(request: Request) -> Response:
            try:
                async with self._read(request) as (body, quick):
                    response: Response = await handle(body, quick)
            except (Exception, asyncio.CancelledError) as error:
                fault = _fault_of(error)
                response = JSONResponse(fault.body, fault.status)
            self._metrics.requests.labels(request.scope["path"], response.status_code).inc()
            return response

        return answer

    @asynccontextmanager
    async def _read(self, request: Request) -> AsyncIterator[tuple[dict[str, Any], bool]]:
        """The request's JSON, and whether it is so small that to work on it takes no time.

        Of large ones few are held at once.
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            # A page of another site can send other kinds without being asked.
            raise Fault(415, "content-type: give application/json", "content_type")
        largest = self._settings.largest
        told = request.headers.get("content-length", "0")
        if not told.isdecimal() or int(told) > largest:
            raise Fault(413, f"larger than {largest:,} bytes; send less", "large")
        content, held = bytearray(), 0
        try:
            try:
                async with asyncio.timeout(self._settings.seconds):
                    async for piece in request.stream():
                        content += piece
                        if len(content) > largest:
                            raise Fault(413, f"larger than {largest:,} bytes; send less", "large")
                        more = max(len(content) - LARGE, 0) - held
                        if self._held + more > MOST_HELD:
                            raise Busy
                        held, self._held = held + more, self._held + more
            except TimeoutError:
                raise Fault(408, "the request came too slowly; send it again", "slow") from None
            quick = len(content) <= QUICK
            # Parsed, it takes a multiple of its memory for a moment.
            async with nullcontext() if quick else self._parsing:
                body = await _in_thread(quick, _body, content)
            content.clear()
            yield body, quick
        finally:
            self._held -= held

    async def _query(self, body: Mapping[str, Any], quick: bool, budgeted: bool) -> Query:
        """What a request asks to be decided."""
        given = body.get(OPTIONS) or {}
        if not isinstance(given, dict) or not given.keys() <= _KNOWN:
            raise InputError(
                f"{OPTIONS}: {given!r:.80} is none of its options; give an object with some of "
                f"{', '.join(sorted(_KNOWN))}"
            )
        numbers = {}
        for name in ("budget", "trade_off", "trade_off_usd"):
            value = given.get(name)
            if value is not None:
                if isinstance(value, bool) or not isinstance(value, int | float):
                    raise InputError(f"{name}: {value!r:.80} is no number; give one")
                numbers[name] = float(value)
        dataset = given.get("dataset", "")
        if not isinstance(dataset, str) or len(dataset) > LONGEST_NAME or not is_utf8(dataset):
            raise InputError(
                f"dataset: {dataset!r:.80} is no text of up to {LONGEST_NAME} characters; "
                "give a name"
            )
        network = self._settings.network
        asked = await _in_thread(quick and not network, query_of, body.get("messages"), network)
        if not asked.text.strip() and not asked.images:
            raise InputError("messages: the user's last has neither text nor image; give one")
        if asked.images:
            await asyncio.to_thread(_require_small, asked.images)
        named, models = body.get("model", AUTO), given.get("models")
        if budgeted and named not in (AUTO, None):
            models = [named]
        left = candidates(self._pool, models, self._blind, asked.pictured)
        counted = budgeted and self._budget is not None
        if counted and numbers:
            raise InputError(f"{min(numbers)}: the server keeps a budget of its own; leave it out")
        parameter = self._router.threshold(**numbers)
        limits = {"budget": numbers["budget"]} if "budget" in numbers else {}
        if counted and self._budget:
            limits = {"budget": self._budget.usd_per_1000}
        elif numbers and not limits and parameter is not None:
            limits = {"trade_off": parameter}
        every = len(self._pool) == len(self._models) - len(self._router.card.left_out)
        as_exported = every and models is None and not limits
        return Query(asked, left, parameter, counted, dataset, limits, as_exported)

    async def _decide(self, query: Query) -> tuple[Decided, float]:
        began = time.perf_counter()
        decided = await self._deciding.decide(query)
        seconds = time.perf_counter() - began
        self._metrics.seconds.observe(seconds)
        return decided, seconds

    async def _route(self, body: dict[str, Any], quick: bool) -> Response:
        query = await self._query(body, quick, budgeted=False)
        decided, seconds = await self._decide(query)
        answer = decided.answer
        self._metrics.decisions.labels(answer.model).inc()
        told = answer._asdict() | {"reason": self._reason(query, decided)}
        record = await self._recorder.of(query, decided)
        if record:
            record.advised()
            await record.written()
            told["id"] = record.id
        told["ms"] = round(1000 * seconds, 3)
        return JSONResponse(told, headers=_named(answer.model, record))

    def _reason(self, query: Query, decided: Decided) -> str:
        card, among = self._router.card, f"among {len(query.models)} of {len(self._models)} models"
        if not decided.draw.is_own:
            return f"drawn for the random share of {self._random_share:.3g}, {among}"
        if card.router is None or query.parameter is None:
            return f"the share of {card.row}, {among}"
        if card.policy == "budget":
            usd = query.parameter * card.unit_usd
            return (
                f"the highest predicted utility at a predicted cost of up to {usd:.6g} USD, {among}"
            )
        per_usd = query.parameter / card.unit_usd
        return f"the highest predicted utility, less {per_usd:.6g} for each predicted USD, {among}"

    async def _complete(self, body: dict[str, Any], quick: bool) -> Response:
        if self._upstreams is None:
            raise Fault(404, "no upstreams were given, so it only decides: POST /route", "no_calls")
        query = await self._query(body, quick, budgeted=True)
        request = {key: value for key, value in body.items() if key != OPTIONS}
        decided, _ = await self._decide(query)
        record = await self._recorder.of(query, decided)
        failed: list[str] = []
        while True:
            call = _Call(self, decided, record)
            if decided.kept is False:
                call.withdraw()
                raise Fault(429, "the budget is spent; ask again later", "budget_spent")
            model = decided.answer.model
            self._metrics.decisions.labels(model).inc()
            try:
                if body.get("stream"):
                    return await self._streamed(call, request, bool(body.get("stream_options")))
                answer = await self._upstreams.ask(model, request)
            except NoAnswer as error:
                call.failed(error)
                failed.append(f"{model}: {error.kind}")
            except Refused as refused:
                return call.refused(refused.answer)
            except BaseException:
                call.withdraw()
                call.tell(answered=False)
                raise
            else:
                if answer.status != 200:
                    return call.refused(answer)
                call.paid(answer.usage)
                await call.written()
                return call.answer(answer.content, 200)
            query = replace(query, models=tuple(own for own in query.models if own != model))
            if not query.models:
                raise Fault(502, f"no model answered ({'; '.join(failed)})", "no_answer")
            decided = await self._deciding.instead(query, decided)

    async def _streamed(
        self, call: "_Call", request: Mapping[str, Any], wants_usage: bool
    ) -> Response:
        """A stream, once its first event is there: from then on no other model is asked."""
        assert self._upstreams is not None
        events = self._upstreams.stream(call.model, request)
        first = await anext(events, None)
        if first is None:
            raise NoAnswer("broke off", billed=True)

        event: tuple[bytes, Usage | None, bool] | None = first
        usage: Usage | None = None
        settled = False

        def settle(whole: bool) -> None:
            nonlocal settled
            if not settled:
                call.paid(usage, whole)
                settled = True

        async def passed_on() -> AsyncIterator[bytes]:
            nonlocal event, usage
            try:
                while event is not None:
                    content, told, alone = event
                    # Some models tell it again and again; the last one is of the whole.
                    usage = told or usage
                    if (told and alone) or content == DONE:
                        settle(whole=True)
                        await call.written()
                    if wants_usage or not alone:
                        yield content
                    event = await anext(events, None)
            except NoAnswer as error:
                fault = Fault(502, f"{call.model}: {error.kind}", "broke_off")
                yield f"data: {json.dumps(fault.body)}\n\n".encode()

        async def end() -> None:
            settle(whole=event is None)
            await events.aclose()

        return _Stream(passed_on(), end, call.headers)

    def cost(self, model: str, usage: Usage | None) -> float | None:
        """USD of a call by the card's prices; None if these or its tokens are unknown."""
        own = self._models[model]
        prices = own.usd_per_1m_prompt_tokens, own.usd_per_1m_completion_tokens
        if usage is None or prices[0] is None or prices[1] is None:
            return None
        return (prices[0] * usage.prompt + prices[1] * usage.completion) / 1e6


class _Stream(StreamingResponse):
    """Events that are passed on, and what is done in the end, even if the client left before."""

    def __init__(
        self,
        events: AsyncIterator[bytes],
        end: Callable[[], Awaitable[None]],
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(events, 200, headers, "text/event-stream")
        self._end = end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._end()


class _Call:
    """One call of a model, and what becomes of it."""

    def __init__(self, server: Server, decided: Decided, record: Record | None) -> None:
        self._server, self._decided, self._record = server, decided, record
        self.model = decided.answer.model
        if record:
            record.calls()

    @property
    def headers(self) -> dict[str, str]:
        """Who answers, and by which id outcomes are told."""
        return _named(self.model, self._record)

    def answer(self, content: bytes, status: int) -> Response:
        """What the model says, passed on."""
        return Response(content, status, self.headers, "application/json")

    def tell(self, answered: bool, usd: float | None = None) -> None:
        """Write it down."""
        if self._record:
            self._record.told(self._decided, answered, usd)

    async def written(self) -> None:
        """Wait until it is written down."""
        if self._record:
            await self._record.written()

    @property
    def _budget(self) -> Budget | None:
        return self._server._budget if self._decided.kept is not None else None

    def _counted(self, outcome: str) -> None:
        self._server._metrics.calls.labels(self.model, outcome).inc()

    def paid(self, usage: Usage | None, whole: bool = True) -> None:
        """It was answered, as a whole or not."""
        self._counted("answered")
        usd = self._server.cost(self.model, usage)
        self.tell(whole, usd)
        if self._budget and usd is not None:
            self._budget.paid(self._decided.answer, usd)

    def failed(self, error: NoAnswer) -> None:
        """It was not; what it may have cost stays."""
        self._counted(error.kind)
        self.tell(answered=False)
        if self._budget:
            self._budget.withdraw(self._decided.answer, None if error.billed else 0.0)

    def withdraw(self) -> None:
        """It was not made, or given up."""
        if self._budget:
            self._budget.withdraw(self._decided.answer)

    def refused(self, answer: Any) -> Response:
        """The model refuses the request itself."""
        self._counted("refused")
        self.withdraw()
        self.tell(answered=False)
        return self.answer(answer.content, answer.status)


async def _in_thread(quick: bool, work: Callable[..., _Result], *arguments: Any) -> _Result:
    """Do some work, in another thread if it may take a while."""
    return work(*arguments) if quick else await asyncio.to_thread(work, *arguments)


def _named(model: str, record: Record | None) -> dict[str, str]:
    # A name may hold what no header can.
    own = {"x-mmroute-model": quote(model, safe="/:@+()[]")}
    return own | {"x-mmroute-id": record.id} if record else own


def _body(content: bytes | bytearray) -> dict[str, Any]:
    if sum(map(content.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise Fault(413, f"more than {MOST_VALUES:,} values; send less", "large")
    try:
        body = json.loads(
            content, parse_constant=_refuse, parse_float=_finite(float), parse_int=_finite(int)
        )
    except (ValueError, RecursionError):
        raise Fault(
            400, "no JSON, nested too deep, or a number too large; send an object", "no_json"
        ) from None
    if not isinstance(body, dict):
        raise Fault(400, "no object; send one with messages", "no_json")
    level: list[Any] = [body]
    for _ in range(DEEPEST):
        nested = [own.values() if isinstance(own, dict) else own for own in level]
        level = [one for own in nested for one in own if isinstance(one, dict | list)]
        if not level:
            return body
    raise Fault(400, f"nested deeper than {DEEPEST}; send less", "no_json")


def _fault_of(error: BaseException) -> Fault:
    match error:
        case Fault():
            return error
        case InputError():
            return Fault(400, str(error), "bad_request")
        case Busy():
            return Fault(503, "too many requests wait; try again later", "busy")
        case ClientDisconnect():
            return Fault(400, "the request broke off", "broke_off")
        case asyncio.CancelledError():
            return Fault(503, "the server stops; ask again later", "stops")
    logger.error("a request failed", exc_info=error)
    return Fault(500, "the server is at fault; its log has more", "fault")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _finite(kind: Callable[[str], float]) -> Callable[[str], float]:
    """What reads a number, and refuses one that is none for other readers of JSON."""

    def read(number: str) -> float:
        if math.isinf(float(number)):
            _refuse(number)
        return kind(number)

    return read


def _require_small(images: list[bytes]) -> None:
    """Raise InputError for images that would take long to decode, before any is."""
    pixels = decoded = 0
    for content in images:
        # What cannot be opened is said when it is decoded.
        with (
            quiet_decoding(),
            suppress(Exception),
            Image.open(io.BytesIO(content), formats=FORMATS) as image,
        ):
            own = image.width * image.height
            pixels += own
            decoded = max(decoded, own * content.count(START_OF_SCAN))
    if pixels > MOST_PIXELS or decoded > MOST_DECODED:
        raise InputError(
            f"messages: images of more than {MOST_PIXELS:,} pixels together; send smaller ones"
        )
