"""Train on multimodal samples and measure on text-only ones."""

from pathlib import Path

from mmroute.catalogue import build
from mmroute.experiments.transfer import findings
from mmroute.features.embeddings import Embeddings, read_all
from mmroute.features.fusion import Features
from mmroute.job import job
from mmroute.outcome_table import OutcomeTable
from mmroute.outcomes.benchmark import Benchmark
from mmroute.storage import read_table, read_vectors, write_frame

with job(snakemake):
    given, salt = snakemake.input, snakemake.wildcards.salt
    benchmark = Benchmark.read(Path(given.outcomes), Path(given.splits), salt)
    ids = benchmark.table.samples["sample_id"]
    train = read_table(Path(given.splits))[salt].to_numpy()
    text, image = read_all(given.text, ids), read_all(given.image, ids)
    side = read_vectors(given.side, ids)
    text_only = OutcomeTable.read(Path(given.text_only))
    other_ids = text_only.samples["sample_id"]
    other_text = read_all([given.text_only_text], other_ids)
    other_side = read_vectors([given.text_only_side], other_ids)
    routers = {}
    for row, (name, parameters) in snakemake.params.routers.items():
        fusion = build("features", *snakemake.params.fusions[row])
        fitted = Features.fit(fusion, text.take(train), image.take(train), side[train])
        own = fitted.of_splits(text, image, side, train)
        no_image = Embeddings.masked(len(other_side), image.vectors.shape[1])
        other = fitted.transform(other_text, no_image, other_side)
        routers[row] = build("routers", name, parameters), own, other
    found = findings(
        benchmark,
        text_only,
        routers,
        **snakemake.params.how,
    )
    write_frame(Path(snakemake.output[0]), found)
