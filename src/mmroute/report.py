"""The HTML report: one file that opens from disk, with everything in it."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
import yaml

from mmroute.metrics import reaches
from mmroute.tables import METRIC_TITLES, format_value, wide

REFERENCES = ("best_single", "oracle")
"""Rows that are no routers and stand in no ranking."""


@dataclass(frozen=True)
class Report:
    """What the report shows.

    Attributes
    ----------
    title
        Name of the benchmark.
    simulated
        Whether its outcomes were made up.
    table
        The long main table.
    datasets, models
        The data report's tables.
    notices
        What a reader has to know.
    singles
        Single models on the test split, per data set.
    frontiers
        Frontier points of every router, per data set.
    figures
        SVG files with what they show.
    config
        The configuration after defaults.
    """

    title: str
    simulated: bool
    table: pd.DataFrame
    datasets: pd.DataFrame
    models: pd.DataFrame
    notices: Sequence[str]
    singles: pd.DataFrame
    frontiers: pd.DataFrame
    figures: Mapping[str, Path]
    config: Mapping[str, Any]

    def render(self) -> str:
        """Return the HTML; all text from data is escaped."""
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("mmroute", "."),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters |= {"share": "{:.1%}".format, "usd": _usd, "metric": format_value}
        return environment.get_template("report.html.j2").render(
            title=self.title,
            simulated=self.simulated,
            summary=summarise(self.table, self.singles, self.frontiers),
            metrics=[
                {"title": METRIC_TITLES[metric], **_ranked(wide(self._shown, metric), metric)}
                for metric in self.table["metric"].unique()
            ],
            datasets=self.datasets.to_dict("records"),
            models=self.models.sort_values("cost").to_dict("records"),
            notices=self.notices,
            figures={caption: _data_uri(path) for caption, path in self.figures.items()},
            config=yaml.safe_dump(dict(self.config), sort_keys=False, allow_unicode=True),
        )

    @property
    def _shown(self) -> pd.DataFrame:
        """The main table; with a single data set its aggregates repeat it and are left out."""
        if (self.table["level"] == "dataset").groupby(self.table["dataset"]).any().sum() > 1:
            return self.table
        return self.table[self.table["level"] == "full"]


@dataclass(frozen=True)
class Summary:
    """The benchmark in a few numbers, on all test samples.

    Attributes
    ----------
    samples
        Test samples.
    best_model, best_accuracy, best_cost_usd
        The most accurate single model.
    router, nauc
        The router of the largest nAUC.
    peak, peak_cost_usd
        The most accurate point of its frontier.
    parity_cost_usd
        Cost at which it reaches the best single model's accuracy; None if it never does.
    """

    samples: int
    best_model: str
    best_accuracy: float
    best_cost_usd: float
    router: str
    nauc: float
    peak: float
    peak_cost_usd: float
    parity_cost_usd: float | None


def summarise(table: pd.DataFrame, singles: pd.DataFrame, frontiers: pd.DataFrame) -> Summary:
    """Pick the numbers that a reader asks for first."""
    models = singles[singles["dataset"] == "full"]
    best = models.sort_values(["utility", "cost"], ascending=[False, True]).iloc[0]
    ranking = table[(table["dataset"] == "full") & (table["metric"] == "nauc")]
    ranking = ranking[~ranking["router"].isin(REFERENCES)].set_index("router")["value"]
    router = ranking.idxmax() if len(ranking) else "oracle"
    points = frontiers[(frontiers["router"] == router) & (frontiers["dataset"] == "full")]
    peak = points.loc[points["utility"].idxmax()]
    parity = points[reaches(points["utility"], best["utility"])]
    return Summary(
        samples=int(best["samples"]),
        best_model=best["model"],
        best_accuracy=best["utility"],
        best_cost_usd=best["cost_usd"],
        router=router,
        nauc=ranking.get(router, np.nan),
        peak=peak["utility"],
        peak_cost_usd=peak["cost_usd"],
        parity_cost_usd=float(parity["cost_usd"].min()) if len(parity) else None,
    )


def _ranked(values: pd.DataFrame, metric: str) -> dict[str, Any]:
    """Return a metric's columns and rows, each cell with whether it leads its column."""
    routers = values[~values.index.isin(REFERENCES)]
    leading = routers.min() if metric == "qnc" else routers.max()
    return {
        "columns": list(values.columns),
        "rows": [
            {
                "router": router,
                "reference": router in REFERENCES,
                "cells": [
                    (value, router not in REFERENCES and value == best and np.isfinite(value))
                    for value, best in zip(row, leading, strict=True)
                ],
            }
            for router, row in zip(values.index, values.to_numpy(), strict=True)
        ],
    }


def _usd(value: float) -> str:
    """Format USD per query as USD per 1,000 queries."""
    return f"{value * 1000:,.2f}" if value * 1000 >= 0.1 else f"{value * 1000:.4f}"


def _data_uri(path: Path) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode()
