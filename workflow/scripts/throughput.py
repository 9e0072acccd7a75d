"""Tell how fast the routers decide on this machine."""

from pathlib import Path

import pandas as pd

from mmroute.job import job
from mmroute.outcome_table import OutcomeTable
from mmroute.presentation.tables import frame_to_latex, frame_to_markdown, write_csv
from mmroute.report.throughput import measure, present
from mmroute.storage import read_json, write_text

with job(snakemake):
    given, written, rows = snakemake.input, snakemake.output, snakemake.params.reads
    per_row = len(given.predicting) // len(rows)
    outcomes = OutcomeTable.read(Path(given.outcomes), matrices=["prompt_tokens"])
    table = measure(
        {
            row: [Path(path) for path in given.predicting[index * per_row :][:per_row]]
            for index, row in enumerate(rows)
        },
        {modality: [*map(Path, given[modality])] for modality in ("text", "image")},
        rows,
        sum(dataset["samples"] for dataset in read_json(Path(given.index))["datasets"]),
        float(pd.DataFrame(outcomes.prompt_tokens).mean(axis=1).mean()),
    )
    write_csv(Path(written.csv), table)
    write_text(Path(written.markdown), frame_to_markdown(present(table), snakemake.params.title))
    write_text(Path(written.latex), frame_to_latex(present(table), snakemake.params.title))
