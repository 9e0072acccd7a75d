"""What the report's figures show, and what is to be seen in each, in words."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from mmroute.decision.decide import PER_1000
from mmroute.presentation.tables import REFERENCES
from mmroute.report.html import Figure

FIGURES = {
    "fig4": "Frontier of each router on all test samples, with its 95 % confidence band; points "
    "are the single models, dashed lines their best static mixtures, which need no router.",
    "figS1": "Frontier of each router on each data set, and the best static mixtures of models.",
    "calibration": "Observed against predicted utility of the models that each router chooses at "
    "its peak.",
    "models": "Cost and accuracy of the single models.",
}
"""The report's figures and their captions."""


def figures(
    paths: Mapping[str, Path], table: pd.DataFrame, points: pd.DataFrame, singles: pd.DataFrame
) -> dict[str, Figure]:
    """Say of each of ``FIGURES`` what is to be seen in it.

    Parameters
    ----------
    paths
        Figure to its SVG file.
    table, points, singles
        The main table, the operating points, and the single models on the test split.
    """
    gains = table[(table["metric"] == "gain_honest") & ~table["router"].isin(REFERENCES)]
    told = {
        "fig4": _gain(gains[gains["level"] == "full"]),
        "figS1": _gains(gains[gains["level"] == "dataset"]),
        "calibration": _calibration(points),
        "models": _models(singles[singles["dataset"] == "full"]),
    }
    return {name: Figure(paths[name], FIGURES[name], told[name]) for name in FIGURES}


def _best(gains: pd.DataFrame) -> pd.DataFrame:
    """The rows of the router that was best in training."""
    ranked = gains.dropna(subset="training").groupby("router", sort=False)["training"].mean()
    return gains[gains["router"] == ranked.idxmax()] if len(ranked) else gains[:0]


def _gain(gains: pd.DataFrame) -> str:
    own = _best(gains)
    if own.empty:
        return "There is no router to compare with the static mixtures of models."
    row = own.iloc[0]
    return (
        f"On the test samples {row['router']}, the best router in training, has "
        f"{row['value']:+.3f} nAUC ({row['low']:+.3f} to {row['high']:+.3f}) against the best "
        "static mixtures of models."
    )


def _gains(gains: pd.DataFrame) -> str:
    own = _best(gains).dropna(subset="value")
    if own.empty:
        return "There is no router to compare with the static mixtures of models."
    most = own.sort_values("value", kind="stable").iloc[-1]
    return (
        f"{most['router']}, the best router in training on average, is above the best static "
        f"mixtures of models on {(own['value'] > 0).sum()} of {len(own)} data sets, at most by "
        f"{most['value']:.3f} nAUC, on {most['dataset']}."
    )


def _calibration(points: pd.DataFrame) -> str:
    kept = (points["dataset"] == "full") & (points["point"] == "peak") & (points["metric"] == "ece")
    own = points[kept & ~points["router"].isin(REFERENCES)].dropna(subset="value")
    if own.empty:
        return "No router predicts an accuracy."
    ranked = own.sort_values("value", kind="stable")
    least, most = ranked.iloc[0], ranked.iloc[-1]
    return (
        f"What {least['router']} predicts is closest to what was observed, its calibration error "
        f"{least['value']:.3f}; {most['router']} is farthest from it, {most['value']:.3f}."
    )


def _models(singles: pd.DataFrame) -> str:
    best = singles.sort_values("utility", kind="stable").iloc[-1]
    cheapest = singles.sort_values("cost", kind="stable").iloc[0]
    told = [
        f"{row['model']}, {row['utility']:.1%} right for ${PER_1000 * row['cost_usd']:.4g} per "
        "1,000 queries"
        for row in (best, cheapest)
    ]
    return f"The most accurate model is {told[0]}; the cheapest is {told[1]}."
