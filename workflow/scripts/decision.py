"""Decide what to run under each budget and for each quality."""

from pathlib import Path

from mmroute.decision.decide import decide
from mmroute.decision.evidence import Evidence
from mmroute.decision.ladder import ladder
from mmroute.evaluation.setting import Setting
from mmroute.job import job
from mmroute.presentation.tables import write_csv

with job(snakemake):
    params = snakemake.params
    setting = Setting.read(
        Path(snakemake.input.outcomes), Path(snakemake.input.splits), params.salt, **params.how
    )
    files = map(Path, snakemake.input.predictions)
    evidence = Evidence.read(setting, params.row, params.labels, files)
    drawn = {"n_resamples": setting.n_resamples, "seed": setting.seed}
    write_csv(
        Path(snakemake.output.decision), decide(evidence, params.row, **params.asked, **drawn)
    )
    asked = {name: params.asked[name] for name in ("budgets", "max_latency")}
    write_csv(Path(snakemake.output.budgets), ladder(evidence, params.row, **asked, **drawn))
