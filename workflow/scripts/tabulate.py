"""Turn an experiment's findings into its table, for programs, for papers and for the report."""

from importlib import import_module
from pathlib import Path

from mmroute.experiments import EXPERIMENTS
from mmroute.experiments.findings import summarise
from mmroute.job import job
from mmroute.presentation.tables import (
    frame_to_latex,
    frame_to_markdown,
    published_rows,
    read_csv,
    write_csv,
)
from mmroute.report.published import applies, beside
from mmroute.storage import read_table, write_json, write_text

with job(snakemake):
    name = snakemake.params.experiment
    findings = [read_table(Path(path)).to_pandas() for path in snakemake.input.findings]
    table = summarise(findings)
    if published := snakemake.params.published:
        models = read_table(Path(snakemake.input.outcomes, "models.parquet"))["model"].to_pylist()
        if applies(Path(published), models):
            table = beside(table, Path(published), [snakemake.wildcards.table])
    write_csv(Path(snakemake.output.csv), table)
    shown = import_module(f"mmroute.experiments.{name}").present(
        read_csv(Path(snakemake.output.csv))
    )
    title = f"{snakemake.params.title}: {EXPERIMENTS[name].title}"
    write_text(Path(snakemake.output.markdown), frame_to_markdown(shown, title))
    write_text(Path(snakemake.output.latex), frame_to_latex(shown, title))
    frames = {"frame": shown}
    if "published" in table:
        frames["published"] = published_rows(table)
    write_json(
        Path(snakemake.output.section),
        {
            name: {"columns": list(frame.columns), "rows": frame.astype(str).to_numpy().tolist()}
            for name, frame in frames.items()
        },
    )
