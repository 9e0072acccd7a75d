"""Samples that are likely of one group, which no source says: they would leak into the test split.

Several questions on one image are one group by definition (definitions, section 1). Questions
that are equal but for numbers, names and the order of their words may be variants of one
question, or no more than of one kind. Outcomes tell: variants are answered alike, by each
model, far more than two questions of a data set are.
"""

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd

from mmroute.catalogue import find
from mmroute.checks.remark import Level, Remark, counted, flow, some
from mmroute.config import SourceConfig
from mmroute.outcome_table import OutcomeTable, rows_by_label

FEWEST_GROUPS = 10
"""With fewer, it may be chance that their outcomes are alike."""
LIKENESS = 0.2
"""Correlation of outcomes from which questions of one template are variants of each other."""
SHARE = 0.05
"""Of a data set's samples; below, it makes hardly a difference."""
FEW_GROUPS = 20
"""With fewer, a data set is mostly one sample many times over."""
MOST_CHARACTERS = 20_000_000
_NUMBER = re.compile(r"\d+(?:[.,:/]\d+)*")
_LOWER = re.compile(r"\b[^\W\d_A-Z]\w*")
_UPPER = re.compile(r"\b[A-Z]\w+")
_TAG = "tag_"


def undeclared(config: SourceConfig, table: OutcomeTable, files: str) -> Iterator[Remark]:
    """Look for groups that a split would cut, and for data sets of few groups.

    Parameters
    ----------
    config
        Where the data are from.
    table
        As ingested, with the keys of the groups that are known.
    files
        The sources' files, for messages.
    """
    for dataset, rows in rows_by_label(table.samples["dataset"]).items():
        own = table.take(rows)
        samples, size = own.samples, len(rows)
        for found, what in _found(own):
            cut = found.notna()
            level: Level = "warning" if cut.mean() >= SHARE else "note"
            message = (
                f"{dataset}: {cut.sum():,} of {counted(size, 'sample')} are {what}, in "
                f"{counted(found.nunique(), 'group')} that are not declared, which a split may "
                f"cut: {some(samples['sample_id'][found == found[cut].iloc[0]], 3)}"
            )
            yield Remark(level, message, _cure(config, _column(samples, found), files))
        groups = samples["group"].nunique()
        if groups < FEW_GROUPS and size >= 5 * groups:
            yield Remark(
                "warning",
                f"{dataset}: {counted(size, 'sample')} are in {counted(groups, 'group')} only, "
                "each of them in one split as a whole: there is little to learn from and to "
                "measure on",
                f"in {files}: is the column of the groups too coarse, or are questions the same?",
            )


def group_column(table: OutcomeTable) -> str | None:
    """Name the column that tells likely groups of a data set, if one does.

    Parameters
    ----------
    table
        As for ``undeclared``.
    """
    for rows in rows_by_label(table.samples["dataset"]).values():
        own = table.take(rows)
        for found, _ in _found(own):
            column = _column(own.samples, found)
            if column is not None:
                return column
    return None


def _found(table: OutcomeTable) -> Iterator[tuple[pd.Series, str]]:
    """Yield (N,) labels of likely groups of a data set, missing outside of them, and what they are.

    Variants of a question with images of their own look as any questions of one kind do: they
    count only where a column of the data tells them.
    """
    samples = table.samples
    image = samples["image_digest"].where(samples["image"].notna(), "")
    found = _cut(_shared_images(samples), samples["group"])
    if found.notna().any():
        yield found, "questions on the same image as another"
    asked = _templates(samples["question"])
    for one, needs_column in ((asked + "\0" + image, False), (asked, True)):
        found = _cut(one, samples["group"])
        if found.nunique() < FEWEST_GROUPS or found.notna().mean() < SHARE:
            continue
        alike = _likeness(table.utility, found)
        if alike >= LIKENESS and not (needs_column and _column(samples, found) is None):
            yield (
                found,
                "equal to another but for numbers, names and the order of words, and answered "
                f"alike (correlation {alike:.2f})",
            )
            return


def _cut(labels: pd.Series, groups: pd.Series) -> pd.Series:
    """The labels of more than one group."""
    return labels.where(groups.groupby(labels).transform("nunique") > 1)


def _shared_images(samples: pd.DataFrame) -> pd.Series:
    """The (N,) image of each sample; none where most have the same one, as in place of none."""
    image = samples["image_digest"]
    return image.where(image.map(image.value_counts()) <= len(samples) / 2)


def _templates(questions: pd.Series) -> pd.Series:
    """What the (N,) questions of a data set are but for numbers, names and order.

    A name is a word in capitals that never stands in the data set without them. Missing for
    a question without words, or beyond ``MOST_CHARACTERS``.
    """
    asked = questions[questions.str.len().cumsum() <= MOST_CHARACTERS]
    plain = {word for text in asked for word in _LOWER.findall(text)}

    def bare(name: re.Match[str]) -> str:
        word = name[0].casefold()
        return word if word in plain else "\1"

    words = [
        " ".join(sorted(_NUMBER.sub("0", _UPPER.sub(bare, text)).casefold().split()))
        for text in asked
    ]
    found = pd.Series(words, asked.index, dtype=object).reindex(questions.index)
    return found.where(found != "")


def _likeness(utility: np.ndarray, groups: pd.Series) -> float:
    """The intraclass correlation of outcomes within groups, pooled over the models.

    Of deviations from each model's mean, over all pairs of samples of a group; a group
    counts as its samples do.

    Parameters
    ----------
    utility
        (N, K), NaN where missing.
    groups
        (N,) labels, missing for samples of none.
    """
    deviation = np.nan_to_num(utility - np.nanmean(utility, axis=0))
    shared, alone = 0.0, 0.0
    for rows in rows_by_label(groups).values():
        own = deviation[rows]
        squares = (own**2).sum(axis=0)
        shared += ((own.sum(axis=0) ** 2 - squares) / (len(rows) - 1)).sum()
        alone += squares.sum()
    return float(shared / alone) if alone else 0.0


def _column(samples: pd.DataFrame, found: pd.Series) -> str | None:
    """The tag that has one value within each group found, and nearly as many values as these."""
    inside = found.notna()
    candidates = {}
    for name in map(str, samples):
        values = samples[name][inside]
        if name.startswith(_TAG) and (values != "").all():
            within, distinct = values.groupby(found[inside]).nunique(), values.nunique()
            if within.max() == 1 and 2 * distinct >= len(within):
                candidates[name.removeprefix(_TAG)] = distinct
    return max(candidates, key=candidates.__getitem__, default=None)


def _cure(config: SourceConfig, column: str | None, files: str) -> str:
    """The line of the config that takes a column for the groups, or how to get one."""
    if column is None:
        return f"in {files}: add a column 'group' with one value for the samples of each group"
    parts = list(config.parts)
    keys, named = find("sources", parts[0].name).parameters, f"group: {flow(column)}"
    if "columns" in keys:
        line = f"{{..., columns: {{..., {named}}}}}"
    # A source may call something else a group.
    elif keys.get("group", ("", ""))[1] == "group":
        line = f"{{..., {named}}}"
    else:
        return f"in {files}: the column {column!r:.80} tells the groups; call it 'group'"
    return f"source: {line}" if len(parts) == 1 else f"source: {{join: [{line}, ...]}}"
