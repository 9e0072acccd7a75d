"""Join the data sets' outcomes, choose the pool and price the tokens."""

from pathlib import Path

from mmroute.job import job
from mmroute.outcomes.pool import assemble

with job(snakemake, confined=bool(snakemake.params.prices)):
    folder = snakemake.input.get("data") or Path(snakemake.input.index).parent
    assemble(
        Path(folder),
        snakemake.params.prices,
        snakemake.params.pool,
        snakemake.params.min_coverage,
        Path(snakemake.output[0]),
        Path(splits) if (splits := snakemake.input.get("splits")) else None,
    )
