"""Fuse text and image embeddings, fitted on the training split of one salt."""

from pathlib import Path

import numpy as np

from mmroute.catalogue import build
from mmroute.features.embeddings import read_all
from mmroute.features.fusion import Features
from mmroute.job import job
from mmroute.persistence import write
from mmroute.storage import read_table, read_vectors, write_vectors

with job(snakemake):
    splits = read_table(Path(snakemake.input.splits)).to_pandas()
    train = splits[snakemake.wildcards.salt].to_numpy()
    ids = splits["sample_id"]
    text, image = read_all(snakemake.input.text, ids), read_all(snakemake.input.image, ids)
    side = np.empty((len(splits), 0), np.float32)
    if snakemake.input.side:
        side = read_vectors(snakemake.input.side, ids)
    fitted = Features.fit(
        build("features", snakemake.params.fusion, snakemake.params.parameters),
        text.take(train),
        image.take(train),
        side[train],
    )
    fused = fitted.of_splits(text, image, side, train)
    write(Path(snakemake.output.fitted), fitted)
    write_vectors(Path(snakemake.output.features), ids, fused)
