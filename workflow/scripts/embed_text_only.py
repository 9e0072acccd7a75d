"""Embed and measure the questions of all text-only data sets."""

from pathlib import Path

from mmroute.catalogue import build
from mmroute.features.embeddings import embed
from mmroute.features.side_features import side_features
from mmroute.job import job
from mmroute.outcomes.datasets import read_samples
from mmroute.storage import read_json, write_vectors

with job(snakemake, confined=True):
    samples = read_samples(Path(snakemake.input.data))
    root = Path(read_json(Path(snakemake.input.source))["root"])
    encoder = build("encoders", snakemake.params.encoder, snakemake.params.parameters)
    text = embed(encoder, "text", samples, root, snakemake.threads)
    text.write(Path(snakemake.output.text), samples["sample_id"])
    side = side_features(samples.assign(image=None), root)
    write_vectors(Path(snakemake.output.side), samples["sample_id"], side)
