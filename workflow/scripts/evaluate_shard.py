"""Add up what one router costs and achieves on one shard, at every threshold."""

from pathlib import Path

from mmroute.evaluation.shards import Grid, Sharded, sum_shard, write_sums
from mmroute.job import job, split_of

with job(snakemake):
    layout = Path(snakemake.input.layout)
    sharded = Sharded.read(layout, *split_of(snakemake), **snakemake.params.how)
    sums = sum_shard(
        sharded,
        int(snakemake.wildcards.shard),
        Path(snakemake.input.predictions),
        Path(snakemake.input.crossfit),
        Grid.read(Path(snakemake.input.grid)),
    )
    write_sums(Path(snakemake.output[0]), *sums)
