"""How often a claim of the papers is told to hold where no router knows anything of a query.

`make coverage` prints it for each claim, over simulated benchmarks whose outcomes have nothing to
do with what the routers read: eighteen rows that predict each model's mean and noise of their own,
and experiments that train on features without meaning. None of the claims is true there but that
the oracle is far ahead; routing then costs what static mixtures cost, or more.
"""

from collections import Counter
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pandas as pd
from tqdm import tqdm

from mmroute.evaluation.bootstrap import curve_replicates
from mmroute.evaluation.carrier import Carrier
from mmroute.evaluation.curve import steps_of, training_frontier
from mmroute.evaluation.exact import evaluate_singles
from mmroute.evaluation.measured import choose
from mmroute.evaluation.metrics import row_range, single_models
from mmroute.evaluation.setting import Setting
from mmroute.experiments import TextOnly
from mmroute.experiments.findings import summarise as found_in
from mmroute.experiments.fusion import Fusion
from mmroute.experiments.modality import Modality
from mmroute.experiments.shift import Shift
from mmroute.experiments.transfer import Transfer
from mmroute.experiments.vl import VL
from mmroute.outcome_table import MATRICES, PRICE_COLUMNS, OutcomeTable
from mmroute.outcomes.benchmark import Benchmark
from mmroute.outcomes.splits import split
from mmroute.predictions import Predictions
from mmroute.presentation.tables import differences, summarise
from mmroute.report.conclusions import BALANCED, HOLDS, PAPER_ROUTERS, conclude
from mmroute.routers.knn import KNN
from mmroute.routers.linear import Linear

REPETITIONS, N_SAMPLES, N_TEXT, RESAMPLES = 400, 500, 200, 300
ACCURACY = np.array([0.45, 0.55, 0.62, 0.68])
PRICE = np.array([0.05, 0.2, 0.5, 1.0])
ROWS = [*PAPER_ROUTERS, *BALANCED, *(f"row{number}" for number in range(10))]
COMPARED = ("nauc_honest", "peak_score_honest")


def outcomes(
    generator: np.random.Generator, n_samples: int, datasets: tuple[str, ...]
) -> OutcomeTable:
    """Draw samples on which models are right at random, each as often as it is good."""
    shape = n_samples, len(PRICE)
    names = [f"{number:x}" for number in generator.integers(2**62, size=n_samples)]
    samples = pd.DataFrame(
        {
            "sample_id": names,
            "dataset": np.resize(datasets, n_samples),
            "scenario": "simulated",
            "group": names,
        }
    )
    models = pd.DataFrame({"model": [f"m{index}" for index in range(len(PRICE))]})
    known = {
        "utility": (generator.random(shape) < ACCURACY).astype(float),
        "cost": PRICE * generator.lognormal(0, 0.3, shape),
    }
    unknown = {name: np.full(shape, np.nan) for name in MATRICES}
    return OutcomeTable(
        samples, models.assign(**dict.fromkeys(PRICE_COLUMNS, np.nan)), **unknown | known
    )


def guesses(
    generator: np.random.Generator, table: OutcomeTable, known: OutcomeTable, noise: float
) -> Predictions:
    """Predict each model's mean on the training split, and noise."""
    shape = table.utility.shape
    u_hat = known.utility.mean(axis=0) + noise * generator.normal(size=shape)
    c_hat = known.cost.mean(axis=0) * generator.lognormal(0, 0.1, shape)
    return Predictions(table.samples["sample_id"], u_hat[None], c_hat[None])


def main_tables(
    setting: Setting, own: dict[str, Predictions], crossfit: dict[str, Predictions]
) -> dict[str, pd.DataFrame]:
    """Return ``table2`` and ``differences`` of all samples."""
    table, training, weights = setting.table, setting.training, setting.weights()
    singles = single_models(table.utility, table.cost, weights)
    extremes = row_range(table.utility, table.cost, weights)
    known = single_models(training.utility, training.cost)
    rows = []
    for router, predictions in own.items():
        steps = steps_of(predictions, 0, np.isfinite(table.utility), setting.policy)
        learned = training_frontier(
            crossfit[router], training.utility, training.cost, setting.policy
        )
        carrier = Carrier.of(crossfit[router], training.utility, training.cost, setting.policy)
        foreseen = carrier.foreseen(steps, predictions.c_hat[0], setting.policy)
        chosen = choose(learned, carrier.carry(learned.threshold, foreseen), known, singles)
        curve = curve_replicates(
            steps, table.utility, table.cost, weights, singles, chosen, extremes
        )
        rows += [
            (router, "full", "full", "", metric, values, chosen.values.get(metric, np.nan))
            for metric, values in curve.metrics.items()
        ]
    columns = ["router", "level", "dataset", "point", "metric", "replicates", "training"]
    references = evaluate_singles(setting)[0].query("level == 'full'")
    frame = pd.concat([pd.DataFrame(rows, columns=columns), references]).assign(salt="0")
    return {"table2": summarise(frame), "differences": differences(frame, COMPARED)}


def repetition(seed: int) -> dict[str, str]:
    """Judge every claim once: its text to its verdict."""
    generator = np.random.default_rng([seed, 18])
    table = outcomes(generator, N_SAMPLES, ("A", "B", "C"))
    in_train = split(table.samples["group"], 0.3, str(seed))
    benchmark = Benchmark(table, 1.0, in_train, ~in_train)
    setting = Setting(benchmark, "lambda", RESAMPLES, seed)
    own, crossfit = {}, {}
    # The same for all: where it differs, a row with less of it is truly better.
    noise = generator.choice([0.02, 0.1, 0.3])
    for name in ROWS:
        own[name], crossfit[name] = (
            guesses(generator, part, setting.training, noise)
            for part in (setting.table, setting.training)
        )
    revealed = [
        Predictions(part.samples["sample_id"], part.utility[None], part.cost[None])
        for part in (setting.table, setting.training)
    ]
    vl = {**own, "oracle": revealed[0]}, {**crossfit, "oracle": revealed[1]}
    features = dict.fromkeys(("linear", "knn"), generator.normal(size=(N_SAMPLES, 3)))
    fused = {
        name: generator.normal(size=(N_SAMPLES, 3))
        for name in ("text", "image", "mean", "concat", "adaptive")
    }
    text = outcomes(generator, N_TEXT, ("T",))
    routers = {"linear": Linear(), "knn": KNN(n_neighbors=10)}
    elsewhere = dict.fromkeys(routers, generator.normal(size=(N_TEXT, 3)))
    how = "lambda", RESAMPLES, seed
    named = dict(zip(("kmeans", "linear_mf", "mlp_mf"), [*routers.values(), Linear()], strict=True))
    findings = {
        "fig2": Modality().findings(benchmark, fused, {"kmeans": Linear()}, *how),
        "table3": Fusion().findings(benchmark, fused, named, *how),
        "table4": Shift().findings(benchmark, features, routers, *how),
        "table5": Transfer().findings(
            benchmark, features, routers, *how, TextOnly(text, elsewhere)
        ),
        "vl_main": VL().findings(setting, *vl),
    }
    tables = {name: found_in([own]) for name, own in findings.items()}
    tables |= main_tables(setting, own, crossfit)
    tables["decision"] = pd.DataFrame({"asked": [], "router": []})
    return {one["claim"]: one["verdict"] for one in conclude(tables)}


def main() -> None:
    """Print how often each claim holds."""
    with ProcessPoolExecutor() as pool:
        found = list(tqdm(pool.map(repetition, range(REPETITIONS)), total=REPETITIONS))
    print(f"\n{REPETITIONS} benchmarks without skill")
    print("| claim | holds | cannot be told | does not hold | mixed or not tested |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for claim in found[0]:
        counts = Counter(one[claim] for one in found)
        told = [counts.pop(verdict, 0) for verdict in (HOLDS, "cannot be told", "does not hold")]
        shares = " | ".join(f"{own / REPETITIONS:.1%}" for own in (*told, sum(counts.values())))
        print(f"| {claim} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
