"""Draw an experiment's figure from its table."""

from importlib import import_module
from pathlib import Path

import pandas as pd

from mmroute.figures import save
from mmroute.job import job

with job(snakemake.log[0]):
    figure = import_module(f"mmroute.figures.{snakemake.params.experiment}").draw(
        pd.read_csv(snakemake.input.table), snakemake.params.title
    )
    save(figure, [Path(snakemake.output.svg), Path(snakemake.output.png)])
