"""Shrink a router's predictions towards the models' training means."""

from pathlib import Path

from mmroute.evaluation.shrinkage import choose, shrink_crossfit
from mmroute.job import job, split_of
from mmroute.outcomes.benchmark import Benchmark
from mmroute.predictions import Predictions

with job(snakemake):
    benchmark = Benchmark.read(*split_of(snakemake))
    crossfit = Predictions.read(
        Path(snakemake.input.crossfit), benchmark.train.samples["sample_id"]
    )
    given = (
        benchmark.train.utility,
        benchmark.train.cost / benchmark.unit,
        snakemake.params.policy,
    )
    shrunk = shrink_crossfit(crossfit, benchmark.train.samples["group"], *given)
    shrunk.write(Path(snakemake.output.crossfit))
    predictions = Predictions.read(
        Path(snakemake.input.predictions), benchmark.test.samples["sample_id"]
    )
    choose(crossfit, *given).apply(predictions).write(Path(snakemake.output.predictions))
