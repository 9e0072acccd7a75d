"""``mmroute serve``, attacked while others ask, for whom nothing changes, and killed."""

import base64
import gzip
import io
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection
from itertools import takewhile
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer

import pytest
from drawn_router import MODELS, questions
from PIL import Image

import mmroute
from mmroute.decision_log import read_log

pytestmark = pytest.mark.slow

MOST_MEMORY_KB = 10**6
JSON = {"Content-Type": "application/json"}
HEAD = b"POST /route HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
ANSWER = json.dumps(
    {
        "choices": [{"message": {"role": "assistant", "content": "4"}}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 100},
    }
).encode()
EVENTS = [
    b'data: {"choices": [{"delta": {"content": "4"}}]}\n\n',
    b'data: {"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 100}}\n\n',
    b"data: [DONE]\n\n",
]


class Upstream:
    """Stands for all models, byte by byte: ``sends`` are what it does, by the request's text."""

    def __init__(self) -> None:
        self.sends: dict[str, Callable[[socket.socket], None]] = {}
        self.asked: list[str] = []
        self.open = 0
        outer, lock = self, threading.Lock()

        class Handler(BaseRequestHandler):
            def handle(self) -> None:
                with lock:
                    outer.open += 1
                with suppress(OSError, ValueError):
                    stream = self.request.makefile("rb")
                    while head := b"".join(takewhile(lambda line: line != b"\r\n", stream)):
                        length = re.search(rb"(?i)content-length: (\d+)", head)
                        request = json.loads(stream.read(int(length[1])))
                        text = str(request["messages"][-1]["content"])
                        outer.asked.append(text)
                        outer.sends.get(text.split(":")[0], answering())(self.request)
                with lock:
                    outer.open -= 1

        class Listening(ThreadingTCPServer):
            request_queue_size = 1000
            daemon_threads = allow_reuse_address = True

        self.server = Listening(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def answering(content: bytes = ANSWER, head: bytes = b"", times: int = 1):
    """What sends a whole answer, so many times."""
    told = b"HTTP/1.1 200 OK\r\n" + head + b"Content-Length: %d\r\n\r\n" % len(content) + content

    def send(wire):
        wire.sendall(told * times)

    return send


def streaming(pieces, seconds=0.0):
    """What sends pieces of a stream, and waits between them."""

    def send(wire):
        wire.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for piece in pieces() if callable(pieces) else pieces:
            wire.sendall(piece)
            time.sleep(seconds)
        wire.shutdown(socket.SHUT_RDWR)

    return send


def forever(piece):
    """So many pieces that they never end."""
    return lambda: iter(lambda: piece, None)


class Process:
    """``mmroute serve`` in a process of its own."""

    def __init__(self, folder: Path, upstreams: Path, port: int = 0, *more: str) -> None:
        if not port:
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
        self.port = port
        command = "import sys; from mmroute.cli import app; sys.exit(app())"
        told = ["serve", folder, "--upstreams", upstreams, "--port", port, "--seconds", 0.3, *more]
        self.run = subprocess.Popen(
            [sys.executable, "-c", command, *map(str, told)],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        while True:
            with suppress(OSError), self.connected(1) as own:
                own.request("GET", "/health")
                assert own.getresponse().status == 200
                return
            assert self.run.poll() is None, self.run.stdout.read().decode()
            time.sleep(0.05)

    @contextmanager
    def connected(self, seconds: float = 60) -> Iterator[HTTPConnection]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            yield connection
        finally:
            connection.close()

    def post(self, body, path="/route", seconds: float = 60, headers=JSON):
        """The status and text of an answer."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        with self.connected(seconds) as own:
            own.request("POST", path, content, headers)
            answer = own.getresponse()
            return answer.status, answer.read().decode()

    def wire(self, seconds: float = 60) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), seconds)

    def sent(self, content: bytes) -> bytes:
        """All that is answered to some bytes."""
        with self.wire() as wire:
            with suppress(OSError):
                wire.sendall(content)
            pieces = b""
            with suppress(OSError):
                while piece := wire.recv(10**6):
                    pieces += piece
            return pieces

    @property
    def peak_kb(self) -> int:
        status = Path(f"/proc/{self.run.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1])

    def end(self) -> None:
        self.run.kill()
        self.run.communicate()


class Calm:
    """Asks on and on, each time on a connection of its own, and looks at what is answered."""

    def __init__(self, process: Process, router) -> None:
        self._process = process
        self._expected = [(text, router.route(text).model) for text in questions(20, seed=5)]
        self._stop = threading.Event()
        self.seconds, self.faults = [], []

    def _ask(self) -> None:
        while not self._stop.is_set():
            text, model = self._expected[len(self.seconds) % len(self._expected)]
            began = time.monotonic()
            try:
                status, told = self._process.post(said(text))
                if status != 200 or json.loads(told)["model"] != model:
                    self.faults.append((status, told[:200]))
            except Exception as error:
                self.faults.append(repr(error))
            self.seconds.append(time.monotonic() - began)
            self._stop.wait(0.01)

    def __enter__(self) -> "Calm":
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    own = Upstream()
    yield own
    own.server.shutdown()


@pytest.fixture(scope="module")
def places(upstream, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("upstreams") / "upstreams.yaml"
    path.write_text(json.dumps({"upstreams": {name: {"url": upstream.url} for name in MODELS}}))
    return path


@pytest.fixture(scope="module")
def process(drawn, places) -> Iterator[Process]:
    own = Process(drawn(), places)
    yield own
    own.end()


@pytest.fixture(scope="module")
def undisturbed(process, drawn) -> float:
    """Seconds that an answer takes at most while nothing else happens."""
    with Calm(process, mmroute.load_router(drawn())) as calm:
        time.sleep(1)
    assert not calm.faults
    return max(calm.seconds)


@pytest.fixture
def calm(process, drawn, undisturbed) -> Iterator[Calm]:
    """Others that ask meanwhile, and for whom nothing changes."""
    with Calm(process, mmroute.load_router(drawn())) as calm:
        time.sleep(0.05)
        # The peak of memory is this test's own.
        Path(f"/proc/{process.run.pid}/clear_refs").write_text("5")
        yield calm
        time.sleep(0.05)
    assert calm.faults == []
    assert len(calm.seconds) >= 2
    assert max(calm.seconds) <= 3 + 20 * undisturbed
    assert process.peak_kb <= MOST_MEMORY_KB


def said(text, **more):
    return {"messages": [{"role": "user", "content": text}], **more}


def asked(content: bytes) -> bytes:
    return HEAD + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(content) + content


def pictured(content: bytes, kind: str = "png", count: int = 1) -> bytes:
    url = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    return json.dumps(said([{"type": "image_url", "image_url": {"url": url}}] * count)).encode()


def drawn_image(kind: str, size=(8, 8), mode="L", **how) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, kind, **how)
    return buffer.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    checked = kind + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))


def png(width, height, *more: bytes, depth: int = 8, kind: int = 0) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(more) + chunk(b"IEND", b"")


def pixels(count: int) -> bytes:
    return chunk(b"IDAT", zlib.compress(bytes(count), 1))


def many_scans() -> bytes:
    """A progressive JPEG that goes over all its pixels a hundred thousand times."""
    whole = drawn_image("JPEG", (5000, 5000), progressive=True)
    start = whole.rindex(b"\xff\xda")
    return whole[:start] + whole[start:-2] * 100_000 + whole[-2:]


IMAGES = {
    "wide": (lambda: png(100_000, 100_000, pixels(1000)), 400),
    "widest": (lambda: png(2**31 - 1, 2**31 - 1, pixels(1000)), 400),
    "zeros": (lambda: png(8, 8, pixels(10**8)), 200),
    "text": (
        lambda: png(8, 8, *[chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**6)))] * 2000),
        400,
    ),
    "profile": (lambda: png(8, 8, chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(10**8)))), 400),
    "clear": (lambda: png(6000, 4900, pixels(4900 * 24_001), kind=6), 200),
    "deep": (lambda: png(6000, 4900, pixels(4900 * 12_001), depth=16), 200),
    "gif": (lambda: b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b"\x3b", 400),
    "webp": (lambda: drawn_image("WEBP", (16000, 2000), lossless=True, method=0), 400),
    "animated": (
        lambda: drawn_image(
            "GIF", (500, 500), "P", save_all=True, append_images=[Image.new("P", (500, 500))] * 100
        ),
        200,
    ),
    "svg": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg' width='99999999'/>", 400),
    "scans": (many_scans, 400),
}


@pytest.mark.parametrize("name", IMAGES)
def test_image_bombs(process, calm, name):
    image, expected = IMAGES[name]
    status, told = process.post(pictured(image()))
    assert status == expected, told


def test_a_thousand_small_images(process, calm):
    assert process.post(pictured(drawn_image("PNG"), count=1000))[0] == 200
    assert process.post(pictured(drawn_image("PNG"), count=1001))[0] == 400


BODIES = {
    "deep": (b'{"a":' + b"[" * 10**5 + b"]" * 10**5 + b"}", 400),
    "open": (b"[" * 10**6, 413),
    "keys": (b"{" + b",".join(b'"%d":1' % number for number in range(3 * 10**6)) + b"}", 413),
    "double": (b'{"messages": 1, ' + json.dumps(said("Count?")).encode()[1:], 200),
    "no UTF-8": (b'{"messages": [{"role": "user", "content": "\xff\xfe"}]}', 400),
    "UTF-16": (json.dumps(said("Count?")).encode("utf-16"), 200),
    "surrogates": (json.dumps(said("\udfff\ud800")).encode(), 400),
    "infinite": (b'{"temperature": 1e999, ' + json.dumps(said("A?")).encode()[1:], 400),
    "constant": (b'{"temperature": -Infinity, ' + json.dumps(said("A?")).encode()[1:], 400),
    "digits": (b'{"seed": ' + b"9" * 5000 + b", " + json.dumps(said("A?")).encode()[1:], 400),
    "number": (json.dumps(said("A?", mmroute={"trade_off": 10**400})).encode(), 400),
    "words": (json.dumps(said("a " * 15_900_000)).encode(), 200),
    "digit": (json.dumps(said("1" * 31_900_000)).encode(), 200),
    "options": (json.dumps(said("(A)\n" * 6_300_000)).encode(), 200),
    "emoji": (json.dumps(said("\U0001f600" + "x" * 31_900_000), ensure_ascii=False).encode(), 200),
    "messages": (json.dumps({"messages": said("A?")["messages"] * 10_000}).encode(), 200),
    "roles": (json.dumps({"messages": [{"role": "user"}] * 10_000}).encode(), 400),
    "data set": (json.dumps(said("A?", mmroute={"dataset": "\0\r\n<b>" * 150_000})).encode(), 400),
    "broken name": (json.dumps(said("A?", mmroute={"dataset": "\ud800"})).encode(), 400),
    "names": (json.dumps(said("A?", mmroute={"models": ["small"] * 190_000})).encode(), 200),
    "lines": (json.dumps(said("A?", mmroute={"models": ["a\r\nX-Evil: 1\0\x1b"]})).encode(), 400),
    "number as name": (json.dumps(said("A?", mmroute={"models": [["small"]]})).encode(), 400),
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies(process, calm, name):
    body, status = BODIES[name]
    answered, told = process.post(body)
    assert answered == status, told
    assert len(told) < 1000


def test_several_large_ones_at_once(process, calm):
    body = json.dumps(said("\U0001f600" + "x" * 31_900_000), ensure_ascii=False).encode()
    statuses = []
    threads = [
        threading.Thread(target=lambda: statuses.append(process.post(body)[0])) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) == {200, 503}


HEADS = {
    "two lengths": (
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET",
        400,
    ),
    "other lengths": (HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}{}{}", 400),
    "hidden length": (HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    "other coding": (HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    "signed length": (HEAD + b"Content-Length: +5\r\n\r\n{}   ", 400),
    "long length": (HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 400),
    "broken chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", 400),
    "tiny chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 5_000_000, 400),
    "long chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"a" * 10**6, 400),
    "long head": (HEAD + b"X-Long: " + b"a" * 10**8, 400),
    "many heads": (HEAD + b"X-Many: 1\r\n" * 10**6, 400),
    "folded": (
        HEAD + b"X-A: 1\r\n folded\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
        400,
    ),
    "bare line ends": (
        HEAD.replace(b"\r", b"") + b"Content-Length: 2\nConnection: close\n\n{}",
        400,
    ),
    "method": (b"DELETE /route HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 405),
    "made-up method": (b"<b> /route HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "path": (b"GET /%2e%2e/%00/etc HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404),
    "redirect": (b"POST /route/ HTTP/1.1\r\nHost: evil\r\nConnection: close\r\n\r\n", 404),
    "host": (asked(b"{}").replace(b"Host: a", b"Host: [evil"), 400),
    "websocket": (
        b"GET /route HTTP/1.1\r\nHost: a\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        405,
    ),
    "other protocol": (b"\x16\x03\x01\x02\x00\x01" + os.urandom(600), 400),
    "no head": (b"\r\n" * 100_000, 400),
}


@pytest.mark.parametrize("name", HEADS)
def test_heads(process, calm, name):
    content, status = HEADS[name]
    answered = process.sent(content)
    assert answered.startswith(b"HTTP/1.1 %d " % status)
    assert len(re.findall(rb"HTTP/1.1 \d", answered)) == 1


def test_a_hundred_megabytes(process, calm):
    whole = b"Content-Length: 100000000\r\n\r\n", bytes(10**6)
    pieces = b"Transfer-Encoding: chunked\r\n\r\n", b"f4240\r\n" + bytes(10**6) + b"\r\n"
    for head, piece in (whole, pieces):
        with process.wire() as wire, suppress(OSError):
            wire.sendall(HEAD + head + piece * 100)
            assert wire.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_pipelined_requests(process, calm):
    one = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
    last = one.replace(b"Host", b"Connection: close\r\nHost")
    assert process.sent(one * 999 + last).count(b"HTTP/1.1 200 OK") == 1000


def test_thousands_of_connections_that_ask_nothing(process, calm):
    begun = b"", b"POST /route HT", HEAD + b"Content-Length: 9\r\n\r\n{", b"GET / HTTP/1.1\r\n\r\n"
    with ExitStack() as stack:
        for number in range(3000):
            wire = stack.enter_context(process.wire())
            with suppress(OSError):
                wire.sendall(begun[number % 4])
        time.sleep(0.5)


def completed(process, text, stream=False, **more):
    """What a completion is answered that one model may be asked for."""
    body = said(text, stream=stream, mmroute={"models": ["small"]}, **more)
    return process.post(body, "/v1/chat/completions")


HUGE = b"x" * 10**6
SENDS = {
    "huge": (answering(HUGE * 1000), "too long an answer"),
    "endless": (streaming(forever(HUGE)), "too long an answer"),
    "slow": (streaming(forever(b" "), 0.15), "time-out"),
    "late": (lambda wire: time.sleep(0.6) or answering()(wire), "time-out"),
    "silent": (lambda wire: time.sleep(20), "time-out"),
    "head only": (lambda wire: wire.sendall(b"HTTP/1.1 200 OK\r\n") or time.sleep(20), "time-out"),
    "slow head": (lambda wire: streaming(forever(b"A: 1\r\n"), 0.15)(wire), "time-out"),
    "continues": (
        lambda wire: [
            wire.sendall(b"HTTP/1.1 102 A\r\n\r\n") or time.sleep(0.15) for _ in range(60)
        ],
        "time-out",
    ),
    "long head": (answering(head=b"X-A: " + HUGE + b"\r\n"), "broke off"),
    "many heads": (answering(head=b"X-A: 1\r\n" * 10**5), "broke off"),
    "evil head": (answering(head=b"X-A: 1\r\r\nX-\0: 2\r\n"), "broke off"),
    "redirect": (
        lambda wire: wire.sendall(
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
        ),
        "status 302",
    ),
    "no HTTP": (lambda wire: wire.sendall(HUGE), "broke off"),
    "broken off": (lambda wire: wire.shutdown(socket.SHUT_RDWR), "broke off"),
    "half": (answering(ANSWER[:-9], b"Content-Length: 900\r\n"), "broke off"),
    "compressed": (
        answering(gzip.compress(bytes(10**9 // 4)), b"Content-Encoding: gzip\r\n"),
        "compressed",
    ),
    "deep": (answering(b"[" * 10**6), "nonsense"),
    "values": (answering(b'{"choices": [' + b"[]," * 10**7 + b"[]]}"), "nonsense"),
    "digits": (answering(b'{"choices": [' + b"9" * 10**5 + b"]}"), "nonsense"),
    "no list": (answering(b'{"choices": "4"}'), "nonsense"),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", SENDS)
def test_models_that_are_hostile(process, upstream, calm, name, stream):
    upstream.sends[name], told = SENDS[name]
    status, answer = completed(process, f"{name}: {stream}", stream)
    assert status == 502
    assert re.search(f"small: ({told}|nonsense|broke off|too long an answer)", answer)
    assert upstream.asked.count(f"{name}: {stream}") == 1


def test_a_model_that_answers_twice_answers_no_other(process, upstream, calm):
    upstream.sends["two"] = answering(ANSWER.replace(b"4", b"secret"), times=2)
    for number in range(5):
        assert "secret" in completed(process, f"two: {number}")[1]
        assert "secret" not in completed(process, f"one: {number}")[1]


def test_streams_cut_anywhere_are_whole(process, upstream):
    events = b": ping\r\n\r\n" + b"event: a\r\n" + b"".join(EVENTS).replace(b"\n", b"\r\n")
    upstream.sends["bytes"] = streaming([events[at : at + 1] for at in range(len(events))])
    assert completed(process, "bytes: ", True) == (200, (EVENTS[0] + EVENTS[2]).decode())


def test_a_stream_that_stalls_ends_with_an_error(process, upstream, calm):
    upstream.sends["stalls"] = streaming([EVENTS[0], b""], 3)
    status, told = completed(process, "stalls: ", True)
    assert status == 200
    assert '"code": "broke_off"' in told.split("\n\n")[1]
    assert "small: time-out" in told


def test_an_endless_stream_that_nobody_reads_or_that_all_leave(process, upstream, calm):
    upstream.sends["on"] = streaming(forever(EVENTS[0]))
    body = said("on: ", stream=True, mmroute={"models": ["small"]})
    content = asked(json.dumps(body).encode()).replace(b"/route", b"/v1/chat/completions")
    with ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(process.wire()).sendall(content)
        time.sleep(0.5)
    # What nobody reads is given up after half a minute.
    for _ in range(400):
        if not upstream.open:
            break
        time.sleep(0.1)
    assert upstream.open == 0
    assert upstream.asked.count("on: ") == 30


def test_a_stop_lets_those_who_wait_have_their_answers(drawn, places, upstream):
    upstream.sends["soon"] = lambda wire: time.sleep(0.2) or answering()(wire)
    upstream.sends["drips"] = streaming(forever(EVENTS[0]), 0.1)
    own = Process(drawn(), places)
    answers = []

    def ask(number):
        answers.append(completed(own, f"{('soon', 'drips')[number % 2]}: stop", number % 2 == 1))

    threads = [threading.Thread(target=ask, args=[number]) for number in range(8)]
    with own.wire():
        for thread in threads:
            thread.start()
        time.sleep(0.1)
        own.run.terminate()
        began = time.monotonic()
        for thread in threads:
            thread.join()
        assert own.run.wait(30) in (0, -signal.SIGTERM)
    assert time.monotonic() - began < 25
    assert [status for status, _ in answers] == [200] * 8
    for _, told in answers:
        assert told == ANSWER.decode() or '"code": "broke_off"' in told


def test_a_kill_leaves_nothing_behind_and_it_starts_again(drawn, places, upstream, tmp_path):
    upstream.sends["drips"] = streaming(forever(EVENTS[0]), 0.05)
    folder, log = drawn(), tmp_path / "log.jsonl"
    before = {path: path.stat().st_mtime_ns for path in folder.parent.rglob("*")}
    port, n_answered = 0, 0
    for number in range(3):
        own = Process(folder, places, port, "--log", log)
        port = own.port
        text = json.dumps(said("drips: ", stream=True)).encode()
        wires = [own.wire() for _ in range(8)]
        for wire in wires:
            wire.sendall(asked(text).replace(b"/route", b"/v1/chat/completions"))
        assert b"delta" in wires[0].recv(10**4) + wires[0].recv(10**4)
        for _ in range(20 * number):
            n_answered += own.post(said("Count?"))[0] == 200
        own.end()
        for wire in wires:
            wire.close()
    own = Process(folder, places, port, "--log", log)
    assert own.post(said("Count?"))[0] == 200
    own.end()
    # What was answered had its line; the streams that never ended may have theirs.
    assert n_answered + 1 <= len(read_log(log).decisions) <= n_answered + 1 + 3 * len(wires)
    assert before == {path: path.stat().st_mtime_ns for path in folder.parent.rglob("*")}
