"""The HTML report: one file that opens from disk, with everything in it."""

import base64
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from mmroute.decision.words import Card
from mmroute.evaluation.inference import SIGNIFICANCE
from mmroute.evaluation.metrics import CURVE_METRICS, ROUNDING, SAVED_AT
from mmroute.evaluation.policy_metrics import POLICY_METRICS
from mmroute.evaluation.static import ZERO
from mmroute.outcome_table import LATENCY
from mmroute.presentation.tables import (
    AVERAGES,
    REFERENCES,
    difference_of,
    metric_title,
    prominent,
    record_of,
    wide,
)
from mmroute.report.conclusions import UNTESTED, by_chance
from mmroute.report.interactive import Chart
from mmroute.report.page import asset, render

CELL_COLUMNS = ("value", "low", "high", "p_best", "p_value", "infinite", "undefined")
COMPARED_METRIC = "nauc_honest"
HEADLINE = {
    "gain_honest": "gain, points from training",
    "nauc_honest": "nAUC, points from training",
    "gain": "gain",
    "nauc": "nAUC",
}
"""Metrics beside each other in the first table, and the headers of their columns."""


@dataclass(frozen=True)
class Frame:
    """A table of display strings.

    Attributes
    ----------
    columns
        Headers.
    rows
        Cells.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    @classmethod
    def of(cls, frame: pd.DataFrame) -> "Frame":
        """Take a frame of display strings."""
        return cls(list(frame.columns), frame.astype(str).to_numpy().tolist())


@dataclass(frozen=True)
class Figure:
    """A drawn figure.

    Attributes
    ----------
    path
        Its SVG file.
    caption
        What it shows.
    finding
        What is to be seen in it, for those who cannot see it.
    """

    path: Path
    caption: str
    finding: str

    @property
    def uri(self) -> str:
        """The figure as a page embeds it."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.path.read_bytes()).decode()


@dataclass(frozen=True)
class Section:
    """What the report shows of one experiment.

    Attributes
    ----------
    title, question
        What it is about.
    frames
        Its table, ``frame``, and where a paper has values of it too, ``published``.
    figure
        Its figure, if it has one.
    cards
        Single queries with their image that stand in its place, see ``Experiment.cards``.
    """

    title: str
    question: str
    frames: Mapping[str, Frame]
    figure: Figure | None
    cards: Sequence[Mapping[str, Any]] = ()

    @classmethod
    def of(cls, stored: Mapping[str, Any], figure: Path | None) -> "Section":
        """Take what an experiment's table was stored with."""
        frames = {part: Frame(**frame) for part, frame in stored["frames"].items()}
        told = f"{stored['title']}: {stored['question']} The numbers are in the table below."
        drawn = Figure(figure, stored["question"], told) if figure else None
        return cls(**{**stored, "frames": frames}, figure=drawn)


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
    datasets, origins, models
        The data report's tables.
    notices
        What a reader has to know.
    singles
        Single models on the test split, per data set.
    points
        Metrics at the named operating points.
    differences
        Paired differences between routers.
    answers, cards, changes
        Whether routing pays here, what to run for each thing asked, and what would change it.
    decision
        What to run under each budget and for each quality.
    conclusions
        The papers' conclusions with what was measured here.
    sections
        One per experiment.
    figures
        ``fig4``, ``figS1``, ``calibration`` and ``models``.
    chart
        The interactive frontier.
    throughput
        How fast each router decides, as of ``throughput.present``.
    config
        The configuration after defaults.
    provenance
        What the run was made with, as of ``provenance.describe``.
    """

    title: str
    simulated: bool
    table: pd.DataFrame
    datasets: pd.DataFrame
    origins: pd.DataFrame
    models: pd.DataFrame
    notices: Sequence[str]
    singles: pd.DataFrame
    points: pd.DataFrame
    differences: pd.DataFrame
    answers: Sequence[str]
    cards: Sequence[Card]
    changes: str
    decision: Frame
    conclusions: Sequence[Mapping[str, str]]
    sections: Sequence[Section]
    figures: Mapping[str, Figure]
    chart: Chart
    throughput: Frame
    config: Mapping[str, Any]
    provenance: Mapping[str, Any]

    def render(self) -> str:
        """The HTML; all text from data is escaped."""
        return render(
            "report.html.j2",
            [self.chart.library, asset("frontier.js")],
            title=self.title,
            simulated=self.simulated,
            summary=summarise(self.table, self.singles, self.differences),
            by_chance=by_chance(self.conclusions),
            significance=SIGNIFICANCE,
            infinity=math.inf,
            headline=self._headline,
            metrics=[
                {"name": metric.name, "title": metric.title, **_ranked(self._shown, metric.name)}
                for metric in CURVE_METRICS
                if metric.shown
            ],
            others=[
                {"name": metric, "title": metric_title(metric), **_ranked(self._full, metric)}
                for metric in self.table["metric"].unique()
                if metric not in {own.name for own in CURVE_METRICS if own.shown or own.convention}
            ],
            point_metrics=[
                metric
                for metric in POLICY_METRICS
                if metric.shown and metric.name in set(self.points["metric"])
            ],
            timed=LATENCY in self.models,
            points=self._points,
            differences=self._differences,
            answers=self.answers,
            cards=self.cards,
            changes=self.changes,
            decision=self.decision,
            conclusions=self.conclusions,
            untested=UNTESTED,
            sections=self.sections,
            datasets=self.datasets.to_dict("records"),
            origins=self._origins,
            models=self._models,
            notices=self.notices,
            figures=self.figures,
            chart=self.chart,
            config=yaml.safe_dump(dict(self.config), sort_keys=False, allow_unicode=True),
            provenance=self.provenance,
            throughput=self.throughput,
            stages=self._stages,
        )

    @property
    def _origins(self) -> Frame:
        """Lay out what each source gave to each data set, unless there is only one."""
        several = self.origins["source"].nunique() > 1
        grouped = self.origins.groupby(["source", "dataset"], sort=False)
        return Frame(
            ["Source", "Data set", "(Sample, model) pairs", "Models"],
            [
                [str(source), str(dataset), f"{own['pairs'].sum():,}", ", ".join(own["model"])]
                for (source, dataset), own in grouped
                if several
            ],
        )

    @property
    def _shown(self) -> pd.DataFrame:
        """The main table; with a single data set its aggregates repeat it and are left out."""
        if (self.table["level"] == "dataset").groupby(self.table["dataset"]).any().sum() > 1:
            return self.table
        return self._full

    @property
    def _full(self) -> pd.DataFrame:
        return self.table[self.table["level"] == "full"]

    @property
    def _headline(self) -> dict[str, Any]:
        """What routing gains on all test samples: a column a metric."""
        kept = self._full[self._full["metric"].isin(HEADLINE)]
        by_metric = kept.assign(dataset=kept["metric"].map(HEADLINE), metric="headline")
        table = _ranked(by_metric, "headline", list(HEADLINE.values()))
        return {"name": "headline", "title": "What routing gains, on all test samples", **table}

    @property
    def _differences(self) -> list[dict[Hashable, Any]]:
        """Differences between the routers that the figures show, and to the best single model."""
        shown = {*prominent(self.table), *REFERENCES}
        rows = self.differences[self.differences["metric"] == COMPARED_METRIC]
        kept = rows["router"].isin(shown) & rows["other"].isin(shown)
        return rows[kept].to_dict("records")

    @property
    def _models(self) -> list[dict[str, Any]]:
        """The single models on the test split, the cheapest first."""
        tested = self.singles[self.singles["dataset"] == "full"].sort_values("cost")
        by_model = self.models.set_index("model")
        timed = [name for name in (LATENCY, "latency_p95_s") if name in self.models]
        return [
            {
                "model": row["model"],
                "accuracy": _estimate(row, "utility"),
                "cost_usd": _estimate(row, "cost_usd"),
                "cost": row["cost"],
                "coverage": row["coverage"],
                "cost_from": by_model["cost_from"][row["model"]],
                **{name: _estimate(by_model.loc[row["model"]], name) for name in timed},
            }
            for _, row in tested.iterrows()
        ]

    @property
    def _points(self) -> list[dict[str, Any]]:
        """The operating points on all samples: a row per router and point, estimates by metric."""
        full = self.points[self.points["dataset"] == "full"]
        return [
            {
                "router": router,
                "point": point,
                **{row["metric"]: _estimate(row) for _, row in own.iterrows()},
            }
            for (router, point), own in full.groupby(["router", "point"], sort=False)
        ]

    @property
    def _stages(self) -> list[dict[Hashable, Any]]:
        """The stages of the run, the longest first; what was not measured is NaN."""
        measured = pd.DataFrame(self.provenance["stages"], dtype=float).T.rename_axis("stage")
        ranked = measured.sort_values("seconds", ascending=False, kind="stable")
        return ranked.reset_index().to_dict("records")


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Summary:
    """The benchmark in a few numbers, on all test samples.

    Attributes
    ----------
    samples
        Test samples.
    salts
        Splits, each with a training of its own.
    best_model, best_accuracy, best_cost_usd
        The most accurate single model.
    router, nauc
        The router of the largest nAUC in training, and its honest nAUC.
    gain
        That less the nAUC of the static mixtures ``zero``.
    costs
        By percent of the best static policy's accuracy: what it costs there, at points chosen
        in training, over what the static mixture of that accuracy costs.
    in_set, others
        Whether it is in the set of the best, and which others are.
    peak, ahead
        Accuracy of the point that was most accurate in training, and less that of the single
        model that was best there.
    cost_at_parity, parity
        Of the point that reached that model's accuracy in training: its cost over that
        model's, infinite if there is none, and its accuracy less that model's.
    """

    samples: int
    salts: int
    best_model: str
    best_accuracy: Estimate
    best_cost_usd: Estimate
    router: str
    nauc: Estimate
    gain: Estimate
    costs: dict[int, Estimate]
    in_set: bool
    others: list[str]
    peak: Estimate
    ahead: Estimate
    cost_at_parity: Estimate
    parity: Estimate


def summarise(
    table: pd.DataFrame, singles: pd.DataFrame, differences: pd.DataFrame
) -> Summary | None:
    """Pick the numbers that a reader asks for first; None without any router to choose."""
    models = singles[singles["dataset"] == "full"]
    most = models[models["utility"] >= models["utility"].max() - ROUNDING]
    best = most.sort_values("cost").iloc[0]
    full = table[(table["dataset"] == "full") & ~table["router"].isin(REFERENCES)]
    ranking = full[full["metric"] == "nauc_honest"].set_index("router").dropna(subset="training")
    if ranking.empty:
        return None
    router = str(ranking["training"].idxmax())
    own = full[full["router"] == router].set_index("metric").T
    among = ranking.index[ranking["p_best"] >= SIGNIFICANCE]
    return Summary(
        samples=int(best["samples"]),
        salts=int(own["nauc_honest"]["salts"]),
        best_model=best["model"],
        best_accuracy=_estimate(best, "utility"),
        best_cost_usd=_estimate(best, "cost_usd"),
        router=router,
        nauc=_estimate(own["nauc_honest"]),
        gain=_estimate(own["gain_honest"]),
        costs={
            percent: Estimate(1 - saving.value, 1 - saving.high, 1 - saving.low)
            for percent in SAVED_AT
            for saving in [_estimate(own[f"saving_{percent}"])]
        },
        in_set=router in among,
        others=[name for name in among if name != router],
        peak=_estimate(own["peak_score_honest"]),
        ahead=_estimate(difference_of(differences, "peak_score_honest", router, ZERO)),
        cost_at_parity=_estimate(own["qnc_honest"]),
        parity=_estimate(own["parity_honest"]),
    )


def _estimate(row: pd.Series, name: str = "") -> Estimate:
    if name:
        return Estimate(row[name], row[f"{name}_low"], row[f"{name}_high"])
    return Estimate(row["value"], row["low"], row["high"])


def _ranked(table: pd.DataFrame, metric: str, order: list[str] | None = None) -> dict[str, Any]:
    """A metric's columns, in an order, and rows; each cell knows how it compares with the best."""
    columns = {name: wide(table, metric, name) for name in CELL_COLUMNS if name in table}
    if order:
        columns = {name: frame.reindex(columns=order) for name, frame in columns.items()}
    value = columns["value"]
    averages = table.loc[table["level"].isin(AVERAGES), "dataset"].unique()
    return {
        "columns": list(value.columns),
        "shares": list(averages) if record_of(metric).infinite else [],
        "rows": [
            {
                "router": router,
                "reference": router in REFERENCES,
                "cells": [
                    {name: frame.loc[router, dataset] for name, frame in columns.items()}
                    for dataset in value.columns
                ],
            }
            for router in value.index
        ],
    }
