"""The evidence page: one claim about a run, and all that it rests on, to print and to attach."""

import json
import math
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mmroute.confined import reading
from mmroute.decision.decide import ALL_BUDGETS, PER_1000
from mmroute.decision.words import answers, present
from mmroute.errors import InputError
from mmroute.evaluation.metrics import CURVE_METRICS
from mmroute.evaluation.static import ZERO
from mmroute.presentation.tables import REFERENCES, format_interval, format_p
from mmroute.provenance import RECORD
from mmroute.report.conclusions import FAILS, HOLDS, OPEN, verdict_of
from mmroute.report.data_report import SIMULATED
from mmroute.report.html import Frame
from mmroute.report.page import render
from mmroute.report.runs import Run, as_written
from mmroute.storage import SHRUNK, digest_file, read_json

CLAIMED = "gain_honest"
SAID = {
    HOLDS: "{row} is more accurate at equal cost than the best static mixtures of models, on the "
    "{test:,} test queries of {name}",
    FAILS: "{row} is less accurate at equal cost than the best static mixtures of models, on the "
    "{test:,} test queries of {name}",
    OPEN: "Whether {row} is more accurate at equal cost than the best static mixtures of models "
    "cannot be told on the {test:,} test queries of {name}",
}
"""What is claimed, by the verdict on its gain."""
NAMED, TRAINED, BY_HAND = (
    "It was named in the config, before any result was seen.",
    "It was the best on training data, among {among}.",
    "It was named when this page was made, with the results known: among {among}, one may look "
    "good by chance, which its p does not allow for.",
)
"""How the row was chosen."""
FILES = (
    "decision.csv",
    "tables/table2.csv",
    "tables/datasets.csv",
    "tables/models.csv",
    "tables/notices.json",
)
"""What the page is made of, beside the record and the row's own resamples."""

Values = Mapping[tuple[str, str, str], Mapping[Hashable, Any]]
"""Rows of the main table by data set, metric and router."""


def summary(folder: Path) -> list[str]:
    """Whether routing pays in a run, as its report says first; errors as of ``evidence``."""
    with as_written(folder):
        return answers(Run.read(folder, folder.name).decisions)


def evidence(folder: Path, router: str | None) -> str:
    """The page of a run's claim, as HTML; all text is escaped, and a run has one page.

    Parameters
    ----------
    folder
        The run's, ``results/<name>``.
    router
        The row of the main table that is claimed of; None takes the one that the config named,
        or else the best on training data.

    Raises
    ------
    InputError
        If a file of the run is missing, damaged, not the one that its record knows or of another
        version, or if nothing can be claimed of the row.
    """
    with as_written(folder):
        return _page(Run.read(folder, folder.name), router)


def _page(run: Run, router: str | None) -> str:
    table = run.main[run.main["level"].isin(("dataset", "full"))]
    values = {
        (own["dataset"], own["metric"], own["router"]): own for own in table.to_dict("records")
    }
    row, chosen = _row(run, values, router)
    gain = values["full", CLAIMED, row]
    verdict = verdict_of(gain["value"], gain["p_value"])
    datasets = run.frame("tables/datasets.csv").to_dict("records")
    full = next(own for own in datasets if own["dataset"] == "full")
    told = run.file("tables/notices.json")
    with reading(told):
        notices = read_json(told)
    name = run.record.config.name
    said = SAID[verdict].format(row=row, test=full["test"], name=name)
    p = f"p {_p(gain)}".replace(" ", "\u00a0")
    return render(
        "evidence.html.j2",
        title=f"{name}: evidence",
        name=name,
        simulated=SIMULATED in notices,
        claim=f"{said}: gain {_shown(gain)} nAUC, {p}.",
        chosen=chosen,
        row=row,
        router=json.dumps(run.record.config.routers.get(row.removesuffix(SHRUNK))),
        shrunk=row.endswith(SHRUNK),
        numbers=_numbers(values, row),
        answers=answers(run.decisions),
        decision=Frame.of(present(run.frame("decision.csv"))),
        config=run.config,
        seeds=run.record.seeds,
        full=full,
        datasets=_datasets(datasets, values, row),
        models=_models(run.models, full["samples"]),
        notices=notices,
        code=run.record.code,
        versions=run.record.versions,
        record=(RECORD, digest_file(run.folder / RECORD)),
        files=_files(run, row),
        inputs=_inputs(run),
    )


def _row(run: Run, values: Values, router: str | None) -> tuple[str, str]:
    """The row that is claimed of, and how it was chosen."""
    gains = {row: values.get(("full", CLAIMED, row)) for row in run.rows if row not in REFERENCES}
    usable = {row: own for row, own in gains.items() if own and not math.isnan(own["value"])}
    if not usable:
        raise InputError(
            f"{run.folder}: no router has a {CLAIMED}, its gain at points chosen in training; "
            "run a router that predicts"
        )
    known = ", ".join(usable)
    among = f"{len(usable)} rows of routers"
    decided = run.decisions.loc[run.decisions["asked"] == ALL_BUDGETS, "router"]
    named = next((row for row in usable if row in set(decided)), None)
    if router not in (None, named):
        if router not in usable:
            raise InputError(f"--router {router}: no such router; choose from: {known}")
        return router, BY_HAND.format(among=among)
    if named is not None:
        return named, NAMED
    trained = {row: own["training"] for row, own in usable.items() if own["training"] > -math.inf}
    if not trained:
        raise InputError(f"{run.folder}: training chose no router; give --router, one of: {known}")
    return max(trained, key=trained.__getitem__), TRAINED.format(among=among)


def _shown(own: Mapping[Hashable, Any] | None) -> str:
    return format_interval(own["value"], own["low"], own["high"]) if own else "–"


def _p(own: Mapping[Hashable, Any] | None) -> str:
    return format_p(own["p_value"]) if own else "–"


def _numbers(values: Values, row: str) -> Frame:
    """Metrics at points chosen in training, and of predictions, beside what needs no router."""
    rows = []
    for metric in CURVE_METRICS:
        if metric.trained or metric.measure is None:
            own, zero = (values.get(("full", metric.name, one)) for one in (row, ZERO))
            rows.append([metric.title, _shown(own), _p(own), _shown(zero)])
    return Frame(["On all test samples", row, "p of no difference to zero", ZERO], rows)


def _datasets(datasets: Sequence[Mapping[Hashable, Any]], values: Values, row: str) -> Frame:
    """What each data set holds, and the row's gain on it; of one too small for a row, a dash."""
    rows = []
    for own in datasets:
        gain = values.get((own["dataset"], CLAIMED, row))
        counts = (f"{own[part]:,}" for part in ("samples", "groups", "train", "test"))
        rows.append([own["dataset"], *counts, f"{own['coverage']:.1%}", _shown(gain), _p(gain)])
    columns = ["Data set", "Samples", "Groups", "Training", "Test", "Outcomes known", "Gain", "p"]
    return Frame(columns, rows)


def _models(models: pd.DataFrame, samples: int) -> Frame:
    """The single models on all samples, and what is known of each."""
    rows = []
    for own in models.reset_index().to_dict("records"):
        accuracy, cost = (
            [own[f"{name}{bound}"] for bound in ("", "_low", "_high")]
            for name in ("accuracy", "cost_usd")
        )
        rows.append(
            [
                own["model"],
                "{:.1%} [{:.1%}, {:.1%}]".format(*accuracy),
                "{:.4g} [{:.4g}, {:.4g}]".format(*(PER_1000 * bound for bound in cost)),
                f"{own['coverage']:.1%}",
                f"{samples - round(own['coverage'] * samples):,}",
                own["cost_from"],
            ]
        )
    columns = ["Model", "Accuracy", "USD per 1,000 queries", "Outcomes known", "Missing"]
    return Frame([*columns, "Costs from"], rows)


def _inputs(run: Run) -> Frame:
    """The digests of what came in."""
    datasets = [[own.name, f"{own.samples:,} samples", own.all] for own in run.record.data.datasets]
    prices = [[path, "prices", digest] for path, digest in run.record.data.prices.items()]
    return Frame(["Data", "What", "Digest"], datasets + prices)


def _files(run: Run, row: str) -> Frame:
    """The files behind the numbers, each as the run's record has it."""
    replicates = [f"evaluation/routers/{row}/{salt}/replicates.parquet" for salt in run.salts]
    names = [*FILES, *replicates]
    return Frame(["File", "Digest"], [[name, digest_file(run.file(name))] for name in names])
