"""The hub on this machine, for sources that download."""

import hashlib
import json
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

import huggingface_hub
import numpy as np
import pandas as pd
import pytest

from mmroute.images import each
from mmroute.outcome_table import MATRICES
from mmroute.sources import Source

REPO = "someone/release"
REVISION = "v1"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = (".gz", ".pkl", ".zip")
"""Suffixes of the files that the hub states a sha256 for."""
BESIDE = {
    ".gitattributes": b"*.pkl filter=lfs\n",
    "README.md": b"# A release",
    "load.py": b"raise SystemExit('a data set is never run')\n",
}
"""Files of a data set that no source reads."""


class Hub(ThreadingHTTPServer):
    """The part of the hub's protocol that a download uses, with one data set."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.commit = COMMIT
        self.files: dict[str, bytes] = {}
        self.stated: dict[str, bytes] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.times: list[float] = []
        # What goes wrong with the next requests of a file, of "info" or of "tree":
        # ("status", code) or ("status", code, headers); ("break", n) and ("stall", n)
        # after n bytes of the body; ("silence",) without an answer; ("wrong",) for other
        # bytes of the same number.
        self.faults: dict[str, list[tuple]] = {}
        self.closing = threading.Event()
        self.page_length = 1000
        self.ignores_ranges = False

    def serve(self, files: Path | Mapping[str, bytes]) -> None:
        """Let the data set hold these files, or those of a folder, and no others."""
        self.files = _contents(files) if isinstance(files, Path) else dict(files)
        self.stated = dict(self.files)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def server_close(self) -> None:
        self.closing.set()
        super().server_close()

    def ranges(self, path: str) -> list[str | None]:
        return [given for requested, given in self.requests if requested == path]

    def listing(self) -> list[dict]:
        parents = {parent for path in self.stated for parent in PurePosixPath(path).parents}
        folders = [
            {"type": "directory", "path": str(parent), "oid": "0" * 40, "size": 0}
            for parent in sorted(parents - {PurePosixPath(".")})
        ]
        return [*folders, *map(self.entry, self.stated)]

    def entry(self, path: str) -> dict:
        content = self.stated[path]
        oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        entry = {"type": "file", "path": path, "size": len(content), "oid": oid}
        if path.endswith(LARGE):
            sha256 = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 134}
        return entry


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if path.startswith("/api/datasets/gated/"):
            self.answer(403, b"{}", {"X-Error-Code": "GatedRepo"})
        elif not path.startswith((f"/api/datasets/{REPO}/", f"/datasets/{REPO}/")):
            self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif path in (f"/api/datasets/{REPO}/revision/{name}" for name in (REVISION, COMMIT)):
            self.reply("info", json.dumps({"id": REPO, "sha": COMMIT}).encode())
        elif path == f"/api/datasets/{REPO}/tree/{COMMIT}":
            self.send_page(path)
        elif path.startswith(f"/datasets/{REPO}/resolve/{COMMIT}/"):
            self.send_file(path.removeprefix(f"/datasets/{REPO}/resolve/{COMMIT}/"))
        else:
            self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})

    def send_page(self, path: str) -> None:
        given = parse_qs(urlsplit(self.path).query)
        start = int(given.get("cursor", ["0"])[0])
        end = start + self.server.page_length
        entries = self.server.listing() if given["recursive"] == ["true"] else []
        headers = {}
        if end < len(entries):
            following = f"{self.server.endpoint}{path}?recursive=true&cursor={end}"
            headers["Link"] = f'<{following}>; rel="next"'
        self.reply("tree", json.dumps(entries[start:end]).encode(), headers)

    def send_file(self, name: str) -> None:
        given = self.headers.get("Range")
        self.server.requests.append((name, given))
        given = None if self.server.ignores_ranges else given
        content = self.server.files[name]
        start = int(given.removeprefix("bytes=").removesuffix("-")) if given else 0
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{self.server.entry(name)["oid"]}"'}
        if "lfs" in self.server.entry(name):
            headers["X-Linked-Etag"] = f'"{self.server.entry(name)["lfs"]["oid"]}"'
            headers["X-Linked-Size"] = str(len(content))
        if given:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.reply(name, content[start:], headers, 206 if given else 200)

    def reply(
        self,
        name: str,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        status: int = 200,
    ) -> None:
        """Answer, or do what is to go wrong instead."""
        self.server.times.append(time.monotonic())
        faults = self.server.faults.get(name)
        match faults.pop(0) if faults else None:
            case ("status", code, *given):
                self.answer(code, b"", *given)
            case ("break", sent):
                self.answer(status, body, headers, sent)
            case ("stall", sent):
                self.answer(status, body, headers, sent)
                self.server.closing.wait()
            case ("silence",):
                self.server.closing.wait()
            case ("wrong",):
                self.answer(status, bytes(len(body)), headers)
            case None:
                self.answer(status, body, headers)

    def answer(
        self,
        status: int,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        sent: int | None = None,
    ) -> None:
        self.send_response(status)
        for key, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body[:sent])
        self.close_connection = sent is not None

    def log_message(self, *_: object) -> None:
        pass


def _contents(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """Run the hub that the client talks to; its data set is empty."""
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hf_cache"))
    monkeypatch.setattr("mmroute.hub.PAUSES", (0.01, 0.02, 0.04, 0.08))
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def check_on_hub(hub: Hub, tmp_path: Path) -> Callable[..., None]:
    """Return a check that a source reads a release on the hub as it does in a folder.

    Its arguments are the source's class, the folder, the paths that the source is to
    download, and further arguments of the class. What was downloaded stays in
    ``tmp_path / "source"``.
    """

    def check(kind: type[Source], folder: Path, wanted: set[str], **arguments: object) -> None:
        local = kind(path=str(folder), **arguments)
        remote = kind(repo=REPO, revision=REVISION, **arguments)
        hub.serve(BESIDE | _contents(folder))
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("always")
            expected = local.read(local.fetch(tmp_path / "local"))
            # The second time, all is there.
            for requested in (wanted, set()):
                hub.requests.clear()
                root = remote.fetch(tmp_path / "source")
                assert sorted(path for path, _ in hub.requests) == sorted(requested)
                table = remote.read(root)
                pd.testing.assert_frame_equal(
                    table.samples.drop(columns="image"), expected.samples.drop(columns="image")
                )
                pd.testing.assert_frame_equal(table.models, expected.models)
                for name in MATRICES:
                    np.testing.assert_array_equal(getattr(table, name), getattr(expected, name))
                named = chain.from_iterable(map(each, table.samples["image"]))
                assert all((root / image).is_file() for image in named)
        assert not {path.name for path in (tmp_path / "source").rglob("*")} & set(BESIDE)

    return check
