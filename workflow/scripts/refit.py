"""Train the router that is taken away on all labelled samples, and predict them."""

from pathlib import Path

from mmroute import persistence
from mmroute.catalogue import build
from mmroute.job import job, split_of
from mmroute.outcomes.benchmark import Benchmark
from mmroute.training import predict, read_inputs, take, train_on

with job(snakemake, confined=bool(snakemake.input.get("source"))):
    benchmark = Benchmark.read(*split_of(snakemake))
    router = build("routers", snakemake.params.router, snakemake.params.parameters)
    given = (snakemake.input.get(name) for name in ("features", "source"))
    inputs = take(
        read_inputs(benchmark.table.samples, *given), benchmark.in_train | benchmark.in_test
    )
    table = benchmark.observed
    train_on(router, table, benchmark.unit, inputs)
    persistence.write(Path(snakemake.output.router), router)
    predict(router, table.samples["sample_id"], inputs).write(Path(snakemake.output.predictions))
