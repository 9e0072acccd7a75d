"""Render the report: one file that opens from disk."""

from pathlib import Path

import pandas as pd

from mmroute.job import job
from mmroute.report import Report
from mmroute.storage import read_json, read_table, write_text

CAPTIONS = (
    "Frontier of each router on all test samples, with its 95 % confidence band; points are the "
    "single models.",
    "Frontier of each router on each data set.",
    "Observed against predicted utility of the models that each router chooses at its peak.",
    "Cost and accuracy of the single models.",
)

with job(snakemake.log[0]):
    tables = {
        name: pd.read_csv(snakemake.input[name], keep_default_na=False, na_values=[""])
        for name in ("table2", "points", "differences", "datasets", "models")
    }
    report = Report(
        title=snakemake.params.title,
        simulated=snakemake.params.simulated,
        table=tables["table2"],
        points=tables["points"],
        differences=tables["differences"],
        datasets=tables["datasets"].fillna({"scenario": ""}),
        models=tables["models"],
        notices=read_json(Path(snakemake.input.notices)),
        singles=read_table(Path(snakemake.input.singles)).to_pandas(),
        figures=dict(zip(CAPTIONS, map(Path, snakemake.input.figures), strict=True)),
        config=snakemake.params.config,
    )
    write_text(Path(snakemake.output[0]), report.render())
