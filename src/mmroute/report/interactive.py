"""What the report's interactive chart is filled with: few numbers, for every choice of a reader."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from mmroute.decision.words import OFFER_COLUMNS, offers
from mmroute.evaluation.static import STATIC
from mmroute.presentation.looks import (
    ACCURACY_LABEL,
    COST_LABEL,
    STATIC_LABELS,
    USD_LABEL,
    largest_shares,
    looks,
    usd_per_1000,
)
from mmroute.storage import SHRUNK

DIGITS = 4
"""Significant digits of a number: more than a chart can show."""


@dataclass(frozen=True)
class Chart:
    """The interactive frontier.

    Attributes
    ----------
    library, spec
        The script that draws, and what, as of ``presentation.charts``.
    data
        What it is filled with, as of ``chart_data``.
    """

    library: str
    spec: Mapping[str, Any]
    data: Mapping[str, Any]

    @property
    def json(self) -> str:
        """Both in a form that cannot end the element that it stands in."""
        text = json.dumps(
            {"spec": self.spec, "data": self.data}, allow_nan=False, separators=(",", ":")
        )
        return text.replace("<", "\\u003c")


def chart_data(
    lines: pd.DataFrame, models: pd.DataFrame, prominent: Sequence[str], budgets: pd.DataFrame
) -> dict[str, Any]:
    """Lay out all that the chart can be asked for, as JSON; ``frontier.js`` reads it.

    Parameters
    ----------
    lines
        ``router``, and as ``Evaluation.lines``.
    models
        As from ``evaluate_singles``.
    prominent
        Routers that have a colour of their own.
    budgets
        As from ``ladder.ladder``.
    """
    routers = list(lines["router"].unique())
    datasets = ["full", *(name for name in models["dataset"].unique() if name != "full")]
    by_dataset = dict(iter(lines.groupby("dataset", sort=False)))
    full = models[models["dataset"] == "full"]
    return {
        "titles": {"utility": ACCURACY_LABEL, "usd": USD_LABEL, "cost": COST_LABEL},
        "unit": usd_per_1000(full),
        "models": list(full["model"]),
        "static": [{"name": name, "title": STATIC_LABELS[name]} for name in STATIC],
        "routers": [
            {"name": router, "shrunk": router.endswith(SHRUNK), **asdict(look)}
            | {"twin": f"{router}{SHRUNK}" in routers}
            for router, look in looks(routers, prominent).items()
        ],
        "datasets": [
            _dataset(name, by_dataset[name], models[models["dataset"] == name])
            for name in datasets
            if name in by_dataset
        ],
        "budgets": {
            "columns": OFFER_COLUMNS,
            "steps": [
                asdict(offer) | {"points": [*map(_short, offer.points)]}
                for offer in offers(budgets)
            ],
        },
    }


def _dataset(name: str, lines: pd.DataFrame, models: pd.DataFrame) -> dict[str, Any]:
    known = models.dropna(subset="cost")
    within = lines["router"] != "oracle"
    heights = pd.concat([lines["utility"][within], known["utility"]]).dropna()
    margin = 0.1 * max(heights.max() - heights.min(), 0.02)
    costs = pd.concat([lines["cost"], known["cost"]])
    return {
        "name": name,
        "height": _short([heights.min() - margin, heights.max() + margin]),
        "cost": _short([costs[costs > 0].min(), costs.max()]),
        "free": bool((costs <= 0).any()),
        "models": [
            [model, *_short(numbers)]
            for model, *numbers in known[
                ["model", "cost", "utility", "utility_low", "utility_high"]
            ].itertuples(index=False)
        ],
        "static": [_static_line(known, static) for static in STATIC],
        "lines": {
            str(chosen_on): {
                str(router): _line(line) for router, line in own.groupby("router", sort=False)
            }
            for chosen_on, own in lines.groupby("chosen_on", sort=False)
        },
    }


def _static_line(models: pd.DataFrame, name: str) -> list[list[float | None]]:
    own = models[models[name]].sort_values("cost")
    end = models["cost"].max()
    return [_short([*own["cost"], end]), _short([*own["utility"], *own["utility"].tail(1)])]


def _line(line: pd.DataFrame) -> list[list[Any]]:
    """Cost, utility, low, high, threshold, and the main shares of the traffic in percent."""
    numbers = (_short(line[name]) for name in ("cost", "utility", "low", "high", "threshold"))
    traffic = [
        [part for model, share in largest_shares(one) for part in (model, round(100 * share))]
        for one in line["traffic"]
    ]
    return [*numbers, traffic]


def _short(numbers: Any) -> list[float | None]:
    """Numbers with few digits; None for what is no finite number."""
    return [float(f"{one:.{DIGITS}g}") if np.isfinite(one) else None for one in numbers]
