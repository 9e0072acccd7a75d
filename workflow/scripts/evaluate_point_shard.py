"""Measure one router's choices at its operating points on one shard."""

from pathlib import Path

from mmroute.evaluation.shards import Sharded, sum_points, write_points
from mmroute.job import job
from mmroute.storage import read_table

with job(snakemake):
    sharded = Sharded.read(
        Path(snakemake.input.layout),
        Path(snakemake.input.outcomes),
        Path(snakemake.input.splits),
        snakemake.wildcards.salt,
        **snakemake.params.how,
    )
    sums = sum_points(
        sharded,
        int(snakemake.wildcards.shard),
        Path(snakemake.input.predictions),
        read_table(Path(snakemake.input.points)).to_pandas(),
    )
    write_points(Path(snakemake.output[0]), sums)
