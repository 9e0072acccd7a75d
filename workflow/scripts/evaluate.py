"""Trace one router's operating curves and measure them on every slice."""

from pathlib import Path

from mmroute.evaluation.exact import evaluate
from mmroute.evaluation.gathered import gather
from mmroute.evaluation.setting import Setting
from mmroute.evaluation.shards import Sharded
from mmroute.job import job, split_of
from mmroute.predictions import Predictions
from mmroute.storage import read_table, write_frame

with job(snakemake):
    given = snakemake.input
    if given.layout:
        sharded = Sharded.read(Path(given.layout), *split_of(snakemake), **snakemake.params.how)
        curves, point_sums = (
            [Path(folder) for folder in folders] for folders in (given.curves, given.point_sums)
        )
        evaluation = gather(sharded, curves, read_table(Path(given.points)).to_pandas(), point_sums)
    else:
        setting = Setting.read(*split_of(snakemake), **snakemake.params.how)
        evaluation = evaluate(
            setting,
            Predictions.read(Path(given.predictions), setting.table.samples["sample_id"]),
            Predictions.read(Path(given.crossfit), setting.training.samples["sample_id"]),
        )
    for name, path in snakemake.output.items():
        write_frame(Path(path), getattr(evaluation, name))
