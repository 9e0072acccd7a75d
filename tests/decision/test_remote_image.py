"""An image is fetched from public addresses only, in time and in size."""

import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mmroute.decision import remote_image
from mmroute.decision.messages import query_of
from mmroute.decision.remote_image import fetch
from mmroute.errors import InputError

CONTENT = bytes(range(256)) * 4


class Answers(BaseHTTPRequestHandler):
    """Gives the image, leads elsewhere, never ends, or drips."""

    def do_GET(self):
        what, _, rest = self.path[1:].partition("?")
        if what in ("image", "cut"):
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT) + (what == "cut")))
            self.end_headers()
            self.wfile.write(CONTENT)
        elif what == "to":
            self.send_response(302)
            self.send_header("Location", rest)
            self.end_headers()
        elif what == "drip":
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):
                for _ in range(100):
                    self.wfile.write(b"x")
                    time.sleep(0.05)
        else:
            self.send_error(404)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def public(monkeypatch):
    """Take 127.0.0.1 for public, as the server is there."""
    looked = remote_image._is_public
    monkeypatch.setattr(
        remote_image, "_is_public", lambda address: address == "127.0.0.1" or looked(address)
    )


def test_an_image_is_fetched_where_it_is_allowed(server, public):
    assert fetch(f"{server}/image") == CONTENT
    assert fetch(f"{server}/to?/image") == CONTENT
    part = {"type": "image_url", "image_url": {"url": f"{server}/image"}}
    messages = [{"role": "user", "content": [part]}]
    assert query_of(messages, network=True).images == [CONTENT]
    with pytest.raises(InputError, match="would have to be fetched"):
        query_of(messages)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("/gone", "answered with status 404"),
        ("/cut", "IncompleteRead|cut off"),
        ("/to?/to?/to?/to?/to?/image", "redirected more than 3 times"),
        ("/to?file:///etc/passwd", "neither http nor https"),
        ("/to?http://[::1]/", "::1, which is not public"),
        ("/to?http://169.254.169.254/", "169.254.169.254, which is not public"),
    ],
)
def test_what_is_no_image_is_said(server, public, url, told):
    with pytest.raises(InputError, match=told):
        fetch(server + url)


def test_it_has_limits_of_size_and_time(server, public, monkeypatch):
    monkeypatch.setattr(remote_image, "LARGEST_IMAGE", len(CONTENT) - 1)
    with pytest.raises(InputError, match="more than 1,023 bytes"):
        fetch(f"{server}/image")
    monkeypatch.setattr(remote_image, "SECONDS", 0.3)
    began = time.monotonic()
    with pytest.raises(InputError, match="cannot be fetched"):
        fetch(f"{server}/drip")
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "64:ff9b::101:101"])
def test_public_addresses_are(address):
    assert remote_image._is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/a",
        "http://localhost/a",
        "http://10.0.0.1/a",
        "https://192.168.1.1:8443/a",
        "http://[::ffff:10.0.0.1]/a",
        "http://[64:ff9b::7f00:1]/a",
        "http://0.0.0.0/a",
        "http://2130706433/a",
        "http://224.0.0.1/a",
        "http://100.64.0.1/a",
        "http:///a",
        "http://127.0.0.1:99999/a",
    ],
)
def test_nothing_behind_the_own_wall_is_asked(url):
    with pytest.raises(InputError, match="which is not public|out of range|neither http"):
        fetch(url)
