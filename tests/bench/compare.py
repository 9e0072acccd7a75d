"""Every router beside `ensemble` on the demo and on tables of one's own, over several splits.

`python tests/bench/compare.py [config.yaml ...]` trains each router that takes at most a minute on
a fifth of the samples, under ``SALTS``, and prints a Markdown table for each config: nAUC; how much
it is above that of `ensemble`, paired, with interval and p-value over splits and test samples as
the report has them; gain over the best static mixtures; and, as the demo's probabilities are
known, the share of the gain that one who knew them had.
"""

import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from advice import ROOT, TRAIN, Table, embedded, of_split
from scipy.special import ndtri

from mmroute.catalogue import REQUIRED, catalogue
from mmroute.evaluation.bootstrap import curve_replicates
from mmroute.evaluation.curve import frontier, steps_of, trace
from mmroute.evaluation.inference import difference, interval, over_trainings, p_value
from mmroute.evaluation.metrics import Chosen, row_range, single_models
from mmroute.evaluation.setting import Setting
from mmroute.evaluation.static import ZERO, static_models
from mmroute.outcome_table import OutcomeTable
from mmroute.predictions import Predictions
from mmroute.presentation.tables import format_p
from mmroute.sources.simulation.datasets import DATASETS
from mmroute.sources.simulation.pool import POOL, completion_tokens, cost
from mmroute.sources.simulation.samples import draw
from mmroute.sources.simulation.skills import calibrated
from mmroute.training import train_and_predict

SALTS = range(8)
RESAMPLES = 1000
OURS, CEILING = "ensemble", "the simulation's own probabilities"
DEMO = ROOT / "config/config.yaml"
SLOW = ("mlp_vl",)
"""More than a minute to train."""
PARAMETERS = {"random": {"trials": 5}}
QUANTILES = ndtri((np.arange(64) + 0.5) / 64)
"""Of the verbosity of an answer, over which expected costs are the mean."""


def routers() -> list[str]:
    """Return the names of those that read features or nothing, and can be had without more."""
    return [
        name
        for name, entry in catalogue("routers").items()
        if name not in SLOW
        and not entry.attributes.get("upper_bound")
        and not entry.attributes.get("reads_samples")
        and REQUIRED not in [default for _, default in entry.parameters.values()]
    ]


def truth(table: OutcomeTable, samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the (N, K) probabilities and expected costs in USD that the demo was drawn from."""
    names = [model.name for model in POOL]
    order = [names.index(name) for name in table.model_names]
    row_of = {name: row for row, name in enumerate(table.samples["sample_id"])}
    probability, expected = (np.full(table.utility.shape, np.nan) for _ in range(2))
    for dataset in DATASETS:
        facets = draw(dataset, samples, seed).facets
        rows = [row_of[f"{dataset.prefix}_{index}"] for index in range(samples)]
        probability[rows] = calibrated()[dataset.prefix].probabilities(facets)[:, order]
        tokens = [
            completion_tokens(facets.effort(), np.full((samples, len(POOL)), at))
            for at in QUANTILES
        ]
        prompt = np.empty((samples, len(POOL)))
        prompt[:, order] = table.prompt_tokens[rows]
        expected[rows] = cost(prompt, np.mean(tokens, axis=0))[:, order]
    return probability, expected


def measured(own: Table, salt: int) -> dict[str, np.ndarray]:
    """Of one split: each router's (2, 1 + B) nAUC and gain, and their resamples."""
    benchmark = own.benchmark(salt)
    setting = Setting(benchmark, "lambda", RESAMPLES, 0)
    table, training, weights = setting.table, setting.training, setting.weights()
    spent = table.cost / setting.unit
    singles = single_models(table.utility, spent, weights)
    known = single_models(training.utility, training.cost / setting.unit)
    zero, extremes = static_models(known, singles), row_range(table.utility, spent, weights)

    def replicates(predictions: Predictions) -> np.ndarray:
        trials, paid = [], predictions.paid(spent)
        for trial in range(len(predictions.u_hat)):
            steps = steps_of(predictions, trial, np.isfinite(table.utility), "lambda")
            best = frontier(trace(steps, table.utility, paid, "lambda"))
            chosen = Chosen(best.threshold[:1], 0, None, zero, {})
            curve = curve_replicates(steps, table.utility, paid, weights, singles, chosen, extremes)
            trials.append([curve.metrics["nauc"], curve.metrics["gain"]])
        return np.mean(trials, axis=0)

    found = {}
    for name in routers():
        router, features = of_split(own, name, benchmark.in_train, PARAMETERS.get(name))
        found[name] = replicates(train_and_predict(router, benchmark, features))
    area, gain = found[OURS]
    found[ZERO] = np.array([area - gain, np.zeros_like(gain)])
    if own.simulated:
        u_hat, c_hat = (told[benchmark.in_test][None] for told in truth(own.table, *own.simulated))
        ids = table.samples["sample_id"]
        found[CEILING] = replicates(Predictions(ids, u_hat, c_hat / setting.unit))
    return found


def with_interval(values: np.ndarray, form: str = "+.4f") -> str:
    """Return what compares two rows and its interval."""
    low, high = interval(values, compared=True)
    return f"{values[0]:{form}} ({low:{form}} to {high:{form}})"


def rows(config: Path) -> Iterator[list[str]]:
    """Yield the rows of one config's table, the best router first."""
    own = embedded(config)
    with ProcessPoolExecutor(mp_context=get_context("fork")) as pool:
        splits = list(pool.map(partial(measured, own), SALTS))
    ours = [split[OURS][0] for split in splits]
    reachable = [split[CEILING][1] for split in splits] if own.simulated else None
    told = {name: [split[name] for split in splits] for name in splits[0]}
    for name in sorted(told, key=lambda name: -np.mean([each[0, 0] for each in told[name]])):
        area, gain = ([each[index] for each in told[name]] for index in range(2))
        apart = over_trainings([*map(difference, area, ours)])
        above = over_trainings(gain)
        row = [
            name if name == CEILING else f"`{name}`",
            f"{over_trainings(area)[0]:.4f}",
            "" if name == OURS else with_interval(apart),
            "" if name == OURS else format_p(p_value(apart)),
            "" if name == ZERO else with_interval(above),
        ]
        if reachable is not None:
            share = above / over_trainings(reachable)
            row.append("" if name in (ZERO, CEILING) else with_interval(share, ".1%"))
        yield row


def main(configs: list[Path]) -> None:
    """Print one table for the demo and one for each config."""
    for config in (DEMO, *configs):
        header = ["router", "nAUC", f"less `{OURS}`", "p", "gain"]
        header += ["share of the reachable gain"] if embedded(config).simulated else []
        print(f"\n{embedded(config).title}, {len(SALTS)} splits, {TRAIN:.0%} for training:\n")
        print(f"| {' | '.join(header)} |\n| --- {'| ---: ' * (len(header) - 1)}|", flush=True)
        for row in rows(config):
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
