"""Run an experiment on one split."""

from pathlib import Path

from mmroute.catalogue import build
from mmroute.evaluation.setting import Setting
from mmroute.experiments import TextOnly
from mmroute.features.embeddings import Embeddings, read_all
from mmroute.features.fusion import Features
from mmroute.features.perturbation import KINDS
from mmroute.job import job
from mmroute.outcome_table import OutcomeTable
from mmroute.outcomes.benchmark import Benchmark
from mmroute.predictions import Predictions, read_by_row
from mmroute.storage import read_table, read_vectors, write_frame

given, params = snakemake.input, snakemake.params
salt = snakemake.wildcards.salt


def text_only(benchmark: Benchmark) -> TextOnly:
    """Read the second source, and fuse its embeddings as those of the benchmark."""
    ids = benchmark.table.samples["sample_id"]
    train = read_table(Path(given.splits))[salt].to_numpy()
    text, image = (read_all(paths, ids).take(train) for paths in (given.text, given.image))
    side = read_vectors(given.side, ids)[train]
    table = OutcomeTable.read(Path(given.text_only))
    ids = table.samples["sample_id"]
    others = (
        read_all([given.text_only_text], ids),
        Embeddings.masked(len(ids), image.vectors.shape[1]),
        read_vectors([given.text_only_side], ids),
    )
    fused = {
        name: fusion
        and Features.fit(build("features", *fusion), text, image, side).transform(*others)
        for name, fusion in params.fusions.items()
    }
    return TextOnly(table, fused)


def predicted(part: str, table: OutcomeTable) -> dict[str, Predictions]:
    """Read what each router predicts of the samples of a table."""
    return read_by_row(params.routers, given[part], table.samples["sample_id"])


with job(snakemake):
    experiment = build("experiments", *params.experiment)
    benchmark = Benchmark.read(Path(given.outcomes), Path(given.splits), salt)
    more = {"text_only": text_only(benchmark)} if experiment.text_only else {}
    if experiment.trains:
        ids = benchmark.table.samples["sample_id"]
        features = {
            name: path and read_vectors([path], ids) for name, path in params.features.items()
        }
        routers = {row: build("routers", *made) for row, made in params.routers.items()}
        found = experiment.findings(benchmark.taught, features, routers, **params.how, **more)
    else:
        setting = Setting(benchmark, **params.how)
        predictions = predicted("predictions", setting.table)
        crossfit = predicted("crossfit", setting.training)
        if experiment.perturbed:
            more["perturbed"] = {kind: predicted(kind, setting.table) for kind in KINDS}
        found = experiment.findings(setting, predictions, crossfit, **more)
    write_frame(Path(snakemake.output[0]), found)
