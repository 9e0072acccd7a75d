"""Add up what one router costs and achieves on one shard, at every threshold."""

from pathlib import Path

from mmroute.evaluation.shards import Grid, Sharded, sum_shard, write_sums
from mmroute.job import job

with job(snakemake):
    sharded = Sharded.read(
        Path(snakemake.input.layout),
        Path(snakemake.input.outcomes),
        Path(snakemake.input.splits),
        snakemake.wildcards.salt,
        **snakemake.params.how,
    )
    sums = sum_shard(
        sharded,
        int(snakemake.wildcards.shard),
        Path(snakemake.input.predictions),
        Path(snakemake.input.crossfit),
        Grid.read(Path(snakemake.input.grid)),
    )
    write_sums(Path(snakemake.output[0]), *sums)
