"""The figure of how the exact curve's time grows with the number of samples."""

from functools import partial
from pathlib import Path

import matplotlib as mpl
import numpy as np
from cases import POLICIES, draw_table, exact
from matplotlib import pyplot as plt
from measure import median_seconds

from mmroute.storage import atomic

N_MODELS = 10
N_SAMPLES = np.logspace(2, 6, 9).round().astype(int)


def draw_scaling(path: Path) -> None:
    """Measure both policy families from 100 to 1,000,000 samples and draw seconds over samples."""
    mpl.use("Agg")
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    tables = [draw_table(n_samples, N_MODELS, seed=0) for n_samples in N_SAMPLES]
    for policy in POLICIES:
        seconds = [median_seconds(partial(exact, policy), table) for table in tables]
        slope = np.polyfit(np.log(N_SAMPLES), np.log(seconds), 1)[0]
        axes.loglog(N_SAMPLES, seconds, "o-", label=f"{policy}: fitted slope {slope:.2f}")
    guide = N_SAMPLES * np.log(N_SAMPLES)
    axes.loglog(
        N_SAMPLES,
        guide * seconds[-1] / guide[-1],
        "--",
        color="0.5",
        label="proportional to N log N",
    )
    axes.set(
        title=f"Exact operating curve of {N_MODELS} models: time grows as N log N",
        xlabel="samples N",
        ylabel="time of one curve (seconds, median)",
    )
    axes.grid(visible=True, which="major", alpha=0.4)
    axes.legend()
    with atomic(path) as unfinished:
        figure.savefig(unfinished, format="png", dpi=150)
    plt.close(figure)
