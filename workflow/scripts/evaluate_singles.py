"""Measure each model of the pool alone, on every slice."""

from pathlib import Path

from mmroute.benchmark import Benchmark
from mmroute.evaluation import Setting, evaluate_singles
from mmroute.job import job
from mmroute.storage import write_frame

with job(snakemake.log[0]):
    benchmark = Benchmark.read(
        Path(snakemake.input.outcomes), Path(snakemake.input.splits), snakemake.wildcards.salt
    )
    setting = Setting(
        benchmark.test,
        benchmark.train,
        benchmark.unit,
        snakemake.params.policy,
        snakemake.params.resamples,
        snakemake.params.seed,
    )
    replicates, models = evaluate_singles(setting)
    write_frame(Path(snakemake.output.replicates), replicates)
    write_frame(Path(snakemake.output.models), models)
