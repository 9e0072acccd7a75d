"""Finished runs as a comparison reads them: every file as the run's own record has it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import jinja2
import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype
from pydantic import BaseModel, Field, ValidationError

from mmroute.confined import reading
from mmroute.decision.decide import TODAY
from mmroute.errors import InputError, one_line
from mmroute.evaluation.curve import Policy
from mmroute.evaluation.exact import evaluate, evaluate_singles
from mmroute.evaluation.setting import Setting
from mmroute.outcome_table import OutcomeTable
from mmroute.outcomes.benchmark import Benchmark
from mmroute.outcomes.splits import salts_of
from mmroute.predictions import Predictions
from mmroute.presentation.tables import SPREAD, read_csv
from mmroute.provenance import RECORD
from mmroute.storage import (
    check_samples,
    damaged,
    digest_file,
    is_file,
    leaves_folder,
    read_json,
    read_table,
)

_REPLICATES = re.compile(r"evaluation/routers/([^/]+)/[^/]+/replicates\.parquet")
_READ = ("utility", "cost")
KEYS = ("level", "dataset", "router", "metric")
"""What tells the rows of a main table."""
_ADVISED = ("accuracy", "cost_usd_per_1000", "routed_gain")
COLUMNS = {
    "tables/table2.csv": (KEYS, SPREAD[:3]),
    "tables/datasets.csv": (("dataset",), ("samples",)),
    "tables/models.csv": (("model", "cost_from"), ("cost_usd",)),
    "decision.csv": (
        ("prices", "asked"),
        (
            *("limit", "second_share", "labels"),
            *(f"{name}{bound}" for name in _ADVISED for bound in ("", "_low", "_high")),
        ),
    ),
}
"""The tables that are read, and of each the columns of text and of numbers that it needs."""
_OTHERS = {
    "tables/datasets.csv": ("scenario",),
    "decision.csv": ("amount", "router", "first", "second", "feasible"),
}
"""Columns that may be empty, whatever they are of."""


class _Content(BaseModel):
    """What of a data set its run has recorded."""

    name: str
    samples: int
    split: str
    text: str
    image: str
    all: str


class _Data(BaseModel):
    datasets: list[_Content]
    prices: dict[str, str]


class _Seeds(BaseModel):
    seed: Annotated[int, Field(ge=0)]
    salts: Annotated[list[int | str], Field(min_length=1)]


class _File(BaseModel):
    digest: str


class _Size(BaseModel):
    evaluate: int


class _Split(BaseModel):
    train: float


class _Config(BaseModel, extra="allow"):
    """The keys of a config that decide how two runs compare, among the others."""

    name: str
    policy: Policy
    resamples: Annotated[int, Field(ge=0)]
    shard_size: _Size
    split: _Split
    routers: dict[str, Any]


class Record(BaseModel):
    """What ``provenance.json`` tells of a run."""

    config: _Config
    versions: dict[str, Any]
    code: dict[str, Any]
    data: _Data
    seeds: _Seeds
    files: dict[str, _File]


@dataclass(frozen=True)
class Run:
    """A run that has ended.

    Attributes
    ----------
    name
        What it is called beside others.
    folder
        Its results.
    record
        Of how it was made.
    config
        The same, as it was written.
    """

    name: str
    folder: Path
    record: Record
    config: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path, name: str) -> "Run":
        """Read a run's record; raise InputError if there is none, or not of this version."""
        path = folder / RECORD
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder; give a run's, results/<name>")
        if not is_file(path):
            raise InputError(
                f"{path}: no such file: {folder} is no run's folder, or the run has not ended; "
                "give results/<name>, and end its run first: mmroute run CONFIG"
            )
        with reading(path):
            content = read_json(path)
        try:
            record = Record.model_validate(content)
        except ValidationError as error:
            where = ".".join(map(str, error.errors()[0]["loc"]))
            raise InputError(
                f"{path}: {where or 'content'}: {error.errors()[0]['msg']}; another version of "
                "mmroute has written it: make the results anew, mmroute run CONFIG"
            ) from error
        return cls(name, folder, record, content["config"])

    def file(self, name: str) -> Path:
        """Return the path of a file of the run.

        Raises
        ------
        InputError
            If it is not there, or not the one that the record knows.
        """
        path = self.folder / name
        known = None if leaves_folder(name) else self.record.files.get(name)
        if known is None:
            raise InputError(
                f"{self.folder / RECORD}: lists no {name}; another version of mmroute has written "
                "it: make the results anew, mmroute run CONFIG"
            )
        if not is_file(path):
            raise damaged(path, "no such file")
        if digest_file(path) != known.digest:
            raise damaged(path, f"is not as {RECORD} has it")
        return path

    def frame(self, name: str) -> pd.DataFrame:
        """Read one of the tables of ``COLUMNS``; raise InputError if it is not as told there."""
        path = self.file(name)
        with reading(path):
            try:
                table = read_csv(path)
            except ValueError as error:
                if "out of memory" in str(error):
                    raise MemoryError from error
                raise damaged(path, f"not readable as CSV ({one_line(error)})") from error
        text, numbers = COLUMNS[name]
        for column in (*text, *numbers, *_OTHERS.get(name, ())):
            if column not in table:
                raise damaged(path, f"no column {column!r}")
            if column in numbers and len(table) and not is_numeric_dtype(table[column]):
                raise damaged(path, f"column {column!r} holds text")
        return table

    @cached_property
    def main(self) -> pd.DataFrame:
        """The main table."""
        return self.frame("tables/table2.csv")

    @cached_property
    def datasets(self) -> pd.DataFrame:
        """A row per data set."""
        table = self.frame("tables/datasets.csv")
        return table[table["dataset"] != "full"].fillna({"scenario": ""})

    @cached_property
    def models(self) -> pd.DataFrame:
        """A row per model of the pool."""
        return self.frame("tables/models.csv").set_index("model")

    @cached_property
    def decisions(self) -> pd.DataFrame:
        """What is advised at today's prices, a row for each thing asked."""
        table = self.frame("decision.csv")
        return table[table["prices"] == TODAY].assign(amount=table["amount"].fillna(""))

    @cached_property
    def rows(self) -> list[str]:
        """The rows of the main table that have replicates of their own, in its order."""
        found = {one[1] for name in self.record.files if (one := _REPLICATES.fullmatch(name))}
        return [row for row in self.main["router"].unique() if row in found]

    @property
    def salts(self) -> list[str]:
        """What drew the splits."""
        return [str(salt) for salt in self.record.seeds.salts]

    @property
    def scenarios(self) -> dict[str, str]:
        """The scenario of each data set."""
        return dict(zip(self.datasets["dataset"], self.datasets["scenario"], strict=True))

    @property
    def in_shards(self) -> bool:
        """Whether it is too large to be measured at once."""
        return len(self.samples) > self.record.config.shard_size.evaluate

    @cached_property
    def outcomes(self) -> OutcomeTable:
        """Utility and cost of each model on all N samples."""
        return OutcomeTable.read(self._outcomes, matrices=_READ)

    @property
    def samples(self) -> pd.DataFrame:
        """All N samples."""
        return self.outcomes.samples

    @cached_property
    def tested(self) -> pd.DataFrame:
        """The (N, S) masks of test samples, a column per salt."""
        splits = read_table(self.file("splits.parquet")).to_pandas()
        check_samples(
            self.folder / "splits.parquet", splits["sample_id"], self.samples["sample_id"]
        )
        observed = np.isfinite(self.outcomes.utility).any(axis=1)
        return ~salts_of(splits) & observed[:, None]

    @property
    def _outcomes(self) -> Path:
        for name in ("samples", "models", *_READ):
            self.file(f"outcomes/{name}.parquet")
        return self.file("outcomes/pool.json").parent

    def setting(self, salt: str) -> Setting:
        """The benchmark under one split, and how it was measured."""
        config = self.record.config
        benchmark = Benchmark.read(
            self._outcomes, self.file("splits.parquet"), salt, matrices=_READ
        )
        return Setting(benchmark, config.policy, config.resamples, self.record.seeds.seed)

    def replicates(self, row: str | None, salt: str) -> pd.DataFrame:
        """The stored replicates of a row; without one, of what needs no router."""
        if row is None:
            return read_table(
                self.file(f"evaluation/singles/{salt}/replicates.parquet")
            ).to_pandas()
        path = self.file(f"evaluation/routers/{row}/{salt}/replicates.parquet")
        return read_table(path).to_pandas().assign(router=row)

    def measured(self, row: str | None, setting: Setting, rows: np.ndarray) -> pd.DataFrame:
        """Measure a row anew, as ``replicates`` has it, on some of its test samples.

        Parameters
        ----------
        row
            As there.
        setting
            How; its benchmark has these test samples and no others.
        rows
            Which of all that were tested these are.
        """
        if row is None:
            return evaluate_singles(setting)[0]
        folder = f"routers/{row}/{setting.benchmark.salt}"
        predictions, crossfit = (
            Predictions.read(self.file(f"{folder}/{part}.parquet"))
            for part in ("predictions", "crossfit")
        )
        return evaluate(setting, predictions.take(rows), crossfit).replicates.assign(router=row)


@contextmanager
def as_written(*folders: Path) -> Iterator[None]:
    """Name the folders where their files are whole, and hold what no run writes."""
    try:
        yield
    except InputError:
        raise
    except (AttributeError, LookupError, TypeError, ValueError, jinja2.TemplateError) as error:
        raise InputError(
            f"{' or '.join(map(str, folders))}: its tables are not as this version of mmroute "
            f"writes them ({type(error).__name__}: {one_line(error)}); make the results anew: "
            "mmroute run CONFIG"
        ) from error


def read_runs(folders: Sequence[Path]) -> list[Run]:
    """Read several runs, called after their folders.

    Raises
    ------
    InputError
        If there are fewer than two, one twice, or one that is no finished run.
    """
    if len(folders) < 2:
        raise InputError(f"{folders[0]}: one run alone; give two or more")
    absolute = [folder.resolve() for folder in folders]
    for index, folder in enumerate(folders):
        if absolute[index] in absolute[:index]:
            raise InputError(f"{folder}: stands there twice; give each run once")
    names = [folder.name for folder in absolute]
    return [
        Run.read(folder, str(folder) if names.count(name) > 1 else name)
        for folder, name in zip(folders, names, strict=True)
    ]
