"""Measure each model of the pool alone, on every slice."""

from pathlib import Path

from mmroute.evaluation.exact import evaluate_singles
from mmroute.evaluation.gathered import gather_singles
from mmroute.evaluation.setting import Setting
from mmroute.evaluation.shards import Sharded
from mmroute.job import job
from mmroute.storage import write_frame

with job(snakemake):
    given = snakemake.input
    benchmark = Path(given.outcomes), Path(given.splits), snakemake.wildcards.salt
    if given.layout:
        sharded = Sharded.read(Path(given.layout), *benchmark, **snakemake.params.how)
        replicates, models = gather_singles(sharded)
    else:
        replicates, models = evaluate_singles(Setting.read(*benchmark, **snakemake.params.how))
    write_frame(Path(snakemake.output.replicates), replicates)
    write_frame(Path(snakemake.output.models), models)
