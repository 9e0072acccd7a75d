"""What a server decides is what the router does, and each request is answered or refused, once."""

import base64
import io
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from drawn_router import questions
from PIL import Image

from mmroute.errors import InputError
from mmroute.serving.upstreams import read_upstreams


def said(text, **more):
    return {"model": "auto", "messages": [{"role": "user", "content": text}], **more}


def picture(width=8, height=8):
    buffer = io.BytesIO()
    Image.new("L", (width, height)).save(buffer, "PNG")
    url = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}


def test_it_decides_as_the_router_does_for_many_at_once(serve):
    client, router, _ = serve(places={})
    asked = questions(60, seed=3)
    hows = [{}, {"trade_off_usd": 40}, {"trade_off": 0.3, "models": ["small", "middle"]}]

    def ask(number):
        return client.post("/route", json=said(asked[number], mmroute=hows[number % 3]))

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(60)))
    for number, answer in enumerate(answers):
        assert answer.status_code == 200, answer.text
        told, expected = answer.json(), router.route(asked[number], **hows[number % 3])
        assert told["model"] == answer.headers["x-mmroute-model"] == expected.model
        assert told["utility"] == pytest.approx(expected.utility, rel=1e-5)
        assert told["cost_usd"] == pytest.approx(expected.cost_usd, rel=1e-5)
        assert told["ms"] > 0
    assert "among 2 of 4 models" in answers[2].json()["reason"]
    assert "less 40 for each predicted USD" in answers[1].json()["reason"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("acme/llama3:8b", "acme/llama3:8b"),
        ('ü "x", y\r\nz: 1', "%C3%BC%20%22x%22%2C%20y%0D%0Az:%201"),
    ],
    ids=["usual", "hostile"],
)
def test_a_header_names_the_model_in_what_a_header_can_hold(serve, name, told):
    mixture = {"first": name, "second": name, "share": 0.0}
    prices = dict.fromkeys(("usd_per_1m_prompt_tokens", "usd_per_1m_completion_tokens"), 1.0)
    model = {"model": name, "utility": 0.5, "cost_usd": 0.1} | prices
    client, _, _ = serve(places={}, router=None, row=name, models=[model], mixture=mixture)
    answer = client.post("/route", json=said("Count?"))
    assert (answer.json()["model"], answer.headers["x-mmroute-model"]) == (name, told)


def test_an_image_goes_to_models_that_see(serve):
    client, _, _ = serve(places={"small": {"vision": False}, "large": {}})
    only = {"models": ["small"]}
    assert client.post("/route", json=said("Count?", mmroute=only)).json()["model"] == "small"
    seen = said([picture(), {"type": "text", "text": "Count?"}])
    assert client.post("/route", json=seen).json()["model"] == "large"
    refused = client.post("/route", json=seen | {"mmroute": only})
    assert refused.status_code == 400
    assert "none of small takes images" in refused.json()["error"]["message"]


def test_a_completion_is_forwarded_as_it_came(serve, models, monkeypatch):
    monkeypatch.setenv("SMALL_KEY", "secret")
    own = {"key_variable": "SMALL_KEY", "name": "small-2026"}
    client, _, _ = serve(places={"small": own})
    body = said("What is 2 + 2?", temperature=0.5, mmroute={"models": ["small"]})
    answer = client.post("/v1/chat/completions", json=body)
    assert answer.json()["choices"][0]["message"]["content"] == "It is 4."
    assert answer.headers["x-mmroute-model"] == "small"
    ((request, headers),) = models.requests
    expected = {key: value for key, value in body.items() if key != "mmroute"}
    assert request == expected | {"model": "small-2026"}
    assert headers["Authorization"] == "Bearer secret"
    assert "secret" not in client.get("/metrics").text + answer.text


def test_a_stream_is_passed_on_event_by_event(serve, models):
    client, _, budget = serve(budget=6.0)
    with client.stream("POST", "/v1/chat/completions", json=said("Count?", stream=True)) as answer:
        lines = [line for line in answer.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    told = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    # Nobody asked for the usage, which is needed for the budget.
    assert [event["choices"][0]["delta"]["content"] for event in told] == ["to", "gether"]
    assert budget.spent_usd == pytest.approx(models.usd)
    wanted = said("Count?", stream=True, stream_options={"include_usage": True})
    assert '"usage"' in client.post("/v1/chat/completions", json=wanted).text


@pytest.mark.parametrize("fault", ["500", "429", "401", "nonsense", "empty", "stall"])
@pytest.mark.parametrize("stream", [False, True])
def test_another_model_is_asked_where_one_gives_no_answer(serve, models, fault, stream):
    client, router, budget = serve(budget=8.0)
    first = client.post("/route", json=said("Count these?")).json()["model"]
    models.does = lambda name, request: fault if name == first else "answer"
    answer = client.post("/v1/chat/completions", json=said("Count these?", stream=stream))
    assert answer.status_code == 200, answer.text
    expected = router.route(
        "Count these?",
        models=[name for name in router.models if name != first],
    )
    asked = [request["model"] for request, _ in models.requests]
    assert asked.count(first) <= 1
    assert len(asked) == len(set(asked))
    assert models.answered["Count these?"] == 1
    assert budget.n_queries == 1
    assert expected.model in router.models


def test_a_stream_that_has_begun_is_never_asked_again(serve, models):
    client, _, _ = serve()
    models.does = lambda name, request: "break"
    answer = client.post("/v1/chat/completions", json=said("Count?", stream=True))
    lines = [line for line in answer.text.split("\n\n") if line]
    assert json.loads(lines[0].removeprefix("data: "))["choices"]
    assert json.loads(lines[1].removeprefix("data: "))["error"]["code"] == "broke_off"
    assert len(models.requests) == 1


def test_where_no_model_answers_this_is_said(serve, models):
    client, _, budget = serve(budget=6.0)
    models.does = lambda name, request: "503"
    answer = client.post("/v1/chat/completions", json=said("Count?"))
    assert answer.status_code == 502
    for name in ("small", "middle", "large", "blind"):
        assert f"{name}: status 503" in answer.json()["error"]["message"]
    assert (budget.n_queries, budget.spent_usd) == (0, pytest.approx(0))


def test_a_request_at_fault_itself_is_refused_as_the_model_does(serve, models):
    client, _, budget = serve(budget=6.0)
    models.does = lambda name, request: "400"
    for stream in (False, True):
        answer = client.post("/v1/chat/completions", json=said("Count?", stream=stream))
        assert (answer.status_code, answer.json()) == (400, {"error": {"message": "no"}})
    assert len(models.requests) == 2
    assert budget.n_queries == 0


def test_a_model_can_be_named_and_one_that_is_not_there_cannot(serve):
    client, _, _ = serve(places={"small": {}, "middle": {}})
    named = said("Count?") | {"model": "middle"}
    answer = client.post("/v1/chat/completions", json=named)
    assert answer.headers["x-mmroute-model"] == "middle"
    refused = client.post("/v1/chat/completions", json=said("Count?") | {"model": "large"})
    assert refused.status_code == 400
    assert "no model 'large' here; there are: small, middle" in refused.text
    listed = client.get("/v1/models").json()["data"]
    assert [model["id"] for model in listed] == ["auto", "small", "middle"]


def test_a_budget_is_never_exceeded(serve, models):
    client, _, budget = serve(budget=4.5)
    for number in range(60):
        answer = client.post("/v1/chat/completions", json=said(f"Prove {number}?"))
        assert answer.status_code == 200
    assert budget.n_queries == 60
    assert budget.spent_usd == pytest.approx(models.usd)
    assert models.usd <= 4.5 / 1000 * 80
    refused = client.post("/v1/chat/completions", json=said("A?", mmroute={"trade_off": 0.1}))
    assert "the server keeps a budget of its own" in refused.text


def test_a_query_that_would_exceed_the_budget_is_refused(serve, models):
    client, _, budget = serve(budget=4.5)
    budget.paid(budget.route("Prove?"), 10.0)
    answer = client.post("/v1/chat/completions", json=said("Count?"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "budget_spent")
    assert models.requests == []
    assert (budget.n_queries, budget.spent_usd) == (1, pytest.approx(10.0))


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b"{", 400, "no JSON"),
        (b"[]", 400, "no object"),
        (b"{}", 400, "is no list of messages"),
        (b'{"messages": NaN}', 400, "no JSON"),
        (b"[" * 100_000, 400, "no JSON, nested too deep"),
        (b'{"a":' + b"[" * 200 + b"]" * 200 + b"}", 400, "nested deeper than 100"),
        (b"[" + b"{}," * 300_000 + b"{}]", 413, "more than 200,000 values"),
        (b'"' + b"x" * 6_000_000 + b'"', 413, "larger than 5,000,000 bytes"),
        (b'{"messages": ' + b"9" * 5000 + b"}", 400, "no JSON"),
        (b'{"seed": ' + b"9" * 400 + b"}", 400, "a number too large"),
        (b'{"temperature": 1e999}', 400, "a number too large"),
        (json.dumps(said("\ud800")).encode(), 400, "no text in UTF-8"),
        (json.dumps(said("A?", mmroute={"trade_off": "1"})).encode(), 400, "is no number"),
        (json.dumps(said("A?", mmroute={"trade_off": -1})).encode(), 400, "at least 0"),
        (json.dumps(said("A?", mmroute={"better": 1})).encode(), 400, "none of its options"),
        (json.dumps(said("A?", mmroute={"models": "small"})).encode(), 400, "no list of names"),
        (json.dumps(said("A?", mmroute={"models": []})).encode(), 400, "is empty"),
        (json.dumps(said("A?", mmroute={"dataset": 3})).encode(), 400, "dataset: 3 is no text"),
        (json.dumps(said([picture(7000, 6000)])).encode(), 400, "more than 30,000,000 pixels"),
        (json.dumps(said([picture(4000, 4000)] * 2)).encode(), 400, "more than 30,000,000 pix"),
    ],
)
def test_what_is_hostile_is_refused_and_the_others_are_answered(serve, body, status, told):
    client, router, _ = serve(places={})
    json_type = {"Content-Type": "application/json"}
    refused = client.post("/route", content=body, headers=json_type)
    assert refused.status_code == status
    assert told in refused.json()["error"]["message"]
    answer = client.post("/route", json=said("Count?"))
    assert answer.json()["model"] == router.route("Count?").model


def test_ten_thousand_messages_are_one_query(serve):
    client, router, _ = serve(places={})
    body = said("Count?")
    body["messages"] = [{"role": "assistant", "content": "x"}] * 10_000 + body["messages"]
    assert client.post("/route", json=body).json()["model"] == router.route("Count?").model


def test_a_request_that_does_not_arrive_ends(serve):
    client, _, _ = serve(places={})
    with socket.create_connection((client.base_url.host, client.base_url.port), 10) as wire:
        wire.sendall(
            b"POST /route HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            b"Content-Length: 100\r\n\r\n{"
        )
        assert b"408" in wire.recv(1000)


def test_a_server_that_is_stopped_says_so(serve, models, monkeypatch):
    monkeypatch.setattr("mmroute.serving.listening.GRACE_SECONDS", 0.3)
    client, _, _ = serve()
    models.does = lambda name, request: "stall"
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.post, "/v1/chat/completions", json=said("Count?"))
        while not models.requests:
            time.sleep(0.01)
        client.stop()
        answer = asked.result()
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "stops")


@pytest.mark.parametrize("wrong", ["yes", [1], 3])
def test_options_of_a_stream_that_are_none_are_refused(serve, models, wrong):
    client, _, budget = serve(budget=6.0)
    answer = client.post(
        "/v1/chat/completions", json=said("Count?", stream=True, stream_options=wrong)
    )
    assert answer.status_code == 400
    assert "stream_options" in answer.json()["error"]["message"]
    assert (budget.n_queries, models.requests) == (0, [])


def test_a_text_is_read_as_far_as_it_decides(serve):
    client, router, _ = serve(places={})
    long = "Count the words of " + "a long text " * 10_000
    told = client.post("/route", json=said(long)).json()
    assert told["utility"] == pytest.approx(router.route(long).utility, rel=1e-5)
    assert told["utility"] == client.post("/route", json=said(long[:100_000])).json()["utility"]


def test_only_json_is_taken_so_that_no_page_can_ask_unasked(serve):
    client, _, _ = serve(places={})
    answer = client.post("/route", content=b"{}", headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "content_type")


def test_it_tells_of_itself(serve, models):
    client, _, _ = serve(budget=6.0)
    client.post("/v1/chat/completions", json=said("Count?"))
    assert client.get("/health").json()["status"] == "ok"
    told = client.get("/metrics").text
    assert 'mmroute_requests_total{path="/v1/chat/completions",status="200"} 1.0' in told
    assert "mmroute_decision_seconds_count 1.0" in told
    assert f"mmroute_spent_usd {models.usd}" in told
    assert client.get("/docs").status_code == 404


def test_without_upstreams_nothing_is_forwarded(serve):
    client, _, _ = serve(places={})
    answer = client.post("/v1/chat/completions", json=said("Count?"))
    assert answer.status_code == 404
    assert "it only decides" in answer.text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("upstreams: {huge: {url: 'http://a/v1'}}", "no model 'huge' in the pool; it has: small"),
        ("upstreams: {small: {url: 'file:///a'}}", "upstreams.small.url"),
        ("upstreams: {small: {url: 'http://u:p@a/'}}", "upstreams.small.url"),
        ("upstreams: {small: {url: 'http://a', key: x}}", "upstreams.small.key: unknown key"),
        ("upstreams: {}", "upstreams"),
        ("upstreams: {small: {url: 'http://a', key_variable: NONE_SUCH}}", "NONE_SUCH: holds no"),
        ("upstreams: {small: {url: 'http://a', key_variable: TWO_LINES}}", "TWO_LINES: holds no"),
    ],
)
def test_a_file_of_upstreams_that_is_wrong_is_refused(tmp_path, monkeypatch, text, told):
    monkeypatch.setenv("TWO_LINES", "a\nX-Header: b")
    path = tmp_path / "upstreams.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=told):
        read_upstreams(path, ["small", "middle"])
