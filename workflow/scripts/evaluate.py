"""Trace one router's operating curves and measure them on every slice."""

from pathlib import Path

from mmroute.benchmark import Benchmark
from mmroute.evaluation import evaluate
from mmroute.job import job
from mmroute.predictions import Predictions
from mmroute.storage import write_frame

with job(snakemake.log[0]):
    benchmark = Benchmark.read(
        Path(snakemake.input.outcomes), Path(snakemake.input.splits), snakemake.wildcards.salt
    )
    metrics, frontiers = evaluate(
        benchmark.test,
        benchmark.unit,
        Predictions.read(Path(snakemake.input.predictions)),
        snakemake.params.policy,
    )
    write_frame(Path(snakemake.output.metrics), metrics)
    write_frame(Path(snakemake.output.frontiers), frontiers)
