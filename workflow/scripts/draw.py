"""Draw an experiment's figure from its table."""

from pathlib import Path

from mmroute.catalogue import build
from mmroute.images import paths_below
from mmroute.job import job
from mmroute.presentation.figures import save
from mmroute.presentation.tables import read_csv
from mmroute.storage import read_json

source = snakemake.input.source
with job(snakemake, confined=bool(source)):
    table = read_csv(Path(snakemake.input.table))
    if source:
        root = Path(read_json(Path(source))["root"])
        table["image"] = paths_below(root, table["image"])
    figure = build("experiments", *snakemake.params.experiment).draw(table, snakemake.params.title)
    save(figure, [Path(snakemake.output.svg), Path(snakemake.output.png)])
