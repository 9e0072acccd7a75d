"""What a router would have earned on logged traffic, told in words, and what is not told."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from drawn_router import questions

import mmroute
from mmroute.decision.card import folder_digest
from mmroute.decision.deployed import Decisions
from mmroute.decision.shadow import (
    Traffic,
    foreseen,
    groups_of,
    in_words,
    queries_of,
    shadow,
    tells_repeated,
)
from mmroute.decision_log import Decision, DecisionLog, Log, Outcome, read_log
from mmroute.errors import InputError
from mmroute.predictions import Predictions

MODELS = ["small", "large"]
PRICE = np.array([1e-3, 4e-3])
UNIT = 4e-3


class Router:
    """Predicts one number of each query, given as its text: how surely ``large`` is worth it."""

    models, allowed, goes_by_predictions = MODELS, np.ones(2, bool), True
    card = SimpleNamespace(unit_usd=UNIT)

    def threshold(self, budget, trade_off):
        return 0.5 if trade_off is None else trade_off

    def foresee(self, queries, threads):
        worth = queries["question"].str.split().str[0].astype(float).to_numpy()
        utility = np.stack([np.full(len(worth), 0.5), worth], axis=1)
        cost = np.tile(PRICE / UNIT, (len(worth), 1))
        return Predictions(pd.Series(queries.index), utility[None], cost[None])

    def choose(self, predictions, threshold, allowed):
        utility = np.where(allowed, predictions.u_hat[0], -1)
        choice = (utility[:, 1] > threshold).astype(int)
        choice[~allowed[:, 0]] = 1
        return Decisions(MODELS, choice, predictions.u_hat[0], predictions.c_hat[0] * UNIT)


def traffic(folder, share, n_queries=2000, with_texts=True, different=10**9, **facts):
    """A log of ``small`` but for a share at random; each tenth of worth has its own truth."""
    generator = np.random.default_rng(0)
    log = DecisionLog(folder / "log.jsonl", with_texts=with_texts)
    for number in range(n_queries):
        worth = generator.integers(10) / 10
        right = generator.random(2) < [0.4, worth]
        random = generator.random() < share
        model = int(generator.integers(2)) if random else 0
        propensity = share / 2 + (1 - share) * (model == 0)
        told = {"propensity": propensity, "text": f"{worth} {number % different}"} | facts
        log.write(Decision(id=f"q{number}", time=datetime.now(UTC), model=MODELS[model], **told))
        paid = {"cost_usd": PRICE[model], "correct": bool(right[model])}
        log.write(Outcome(id=f"q{number}", **paid))
    return read_log(log.path)


# Of worth .6 to .9 it takes large, which is then right on .75; of the others small.
ACCURACY, COST = 0.6 * 0.4 + 0.4 * 0.75, 1000 * (0.6 * PRICE[0] + 0.4 * PRICE[1])


def rows(told):
    return {name.strip(): (value, low, high) for name, value, low, high in told.rows}


def test_random_traffic_tells_what_the_router_would_have_earned(tmp_path):
    log = traffic(tmp_path, share=0.5)
    router = Router()
    own = Traffic.of(router, log, foreseen(router, "", log, queries_of(log, None)))
    told = shadow(own, log, best="large")
    for title, truth in (("accuracy", ACCURACY), ("USD per 1,000 queries", COST)):
        assert not told[title].refusal
        found = rows(told[title])
        for name in ("the router, SNIPS", "the router, doubly robust"):
            _, low, high = found[name]
            assert low <= truth <= high, name
            assert high - low < 0.15 * truth
    _, low, high = rows(told["accuracy"])["less large alone"]
    assert low <= ACCURACY - 0.45 <= high
    words = in_words(own, log, told)
    assert "the router would have called: small" in words
    assert "effective sample size" in words


def test_a_log_of_one_model_tells_nothing_but_what_it_would_take(tmp_path):
    log = traffic(tmp_path, share=0.0)
    router = Router()
    own = Traffic.of(router, log, foreseen(router, "", log, queries_of(log, None)))
    told = shadow(own, log)["accuracy"]
    assert "another model was sure to be called" in told.refusal
    assert "Send a share of the traffic to a random one of the 2 models" in told.refusal
    found = rows(told)
    assert set(found) == {
        "as logged",
        f"the router, replayed on the {(own.target == 0).sum():,} queries that tell it",
        "the router, as it predicts: no measurement",
    }
    assert np.isnan(found["the router, as it predicts: no measurement"][1])


def test_what_is_known_of_every_choice_is_a_measurement(tmp_path):
    log = traffic(tmp_path, share=0.0, n_queries=50)
    router = Router()
    own = Traffic.of(router, log, foreseen(router, "", log, queries_of(log, None)))
    for row in np.flatnonzero(own.target):
        log.add(f"q{row}", "large", {"utility": 1.0}, "")
    value, low, high = rows(shadow(own, log)["accuracy"])["the router, replayed on all queries"]
    told = [log.outcomes[f"q{row}", MODELS[own.target[row]]]["utility"] for row in range(50)]
    assert value == pytest.approx(np.mean(told))
    assert low < value < high


@pytest.mark.parametrize(("share", "n_queries"), [(0.5, 20), (0.02, 500)])
def test_too_little_overlap_is_refused(tmp_path, share, n_queries):
    log = traffic(tmp_path, share, n_queries)
    router = Router()
    own = Traffic.of(router, log, foreseen(router, "", log, queries_of(log, None)))
    told = shadow(own, log)["accuracy"]
    assert "too little overlaps" in told.refusal
    assert not any("SNIPS" in name for name, *_ in told.rows)


@pytest.mark.parametrize(
    ("how", "n_groups"), [({"different": 20}, 200), ({"group": "chat"}, 1)], ids=["text", "group"]
)
def test_a_question_that_came_often_tells_as_one(tmp_path, how, n_groups):
    log, router = traffic(tmp_path, share=0.5, **how), Router()
    own = Traffic.of(router, log, foreseen(router, "", log, queries_of(log, None)))
    told = shadow(own, log)["accuracy"]
    # One of ten worths and one of twenty numbers make a text.
    assert len(np.unique(own.group)) == n_groups
    words = in_words(own, log, {"accuracy": told})
    assert f", in {n_groups} group" in words
    assert "groups of queries" in (told.refusal if n_groups == 1 else words)
    own = replace(own, group=np.arange(2000))
    low, high = rows(shadow(own, log)["accuracy"])["as logged"][1:]
    assert rows(told)["as logged"][1:] != (low, high)


def test_texts_and_images_tell_which_queries_are_the_same(tmp_path):
    now, content = datetime.now(UTC), {"a.png": b"1", "b.png": b"1", "c.png": b"2"}
    for name, own in content.items():
        (tmp_path / name).write_bytes(own)
    log = Log([Decision(id=f"q{row}", time=now, model="small") for row in range(5)])
    images = [str(tmp_path / name) for name in content] + [None, None]
    queries = pd.DataFrame(
        {"question": "Why?", "image": images}, [one.id for one in log.decisions], dtype=object
    )
    assert groups_of(log, queries).tolist() == [0, 0, 1, 2, 2]
    assert groups_of(log, None).tolist() == [0, 1, 2, 3, 4]
    log.decisions[1:3] = [
        one.model_copy(update={"group": "chat", "dataset": name})
        for one, name in zip(log.decisions[1:3], ("x", "x"), strict=True)
    ]
    assert groups_of(log, None).tolist() == [0, 1, 1, 2, 3]
    assert groups_of(log, queries).tolist() == [0, 0, 0, 1, 1]


def test_propensities_are_estimated_only_if_asked(tmp_path):
    log = traffic(tmp_path, share=0.5, propensity=None)
    router = Router()
    own = Traffic.of(router, log, foreseen(router, "", log, queries_of(log, None)))
    assert "2,000 of 2,000 decisions have no propensity" in shadow(own, log)["accuracy"].refusal
    estimated = own.estimating_propensities()
    expected = np.where(own.logged == 0, 0.75, 0.25)
    np.testing.assert_allclose(estimated.propensity, expected, atol=0.08)
    told = shadow(estimated, log)["accuracy"]
    _, low, high = rows(told)["the router, SNIPS"]
    assert low <= ACCURACY <= high


def test_propensities_of_a_model_that_was_seldom_called_are_not_estimated(tmp_path):
    log, router = traffic(tmp_path, share=0.0, propensity=None, n_queries=50), Router()
    log.decisions[3] = log.decisions[3].model_copy(update={"model": "large"})
    own = Traffic.of(router, log, foreseen(router, "", log, queries_of(log, None)))
    with pytest.raises(InputError, match=r"model large was called in 1 .* 5 are needed .* log the"):
        own.estimating_propensities()


def test_propensities_that_are_too_small_are_refused(tmp_path):
    log, router = traffic(tmp_path, share=0.5, propensity=0.25), Router()
    own = Traffic.of(router, log, foreseen(router, "", log, queries_of(log, None)))
    told = shadow(own, log)["accuracy"]
    assert "propensities are too small, or outcomes are told of some models" in told.refusal
    assert "Send a share" not in told.refusal
    assert not any("SNIPS" in name for name, *_ in told.rows)


def test_a_single_model_that_was_no_candidate_is_not_compared_with(tmp_path):
    log, router = traffic(tmp_path, share=0.5), Router()
    # Too few to be told by weights.
    log.decisions = [
        one.model_copy(update={"candidates": ("small",)})
        if number < 20 and one.model == "small"
        else one
        for number, one in enumerate(log.decisions)
    ]
    own = Traffic.of(router, log, foreseen(router, "", log, queries_of(log, None)))
    found = rows(shadow(own, log, best="large")["accuracy"])
    assert "the router, SNIPS" in found
    assert "less large alone" not in found
    assert "less small alone" in rows(shadow(own, log, best="small")["accuracy"])


def test_choices_are_as_exported_only_among_all_models_at_the_exported_threshold(tmp_path):
    log, router = traffic(tmp_path, share=0.5, n_queries=20), Router()
    given = [("small",), ("small", "large"), ("other", "small", "large"), ()]
    log.decisions = [
        one.model_copy(update={"candidates": given[number % 4], "model": "small"})
        for number, one in enumerate(log.decisions)
    ]
    predictions = foreseen(router, "", log, queries_of(log, None))
    own = Traffic.of(router, log, predictions)
    assert own.as_exported.tolist() == [False, True, True, True] * 5
    assert not Traffic.of(router, log, predictions, trade_off=0.5).as_exported.any()
    # An image leaves fewer models, on the labels too.
    possible = np.tile([True, False], (20, 1))
    assert Traffic.of(router, log, replace(predictions, possible=possible)).as_exported.all()


def test_it_is_said_where_repeated_questions_cannot_be_told(tmp_path, drawn):
    models = mmroute.load_router(drawn()).models
    log, amounts = DecisionLog(tmp_path / "log.jsonl"), dict.fromkeys(models, 0.5)
    known = {"router": folder_digest(drawn()), "utility": amounts, "cost_usd": amounts}
    log.write(Decision(id="q", time=datetime.now(UTC), model=models[0], **known))
    command = [sys.executable, "-m", "mmroute.cli", "shadow", str(drawn()), str(log.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = "repeated questions count as different; intervals are too narrow if there are any; log"
    assert said in done.stderr
    found = read_log(log.path)
    assert tells_repeated(found, pd.DataFrame())
    for fact in ({"text": "Why?"}, {"group": "chat"}):
        assert tells_repeated(Log([found.decisions[0].model_copy(update=fact)]), None)


def test_a_router_chooses_among_the_models_that_could_be_called(tmp_path):
    log = traffic(tmp_path, 0.0, 50, candidates=("small", "other"))
    router = Router()
    own = Traffic.of(router, log, foreseen(router, "", log, queries_of(log, None)))
    assert (own.target == 0).all()
    log.decisions = [one.model_copy(update={"candidates": ("other",)}) for one in log.decisions]
    with pytest.raises(InputError, match=r"'q0': its candidates are no models of the router"):
        Traffic.of(router, log, foreseen(router, "", log, queries_of(log, None)))


def test_models_that_the_router_does_not_know_may_have_been_called(tmp_path):
    log = traffic(tmp_path, share=0.5)
    log.decisions = [
        one.model_copy(update={"model": "other"}) if number % 2 else one
        for number, one in enumerate(log.decisions)
    ]
    router = Router()
    own = Traffic.of(router, log, foreseen(router, "", log, queries_of(log, None)))
    assert (own.logged[1::2] == -1).all()
    assert "other 50.0%" in in_words(own, log, shadow(own, log))


def test_logged_predictions_of_the_same_router_need_no_text(tmp_path):
    logged = {"router": "abc", "utility": {"small": 0.5, "large": 0.9}}
    logged |= {"cost_usd": dict(zip(MODELS, PRICE.tolist(), strict=True))}
    log = traffic(tmp_path, 0.5, 20, with_texts=False, **logged)
    router = Router()
    predictions = foreseen(router, "abc", log, None)
    np.testing.assert_allclose(predictions.u_hat[0], np.tile([0.5, 0.9], (20, 1)))
    np.testing.assert_allclose(predictions.c_hat[0], np.tile(PRICE / UNIT, (20, 1)))
    assert queries_of(log, None) is None
    with pytest.raises(InputError, match=r"neither this router's predictions .* --queries"):
        foreseen(router, "another", log, None)
    queries = pd.DataFrame({"question": "0.9"}, index=[f"q{i}" for i in range(19)])
    with pytest.raises(InputError, match=r"'q19' \(1 of 20\) is not among the queries"):
        queries_of(log, queries)


def test_a_budget_is_kept_as_by_a_server(tmp_path, drawn):
    router, limit, asked = mmroute.load_router(drawn()), 4.0, questions(300, seed=5)
    generator, log = np.random.default_rng(0), DecisionLog(tmp_path / "log.jsonl", with_texts=True)
    budget, chosen = mmroute.Budget(router, limit), []
    for row, text in enumerate(asked):
        answer = budget.route(text)
        chosen.append(router.models.index(answer.model))
        model = str(generator.choice(router.models))
        log.write(Decision(id=f"q{row}", time=datetime.now(UTC), model=model, text=text))
        # All calls have cost half more than was foreseen; of some it is known.
        usd = 1.5 * answer.cost_usd[model]
        log.write(Outcome(id=f"q{row}", model=model, cost_usd=usd))
        if model == answer.model:
            budget.paid(answer, usd)
    found = read_log(log.path)
    queries = queries_of(found, None)
    told = foreseen(router, "", found, queries)
    own = Traffic.of(router, found, told, queries, budget=limit)
    assert own.target.tolist() == chosen
    assert own.kept is True
    assert not own.as_exported.any()
    at_one_threshold = router.choose(told, router.threshold(limit)).choice
    assert (own.target != at_one_threshold).mean() > 0.1
    assert Traffic.of(router, found, told, queries).kept is None


def test_hostile_names_do_not_steer_a_terminal(tmp_path):
    log = traffic(tmp_path, 0.5, 50)
    log.decisions = [one.model_copy(update={"model": "\x1b[2J<script>"}) for one in log.decisions]
    router = Router()
    own = Traffic.of(router, log, foreseen(router, "", log, queries_of(log, None)))
    assert "\x1b" not in in_words(own, log, shadow(own, log))


def test_queries_are_read_with_their_ids(tmp_path):
    from mmroute.cli import _queries

    path = tmp_path / "q.jsonl"
    path.write_text(json.dumps({"id": "q1", "text": "Why?"}) + "\n")
    assert _queries(path).loc["q1", "question"] == "Why?"
    for line in ({"text": "Why?"}, {"id": 3, "text": "Why?"}, {"id": "q1", "text": "Why?"}):
        path.write_text(json.dumps({"id": "q1", "text": "a"}) + "\n" + json.dumps(line) + "\n")
        with pytest.raises(InputError, match=r"q\.jsonl, line 2: id is"):
            _queries(path)
