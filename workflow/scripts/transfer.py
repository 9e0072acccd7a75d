"""Train on multimodal samples and measure on text-only ones."""

from pathlib import Path

import numpy as np

from mmroute.benchmark import Benchmark
from mmroute.catalogue import build
from mmroute.embeddings import Embeddings, read_all
from mmroute.experiments.transfer import findings
from mmroute.fusion import Features
from mmroute.job import job
from mmroute.outcomes import OutcomeTable
from mmroute.storage import read_table, read_vectors, write_frame

with job(snakemake.log[0]):
    given, salt = snakemake.input, snakemake.wildcards.salt
    train = read_table(Path(given.splits))[salt].to_numpy()
    text, image = read_all(given.text), read_all(given.image)
    side = np.concatenate([read_vectors(Path(path)) for path in given.side])
    other_text = Embeddings.read(Path(given.text_only_text))
    other_side = read_vectors(Path(given.text_only_side))
    routers = {}
    for row, (name, parameters) in snakemake.params.routers.items():
        fusion = build("fusion", *snakemake.params.fusions[row])
        fitted = Features.fit(fusion, text.take(train), image.take(train), side[train])
        own = fitted.of_splits(text, image, side, train)
        no_image = Embeddings.masked(len(other_side), image.vectors.shape[1])
        other = fitted.transform(other_text, no_image, other_side)
        routers[row] = build("routers", name, parameters), own, other
    found = findings(
        Benchmark.read(Path(given.outcomes), Path(given.splits), salt),
        OutcomeTable.read(Path(given.text_only)),
        routers,
        **snakemake.params.how,
    )
    write_frame(Path(snakemake.output[0]), found)
