"""Fuse text and image embeddings, fitted on the training split of one salt."""

from pathlib import Path

import numpy as np

from mmroute.catalogue import build
from mmroute.embeddings import read_all
from mmroute.fusion import features
from mmroute.job import job
from mmroute.storage import read_table, read_vectors, write_vectors

with job(snakemake.log[0]):
    splits = read_table(Path(snakemake.input.splits)).to_pandas()
    side = [read_vectors(Path(path)) for path in snakemake.input.side]
    fused = features(
        build("fusion", snakemake.params.fusion, snakemake.params.parameters),
        read_all(snakemake.input.text),
        read_all(snakemake.input.image),
        np.concatenate(side) if side else np.empty((len(splits), 0), np.float32),
        splits[snakemake.wildcards.salt].to_numpy(),
    )
    write_vectors(Path(snakemake.output[0]), splits["sample_id"], fused)
