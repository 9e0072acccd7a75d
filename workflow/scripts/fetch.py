"""Bring the source's data to this machine and note where its root is."""

from pathlib import Path

from mmroute.catalogue import build
from mmroute.job import job
from mmroute.storage import write_json

with job(snakemake.log[0]):
    source = build("sources", snakemake.params.source, snakemake.params.parameters)
    root = source.fetch(Path(snakemake.params.folder))
    write_json(Path(snakemake.output[0]), {"root": str(root)})
