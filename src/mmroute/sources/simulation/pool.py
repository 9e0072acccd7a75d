"""The ten models of the simulated pool: prices, image tokens, verbosity and skills."""

from typing import NamedTuple

import numpy as np


class Model(NamedTuple):
    """One simulated model.

    Attributes
    ----------
    name
        As in the columns of the MMR-Bench release.
    prompt_price
        USD per 1M prompt tokens. Assumed: the paper gives none.
    completion_price
        USD per 1M completion tokens (MMR Table S2).
    reading, knowledge, reasoning
        Skills in [0, 1], invented: the higher, the less such a demand harms.
    image_overhead, tile, tokens_per_tile
        An image of w x h pixels takes ``image_overhead + tokens_per_tile *
        ceil(w / tile) * ceil(h / tile)`` tokens; in the manner of the model's family.
    terse_tokens
        Completion tokens of an effortless answer.
    verbosity
        How the logarithm of the completion tokens grows with effort.
    """

    name: str
    prompt_price: float
    completion_price: float
    reading: float
    knowledge: float
    reasoning: float
    image_overhead: int
    tile: int
    tokens_per_tile: int
    terse_tokens: float
    verbosity: float


POOL = (
    Model("Qwen2.5-VL-3B-Instruct", 0.015, 0.03, 0.74, 0.34, 0.24, 0, 28, 1, 25, 1.0),
    Model("Qwen2.5-VL-7B-Instruct", 0.035, 0.07, 0.86, 0.48, 0.36, 0, 28, 1, 30, 1.1),
    Model("Qwen2.5-VL-72B-Instruct", 0.25, 0.65, 0.99, 0.66, 0.52, 0, 28, 1, 35, 1.2),
    Model("InternVL3-78B", 0.30, 0.70, 0.90, 0.76, 0.56, 0, 448, 256, 40, 1.2),
    Model("Gemma3-4B", 0.02, 0.04, 0.40, 0.38, 0.34, 0, 896, 256, 40, 1.1),
    Model("Claude3-7V_Sonnet", 3.00, 15.00, 0.58, 0.80, 0.72, 0, 27, 1, 60, 1.3),
    Model("gpt-5-nano-2025-08-07", 0.05, 0.50, 0.50, 0.52, 0.72, 70, 512, 140, 60, 1.2),
    Model("gpt-5-2025-08-07", 1.25, 10.00, 0.60, 0.94, 1.00, 70, 512, 140, 180, 2.2),
    Model("GeminiPro2-5", 0.625, 5.00, 0.88, 0.98, 0.80, 0, 768, 258, 260, 2.0),
    Model("GeminiFlash2-5", 0.25, 2.00, 0.90, 0.74, 0.74, 0, 768, 258, 30, 1.2),
)

SKILLS = np.array([(model.reading, model.knowledge, model.reasoning) for model in POOL])
"""(K, 3): reading, knowledge and reasoning of each model."""

CHAT_TOKENS = 12
"""Prompt tokens of the roles and separators around a question; assumed."""


def prompt_tokens(characters: int, width: int = 0, height: int = 0) -> np.ndarray:
    """(K,): prompt tokens of text, at four characters a token, and of an image in tiles.

    No image, which has no pixels, takes no tokens.
    """
    text = -(-characters // 4) + CHAT_TOKENS
    return np.array(
        [
            text
            + model.image_overhead * (width * height > 0)
            + model.tokens_per_tile * -(-width // model.tile) * -(-height // model.tile)
            for model in POOL
        ]
    )


def completion_tokens(effort: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Completion tokens of each model, growing exponentially with effort.

    Parameters
    ----------
    effort
        (N,), from 0 for a glance to about 1.5 for long reasoning over a busy image.
    noise
        (N, K) standard normal.

    Returns
    -------
    numpy.ndarray
        (N, K) integers, at least 1.
    """
    terse = np.array([model.terse_tokens for model in POOL])
    verbosity = np.array([model.verbosity for model in POOL])
    tokens = terse * np.exp(verbosity * effort[:, None] + 0.25 * noise)
    return np.maximum(np.rint(tokens), 1).astype(int)


def cost(prompt: np.ndarray, completion: np.ndarray) -> np.ndarray:
    """Cost in USD of (..., K) token counts at the pool's prices."""
    prompt_price = np.array([model.prompt_price for model in POOL])
    completion_price = np.array([model.completion_price for model in POOL])
    return (prompt * prompt_price + completion * completion_price) / 1e6
