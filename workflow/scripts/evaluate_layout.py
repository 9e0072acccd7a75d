"""Write down where the shards of a large benchmark lie in its files."""

from pathlib import Path

from mmroute.evaluation.shards import lay_out
from mmroute.job import job, split_of
from mmroute.storage import write_json

with job(snakemake):
    layout = lay_out(*split_of(snakemake), snakemake.params.size)
    write_json(Path(snakemake.output[0]), layout)
