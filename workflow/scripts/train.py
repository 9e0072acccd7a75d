"""Train one router, predict the test split, and cross-fit the training split."""

from pathlib import Path
from time import perf_counter

from mmroute import persistence
from mmroute.catalogue import build
from mmroute.job import job, split_of
from mmroute.outcomes.benchmark import Benchmark
from mmroute.storage import read_json, read_vectors, write_json
from mmroute.training import cross_fit, predict_test, train, with_paths

with job(snakemake, confined=bool(snakemake.input.get("source"))):
    benchmark = Benchmark.read(*split_of(snakemake))
    router = build("routers", snakemake.params.router, snakemake.params.parameters)
    inputs = None
    if features := snakemake.input.get("features"):
        inputs = read_vectors([features], benchmark.table.samples["sample_id"])
    elif snakemake.input.get("source"):
        root = Path(read_json(Path(snakemake.input.source))["root"])
        inputs = with_paths(benchmark.table.samples, root)
    cross_fit(router, benchmark, inputs).write(Path(snakemake.output.crossfit))
    train(router, benchmark, inputs)
    start = perf_counter()
    predictions = predict_test(router, benchmark, inputs)
    seconds = perf_counter() - start
    predictions.write(Path(snakemake.output.predictions))
    write_json(
        Path(snakemake.output.timing),
        {"seconds": seconds, "samples": len(predictions.sample_ids)},
    )
    persistence.write(Path(snakemake.output.router), router)
