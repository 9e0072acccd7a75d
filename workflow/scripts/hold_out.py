"""Predict one or two folds of all labelled samples by a router that was trained on the others."""

from pathlib import Path

import numpy as np

from mmroute.catalogue import build
from mmroute.job import job, split_of
from mmroute.outcomes.benchmark import Benchmark
from mmroute.outcomes.splits import fold_of
from mmroute.training import hold_out, read_inputs, take

with job(snakemake, confined=bool(snakemake.input.get("source"))):
    benchmark = Benchmark.read(*split_of(snakemake))
    router = build("routers", snakemake.params.router, snakemake.params.parameters)
    given = (snakemake.input.get(name) for name in ("features", "source"))
    inputs = read_inputs(benchmark.table.samples, *given)
    table = benchmark.observed
    held = np.isin(fold_of(table.samples["group"]), snakemake.params.held)
    hold_out(
        router, table, benchmark.unit, take(inputs, benchmark.in_train | benchmark.in_test), held
    ).write(Path(snakemake.output[0]))
