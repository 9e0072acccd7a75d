"""How often what is told of a router on logged traffic holds the truth, on simulated logs.

``make coverage`` prints it by the number of logged queries and the share of them that was sent to a
random model: for a router's value, and for its difference to the policy that was logged and to the
best single model, in utility and in cost; then for logs in which each query came ten times, as if
all were different, and with groups that say so. The doubly robust estimate has good predictions,
and bad ones that know nothing of a query and take the worst model for the best. Where too little
overlaps nothing is told, and the interval does not count.
"""

from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from typing import NamedTuple, Self

import numpy as np
from scipy.special import expit
from tqdm import tqdm

from mmroute.evaluation.off_policy import Estimate, Overlap, mean

REPETITIONS, N_TRUTH = 1000, 2_000_000
SIZES, SHARES = (300, 3000), (0.1, 0.5)
TIMES = 10
"""How often each query comes in a log of groups."""
STRENGTH, PRICE = np.array([-1.2, -0.4, 0.4, 1.2]), np.array([0.02, 0.07, 0.27, 1.0])
N_FEATURES, N_MODELS = 4, len(PRICE)
TASTE = np.random.default_rng(1).normal(size=(N_FEATURES, N_MODELS)) * 0.8
BEST = 3
"""The model that is right most often."""
NOISE, LOGGED_NOISE = 0.7, 1.5
"""In the log-odds that the router predicts, and the policy that was logged."""
BAD = np.array([0.9, 0.1, 0.1, 0.1])
ESTIMATES = ("SNIPS", "doubly robust", "doubly robust, bad predictions")
OF = ("value", "to the logged policy", "to the best model")


class Traffic(NamedTuple):
    """N queries: (N, K) outcomes and predictions, and (N,) choices.

    ``usual`` is what the logged policy takes where nothing is random.
    """

    outcomes: tuple[np.ndarray, np.ndarray]
    predicted: tuple[np.ndarray, np.ndarray]
    target: np.ndarray
    usual: np.ndarray

    @classmethod
    def draw(cls, generator: np.random.Generator, n_queries: int) -> "Traffic":
        """Draw all of it."""
        shape = n_queries, N_MODELS
        log_odds = STRENGTH + generator.normal(size=(n_queries, N_FEATURES)) @ TASTE
        utility = (generator.random(shape) < expit(log_odds)).astype(float)
        told, untold = generator.normal(size=(2, *shape))
        cost, u_hat = (
            PRICE * np.exp(0.3 * (told + untold)),
            expit(log_odds + NOISE * generator.normal(size=shape)),
        )
        c_hat = PRICE * np.exp(0.3 * told + 0.3**2 / 2)
        seen = expit(log_odds + LOGGED_NOISE * generator.normal(size=shape))
        target, usual = (u_hat - 0.3 * c_hat).argmax(axis=1), (seen - 0.2 * PRICE).argmax(axis=1)
        return cls((utility, cost), (u_hat, c_hat), target, usual)

    def repeated(self, times: int) -> Self:
        """The same with each query several times, and the same outcomes each time."""
        rows = np.repeat(np.arange(len(self.target)), times)
        pairs = (tuple(own[rows] for own in pair) for pair in (self.outcomes, self.predicted))
        return type(self)(*pairs, self.target[rows], self.usual[rows])


@cache
def truths(share: float) -> np.ndarray:
    """The (2, 3) true values, of utility and cost, of what is told."""
    traffic = Traffic.draw(np.random.default_rng(2**32), N_TRUTH)
    rows = np.arange(N_TRUTH)
    told = []
    for outcome in traffic.outcomes:
        value = outcome[rows, traffic.target].mean()
        usual = (1 - share) * outcome[rows, traffic.usual].mean() + share * outcome.mean()
        told.append([value, value - usual, value - outcome[:, BEST].mean()])
    return np.array(told)


def estimated(
    n_queries: int, share: float, seed: int, times: int = 1, grouped: bool = True
) -> list[list[list[Estimate]]] | None:
    """What one log tells, by outcome, estimate and what it is of; None if that is nothing.

    Each of ``n_queries`` comes some ``times``; ``grouped`` if the estimates know.
    """
    generator = np.random.default_rng([seed, n_queries, round(100 * share)])
    traffic = Traffic.draw(generator, n_queries).repeated(times)
    group = np.repeat(np.arange(n_queries), times) if grouped else None
    n_queries *= times
    rows = np.arange(n_queries)
    anywhere = generator.integers(N_MODELS, size=n_queries)
    logged = np.where(generator.random(n_queries) < share, anywhere, traffic.usual)
    propensity = (1 - share) * (logged == traffic.usual) + share / N_MODELS
    policies = traffic.target, np.full(n_queries, BEST)
    overlaps = [Overlap.of(one, logged, propensity, group) for one in policies]
    if not all(overlap.is_enough for overlap in overlaps):
        return None
    told = []
    for outcome, good, scale in zip(traffic.outcomes, traffic.predicted, (1, 0.5), strict=True):
        paid = outcome[rows, logged]
        own: list[list[Estimate]] = [[overlap.snips(paid) for overlap in overlaps]]
        for predicted in (good, np.tile(scale * BAD, (n_queries, 1))):
            own.append(
                [
                    overlap.doubly_robust(paid, predicted[rows, policy], predicted[rows, logged])
                    for overlap, policy in zip(overlaps, policies, strict=True)
                ]
            )
        told.append([[router, router - mean(paid, group), router - best] for router, best in own])
    return told


def repetition(n_queries: int, share: float, times: int, grouped: bool, seed: int) -> np.ndarray:
    """Tell of one log, (2, 3, 3, 2), whether the intervals hold the truth, and their widths.

    NaN where nothing is told. Arguments are those of ``estimated``.
    """
    found = np.full((2, len(ESTIMATES), len(OF), 2), np.nan)
    told = estimated(n_queries, share, seed, times, grouped)
    if told is not None:
        truth = truths(share)
        for place in np.ndindex(found.shape[:-1]):
            outcome, estimate, of = place
            low, high = told[outcome][estimate][of].interval
            found[place] = low <= truth[outcome, of] <= high, high - low
    return found


def main() -> None:
    """Print the tables."""
    different = [(size, share, 1, True) for share in SHARES for size in SIZES]
    again = [(max(SIZES), share, TIMES, grouped) for share in SHARES for grouped in (False, True)]
    for share in SHARES:
        truths(share)
    for n_queries, share, times, grouped in different + again:
        with ProcessPoolExecutor() as pool:
            one = partial(repetition, n_queries, share, times, grouped)
            task = pool.map(one, range(REPETITIONS), chunksize=20)
            found = np.array([*tqdm(task, total=REPETITIONS, mininterval=30)])
        told = np.isfinite(found).all(axis=(1, 2, 3, 4))
        how = f", {times} times each, {'in groups' if grouped else 'as if different'}"
        print(
            f"\n{n_queries} logged queries{how * (times > 1)}, {share:.0%} to a random model: "
            f"{REPETITIONS} repetitions, told in {told.mean():.1%}\n"
        )
        if told.any():
            _print(found[told])


def _print(found: np.ndarray) -> None:
    print(f"| outcome | estimate | {' | '.join(OF)} |\n| --- | --- |{' ---: |' * len(OF)}")
    held, width = found.mean(axis=0)[..., 0], np.median(found, axis=0)[..., 1]
    for outcome, name in enumerate(("utility", "cost")):
        for estimate, title in enumerate(ESTIMATES):
            pairs = zip(held[outcome, estimate], width[outcome, estimate], strict=True)
            cells = (f"{share:.1%} of width {size:.3f}" for share, size in pairs)
            print(f"| {name} | {title} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
