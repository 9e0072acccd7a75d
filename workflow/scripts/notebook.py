"""Run one notebook on the results and render it."""

from pathlib import Path

from mmroute.job import job
from mmroute.report.notebooks import run

with job(snakemake):
    run(
        Path(snakemake.input.notebook),
        {"results": str(Path(snakemake.output.notebook).resolve().parents[1])},
        Path(snakemake.output.notebook),
        Path(snakemake.output.html),
        Path(snakemake.input.library),
    )
