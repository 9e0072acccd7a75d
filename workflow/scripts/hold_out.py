"""Predict a fold of all labelled samples, alone and with another, by a router trained without."""

from pathlib import Path

import numpy as np

from mmroute.catalogue import build
from mmroute.decision.files import NEXT
from mmroute.job import job, split_of
from mmroute.outcomes.benchmark import Benchmark
from mmroute.outcomes.splits import N_FOLDS, fold_of
from mmroute.training import hold_out, read_inputs, take

with job(snakemake, confined=bool(snakemake.input.get("source"))):
    benchmark = Benchmark.read(*split_of(snakemake))
    router = build("routers", snakemake.params.router, snakemake.params.parameters)
    given = (snakemake.input.get(name) for name in ("features", "source"))
    inputs = read_inputs(benchmark.table.samples, *given)
    inputs = take(inputs, benchmark.in_train | benchmark.in_test)
    table, own = benchmark.observed, int(snakemake.wildcards.fold)
    fold = fold_of(table.samples["group"])
    for step, path in zip(NEXT, snakemake.output, strict=True):
        held = np.isin(fold, [own, (own + step) % N_FOLDS])
        hold_out(router, table, benchmark.unit, inputs, held).write(Path(path))
