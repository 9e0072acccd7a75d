"""Run an experiment that looks closer at stored predictions."""

from importlib import import_module
from pathlib import Path

from mmroute.evaluation.setting import Setting
from mmroute.job import job
from mmroute.predictions import read_by_row
from mmroute.storage import write_frame

with job(snakemake):
    setting = Setting.read(
        Path(snakemake.input.outcomes),
        Path(snakemake.input.splits),
        snakemake.wildcards.salt,
        **snakemake.params.how,
    )
    predictions, crossfit = (
        read_by_row(snakemake.params.rows, paths, table.samples["sample_id"])
        for paths, table in (
            (snakemake.input.predictions, setting.table),
            (snakemake.input.crossfit, setting.training),
        )
    )
    experiment = import_module(f"mmroute.experiments.{snakemake.wildcards.experiment}")
    found = experiment.findings(setting, predictions, crossfit, **snakemake.params.options)
    write_frame(Path(snakemake.output[0]), found)
