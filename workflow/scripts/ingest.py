"""Read the source into one outcome table per data set, with an index of their contents."""

from pathlib import Path

from mmroute.catalogue import build
from mmroute.job import job
from mmroute.outcomes import validate, write_datasets
from mmroute.storage import read_json

with job(snakemake.log[0]):
    source = build("sources", snakemake.params.source, snakemake.params.parameters)
    root = Path(read_json(Path(snakemake.input[0]))["root"])
    table = source.read(root)
    validate(table, str(source.origin(root)))
    write_datasets(table, Path(snakemake.output[0]))
