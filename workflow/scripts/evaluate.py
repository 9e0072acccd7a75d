"""Trace one router's operating curves and measure them on every slice."""

from pathlib import Path

from mmroute.evaluation import Setting, evaluate
from mmroute.job import job
from mmroute.predictions import Predictions
from mmroute.storage import write_frame

with job(snakemake.log[0]):
    setting = Setting.read(
        Path(snakemake.input.outcomes),
        Path(snakemake.input.splits),
        snakemake.wildcards.salt,
        **snakemake.params.how,
    )
    evaluation = evaluate(
        setting,
        Predictions.read(Path(snakemake.input.predictions), setting.table.samples["sample_id"]),
        Predictions.read(Path(snakemake.input.crossfit), setting.training.samples["sample_id"]),
    )
    for name, path in snakemake.output.items():
        write_frame(Path(path), getattr(evaluation, name))
