"""A VLMEvalKit work directory: what models answered, and how each answer was judged.

The layout is ``<work_dir>/<model>/[T<date>_G<hash>/]<model>_<dataset><suffix>``, at any
depth; a folder's name says which model it is. Per model and data set:

- **Runs.** The newest run that is complete is read: one with as many judged samples as
  the largest. A folder's own files, without a date, count as the oldest run; mere links to
  a dated run's files do not count at all.
- **Judged files.** ``_<judge>_score``, then ``_<judge>_result``, ``_auxmatch``, ``_judge``,
  ``_results``, ``_detailed_results`` and ``_<judge>``, then ``_extract``, then the raw output
  itself, is read: the first that says per sample whether the answer is right, or that
  ``mmroute.sources.verdicts`` has a rule for. Of several judges ``openai`` comes
  first, then the others by name, and exact matching last.
- **Raw output.** ``<model>_<dataset>`` of the same run has the answers whose length counts
  as completion tokens; without it the judged file's ``prediction`` does.

Aggregates (``_acc.csv``, ``_score.json``) are not per sample and are not read.
"""

import json
import os
import re
import warnings
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from textwrap import shorten
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from annotated_types import Gt
from tqdm import tqdm

from mmroute.confined import reading
from mmroute.errors import InputError, is_utf8, printable, raise_disk_fault
from mmroute.images import counts
from mmroute.outcome_table import OutcomeTable
from mmroute.sources import Source, image_tables, token_counts
from mmroute.sources.calls import UNSCALED, is_unscaled, way_to_scale
from mmroute.sources.cells import (
    CORRECTNESS_WORDS,
    FAILED,
    nullable,
    numbers,
    outcome_table,
    read_cells,
)
from mmroute.sources.image_files import digests
from mmroute.sources.pickles import read_pickle
from mmroute.sources.survey import Recognised, Survey
from mmroute.sources.verdicts import verdicts
from mmroute.storage import is_file, link_to

ID_COLUMNS = ("sample_id", "id", "index")
CORRECTNESS_COLUMNS = ("is_correct", "score", "hit", "eval_match", "verifier_score")
QUESTION_COLUMNS = ("question", "prompt", "query")
OPTION_COLUMNS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
TAG_COLUMNS = (
    "category",
    "l2-category",
    "split",
    "subcategory",
    "subject",
    "subfield",
    "level",
    "grade",
    "task",
    "type",
    "question_type",
    "answer_type",
    "problem_version",
    "topic_difficulty",
    "language",
)
WANTED_COLUMNS = frozenset(
    (
        *ID_COLUMNS,
        *CORRECTNESS_COLUMNS,
        *QUESTION_COLUMNS,
        *OPTION_COLUMNS,
        *TAG_COLUMNS,
        "hint",
        "answer",
        "answer_option",
        "choices",
        "prediction",
        "res",
    )
)
IMAGE_FOLDER = "LMUData"
LINK = "release"
WORKERS = 2

SUFFIXES = (".xlsx", ".tsv", ".json", ".pkl")
"""In the order in which they are tried."""
RUN_FOLDER = re.compile(r"T\d{8}_G\w*")
# What a file's name tells of a judge without more context.
JUDGE = re.compile(
    r"(?:openai|(?:chat)?gpt|qwen|deepseek|claude|gemini|gemma|llama|glm|internlm|kimi|o\d)"
    r"[-.0-9A-Za-z]*"
)
EXACT = "exact_matching"
_ENDINGS = (
    ("_score", 0),
    ("_auxmatch", 1),
    ("_judge", 1),
    ("_detailed_results", 1),
    ("_results", 1),
    ("_extract", 2),
)
"""What a judged file's name ends in, and which is read first."""
CACHES = ("_tmp", "_supp", "_PREV", "_checkpoint", "_acc")

# Levenshtein distances, of which an answer that is half wrong counts as wrong.
ANLS_DATASETS = ("DocVQA", "InfoVQA")
ANLS_THRESHOLD = 0.5
# The best match counts; elsewhere it is the mean over the reference answers.
BEST_MATCH_DATASETS = ("ChartQA", "OCRVQA", "PlotQA")
_MATCH = r"(?:np\.(?:\w+\()?)?(True|False|[-+.\deE]+)_?\)?"
_MATCHES = re.compile(rf"\[\s*{_MATCH}(?:\s*,\s*{_MATCH})*\s*\]")


class Vlmevalkit(Source):
    """A VLMEvalKit work directory.

    Images come from ``<DATASET>.tsv`` in base64; without these all is text only.
    Token counts are estimated from the question and the answer. An image counts as none, as its
    tokens stand in no file and differ from model to model.

    Parameters
    ----------
    path
        The work directory.
    datasets
        Our name of a data set to the work directory's name of it; only these are
        read. Without it all are, under their own names.
    images
        The folder of the image tables; by default ``LMUData`` in the work directory, or
        the work directory itself.
    group
        The column of what samples that are variants of each other have in common, such as
        ``g_index`` of circular evaluation.
    failures
        What calls that failed and answers that are empty are: missing outcomes, or wrong answers.
    scale
        The score of the best possible answer of a data set, where it is not 1: 100 for percent.

    Raises
    ------
    InputError
        If two names stand for one data set.
    """

    name = "vlmevalkit"
    general = True

    def __init__(
        self,
        path: str,
        datasets: dict[str, str] | None = None,
        images: str | None = None,
        group: str = "group",
        failures: Literal["missing", "wrong"] = "missing",
        scale: dict[str, Annotated[float, Gt(0)]] | None = None,
    ) -> None:
        named = list((datasets or {}).values())
        for theirs in named:
            if named.count(theirs) > 1:
                raise InputError(f"source.datasets: {theirs!r} stands twice; name it once")
        self.path = Path(path)
        self.datasets = datasets
        self.images = None if images is None else Path(images)
        self.group = group
        self.failures = failures
        self.scale = scale or {}

    @classmethod
    def recognise(cls, there: Survey) -> Recognised | None:
        """Recognise the names of models' files, which begin as their folders are called."""
        if there.path != there.root or not any(
            _work_file(there.root / name, there.root) for name in there.names
        ):
            return None
        return Recognised({"path": str(there.path)})

    @property
    def wanted(self) -> str:
        """The files' paths."""
        return "<model>/[T<date>_G<hash>/]<model>_<dataset>[_<judge>].xlsx, .tsv, .json or .pkl"

    def local_files(self) -> list[Path]:
        """List the files of the models' outputs and judgements, and the image tables."""
        files = self._files()
        return [*(file.path for file in files), *self._tables(files).values()]

    def image_names(self) -> Iterator[str]:
        """Read the paths that the image tables hold in place of images."""
        for table in self._tables(self._files()).values():
            yield from image_tables.named_files(table)

    def image_files(self, names: Sequence[str]) -> list[Path]:
        """List the files that the image tables name."""
        return list(map(Path, names))

    def fetch(self, folder: Path) -> Path:
        """Point at the work directory; make files of the images if there are image tables.

        The images then lie in ``folder/images``, and ``folder`` is the root.
        """
        tables = self._tables(self._files())
        if not tables:
            return self.path
        image_tables.extract(tables, folder)
        link_to(folder / LINK, self.path)
        return folder

    def origin(self, root: Path) -> Path:
        """Return the work directory."""
        return self.path

    def read(self, root: Path) -> OutcomeTable:
        """Read each model's newest complete run on each data set."""
        files = self._files()
        there = {file.dataset for file in files}
        if unknown := sorted(self.scale.keys() - there):
            raise InputError(
                f"source.scale: {self.path} has no data set {unknown[0]!r:.80}; it has "
                f"{', '.join(sorted(there)):.500}"
            )
        table = read_outcomes(
            self.path,
            files,
            files,
            {},
            root,
            self.group,
            failures_missing=self.failures == "missing",
            scale=self.scale,
        )
        read = set(table.samples["dataset"])
        lost = [dataset for dataset in self.datasets or {} if dataset not in read]
        if lost:
            own = [str(file.path) for file in files if file.dataset in lost]
            raise InputError(
                f"source.datasets: {', '.join(lost)}: of {len(own)} files none says per sample "
                f"whether the answer is right, {', '.join(own):.500}; leave the data sets out, or "
                "judge their answers"
            )
        return table

    def _files(self) -> list["WorkFile"]:
        if not self.path.is_dir():
            raise InputError(f"{self.path}: no such folder; set source.path to a work directory")
        files = scan(self.path, tuple((self.datasets or {}).values()))
        return files if self.datasets is None else select(files, self.datasets, self.path)

    def _tables(self, files: Sequence["WorkFile"]) -> dict[str, Path]:
        folders = [self.path / IMAGE_FOLDER, self.path] if self.images is None else [self.images]
        if self.images is not None and not self.images.is_dir():
            raise InputError(
                f"{self.images}: no such folder; set source.images to one with <DATASET>.tsv"
            )
        theirs = self.datasets or {}
        names = {theirs.get(file.dataset, file.dataset): file.dataset for file in files}
        tables = image_tables.find_tables(folders, names)
        return {names[name]: table for name, table in tables.items()}


class WorkFile(NamedTuple):
    """A file of one model on one data set.

    Attributes
    ----------
    run
        The dated folder and where it is; of two, the larger is the newer.
    rank
        Less is better: the kind of the file, its judge, its format.
    judge
        Empty where the file's name has none.
    judged
        Whether the name says that the answers are judged.
    """

    model: str
    dataset: str
    run: tuple[str, str]
    rank: tuple[int, bool, bool, str, int]
    judge: str
    judged: bool
    path: Path


def scan(root: Path, known: Collection[str] = ()) -> list[WorkFile]:
    """List the models' files below a folder, sorted; linked folders are followed once.

    Parameters
    ----------
    root
        A work directory.
    known
        Names of data sets. They are recognised in the names of files that lie in no
        model's folder, too.

    Raises
    ------
    InputError
        If the name of such a file is not UTF-8.
    """
    found = (_work_file(path, root, known) for path in _walk(root))
    return [file for file in found if file and is_file(file.path)]


def _work_file(path: Path, root: Path, known: Collection[str] = ()) -> WorkFile | None:
    """Tell by its name which file of a model it is, as ``scan`` does; None for another one."""
    suffix = path.suffix.lower()
    folder = path.parent
    run = RUN_FOLDER.fullmatch(folder.name) is not None and folder != root
    home = folder.parent if run else folder
    model = home.name if home != root else ""
    if suffix not in SUFFIXES:
        return None
    if model and path.stem.startswith(f"{model}_"):
        rest = path.stem[len(model) + 1 :]
    elif folder == root and (parts := _split_known(path.stem, known)):
        model, rest = parts
    else:
        return None
    kind = _kind(rest, suffix, known)
    if kind is None:
        return None
    if not is_utf8(str(path)):
        raise InputError(
            f"{printable(str(path))}: the name is not UTF-8; rename the file or its folder"
        )
    dataset, order, judge, judged = kind
    rank = (order, judge == EXACT, judge != "openai", judge, SUFFIXES.index(suffix))
    key = (folder.name if run else "", str(folder))
    return WorkFile(model, dataset, key, rank, judge, judged, path)


def select(files: Sequence[WorkFile], datasets: Mapping[str, str], root: Path) -> list[WorkFile]:
    """Keep the data sets of a map from our names to theirs, under our names.

    Raises InputError if one is not there.
    """
    present = {file.dataset for file in files}
    for ours, theirs in datasets.items():
        if theirs not in present:
            raise InputError(
                f"source.datasets: {root} has no data set {theirs!r} to use as {ours!r}; it has "
                f"{', '.join(sorted(present)) or 'none'}"
            )
    names = {theirs: ours for ours, theirs in datasets.items()}
    return [file._replace(dataset=names[file.dataset]) for file in files if file.dataset in names]


def read_outcomes(
    origin: Path,
    judged: Sequence[WorkFile],
    raw: Sequence[WorkFile],
    scenarios: Mapping[str, str],
    root: Path,
    group: str = "group",
    image_tokens: int = 0,
    failures_missing: bool = False,
    scale: Mapping[str, float] | None = None,
) -> OutcomeTable:
    """Read judged and raw files of all models and join them on sample ids.

    Parameters
    ----------
    origin
        The work directory, for messages.
    judged
        Files of the tree that holds the judgements.
    raw
        Files of the tree that holds the raw outputs; may be the same.
    scenarios
        Of each data set, itself where it is missing.
    root
        The source's root, with the images that ``image_tables.extract`` has written.
    group
        The files' column of groups; one that is not called so must be in some file.
    image_tokens
        Prompt tokens that each image of a sample counts for every model.
    failures_missing
        Whether failed calls and empty answers are no outcomes; they are wrong answers otherwise.
    scale
        Of each data set the score of the best possible answer, 1 where it is missing; None if the
        source has no such key.

    Raises
    ------
    InputError
        If no answer is judged, a file cannot be read or used, or no file has the groups.
    """
    notices = _Notices(origin)
    pairs = _by_pair(judged)
    outputs = pairs if raw is judged else _by_pair(raw)
    models = sorted({model for _, model in pairs})
    unjudged = defaultdict(list)
    for dataset, model in sorted(outputs.keys() - pairs.keys()):
        unjudged[dataset].append(model)
    blocks = []
    with (
        tqdm(total=len(pairs), desc="judged files", mininterval=1) as progress,
        ThreadPoolExecutor(WORKERS) as pool,
    ):
        # One data set at a time, so that only its files are in memory at once.
        for dataset in sorted({dataset for dataset, _ in pairs}):
            keys = [(dataset, model) for model in models if (dataset, model) in pairs]
            found = pool.map(
                lambda key: _read_answers(
                    pairs[key], outputs.get(key, []), raw is judged, group, scale
                ),
                keys,
            )
            answers = {}
            for (_, model), answer in zip(keys, found, strict=True):
                progress.update()
                if answer is None:
                    unjudged[dataset].append(model)
                else:
                    answers[model] = answer
            if answers:
                blocks.append(_Block(dataset, answers, models, notices, failures_missing))
    if not blocks:
        looked = ", ".join(str(file.path) for file in judged[:3])
        raise InputError(
            f"{origin}: no file says per sample whether the answer is right, in a column "
            f"{', '.join(CORRECTNESS_COLUMNS)}, "
            + (f"of {len(judged)} such as {looked:.300}" if judged else "and none is of a model")
            + "; set source.path to a work directory, or judge its answers"
        )
    for dataset, lacking in unjudged.items():
        notices.add(
            f"no file of {dataset} says per sample whether the answer is right, and the data set "
            "is missing, for so many models",
            ", ".join(lacking),
            len(lacking),
        )
    samples = pd.concat([block.samples for block in blocks], ignore_index=True)
    tags = [column for column in samples.columns if column.startswith("tag_")]
    samples[tags] = samples[tags].fillna("")
    if group != "group" and (samples["group"] == "").all():
        raise InputError(
            f"source.group: no file below {origin} says anything in a column {group!r:.80}; name "
            "the column of the groups"
        )
    samples["scenario"] = samples["dataset"].map(lambda name: scenarios.get(name, name))
    samples["image"], unlisted = _find_images(samples, root, notices)
    unknown = samples["sample_id"].where(unlisted)
    samples["image_digest"] = digests(samples["image"], root, unknown)
    notices.add(
        f"token counts are estimated at {token_counts.BYTES_PER_TOKEN} bytes of text each, "
        f"and an image at {image_tokens}"
    )
    notices.warn()
    matrices = {
        name: np.concatenate([getattr(block, name) for block in blocks])
        for name in ("utility", "prompt_tokens", "completion_tokens", "prediction")
    }
    matrices["prompt_tokens"] += image_tokens * counts(samples["image"])[:, None]
    used = [
        column for column in range(len(models)) if np.isfinite(matrices["utility"][:, column]).any()
    ]
    return outcome_table(
        samples.drop(columns=["index", "id"]),
        [models[column] for column in used],
        {name: matrix[:, used] for name, matrix in matrices.items()}
        | {"cost": np.full((len(samples), len(used)), np.nan)},
    )


class _Notices:
    """What a reader must know: how often, and one example."""

    def __init__(self, origin: Path) -> None:
        self.origin = origin
        self.found: dict[str, list[Any]] = {}

    def add(self, what: str, example: str = "", count: int = 1) -> None:
        self.found.setdefault(what, [0, example])[0] += count

    def warn(self) -> None:
        for what, (count, example) in self.found.items():
            text = f"{what}: {count}, for instance {example}" if example else what
            warnings.warn(f"{self.origin}: {text}", stacklevel=3)


class _Answers(NamedTuple):
    """One model's judged answers to one data set, a row per sample.

    ``table`` has the id columns, ``utility``, ``question``, ``answer``, ``prediction``
    (null where unknown) and tags.
    """

    table: pd.DataFrame
    path: Path
    judge: str
    remarks: list[tuple[str, str]]


class _Block:
    """One data set's samples and the outcomes of all models on them."""

    def __init__(
        self,
        dataset: str,
        answers: Mapping[str, _Answers],
        models: Sequence[str],
        notices: _Notices,
        failures_missing: bool,
    ) -> None:
        self.dataset = dataset
        self.notices = notices
        for found in answers.values():
            for what, example in found.remarks:
                notices.add(what, example)
        judges = sorted({found.judge for found in answers.values()})
        if len(judges) > 1:
            notices.add(
                "data sets have not the same judge for all models",
                f"{dataset}: {', '.join(judge or 'none named' for judge in judges)}",
            )
        tables = self._indexed(answers)
        facts = self._gather(tables)
        shape = (len(facts), len(models))
        self.utility = np.full(shape, np.nan)
        self.completion_tokens = np.full(shape, np.nan)
        self.prediction = np.full(shape, None, dtype=object)
        for model, table in tables.items():
            column = models.index(model)
            rows = facts.index.get_indexer(table.index)
            said = table["prediction"]
            utility = table["utility"].to_numpy()
            for what, failure in _failures(said).items():
                count = int((failure & np.isfinite(utility)).sum())
                if count:
                    meaning = "missing; source.failures: wrong counts them as wrong"
                    if not failures_missing:
                        meaning = "counted as wrong"
                    notices.add(f"answers of {model} {what}, and are {meaning}", dataset, count)
                if failures_missing:
                    utility = np.where(failure, np.nan, utility)
            self.utility[rows, column] = utility
            self.completion_tokens[rows, column] = token_counts.estimate(said)
            self.prediction[rows, column] = nullable(said.fillna(""))
        asked = token_counts.estimate(facts["question"])
        self.prompt_tokens = np.where(np.isnan(self.utility), np.nan, asked[:, np.newaxis])
        self.samples = facts.assign(
            sample_id=f"{dataset}_" + facts.index,
            dataset=dataset,
            answer=nullable(facts["answer"]),
        ).reset_index(drop=True)

    def _indexed(self, answers: Mapping[str, _Answers]) -> dict[str, pd.DataFrame]:
        """Index each model's rows by the first id column that all models have."""
        columns = [
            name for name in ID_COLUMNS if all(name in found.table for found in answers.values())
        ]
        first = next(iter(answers.values()))
        if not columns:
            raise InputError(
                f"{first.path}: data set {self.dataset!r} has no column {', '.join(ID_COLUMNS)} "
                "that the files of all models share; name the samples there, or leave the data "
                "set out in source.datasets"
            )
        tables = {}
        for model, (table, path, _, _) in answers.items():
            ids = table[columns[0]]
            _require_ids(ids, path)
            tables[model] = table.set_index(pd.Index(ids, name=None))
        return tables

    def _gather(self, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        """Collect what the models' files say of the samples; the first to say it counts."""
        tellings = (
            table[[name for name in table if name not in ("sample_id", "utility", "prediction")]]
            for table in tables.values()
        )
        facts = next(tellings)
        mixed = set()
        for told in tellings:
            ids = facts.index.append(told.index.difference(facts.index, sort=False))
            names = facts.columns.union(told.columns, sort=False)
            facts = facts.reindex(index=ids, columns=names, fill_value="")
            told = told.reindex(index=ids, columns=names, fill_value="")
            differs = (facts != told) & (facts != "") & (told != "")
            mixed |= set(names[differs.any()])
            changed = differs["question"] | differs["answer"]
            if changed.any():
                self.notices.add(
                    "answers are to another question than the first model's, or judged by "
                    "another reference; the first model's are kept",
                    f"{self.dataset} {changed.idxmax()!r}",
                    int(changed.sum()),
                )
            facts = facts.where(facts != "", told)
        tags = [name for name in facts.columns if name in TAG_COLUMNS]
        for name in filter(mixed.__contains__, tags):
            self.notices.add(
                "columns differ between models and are not kept as tags",
                f"{name!r} of {self.dataset}",
            )
        # What an image table may know the sample by.
        index = facts.get("index", "" if "id" in facts else facts.index)
        facts = facts.assign(
            index=index, id=facts.get("id", ""), group=facts.get("group", "")
        ).fillna({"group": ""})
        kept = [name for name in tags if name not in mixed]
        return facts[["question", "answer", "index", "id", "group", *kept]].rename(
            columns={name: f"tag_{name}" for name in kept}
        )


def _failures(answers: pd.Series) -> dict[str, np.ndarray]:
    """Mark the answers, null where unknown, that are none: (n,) by what they are."""
    text = answers.str.strip()
    return {
        f"are {FAILED!r}": text.str.startswith(FAILED).eq(True).to_numpy(),
        "are empty": text.eq("").to_numpy(),
    }


def _walk(root: Path) -> Iterator[Path]:
    seen = set()
    for folder, subfolders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        subfolders.sort()
        for name in sorted(names):
            yield Path(folder) / name


def _split_known(stem: str, known: Collection[str]) -> tuple[str, str] | None:
    """Split ``<model>_<dataset>...`` before the longest name of a data set in it."""
    for dataset in sorted(known, key=len, reverse=True):
        match = re.search(rf"(?<=.)_(?={re.escape(dataset)}(?:_|$))", stem)
        if match:
            return stem[: match.start()], stem[match.end() :]
    return None


def _kind(rest: str, suffix: str, known: Collection[str]) -> tuple[str, int, str, bool] | None:
    """Tell a file's data set, the order of its kind, its judge, and whether it is judged.

    None for a file that says nothing per sample.
    """
    if rest.endswith(CACHES) or (rest.endswith("_score") and suffix == ".json"):
        return None
    for ending, order in _ENDINGS:
        if rest.endswith(ending):
            dataset, judge = _split_judge(rest.removesuffix(ending))
            return dataset, order, judge, True
    if rest.endswith("_result"):
        body = rest.removesuffix("_result")
        dataset, judge = _split_judge(body)
        if not judge and body not in known and "_" in body:
            dataset, _, judge = body.rpartition("_")
        return dataset, 1, judge, True
    dataset, judge = _split_judge(rest)
    return (dataset, 1, judge, True) if judge else (rest, 3, "", False)


def _split_judge(body: str) -> tuple[str, str]:
    """Split ``<dataset>_<judge>``; the judge is empty if there is none to see."""
    if body.endswith(f"_{EXACT}"):
        return body.removesuffix(f"_{EXACT}"), EXACT
    dataset, _, judge = body.rpartition("_")
    return (dataset, judge) if dataset and JUDGE.fullmatch(judge) else (body, "")


def _by_pair(files: Sequence[WorkFile]) -> dict[tuple[str, str], list[list[WorkFile]]]:
    """Group files by data set and model, and then by run: the newest first, files by rank."""
    pairs: dict[tuple[str, str], dict[tuple[str, str], list[WorkFile]]] = defaultdict(
        lambda: defaultdict(list)
    )
    dated = {file.path.resolve() for file in files if file.run[0]}
    for file in files:
        if file.run[0] or file.path.resolve() not in dated:
            pairs[file.dataset, file.model][file.run].append(file)
    return {
        pair: [sorted(runs[run], key=lambda file: file.rank) for run in sorted(runs, reverse=True)]
        for pair, runs in pairs.items()
    }


def _read_answers(
    runs: Sequence[Sequence[WorkFile]],
    raw_runs: Sequence[Sequence[WorkFile]],
    together: bool,
    group: str,
    scale: Mapping[str, float] | None,
) -> _Answers | None:
    """Read the newest complete run of a model on a data set; None if none is judged."""
    remarks: list[tuple[str, str]] = []
    chosen = _newest_complete(runs, partial(_read_judged, group=group), remarks)
    if chosen is None:
        return None
    file, cells, column = chosen
    cells = _unambiguous(cells, file.path, remarks)
    if together:
        raw_runs = [run for run in raw_runs if run[0].run == file.run]
    raw = _newest_complete(raw_runs, partial(_read_raw, group=group), remarks)
    if raw is not None and raw[0].path != file.path:
        cells = _with_raw(cells, _unambiguous(raw[1], raw[0].path, remarks), raw[0].path)
    elif raw is None:
        remarks.append(
            (
                "judged files have no raw output, and the answers in themselves count",
                str(file.path),
            )
        )
    full = (scale or {}).get(file.dataset, 1.0)
    tidy = _tidy(cells, column, file, full, scale is not None)
    if is_unscaled(tidy["utility"].max(), full):
        remarks.append((UNSCALED, str(file.path)))
    return _Answers(tidy, file.path, file.judge, remarks)


def _unambiguous(cells: pd.DataFrame, path: Path, remarks: list[tuple[str, str]]) -> pd.DataFrame:
    """Leave out rows whose id names other questions, too, as in SEEDBench2."""
    key = next((name for name in ID_COLUMNS if name in cells), None)
    asked = next((name for name in QUESTION_COLUMNS if name in cells), None)
    if key is None or asked is None:
        return cells
    twice = cells[cells[key].duplicated(keep=False)]
    several = twice.groupby(key)[asked].nunique() == twice.groupby(key).size()
    ambiguous = cells[key].isin(several.index[several])
    if ambiguous.any():
        remarks.append(
            (
                "files name several questions by one id, and these are left out",
                f"{int(ambiguous.sum()):,} rows of {path}, such as {cells[key][ambiguous].iloc[0]}",
            )
        )
    return cells[~ambiguous].reset_index(drop=True)


def _newest_complete(
    runs: Sequence[Sequence[WorkFile]],
    read: Callable[[Sequence[WorkFile]], tuple[WorkFile, pd.DataFrame, str] | None],
    remarks: list[tuple[str, str]],
) -> tuple[WorkFile, pd.DataFrame, str] | None:
    found = [result for run in runs if (result := read(run)) is not None]
    if not found:
        return None
    largest = max(len(cells) for _, cells, _ in found)
    chosen = next(result for result in found if len(result[1]) == largest)
    if len(found) > 1:
        remarks.append(
            (
                "files are one of several runs of a model on a data set: the newest complete one",
                str(chosen[0].path),
            )
        )
    return chosen


def _read_judged(
    files: Sequence[WorkFile], group: str
) -> tuple[WorkFile, pd.DataFrame, str] | None:
    for file in files:
        cells = _read_file(file.path, group)
        column = next((name for name in CORRECTNESS_COLUMNS if name in cells), None)
        if column is not None:
            return file, cells, column
        name = file.path.stem.removeprefix(f"{file.model}_")
        judged = verdicts(name, cells)
        if judged is not None:
            return file, cells.assign(hit=judged.astype(str)), "hit"
    return None


def _read_raw(files: Sequence[WorkFile], group: str) -> tuple[WorkFile, pd.DataFrame, str] | None:
    file = next((file for file in files if not file.judged), None)
    return None if file is None else (file, _read_file(file.path, group), "")


def _read_file(path: Path, group: str) -> pd.DataFrame:
    """Read the wanted columns of a file as text, and that of the groups as ``group``."""
    match path.suffix.lower():
        case ".pkl":
            cells = _frame(read_pickle(path), path, group)
        case ".json":
            cells = _frame(_read_json(path), path, group)
        case _:
            cells = read_cells(path)
    kept = cells[[name for name in cells if name in WANTED_COLUMNS]]
    return kept.assign(group=cells[group]) if group in cells else kept


def _read_json(path: Path) -> Any:
    try:
        with reading(path):
            return json.loads(path.read_bytes())
    except InputError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise_disk_fault(error, path)
        raise InputError(
            f"{path}: not readable as JSON ({shorten(str(error), 200)}); give a whole file"
        ) from error


def _frame(content: Any, path: Path, group: str) -> pd.DataFrame:
    """Lay out records, columns, or records by sample id, as a frame of text."""
    try:
        match content:
            case pd.DataFrame():
                frame = content
            case list() if all(isinstance(record, dict) for record in content):
                frame = pd.DataFrame(content)
            case dict() if WANTED_COLUMNS.isdisjoint(content) and all(
                isinstance(record, dict) for record in content.values()
            ):
                frame = pd.DataFrame(list(content.values()))
                if "index" not in frame:
                    frame["index"] = list(content)
            case dict():
                frame = pd.DataFrame(content)
            case _:
                raise ValueError(f"it holds a {type(content).__name__}")
        if frame.empty or not frame.columns.is_unique:
            raise ValueError("it has no rows, or a column twice")
    except ValueError as error:
        raise InputError(
            f"{path}: no table of samples ({error!s:.200}); give a list of records or a dict of "
            "columns"
        ) from error
    wanted = [name for name in frame if name in WANTED_COLUMNS or name == group]
    return pd.DataFrame(
        {name: [_text(value) for value in frame[name]] for name in wanted}, dtype="str"
    )


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _with_raw(cells: pd.DataFrame, raw: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Add the raw output's answers, and its columns that the judged file lacks."""
    key = next((name for name in ID_COLUMNS if name in cells and name in raw), None)
    if key is None:
        return cells
    _require_ids(raw[key], path)
    aligned = raw.set_index(key).reindex(cells[key])
    added = {
        name: aligned[name].fillna("").to_numpy()
        for name in aligned.columns
        if name not in cells and name not in CORRECTNESS_COLUMNS
    }
    if "prediction" in aligned and "prediction" in cells:
        said = pd.Series(aligned["prediction"].to_numpy(), index=cells.index)
        added["prediction"] = said.where(said.notna(), cells["prediction"]).to_numpy()
    return cells.assign(**added)


def _require_ids(ids: pd.Series, path: Path) -> None:
    """Raise InputError unless each row has an id of its own."""
    empty = np.flatnonzero(ids == "")
    if empty.size:
        raise InputError(
            f"{path}: column {ids.name!r} is empty in row {empty[0] + 1}; name the sample"
        )
    twice = ids[ids.duplicated()]
    if len(twice):
        raise InputError(
            f"{path}: column {ids.name!r} holds {twice.iloc[0]!r:.80} twice; keep one row for each "
            "sample, or leave the data set out in source.datasets"
        )


def _tidy(
    cells: pd.DataFrame, column: str, file: WorkFile, scale: float, has_key: bool
) -> pd.DataFrame:
    """Lay out a judged file's rows as ``_Answers`` has them."""
    ids = next((cells[name] for name in ID_COLUMNS if name in cells), None)
    marks = cells[column] if ids is None else cells[column].set_axis(ids)
    if column == "eval_match":
        utility = _match_scores(marks, file)
    else:
        words = {word: scale * value for word, value in CORRECTNESS_WORDS.items()}
        utility = numbers(marks, file.path, words) / scale
        high = np.flatnonzero(utility > 1)
        if high.size:
            cure = f"{way_to_scale(file.dataset)}, or leave the data set out in source.datasets"
            raise InputError(
                f"{file.path}: column {column!r} of {marks.index[high[0]]!r:.80} holds "
                f"{marks.iloc[high[0]]!r:.80}, which is above {scale:g}; "
                + (cure if has_key else "correct or empty the cell")
            )
    empty = pd.Series("", index=cells.index, dtype="str")
    question = next((cells[name] for name in QUESTION_COLUMNS if name in cells), empty)
    if "hint" in cells:
        question = ("Hint: " + cells["hint"] + "\n").where(cells["hint"] != "", "") + question
    for letter in OPTION_COLUMNS:
        if letter in cells:
            question += (f"\n{letter}. " + cells[letter]).where(cells[letter] != "", "")
    kept = [name for name in cells if name in (*ID_COLUMNS, *TAG_COLUMNS, "group")]
    return cells[kept].assign(
        utility=utility,
        question=question,
        answer=cells.get("answer", empty),
        prediction=cells.get("prediction", pd.Series(None, index=cells.index, dtype="str")),
    )


def _match_scores(cells: pd.Series, file: WorkFile) -> np.ndarray:
    """Turn the matches with each reference answer into a score, as the data set's metric does."""
    scores = {"": np.nan}
    metric = file.path.stem.removeprefix(f"{file.model}_")
    for text in set(cells) - {""}:
        if not _MATCHES.fullmatch(text.strip()):
            raise InputError(
                f"{file.path}: column 'eval_match' of {cells.index[cells == text][0]!r:.80} holds "
                f"{text!r:.80}, which is no list of numbers; correct the cell"
            )
        words = pd.Series(re.findall(_MATCH, text), name="eval_match")
        matches = numbers(words, file.path, CORRECTNESS_WORDS, highest=1)
        if any(name in metric for name in ANLS_DATASETS):
            scores[text] = 1 - matches.min() if 1 - matches.min() >= ANLS_THRESHOLD else 0.0
        elif any(name in metric for name in BEST_MATCH_DATASETS):
            scores[text] = matches.max()
        else:
            scores[text] = matches.mean()
    return cells.map(scores).to_numpy(float)


def _find_images(
    samples: pd.DataFrame, root: Path, notices: _Notices
) -> tuple[pd.Series, np.ndarray]:
    """Find each sample's image by the ``index`` of its row, else by its ``id``.

    Beside it, (N,) whether no image table says anything of the sample.
    """
    if not (root / image_tables.IMAGES / image_tables.INDEX).is_file():
        return pd.Series(None, samples.index, dtype=object), np.full(len(samples), True)
    rows, remarks = image_tables.load(root)
    for what, (count, example) in remarks.items():
        notices.add(what, example, count)
    rows["id"] = rows["id"].where(rows["id"] != "", rows["index"])
    images = np.full(len(samples), None, dtype=object)
    without_table = ~samples["dataset"].isin(rows["dataset"]).to_numpy()
    listed = without_table.copy()
    for key, chosen in (("index", samples["index"] != ""), ("id", samples["index"] == "")):
        table = rows.drop_duplicates(["dataset", key]).set_index(["dataset", key])["image"]
        own = samples.loc[chosen, ["dataset", key]]
        keys = pd.MultiIndex.from_frame(own)
        listed[chosen] |= keys.isin(table.index)
        images[chosen] = table.reindex(keys).to_numpy(object)
    missing = np.flatnonzero(~listed)
    if missing.size:
        notices.add(
            "samples are not in their data set's image table and have no image",
            repr(samples["sample_id"].iloc[missing[0]])[:80],
            missing.size,
        )
    found = pd.Series(images, index=samples.index).where(pd.notna(images), None)
    return found, without_table | ~listed
