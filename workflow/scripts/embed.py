"""Embed one modality of one data set."""

from pathlib import Path

from mmroute.catalogue import build
from mmroute.embeddings import embed
from mmroute.job import job
from mmroute.storage import read_json, read_table

with job(snakemake.log[0]):
    samples = read_table(Path(snakemake.input.samples)).to_pandas()
    embeddings = embed(
        build("encoders", snakemake.params.encoder, snakemake.params.parameters),
        snakemake.wildcards.modality,
        samples,
        Path(read_json(Path(snakemake.input.source))["root"]),
        snakemake.threads,
    )
    embeddings.write(Path(snakemake.output[0]), samples["sample_id"])
