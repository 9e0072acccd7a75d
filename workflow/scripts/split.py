"""Place each sample in the training or the test split, once per salt."""

from pathlib import Path

import pyarrow as pa

from mmroute.job import job
from mmroute.outcomes.datasets import read_samples
from mmroute.outcomes.splits import freeze, require_parts
from mmroute.storage import write_table

with job(snakemake):
    samples = read_samples(Path(snakemake.input.index).parent)
    given = samples, snakemake.params.train, snakemake.params.salts
    require_parts(*given)
    splits = freeze(*given, snakemake.params.development)
    write_table(Path(snakemake.output[0]), pa.Table.from_pandas(splits, preserve_index=False))
