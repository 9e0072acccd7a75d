"""Train one router, predict the test split, and cross-fit the training split."""

from pathlib import Path
from time import perf_counter

from mmroute import persistence
from mmroute.catalogue import build, find
from mmroute.job import job, split_of
from mmroute.outcomes.benchmark import Benchmark
from mmroute.storage import write_json
from mmroute.training import cross_fit, predict_test, read_inputs, train

elsewhere = find("routers", snakemake.params.router).attributes.get("elsewhere")
with job(snakemake, confined=bool(snakemake.input.get("source") or elsewhere)):
    benchmark = Benchmark.read(*split_of(snakemake))
    router = build("routers", snakemake.params.router, snakemake.params.parameters)
    given = (snakemake.input.get(name) for name in ("features", "source"))
    inputs = read_inputs(benchmark.table.samples, *given)
    train(router, benchmark, inputs)
    cross_fit(router, benchmark, inputs).write(Path(snakemake.output.crossfit))
    start = perf_counter()
    predictions = predict_test(router, benchmark, inputs)
    seconds = perf_counter() - start
    predictions.write(Path(snakemake.output.predictions))
    write_json(
        Path(snakemake.output.timing),
        {"seconds": seconds, "samples": len(predictions.sample_ids)},
    )
    persistence.write(Path(snakemake.output.router), router)
