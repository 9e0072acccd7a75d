"""A router in use is asked with candidates, images, messages and a price, by many at once."""

import asyncio
import base64
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn_router import MODELS, picture, questions
from typer.testing import CliRunner

import mmroute
from mmroute.cli import app
from mmroute.decision.budget import ADVANCE
from mmroute.decision.deployed import Routed
from mmroute.errors import InputError

BLIND = {"blind": ["blind"]}


@pytest.fixture
def router(drawn):
    return mmroute.load_router(drawn(**BLIND))


@pytest.fixture
def image(tmp_path):
    return picture(tmp_path / "image.png", 7)


def url_of(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def said(*content):
    return [{"role": "user", "content": one} for one in content]


def same(one: Routed, other: Routed) -> bool:
    """Tell whether two answers agree, up to what a product of float32 in another order rounds."""
    return one.model == other.model and all(
        np.allclose(list(own.values()), list(told.values()), rtol=1e-5)
        for own, told in ((one.utility, other.utility), (one.cost_usd, other.cost_usd))
    )


def test_the_choice_among_candidates_is_the_policys_over_these_alone(router):
    for question in questions(30, seed=3):
        everything = router.route(question)
        for models in (["middle", "large"], ("small",), ["blind", "small", "middle"]):
            answer = router.route(question, models=models, trade_off=0.3)
            net = {
                name: min(max(everything.utility[name], 0), 1)
                - 0.3 * everything.cost_usd[name] / router.card.unit_usd
                for name in models
            }
            assert net[answer.model] == pytest.approx(max(net.values()))
            assert answer.utility == everything.utility


def test_candidates_are_of_the_pool_and_at_least_one(router):
    with pytest.raises(InputError, match="models: no model 'huge' in the pool; it has: small, mid"):
        router.route("What?", models=["small", "huge"])
    for models in ([], "small"):
        with pytest.raises(InputError, match=r"models: .* is no list of names"):
            router.route("What?", models=models)


def test_a_query_with_an_image_goes_to_models_that_see(router, image):
    answer = router.route("Count?", models=["blind", "large"])
    assert answer.model == "blind"
    assert router.route("Count?", image, models=["blind", "large"]).model == "large"
    with pytest.raises(InputError, match="query 1: has an image, and none of blind sees it"):
        router.route("Count?", image, models=["blind"])
    frame = pd.DataFrame({"question": ["Count?"] * 2, "image": [None, str(image)]})
    decisions = router.route_all(frame, models=["blind", "large"])
    assert [decisions[0].model, decisions[1].model] == ["blind", "large"]
    with pytest.raises(InputError, match="query 2: has an image"):
        router.route_all(frame, models=["blind"])


def test_without_blind_models_a_card_of_before_is_read(drawn, image):
    folder = drawn()
    assert "blind" not in json.loads((folder / "router.json").read_text())
    assert mmroute.load_router(folder).route("Count?", image, models=["blind"]).model == "blind"


def test_a_card_whose_blind_model_is_not_in_the_pool_is_refused(drawn):
    with pytest.raises(InputError, match="blind: names what is no model of the card"):
        mmroute.load_router(drawn(blind=["nobody"]))


def test_a_batch_keeps_to_what_each_query_can_be_asked_of(drawn, tmp_path):
    router = mmroute.load_router(drawn(limit=None, listed_usd=0.005, **BLIND))
    asked = questions(40, seed=5)
    images = [str(picture(tmp_path / f"{row}.png", row)) if row % 2 else None for row in range(40)]
    frame = pd.DataFrame({"question": asked, "image": images})
    decisions = router.route_all(frame, models=["small", "large", "blind"])
    names = np.array(router.models)[decisions.choice]
    assert "middle" not in names
    assert "blind" not in names[1::2]
    assert "blind" in names[::2]


def test_a_model_left_out_stays_so_when_it_alone_is_available(drawn):
    router = mmroute.load_router(drawn(left_out=["large"], max_latency=2.0))
    with pytest.raises(InputError, match="models: large: left out by the router as too slow"):
        router.route("What?", models=["large"])
    assert router.route("What?", models=["large", "middle"]).model == "middle"


def test_a_mixture_gives_its_share_to_what_is_available(drawn, image):
    router = mmroute.load_router(drawn(None, **BLIND))
    asked = questions(30)
    whole = [router.route(question).model for question in asked]
    assert set(whole) == {"small", "middle"}
    assert {router.route(question, models=["middle", "large"]).model for question in asked} == {
        "middle"
    }
    # Of neither the best that is no dearer, and else the cheapest.
    assert router.route("What?", models=["large", "blind"]).model == "blind"
    assert router.route("What?", image, models=["large", "blind"]).model == "large"
    frame = pd.DataFrame({"question": asked})
    decisions = router.route_all(frame)
    assert [decisions[row].model for row in range(30)] == whole


def test_utility_per_usd_is_the_trade_off_at_the_cards_unit(router):
    for question in questions(20, seed=9):
        for usd in (0.0, 5.0, 60.0, 1000.0):
            expected = router.route(question, trade_off=usd * router.card.unit_usd)
            answer = router.route(question, trade_off_usd=usd)
            assert answer == expected
            net = {
                name: min(max(answer.utility[name], 0), 1) - usd * answer.cost_usd[name]
                for name in MODELS
            }
            assert net[answer.model] == pytest.approx(max(net.values()))
    with pytest.raises(InputError, match="trade_off and trade_off_usd: got both"):
        router.route("What?", trade_off=1, trade_off_usd=1)
    with pytest.raises(InputError, match="trade_off_usd: -1 is no number of at least 0"):
        router.route("What?", trade_off_usd=-1)


def test_one_by_one_it_answers_as_for_all_at_once(router, tmp_path):
    asked = questions(25, seed=11)
    images = [picture(tmp_path / f"{row}.png", row) if row % 3 == 0 else None for row in range(25)]
    frame = pd.DataFrame({"question": asked, "image": [one and str(one) for one in images]})
    decisions = router.route_all(frame, trade_off=0.2, models=["small", "large", "blind"])
    for row, (question, one) in enumerate(zip(asked, images, strict=True)):
        answer = router.route(question, one, trade_off=0.2, models=["small", "large", "blind"])
        assert same(answer, decisions[row])


def test_messages_are_what_the_user_says_last(router, image):
    parts = [
        {"type": "text", "text": "Count these?"},
        {"type": "image_url", "image_url": {"url": url_of(image), "detail": "low"}},
        {"type": "text", "text": "Be brief."},
    ]
    talk = [{"role": "system", "content": "You are X."}, *said("Hello"), *said(parts)]
    talk.append({"role": "assistant", "content": None, "tool_calls": []})
    assert router.route(messages=talk) == router.route("Count these?\nBe brief.", image)
    assert router.route(messages=said("Count?")) == router.route("Count?")
    with pytest.raises(InputError, match="messages: got text or an image, too"):
        router.route("Count?", messages=talk)


def test_an_image_earlier_in_the_conversation_still_has_to_be_seen(router, image):
    earlier = [{"type": "image_url", "image_url": {"url": url_of(image)}}]
    talk = said(earlier, "Count?")
    answer = router.route(messages=talk, models=["blind", "large"])
    assert answer.model == "large"
    assert answer.utility == router.route("Count?").utility


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([], "messages: .* is no list of messages"),
        ("Count?", "is no list of messages"),
        ({"role": "user"}, "is no list of messages"),
        (["Count?"], "message 1 is 'Count.' *; give an object with role and content"),
        ([{"role": "system", "content": "x"}], "none has the role user"),
        (said(3), "message 1 has the content 3; give text or a list"),
        (said([{"type": "input_audio", "input_audio": {}}]), "message 1 has the part"),
        (said([{"type": "text", "text": 3}]), "message 1 has the part"),
        (said([["deep"]]), "message 1 has the part"),
        (said(""), "neither text nor image"),
        (said("\ud800"), "no text in UTF-8"),
        (said([{"type": "image_url", "image_url": "/etc/passwd"}]), "is no URL; give a data: URL"),
        (said([{"type": "image_url", "image_url": "file:///etc/passwd"}]), "is no URL"),
        (said([{"type": "image_url", "image_url": "https://a.example/b.png"}]), "have to be fetch"),
        (said([{"type": "image_url", "image_url": "data:image/png,abc"}]), "not in base64"),
        (said([{"type": "image_url", "image_url": "data:image/png;base64,@"}]), "is no base64"),
        (said([{"type": "image_url", "image_url": "data:;base64,AAAA"}]), "cannot be decoded"),
    ],
)
def test_what_are_no_messages_is_said(router, messages, told):
    with pytest.raises(InputError, match=told):
        router.route(messages=messages)


def test_an_image_in_a_message_has_a_limit(router, monkeypatch, image):
    monkeypatch.setattr("mmroute.decision.messages.LARGEST_IMAGE", 100)
    talk = said([{"type": "image_url", "image_url": url_of(image)}])
    with pytest.raises(InputError, match="messages: an image of more than 100 bytes"):
        router.route(messages=talk)


def test_threads_and_coroutines_answer_as_one_by_one(drawn, router, tmp_path):
    asked = questions(48, seed=13)
    images = [picture(tmp_path / f"{row}.png", row) if row % 4 == 0 else None for row in range(48)]
    expected = [router.route(*query) for query in zip(asked, images, strict=True)]
    fresh = mmroute.load_router(drawn(**BLIND))
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(fresh.route, asked, images)) == expected

    async def all_at_once():
        return await asyncio.gather(*map(fresh.aroute, asked, images))

    assert asyncio.run(all_at_once()) == expected


def test_threads_share_a_budget(drawn):
    router = mmroute.load_router(drawn(**BLIND))
    budget = mmroute.Budget(router, 6.0)
    asked = questions(200, seed=17)

    def ask(question):
        answer = budget.route(question, models=["small", "large"])
        budget.paid(answer, answer.cost_usd[answer.model])
        return answer

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, asked))
    spent = sum(answer.cost_usd[answer.model] for answer in answers)
    assert budget.n_queries == 200
    assert budget.spent_usd == pytest.approx(spent)
    assert {answer.model for answer in answers} == {"small", "large"}
    assert spent <= 6.0 / 1000 * 220


def test_a_query_that_is_withdrawn_neither_counts_nor_costs(drawn):
    budget = mmroute.Budget(mmroute.load_router(drawn()), 6.0)
    kept = budget.route("Count?", models=["small"])
    failed = budget.route("Prove?", models=["large"])
    budget.paid(kept, 0.001)
    budget.withdraw(failed)
    assert (budget.n_queries, budget.spent_usd) == (1, pytest.approx(0.001))
    budget.withdraw(budget.route("Prove?", models=["large"]), 0.02)
    assert (budget.n_queries, budget.spent_usd) == (1, pytest.approx(0.021))
    with pytest.raises(InputError, match="-1 is no cost"):
        budget.withdraw(kept, -1)


@pytest.mark.parametrize(("price", "failing"), [(2.0, 0.0), (0.5, 0.0), (1.0, 1 / 3), (2.0, 1 / 3)])
def test_a_budget_is_kept_and_used_whatever_calls_cost_and_however_many_fail(drawn, price, failing):
    router = mmroute.load_router(drawn())
    budget, generator = mmroute.Budget(router, 4.0), np.random.default_rng(3)
    foreseen = router.foresee(pd.DataFrame({"question": questions(600, seed=9)}))
    usual = {model.model: model.cost_usd for model in router.card.models}
    billed, refused = 0.0, 0
    for row in range(600):
        while True:
            decided = budget.decide(foreseen.take(np.array([row])))
            answer = decided[0]
            if not decided.kept:
                budget.withdraw(answer)
                refused += 1
                break
            usd = price * usual[answer.model] * generator.lognormal(sigma=0.3)
            billed += usd
            if generator.random() < failing:
                budget.withdraw(answer, None)
                continue
            budget.paid(answer, usd)
            break
    answered = 600 - refused
    assert budget.n_queries == answered
    assert refused <= 12
    assert 0.95 * answered <= 1000 * billed / 4.0 <= 1.02 * answered + ADVANCE


def test_a_budget_recovers_from_one_call_that_was_an_exception(drawn):
    budget = mmroute.Budget(mmroute.load_router(drawn()), 4.0)
    budget.paid(budget.route("Count?"), 0.2)
    kept = []
    for number in range(500):
        answer = budget.route(f"Count {number}?")
        kept.append(budget.kept)
        if budget.kept:
            budget.paid(answer, answer.cost_usd[answer.model])
        else:
            budget.withdraw(answer)
    assert not kept[0]
    assert all(kept[-50:])


def test_a_budget_goes_by_what_is_available(drawn, image):
    budget = mmroute.Budget(mmroute.load_router(drawn(**BLIND)), 6.0)
    assert budget.route("Count?", image, models=["blind", "large"]).model == "large"
    assert budget.route(messages=said("Count?"), models=["blind"]).model == "blind"


def test_the_command_takes_the_same(drawn, tmp_path, image):
    folder = str(drawn(**BLIND))
    router = mmroute.load_router(folder)
    talk = said([{"type": "image_url", "image_url": url_of(image)}, {"type": "text", "text": "A?"}])
    for content in (talk, {"model": "auto", "messages": talk}):
        (tmp_path / "talk.json").write_text(json.dumps(content))
        command = [
            "--messages",
            str(tmp_path / "talk.json"),
            "--model",
            "large",
            "--model",
            "blind",
        ]
        expected = router.route(messages=talk, models=["large", "blind"], trade_off_usd=40)
        assert run("route", folder, *command, "--trade-off-usd", "40") == expected._asdict()
    (tmp_path / "queries.jsonl").write_text('{"text": "A?"}\n')
    told = run("route", folder, "--jsonl", str(tmp_path / "queries.jsonl"), "--model", "middle")
    assert told["model"] == "middle"


def run(*command):
    with pytest.MonkeyPatch.context() as patch:
        # In this process: a child with limits would take the test's output away.
        patch.setattr("mmroute.cli.go_on_confined", lambda limits: None)
        result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)
