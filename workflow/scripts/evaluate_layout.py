"""Write down where the shards of a large benchmark lie in its files."""

from pathlib import Path

from mmroute.evaluation.shards import lay_out
from mmroute.job import job
from mmroute.storage import write_json

with job(snakemake):
    layout = lay_out(
        Path(snakemake.input.outcomes),
        Path(snakemake.input.splits),
        snakemake.wildcards.salt,
        snakemake.params.size,
    )
    write_json(Path(snakemake.output[0]), layout)
