"""What looks wrong in data that a run would take: outcomes, costs, images, questions."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from mmroute.checks.remark import Remark, counted, pool_line, some
from mmroute.evaluation.metrics import ROUNDING
from mmroute.images import decode, each, quiet_decoding
from mmroute.outcome_table import PER_CALL, OutcomeTable
from mmroute.report.data_report import equal_prices
from mmroute.sources.token_counts import is_too_low

FEWEST_OUTCOMES = 20
"""With fewer, it says nothing that all of them are alike."""
TRIED_IMAGES = 200
EVERYWHERE = "all data sets"


def outcomes(table: OutcomeTable, files: str) -> Iterator[Remark]:
    """Look for models that no router could learn anything about."""
    names = table.model_names
    cure = f"look at the outcomes in {files}"
    utility = pd.DataFrame(table.utility, columns=names)
    by_dataset = utility.groupby(table.samples["dataset"].to_numpy(), sort=False)
    parts = {EVERYWHERE: utility, **{str(dataset): own for dataset, own in by_dataset}}
    for word, value in (("always", 1), ("never", 0)):
        alike = pd.DataFrame(
            {
                part: rows.count().where((rows.isna() | (rows == value)).all())
                for part, rows in parts.items()
            }
        )
        for model, counts in alike[alike >= FEWEST_OUTCOMES].iterrows():
            own = counts.dropna().astype(int)
            if EVERYWHERE in own:
                own = own[[EVERYWHERE]]
            if len(own):
                told = [f"{part} ({counted(count, 'sample')})" for part, count in own.items()]
                rest = pool_line([name for name in names if name != model])
                message = f"{model} is {word} right in {some(told)}"
                yield Remark("warning", message, f"{cure}\n{rest}")
    if len(utility) >= FEWEST_OUTCOMES:
        columns = pd.Series([column.tobytes() for column in table.utility.T], names)
        for twins in columns.groupby(columns, sort=False).groups.values():
            if len(twins) > 1:
                rest = pool_line([name for name in names if name not in twins[1:]])
                message = f"identical utilities on every sample: {', '.join(twins)}"
                yield Remark("warning", message, f"{cure}\n{rest}")
    missing = [
        f"{model} in {part}"
        for part, rows in parts.items()
        for model in rows.columns[rows.isna().all()]
    ]
    if missing:
        cure = f"in {files}: add these outcomes, or leave the models or the data sets out"
        yield Remark("warning", f"no outcome at all: {some(missing)}", cure)


def costs(table: OutcomeTable, files: str) -> Iterator[Remark]:
    """Look for costs that tell a router nothing."""
    names = np.array(table.model_names)
    lowest, highest = np.nanmin(table.cost, axis=0), np.nanmax(table.cost, axis=0)
    many = np.isfinite(table.cost).sum(axis=0) >= FEWEST_OUTCOMES
    free = highest == 0
    per_call = table.models.get(PER_CALL, pd.Series(np.nan, table.models.index)).notna()
    constant = many & ~free & ~per_call.to_numpy() & (highest <= lowest * (1 + ROUNDING))
    cure = f"in {files}: give the cost of each call, or token counts and source.prices"
    for those, what in ((free, "is free"), (constant, "of the model costs the same")):
        if those.any():
            yield Remark("warning", f"every call {what}: {', '.join(names[those])}", cure)
    low = [
        sum(map(is_too_low, counts, answers))
        for counts, answers in zip(table.completion_tokens.T, table.prediction.T, strict=True)
    ]
    if any(low):
        told = [f"{name} ({counted(n, 'answer')})" for name, n in zip(names, low, strict=True) if n]
        yield Remark(
            "warning",
            f"completion tokens are too few for the text of the answers: {some(told)}",
            f"in {files}: correct the counts, or leave them out to have them estimated",
        )
    for said in equal_prices(table):
        yield Remark("warning", said, "write what the models really cost into source.prices")
    means = np.nanmean(table.cost, axis=0)
    if len(names) > 1 and means.max() <= means.min() * (1 + ROUNDING):
        yield Remark(
            "warning",
            f"all models are equally dear, {means.max():.3g} USD per call: c_max/c_min is 1, so "
            "there is nothing to save and nAUC is undefined",
            cure,
        )


def questions(samples: pd.DataFrame, files: str) -> Iterator[Remark]:
    """Look for samples that have an image only, or another one's id as a spreadsheet has it."""
    ids = samples["sample_id"]
    twice = ids[ids.str.endswith(".0") & ids.str.removesuffix(".0").isin(ids)]
    if len(twice):
        message = f"{counted(len(twice), 'sample')} whose id is another one's but for '.0'"
        cure = f"in {files}: write the ids as text, without '.0', if the two are one"
        yield Remark("warning", f"{message}: {some(twice)}", cure)
    silent = samples["sample_id"][samples["question"].str.strip() == ""]
    if len(silent):
        message = f"{counted(len(silent), 'sample')} with an image and no question: {some(silent)}"
        yield Remark("warning", message, f"in {files}: give the questions, if there are any")


def images(samples: pd.DataFrame, root: Path, seed: int) -> Iterator[Remark]:
    """Decode some of the images."""
    named = list(dict.fromkeys(path for own in samples["image"] for path in each(own)))
    if not named:
        return
    count = min(TRIED_IMAGES, len(named))
    tried = np.random.default_rng(seed).choice(named, count, replace=False)
    with quiet_decoding(), ThreadPoolExecutor() as pool:
        pictures = list(pool.map(lambda image: decode(root / image, 64), tried))
    broken = [image for image, picture in zip(tried, pictures, strict=True) if picture is None]
    how = f"{count:,} of {len(named):,} images were decoded"
    if broken:
        yield Remark(
            "warning",
            f"{how}; {len(broken):,} cannot be, and their samples would be routed by their text: "
            + some(broken),
            f"replace these files below {root} by whole images",
        )
    else:
        yield Remark("note", f"{how}, all of them without a problem")
