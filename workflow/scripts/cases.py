"""Pick the queries on which the best router saves or rescues most."""

from pathlib import Path

from mmroute.evaluation.setting import Setting
from mmroute.experiments.cases import findings
from mmroute.job import job
from mmroute.predictions import Predictions
from mmroute.presentation.tables import read_csv, write_csv
from mmroute.storage import write_frame

with job(snakemake):
    setting = Setting.read(
        Path(snakemake.input.outcomes),
        Path(snakemake.input.splits),
        snakemake.params.salt,
        **snakemake.params.how,
    )
    table = read_csv(Path(snakemake.input.table)).query(
        "dataset == 'full' and metric == 'nauc_honest'"
    )
    ranking = table.set_index("router")["value"].reindex(snakemake.params.rows)
    best = int(ranking.fillna(-1).argmax())
    cases = findings(
        setting,
        Predictions.read(
            Path(snakemake.input.predictions[best]), setting.table.samples["sample_id"]
        ),
        Predictions.read(
            Path(snakemake.input.crossfit[best]), setting.training.samples["sample_id"]
        ),
    )
    cases = cases.assign(router=snakemake.params.rows[best])
    write_frame(Path(snakemake.output.cases), cases)
    write_csv(Path(snakemake.output.csv), cases)
