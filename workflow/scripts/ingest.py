"""Read the sources into one outcome table per data set, with an index of their contents."""

from pathlib import Path

from mmroute.catalogue import build
from mmroute.job import job, logger
from mmroute.outcomes.datasets import INPUTS, write_datasets
from mmroute.outcomes.ingestion import ingest
from mmroute.outcomes.pool import require_benchmark
from mmroute.storage import digest_file, read_json, write_frame, write_json

with job(snakemake, confined=True):
    sources = {label: build("sources", *part) for label, part in snakemake.params.sources.items()}
    read = ingest(sources, Path(read_json(Path(snakemake.input[0]))["root"]))
    for notice in read.notices:
        logger.warning(notice)
    if snakemake.params.trains:
        require_benchmark(read.table, **snakemake.config["trained"])
    folder = Path(snakemake.output[0])
    write_datasets(read.table, folder, snakemake.params.shard_size)
    write_frame(folder / "origins.parquet", read.origins)
    write_json(folder / "notices.json", read.notices)
    files = [path for source in sources.values() for path in source.local_files()]
    write_json(folder / INPUTS, {str(path): digest_file(path) for path in files})
