"""A hub on this machine, through the real client."""

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import constants

COMMIT = "0" * 40


class ModelHub(BaseHTTPRequestHandler):
    """The hub with one model, ``someone/tiny``, and what goes wrong with its transfers."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.answer(self.server.files.get(self.asked()))

    def do_GET(self):
        if self.path.startswith("/api/models/"):
            self.server.listings += 1
            files = [{"rfilename": name} for name in self.server.files]
            said = {"id": "someone/tiny", "sha": COMMIT, "siblings": files}
            return self.answer(json.dumps(said).encode(), body=json.dumps(said).encode())
        content = self.server.files[self.asked()]
        self.server.transfers += 1
        match self.server.faults.pop(0) if self.server.faults else None:
            case int(status):
                self.answer(None, status)
            case "wrong":
                self.answer(content, body=bytes(len(content)))
            case None:
                self.answer(content, body=content)

    def asked(self):
        return re.fullmatch(r"/someone/tiny/resolve/[^/]+/(.+)", self.path)[1]

    def answer(self, content, status=404, body=b""):
        self.send_response(status if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        if content is not None:
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        else:
            self.send_header("X-Error-Code", "EntryNotFound" if status == 404 else "")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def model_hub(tmp_path, monkeypatch):
    """Run a hub whose model has the ``files`` that a test gives it, and an empty cache."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), ModelHub)
    server.files, server.faults, server.transfers, server.listings = {}, [], 0, 0
    server.cache = tmp_path / "cache"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(server.cache))
    monkeypatch.setattr("mmroute.hub.PAUSES", (0.01, 0.02, 0.04, 0.08))
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
