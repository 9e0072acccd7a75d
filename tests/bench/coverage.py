"""Whether error bars hold what they claim, on simulated benchmarks whose truth is known.

``make coverage`` prints, metric by metric, how often the 95 % interval of a value and of a paired
difference holds the truth, and how often two equally good routers are told apart at .05; then how
often the set of the best holds a best router. Nothing is fitted: a router predicts the true
log-odds with an error of its own for each query, and each training adds another error of its
weights.

What a number claims to estimate, and hence the truth here: with one salt, what this trained router
has on all queries of these data sets, honest metrics and gains at the points and models that this
training split chose. With several salts, the mean of that over trainings, each on a training split
of this size.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial

import advised
import claimed
import logged
import numpy as np
import pandas as pd
from scipy.special import expit, ndtr
from tqdm import tqdm

from mmroute.evaluation.bootstrap import curve_replicates, resample_weights
from mmroute.evaluation.carrier import Carrier
from mmroute.evaluation.curve import Curve, steps_of, trace, training_frontier
from mmroute.evaluation.inference import (
    CONFIDENCE,
    SIGNIFICANCE,
    difference,
    interval_over,
    over_trainings,
    p_best,
    p_value,
)
from mmroute.evaluation.measured import choose
from mmroute.evaluation.metrics import (
    CURVE_METRICS,
    Chosen,
    SingleModels,
    WeightedCurve,
    frontier_of,
    row_range,
    single_models,
)
from mmroute.evaluation.static import static_line
from mmroute.predictions import Predictions

RESAMPLES = 500
TRAIN = 0.25
NAMES = "nauc gain nauc_honest gain_honest peak_score peak_score_honest qnc savings_at_parity"
NAMES += " rank_score rank_score_honest aiq"
METRICS = [metric for metric in CURVE_METRICS if metric.name in NAMES.split()]
FIXED = [metric for metric in METRICS if not metric.trained and not metric.against_zero]
"""Those that owe nothing to the training split's choices."""
RANKED = [METRICS.index(metric) for metric in METRICS if metric.name in ("nauc", "nauc_honest")]

N_FEATURES, N_MODELS, N_EQUAL = 4, 4, 18
SHARES, EASE = (0.1, 0.3, 0.6), (-1.0, 0.5, 0.0)
"""Of the data sets: of the queries, and in log-odds."""
STRENGTH, PRICE = np.linspace(-1.2, 1.2, N_MODELS), np.geomspace(0.02, 1, N_MODELS)
TASTE = np.random.default_rng(1).normal(size=(N_FEATURES, N_MODELS)) * 0.8
BLUR, WEAKER, BETTER = 0.7, 0.85, 0.25
"""Noise in the log-odds that a router predicts of a query."""
DRIFT = 0.2
"""Standard deviation of the error of a weight that each training has."""
ALIKE, SAME = 0.8, 0.95
"""Correlations within a group: of outcomes, and of what routers see and predict."""
N_TRUTH, N_TRAININGS, N_POPULATION = 2_000_000, 150, 200_000
REPETITIONS = 400


@dataclass(frozen=True)
class Case:
    """One kind of benchmark: N samples in groups of a size, and how many salts split it."""

    n_samples: int
    group_size: int
    n_salts: int

    @property
    def name(self) -> str:
        """What it is, in words."""
        kind = "" if self.group_size == 1 else f" in groups of {self.group_size}"
        salts = "one salt" if self.n_salts == 1 else f"{self.n_salts} salts"
        return f"{self.n_samples * (1 - TRAIN):.0f} test queries{kind}, {salts}"


CASES = [
    Case(n_samples, size, n_salts)
    for n_samples in (400, 2700)
    for size in (1, 10)
    for n_salts in (1, 3)
]


@dataclass(frozen=True)
class Table:
    """N samples, what is true of them, and R routers' noise."""

    samples: pd.DataFrame
    features: np.ndarray
    log_odds: np.ndarray
    utility: np.ndarray
    cost: np.ndarray
    c_hat: np.ndarray
    noise: np.ndarray

    @classmethod
    def draw(
        cls, generator: np.random.Generator, n_samples: int, group_size: int, n_routers: int
    ) -> "Table":
        """Draw all of it; every group is of one data set."""
        n_groups = n_samples // group_size
        groups = np.repeat(np.arange(n_groups), group_size)
        dataset = np.repeat(
            np.arange(len(SHARES)), np.rint(np.array(SHARES) * n_samples).astype(int)
        )

        def normal(shape: tuple[int, ...], alike: float) -> np.ndarray:
            own = generator.normal(size=(n_samples, *shape))
            if group_size == 1:
                return own
            shared = generator.normal(size=(n_groups, *shape))[groups]
            return np.sqrt(alike) * shared + np.sqrt(1 - alike) * own

        features = normal((N_FEATURES,), SAME)
        log_odds = STRENGTH + np.array(EASE)[dataset, None] + features @ TASTE
        told, untold = normal((2, N_MODELS), SAME).swapaxes(0, 1)
        samples = pd.DataFrame({"dataset": dataset, "group": groups}).astype("str")
        return cls(
            samples,
            features,
            log_odds,
            (ndtr(normal((N_MODELS,), ALIKE)) < expit(log_odds)).astype(float),
            PRICE * np.exp(0.3 * (told + untold)),
            PRICE * np.exp(0.3 * told),
            normal((n_routers, N_MODELS), SAME).swapaxes(0, 1),
        )

    def predictions(self, router: int, blur: float, drift: np.ndarray) -> Predictions:
        """What a router predicts whose weights are wrong by (D, K) ``drift``."""
        told = self.log_odds + self.features @ drift + blur * self.noise[router]
        return Predictions(self.samples["group"], expit(told)[None], self.c_hat[None])


@dataclass(frozen=True)
class Population:
    """The operating curve of a router on so many samples that it hardly varies."""

    curve: Curve
    singles: SingleModels
    fixed: dict[str, float]

    @classmethod
    def of(cls, table: Table, predictions: Predictions) -> "Population":
        """Trace it."""
        steps = steps_of(predictions, 0, np.isfinite(table.utility), "lambda")
        curve = trace(steps, table.utility, table.cost, "lambda")
        singles = single_models(table.utility, table.cost)
        nothing = np.empty((1, 0))
        own = WeightedCurve(frontier_of(curve), singles, None, nothing, nothing, None, None)
        return cls(curve, singles, {metric.name: metric.measure(own)[0] for metric in FIXED})

    def values(self, chosen: Chosen) -> np.ndarray:
        """The true ``METRICS`` at what a training split chose."""
        points = np.searchsorted(self.curve.threshold, chosen.parameters, side="right") - 1
        cost, utility = self.curve.cost[None, points], self.curve.utility[None, points]
        zero = static_line(self.singles, chosen.zero)
        own = WeightedCurve(None, self.singles, chosen, cost, utility, zero, None)
        told = self.fixed | {"gain": self.fixed["nauc"] - own.zero_nauc()[0]}
        trained = {metric.name: metric.measure(own)[0] for metric in METRICS if metric.trained}
        return np.array([(told | trained)[metric.name] for metric in METRICS])


@cache
def population(blur: float) -> Population:
    """Of a router without an error of its training."""
    table = Table.draw(np.random.default_rng(2**32), N_TRUTH, 1, 1)
    return Population.of(table, table.predictions(0, blur, np.zeros_like(TASTE)))


def fitted(table: Table, told: Predictions, in_test: np.ndarray, measured: SingleModels) -> tuple:
    """The choices of a router on its test split, and what its training split chose."""
    seen, kept = np.flatnonzero(~in_test), np.flatnonzero(in_test)
    outcomes = table.utility[seen], table.cost[seen]
    crossfit, own = told.take(seen), told.take(kept)
    steps = steps_of(own, 0, np.isfinite(table.utility[kept]), "lambda")
    carrier = Carrier.of(crossfit, *outcomes, "lambda")
    learned = training_frontier(crossfit, *outcomes, "lambda")
    foreseen = carrier.foreseen(steps, own.c_hat[0], "lambda")
    parameters = carrier.carry(learned.threshold, foreseen)
    return steps, choose(learned, parameters, single_models(*outcomes), measured)


def split(generator: np.random.Generator, table: Table) -> np.ndarray:
    """The mask of a test split, by groups; every data set has some."""
    groups, dataset = table.samples["group"].astype(int), table.samples["dataset"]
    while True:
        in_test = (generator.random(groups.max() + 1) >= TRAIN)[groups]
        if dataset[in_test].nunique() == len(SHARES):
            return in_test


def drifts(generator: np.random.Generator, n_routers: int, case: Case) -> np.ndarray:
    """The errors of a training, a matrix per router; none where there is one training."""
    size = DRIFT if case.n_salts > 1 else 0.0
    return size * generator.normal(size=(n_routers, *TASTE.shape))


def over_populations(cases: Sequence[Case], blurs: Sequence[float], seed: int) -> np.ndarray:
    """The (cases, blurs, metrics) true values of one training."""
    generator = np.random.default_rng([seed, 2**32])
    everything = Table.draw(generator, N_POPULATION, 1, 1)
    drift = drifts(generator, 1, cases[0])[0]
    own = [Population.of(everything, everything.predictions(0, blur, drift)) for blur in blurs]
    values = np.empty((len(cases), len(blurs), len(METRICS)))
    for index, case in enumerate(cases):
        table = Table.draw(generator, case.n_samples, case.group_size, 1)
        in_test = split(generator, table)
        measured = single_models(table.utility[in_test], table.cost[in_test])
        for other, (blur, whole) in enumerate(zip(blurs, own, strict=True)):
            told = table.predictions(0, blur, drift)
            values[index, other] = whole.values(fitted(table, told, in_test, measured)[1])
    return values


def replicates(
    case: Case, blurs: Sequence[float], seed: int
) -> tuple[list[list[list[np.ndarray]]], np.ndarray]:
    """Measure some routers on one benchmark.

    Returns
    -------
    For each metric and router the replicates of each salt; and the (routers, metrics) truths
    of the last salt, if it is the only one.
    """
    generator = np.random.default_rng([seed, case.n_samples, case.group_size, case.n_salts])
    table = Table.draw(generator, case.n_samples, case.group_size, len(blurs))
    own = [[[] for _ in blurs] for _ in METRICS]
    truths = np.full((len(blurs), len(METRICS)), np.nan)
    for _ in range(case.n_salts):
        in_test = split(generator, table)
        weights = resample_weights(table.samples, RESAMPLES, seed, in_test)
        utility, cost = table.utility[in_test], table.cost[in_test]
        singles = single_models(utility, cost, weights)
        extremes = row_range(utility, cost, weights)
        for router, drift in enumerate(drifts(generator, len(blurs), case)):
            told = table.predictions(router, blurs[router], drift)
            steps, chosen = fitted(table, told, in_test, singles)
            curve = curve_replicates(steps, utility, cost, weights, singles, chosen, extremes)
            for index, metric in enumerate(METRICS):
                own[index][router].append(curve.metrics[metric.name])
            if case.n_salts == 1:
                truths[router] = population(blurs[router]).values(chosen)
    return own, truths


def repetition(case: Case, truth: np.ndarray | None, seed: int) -> np.ndarray:
    """Tell of one benchmark, by metric, whether

    the interval of the value and of the difference to a weaker router hold the truth, and whether
    an equal router is told apart, and told apart at more than it is, points included.

    Parameters
    ----------
    case, seed
        The benchmark.
    truth
        (2, metrics) of several salts: of a router and of a weaker one; None with one salt.
    """
    own, truths = replicates(case, (BLUR, BLUR, WEAKER), seed)
    if truth is not None:
        truths = truth[[0, 0, 1]]
    rows = []
    for metric, routers, (one, other, weaker) in zip(METRICS, own, truths.T, strict=True):
        to_weaker, to_equal = ([*map(difference, routers[0], own)] for own in routers[:0:-1])
        low, high = interval_over(routers[0], metric.atoms, metric.against_zero)
        bounds = interval_over(to_weaker, metric.atoms, compared=True)
        to_equal = over_trainings(to_equal)
        with np.errstate(invalid="ignore"):
            beyond = to_equal - difference(one, other)
        rows.append(
            [
                low <= one <= high,
                bounds[0] <= difference(one, weaker) <= bounds[1],
                p_value(to_equal, metric.atoms) < SIGNIFICANCE,
                p_value(beyond, metric.atoms) < SIGNIFICANCE,
            ]
        )
    return np.array(rows, dtype=float)


def marked(best: float, seed: int) -> np.ndarray:
    """Tell of the set of the best, by metric of ``RANKED``, whether it holds

    the first router; that one, were all equal at the points that training chose; and the one that
    is truly best at these points. Last, how many it holds.

    Parameters
    ----------
    best
        The first router's noise; all others have ``BLUR``.
    seed
        Of the benchmark.
    """
    case = Case(CASES[0].n_samples, 1, 1)
    own, truths = replicates(case, [best] + [BLUR] * (N_EQUAL - 1), seed)
    rows = []
    for index in RANKED:
        measured, true = np.array(own[index])[:, 0], truths[:, index]
        inside, inside_of_equal = (
            np.array([*p_best(dict(enumerate(values))).values()]) >= SIGNIFICANCE
            for values in (measured, measured - true[:, None])
        )
        rows.append([inside[0], inside_of_equal[0], inside[true.argmax()], inside.sum()])
    return np.array(rows, dtype=float)


def ahead(best: float) -> float:
    """By how many standard errors of a paired difference the first of ``marked`` is ahead."""
    case = Case(CASES[0].n_samples, 1, 1)
    pairs = []
    for seed in range(40):
        first, second = (one for (one,) in replicates(case, (best, BLUR), 2**20 + seed)[0][0])
        pairs.append(first - second)
    return float(np.mean([own[0] for own in pairs]) / np.mean([own[1:].std() for own in pairs]))


def in_parallel(task: Callable[[int], np.ndarray], repetitions: int, what: str) -> np.ndarray:
    """Repeat a task under as many seeds."""
    with ProcessPoolExecutor(initializer=start) as pool:
        found = pool.map(task, range(repetitions), chunksize=2)
        return np.array([*tqdm(found, desc=what, total=repetitions, mininterval=30)])


def start() -> None:
    """Say nothing of metrics that are undefined where nothing is chosen."""
    np.seterr(invalid="ignore", divide="ignore")


def print_row(*cells: object) -> None:
    """Print a line of a table."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def errors() -> None:
    """Print how often intervals hold and equal routers are told apart, a table for each case."""
    three = [case for case in CASES if case.n_salts > 1]
    means = in_parallel(partial(over_populations, three, (BLUR, WEAKER)), N_TRAININGS, "truth")
    for blur in (BLUR, WEAKER):
        population(blur)
    for case in CASES:
        truth = means.mean(axis=0)[three.index(case)] if case in three else None
        found = in_parallel(partial(repetition, case, truth), REPETITIONS, case.name)
        print(f"\n{case.name}: {REPETITIONS} repetitions\n")
        print_row("metric", "value", "difference", "equal ones told apart", "of these points")
        print_row("---", *["---:"] * 4)
        for metric, shares in zip(METRICS, found.mean(axis=0), strict=True):
            print_row(metric.name, *(f"{share:.1%}" for share in shares))


def sets() -> None:
    """Print how often the set of the best holds a given one of equal routers, and the best one."""
    print(f"\nThe set of the best of {N_EQUAL} routers, {REPETITIONS} repetitions\n")
    print_row("first router", "metric", "in the set", "equal points", "the best is in", "size")
    print_row("---", "---", *["---:"] * 4)
    for best in (BLUR, BETTER):
        kind = "as good" if best == BLUR else f"better by {ahead(best):.1f} standard errors"
        found = in_parallel(partial(marked, best), REPETITIONS, kind).mean(axis=0)
        for index, (*shares, size) in zip(RANKED, found, strict=True):
            told = [f"{share:.1%}" for share in shares]
            print_row(kind, METRICS[index].name, *told, f"{size:.1f}")


def main() -> None:
    """Print all tables."""
    print(f"{RESAMPLES} resamples, nominal {CONFIDENCE:.0%}")
    errors()
    sets()
    claimed.main()
    advised.main()
    logged.main()


if __name__ == "__main__":
    start()
    main()
