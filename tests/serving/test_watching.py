"""Whether drift of served traffic is told, and seldom where there is none."""

import json
import logging
import time

import numpy as np
import pandas as pd
import pytest
from drawn_router import questions
from prometheus_client import CollectorRegistry, Gauge

import mmroute
from mmroute.decision.drift import Calibration, Seen
from mmroute.decision_log import DecisionLog
from mmroute.serving import watching
from mmroute.serving.recording import Learning
from mmroute.serving.watching import WINDOW, Watch

WIDTH = 12


def samples_of(texts):
    empty = pd.Series([None] * len(texts), dtype=object)
    return pd.DataFrame({"dataset": "drawn", "question": texts, "image": empty}, dtype=object)


def traffic(generator, size, shift=0.0):
    """Features of queries, and what they are."""
    features = generator.normal(size=(size, WIDTH)) + shift
    lengths = generator.integers(5, 12, size)
    return features, samples_of(["word " * length for length in lengths])


def outcomes(generator, size, error=0.0):
    """Utility, prediction, cost and foreseen cost of some queries."""
    u_hat, foreseen = generator.uniform(0.3, 0.8, size), generator.lognormal(0, 1, size)
    utility = (generator.random(size) < u_hat + error).astype(float)
    return utility, u_hat, foreseen * generator.lognormal(-0.125, 0.5, size), foreseen


def watch_of(generator, n_labels=1000):
    labels = traffic(generator, n_labels)
    seen = Seen.of(*labels, Calibration.of(*outcomes(generator, n_labels)))
    return Watch(seen, Gauge("drift", "", ["of"], registry=CollectorRegistry()))


def look(watch, generator, shift=0.0, error=0.0, n_outcomes=WINDOW):
    features, samples = traffic(generator, WINDOW, shift)
    watch.saw(samples, features)
    for told in zip(*outcomes(generator, n_outcomes, error), strict=True):
        watch.came(*told)
    watch.look()
    return watch.alarms


def test_an_alarm_stands_once_two_looks_in_a_row_find_drift(caplog):
    generator = np.random.default_rng(0)
    watch = watch_of(generator)
    found = [
        list(look(watch, generator, shift, error))
        for shift, error in [(0, 0), (0.5, 0), (0, 0), (0.5, 0), (0.5, -0.3), (0, -0.3), (0, 0)]
    ]
    assert found == [[], [], [], [], ["queries"], ["utility"], []]
    told = [record.getMessage() for record in caplog.records]
    assert [line.split(";")[0] for line in told] == [
        "drift: found by two looks in a row: queries",
        "drift: found by two looks in a row: utility",
        "drift: none",
    ]
    assert "DRIFT: 500 queries are others than the labels" in told[0]


def test_a_check_that_has_too_few_outcomes_waits_for_more():
    generator = np.random.default_rng(0)
    watch = watch_of(generator)
    alarms = [list(look(watch, generator, error=-0.4, n_outcomes=30)) for _ in range(5)]
    # 60 outcomes by the second look, and 60 others by the fourth.
    assert alarms == [[], [], [], ["utility"], ["utility"]]
    assert watch.tell()["alarms"] == ["utility"]


@pytest.mark.slow
def test_traffic_like_the_labels_seldom_raises_an_alarm():
    raised = n_looks = 0
    for seed in range(30):
        generator = np.random.default_rng(seed)
        watch = watch_of(generator)
        for _ in range(10):
            before = watch.alarms
            raised += bool(set(look(watch, generator)) - set(before))
            n_looks += 1
    # 1 %: see docs/in_use.md for what was measured of more.
    assert raised <= 0.01 * n_looks


def test_what_is_looked_at_is_what_the_router_read(drawn):
    router = mmroute.load_router(drawn())
    texts = questions(40, seed=2)
    samples = samples_of(texts)
    features = router.features(samples)
    seen = Seen.of(features, samples, Calibration())
    watch = Watch(seen, Gauge("drift", "", ["of"], registry=CollectorRegistry()))
    router.watch = watch.saw
    for text in texts:
        router.foresee_one(text, None)
    np.testing.assert_allclose(np.array(watch._vectors), seen.project(features, samples), atol=1e-4)


def test_a_description_of_other_features_fails_no_decision(serve, caplog):
    generator = np.random.default_rng(0)
    seen = Seen.of(*traffic(generator, 100), Calibration())
    client, _, _ = serve(places={}, learning=Learning(seen=seen))
    body = {"messages": [{"role": "user", "content": "Count?"}]}
    for _ in range(2):
        assert client.post("/route", json=body).status_code == 200
    told = [own.getMessage() for own in caplog.records if own.levelno == logging.ERROR]
    assert told == ["drift is not told: the folder describes other features"]
    assert client.get("/drift").json()["alarms"] is None


def test_of_a_query_that_is_asked_again_and_again_one_counts():
    generator = np.random.default_rng(0)
    watch, (features, samples) = watch_of(generator), traffic(generator, 60)
    for again in range(8):
        watch.saw(samples, features * (1 + 1e-8 * again))
    watch.look()
    assert watch.tell()["words"][1].startswith("no drift is seen in 60 queries")


def test_a_server_tells_that_its_queries_are_others(
    serve, drawn, models, monkeypatch, tmp_path, caplog
):
    monkeypatch.setattr(watching, "PAUSE", 0.05)
    monkeypatch.setattr(watching, "WINDOW", 60)
    router = mmroute.load_router(drawn())
    samples = samples_of(questions(300, seed=1)).assign(dataset="\x1b[2J<b>")
    seen = Seen.of(router.features(samples), samples, Calibration())
    learning = Learning(DecisionLog(tmp_path / "log.jsonl"), seen=seen)
    client, _, _ = serve(places={}, learning=learning)
    assert client.get("/drift").json()["words"] == ["nothing was looked at: 0 queries of 60"]
    assert "mmroute_drift{" not in client.get("/metrics").text

    def tell(number):
        text = f"Sing {number} times {'la ' * (number % 7)}"
        body = {"messages": [{"role": "user", "content": text}]}
        assert client.post("/route", json=body).status_code == 200

    for number in range(130):
        tell(number)
        if number % 60 == 59:
            time.sleep(0.3)
    for _ in range(100):
        told = client.get("/drift").json()
        if told["alarms"]:
            break
        time.sleep(0.05)
    assert told["alarms"] == ["queries"]
    assert told["words"][0] == "drift: found by two looks in a row: queries; the last look:"
    assert told["words"][1].startswith("DRIFT: 60 queries are others than the labels")
    assert told["looked"]
    assert 'mmroute_drift{of="queries"} 1.0' in client.get("/metrics").text
    said = [own.getMessage() for own in caplog.records if "found by two looks" in own.getMessage()]
    assert len(said) == 1
    assert "\x1b" not in said[0]
    assert json.dumps(told)
