"""Draw the figures of the main experiment."""

from pathlib import Path

from mmroute.job import job
from mmroute.presentation.figures import save
from mmroute.presentation.tables import prominent, read_by_router, read_csv
from mmroute.report.frontiers import draw
from mmroute.storage import read_table

with job(snakemake):
    params, output = snakemake.params, snakemake.output
    shown = prominent(read_csv(Path(snakemake.input.table)))
    frontiers, bands, calibration = (
        frame[frame["router"].isin(shown)]
        for frame in (
            read_by_router(params.routers, snakemake.input[name])
            for name in ("frontiers", "bands", "calibration")
        )
    )
    calibration = calibration[calibration["router"].isin(params.predicting)]
    models = read_table(Path(snakemake.input.models)).to_pandas()
    drawn = [row for row in params.routers if row in shown]
    best = f" (the best {len(drawn)} of {len(params.routers)} rows)"
    for name, png in zip(params.figures, output.png, strict=True):
        title = params.title + best * (drawn != params.routers and name != "models")
        figure = draw(name, frontiers, bands, calibration, models, title)
        save(figure, [Path(output[name]), Path(png)])
