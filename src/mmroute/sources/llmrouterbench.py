"""LLMRouterBench: one JSON file for each run of a model on a data set."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import pandas as pd
from annotated_types import Ge, Gt

from mmroute.errors import InputError
from mmroute.outcome_table import OutcomeTable
from mmroute.sources.archives import unpack
from mmroute.sources.gathered import Gathered
from mmroute.sources.json_records import number, read_object, text
from mmroute.sources.release import Release, clean
from mmroute.sources.survey import Recognised, Survey

ARCHIVES = ("bench-release.tar.gz", "bench.tar.gz")
UNPACKED = "unpacked"
NUMBERS = ("cost", "prompt_tokens", "completion_tokens")
_NAME = r"([^/]+)/([^/]+)/([^/]+)/([^/.][^/]*)\.json"
_RESULT = re.compile(rf"(?:.*/)?bench(?:-release)?/{_NAME}")
_BARE = re.compile(_NAME)
_TIME = re.compile(r"(\d{8})_(\d{6})$")


class LlmRouterBench(Release):
    """The LLMRouterBench release, or any results in its layout.

    Files ``bench/<dataset>/<split>/<model>/<timestamp>.json``, wherever ``bench`` or
    ``bench-release`` lies, or the archive that holds them. Of several files of a model on a data
    set and split the newest counts, as its name says; a trial run, ``demo``, does not. Each holds
    ``records`` with ``index``, ``origin_query`` or else ``prompt``, ``prediction``,
    ``ground_truth``, ``score`` in [0, 1], ``prompt_tokens``, ``completion_tokens`` and ``cost`` in
    USD.

    A sample is called ``<dataset>_<split>_<index>``; the split is a tag. A record without a
    score is a missing outcome, which the published loader counts as wrong.

    Parameters
    ----------
    path
        A folder with the release's layout, such as ``bench`` itself, or with its archive.
    max_members, max_gigabytes
        What the archive may hold: members, and GB once unpacked.
    datasets
        The only ones to read, named as their folders. The release has two pools of models, whose
        data sets are others: with all of them no model of either is observed on all samples.
    """

    name = "llmrouterbench"

    def __init__(
        self,
        path: str | None = None,
        repo: str | None = None,
        revision: str | None = None,
        max_members: Annotated[int, Ge(1)] = 1_000_000,
        max_gigabytes: Annotated[float, Gt(0)] = 200,
        datasets: list[str] | None = None,
    ) -> None:
        super().__init__(path, repo, revision)
        self.datasets = datasets
        self.max_members = max_members
        self.max_gigabytes = max_gigabytes

    @classmethod
    def recognise(cls, there: Survey) -> Recognised | None:
        """Recognise the files or the archive, which only their folder is read with."""
        found = super().recognise(there)
        return found and Recognised({"path": str(there.root)})

    @classmethod
    def is_own(cls, there: Survey, name: str) -> bool:
        """Tell by the records, or the archive's name."""
        return PurePosixPath(name).name in ARCHIVES or {
            "records.index",
            "records.score",
        } <= there.keys(name)

    @property
    def wanted(self) -> str:
        """The results' paths."""
        return f"bench/<dataset>/<split>/<model>/<timestamp>.json or {' or '.join(ARCHIVES)}"

    def choose(self, paths: Sequence[str]) -> list[str]:
        """Pick all results, else the archive."""
        results = [path for path in paths if _RESULT.fullmatch(path)]
        bare = [path for path in paths if _BARE.fullmatch(path)]
        archive = [path for path in paths if PurePosixPath(path).name in ARCHIVES]
        return results or archive[:1] or bare

    def files(self, root: Path) -> list[Path]:
        """List the files to read below ``root``; raise InputError if there is none."""
        if self.path is not None and self.path.is_file():
            raise InputError(
                f"{self.path}: is a file; set source.path to the folder that holds {self.wanted}"
            )
        return super().files(root)

    def fetch(self, folder: Path) -> Path:
        """Download the files, or point at the local ones; unpack the archive if there is one."""
        # What the archive of another revision held would be found with the others.
        shutil.rmtree(folder / UNPACKED, ignore_errors=True)
        root = super().fetch(folder)
        first = self.files(root)[0]
        if first.name not in ARCHIVES:
            return root
        unpack(first, folder / UNPACKED, self.max_members, self.max_gigabytes * 1e9)
        return folder / UNPACKED

    def read(self, root: Path) -> OutcomeTable:
        """Read the newest file of each model on each data set and split."""
        gathered = Gathered(root)
        runs: dict[tuple[str, str, str], list[Path]] = {}
        for path in self.files(root):
            below = path.relative_to(root).as_posix()
            if named := _RESULT.fullmatch(below) or _BARE.fullmatch(below):
                runs.setdefault((named[1], named[2], named[3]), []).append(path)
        there = {dataset for dataset, *_ in runs}
        wanted = there if self.datasets is None else set(self.datasets)
        if lost := sorted(wanted - there):
            raise InputError(
                f"source.datasets: {root} has no results of {', '.join(lost):.200}; it has "
                f"{', '.join(sorted(there)):.500}"
            )
        for (dataset, split, model), paths in sorted(runs.items()):
            if dataset not in wanted:
                continue
            newest = sorted(paths, key=_age)
            while newest:
                path = newest.pop()
                content = read_object(path)
                if content.get("demo") is not True:
                    samples, outcomes = _read(content, dataset, split, path)
                    gathered.add(model, gathered.describe(samples), outcomes, path)
                    break
                gathered.remark("files of trial runs are not read", str(path))
            if newest:
                gathered.remark("files are older than another one", str(newest[0]), len(newest))
        return gathered.table()


def _age(path: Path) -> tuple[str, str]:
    """Order files by the time in their names; those without one are the oldest."""
    time = _TIME.search(path.stem)
    return (time[0] if time else "", path.name)


def _read(
    content: dict[str, Any], dataset: str, split: str, path: Path
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a file's samples and, by their ids, its outcomes."""
    records = content.get("records")
    if not isinstance(records, list) or not records:
        raise InputError(f"{path}: key 'records' is no list with records; give a whole file")
    samples, outcomes = [], []
    for position, record in enumerate(records):
        where = f"{path}: record {position}"
        if not isinstance(record, dict) or not isinstance(record.get("index"), int | str):
            raise InputError(f"{where}: has no 'index' that is a number or text; correct it")
        samples.append(
            {
                "sample_id": clean(f"{dataset}_{split}_{record['index']}"),
                "dataset": dataset,
                "scenario": dataset,
                "question": text(record.get("origin_query")) or text(record.get("prompt")),
                "answer": text(record.get("ground_truth")),
                "tag_split": split,
            }
        )
        outcomes.append(
            {
                "utility": number(record.get("score"), "score", where, highest=1),
                **{name: number(record.get(name), name, where) for name in NUMBERS},
                "prediction": text(record.get("prediction")),
            }
        )
    frame = pd.DataFrame(samples)
    return frame, pd.DataFrame(outcomes, pd.Index(frame["sample_id"]))
