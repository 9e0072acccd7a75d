"""Render the report: one file that opens from disk."""

from pathlib import Path

import pandas as pd

from mmroute.decision.words import answers, cards, changes
from mmroute.decision.words import present as present_decision
from mmroute.job import job
from mmroute.presentation.tables import prominent, read_by_router, read_csv
from mmroute.provenance import describe
from mmroute.report.conclusions import conclude
from mmroute.report.findings import figures
from mmroute.report.html import Frame, Report, Section
from mmroute.report.interactive import Chart, chart_data
from mmroute.report.throughput import present as present_throughput
from mmroute.storage import read_json, read_table, write_text

with job(snakemake, confined=True):
    given = snakemake.input
    tables = {
        name: read_csv(Path(given[name]))
        for name in ("table2", "points", "differences", "datasets", "origins", "models", "decision")
    }
    drawn = {Path(path).stem: Path(path) for path in given.drawn}
    results = dict(zip(snakemake.params.sections, given.tables, strict=True))
    singles = read_table(Path(given.singles)).to_pandas()
    budgets = read_csv(Path(given.budgets)) if len(tables["decision"]) else pd.DataFrame()
    lines = read_by_router(snakemake.params.rows, given.lines)
    svgs = {Path(path).stem: Path(path) for path in given.figures}
    report = Report(
        title=snakemake.params.title,
        simulated=snakemake.params.simulated,
        table=tables["table2"],
        points=tables["points"],
        differences=tables["differences"],
        datasets=tables["datasets"].fillna({"scenario": ""}),
        origins=tables["origins"],
        models=tables["models"],
        notices=read_json(Path(given.notices)),
        singles=singles,
        answers=answers(tables["decision"]),
        cards=cards(tables["decision"]),
        changes=changes(tables["decision"]),
        decision=Frame.of(present_decision(tables["decision"])),
        conclusions=conclude(
            {
                "table2": tables["table2"],
                "differences": tables["differences"],
                "decision": tables["decision"],
                **{name: read_csv(Path(path)) for name, path in results.items()},
            }
        ),
        sections=[
            Section.of(read_json(Path(path)), drawn.get(name))
            for name, path in zip(snakemake.params.sections, given.sections, strict=True)
        ],
        figures=figures(svgs, tables["table2"], tables["points"], singles),
        chart=Chart(
            Path(given.library).read_text(encoding="utf-8"),
            read_json(Path(given.chart)),
            chart_data(lines, singles, prominent(tables["table2"]), budgets),
        ),
        throughput=Frame.of(present_throughput(read_csv(Path(given.throughput)))),
        config=snakemake.params.config,
        provenance=describe(
            Path(snakemake.output[0]).parent,
            config=snakemake.params.config,
            snakemake=snakemake.params.snakemake,
            prices=map(Path, snakemake.params.prices),
            manifests=map(Path, snakemake.params.manifests),
            unfinished={"notebook", "html_report", "provenance"},
            choices=map(Path, snakemake.params.choices),
        ),
    )
    write_text(Path(snakemake.output[0]), report.render())
