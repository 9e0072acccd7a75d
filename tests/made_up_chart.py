"""A made-up interactive frontier, which the tests of the page and of the chart share."""

from functools import cache

import numpy as np
import pandas as pd

from mmroute.decision.ladder import COMPARED
from mmroute.presentation.charts import empty_chart, library
from mmroute.report.interactive import Chart, chart_data

MODELS = ["cheap", "middle <b>x</b>", "strong", "dear"]
ROUTERS = ["knn", "knn+shrink", "linear", "random", "oracle"]
_library = cache(library)


def models_of(datasets=("full", "A"), names=MODELS, free=False):
    size = len(names)
    cost = np.geomspace(0.001, 1, size)
    if free:
        cost[0] = 0
    utility = np.linspace(0.5, 0.7, size) + 0.02 * np.sin(np.arange(size))
    frames = [
        pd.DataFrame(
            {
                "dataset": dataset,
                "model": names,
                "cost": cost,
                "cost_usd": cost * 0.01,
                "utility": utility,
                "utility_low": utility - 0.02,
                "utility_high": utility + 0.02,
                "zero": np.isin(np.arange(size), [0, size - 1]),
                "zero_hindsight": np.isin(np.arange(size), [0, size // 2, size - 1]),
            }
        )
        for dataset in datasets
    ]
    return pd.concat(frames, ignore_index=True)


def lines_of(datasets=("full", "A"), routers=ROUTERS, n_points=8, n_models=4):
    frames = []
    for dataset in datasets:
        for number, router in enumerate(routers):
            for shift, chosen_on in ((0.0, "train"), (0.01, "test")):
                size = 1 if router == "random" else n_points
                cost = np.geomspace(0.002, 0.9, size)
                utility = np.linspace(0.52, 0.72, size) + 0.005 * number + shift
                share = np.linspace(0, 1, size)
                traffic = np.zeros((size, n_models))
                traffic[:, 0], traffic[:, -1] = 1 - share, share
                frames.append(
                    pd.DataFrame(
                        {
                            "router": router,
                            "dataset": dataset,
                            "chosen_on": chosen_on,
                            "cost": cost,
                            "utility": utility + 0.2 * (router == "oracle"),
                            "low": utility - 0.02,
                            "high": utility + 0.02,
                            "threshold": np.linspace(3, 0, size),
                            "traffic": list(traffic),
                        }
                    )
                )
    return pd.concat(frames, ignore_index=True)


def budgets_of(n_budgets=5, models=MODELS):
    limit = np.geomspace(0.02, 8, n_budgets)
    table = pd.DataFrame(
        {
            "amount": [f"{100 * one / 8:.3g}%" for one in limit],
            "limit": limit,
            "router": ["", *["knn"] * (n_budgets - 1)],
            "first": models[0],
            "second": models[-1],
            "second_share": np.linspace(0, 1, n_budgets),
            "feasible": [False, *[True] * (n_budgets - 1)],
            "single": models[0],
            "single_feasible": True,
        }
    )
    for prefix in ("", *(f"{one}_" for one in COMPARED)):
        offset = 0.02 * (not prefix)
        for name, value in (
            ("accuracy", np.linspace(0.5, 0.7, n_budgets) + offset),
            ("cost_usd_per_1000", 0.9 * limit),
            ("saving", 1 - 0.9 * limit / 8),
        ):
            for bound, beyond in (("", 0), ("_low", -0.01), ("_high", 0.01)):
                table[f"{prefix}{name}{bound}"] = value + beyond
    table[[f"share {name}" for name in models]] = 1 / len(models)
    return table


def made_up_chart(lines=None, models=None, budgets=None, prominent=("knn", "linear", "oracle")):
    given = (
        lines_of() if lines is None else lines,
        models_of() if models is None else models,
        prominent,
        budgets_of() if budgets is None else budgets,
    )
    return Chart(_library(), empty_chart(), chart_data(*given))
