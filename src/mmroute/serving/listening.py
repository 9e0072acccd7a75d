"""Connections that cost others nothing: those that keep the server waiting make room."""

import asyncio
import ctypes
from contextlib import suppress
from typing import Any, ClassVar

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

# Not where there is none.
with suppress(ImportError):
    import resource

MOST_CONNECTIONS = 1000
"""That may wait for their clients, while there are others."""
PATIENCE_SECONDS = 30.0
"""That a request's head may take to arrive, and some of an answer to be taken."""
LONGEST_HEAD = 64_000
"""Bytes of a request's head."""
SMALL_PIECES, FEWEST_BYTES = 1000, 500
"""Chunks of a request that may be small, and bytes that more of them must have on average."""
FILES = 5 * MOST_CONNECTIONS
"""That may be open at once, where the system lets them."""
GRACE_SECONDS = 20
"""That requests have left when the server is asked to stop."""

_MMAP_THRESHOLD = -3
"""M_MMAP_THRESHOLD of glibc."""


def listening(app: FastAPI, **where: Any) -> uvicorn.Config:
    """How an application is served; ``where``: ``host`` and ``port``."""
    # What is large goes back to the system when it is freed.
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, 10**6)
    with suppress(NameError):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        more = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, more), hard))
    return uvicorn.Config(
        app,
        **where,
        http=Connection,
        ws="none",
        # So many are accepted at once: fewer than would push out one whose request is on its way.
        backlog=MOST_CONNECTIONS // 4,
        log_level="error",
        access_log=False,
        limit_concurrency=2 * MOST_CONNECTIONS,
        h11_max_incomplete_event_size=LONGEST_HEAD,
        timeout_graceful_shutdown=GRACE_SECONDS,
        proxy_headers=False,
        server_header=False,
    )


class _Reader(h11.Connection):
    """Refuses requests that take long to read, or that others read otherwise."""

    _n_pieces = _n_bytes = 0

    def next_event(self) -> Any:
        """Read on."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._n_pieces = self._n_bytes = 0
            names = {name for name, _ in event.headers}
            if {b"content-length", b"transfer-encoding"} <= names:
                raise h11.RemoteProtocolError("two lengths")
        elif isinstance(event, h11.Data):
            self._n_pieces += 1
            self._n_bytes += len(event.data)
            if self._n_pieces > max(SMALL_PIECES, self._n_bytes / FEWEST_BYTES):
                raise h11.RemoteProtocolError("too many chunks")
        return event


class Connection(H11Protocol):
    """A connection that is closed if it keeps the server waiting.

    That is for too long, or for the longest when there are too many. Of the parsers h11's is the
    one that limits a request's head.
    """

    _order: ClassVar[dict["Connection", None]] = {}
    """Those that are open; the first has waited longest, if it waits."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.conn = _Reader(h11.SERVER, LONGEST_HEAD)
        self._patience: asyncio.TimerHandle | None = None

    @property
    def _reading(self) -> bool:
        """Whether a request's body arrives, for which there is a time-out of its own."""
        cycle = self.cycle
        return cycle is not None and cycle.more_body and not cycle.response_complete

    @property
    def _awaited(self) -> bool:
        """Whether it is the client's turn."""
        idle = self.cycle is None or self.cycle.response_complete
        return idle or self._reading or self.flow.write_paused

    def _await(self) -> None:
        self._order.pop(self, None)
        self._order[self] = None
        if self._patience:
            self._patience.cancel()
        self._patience = self.loop.call_later(PATIENCE_SECONDS, self._end)

    def _end(self) -> None:
        if self._awaited and not self._reading:
            self._drop()

    def _drop(self) -> None:
        self.transport.abort()
        # At once, as of those that come many come together.
        self.connections.discard(self)
        self._order.pop(self, None)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take its place, or that of one that has kept the server waiting longest."""
        super().connection_made(transport)
        self._await()
        if len(self.connections) > MOST_CONNECTIONS:
            others = (own for own in self._order if own._awaited and own is not self)
            if longest := next(others, None):
                longest._drop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        super().connection_lost(exc)
        self._order.pop(self, None)
        if self._patience:
            self._patience.cancel()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._await()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Wait until the client has taken some of what it is sent."""
        super().pause_writing()
        self._await()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, if that can still be said."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.abort()
