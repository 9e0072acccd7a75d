"""Where models answer: endpoints of OpenAI's API, asked once, in time and in size."""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import httpx2
from pydantic import Field, ValidationError

from mmroute.config import Strict, describe
from mmroute.config import file as config_file
from mmroute.errors import InputError

MOST_TOKENS = 10**7
"""Of a call; one that tells more tells nothing."""
LONGEST_ANSWER, LONGEST_EVENT = 32 * 10**6, 4 * 10**6
"""Bytes of an answer, and of one event of a stream."""
LARGE, MOST_HELD = 10**6, 64 * 10**6
"""Bytes of an answer that there is always room for, and of all answers beyond which others fail."""
MOST_VALUES = 10**6
"""Of an answer's JSON."""
CONNECT_SECONDS = 5.0
_DONE = b"[DONE]"
DONE = b"data: [DONE]\n\n"
"""The event that ends a stream."""
_CLIENTS_FAULT = {400, 413, 422}
"""What another model would answer to the same request, too."""
_UNBILLED = {401, 403, 404, 405, 408, 429, 500, 502, 503, 504}


class Upstream(Strict):
    """A model's endpoint."""

    url: Annotated[str, Field(pattern=r"^https?://[^\s@]+$")]
    """Of its API, up to ``/v1``."""
    key_variable: str = ""
    """Name of the environment variable that holds its key; empty: none is sent."""
    name: str = ""
    """What the model is called there; empty: as in the pool."""
    vision: bool = True
    """Whether it takes images."""


class _File(Strict):
    upstreams: Annotated[dict[str, Upstream], Field(min_length=1)]


def read_upstreams(path: Path, pool: list[str]) -> dict[str, Upstream]:
    """Read a YAML file ``upstreams: {model: {url: ..., ...}}``.

    Raises
    ------
    InputError
        If it is none, names a model that is not in the pool, or a variable that holds no key.
    """
    try:
        upstreams = _File.model_validate(config_file.read(path)).upstreams
    except ValidationError as error:
        raise InputError(f"{path}: {describe(error)}; correct the file") from None
    for model, upstream in upstreams.items():
        if model not in pool:
            raise InputError(
                f"{path}: upstreams: no model {model!r:.80} in the pool; it has: {', '.join(pool)}"
            )
        _key(model, upstream)
    return upstreams


def _key(model: str, upstream: Upstream) -> str:
    key = os.environ.get(upstream.key_variable, "") if upstream.key_variable else ""
    if upstream.key_variable and not (key and key.isascii() and key.isprintable()):
        raise InputError(
            f"environment variable {upstream.key_variable}: holds no key for {model!r:.80}, one "
            "line of printable characters; set it"
        )
    return key


class NoAnswer(Exception):
    """Why a model gave no answer.

    Attributes
    ----------
    kind
        In words, of which there are few.
    billed
        Whether it may have cost something all the same.
    """

    def __init__(self, kind: str, billed: bool) -> None:
        super().__init__(kind)
        self.kind, self.billed = kind, billed


@dataclass(frozen=True)
class Usage:
    """Tokens that a call has taken."""

    prompt: int
    completion: int

    @classmethod
    def of(cls, answer: Any) -> "Usage | None":
        """What an answer, or an event of a stream, says of them."""
        told = answer.get("usage") if isinstance(answer, dict) else None
        if not isinstance(told, dict):
            return None
        match told.get("prompt_tokens"), told.get("completion_tokens"):
            case int(prompt), int(completion) if (
                min(prompt, completion) >= 0 and max(prompt, completion) <= MOST_TOKENS
            ):
                return cls(prompt, completion)
        return None


@dataclass(frozen=True)
class Answer:
    """A whole answer, or the refusal of a request that is at fault itself."""

    status: int
    content: bytes
    usage: Usage | None


class Upstreams:
    """Asks models, each call once.

    Parameters
    ----------
    upstreams
        By model.
    seconds
        That a model may take for its next byte, and ten times as long in all.
    """

    def __init__(self, upstreams: Mapping[str, Upstream], seconds: float) -> None:
        self.of, self._seconds, self._held = dict(upstreams), seconds, 0
        self._keys = {model: _key(model, own) for model, own in upstreams.items()}
        # Neither a proxy nor a password of the machine's own takes part.
        self._client = httpx2.AsyncClient(
            timeout=httpx2.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds)),
            # A connection of its own for each call: what a model sends after its answer would else
            # be the answer to another's.
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=0),
            trust_env=False,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def ask(self, model: str, request: Mapping[str, Any]) -> Answer:
        """Return a model's answer to a chat completion; raise NoAnswer if it gives none."""
        async with self._sent(model, request) as (status, pieces):
            content = await self._whole(pieces)
        if status != 200:
            return _refusal(status, content)
        answer = _parsed(content)
        choices = answer.get("choices") if isinstance(answer, dict) else None
        if not isinstance(choices, list) or not choices:
            raise NoAnswer("nonsense", billed=True)
        return Answer(200, content, Usage.of(answer))

    async def stream(
        self, model: str, request: Mapping[str, Any]
    ) -> AsyncGenerator[tuple[bytes, Usage | None, bool], None]:
        """Yield a model's events as bytes, the usage they tell, and whether they hold nothing else.

        Raises NoAnswer if it gives none, or breaks off.
        """
        options = request.get("stream_options") or {}
        if not isinstance(options, dict):
            raise InputError(f"stream_options: {options!r:.80} is no object; give one")
        asked = {**request, "stream_options": options | {"include_usage": True}}
        async with self._sent(model, asked) as (status, pieces):
            if status != 200:
                raise Refused(_refusal(status, await self._whole(pieces)))
            async for event in _events(pieces):
                if event == _DONE:
                    yield DONE, None, False
                    return
                told = _parsed(event)
                if not isinstance(told.get("choices"), list):
                    raise NoAnswer("nonsense", billed=True)
                usage = Usage.of(told)
                alone = usage is not None and not told["choices"]
                # A piece may hold thousands of events, and others wait.
                await asyncio.sleep(0)
                yield b"data: " + event + b"\n\n", usage, alone
            raise NoAnswer("broke off", billed=True)

    async def _whole(self, pieces: AsyncIterator[bytes]) -> bytes:
        content = bytearray()
        try:
            async for piece in pieces:
                content += piece
                self._held += len(piece)
                much = len(content) > LARGE and self._held > MOST_HELD
                if much or len(content) > LONGEST_ANSWER:
                    raise NoAnswer("too long an answer", billed=True)
            return bytes(content)
        finally:
            self._held -= len(content)

    @asynccontextmanager
    async def _sent(
        self, model: str, request: Mapping[str, Any]
    ) -> AsyncIterator[tuple[int, AsyncIterator[bytes]]]:
        """The status, where it is one to go on with, and the pieces of what is answered."""
        own, key = self.of[model], self._keys[model]
        asked = self._client.build_request(
            "POST",
            f"{own.url.rstrip('/')}/chat/completions",
            content=_json({**request, "model": own.name or model}),
            # A few compressed bytes could be more than the memory holds.
            headers={"Content-Type": "application/json", "Accept-Encoding": "identity"}
            | ({"Authorization": f"Bearer {key}"} if key else {}),
        )
        deadline = asyncio.get_running_loop().time() + 10 * self._seconds
        try:
            async with asyncio.timeout_at(deadline):
                response = await self._client.send(asked, stream=True)
            async with aclosing(response):
                status = response.status_code
                if status != 200 and status not in _CLIENTS_FAULT:
                    raise NoAnswer(f"status {status}", billed=status not in _UNBILLED)
                if response.headers.get("content-encoding", "identity") != "identity":
                    raise NoAnswer("compressed", billed=True)
                yield status, _in_time(response.aiter_raw(), deadline)
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            raise NoAnswer("no connection", billed=False) from None
        except (httpx2.TimeoutException, TimeoutError):
            raise NoAnswer("time-out", billed=True) from None
        except (httpx2.HTTPError, httpx2.InvalidURL):
            raise NoAnswer("broke off", billed=True) from None


async def _in_time(pieces: AsyncIterator[bytes], deadline: float) -> AsyncIterator[bytes]:
    while True:
        # Each by itself: a stream's events are awaited by more than one task.
        async with asyncio.timeout_at(deadline):
            piece = await anext(pieces, None)
        if piece is None:
            return
        yield piece


async def _events(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the data of server-sent events, however these are cut to pieces."""
    rest, data = bytearray(), bytearray()
    async for piece in pieces:
        *lines, end = piece.split(b"\n")
        for line in lines:
            rest += line
            name, _, value = bytes(rest.removesuffix(b"\r")).partition(b":")
            rest.clear()
            if name == b"data":
                data += value.removeprefix(b" ")
            elif not name and not value and data:
                yield bytes(data)
                data.clear()
        rest += end
        if len(rest) + len(data) > LONGEST_EVENT:
            raise NoAnswer("too long an answer", billed=True)
    if data + rest.removeprefix(b"data:").strip() == _DONE:
        yield _DONE


class Refused(Exception):
    """A model refuses a request that is at fault itself."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def _json(request: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(request, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        # Escaped, what is no text in UTF-8 passes as it came.
        return json.dumps(request).encode()


def _refusal(status: int, content: bytes) -> Answer:
    """What a model says against a request, or that it does, where it is not said in JSON."""
    try:
        _parsed(content)
    except NoAnswer:
        message = f"the model refuses the request with status {status}"
        content = json.dumps({"error": {"message": message, "code": "refused"}}).encode()
    return Answer(status, content, None)


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        if sum(map(content.count, (b",", b"[", b"{"))) > MOST_VALUES:
            raise ValueError
        answer = json.loads(content)
    except (ValueError, RecursionError):
        raise NoAnswer("nonsense", billed=True) from None
    if not isinstance(answer, dict):
        raise NoAnswer("nonsense", billed=True)
    return answer
