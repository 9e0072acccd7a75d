"""The decision under many budgets, from the cheapest model's cost on: what a slider shows."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mmroute.decision.decide import (
    BUDGET,
    PER_1000,
    SHARE,
    Yardstick,
    decided,
    request,
    with_bounds,
)
from mmroute.decision.evidence import Evidence, Run
from mmroute.decision.rule import Labels, Limit, Mixture

N_BUDGETS = 30
COMPARED = ("mixture", "single")
"""What is advised is held against: the best static mixture, and the best single model."""


def ladder(
    evidence: Evidence,
    row: str,
    budgets: Sequence[float | str],
    n_resamples: int,
    seed: int,
    max_latency: float | None = None,
) -> pd.DataFrame:
    """Decide under many budgets as ``decide`` does under those of the config.

    Parameters
    ----------
    evidence, row, n_resamples, seed, max_latency
        As for ``decide``.
    budgets
        Those of the config: the first tells whether the others are in percent, the dearest how
        far they go. None: up to the cost of the best single model.

    Returns
    -------
    As from ``decide``, a row for each budget, by ascending ``limit``: ``amount``, ``limit``,
    ``router``, ``first``, ``second``, ``second_share``, ``threshold``, ``feasible``; with bounds
    ``accuracy``, ``cost_usd_per_1000``, ``saving``, ``gain``, ``mixture_accuracy``,
    ``mixture_cost_usd_per_1000``, ``mixture_saving``, ``single_accuracy``,
    ``single_cost_usd_per_1000``, ``single_saving``; ``single``: the best single model that surely
    keeps the budget, ``single_feasible``: whether any does; and ``share <model>``. No row where
    there is nothing to be limited: where all models are free.
    """
    if max_latency is not None:
        evidence = evidence.within(max_latency)
    measure = Yardstick.of(evidence, n_resamples, seed)
    labels, names = evidence.learned.labels, evidence.learned.table.model_names
    rows = []
    asked: list[tuple[str, float | str]] = [(BUDGET, one) for one in _amounts(labels, budgets)]
    for told in decided(evidence, measure, row, asked)[:-1] if asked else []:
        limit = request(BUDGET, told["amount"] if "%" in told["amount"] else float(told["amount"]))
        assert isinstance(limit, Limit)
        first, second = (names.index(told[name]) for name in ("first", "second"))
        mixture = Mixture(first, second, told["second_share"], True)
        single = labels.mixture(limit, alone=True)
        chosen = Run.joined(
            [
                trial.mixed(trial.learned.labels.mixture(limit, alone=True))
                for trial in evidence.trials
            ]
        )
        runs = [
            Run.joined([trial.mixed(own) for trial in evidence.trials]) for own in (mixture, single)
        ]
        values = {
            f"{name}_{what}": measure.expected(run)[what]
            for name, run in zip(COMPARED, runs, strict=True)
            for what in ("saving", "cost_usd_per_1000")
        }
        values["single_accuracy"] = measure.mean(chosen.utility)
        told |= {"single": names[single.first], "single_feasible": single.kept}
        rows.append(with_bounds(values) | told)
    return pd.DataFrame(rows, columns=_columns(names))


def _columns(models: Sequence[str]) -> list[str]:
    measured = ("accuracy", "cost_usd_per_1000", "saving")
    names = [*measured, "gain", *(f"{one}_{name}" for one in COMPARED for name in measured)]
    return [
        *("amount", "limit", "router", "first", "second", "second_share", "threshold", "feasible"),
        *("single", "single_feasible"),
        *(f"{name}{bound}" for name in names for bound in ("", "_low", "_high")),
        *(f"{SHARE}{name}" for name in models),
    ]


def _amounts(labels: Labels, budgets: Sequence[float | str]) -> list[float | str]:
    """Budgets at equal ratios, rounded, and those of the config, ascending; all of one kind."""
    given = list(budgets) or ["100%"]
    paired = isinstance(given[0], str)
    limits = {amount: request(BUDGET, amount) for amount in given}
    usd = {amount: labels.usd(one) for amount, one in limits.items() if isinstance(one, Limit)}
    high = max(usd.values())
    low = labels.mean_cost[(labels.mean_cost > 0) & np.isfinite(labels.mean_cost)].min(initial=high)
    if high <= 0:
        return []
    of_best = labels.mean_cost[labels.reference]
    for one in np.geomspace(low, high, N_BUDGETS) if low < high else ():
        amount = f"{100 * one / of_best:.3g}%" if paired else float(f"{PER_1000 * one:.3g}")
        usd[amount] = labels.usd(Limit(float(one), False))
    kept = [amount for amount in usd if isinstance(amount, str) is paired and usd[amount] <= high]
    return sorted(kept, key=lambda amount: usd[amount])
