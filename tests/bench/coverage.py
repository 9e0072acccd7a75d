"""Coverage of the 95 % intervals, on simulated tables whose truth is known.

``make coverage`` prints, for repetitions of one simulated benchmark, the share in
which the interval of a metric, or of a paired difference between two routers,
holds the truth. The truth is the metric on a table of two million samples.
"""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import advised
import numpy as np
import pandas as pd
from tqdm import tqdm

from mmroute.evaluation.bootstrap import CONFIDENCE, curve_replicates, interval, resample_weights
from mmroute.evaluation.curve import operating_curve, policy_steps
from mmroute.evaluation.metrics import frontier_of, nauc, peak_score, single_models

RESAMPLES = 1000
N_TRUTH = 2_000_000
CASES = ((300, 4, 1000), (1000, 5, 1000), (2426, 15, 1000))
"""Samples, models and repetitions; the last is the size of MathVision's test split."""

METRICS: dict[str, Callable] = {
    "nauc": lambda own, singles: nauc(own, singles),
    "peak_score": lambda own, singles: peak_score(own),
}
BLUR = (0.3, 0.6)
"""Noise in the log-odds that each of the two routers predicts."""


def draw(generator: np.random.Generator, n_samples: int, n_models: int) -> tuple:
    """Draw two routers' predictions and the outcomes; stronger models cost more."""
    strength = np.linspace(-1, 1.2, n_models)
    ease = generator.normal(size=(n_samples, 1))
    fit = 0.5 * generator.normal(size=(n_samples, n_models))
    utility = generator.random(fit.shape) < 1 / (1 + np.exp(-(strength + ease + fit)))
    price = np.geomspace(0.01, 1, n_models)
    cost = price * generator.lognormal(0, 0.3, fit.shape)
    c_hat = price * generator.lognormal(0, 0.05, fit.shape)
    told = strength + 0.8 * ease + 0.5 * fit
    routers = [1 / (1 + np.exp(-(told + blur * generator.normal(size=fit.shape)))) for blur in BLUR]
    return routers, c_hat, utility.astype(float), cost


def truth_of(n_models: int) -> np.ndarray:
    """Return the (routers, metrics) values on a table so large that they hardly vary."""
    routers, c_hat, utility, cost = draw(np.random.default_rng(2**32), N_TRUTH, n_models)
    singles = single_models(utility, cost)
    fronts = [frontier_of(operating_curve(u_hat, c_hat, utility, cost)) for u_hat in routers]
    return np.array([[float(f(own, singles)[0]) for f in METRICS.values()] for own in fronts])


def repetition(n_samples: int, n_models: int, seed: int) -> np.ndarray:
    """Return the (routers + 1, metrics, 2) interval bounds; the last router is the difference."""
    routers, c_hat, utility, cost = draw(np.random.default_rng(seed), n_samples, n_models)
    samples = pd.DataFrame({"dataset": "simulated", "group": range(n_samples)})
    weights = resample_weights(samples, RESAMPLES, seed)
    singles = single_models(utility, cost, weights)
    values = []
    for u_hat in routers:
        steps = policy_steps(u_hat, c_hat, np.ones(u_hat.shape, bool), "lambda")
        chosen = np.zeros(1), 0, np.zeros(1, int)
        curve = curve_replicates(steps, utility, cost, weights, singles, *chosen)
        values.append([curve.metrics[name] for name in METRICS])
    return np.apply_along_axis(interval, 2, [*values, np.subtract(*values)])


def main() -> None:
    """Print one row per case, metric and quantity."""
    print(f"{RESAMPLES} resamples, nominal {CONFIDENCE:.0%}")
    print("| samples x models | repetitions | metric | router | weaker router | difference |")
    print("| --- | ---: | --- | ---: | ---: | ---: |")
    for n_samples, n_models, repetitions in CASES:
        truth = truth_of(n_models)
        truth = np.vstack([truth, truth[0] - truth[1]])
        with ProcessPoolExecutor() as pool:
            drawn = pool.map(partial(repetition, n_samples, n_models), range(repetitions))
            bounds = np.array(list(tqdm(drawn, total=repetitions, mininterval=10)))
        held = ((bounds[..., 0] <= truth) & (truth <= bounds[..., 1])).sum(axis=0)
        for index, name in enumerate(METRICS):
            shares = " | ".join(f"{share:.1%}" for share in held[:, index] / repetitions)
            print(f"| {n_samples} x {n_models} | {repetitions} | {name} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
    advised.main()
