import numpy as np
import pytest

from mmroute.sources.simulation.pool import (
    CHAT_TOKENS,
    POOL,
    completion_tokens,
    cost,
    prompt_tokens,
)


def test_completion_prices_are_those_of_table_s2():
    assert {model.name: model.completion_price for model in POOL} == {
        "gpt-5-2025-08-07": 10.00,
        "GeminiPro2-5": 5.00,
        "Claude3-7V_Sonnet": 15.00,
        "GeminiFlash2-5": 2.00,
        "gpt-5-nano-2025-08-07": 0.50,
        "InternVL3-78B": 0.70,
        "Qwen2.5-VL-72B-Instruct": 0.65,
        "Qwen2.5-VL-7B-Instruct": 0.07,
        "Gemma3-4B": 0.04,
        "Qwen2.5-VL-3B-Instruct": 0.03,
    }


def test_image_tokens_depend_on_the_family():
    tokens = dict(zip((model.name for model in POOL), prompt_tokens(0, 500, 400), strict=True))
    assert tokens["Qwen2.5-VL-3B-Instruct"] == CHAT_TOKENS + 18 * 15
    assert tokens["InternVL3-78B"] == CHAT_TOKENS + 2 * 256
    assert tokens["gpt-5-2025-08-07"] == CHAT_TOKENS + 70 + 140


def test_no_image_takes_no_tokens():
    assert set(prompt_tokens(40)) == {10 + CHAT_TOKENS}


def test_longer_questions_take_more_prompt_tokens():
    short, long = prompt_tokens(40, 300, 300), prompt_tokens(400, 300, 300)
    assert (long - short).tolist() == [90] * len(POOL)


def test_effort_lengthens_answers_and_reasoning_models_most():
    glance, labour = completion_tokens(np.array([0.0, 1.2]), np.zeros((2, len(POOL))))
    growth = dict(zip((model.name for model in POOL), labour / glance, strict=True))
    assert min(growth.values()) > 2
    assert min(growth["gpt-5-2025-08-07"], growth["GeminiPro2-5"]) > max(
        ratio for name, ratio in growth.items() if name not in ("gpt-5-2025-08-07", "GeminiPro2-5")
    )


def test_cost_is_in_dollars_per_million_tokens():
    million = np.full((1, len(POOL)), 1_000_000)
    expected = [model.prompt_price + model.completion_price for model in POOL]
    assert cost(million, million)[0] == pytest.approx(expected)
