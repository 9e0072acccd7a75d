"""Draw one figure."""

from pathlib import Path

from mmroute.figures import save
from mmroute.figures.frontiers import draw, read_by_router
from mmroute.job import job
from mmroute.storage import read_table

with job(snakemake.log[0]):
    routers = snakemake.params.routers
    calibration = read_by_router(routers, snakemake.input.calibration)
    figure = draw(
        snakemake.wildcards.figure,
        read_by_router(routers, snakemake.input.frontiers),
        read_by_router(routers, snakemake.input.bands),
        calibration[calibration["router"].isin(snakemake.params.predicting)],
        read_table(Path(snakemake.input.models)).to_pandas(),
        snakemake.params.title,
    )
    save(figure, [Path(snakemake.output.svg), Path(snakemake.output.png)])
