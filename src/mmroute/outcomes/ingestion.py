"""From sources to one outcome table: fetching, reading, and joining on sample ids."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from mmroute.confined import working_on
from mmroute.errors import InputError
from mmroute.images import each, joined
from mmroute.outcome_table import SAMPLE_COLUMNS, OutcomeTable, validate, validate_samples
from mmroute.outcomes.groups import group_keys
from mmroute.sources import Source
from mmroute.storage import link_to


@dataclass(frozen=True)
class Ingested:
    """What some sources hold.

    Attributes
    ----------
    table
        All samples and models, with the prices that sources know; ``group`` is the key of each
        sample's group.
    origins
        ``source``, ``dataset``, ``model`` and ``pairs``: how many of the model's
        outcomes on the data set came from the source.
    notices
        What the sources say of choices that they made while reading.
    """

    table: OutcomeTable
    origins: pd.DataFrame
    notices: list[str]


def fetch(sources: Sequence[Source], folder: Path) -> Path:
    """Bring the data of all sources to this machine and return their common root.

    The root of one source is its own. Of several, source number i has the root
    ``folder/i/root``, a link to wherever it is.
    """
    if len(sources) == 1:
        return sources[0].fetch(folder)
    for index, source in enumerate(sources):
        own = source.fetch(folder / str(index) / "fetched")
        own.mkdir(parents=True, exist_ok=True)
        link_to(folder / str(index) / "root", own)
    return folder


class Readable(Protocol):
    """A source that is fetched."""

    def origin(self, root: Path) -> Path:
        """Return what to name as the place of the outcomes below ``root``."""

    def read(self, root: Path) -> OutcomeTable:
        """Read the outcomes below ``root``."""


def read_valid(source: Readable, root: Path, joined: bool) -> OutcomeTable:
    """Read a source; one of several is left with the models that it has outcomes of.

    Raises InputError as ``mmroute.outcome_table.validate``.
    """
    table = source.read(root)
    if joined:
        table = table.take(columns=np.flatnonzero(np.isfinite(table.utility).any(axis=0)))
    validate(table, str(source.origin(root)), joined)
    return table


def ingest(sources: Mapping[str, Readable], root: Path) -> Ingested:
    """Read fetched sources and join them; a data set without a name is called after its file.

    Parameters
    ----------
    sources
        By the label that tells one from another in the report. Of a pair that two
        of them hold, the first one's outcome counts. One of several may hold no outcome, and
        describe samples of the others.
    root
        As returned by ``fetch``.

    Raises
    ------
    InputError
        If a source cannot be read or measured, if two of them have a sample in
        different data sets, or if a sample has neither a question nor an image.
    """
    tables: dict[str, OutcomeTable] = {}
    notices: list[str] = []
    stems = pd.Series(dtype=str)
    for index, (label, source) in enumerate(sources.items()):
        below = "" if len(sources) == 1 else f"{index}/root"
        own = root / below
        origin = source.origin(own)
        with warnings.catch_warnings(record=True) as caught, working_on(origin):
            warnings.simplefilter("always")
            table = read_valid(source, own, len(sources) > 1)
        for warning in caught:
            if warning.category is UserWarning:
                notices.append(str(warning.message))
            else:
                warnings.warn_explicit(
                    warning.message, warning.category, warning.filename, warning.lineno
                )
        samples = table.samples.assign(group=table.samples.get("group", ""))
        tables[label] = _moved(replace(table, samples=samples), below)
        stems = stems.combine_first(pd.Series(_title(origin), table.samples["sample_id"]))
    with working_on(root):
        whole = reduce(
            _Joined.add, [_Joined.of(*numbered) for numbered in enumerate(tables.items())]
        )
        whole = whole.answered(tables)
        whole = replace(whole, samples=_named(whole.samples, stems))
        validate_samples(whole.samples, ", ".join(sources))
        whole = replace(whole, samples=whole.samples.assign(group=group_keys(whole.samples)))
        return Ingested(whole.table(), whole.origins(list(tables)), notices + whole.notices)


def _title(file: Path) -> str:
    """Return the name of a file without the suffix of its format and of its packing."""
    return Path(file.stem).stem if file.suffix.lower() == ".gz" else file.stem


def _named(samples: pd.DataFrame, stems: pd.Series) -> pd.DataFrame:
    """Name the data sets that are not named yet, by file, and their samples' scenarios."""
    dataset = samples["dataset"].where(samples["dataset"] != "", samples["sample_id"].map(stems))
    told = samples["scenario"].replace("", None).where(samples["scenario"] != dataset)
    scenario = told.fillna(told.groupby(dataset).transform("first")).fillna(dataset)
    return samples.assign(dataset=dataset.astype("str"), scenario=scenario.astype("str"))


def _moved(table: OutcomeTable, below: str) -> OutcomeTable:
    """A table whose images are named from a folder further up."""
    if not below:
        return table
    image = table.samples["image"].map(
        lambda images: joined(f"{below}/{path}" for path in each(images)), na_action="ignore"
    )
    return replace(table, samples=table.samples.assign(image=image))


@dataclass(frozen=True)
class _Joined:
    """Sources joined so far.

    Attributes
    ----------
    samples, models
        As in an outcome table.
    matrices
        Those of an outcome table, where latencies may be missing altogether, and ``origin``: the
        number of the pair's source.
    label
        Of the last source.
    notices
        What joining found.
    """

    samples: pd.DataFrame
    models: pd.DataFrame
    matrices: dict[str, np.ndarray]
    label: str
    notices: list[str]

    @classmethod
    def of(cls, number: int, labelled: tuple[str, OutcomeTable]) -> "_Joined":
        label, table = labelled
        origin = np.where(np.isfinite(table.utility), number, np.nan)
        matrices = table.matrices | {"origin": origin}
        return cls(table.samples, table.models, matrices, label, [])

    def table(self) -> OutcomeTable:
        outcomes = {name: own for name, own in self.matrices.items() if name != "origin"}
        return OutcomeTable(self.samples, self.models, **outcomes)

    def answered(self, tables: Mapping[str, OutcomeTable]) -> "_Joined":
        """Leave out the samples that only tables without outcomes have."""
        described = [label for label, table in tables.items() if table.models.empty]
        if not described:
            return self
        if self.models.empty:
            raise InputError(f"{', '.join(tables)}: no source has outcomes; add one that has")
        told = [table.samples for table in tables.values() if not table.models.empty]
        kept = self.samples["sample_id"].isin(pd.concat(told)["sample_id"]).to_numpy()
        notices = []
        for label in described:
            own = tables[label].samples["sample_id"]
            if not own.isin(self.samples["sample_id"][kept]).any():
                raise InputError(
                    f"{label}: none of its sample ids, such as {own.iloc[0]!r:.80}, is one of the "
                    f"other sources, such as {self.samples['sample_id'][kept].iloc[0]!r:.80}; "
                    "write them in one way"
                )
            unknown = ~own.isin(self.samples["sample_id"][kept])
            if unknown.any():
                notices.append(
                    f"{label}: {unknown.sum():,} of its {len(own):,} samples have no outcome in "
                    f"any source and are left out, for instance {own[unknown].iloc[0]!r:.80}"
                )
        matrices = {name: matrix[kept] for name, matrix in self.matrices.items()}
        samples = self.samples[kept].reset_index(drop=True)
        return replace(self, samples=samples, matrices=matrices, notices=self.notices + notices)

    def origins(self, labels: Sequence[str]) -> pd.DataFrame:
        origin = self.matrices["origin"]
        i, j = np.nonzero(np.isfinite(origin))
        pairs = pd.DataFrame(
            {
                "source": np.array(labels, object)[origin[i, j].astype(int)],
                "dataset": self.samples["dataset"].to_numpy()[i],
                "model": self.models["model"].to_numpy()[j],
            }
        )
        return pairs.groupby(list(pairs), sort=False).size().rename("pairs").reset_index()

    def add(self, other: "_Joined") -> "_Joined":
        ids = _union(self.samples["sample_id"], other.samples["sample_id"])
        names = _union(self.models["model"], other.models["model"])
        first, second = (own._spread(ids, names) for own in (self, other))
        known, new = (np.isfinite(own["utility"]) for own in (first, second))
        untold = np.full(known.shape, np.nan)
        matrices = {
            name: np.where(new & ~known, second.get(name, untold), first.get(name, untold))
            for name in first | second
        }
        samples, notices = _join_samples(self.samples, other.samples, other.label)
        twice = np.argwhere(known & new)
        if len(twice):
            differing = (known & new & (first["utility"] != second["utility"])).sum()
            i, j = twice[0]
            notices.append(
                f"{other.label}: {len(twice)} of its outcomes stand in an earlier source too, "
                f"which counts ({differing} have another utility there), for instance that of "
                f"{names[j]} on {ids[i]}"
            )
        models = pd.concat([self.models, other.models], ignore_index=True)
        models = models.drop_duplicates("model", ignore_index=True)
        return _Joined(samples, models, matrices, other.label, self.notices + notices)

    def _spread(self, ids: pd.Index, names: pd.Index) -> dict[str, np.ndarray]:
        """The matrices over all samples and models, missing where there is no outcome."""
        cells = np.ix_(
            ids.get_indexer(pd.Index(self.samples["sample_id"])),
            names.get_indexer(pd.Index(self.models["model"])),
        )
        spread = {}
        for name, matrix in self.matrices.items():
            missing = None if matrix.dtype == object else np.nan
            spread[name] = np.full((len(ids), len(names)), missing, matrix.dtype)
            spread[name][cells] = matrix
        return spread


def _union(first: pd.Series, second: pd.Series) -> pd.Index:
    return pd.Index(pd.concat([first, second])).drop_duplicates()


def _join_samples(
    first: pd.DataFrame, second: pd.DataFrame, label: str
) -> tuple[pd.DataFrame, list[str]]:
    """Describe all samples; what the first says of one counts, the second fills gaps."""
    first, second = (own.set_index("sample_id") for own in (first, second))
    shared = first.index.intersection(second.index, sort=False)
    before, after = first.loc[shared], second.loc[shared]
    moved = (before["dataset"] != after["dataset"]) & (before["dataset"] != "")
    moved &= after["dataset"] != ""
    if moved.any():
        sample = moved.index[int(moved.argmax())]
        raise InputError(
            f"{label}: sample {sample!r:.80} is of data set {after['dataset'][sample]!r:.80}, but "
            f"{before['dataset'][sample]!r:.80} in an earlier source; give them one name, "
            "or other ids"
        )
    notices = []
    asked = (before["question"] != "") & (after["question"] != "")
    other = asked & (_words(before["question"]) != _words(after["question"]))
    if other.any():
        notices.append(
            f"{label}: {other.sum()} of {len(shared)} samples that an earlier source has too ask "
            f"another question here, for instance {other.idxmax()}; are these the same samples?"
        )
    ids = _union(*(own.index.to_series() for own in (first, second)))
    told = [
        # A scenario called as its data set is what stands where none is known.
        own.assign(scenario=own["scenario"].where(own["scenario"] != own["dataset"], ""))
        for own in (first, second)
    ]
    samples = told[0].replace("", None).combine_first(told[1].replace("", None)).reindex(ids)
    # An image and its digest come from the same source.
    kept = first["image"].notna() | ~first.index.isin(second.index[second["image"].notna()])
    kept = kept.reindex(ids, fill_value=False)
    for column in ("image", "image_digest"):
        samples[column] = first[column].reindex(ids).where(kept, second[column].reindex(ids))
    tags = [name for name in samples.columns if name not in SAMPLE_COLUMNS]
    stated = ["dataset", "scenario", "group", "question", *tags]
    samples[stated] = samples[stated].fillna("")
    samples = samples.reset_index(names="sample_id")
    return samples[[*SAMPLE_COLUMNS, *tags]].astype("str"), notices


def _words(questions: pd.Series) -> pd.Series:
    return questions.str.split().str.join(" ")
