"""Render the report: one file that opens from disk."""

from pathlib import Path

import pandas as pd

from mmroute.figures import read_frontiers
from mmroute.job import job
from mmroute.report import Report
from mmroute.storage import read_json, read_table, write_text

CAPTIONS = (
    "Frontier of each router on all test samples; points are the single models.",
    "The same for each data set.",
    "Cost and accuracy of the single models.",
)

with job(snakemake.log[0]):
    report = Report(
        title=snakemake.params.title,
        simulated=snakemake.params.simulated,
        table=pd.read_csv(snakemake.input.table2),
        datasets=pd.read_csv(snakemake.input.datasets, keep_default_na=False),
        models=pd.read_csv(snakemake.input.models),
        notices=read_json(Path(snakemake.input.notices)),
        singles=read_table(Path(snakemake.input.singles)).to_pandas(),
        frontiers=read_frontiers(snakemake.params.routers, snakemake.input.frontiers),
        figures=dict(zip(CAPTIONS, map(Path, snakemake.input.figures), strict=True)),
        config=snakemake.params.config,
    )
    write_text(Path(snakemake.output[0]), report.render())
