"""Draw the cases with their images."""

from pathlib import Path

from mmroute.figures.cases import draw
from mmroute.job import job
from mmroute.presentation.figures import save
from mmroute.storage import read_json, read_table

with job(snakemake, confined=True):
    figure = draw(
        read_table(Path(snakemake.input.cases)).to_pandas(),
        Path(read_json(Path(snakemake.input.source))["root"]),
        snakemake.params.title,
    )
    save(figure, [Path(snakemake.output.svg), Path(snakemake.output.png)])
