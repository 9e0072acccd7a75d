"""Record what the run was made with, and a digest of every file that it made."""

from pathlib import Path

from mmroute.job import job
from mmroute.provenance import describe, digests
from mmroute.storage import write_json

with job(snakemake):
    record = Path(snakemake.output[0])
    write_json(
        record,
        describe(
            record.parent,
            config=snakemake.params.config,
            snakemake=snakemake.params.snakemake,
            prices=map(Path, snakemake.params.prices),
            manifests=map(Path, snakemake.params.manifests),
            unfinished={"provenance"},
            checkpoints=map(Path, snakemake.params.checkpoints),
            choices=map(Path, snakemake.params.choices),
        )
        | {
            "made_from": snakemake.params.made_from,
            "files": digests(record.parent, snakemake.threads),
        },
    )
