"""Bring the sources' data to this machine and note where their root is."""

from pathlib import Path

from mmroute.catalogue import build
from mmroute.job import job
from mmroute.outcomes.ingestion import fetch
from mmroute.storage import write_json

with job(snakemake, confined=True):
    sources = [build("sources", *part) for part in snakemake.params.sources.values()]
    note = Path(snakemake.output[0])
    # Beside the declared output, where Snakemake does not delete what a broken-off
    # download has fetched so far.
    root = fetch(sources, note.with_suffix(""))
    write_json(note, {"root": str(root)})
