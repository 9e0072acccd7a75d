"""Bring the source's data to this machine and note where its root is."""

from pathlib import Path

from mmroute.catalogue import build
from mmroute.job import job
from mmroute.storage import write_json

with job(snakemake.log[0]):
    source = build("sources", snakemake.params.source, snakemake.params.parameters)
    note = Path(snakemake.output[0])
    # Beside the declared output, where Snakemake does not delete what a broken-off
    # download has fetched so far.
    root = source.fetch(note.with_suffix(""))
    write_json(note, {"root": str(root)})
