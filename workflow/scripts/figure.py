"""Draw one figure."""

from pathlib import Path

from mmroute.figures import draw, read_frontiers, save
from mmroute.job import job
from mmroute.storage import read_table

with job(snakemake.log[0]):
    figure = draw(
        snakemake.wildcards.figure,
        read_frontiers(snakemake.params.routers, snakemake.input.frontiers),
        read_table(Path(snakemake.input.models)).to_pandas(),
        snakemake.params.title,
    )
    save(figure, [Path(snakemake.output.svg), Path(snakemake.output.png)])
