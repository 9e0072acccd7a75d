"""Embed the questions of one shard that a test split has, perturbed in each way."""

from pathlib import Path

from mmroute.catalogue import build
from mmroute.features.embeddings import embed
from mmroute.features.perturbation import KINDS, perturb
from mmroute.job import job
from mmroute.outcomes.splits import salts_of
from mmroute.storage import read_table

given, params = snakemake.input, snakemake.params

with job(snakemake, confined=True):
    samples = read_table(Path(given.samples), slice(*params.rows)).to_pandas()
    splits = read_table(Path(given.splits)).to_pandas()
    tested = splits["sample_id"][~salts_of(splits).all(axis=1)]
    samples = samples[samples["sample_id"].isin(tested)]
    ids = samples["sample_id"]
    encoder = build("encoders", params.encoder, params.parameters)
    for kind, output in zip(KINDS, snakemake.output, strict=True):
        asked = samples.assign(question=perturb(samples["question"], ids, kind, params.seed))
        embed(encoder, "text", asked, Path(), snakemake.threads).write(Path(output), ids)
