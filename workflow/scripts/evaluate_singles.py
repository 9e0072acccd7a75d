"""Measure each model of the pool alone, on every slice."""

from pathlib import Path

from mmroute.evaluation.exact import evaluate_singles
from mmroute.evaluation.gathered import gather_singles
from mmroute.evaluation.setting import Setting
from mmroute.evaluation.shards import Sharded
from mmroute.job import job, split_of
from mmroute.storage import write_frame

with job(snakemake):
    layout, how = snakemake.input.layout, snakemake.params.how
    if layout:
        replicates, models = gather_singles(Sharded.read(Path(layout), *split_of(snakemake), **how))
    else:
        replicates, models = evaluate_singles(Setting.read(*split_of(snakemake), **how))
    write_frame(Path(snakemake.output.replicates), replicates)
    write_frame(Path(snakemake.output.models), models)
