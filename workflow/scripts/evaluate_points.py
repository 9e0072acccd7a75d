"""Find the operating points of one router from the sums of all shards."""

from pathlib import Path

from mmroute.evaluation.gathered import gather_points
from mmroute.evaluation.shards import Sharded
from mmroute.job import job, split_of
from mmroute.storage import write_frame

with job(snakemake):
    layout = Path(snakemake.input.layout)
    sharded = Sharded.read(layout, *split_of(snakemake), **snakemake.params.how)
    curves = [Path(folder) for folder in snakemake.input.curves]
    points = gather_points(sharded, curves, Path(snakemake.input.predictions))
    write_frame(Path(snakemake.output[0]), points)
