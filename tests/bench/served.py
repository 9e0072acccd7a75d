"""A router behind HTTP: decisions per second, how long one takes, and the server's memory."""

import http.client
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from taken_away import make_folder, questions

from mmroute.decision.card import DIGESTS, SEEN, write_digests
from mmroute.decision.deployed import load_router
from mmroute.decision.drift import MOST_SEEN, Calibration, Seen
from mmroute.decision_log import read_log
from mmroute.persistence import write

N_REQUESTS, N_CLIENTS, PORT = 4_000, 16, 8765
HEADER = ("server", "clients", "decisions a second", "median", "p99", "server's CPU each", "memory")


def rows() -> Iterator[list[str]]:
    """The table's rows, of `ensemble` on drawn questions: as it is, and with all that it tells."""
    folder = make_folder("ensemble", 0)
    yield _row("`ensemble`", folder, [])
    samples = questions(MOST_SEEN, seed=2).assign(dataset="drawn")
    features = load_router(folder).features(samples)
    write(folder / SEEN, Seen.of(features, samples, Calibration()).to_content())
    (folder / DIGESTS).unlink()
    write_digests(folder)
    log = Path(tempfile.mkdtemp(), "log.jsonl")
    yield _row("`ensemble`, with a log and drift", folder, ["--log", log, "--random-share", "0.1"])
    assert len(read_log(log).decisions) == N_REQUESTS + N_REQUESTS // 10


def _row(name: str, folder: Path, options: Sequence[str | Path]) -> list[str]:
    command = [sys.executable, "-m", "mmroute.cli", "serve", folder, *options]
    with subprocess.Popen([*command, "--port", str(PORT)]) as server:
        try:
            _wait()
            asked = questions(N_REQUESTS, seed=1)["question"].tolist()
            _ask(asked[: N_REQUESTS // 10])
            before, began = _cpu(server.pid), time.perf_counter()
            with ThreadPoolExecutor(N_CLIENTS) as pool:
                shares = [asked[first::N_CLIENTS] for first in range(N_CLIENTS)]
                took = 1000 * np.concatenate([*pool.map(_ask, shares)])
            seconds = time.perf_counter() - began
            cpu = 1000 * (_cpu(server.pid) - before) / N_REQUESTS
            status = Path(f"/proc/{server.pid}/status").read_text()
            peak = int(re.search(r"VmHWM:\s*(\d+)", status)[1]) / 1000
        finally:
            server.terminate()
    return [
        name,
        str(N_CLIENTS),
        f"{N_REQUESTS / seconds:,.0f} (must reach 200)",
        f"{np.median(took):.3g} ms",
        f"{np.percentile(took, 99):.3g} ms (≤ 50)",
        f"{cpu:.2g} ms",
        f"{peak:,.0f} MB (≤ 1,000)",
    ]


def _wait() -> None:
    for _ in range(300):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", PORT)
            connection.request("GET", "/health")
            connection.getresponse()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the server did not start")


def _ask(asked: list[str]) -> np.ndarray:
    """Ask one after the other; return the seconds that each took."""
    connection, took = http.client.HTTPConnection("127.0.0.1", PORT), []
    for question in asked:
        body = json.dumps({"messages": [{"role": "user", "content": question}]})
        began = time.perf_counter()
        connection.request("POST", "/route", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        took.append(time.perf_counter() - began)
        assert answer.status == 200, content
    return np.array(took)


def _cpu(pid: int) -> float:
    """Seconds that a process has computed."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
