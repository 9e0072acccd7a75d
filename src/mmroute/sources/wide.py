"""The wide shape: one row per sample, and a few columns per model by suffix.

A model ``M`` is there if it has ``M_correct`` and either ``M_cost`` or token
counts: ``M_prompt_token`` and ``M_token``, the completion tokens.
``M_prediction`` is its answer, and ``M_latency_s`` how many seconds it took. In a table of one's
own ``M_correct`` is enough: a price per call, or estimates from the answers, are costs as well.
"""

import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from mmroute.errors import InputError
from mmroute.outcome_table import LATENCY
from mmroute.sources.cells import nullable, numbers, utilities

UTILITY_SUFFIX = "_correct"
NUMBER_SUFFIXES = {
    "cost": "_cost",
    "prompt_tokens": "_prompt_token",
    "completion_tokens": "_token",
}
PREDICTION_SUFFIX = "_prediction"
LATENCY_SUFFIX = f"_{LATENCY}"


def find_models(columns: Iterable[str], path: Path, alone: bool = False) -> list[str]:
    """List the models in the order of their ``_correct`` columns.

    If ``alone``, these are enough. Raises InputError naming ``path`` if there is none. Else
    warns of ``_correct`` columns alone.
    """
    present = set(columns)
    judged = [
        model
        for column in columns
        if (model := column.removesuffix(UTILITY_SUFFIX)) not in ("", column)
    ]
    models = [
        model
        for model in judged
        if alone or any(model + suffix in present for suffix in NUMBER_SUFFIXES.values())
    ]
    if not models:
        wanted = "M_correct and M_cost, or M_correct, M_prompt_token and M_token"
        raise InputError(
            f"{path}: no model columns; a model M needs {wanted}"
            + ", or M_correct alone for a price per call or beside M_prediction" * alone
        )
    unpriced = [model for model in judged if model not in models]
    if unpriced:
        warnings.warn(
            f"{path}: {len(unpriced):,} columns end in {UTILITY_SUFFIX} and have no costs or token "
            f"counts beside them; these are no models here: {', '.join(unpriced):.500}",
            stacklevel=2,
        )
    return models


def model_columns(models: Iterable[str]) -> set[str]:
    """Name every column that belongs to one of the models, present or not."""
    suffixes = (UTILITY_SUFFIX, *NUMBER_SUFFIXES.values(), PREDICTION_SUFFIX, LATENCY_SUFFIX)
    return {model + suffix for model in models for suffix in suffixes}


def read_matrices(
    cells: pd.DataFrame, models: list[str], path: Path, scale: float | None = None
) -> dict[str, np.ndarray]:
    """Parse the models' columns.

    Parameters
    ----------
    cells
        N rows of text, indexed by sample id.
    models
        K names as listed by ``find_models``.
    path
        The file, for messages.
    scale
        As for ``utilities``.

    Returns
    -------
    dict
        ``utility``, ``cost`` (USD), ``prompt_tokens`` and ``completion_tokens``,
        (N, K) float64 with NaN where missing; ``prediction``, (N, K) strings
        with None where missing; ``latency_s``, seconds, where there are such columns.

    Raises
    ------
    InputError
        If a cell that should be a number is none, or is out of its range.
    """
    shape = (len(cells), len(models))
    suffixes = dict(NUMBER_SUFFIXES)
    if any(model + LATENCY_SUFFIX in cells for model in models):
        suffixes[LATENCY] = LATENCY_SUFFIX
    matrices = {name: np.full(shape, np.nan) for name in ("utility", *suffixes)}
    prediction = np.full(shape, None, dtype=object)
    for j, model in enumerate(models):
        matrices["utility"][:, j] = utilities(cells[model + UTILITY_SUFFIX], path, scale)
        for name, suffix in suffixes.items():
            if model + suffix in cells:
                matrices[name][:, j] = numbers(cells[model + suffix], path)
        if model + PREDICTION_SUFFIX in cells:
            prediction[:, j] = nullable(cells[model + PREDICTION_SUFFIX])
    return {**matrices, "prediction": prediction}
