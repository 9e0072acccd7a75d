"""Whether the advice is right about itself, on simulated tables whose truth is known.

`make coverage` prints, for tables with no, some and strong routable signal: how often the
intervals of the advised policy's accuracy and cost hold what it then has on 20,000 queries that
nobody has seen, advice and training included; how often the report says that routing pays; and
what the advice is worth against the best static mixture. All labels decide.
"""

from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
import pandas as pd
from tqdm import tqdm

from mmroute.decision.decide import decide, tried
from mmroute.decision.evidence import Evidence, Trial
from mmroute.decision.files import HELD
from mmroute.decision.rule import Limit, Target
from mmroute.decision.words import answers
from mmroute.evaluation.setting import Setting
from mmroute.outcome_table import MATRICES, PRICE_COLUMNS, OutcomeTable
from mmroute.outcomes.benchmark import Benchmark
from mmroute.outcomes.splits import fold_of
from mmroute.predictions import Predictions
from mmroute.routers.ensemble import Ensemble
from mmroute.training import hold_out, pool_of

N_LABELS, N_TRUTH, N_FEATURES = 300, 20_000, 6
RESAMPLES = 500
ASKED = ("25%", "50%", "100%"), ("95%",)
REQUESTS = [Limit(share, paired=True) for share in (0.25, 0.5, 1.0)] + [Target(0.95, paired=True)]
KINDS = {
    "none, 4 models": (4, 0.0, 200),
    "none, 15 models": (15, 0.0, 200),
    "some, 5 models": (5, 1.0, 400),
    "strong, 4 models": (4, 2.0, 200),
}
"""Models, how far the queries tell their outcomes apart, and repetitions."""


def draw(
    generator: np.random.Generator, n_samples: int, n_models: int, signal: float
) -> tuple[OutcomeTable, np.ndarray]:
    """Draw outcomes and features; which model is good at what is the same for each table."""
    taste = np.random.default_rng(n_models).normal(size=(N_FEATURES, n_models)) / N_FEATURES**0.5
    features = generator.normal(size=(n_samples, N_FEATURES))
    told = np.linspace(-0.6, 1, n_models) + signal * features @ taste
    if signal:
        told = told + generator.normal(size=(n_samples, 1))
    utility = (generator.random(told.shape) < 1 / (1 + np.exp(-told))).astype(float)
    cost = np.geomspace(1e-4, 1e-2, n_models) * generator.lognormal(0, 0.5, told.shape)
    names = [f"{number:x}" for number in generator.integers(2**62, size=n_samples)]
    samples = pd.DataFrame({"sample_id": names, "dataset": "simulated", "group": names})
    models = pd.DataFrame({"model": [f"m{index}" for index in range(n_models)]})
    nothing = {name: np.full(told.shape, np.nan) for name in MATRICES}
    return OutcomeTable(
        samples,
        models.assign(**dict.fromkeys(PRICE_COLUMNS, np.nan)),
        **nothing | {"utility": utility, "cost": cost},
    ), features


def repetition(n_models: int, signal: float, seed: int) -> dict[str, float]:
    """Decide once, and measure what was decided."""
    generator = np.random.default_rng([seed, n_models, int(10 * signal)])
    table, features = draw(generator, N_LABELS, n_models, signal)
    unit = float(table.cost.mean(axis=0).max())
    router = Ensemble(n_trees=50, min_samples_leaf=10)
    fold = fold_of(table.samples["group"])
    fits = {held: hold_out(router, table, unit, features, np.isin(fold, held)) for held in HELD}
    everything = np.ones(N_LABELS, bool)
    setting = Setting(Benchmark(table, unit, everything, ~everything), "lambda", RESAMPLES, seed)
    evidence = Evidence.of_folds(setting, fits)
    told = decide(evidence, "ensemble", *map(list, ASKED), {}, RESAMPLES, seed)
    queries, seen = draw(generator, N_TRUTH, n_models, signal)
    router.fit(features, table.utility, table.cost / unit, pool_of(table, unit))
    u_hat, c_hat = router.predict(seen)
    predictions = Predictions(queries.samples["sample_id"], u_hat[None], c_hat[None])
    trial = Trial(evidence.learned, queries, predictions)
    found = {"pays": answers(told)[0].startswith("Routing pays")}
    gains = []
    for row, (run, mixture, _) in zip(
        told.to_dict("records"), tried(trial, REQUESTS), strict=False
    ):
        name = f"{row['asked']} {row['amount']}"
        accuracy, cost = run.utility.mean(), 1000 * run.cost.mean()
        found[f"accuracy, {name}"] = row["accuracy_low"] <= accuracy <= row["accuracy_high"]
        found[f"cost, {name}"] = (
            row["cost_usd_per_1000_low"] <= cost <= row["cost_usd_per_1000_high"]
        )
        if row["asked"] == "budget":
            gains.append(100 * (run.utility - mixture.utility).mean())
    return found | {"gain": float(np.mean(gains))}


def main() -> None:
    """Print one row for each kind of table."""
    names = [
        f"{what}, {name}"
        for name in ("budget 25%", "budget 50%", "budget 100%", "accuracy 95%")
        for what in ("accuracy", "cost")
    ]
    header = ["signal", "repetitions", "says that routing pays", "points on the mixture", *names]
    for row in (header, ["---"] * len(header)):
        print(f"| {' | '.join(row)} |")
    for kind, (n_models, signal, repetitions) in KINDS.items():
        with ProcessPoolExecutor() as pool:
            drawn = pool.map(partial(repetition, n_models, signal), range(repetitions))
            found = pd.DataFrame(tqdm(drawn, total=repetitions, mininterval=10))
        shares = [f"{found[name].mean():.1%}" for name in names]
        gain, error = found["gain"].mean(), found["gain"].std() / repetitions**0.5
        pays = f"{found['pays'].mean():.1%}"
        row = [kind, str(repetitions), pays, f"{gain:+.2f} ± {error:.2f}", *shares]
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
