"""What a server writes down can be read back, and tells what the router's choices earn."""

import errno
import os
import re
import subprocess
import sys
import time
from base64 import b64encode
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from random import Random

import numpy as np
import pytest
from drawn_router import picture, questions
from typer.testing import CliRunner

from mmroute import Budget, load_router
from mmroute.cli import app
from mmroute.decision.card import folder_digest
from mmroute.decision_log import DecisionLog, read_log
from mmroute.serving import recording
from mmroute.serving.exploring import Draw
from mmroute.serving.recording import Learning

PROVED = {"small": 0.2, "middle": 0.5, "large": 0.9, "blind": 0.4}
COUNTED = {"small": 0.9, "middle": 0.9, "large": 0.95, "blind": 0.9}
"""How often an answer is right (simulated)."""


@pytest.fixture
def logged(serve, tmp_path):
    """Return what starts a server with a log, and returns a client, router, budget and log."""

    def start(log=None, with_texts=False, share=0.0, seed=0, **how):
        own = log or DecisionLog(tmp_path / "log.jsonl", with_texts)
        learning = Learning(own, "digest", random_share=share, random=Random(seed))
        return *serve(learning=learning, **how), own

    return start


def said(text, **more):
    return {"model": "auto", "messages": [{"role": "user", "content": text}], **more}


def ask(client, text, **more):
    answer = client.post("/v1/chat/completions", json=said(text, **more))
    assert answer.status_code == 200, answer.text
    return answer


def test_a_decision_is_a_line_with_what_was_foreseen_and_paid(logged, models):
    client, router, _, log = logged(share=0.0)
    how = {"models": ["small", "large"], "trade_off_usd": 40, "dataset": "sums"}
    answer = ask(client, "Count?", mmroute=how)
    ((one,), expected) = read_log(log.path).decisions, router.route("Count?", **how)
    assert one.id == answer.headers["x-mmroute-id"]
    assert one.model == expected.model == answer.headers["x-mmroute-model"]
    assert one.candidates == ("small", "large")
    assert one.utility == pytest.approx(expected.utility, rel=1e-5)
    assert one.cost_usd == pytest.approx(expected.cost_usd, rel=1e-5)
    assert one.foreseen_usd == one.cost_usd[one.model]
    assert one.paid_usd == pytest.approx(models.usd_of[one.model])
    assert 0 < one.latency_s < 5
    assert (one.propensity, one.router, one.row) == (1.0, "digest", router.card.row)
    assert one.trade_off == one.threshold == pytest.approx(40 * router.card.unit_usd)
    assert (one.budget, one.dataset, one.text) == (None, "sums", None)
    assert "Count?" not in log.path.read_text()


def test_texts_and_digests_of_images_are_logged_only_if_that_is_asked_for(logged, tmp_path):
    client, _, _, log = logged(with_texts=True)
    files = [picture(tmp_path / f"{seed}.png", seed).read_bytes() for seed in range(2)]
    urls = [f"data:image/png;base64,{b64encode(content).decode()}" for content in files]
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    ask(client, [*parts, {"type": "text", "text": "Count?"}])
    ask(client, "Prove?")
    pictured, plain = read_log(log.path).decisions
    assert (pictured.text, plain.text, plain.image_digest) == ("Count?", "Prove?", None)
    assert len(pictured.image_digest.split("//")) == 2


def test_what_is_only_decided_is_logged_too(logged):
    client, _, _, log = logged(share=1.0)
    told = client.post("/route", json=said("Count?")).json()
    (one,) = read_log(log.path).decisions
    assert (told["id"], told["model"]) == (one.id, one.model)
    assert one.propensity == 1 / 4
    assert one.paid_usd is one.latency_s is None
    outcome = {"id": one.id, "correct": True, "cost_usd": 0.002, "latency_s": 1.5}
    assert client.post("/outcome", json=outcome).status_code == 200
    known = {"utility": 1.0, "cost_usd": 0.002, "latency_s": 1.5}
    assert read_log(log.path).outcomes == {(one.id, one.model): known}


@pytest.mark.parametrize("stream", [False, True])
def test_the_model_called_first_is_the_decision_and_another_one_an_outcome(logged, models, stream):
    client, router, _, log = logged(share=0.4)
    first = router.route("Count?").model
    models.does = lambda name, request: "500" if name == first else "answer"
    while True:
        answer = ask(client, "Count?", stream=stream)
        one = read_log(log.path).decisions[-1]
        if one.model == first:
            break
    assert one.id == answer.headers["x-mmroute-id"]
    assert one.propensity == pytest.approx(0.4 / 4 + 0.6)
    assert one.candidates == tuple(router.models)
    assert one.paid_usd is one.latency_s is None
    other = answer.headers["x-mmroute-model"]
    assert other != first
    client.post("/outcome", json={"id": one.id, "correct": False})
    told = read_log(log.path).outcomes
    assert told[one.id, other]["utility"] == 0
    assert told[one.id, other]["cost_usd"] == pytest.approx(models.usd_of[other])
    assert told[one.id, first] == {}


@pytest.mark.parametrize(("stream", "fault"), [(True, "break"), (False, "503"), (False, "400")])
def test_a_call_without_a_whole_answer_tells_no_outcome(logged, models, stream, fault):
    client, _, _, log = logged()
    models.does = lambda name, request: fault
    client.post("/v1/chat/completions", json=said("Count?", stream=stream))
    for _ in range(100):
        if log.path.exists() and log.path.stat().st_size:
            break
        time.sleep(0.02)
    found = read_log(log.path)
    (one,) = found.decisions
    assert one.paid_usd is one.latency_s is None
    assert list(filter(None, found.outcomes.values())) == []
    answer = client.post("/outcome", json={"id": one.id, "correct": True})
    assert answer.status_code == 404


def test_a_stream_is_in_the_log_before_it_ends(logged):
    client, _, _, log = logged()
    for number in range(5):
        ask(client, "Count?", stream=True)
        assert len(read_log(log.path).decisions) == number + 1


def test_what_is_told_of_a_decision_can_be_read_back_whatever_is_told(logged):
    client, _, _, log = logged()
    name = ask(client, "Count?").headers["x-mmroute-id"]

    def tell(**told):
        answer = client.post("/outcome", json=told)
        return answer.status_code, answer.json().get("error", {}).get("message", "")

    assert tell(id=name, correct=True) == (200, "")
    written = log.path.read_bytes()
    assert tell(id=name, utility=1.0) == (200, "")
    assert log.path.read_bytes() == written
    status, message = tell(id=name, correct=False)
    assert (status, "utility: was 1 of" in message) == (409, True)
    status, message = tell(id=name, cost_usd=0.5)
    assert (status, "cost_usd: was" in message) == (409, True)
    assert tell(id=name, model="large\n", correct=True)[0] == 400
    assert tell(id=name)[0] == tell(id=name, utility=2)[0] == tell(id=name, time="now")[0] == 400
    status, message = tell(id="q17", correct=True)
    assert (status, "to a file of outcomes" in message) == (404, True)
    assert log.path.read_bytes() == written
    assert len(read_log(log.path).decisions) == 1


def test_only_the_last_decisions_take_outcomes(logged, monkeypatch):
    monkeypatch.setattr(recording, "MOST_OPEN", 2)
    client, _, _, _ = logged()
    names = [ask(client, "Count?").headers["x-mmroute-id"] for _ in range(3)]
    told = [client.post("/outcome", json={"id": name, "correct": True}) for name in names]
    assert [answer.status_code for answer in told] == [404, 200, 200]


def test_many_at_once_have_lines_and_ids_of_their_own(logged):
    client, _, _, log = logged(share=0.5)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda text: ask(client, text), questions(200, seed=5)))
    called = {answer.headers["x-mmroute-id"]: answer for answer in answers}
    decisions = read_log(log.path).decisions
    assert len(decisions) == len(called) == 200
    for one in decisions:
        assert called[one.id].headers["x-mmroute-model"] == one.model


class Disk(DecisionLog):
    """One that is full, or slow, for a while."""

    fault = 0.0

    def write(self, entry):
        if self.fault < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        time.sleep(self.fault)
        super().write(entry)


def test_a_full_disk_fails_no_request_and_is_said_once(logged, tmp_path, caplog):
    client, _, _, log = logged(Disk(tmp_path / "log.jsonl"))
    log.fault = -1.0
    for _ in range(3):
        name = ask(client, "Count?").headers["x-mmroute-id"]
    refused = client.post("/outcome", json={"id": name, "correct": True})
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "log")
    assert "mmroute_log_failures_total 4.0" in client.get("/metrics").text
    log.fault = 0.0
    name = ask(client, "Count?").headers["x-mmroute-id"]
    assert client.post("/outcome", json={"id": name, "correct": True}).status_code == 200
    told = [own.getMessage() for own in caplog.records if own.name == recording.__name__]
    assert len(told) == 2
    assert "lines of the decision log are lost" in told[0]
    assert "No space left on device" in told[0]
    assert told[1] == "the decision log is written again; 4 lines are lost"
    assert len(read_log(log.path).decisions) == 1


def test_a_disk_that_stalls_holds_up_no_decision(logged, tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "PATIENCE", 0.1)
    monkeypatch.setattr(recording, "MOST_WAITING", 3 * recording.LINE)
    client, _, _, log = logged(Disk(tmp_path / "log.jsonl"))
    ask(client, "Count?")
    log.fault = 1.0
    began = time.monotonic()
    for _ in range(5):
        ask(client, "Count?")
    assert time.monotonic() - began < 2.5
    # Three waited, and the others were too many.
    assert "mmroute_log_failures_total 2.0" in client.get("/metrics").text
    log.fault = 0.0
    for _ in range(100):
        if len(read_log(log.path).decisions) == 4:
            break
        time.sleep(0.05)
    assert len(read_log(log.path).decisions) == 4


def test_a_draw_is_as_likely_as_it_says():
    random, allowed = Random(1), np.array([True, False, True, True])
    drawn, propensity = Counter(), {}
    for _ in range(20_000):
        draw = Draw(0.3, random)
        model = draw(2, allowed)
        drawn[model] += 1
        assert draw.is_own == (model == 2)
        propensity[model] = draw.propensity
    assert propensity == pytest.approx({0: 0.1, 2: 0.8, 3: 0.1})
    for model, share in propensity.items():
        # Four standard errors.
        assert drawn[model] / 20_000 == pytest.approx(share, abs=4 * np.sqrt(share / 20_000))


def test_a_draw_is_among_what_the_budget_can_afford(drawn):
    router = load_router(drawn())
    budget, masks = Budget(router, 4.5), []

    def dearest(chosen, allowed):
        masks.append(allowed.copy())
        assert allowed[chosen]
        prices = np.array([model.cost_usd for model in router.card.models])
        return int(np.where(allowed, prices, -1).argmax())

    for text in questions(150, seed=2):
        predictions = router.foresee_one(text, None)
        decisions = budget.decide(predictions, dearest)
        budget.paid(decisions[0], router.card.models[int(decisions.choice[0])].cost_usd)
        assert budget.spent_usd <= 4.5 / 1000 * (budget.n_queries + 20) * 1.01
    # It drew the dearest until that was beyond, and then where there was room again.
    large = np.array(masks)[:, router.models.index("large")]
    assert large[:10].all()
    assert 0 < large[20:].mean() < 1


def test_a_random_share_keeps_the_budget_and_its_propensities(logged, models):
    client, _, budget, log = logged(share=0.6, budget=4.5)
    budget.paid(budget.route("Prove?"), 0.09)
    for number in range(60):
        ask(client, f"Prove {number}?")
    assert budget.spent_usd == pytest.approx(models.usd + 0.09)
    assert budget.spent_usd <= 4.5 / 1000 * (61 + 20)
    decisions = read_log(log.path).decisions
    assert {one.budget for one in decisions} == {4.5}
    for one in decisions:
        drawn = 0.6 / len(one.candidates)
        assert min(abs(one.propensity - drawn), abs(one.propensity - drawn - 0.4)) < 1e-12
    # Not all could always be afforded.
    assert len({one.candidates for one in decisions}) > 1


@pytest.mark.slow
def test_the_log_tells_what_the_router_earns(logged, drawn, models, tmp_path):
    client, router, _, log = logged(share=0.3, seed=4)
    digest = folder_digest(drawn())
    generator, asked = np.random.default_rng(7), questions(600, seed=9)
    for text in asked:
        answer = ask(client, text)
        right = PROVED if text.startswith("Prove") else COUNTED
        correct = bool(generator.random() < right[answer.headers["x-mmroute-model"]])
        told = {"id": answer.headers["x-mmroute-id"], "correct": correct}
        assert client.post("/outcome", json=told).status_code == 200
    own = [(text, router.route(text).model) for text in asked]
    truth = {
        "accuracy": 100
        * np.mean(
            [(PROVED if text.startswith("Prove") else COUNTED)[model] for text, model in own]
        ),
        "USD per 1,000 queries": 1000 * np.mean([models.usd_of[model] for _, model in own]),
    }
    log.path.write_text(log.path.read_text().replace('"digest"', f'"{digest}"'))
    command = [sys.executable, "-m", "mmroute.cli", "shadow", str(drawn()), str(log.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for part in done.stdout.split("\n\n"):
        title = part.strip().partition(", known of")[0]
        if title not in truth:
            continue
        for name in ("SNIPS", "doubly robust"):
            found = re.search(rf"the router, {name} +\S+  \((\S+?)%? to (\S+?)%?\)", part)
            low, high = map(float, found.groups())
            assert low <= truth[title] <= high, (title, name)
            assert high - low < 0.35 * truth[title]
    assert sum(title in done.stdout for title in truth) == 2


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--random-share", "0.1"], "--random-share: nothing is learnt without a decision log"),
        (["--log-texts"], "--log-texts: nothing is learnt without a decision log"),
        (["--log", "log.yaml"], "named .jsonl"),
        (["--log", "no/log.jsonl"], "no file in a folder that is there"),
    ],
)
def test_options_that_make_no_sense_are_refused(drawn, options, told):
    done = CliRunner().invoke(app, ["serve", str(drawn()), *options])
    assert done.exit_code != 0
    assert told in " ".join(done.output.split())


def test_of_usage_that_is_told_again_and_again_the_last_counts(logged, models):
    client, _, _, log = logged()
    models.does = lambda name, request: "counts on"
    assert ask(client, "Count?", stream=True).text.rstrip().endswith("[DONE]")
    (one,) = read_log(log.path).decisions
    assert one.paid_usd == pytest.approx(models.usd_of[one.model])
