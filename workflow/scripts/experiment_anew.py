"""Run an experiment that trains routers anew."""

from importlib import import_module
from pathlib import Path

from mmroute.catalogue import build
from mmroute.job import job
from mmroute.outcomes.benchmark import Benchmark
from mmroute.storage import read_vectors, write_frame

with job(snakemake):
    benchmark = Benchmark.read(
        Path(snakemake.input.outcomes), Path(snakemake.input.splits), snakemake.wildcards.salt
    )
    features = {
        name: read_vectors([path], benchmark.table.samples["sample_id"])
        for name, path in snakemake.params.features.items()
    }
    routers = {
        row: build("routers", name, parameters)
        for row, (name, parameters) in snakemake.params.routers.items()
    }
    experiment = import_module(f"mmroute.experiments.{snakemake.wildcards.experiment}")
    found = experiment.findings(
        benchmark,
        features,
        routers,
        **snakemake.params.how,
        **snakemake.params.options,
    )
    write_frame(Path(snakemake.output[0]), found)
