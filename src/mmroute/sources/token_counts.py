"""Token counts where the logs have none: estimated from the text."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mmroute.outcome_table import OutcomeTable
from mmroute.sources.cells import outcome_table

BYTES_PER_TOKEN = 4
"""Of UTF-8, a common rule of thumb for English; other scripts have about 3 bytes a character."""

MOST_BYTES_PER_TOKEN = 32
"""Of an answer, with room to spare; a count that would need more has missed some of it."""


def is_too_low(count: float, answer: str | None) -> bool:
    """Tell whether an answer has more text than so many tokens can hold.

    Logs have 0 or 1 for whole answers where the model's service does not say how many they are.
    """
    return len((answer or "").encode("utf-8", "replace")) > MOST_BYTES_PER_TOKEN * count


def estimate(texts: pd.Series) -> np.ndarray:
    """Return the (N,) estimated tokens of N texts; NaN where a text is null, 0 of an empty one.

    No model's own tokenizer is at hand for every model, and theirs differ: whoever uses
    this says so in a warning.
    """
    lengths = texts.map(lambda text: len(text.encode("utf-8", "replace")), na_action="ignore")
    return np.ceil(lengths.to_numpy(float, na_value=np.nan) / BYTES_PER_TOKEN)


def without_counts(
    root: Path,
    samples: pd.DataFrame,
    models: Sequence[str],
    utility: np.ndarray,
    completion_tokens: float,
) -> OutcomeTable:
    """The table of a source that has neither costs nor token counts, which a price table prices.

    Parameters
    ----------
    root
        Where the source lies, for the notice.
    samples, models
        N samples, and the names of K models.
    utility
        (N, K), NaN where missing.
    completion_tokens
        Of each answer, as assumed in ``source.completion_tokens``.
    """
    warnings.warn(
        f"{root}: has no token counts; prompt tokens are estimated from the prompt, "
        f"{BYTES_PER_TOKEN} bytes each, and each answer is taken to have "
        f"{completion_tokens:g} (source.completion_tokens)",
        stacklevel=3,
    )
    observed = np.isfinite(utility)
    prompt_tokens = estimate(samples["question"])[:, None]
    return outcome_table(
        samples,
        list(models),
        {
            "utility": utility,
            "cost": np.full(utility.shape, np.nan),
            "prompt_tokens": np.where(observed, prompt_tokens, np.nan),
            "completion_tokens": np.where(observed, completion_tokens, np.nan),
            "prediction": np.full(utility.shape, None, dtype=object),
        },
    )
