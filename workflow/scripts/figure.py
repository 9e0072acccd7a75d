"""Draw one figure of the main experiment."""

from pathlib import Path

from mmroute.job import job
from mmroute.presentation.figures import save
from mmroute.presentation.tables import prominent, read_by_router, read_csv
from mmroute.report.frontiers import draw
from mmroute.storage import read_table

with job(snakemake):
    routers = snakemake.params.routers
    shown = prominent(read_csv(Path(snakemake.input.table)))
    frontiers, bands, calibration = (
        frame[frame["router"].isin(shown)]
        for frame in (
            read_by_router(routers, snakemake.input[name])
            for name in ("frontiers", "bands", "calibration")
        )
    )
    title = snakemake.params.title
    drawn = [row for row in routers if row in shown]
    if drawn != routers and snakemake.wildcards.figure != "models":
        title += f" (the best {len(drawn)} of {len(routers)} rows)"
    figure = draw(
        snakemake.wildcards.figure,
        frontiers,
        bands,
        calibration[calibration["router"].isin(snakemake.params.predicting)],
        read_table(Path(snakemake.input.models)).to_pandas(),
        title,
    )
    save(figure, [Path(snakemake.output.svg), Path(snakemake.output.png)])
