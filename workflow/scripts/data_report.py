"""Count what the benchmark holds, what is missing and what was left out."""

from pathlib import Path

from mmroute.features.embeddings import read_all
from mmroute.job import job
from mmroute.outcome_table import OutcomeTable
from mmroute.presentation.tables import write_csv
from mmroute.report.data_report import dataset_report, model_report, notices
from mmroute.storage import read_json, read_table, write_json

with job(snakemake):
    folder = Path(snakemake.input.outcomes)
    table = OutcomeTable.read(folder)
    image = read_all(snakemake.input.image, table.samples["sample_id"])
    datasets = dataset_report(
        table,
        read_table(Path(snakemake.input.splits)).to_pandas(),
        {
            "text": read_all(snakemake.input.text, table.samples["sample_id"]).present,
            "image": image.present,
        },
        image.missed,
    )
    write_csv(Path(snakemake.output.datasets), datasets)
    models = model_report(table, snakemake.params.resamples, snakemake.params.seed)
    write_csv(Path(snakemake.output.models), models)
    left_out = read_json(folder / "pool.json")["left_out"]
    ingested = Path(snakemake.input.index).parent
    origins = read_table(ingested / "origins.parquet").to_pandas()
    write_csv(Path(snakemake.output.origins), origins[origins["model"].isin(table.model_names)])
    how = (getattr(snakemake.params, name) for name in ("simulated", "in_shards", "elsewhere"))
    write_json(
        Path(snakemake.output.notices),
        notices(table, datasets, left_out, *how) + read_json(ingested / "notices.json"),
    )
