"""Measure each model of the pool alone, on every slice."""

from pathlib import Path

from mmroute.benchmark import Benchmark
from mmroute.evaluation import evaluate_singles
from mmroute.job import job
from mmroute.storage import write_frame

with job(snakemake.log[0]):
    benchmark = Benchmark.read(
        Path(snakemake.input.outcomes), Path(snakemake.input.splits), snakemake.wildcards.salt
    )
    metrics, models = evaluate_singles(benchmark.test, benchmark.unit)
    write_frame(Path(snakemake.output.metrics), metrics)
    write_frame(Path(snakemake.output.models), models)
