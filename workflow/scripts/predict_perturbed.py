"""Let a trained router predict the test split with perturbed questions, once for each kind."""

from pathlib import Path

import numpy as np

from mmroute import persistence
from mmroute.catalogue import build
from mmroute.features.embeddings import read_all
from mmroute.features.fusion import Features
from mmroute.features.perturbation import KINDS, perturb
from mmroute.features.side_features import asked_otherwise
from mmroute.job import job, split_of
from mmroute.outcomes.benchmark import Benchmark
from mmroute.outcomes.splits import salts_of
from mmroute.storage import read_table, read_vectors
from mmroute.training import predict

given, params = snakemake.input, snakemake.params

with job(snakemake):
    benchmark = Benchmark.read(*split_of(snakemake))
    test, every = benchmark.in_test, benchmark.table.samples["sample_id"]
    # Of several salts, the samples that any of them tests are embedded.
    tested = ~salts_of(read_table(Path(given.splits)).to_pandas()).all(axis=1).to_numpy()
    ids, questions = (benchmark.test.samples[name] for name in ("sample_id", "question"))
    image = read_all(given.image, every).take(test)
    side = read_vectors(given.side, every)[test] if given.side else np.empty((len(ids), 0))
    fitted = persistence.read(Path(given.fitted), Features, params.modules)
    kind_of_router = type(build("routers", *params.router))
    router = persistence.read(Path(given.router), kind_of_router, params.modules)
    for kind, output in zip(KINDS, snakemake.output, strict=True):
        text = read_all(given[kind], every[tested]).take(test[tested])
        if given.side:
            side = asked_otherwise(side, perturb(questions, ids, kind, params.seed))
        predict(router, ids, fitted.transform(text, image, side)).write(Path(output))
