"""Choose the thresholds at which all shards evaluate one router."""

from pathlib import Path

from mmroute.job import job
from mmroute.shards import Grid

with job(snakemake):
    grid = Grid.propose(
        Path(snakemake.input.predictions),
        Path(snakemake.input.crossfit),
        snakemake.params.policy,
    )
    grid.write(Path(snakemake.output[0]))
