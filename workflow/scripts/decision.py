"""Decide what to run under each budget and for each quality."""

from pathlib import Path

from mmroute.decision.decide import decide
from mmroute.evaluation.setting import Setting
from mmroute.job import job
from mmroute.predictions import Predictions
from mmroute.presentation.tables import write_csv

with job(snakemake):
    setting = Setting.read(
        Path(snakemake.input.outcomes),
        Path(snakemake.input.splits),
        snakemake.params.salt,
        **snakemake.params.how,
    )
    predictions, crossfit = (
        Predictions.read(Path(path), table.samples["sample_id"])
        for path, table in (
            (snakemake.input.predictions, setting.table),
            (snakemake.input.crossfit, setting.training),
        )
    )
    write_csv(
        Path(snakemake.output[0]),
        decide(setting, snakemake.params.row, predictions, crossfit, **snakemake.params.asked),
    )
