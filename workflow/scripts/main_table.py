"""Write the main table and its companions: operating points and paired differences."""

from itertools import product
from pathlib import Path

import numpy as np

from mmroute.evaluation.metrics import CURVE_METRICS
from mmroute.job import job
from mmroute.outcomes.datasets import read_samples
from mmroute.presentation.tables import (
    add_macro_averages,
    differences,
    read_replicates,
    summarise,
    to_latex,
    to_markdown,
    write_csv,
)
from mmroute.storage import write_text

COMPARED = ("nauc", "nauc_honest", "peak_score", "peak_score_honest")

with job(snakemake):
    salts = snakemake.params.salts
    replicates = read_replicates(
        zip(salts, snakemake.input.singles, strict=True),
        zip(product(snakemake.params.routers, salts), snakemake.input.routers, strict=True),
    )
    # What chose may have seen the training samples: nothing is to be chosen by its values there.
    replicates.loc[replicates["router"].isin(snakemake.params.elsewhere), "training"] = np.nan
    samples = read_samples(Path(snakemake.input.index).parent)
    scenarios = dict(zip(samples["dataset"], samples["scenario"], strict=True))
    unasked = {metric.name for metric in CURVE_METRICS if metric.convention}
    unasked -= set(snakemake.params.conventions)
    of_curves = replicates["point"] == ""
    asked = replicates[of_curves & ~replicates["metric"].isin(unasked)]
    table = summarise(add_macro_averages(asked, scenarios)).drop(columns="point")
    costs = table[table["metric"] == "qnc"]
    written = snakemake.output
    for files, part in (
        ((written.csv, written.markdown, written.latex), table),
        (written.quality_neutral, costs),
    ):
        csv, markdown, latex = map(Path, files)
        write_csv(csv, part)
        write_text(markdown, to_markdown(part, snakemake.params.title))
        write_text(latex, to_latex(part, snakemake.params.title))
    write_csv(Path(snakemake.output.points), summarise(replicates[~of_curves]))
    write_csv(Path(snakemake.output.differences), differences(replicates, COMPARED))
