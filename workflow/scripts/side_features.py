"""Measure length, form and image of the questions of one shard of a data set."""

from pathlib import Path

from mmroute.features.side_features import side_features
from mmroute.job import job
from mmroute.storage import read_json, read_table, write_vectors

with job(snakemake, confined=True):
    samples = read_table(Path(snakemake.input.samples), slice(*snakemake.params.rows)).to_pandas()
    root = Path(read_json(Path(snakemake.input.source))["root"])
    write_vectors(Path(snakemake.output[0]), samples["sample_id"], side_features(samples, root))
