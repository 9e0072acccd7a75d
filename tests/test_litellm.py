"""Through the real LiteLLM, with models that answer by rote, the plug-in chooses as the router."""

import asyncio
import base64
import inspect
import re
import shutil
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml
from drawn_router import MODELS, picture, questions

import mmroute
from mmroute.errors import InputError
from mmroute.litellm import MMRoute

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
PLUGIN = ROOT / "tests/examples/my_router_plugin.py"


@pytest.fixture(scope="module", autouse=True)
def litellm():
    """Import LiteLLM, which takes seconds, and let nothing reach the network."""

    def refuse(*_):
        raise OSError("a test tried the network")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        import litellm

        patch.setattr(litellm, "suppress_debug_info", True)
        yield litellm


@pytest.fixture
def router(drawn):
    return mmroute.load_router(drawn(blind=["blind"]))


@pytest.fixture
def gateway(litellm):
    """Return what makes a LiteLLM router of one group; a model says its name, or ``says``."""

    def make(plugin, names, says=None, **settings):
        group = [
            {
                "model_name": "auto",
                "litellm_params": {"model": name, "api_key": "any"}
                | {"mock_response": (says or {}).get(name, name)},
            }
            for name in names
        ]
        own = settings.pop("others", [])
        return litellm.Router(model_list=[*group, *own], plugins=[plugin], **settings)

    return make


def user(text, *parts):
    return [
        {"role": "user", "content": [{"type": "text", "text": text}, *parts] if parts else text}
    ]


def prefixed(names):
    return [f"openai/{name}" for name in names]


async def answer(gateway, messages, **more):
    answered = await gateway.acompletion(model="auto", messages=messages, **more)
    return answered.choices[0].message.content


def ask(gateway, messages, **more):
    return asyncio.run(answer(gateway, messages, **more))


@pytest.mark.parametrize("how", [{}, {"trade_off_usd": 40}, {"trade_off": 0.6}, {"budget": 9.0}])
def test_choices_are_the_routers(gateway, router, how):
    own = gateway(MMRoute(router, **how), prefixed(MODELS))
    asked = questions(150, seed=5)

    async def all_of_them():
        return [await answer(own, user(text)) for text in asked]

    expected = [f"openai/{router.route(text, **how).model}" for text in asked]
    assert asyncio.run(all_of_them()) == expected
    assert how or len(set(expected)) > 1


def test_many_ask_at_once(gateway, router):
    own = gateway(MMRoute(router), prefixed(MODELS))
    asked = questions(50, seed=6)

    async def together():
        return await asyncio.gather(*(answer(own, user(text)) for text in asked))

    assert asyncio.run(together()) == [f"openai/{router.route(text).model}" for text in asked]


def test_of_fewer_models_it_takes_the_best(gateway, router):
    for left in (("small", "middle"), ("middle", "blind"), ("small", "large", "blind")):
        own = gateway(MMRoute(router), prefixed(left))
        for text in questions(20, seed=7):
            assert ask(own, user(text)) == f"openai/{router.route(text, models=left).model}"


def test_an_image_goes_to_a_model_that_sees(gateway, router, tmp_path):
    content = base64.b64encode(picture(tmp_path / "a.png", 3).read_bytes()).decode()
    part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{content}"}}
    own = gateway(MMRoute(router), prefixed(("blind", "small")))
    assert ask(own, user("Count?", part)) == "openai/small"
    expected = router.route("Prove that?", models=["blind", "small"]).model
    assert ask(own, user("Prove that?")) == f"openai/{expected}"


def test_the_prediction_is_a_signal(gateway, router):
    metadata = {}
    ask(
        gateway(MMRoute(router), [*prefixed(MODELS), "openai/new"]),
        user("Count?"),
        metadata=metadata,
    )
    expected = router.route("Count?")
    assert metadata["routing_plugin_signals"]["mmroute"] == {
        "model": expected.model,
        "utility": pytest.approx(expected.utility[expected.model]),
        "cost_usd": pytest.approx(expected.cost_usd[expected.model]),
        "tried": [expected.model],
        "left_out": ["openai/new"],
    }


@pytest.mark.parametrize("error", ["litellm.RateLimitError", "litellm.InternalServerError"])
def test_the_best_of_the_rest_answers_where_a_model_fails(gateway, router, error):
    text = "Prove that word1 word2?"
    first = router.route(text).model
    rest = [name for name in MODELS if name != first]
    second = router.route(text, models=rest).model
    # The caller's metadata outlives its request, and the cool-down of a rate limit, too.
    metadata = {}
    own = gateway(MMRoute(router), prefixed(MODELS), {f"openai/{first}": error})
    for _ in range(3):
        assert ask(own, user(text), metadata=metadata) == f"openai/{second}"
        signal = metadata["routing_plugin_signals"]["mmroute"]
        assert signal["tried"] == [first, second]
    both = {f"openai/{name}": error for name in (first, second)}
    third = router.route(text, models=[name for name in rest if name != second]).model
    assert ask(gateway(MMRoute(router), prefixed(MODELS), both), user(text)) == f"openai/{third}"


def test_a_former_request_says_nothing_of_the_next(gateway, router):
    own, metadata = gateway(MMRoute(router), prefixed(MODELS)), {}
    first = ask(own, user("Count?"), metadata=metadata)
    assert ask(own, user("Count?"), metadata=metadata) == first


@pytest.mark.parametrize("sent", [{"mmroute": {"tried": [{}, "small"]}}, {"mmroute": 3}, 7])
def test_what_else_is_said_to_be_tried_does_no_harm(litellm, router, sent):
    context = litellm.types.router.RoutingContext(
        raw_messages=user("Count?"),
        structured_messages=user("Count?"),
        candidate_models=prefixed(MODELS),
        metadata={"previous_models": ["any"], "routing_plugin_signals": sent},
    )
    (left,) = asyncio.run(MMRoute(router).run(context)).candidate_models
    assert left.removeprefix("openai/") in MODELS


def test_a_model_that_is_unknown_is_left_out_and_told(gateway, router, caplog):
    own = gateway(MMRoute(router), ["openai/new", "openai/large", "openai/small"])
    for text in questions(10, seed=8):
        expected = router.route(text, models=["large", "small"]).model
        assert ask(own, user(text)) == f"openai/{expected}"
    told = [record.message for record in caplog.records if record.name == "mmroute"]
    assert told == [
        "LiteLLM's model 'openai/new' is none of the router's, and not chosen; name it in models"
    ]


def test_names_can_be_given(gateway, router):
    names = {"azure/eu": "small", "azure/us": "small", "openai/big": "large", "openai/new": None}
    own = gateway(MMRoute(router, names), names)
    for text in questions(10, seed=9):
        model = router.route(text, models=["small", "large"]).model
        expected = {name for name, mine in names.items() if mine == model}
        assert ask(own, user(text)) in expected
    shared = {ask(own, user("Count?")) for _ in range(40)}
    assert router.route("Count?", models=["small", "large"]).model == "small"
    assert shared == {"azure/eu", "azure/us"}


@pytest.mark.parametrize(
    ("names", "given", "message"),
    [
        (["openai/a", "openai/b"], {}, "knows none of openai/a, openai/b; it has: small, middle"),
        (["azure/small", "openai/small"], {}, "azure/small and openai/small may both be"),
        (
            ["azure/small", "openai/small"],
            {"azure/small": "small"},
            "azure/small and openai/small may both be",
        ),
    ],
)
def test_names_that_leave_open_what_they_are_are_refused(gateway, router, names, given, message):
    own = gateway(MMRoute(router, given), names)
    with pytest.raises(InputError, match=re.escape(message)) as raised:
        ask(own, user("Count?"))
    assert raised.value.status_code == 400


def test_a_name_may_end_in_two_of_the_routers(gateway, drawn):
    router = mmroute.load_router(drawn())
    router.models[:2] = ["meta/llama", "llama"]
    with pytest.raises(InputError, match="'groq/meta/llama' may be meta/llama or llama; say which"):
        ask(gateway(MMRoute(router), ["groq/meta/llama", "openai/large"]), user("Count?"))
    own = gateway(MMRoute(router), ["meta/llama", "openai/large"])
    assert ask(own, user("Count?")) in {"meta/llama", "openai/large"}


@pytest.mark.parametrize(
    ("given", "how", "message"),
    [
        ({"openai/gpt": "gpt"}, {}, "'openai/gpt' is to be 'gpt', which is not in the pool"),
        ({}, {"budget": 1.0, "trade_off": 0.5}, "budget and trade_off: got both"),
        ({}, {"trade_off_usd": -1}, "trade_off_usd: -1 is no number of at least 0"),
    ],
)
def test_what_cannot_be_is_refused_at_the_start(router, given, how, message):
    with pytest.raises(InputError, match=message):
        MMRoute(router, given, **how)


def test_a_request_that_cannot_be_decided_is_refused_or_falls_back(gateway, router):
    audio = {"type": "input_audio", "input_audio": {"data": "aa", "format": "wav"}}
    runs = Counter()

    class Counted(MMRoute):
        async def run(self, context):
            runs["run"] += 1
            return await super().run(context)

    with pytest.raises(InputError, match="mmroute cannot decide: messages: message 1 has the part"):
        ask(gateway(Counted(router), prefixed(MODELS)), user("Hear", audio))
    assert runs["run"] == 1
    others = [
        {
            "model_name": "any",
            "litellm_params": {"model": "openai/else", "api_key": "any", "mock_response": "else"},
        }
    ]
    own = gateway(MMRoute(router), prefixed(MODELS), others=others, fallbacks=[{"auto": ["any"]}])
    assert ask(own, user("Hear", audio)) == "else"
    url = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    assert ask(own, user("See", url)) == "else"


def test_tools_and_their_results_do_not_hinder(gateway, router):
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        *user("Count?"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "3"},
    ]
    own = gateway(MMRoute(router), prefixed(MODELS))
    assert ask(own, messages) == f"openai/{router.route('Count?').model}"


def test_the_proxy_takes_the_page_s_settings(litellm, drawn, tmp_path):
    page = (ROOT / "docs/gateways.md").read_text()
    (shown,) = re.findall(r"^```yaml\n(model_list.*?)^```", page, re.MULTILINE | re.DOTALL)
    settings = yaml.safe_load(shown)
    models = [one["litellm_params"]["model"] for one in settings["model_list"]]
    router = mmroute.load_router(drawn())
    for example, simulated in zip(dict.fromkeys(models), prefixed(router.models), strict=False):
        shown = shown.replace(
            f"model: {example},", f"model: {simulated}, mock_response: {simulated},"
        )
    settings = yaml.safe_load(shown)
    shutil.copy(PLUGIN, tmp_path)
    shutil.copytree(drawn(), tmp_path / "router")
    # As the proxy finds it, whose server needs packages that the plug-in does not.
    find = litellm.proxy.types_utils.utils.get_instance_fn
    paths = settings["router_settings"]["plugins"]
    settings["router_settings"]["plugins"] = [
        find(path, str(tmp_path / "config.yaml")) for path in paths
    ]
    (plugin,) = settings["router_settings"]["plugins"]
    assert isinstance(plugin, litellm.types.router.RoutingPlugin)
    assert inspect.iscoroutinefunction(plugin.run)
    own = litellm.Router(model_list=settings["model_list"], **settings["router_settings"])
    asked = questions(20, seed=10)
    left = [name for name in router.models if f"openai/{name}" in shown]
    for text in asked:
        assert ask(own, user(text)) == f"openai/{router.route(text, models=left).model}"


def test_the_plug_in_needs_no_litellm():
    code = "import sys; sys.modules['litellm'] = None; import mmroute.litellm"
    subprocess.run([sys.executable, "-c", code], check=True)
