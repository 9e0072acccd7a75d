"""The benchmark's cases: exact and sharded curves beside an approximate sweep.

A new case is one more entry of CASES. Its functions are named functions of this
module or partials of them, because they are sent to another process.
"""

from dataclasses import replace
from functools import cache, partial

import numpy as np
import pandas as pd
from measure import Case

from mmroute.catalogue import build, catalogue
from mmroute.evaluation.bootstrap import curve_replicates, resample_weights
from mmroute.evaluation.curve import Policy, frontier, operating_curve, policy_steps, trace
from mmroute.evaluation.exact import evaluate
from mmroute.evaluation.measured import operating_points
from mmroute.evaluation.metrics import (
    Chosen,
    frontier_of,
    nauc,
    peak_score,
    qnc,
    row_range,
    single_models,
)
from mmroute.evaluation.policy_metrics import (
    auroc,
    dearest_models,
    equal_mass_cuts,
    of_chosen,
    policy_sums,
)
from mmroute.evaluation.setting import Setting, slices
from mmroute.evaluation.shards import add_up, curve_blocks, running, threshold_grid
from mmroute.evaluation.static import static_models
from mmroute.experiments.cascade import Cascade
from mmroute.outcome_table import MATRICES, PRICE_COLUMNS, OutcomeTable
from mmroute.outcomes.benchmark import Benchmark
from mmroute.predictions import Predictions
from mmroute.routers import Pool, fit
from mmroute.training import predict

POLICIES: tuple[Policy, ...] = ("lambda", "budget")

Table = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def draw_table(n_samples: int, n_models: int, seed: int) -> Table:
    """Return u_hat, c_hat, utility and cost, (N, K) each.

    Dearer models are better on average, with exceptions; samples differ in
    difficulty and length; predictions are noisy versions of the truth.
    """
    generator = np.random.default_rng(seed)
    shape = (n_samples, n_models)
    price = np.geomspace(0.01, 1.0, n_models)
    skill = np.linspace(-0.5, 1.0, n_models) + generator.normal(0, 0.3, n_models)
    u_hat = generator.normal(0, 0.7, shape)
    u_hat += skill - generator.normal(0, 1.5, (n_samples, 1))
    np.negative(u_hat, out=u_hat)
    np.exp(u_hat, out=u_hat)
    u_hat += 1
    np.reciprocal(u_hat, out=u_hat)
    utility = generator.random(shape)
    np.less(utility, u_hat, out=utility)
    noise = generator.normal(0, 0.1, shape)
    u_hat += noise
    cost = generator.lognormal(0, 0.3, shape)
    cost *= price * generator.lognormal(0, 0.5, (n_samples, 1))
    c_hat = np.exp(noise, out=noise)
    c_hat *= cost
    return u_hat, c_hat, utility, cost


def one_table(n_samples: int, n_models: int, part: int) -> Table:
    """Return the only part of a table that fits."""
    return draw_table(n_samples, n_models, seed=part)


def exact(policy: Policy, table: Table) -> object:
    """Compute the exact curve."""
    return operating_curve(*table, policy)


def sweep(policy: Policy, table: Table) -> list[tuple[float, float]]:
    """Compute 100 approximate operating points: every choice anew at each threshold."""
    u_hat, c_hat, utility, cost = table
    rows = np.arange(len(u_hat))
    if policy == "lambda":
        choices = ((1 - u_hat + x * c_hat).argmin(axis=1) for x in np.geomspace(0.01, 100, 100))
    else:
        cheapest = c_hat.argmin(axis=1)
        choices = (
            np.where(
                (affordable := c_hat <= budget).any(axis=1),
                np.where(affordable, u_hat, -np.inf).argmax(axis=1),
                cheapest,
            )
            for budget in np.geomspace(c_hat.min(), c_hat.max(), 100)
        )
    return [(cost[rows, chosen].mean(), utility[rows, chosen].mean()) for chosen in choices]


SHARD = (500_000, 10)


@cache
def shared_grid(policy: Policy) -> np.ndarray:
    """Return the thresholds that all shards share, from a sample like the first of them."""
    u_hat, c_hat, utility, _ = draw_table(20_000, SHARD[1], seed=0)
    return threshold_grid(u_hat, c_hat, np.isfinite(utility), policy, 4096)


def draw_shard(part: int) -> Table:
    """Return one shard of a table that never exists as a whole."""
    return draw_table(*SHARD, seed=part)


def sharded(policy: Policy, shard: Table) -> object:
    """Compute a shard's sums at the shared thresholds."""
    u_hat, c_hat, utility, cost = shard
    steps = policy_steps(u_hat, c_hat, np.isfinite(utility), policy)
    thresholds = shared_grid(policy)
    blocks = curve_blocks([steps], utility, cost, thresholds)
    sums = add_up(blocks, [(slice(None), np.ones((1, len(utility))))])
    return [running(own, len(thresholds)) for own in sums.values()]


RESAMPLES = 100


def draw_resamples(part: int) -> tuple[Table, np.ndarray]:
    """Return a table and some of its resamples."""
    table = draw_table(8_300, 10, seed=0)
    samples = pd.DataFrame({"dataset": "all", "group": range(8_300)})
    return table, resample_weights(samples, RESAMPLES, seed=part)[1:]


def all_metrics(given: tuple[Table, np.ndarray]) -> object:
    """Compute every metric of one router under each resample."""
    (u_hat, c_hat, utility, cost), weights = given
    steps = policy_steps(u_hat, c_hat, np.isfinite(utility), "lambda")
    singles = single_models(utility, cost, weights)
    zero = static_models(singles, singles)
    best = frontier(trace(steps, utility, cost, "lambda"))
    chosen = Chosen(best.threshold[::9], 0, 0, zero, {})
    extremes, dearest = row_range(utility, cost, weights), dearest_models(singles)
    return (
        curve_replicates(steps, utility, cost, weights, singles, chosen, extremes),
        auroc(u_hat, utility, weights),
        *(
            policy_sums(choice, predicted, utility, cost, weights, cuts, dearest).metrics()
            for parameter in operating_points(best, singles).values()
            for choice in [steps.choices(parameter)]
            for predicted in [of_chosen(u_hat, choice)]
            for cuts in [equal_mass_cuts(predicted)]
        ),
    )


def metrics_anew(given: tuple[Table, np.ndarray]) -> object:
    """Compute three metrics of the curve from nothing for each resample."""
    table, weights = given
    values = []
    for count in weights:
        repeated = [np.repeat(matrix, count, axis=0) for matrix in table]
        own, singles = frontier_of(operating_curve(*repeated)), single_models(*repeated[2:])
        values.append((nauc(own, singles), peak_score(own), qnc(own, singles)))
    return values


TEST_SIZES = (800, 1822, 1200, 612, 800, 630, 2432)
"""Test samples of the seven data sets: four fifths of MMR Table S1."""


def draw_router(part: int) -> tuple[Setting, Predictions, Predictions]:
    """Return saved predictions of one router, for a fifth of the samples cross-fitted."""
    parts = []
    for sizes, seed in ((TEST_SIZES, 0), ([size // 4 for size in TEST_SIZES], 1)):
        dataset = [f"data set {index}" for index, size in enumerate(sizes) for _ in range(size)]
        u_hat, c_hat, utility, cost = draw_table(len(dataset), 10, seed)
        noise = np.random.default_rng(part).normal(0, 0.02 * (1 + part), u_hat.shape)
        samples = pd.DataFrame({"sample_id": np.arange(len(dataset)).astype(str)})
        samples["dataset"], samples["group"] = dataset, samples["sample_id"]
        models = pd.DataFrame({"model": [f"model {index}" for index in range(10)]})
        unknown = dict.fromkeys(MATRICES[2:], np.full(utility.shape, np.nan))
        table = OutcomeTable(
            samples,
            models.assign(**dict.fromkeys(PRICE_COLUMNS, np.nan)),
            **{"utility": utility, "cost": cost} | unknown,
        )
        predictions = Predictions(samples["sample_id"], (u_hat + noise)[None], c_hat[None])
        parts.append((table, predictions))
    (test, predictions), (training, crossfit) = parts
    samples = pd.concat([test.samples, training.samples], ignore_index=True)
    matrices = (np.concatenate([getattr(test, name), getattr(training, name)]) for name in MATRICES)
    in_test = np.arange(len(samples)) < len(test.samples)
    benchmark = Benchmark(OutcomeTable(samples, test.models, *matrices), 1.0, ~in_test, in_test)
    return Setting(benchmark, "lambda", n_resamples=1000, seed=0), predictions, crossfit


def evaluated(given: tuple[Setting, Predictions, Predictions]) -> object:
    """Measure one router on every data set and on all, with all intervals."""
    return evaluate(*given)


def swept(given: tuple[Setting, Predictions, Predictions]) -> object:
    """Sweep one router over every data set and over all, without any interval."""
    setting, predictions, _ = given
    table = setting.table
    return [
        sweep(
            "lambda",
            tuple(
                matrix[part.rows]
                for matrix in (
                    predictions.u_hat[0],
                    predictions.c_hat[0],
                    table.utility,
                    table.cost,
                )
            ),
        )
        for part in slices(table.samples)
    ]


def draw_answers(part: int) -> tuple[Setting, Predictions, Predictions]:
    """Return the same with answers: right ones agree, wrong ones are one of four."""
    setting, predictions, crossfit = draw_router(part)
    table = setting.benchmark.table
    wrong = np.random.default_rng(part).integers(1, 5, table.utility.shape)
    said = np.where(table.utility > 0, 0, wrong).astype(str).astype(object)
    benchmark = replace(setting.benchmark, table=replace(table, prediction=said))
    return replace(setting, benchmark=benchmark), predictions, crossfit


def cascaded(given: tuple[Setting, Predictions, Predictions]) -> object:
    """Learn to judge answers, and ask every query at every operating point of both cascades."""
    setting, predictions, crossfit = given
    return Cascade().findings(setting, {"router": predictions}, {"router": crossfit})


LABELLED, ASKED, WIDTH, N_MODELS = 2_074, 8_296, 512, 10
"""A fifth of MMR-Bench for training, the rest to predict."""

Task = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def draw_task(part: int) -> Task:
    """Return features to train on, their utilities and costs, and features to predict."""
    generator = np.random.default_rng(part)
    n_samples = LABELLED + ASKED
    features = generator.normal(size=(n_samples, WIDTH)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    skill = generator.normal(size=(WIDTH, N_MODELS))
    noise = generator.normal(size=(LABELLED, N_MODELS))
    utility = (features[:LABELLED] @ skill + noise > 0).astype(float)
    cost = generator.lognormal(size=utility.shape) * np.geomspace(0.01, 1, N_MODELS)
    return features[:LABELLED], utility, cost, features[LABELLED:]


def trained_and_asked(router: str, task: Task) -> object:
    """Train a router and predict with it all that an evaluation uses."""
    features, utility, cost, asked = task
    unknown = np.full(utility.shape, np.nan)
    models = pd.DataFrame({"model": [f"model {index}" for index in range(N_MODELS)]})
    pool = Pool(models.assign(**dict.fromkeys(PRICE_COLUMNS, np.nan)), 1.0, unknown, unknown)
    fitted = fit(build("routers", router, {}), features, utility, cost, pool)
    return predict(fitted, pd.Series(np.arange(len(asked)).astype(str)), asked)


SLOW_ROUTERS = ("cmr", "vlc")


def router_case(router: str) -> Case:
    """Describe the training and asking of one router beside k nearest neighbours."""
    return Case(
        name=f"router `{router}`: train and predict",
        size=f"{LABELLED:,} and {ASKED:,} × {WIDTH} features, {N_MODELS} models",
        make_input=draw_task,
        run=partial(trained_and_asked, router),
        baseline=partial(trained_and_asked, "knn"),
        max_seconds=90 if router in SLOW_ROUTERS else 20,
        beside="router `knn`",
    )


def curve_case(size: str, n_samples: int, n_models: int, policy: Policy, **targets: float) -> Case:
    """Describe one exact curve beside the sweep."""
    return Case(
        name=f"exact curve, {policy}",
        size=size,
        make_input=partial(one_table, n_samples, n_models),
        run=partial(exact, policy),
        baseline=partial(sweep, policy),
        **targets,
    )


CASES = [
    *(
        curve_case("8,300 × 10", 8_300, 10, policy, max_seconds=0.015, min_ratio=5)
        for policy in POLICIES
    ),
    *(
        curve_case("1,000,000 × 10", 1_000_000, 10, policy, max_seconds=3, max_beyond=2048)
        for policy in POLICIES
    ),
    *(curve_case("20,000 × 200", 20_000, 200, policy, max_seconds=1.5) for policy in POLICIES),
    *(
        Case(
            name=f"sharded curve, {policy}, 4,096 thresholds",
            size="20 M × 10 in 40 shards",
            make_input=draw_shard,
            run=partial(sharded, policy),
            baseline=partial(sweep, policy),
            max_peak=1536,
            parts=40,
        )
        for policy in POLICIES
    ),
    Case(
        name="all metrics of one router, 1,000 resamples",
        size="8,300 × 10",
        make_input=draw_resamples,
        run=all_metrics,
        baseline=metrics_anew,
        max_seconds=2,
        parts=1000 // RESAMPLES,
        beside="three metrics anew for each resample",
    ),
    Case(
        name="main experiment from saved predictions, one process",
        size="14 routers, 7 data sets and full, 8,296 × 10",
        make_input=draw_router,
        run=evaluated,
        baseline=swept,
        max_seconds=60,
        parts=14,
        beside="sweep over 100 thresholds, no intervals",
    ),
    Case(
        name="experiment `cascade` of one router",
        size="2,074 labelled and 8,296 asked, 10 models",
        make_input=draw_answers,
        run=cascaded,
        baseline=evaluated,
        max_seconds=60,
        beside="main experiment of one router",
    ),
    *(
        router_case(name)
        for name, entry in catalogue("routers").items()
        if entry.attributes.get("fusion")
    ),
]
