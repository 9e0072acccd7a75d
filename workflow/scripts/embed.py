"""Embed one modality of one shard of a data set."""

from pathlib import Path
from time import perf_counter

from mmroute.catalogue import build
from mmroute.features.embeddings import embed
from mmroute.job import job
from mmroute.storage import read_json, read_table, write_json

with job(snakemake, confined=True):
    samples = read_table(Path(snakemake.input.samples), slice(*snakemake.params.rows)).to_pandas()
    start = perf_counter()
    embeddings = embed(
        build("encoders", snakemake.params.encoder, snakemake.params.parameters),
        snakemake.wildcards.modality,
        samples,
        Path(read_json(Path(snakemake.input.source))["root"]),
        snakemake.threads,
    )
    seconds = perf_counter() - start
    embeddings.write(Path(snakemake.output.embeddings), samples["sample_id"])
    write_json(
        Path(snakemake.output.timing),
        {"seconds": seconds, "samples": int(embeddings.present.sum())},
    )
