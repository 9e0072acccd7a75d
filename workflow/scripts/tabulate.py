"""Turn an experiment's findings into its table, for programs, for papers and for the report."""

from pathlib import Path

from mmroute.catalogue import build
from mmroute.images import paths_below
from mmroute.job import job
from mmroute.presentation.tables import (
    frame_to_latex,
    frame_to_markdown,
    published_rows,
    read_csv,
    write_csv,
)
from mmroute.report.published import beside, paper_of
from mmroute.storage import read_json, read_table, write_json, write_text

source = snakemake.input.source
with job(snakemake, confined=bool(source)):
    params, output = snakemake.params, snakemake.output
    experiment = build("experiments", *params.experiment)
    findings = [read_table(Path(path)).to_pandas() for path in snakemake.input.findings]
    table = experiment.summarise(findings, *map(read_csv, map(Path, snakemake.input.main)))
    if published := params.published:
        models, datasets = (
            set(read_table(Path(snakemake.input.outcomes, f"{name}.parquet"))[column].to_pylist())
            for name, column in (("models", "model"), ("samples", "dataset"))
        )
        if paper := paper_of(Path(published), models, datasets):
            name = snakemake.wildcards.table
            table = beside(table, paper, name, params.protocol, params.settings)
    write_csv(Path(output.csv), table)
    stored = read_csv(Path(output.csv))
    shown = experiment.present(stored)
    write_text(Path(output.markdown), frame_to_markdown(shown, f"{params.run}: {params.title}"))
    write_text(Path(output.latex), frame_to_latex(shown, f"{params.run}: {params.title}"))
    frames = {"frame": shown}
    if "published" in table:
        frames["published"] = published_rows(table)
    if source:
        root = Path(read_json(Path(source))["root"])
        stored["image"] = paths_below(root, stored["image"])
    section = {
        "title": params.title,
        "question": params.question,
        "frames": {
            name: {"columns": list(frame.columns), "rows": frame.astype(str).to_numpy().tolist()}
            for name, frame in frames.items()
        },
        "cards": experiment.cards(stored),
    }
    write_json(Path(output.section), section)
