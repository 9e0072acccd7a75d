"""Write the main table: every router on every data set and aggregate."""

from itertools import product
from pathlib import Path

from mmroute.job import job
from mmroute.outcomes import read_samples
from mmroute.storage import write_text
from mmroute.tables import aggregate, read_measured, to_latex, to_markdown, write_csv

with job(snakemake.log[0]):
    salts = snakemake.params.salts
    measured = read_measured(
        [
            *zip(product(["best_single"], salts), snakemake.input.singles, strict=True),
            *zip(product(snakemake.params.routers, salts), snakemake.input.routers, strict=True),
        ]
    )
    samples = read_samples(Path(snakemake.input.index).parent)
    table = aggregate(measured, dict(zip(samples["dataset"], samples["scenario"], strict=True)))
    write_csv(Path(snakemake.output.csv), table)
    write_text(Path(snakemake.output.markdown), to_markdown(table))
    write_text(Path(snakemake.output.latex), to_latex(table))
