"""A server on a free port, and models that answer, fail, stall or talk nonsense."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import pytest
import uvicorn

import mmroute
from mmroute.serving.listening import listening
from mmroute.serving.recording import Learning
from mmroute.serving.server import Server, Settings
from mmroute.serving.upstreams import Upstream, Upstreams

PROMPT = 100
COMPLETION = {"small": 100, "middle": 300, "large": 1000, "blind": 200}
"""Tokens of a call, which at the drawn router's prices cost what it foresees on average."""


class Models:
    """Stands for all models; ``does`` says what one does, by its name and the request."""

    def __init__(self) -> None:
        self.does: Callable[[str, dict[str, Any]], str] = lambda name, request: "answer"
        self.answered: Counter[str] = Counter()
        self.usd = 0.0
        self.usd_of = {
            name: (1.0 * PROMPT + 10.0 * tokens) / 1e6 for name, tokens in COMPLETION.items()
        }
        self.requests: list[tuple[dict[str, Any], dict[str, str]]] = []
        self.url = ""


def counted(model: str, share: float) -> dict[str, Any]:
    """An event of an answer, with the tokens so far."""
    usage = {"prompt_tokens": PROMPT, "completion_tokens": int(share * COMPLETION[model])}
    return {"choices": [{"delta": {"content": "a"}}], "usage": usage}


@pytest.fixture(scope="module")
def models() -> Iterator[Models]:
    told, lock = Models(), threading.Lock()

    class Model(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            request = json.loads(self._content())
            told.requests.append((request, dict(self.headers)))
            last = request["messages"][-1]["content"]
            what = told.does(request["model"], request)
            with suppress(OSError):
                if what == "answer":
                    told.answered[str(last)] += 1
                    self._answer(request)
                elif what == "nonsense":
                    self._send(200, b"<html>busy</html>")
                elif what == "empty":
                    self._send(200, b'{"choices": []}')
                elif what == "stall":
                    time.sleep(1.5)
                elif what == "counts on":
                    self._stream([counted(request["model"], share) for share in (0.01, 0.5, 1)])
                elif what == "break":
                    self._stream([{"choices": [{"delta": {"content": "a"}}]}], done=False)
                else:
                    self._send(int(what), b'{"error": {"message": "no"}}')
            self.close_connection = self.close_connection or what == "stall"

        def _content(self) -> bytes:
            if "Content-Length" in self.headers:
                return self.rfile.read(int(self.headers["Content-Length"]))
            content = b""
            while size := int(self.rfile.readline(), 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return content

        def _answer(self, request: dict[str, Any]) -> None:
            completion = COMPLETION.get(request["model"], 100)
            usage = {"prompt_tokens": PROMPT, "completion_tokens": completion}
            with lock:
                told.usd += (1.0 * PROMPT + 10.0 * completion) / 1e6
            if request.get("stream"):
                words = [{"choices": [{"delta": {"content": word}}]} for word in ("to", "gether")]
                self._stream([*words, {"choices": [], "usage": usage}])
                return
            message = {"role": "assistant", "content": "It is 4."}
            answer = {"model": request["model"], "choices": [{"message": message}], "usage": usage}
            self._send(200, json.dumps(answer).encode())

        def _send(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _stream(self, events: list[dict[str, Any]], done: bool = True) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            for event in [*map(json.dumps, events), *(["[DONE]"] if done else [])]:
                self.wfile.write(f"data: {event}\n\n".encode())
            self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    class Listening(ThreadingHTTPServer):
        request_queue_size = 1000
        daemon_threads = True

    with Listening(("127.0.0.1", 0), Model) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        told.url = f"http://127.0.0.1:{server.server_port}/v1"
        yield told
        server.shutdown()


@contextmanager
def running(server: Server) -> Iterator[httpx2.Client]:
    """Run a server in a thread; yield a client of it."""
    own = uvicorn.Server(listening(server.app(), port=0))
    thread = threading.Thread(target=own.run, daemon=True)
    thread.start()
    while not own.started:
        time.sleep(0.01)
    (socket,) = own.servers[0].sockets
    url = f"http://127.0.0.1:{socket.getsockname()[1]}"
    try:
        with httpx2.Client(base_url=url, timeout=60, trust_env=False) as client:
            client.stop = partial(setattr, own, "should_exit", True)
            yield client
    finally:
        own.should_exit = True
        thread.join(10)


@pytest.fixture
def serve(models: Models, drawn: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """Return what starts a server on the drawn router and returns a client, router and budget."""
    with ExitStack() as stack:

        def start(
            budget: float | None = None,
            places: dict[str, dict[str, Any]] | None = None,
            learning: Learning | None = None,
            **card: Any,
        ) -> tuple[httpx2.Client, Any, Any]:
            router = mmroute.load_router(drawn(**card))
            own = None if budget is None else mmroute.Budget(router, budget)
            chosen = {name: {} for name in router.models} if places is None else places
            upstreams = {name: Upstream(url=models.url, **told) for name, told in chosen.items()}
            server = Server(
                router,
                Upstreams(upstreams, 0.5) if upstreams else None,
                own,
                Settings(largest=5 * 10**6, seconds=2),
                learning,
            )
            return stack.enter_context(running(server)), router, own

        models.does = lambda name, request: "answer"
        models.answered.clear()
        models.requests.clear()
        models.usd = 0.0
        yield start
