"""Measure one router's choices at its operating points on one shard."""

from pathlib import Path

from mmroute.evaluation.shards import Sharded, sum_points, write_points
from mmroute.job import job, split_of
from mmroute.storage import read_table

with job(snakemake):
    layout = Path(snakemake.input.layout)
    sharded = Sharded.read(layout, *split_of(snakemake), **snakemake.params.how)
    sums = sum_points(
        sharded,
        int(snakemake.wildcards.shard),
        Path(snakemake.input.predictions),
        read_table(Path(snakemake.input.points)).to_pandas(),
    )
    write_points(Path(snakemake.output[0]), sums)
