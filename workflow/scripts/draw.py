"""Draw an experiment's figure from its table."""

from importlib import import_module
from pathlib import Path

from mmroute.experiments import EXPERIMENTS
from mmroute.job import job
from mmroute.presentation.figures import save
from mmroute.presentation.tables import read_csv

with job(snakemake):
    name = snakemake.params.experiment
    figure = import_module(f"mmroute.figures.{name}").draw(
        read_csv(Path(snakemake.input.table)),
        f"{snakemake.params.title}: {EXPERIMENTS[name].title}",
    )
    save(figure, [Path(snakemake.output.svg), Path(snakemake.output.png)])
