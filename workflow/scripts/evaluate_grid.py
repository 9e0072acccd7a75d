"""Choose the thresholds at which all shards evaluate one router."""

from pathlib import Path

from mmroute.evaluation.shards import Grid
from mmroute.job import job

with job(snakemake):
    grid = Grid.propose(
        Path(snakemake.input.predictions),
        Path(snakemake.input.crossfit),
        snakemake.params.policy,
    )
    grid.write(Path(snakemake.output[0]))
