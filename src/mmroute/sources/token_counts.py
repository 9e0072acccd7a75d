"""Token counts where the logs have none: estimated from the text."""

import numpy as np
import pandas as pd

BYTES_PER_TOKEN = 4
"""Of UTF-8, a common rule of thumb for English; other scripts have about 3 bytes a character."""


def estimate(texts: pd.Series) -> np.ndarray:
    """Return the (N,) estimated tokens of N texts; NaN where a text is null, 0 of an empty one.

    No model's own tokenizer is at hand for every model, and theirs differ: whoever uses
    this says so in a warning.
    """
    lengths = texts.map(lambda text: len(text.encode("utf-8", "replace")), na_action="ignore")
    return np.ceil(lengths.to_numpy(float, na_value=np.nan) / BYTES_PER_TOKEN)
