"""Train one router, predict the test split, and cross-fit the training split."""

from pathlib import Path

import joblib

from mmroute.benchmark import Benchmark
from mmroute.catalogue import build
from mmroute.job import job
from mmroute.storage import atomic, read_vectors
from mmroute.training import cross_fit, train_and_predict

with job(snakemake.log[0]):
    benchmark = Benchmark.read(
        Path(snakemake.input.outcomes), Path(snakemake.input.splits), snakemake.wildcards.salt
    )
    router = build("routers", snakemake.wildcards.router, snakemake.params.parameters)
    features = read_vectors(Path(snakemake.input.features)) if snakemake.input.features else None
    cross_fit(router, benchmark, features).write(Path(snakemake.output.crossfit))
    predictions = train_and_predict(router, benchmark, features)
    predictions.write(Path(snakemake.output.predictions))
    with atomic(Path(snakemake.output.router)) as partial:
        joblib.dump(router, partial)
