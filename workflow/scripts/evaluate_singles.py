"""Measure each model of the pool alone, on every slice."""

from pathlib import Path

from mmroute.evaluation import Setting, evaluate_singles
from mmroute.job import job
from mmroute.storage import write_frame

with job(snakemake.log[0]):
    setting = Setting.read(
        Path(snakemake.input.outcomes),
        Path(snakemake.input.splits),
        snakemake.wildcards.salt,
        **snakemake.params.how,
    )
    replicates, models = evaluate_singles(setting)
    write_frame(Path(snakemake.output.replicates), replicates)
    write_frame(Path(snakemake.output.models), models)
