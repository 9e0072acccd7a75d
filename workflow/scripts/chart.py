"""Pack the library that draws the report's chart, and the chart without its data."""

from pathlib import Path

from mmroute.job import job
from mmroute.presentation.charts import empty_chart, library
from mmroute.storage import write_json, write_text

with job(snakemake):
    write_text(Path(snakemake.output.library), library())
    write_json(Path(snakemake.output.empty), empty_chart())
