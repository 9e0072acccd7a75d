"""Record what the run was made with, and a digest of every file that it made."""

from pathlib import Path

from mmroute.job import job
from mmroute.provenance import describe
from mmroute.storage import write_json

with job(snakemake.log[0]):
    record = Path(snakemake.output[0])
    write_json(
        record,
        describe(
            record.parent,
            config=snakemake.params.config,
            snakemake=snakemake.params.snakemake,
            prices=map(Path, snakemake.input.prices),
            manifests=map(Path, snakemake.params.manifests),
            threads=snakemake.threads,
        ),
    )
