"""Whether traffic that is like the labels raises no alarm, and traffic that is not raises one."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mmroute import persistence
from mmroute.decision.card import SEEN
from mmroute.decision.drift import Calibration, Drift, Seen, in_words, look, read_seen
from mmroute.decision.shadow import Traffic, drifted
from mmroute.decision_log import Decision, Log
from mmroute.errors import InputError

WIDTH = 12
NAMES = ("chat", "maths", "=charts")


def drawn(generator, size, only=None, shift=0.0):
    """Features of queries of three data sets, and what they are."""
    dataset = generator.integers(len(NAMES), size=size) if only is None else np.full(size, only)
    centres = np.random.default_rng(5).normal(size=(len(NAMES), WIDTH))
    features = 2 * centres[dataset] + generator.normal(size=(size, WIDTH)) + shift
    samples = pd.DataFrame(
        {
            "dataset": np.array(NAMES)[dataset],
            "question": [
                "secret " * (5 + number % 7) for number in generator.integers(99, size=size)
            ],
            "image": pd.Series([None] * size, dtype=object),
        }
    )
    return features, samples


def calibrated(generator, size, error=0.0, ratio=1.0, times=1):
    """Of answers that are right as often as predicted but for an error, and costs likewise."""
    u_hat, foreseen = generator.uniform(0.3, 0.8, size), generator.lognormal(0, 1, size)
    utility = (generator.random(size) < u_hat + error).astype(float)
    paid = ratio * foreseen * generator.lognormal(-0.125, 0.5, size)
    each = np.repeat(np.arange(size), times)
    return Calibration.of(utility[each], u_hat[each], paid[each], foreseen[each], each)


def told(seed, n_labels=600, n_queries=300, error=0.0, ratio=1.0, times=1, **moved):
    generator = np.random.default_rng(seed)
    seen = Seen.of(*drawn(generator, n_labels), calibrated(generator, n_labels))
    features, samples = drawn(generator, n_queries, **moved)
    own = calibrated(generator, n_queries, error, ratio, times)
    return look(seen, seen.project(features, samples), own, seed)


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 10])
def test_traffic_like_the_labels_seldom_raises_an_alarm(times):
    alarms = [told(seed, times=times).alarms for seed in range(400)]
    # 5 %, and two standard errors of 400 looks.
    assert np.mean([bool(own) for own in alarms]) <= 0.072


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"only": 1}, "queries"),
        ({"shift": 0.35}, "queries"),
        ({"error": -0.2}, "utility"),
        ({"ratio": 1.5}, "cost"),
    ],
    ids=["one data set", "a shift", "worse answers", "dearer calls"],
)
def test_traffic_that_is_not_raises_one(change, name):
    alarms = [told(seed, **change).alarms for seed in range(20)]
    assert np.mean([name in own for own in alarms]) >= 0.9


def test_labels_without_structure_are_as_far_apart_as_queries_are_from_them():
    looks = []
    for seed in range(10):
        features = np.random.default_rng(seed).normal(size=(1100, 600))
        samples = pd.DataFrame({"dataset": "A", "question": ["word"] * 1100, "image": None})
        seen = Seen.of(features[:800], samples[:800], Calibration())
        own = seen.project(features[800:], samples[800:])
        looks.append(look(seen, own, Calibration(), seed))
    assert np.mean([bool(told.alarms) for told in looks]) <= 0.2
    assert 0.9 < np.mean([told.queries.covered for told in looks]) < 0.99


def test_the_words_name_what_is_new_and_what_is_covered():
    words = "\n".join(in_words(told(0, only=2)))
    assert words.startswith("DRIFT: 300 queries are others than the labels")
    near = re.search(r"nearest to =charts: (\d+)\.\d% of them, 3\d\.\d% of the labels", words)
    assert int(near[1]) > 80
    assert "% of them, in another mix" in words
    far = told(0, shift=30.0)
    assert far.queries.covered < 0.01
    assert told(0).queries.covered > 0.9
    assert "no drift is seen in 300 queries" in "\n".join(in_words(told(1)))
    said = "\n".join(in_words(told(0, error=-0.3, ratio=2.0)))
    assert "DRIFT: answers were better than predicted by -" in said
    assert "DRIFT: calls have cost" in said
    assert "measure it anew" in said


def test_too_few_queries_tell_nothing():
    few = told(0, n_queries=20)
    assert few == Drift(None, Calibration(), few.expected)
    assert few.alarms == []
    assert "is not told" in in_words(few)[0]


def test_errors_and_ratios_are_as_defined():
    generator = np.random.default_rng(3)
    utility, u_hat, paid, foreseen = generator.random((4, 200))
    own = Calibration.of(utility, u_hat, paid, foreseen)
    assert own.error == pytest.approx((utility - u_hat).mean())
    assert own.ratio == pytest.approx(paid.sum() / foreseen.sum())
    drawn = generator.integers(200, size=(2000, 200))
    ratios = paid[drawn].sum(axis=1) / foreseen[drawn].sum(axis=1)
    assert np.sqrt(own.ratio_variance / 200) == pytest.approx(ratios.std(), rel=0.1)
    assert own.differs(own) == (1.0, 1.0)
    each = np.arange(200).repeat(10)
    often = Calibration.of(*(row[each] for row in (utility, u_hat, paid, foreseen)), each)
    for name in ("error", "ratio"):
        assert getattr(often, name) == pytest.approx(getattr(own, name), rel=1e-12)
    for name in ("variance", "ratio_variance"):
        # Of a mean over ten times as many that tell no more.
        assert getattr(often, name) == pytest.approx(10 * getattr(own, name), rel=1e-12)


def test_a_description_holds_numbers_and_no_text(tmp_path):
    generator = np.random.default_rng(0)
    seen = Seen.of(*drawn(generator, 300), calibrated(generator, 300))
    persistence.write(tmp_path / SEEN, seen.to_content())
    assert b"secret" not in (tmp_path / SEEN).read_bytes()
    read = read_seen(tmp_path)
    for name, own in vars(seen).items():
        np.testing.assert_array_equal(getattr(read, name), own)
    assert read_seen(tmp_path / "older") is None


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": np.full(300, 3)},
        {"dataset": np.zeros(299, int)},
        {"vectors": np.full((300, WIDTH + 3), np.nan, np.float32)},
        {"basis": np.zeros((WIDTH, 2))},
        {"centre": np.zeros(3)},
        {"calibration": {"n_queries": -1}},
        {"calibration": {"other": 1}},
        {"calibration": 3},
        {"vectors": "text"},
        {"more": 1},
        {"vectors": np.full((300, WIDTH + 3), 3e38, np.float32)},
        {"dataset": np.zeros(3000, int), "vectors": np.zeros((3000, WIDTH + 3), np.float32)},
    ],
    ids=range(12),
)
def test_what_is_no_description_is_refused(tmp_path, change):
    generator = np.random.default_rng(0)
    seen = Seen.of(*drawn(generator, 300), Calibration())
    persistence.write(tmp_path / SEEN, seen.to_content() | change)
    with pytest.raises(InputError, match=r"seen\.safetensors: no description of what was seen"):
        read_seen(tmp_path)


def test_features_of_another_router_are_refused():
    generator = np.random.default_rng(0)
    features, samples = drawn(generator, 300)
    seen = Seen.of(features, samples, Calibration())
    with pytest.raises(InputError, match=rf"describes {WIDTH} features, where .* by {WIDTH - 1}"):
        seen.project(features[:, 1:], samples)


def test_an_error_of_rounding_is_no_alarm():
    before, now = (Calibration(300, own, 1e-33, 1 + own, 1e-33) for own in (0.0, 2e-16))
    assert now.ratio != before.ratio
    assert now.differs(before) == (1, 1)
    assert replace(now, error=0.1).differs(before) == (0, 1)


def test_names_of_data_sets_make_no_line_of_their_own():
    drift = told(0, only=2)
    shares = {f"\nno drift {name}": own for name, own in drift.queries.shares.items()}
    lines = in_words(replace(drift, queries=replace(drift.queries, shares=shares)))
    assert any(r"nearest to \nno drift =charts" in line for line in lines)
    assert not any("\n" in line for line in lines)


def test_a_log_is_held_against_what_was_seen():
    generator = np.random.default_rng(0)
    features, samples = drawn(generator, 900)
    seen = Seen.of(features, samples, Calibration(300, 0.0, 0.25, 1.0, 1.0))
    decisions = [
        Decision(id=f"q{row}", time=datetime.now(UTC), model="small") for row in range(200)
    ]
    log = Log(
        decisions, {(one.id, "small"): {"utility": 0.0, "cost_usd": 1.0} for one in decisions}
    )
    target, number = np.arange(200) % 2, np.full((200, 2), 1.0)
    traffic = Traffic(
        *(["small", "large"], ["small"] * 200, 0 * target, target),
        *(number, number, target, np.arange(200), np.ones(200, bool)),
    )
    queries = samples[["question", "image"]].iloc[:200].set_axis([one.id for one in decisions])
    router = SimpleNamespace(features=lambda asked, threads: np.zeros((len(asked), WIDTH)))
    drift = drifted(router, seen, traffic, log, queries)
    # Where the router chooses as was logged, all answers were wrong that it is sure of.
    assert drift.calibration.n_queries == 100
    assert drift.calibration.error == -1
    assert drift.queries.n_queries == 200
    assert {"queries", "utility"} <= set(drift.alarms)
    again = drifted(router, seen, replace(traffic, group=np.arange(200) // 2), log, queries)
    assert (again.queries.n_queries, again.calibration.n_queries) == (100, 100)
    few = drifted(router, seen, replace(traffic, group=np.arange(200) // 10), log, queries)
    assert few == Drift(None, Calibration(), seen.calibration)
    elsewhere = drifted(router, seen, replace(traffic, as_exported=target > 0), log, queries)
    assert elsewhere.calibration == Calibration()
    assert "queries" in elsewhere.alarms
    assert drifted(router, seen, traffic, log, None).queries is None
    assert drifted(router, None, traffic, log, queries) is None
    assert json.dumps(drift.p_values)
