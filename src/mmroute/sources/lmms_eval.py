"""The logs of lmms-eval and lm-evaluation-harness: a file per run and task, a row per sample."""

import json
import re
import reprlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from textwrap import shorten
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
from annotated_types import Gt

from mmroute.confined import reading
from mmroute.errors import InputError, Undecided, is_utf8, printable
from mmroute.images import joined
from mmroute.outcome_table import OutcomeTable
from mmroute.sources import Source
from mmroute.sources.calls import UNSCALED, chosen_score, is_unscaled
from mmroute.sources.cells import LONGEST_ANSWER, nullable, outcome_table
from mmroute.sources.image_files import UNKNOWN, is_image, locate
from mmroute.sources.release import clean
from mmroute.sources.survey import Recognised, Survey
from mmroute.sources.token_counts import estimate
from mmroute.storage import is_file, leaves_folder

LOG_NAMES = (
    re.compile(r"samples_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT[-.\d]+)\.jsonl"),
    re.compile(r"(?P<date>.+?)_samples_(?P<task>.+)\.jsonl"),
)
"""Of lm-evaluation-harness and of lmms-eval."""
DATED_FOLDER = re.compile(r"(?P<date>\d{4}_\d{4})_(?P<model>.+)")
"""Of a run of older lmms-eval, whose logs have no date in their own name."""
WANTED = (
    "<model>/<date>_samples_<task>.jsonl, samples_<task>_<date>.jsonl or <model>/<task>.json with "
    "logs"
)
LOGS_KEY = re.compile(rb'"logs"\s*:\s*\[')
HEAD_BYTES = 2**20
LIKELIHOOD = re.compile(r"-?(\d+(\.\d+)?(e[-+]?\d+)?|inf)")
NO_METRICS = frozenset(
    {
        *("doc_id", "doc", "target", "arguments", "input", "resps", "filtered_resps"),
        *("doc_hash", "prompt_hash", "target_hash", "token_counts", "submission"),
        *("filter", "metrics"),
    }
)
SCORE_NAMES = ("score", "correct")
"""Of an object with several numbers, the one that is the score, in the order of search."""
IDENTIFIER = re.compile(r"(.*_)?(id|idx|index)", re.IGNORECASE)
UNSCORED = (
    "logs have no metric that holds one number per sample, as those of --predict_only and of tasks "
    "whose score is computed over all samples, and are left out: compute it and give your own table"
)
CHUNK_LINES = 256


class LmmsEval(Source):
    """A folder of logs of lmms-eval or lm-evaluation-harness, written with ``--log_samples``.

    The logs are ``<date>_samples_<task>.jsonl`` of lmms-eval, ``samples_<task>_<date>.jsonl``
    of lm-evaluation-harness or ``<task>.json`` with ``logs`` of older lmms-eval, in
    ``<path>/<model>/``; those of lm-evaluation-harness also in ``path`` itself, beside the
    ``<any>_<date>.json`` that names their model. A model is named as its folder, without the
    date of a run that it may begin with; a data set as its task, a sample
    ``<task>_<doc_id>``. Of several runs of a model on a task the newest of those with the
    most samples is read.

    The question is the prompt, ``input`` or ``arguments``, else the document's
    ``question``; it differs between models whose prompts differ, and the first is kept.
    Token counts are estimated from the texts unless ``token_counts`` holds them. The
    logs hold no images; ``image_path`` or ``image`` of a document counts if it is a
    file below ``path``, or a list of several.

    The utility is what all metrics of a sample agree on: a number or a bool, the
    ``score`` or only number of an object, or whether a multiple choice of MMMU is the right
    one. A task that is scored only over all its samples is left out, and said. Where given
    answers are compared by their likelihood nothing is completed, and the prompt is what costs.

    Parameters
    ----------
    path
        What was ``--output_path``.
    metrics
        The metric that is the utility of a task, where its metrics differ:
        ``metric``, or ``metric.part`` of an object with several numbers.
    group
        The key of a document that holds what samples that are variants of each other, or
        turns of one conversation, have in common.
    filter
        The filter of answers whose rows are read where several give a sample several rows.
    scale
        The score of the best possible answer of a task, where it is not 1: 100 for percent.
    """

    name = "lmms_eval"

    def __init__(
        self,
        path: str,
        metrics: dict[str, str] | None = None,
        group: str = "group",
        filter: str | None = None,
        scale: dict[str, Annotated[float, Gt(0)]] | None = None,
    ) -> None:
        self.path = Path(path)
        self.metrics = metrics or {}
        self.group = group
        self.filter = filter
        self.scale = scale or {}

    @classmethod
    def recognise(cls, there: Survey) -> Recognised | None:
        """Recognise the names of logs, and older logs by what they hold."""
        below = [name.split("/") for name in there.names if name.count("/") < 2]
        own = any(
            form.fullmatch(file)
            for *folder, file in below
            for form in (LOG_NAMES if folder else LOG_NAMES[:1])
        ) or any(
            "logs.doc_id" in there.keys(name)
            for name in there.some(".json")
            if name.count("/") == 1
        )
        return Recognised({"path": str(there.root)}) if own else None

    @property
    def wanted(self) -> str:
        """The logs' paths."""
        return WANTED

    def local_files(self) -> list[Path]:
        """List all logs, and the results that name their models."""
        logs = [
            log
            for models in _find_logs(self.path).values()
            for runs in models.values()
            for log in runs
        ]
        named = {_results(log.path, log.date) for log in logs if log.path.parent == self.path}
        return [*(log.path for log in logs), *sorted(filter(None, named))]

    def image_names(self) -> Iterator[str]:
        """Read the paths of images from the documents."""
        for path in self.local_files():
            for row in (
                _rows(path, b'"image') if path.suffix == ".jsonl" or _holds_logs(path) else ()
            ):
                if isinstance(row.record, dict) and isinstance(row.record.get("doc"), dict):
                    for _, paths in _image_paths(row.record["doc"], self.path):
                        yield from paths

    def image_files(self, names: Sequence[str]) -> list[Path]:
        """List the images, below the folder."""
        return [self.path / name for name in names]

    def fetch(self, folder: Path) -> Path:
        """Return the folder of the logs; nothing is copied."""
        _find_logs(self.path)
        return self.path

    def read(self, root: Path) -> OutcomeTable:
        """Read each model's best run of each task, line by line."""
        logs = _find_logs(root)
        for key, named in (("metrics", self.metrics), ("scale", self.scale)):
            for task in named:
                if task not in logs:
                    raise InputError(
                        f"source.{key}: {root} has no logs of a task {task!r}; it has "
                        f"{', '.join(logs)}"
                    )
        models = sorted({model for runs in logs.values() for model in runs})
        gathered = _Gathered(root, self.group, self.filter, self.scale)
        for path in sorted(root.glob("*/*.json*")):
            # What a run writes of all its samples together is no log that is missed.
            if "results" not in path.name and not (_log(path, root) and path.exists()):
                gathered.remark(
                    "files are no logs of samples and were skipped", printable(str(path))
                )
        for task, runs_of_models in logs.items():
            for model, runs in runs_of_models.items():
                log = _best_run(runs, gathered).path
                gathered.read(log, task, models.index(model), self.metrics.get(task))
        if self.filter is not None and self.filter not in gathered.filters:
            raise InputError(
                f"source.filter: no log below {root} has a filter {self.filter!r:.80}; it has "
                f"{', '.join(gathered.filters) or 'none'}"
            )
        if not gathered.outcomes:
            raise InputError(
                f"{root}: {gathered.remarks[UNSCORED][0]} {UNSCORED} (such as "
                f"{gathered.remarks[UNSCORED][1]})"
            )
        if self.group != "group" and not any(own.group for own in gathered.samples.values()):
            raise InputError(
                f"source.group: no document below {root} has a text or a number at "
                f"{self.group!r:.80}; name the key of the groups"
            )
        gathered.warn()
        return gathered.table(models)


class _Log(NamedTuple):
    """A file of one run of a model on a task."""

    path: Path
    task: str
    model: str
    date: str


class _Row(NamedTuple):
    """One record of a log, None where it is broken, and whether its line has an end."""

    number: int
    record: Any
    ended: bool


class _Line(NamedTuple):
    """What one line of a log says; ``response`` is the model's whole text."""

    sample_id: str
    group: str
    question: str
    answer: str
    image: str
    utility: float
    measured_by: frozenset[str]
    prompt_tokens: float
    completion_tokens: float
    response: str | None
    prediction: str


@dataclass
class _Sample:
    """A sample as the first log has it; ``measured_by`` is common to all logs."""

    row: int
    dataset: str
    group: str
    question: str
    answer: str
    image: str
    measured_by: frozenset[str]


@dataclass
class _Gathered:
    """The samples and outcomes of the logs read so far.

    Attributes
    ----------
    root
        Folder of the logs.
    group
        Key of a document that holds its group.
    filter
        The filter whose rows are read, of a log that has several.
    scale
        By task, the score of the best possible answer where it is not 1.
    filters
        All filters of the logs.
    samples
        By sample id, in the order of first appearance.
    outcomes
        Per log the rows of its outcomes, the model's column, utility, prompt and
        completion tokens, and answers.
    remarks
        What a reader has to know: for each kind how often and the first example.
    metrics
        The names of the metrics that were found to be the utility, by task.
    images
        Whether an image that was named is a file, by its path below the folder.
    textual
        The tasks of lm-evaluation-harness, which have no images.
    """

    root: Path
    group: str
    filter: str | None
    scale: Mapping[str, float]
    filters: dict[str, None] = field(default_factory=dict)
    samples: dict[str, _Sample] = field(default_factory=dict)
    outcomes: list[tuple[list[int], int, np.ndarray, list[str]]] = field(default_factory=list)
    remarks: dict[str, tuple[int, str]] = field(default_factory=dict)
    metrics: dict[str, dict[str, None]] = field(default_factory=dict)
    images: dict[str, bool] = field(default_factory=dict)
    textual: set[str] = field(default_factory=set)

    def remark(self, kind: str, example: str) -> None:
        count, first = self.remarks.get(kind, (0, example))
        self.remarks[kind] = (count + 1, first)

    def read(self, log: Path, task: str, column: int, metric: str | None) -> None:
        """Read one log; its lines are held a chunk at a time."""
        if LOG_NAMES[0].fullmatch(log.name):
            self.textual.add(task)
        rows: dict[int, None] = {}
        numbers: list[np.ndarray] = []
        answers: list[str] = []
        known, remarks = len(self.samples), dict(self.remarks)
        lines = _lines(log, task, metric, self)
        while chunk := list(islice(lines, CHUNK_LINES)):
            for line in chunk:
                row = self._sample(line, log, task).row
                if row in rows:
                    raise InputError(
                        f"{log}: doc_id {line.sample_id.removeprefix(f'{task}_')!r} stands twice; "
                        "keep one line per doc_id: of a log that does not name its filters, the "
                        "lines of one filter, which follow each other"
                    )
                rows[row] = None
                answers.append(line.prediction)
                if metric is None:
                    own = self.metrics.setdefault(task, {})
                    own.update(dict.fromkeys(sorted(line.measured_by)))
            numbers.append(self._numbers(chunk))
        found = np.concatenate([np.empty((3, 0)), *numbers], axis=1)
        if rows and np.isnan(found[0]).all():
            if metric is not None:
                raise InputError(_no_number(log, task, metric))
            while len(self.samples) > known:
                self.samples.popitem()
            self.remarks = remarks
            self.remark(UNSCORED, f"{log.relative_to(self.root)}, which has {_metrics(log)}")
        else:
            self.outcomes.append((list(rows), column, found, answers))
            scale = self.scale.get(task, 1.0)
            if rows and is_unscaled(np.nanmax(found[0]), scale):
                self.remark(UNSCALED, f"{task}: {scale:g} in {log.relative_to(self.root)}")

    def _sample(self, line: _Line, log: Path, task: str) -> _Sample:
        """Return a line's sample, after a comparison with what is known of it."""
        row = len(self.samples)
        known = self.samples.setdefault(
            line.sample_id,
            _Sample(
                row,
                task,
                line.group,
                line.question,
                line.answer,
                line.image,
                line.measured_by,
            ),
        )
        if known.dataset != task:
            raise InputError(
                f"{log}: sample id {line.sample_id!r} is taken by task {known.dataset!r}; rename "
                "one of the two tasks' logs"
            )
        if known.question != line.question:
            self.remark(
                "prompts differ from the one that another model got; the first is kept",
                line.sample_id,
            )
        if known.answer != line.answer:
            self.remark(
                "targets differ from the one that another model was judged by; check that the "
                "runs used the same version of the task",
                line.sample_id,
            )
        if line.measured_by:
            if known.measured_by and not known.measured_by & line.measured_by:
                raise InputError(
                    f"{log}: sample {line.sample_id!r} is measured by "
                    f"{', '.join(sorted(line.measured_by))}, but by "
                    f"{', '.join(sorted(known.measured_by))} for another model; write "
                    f"'metrics: {{{task}: <metric>}}' below source"
                )
            known.measured_by = known.measured_by & line.measured_by or line.measured_by
        known.image = known.image or line.image
        known.group = known.group or line.group
        return known

    def image(self, doc: Mapping[str, Any]) -> str:
        """Return the paths of a document's images below ``root``, empty if there is none."""
        for n_named, paths in _image_paths(doc, self.root):
            for path in paths:
                if path not in self.images:
                    self.images[path] = is_file(self.root / path)
            n_found = sum(map(self.images.__getitem__, paths))
            if n_found:
                if n_found < n_named:
                    self.remark(
                        "documents name images among others that are no files below this folder, "
                        "and have only the others",
                        paths[0],
                    )
                return joined(paths)
        return ""

    def _numbers(self, chunk: list[_Line]) -> np.ndarray:
        """Return (3, n): utility, prompt and completion tokens, estimated where unknown."""
        found = np.array(
            [(line.utility, line.prompt_tokens, line.completion_tokens) for line in chunk]
        ).T
        texts = ([line.question for line in chunk], [line.response for line in chunk])
        for counts, own in zip(found[1:], texts, strict=True):
            unknown = np.isnan(counts)
            counts[unknown] = estimate(pd.Series(own, dtype=object))[unknown]
            for index in np.flatnonzero(unknown):
                self.remark(
                    "token counts are estimated from the texts, without images",
                    chunk[index].sample_id,
                )
        return found

    def table(self, models: list[str]) -> OutcomeTable:
        """Lay the outcomes out as N samples by K models."""
        shape = (len(self.samples), len(models))
        matrices = {
            name: np.full(shape, np.nan)
            for name in ("utility", "prompt_tokens", "completion_tokens", "cost")
        }
        prediction = np.full(shape, None, dtype=object)
        for rows, column, found, answers in self.outcomes:
            for matrix, numbers in zip(list(matrices.values())[:3], found, strict=True):
                matrix[rows, column] = numbers
            prediction[rows, column] = [answer or None for answer in answers]
        samples = list(self.samples.values())
        dataset = [sample.dataset for sample in samples]
        told = sorted({column for _, column, *_ in self.outcomes})
        located = locate(pd.Series([sample.image for sample in samples], dtype=str), self.root)
        textual = pd.Series(dataset, dtype="str").isin(self.textual)
        unknown = pd.Series(list(self.samples), dtype="str").where(~textual)
        frame = pd.DataFrame(
            {
                "sample_id": list(self.samples),
                "dataset": dataset,
                "scenario": dataset,
                "group": [sample.group for sample in samples],
                "question": [sample.question for sample in samples],
                "answer": nullable(pd.Series([sample.answer for sample in samples], dtype=str)),
                "image": located.image,
                "image_digest": located.image_digest.astype(object).fillna(UNKNOWN + unknown),
            }
        )
        matrices["prediction"] = prediction
        own = {name: matrix[:, told] for name, matrix in matrices.items()}
        return outcome_table(frame, [models[column] for column in told], own)

    def warn(self) -> None:
        """Say what a reader has to know, each kind once."""
        for sample_id, sample in self.samples.items():
            if not sample.image and sample.dataset not in self.textual:
                self.remark(
                    "samples are without an image, as their documents name none below this "
                    "folder; unless another source has one, they are routed by their text",
                    sample_id,
                )
        for kind, (count, example) in self.remarks.items():
            warnings.warn(f"{self.root}: {count:,} {kind} (such as {example})", stacklevel=3)
        chosen = [
            f"{task}: {next(iter(names))}" + (f" and {len(names) - 1} more" * (len(names) > 1))
            for task, names in self.metrics.items()
            if names
        ]
        if chosen:
            warnings.warn(
                f"{self.root}: the utility was found in these metrics, as source.metrics names "
                f"none: {'; '.join(chosen)}",
                stacklevel=3,
            )


def _find_logs(root: Path) -> dict[str, dict[str, list[_Log]]]:
    """Find the logs by task and model, each model's newest run first."""
    paths = sorted(root.glob("*/*.json*")) + sorted(root.glob("samples_*.jsonl"))
    found = [log for path in paths if path.exists() and (log := _log(path, root))]
    logs: dict[str, dict[str, list[_Log]]] = {}
    for log in sorted(found, key=_age, reverse=True):
        if not is_utf8(str(log.path.relative_to(root))):
            raise InputError(
                f"{printable(str(log.path))}: the name is not UTF-8; rename the file or its folder"
            )
        logs.setdefault(log.task, {}).setdefault(log.model, []).append(log)
    if not logs:
        raise InputError(
            f"{root}: no {WANTED} in this folder; run lmms-eval or lm_eval with "
            "--log_samples and set source.path to its --output_path"
        )
    return {task: dict(sorted(logs[task].items())) for task in sorted(logs)}


def _log(path: Path, root: Path) -> _Log | None:
    """Tell by its name, or by its head, which log a file is; None for another file."""
    dated = DATED_FOLDER.fullmatch(path.parent.name)
    model = dated["model"] if dated else path.parent.name
    for name in LOG_NAMES:
        if named := name.fullmatch(path.name):
            if path.parent == root:
                model = _model_of(_results(path, named["date"])) or path.parent.resolve().name
            return _Log(path, named["task"], model, named["date"])
    if path.suffix == ".json" and _holds_logs(path):
        return _Log(path, path.stem, model, dated["date"] if dated else "")
    return None


def _results(log: Path, date: str) -> Path | None:
    """Return the results of the run that has written a log of lm-evaluation-harness."""
    return next(filter(is_file, sorted(log.parent.glob(f"*_{date}.json"))), None)


def _model_of(results: Path | None) -> str:
    """Return the model that results are of, empty if they do not say."""
    if results is None:
        return ""
    with reading(results):
        content = _parsed(results.read_bytes())
    name = content.get("model_name_sanitized") if isinstance(content, dict) else None
    return clean(name) if isinstance(name, str) else ""


def _holds_logs(path: Path) -> bool:
    """Tell whether a JSON file is a log of older lmms-eval."""
    if not is_file(path):
        return False
    with reading(path), path.open("rb") as stream:
        return LOGS_KEY.search(stream.read(HEAD_BYTES)) is not None


def _image_paths(doc: Mapping[str, Any], root: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield how many images each key of a document names, and their paths, spelled from ``root``.

    What cannot be the path of an image below ``root`` is left out.
    """
    below = f"{root.resolve().as_posix()}/"
    for name in ("image_path", "image"):
        named = doc.get(name)
        named = named if isinstance(named, list) else [named]
        texts = [path for path in named if isinstance(path, str) and is_utf8(path)]
        paths = [str(PurePosixPath(path.removeprefix(below))) for path in texts]
        yield len(named), [path for path in paths if is_image(path) and not leaves_folder(path)]


def _age(log: _Log) -> tuple[str, str]:
    """Order logs by their date, in whichever way it is punctuated."""
    return re.sub(r"\D", "", log.date), log.path.name


def _best_run(runs: list[_Log], gathered: _Gathered) -> _Log:
    """Return the newest of the runs with the most samples."""
    if len(runs) == 1:
        return runs[0]
    sizes = [_size(run.path) for run in runs]
    best = runs[sizes.index(max(sizes))]
    for run in runs:
        if run != best:
            gathered.remark(
                "logs are not used, as there is a newer or larger one of the same model and task",
                f"{run.path.relative_to(gathered.root)} beside {_told(run, best)}",
            )
    return best


def _told(run: _Log, other: _Log) -> str:
    same = run.path.name == other.path.name
    return f"{other.path.parent.name}/{other.path.name}" if same else other.path.name


def _size(log: Path) -> int:
    """Count a log's whole records."""
    with reading(log):
        return sum(row.ended or row.record is not None for row in _rows(log))


def _parsed(line: bytes) -> Any:
    """Return what a line of JSON holds, None where it is broken."""
    try:
        return json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None


def _rows(log: Path, needed: bytes = b"") -> Iterator[_Row]:
    """Yield the rows of a log: its lines, those with the ``needed`` text, or its ``logs``."""
    if log.suffix == ".json":
        content = _parsed(log.read_bytes())
        records = content.get("logs") if isinstance(content, dict) else None
        if not isinstance(records, list):
            raise InputError(
                f"{log}: is no whole JSON with a list of 'logs'; remove it or run the model again"
            )
        yield from (_Row(number, record, True) for number, record in enumerate(records, 1))
        return
    with log.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if needed in line and line.strip():
                yield _Row(number, _parsed(line), line.endswith(b"\n"))


def _lines(log: Path, task: str, metric: str | None, gathered: _Gathered) -> Iterator[_Line]:
    several = _filters(log, gathered)
    with reading(log):
        for number, record, ended in _rows(log):
            if record is None and not ended:
                gathered.remark(
                    "logs are cut off in their last line, as of a killed run; what follows is "
                    "missing",
                    f"line {number} of {log.relative_to(gathered.root)}",
                )
                return
            if not isinstance(record, dict):
                raise InputError(
                    f"{log}: line {number} is no JSON object; remove the line or run the model "
                    "again"
                )
            if not several or record.get("filter") == gathered.filter:
                yield _read_line(record, f"{log}: line {number}", task, metric, gathered)


def _filters(log: Path, gathered: _Gathered) -> bool:
    """Tell whether a log has rows of several filters; InputError if none of them is chosen."""
    with reading(log):
        found = dict.fromkeys(
            row.record["filter"]
            for row in _rows(log, b'"filter"')
            if isinstance(row.record, dict) and isinstance(row.record.get("filter"), str)
        )
    gathered.filters |= found
    if len(found) > 1 and gathered.filter not in found:
        raise Undecided(
            f"{log}: its rows are of the filters {', '.join(found):.500}; name the one that counts "
            f"in source.filter, such as {next(iter(found))!r:.80}",
            {"filter": next(iter(found))},
        )
    return len(found) > 1


def _read_line(
    record: Mapping[str, Any], place: str, task: str, metric: str | None, gathered: _Gathered
) -> _Line:
    doc_id = record.get("doc_id")
    if isinstance(doc_id, bool) or not isinstance(doc_id, int | str):
        raise InputError(
            f"{place}: doc_id is {_brief(doc_id)}, no number or text; remove the line or run the "
            "model again"
        )
    sample_id = clean(f"{task}_{doc_id}")
    doc = record.get("doc")
    doc = doc if isinstance(doc, dict) else {}
    prompts = (record.get("input"), record.get("arguments"), doc.get("question"))
    question = next((text for text in map(_first_text, prompts) if text), "")
    judged_by_likelihood = _is_likelihood(record.get("filtered_resps"))
    answer = response = None
    if not judged_by_likelihood:
        answer = _first_text(record.get("filtered_resps"))
        response = _first_text(record.get("resps"))
    prediction = response if answer is None else answer
    if len(prediction or "") > LONGEST_ANSWER:
        gathered.remark(f"answers were cut after {LONGEST_ANSWER:,} characters", sample_id)
    target, group = record.get("target"), doc.get(gathered.group)
    scale = gathered.scale.get(task, 1.0)
    utility, measured_by = chosen_score(_scores(record), place, task, metric, scale)
    if np.isnan(utility):
        gathered.remark("outcomes have no score and are missing", f"{sample_id}, {place}")
    counts = record.get("token_counts")
    counts = counts[0] if isinstance(counts, list) and counts else counts
    counts = counts if isinstance(counts, dict) else {}
    return _Line(
        sample_id=sample_id,
        group=clean(str(group)) if isinstance(group, str | int | float) else "",
        question=question,
        answer="" if target is None else clean(str(target)),
        image=gathered.image(doc),
        utility=utility,
        measured_by=measured_by,
        prompt_tokens=_count(counts.get("input_tokens")),
        completion_tokens=0.0 if judged_by_likelihood else _count(counts.get("output_tokens")),
        response=prediction if response is None else response,
        prediction=(prediction or "")[:LONGEST_ANSWER],
    )


def _scores(record: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a sample's metrics, by ``metric`` or ``metric.part``."""
    scores: dict[str, float] = {}
    for name, value in record.items():
        if name in NO_METRICS or IDENTIFIER.fullmatch(name):
            continue
        if isinstance(value, dict):
            choice = _multiple_choice(value)
            if choice is not None:
                scores[name] = choice
                continue
            parts = {
                part: number
                for part, number in value.items()
                if _is_number(number) and not IDENTIFIER.fullmatch(part)
            }
            score = next((part for part in SCORE_NAMES if part in parts), None)
            kept = parts if score is None else {score: parts[score]}
            scores |= {f"{name}.{part}": number for part, number in kept.items()}
        elif _is_number(value):
            scores[name] = value
    return scores


def _multiple_choice(judged: Mapping[str, Any]) -> float | None:
    """Return the share of parsed answers that are the right letter, as MMMU is judged by."""
    parsed = judged.get("parsed_pred")
    answers = parsed if isinstance(parsed, list) else [parsed]
    if judged.get("question_type") != "multiple-choice" or not isinstance(
        judged.get("answer"), str
    ):
        return None
    if not answers or not all(isinstance(answer, str) for answer in answers):
        return None
    return float(np.mean([answer == judged["answer"] for answer in answers]))


def _no_number(log: Path, task: str, metric: str) -> str:
    """Say why no line of a log has a number at the metric of the config."""
    return (
        f"{log}: no line holds a number at the metric {metric!r}; its first line has "
        f"{shorten(', '.join(_scores(_first(log))) or 'none', 500, placeholder=' ...')}, "
        f"correct source.metrics of {task!r}"
    )


def _metrics(log: Path) -> str:
    """Name the metrics of a log's first line."""
    names = [name for name in _first(log) if name not in NO_METRICS]
    return shorten(", ".join(names) or "none", 500, placeholder=" ...")


def _first(log: Path) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(_rows(log)).record
    return found


def _is_number(value: Any) -> bool:
    # NaN is unequal to itself.
    return isinstance(value, bool | int | float) and value == value


def _count(value: Any) -> float:
    """Return a token count, NaN where there is none."""
    counted = _is_number(value) and 0 <= value < 2**53 and not isinstance(value, bool)
    return float(value) if counted else np.nan


def _first_text(value: Any) -> str | None:
    """Return the first text in nested lists, or in a request's arguments, None if there is none.

    lm-evaluation-harness has arguments as ``{gen_args_0: {arg_0: prompt, arg_1: ...}}``.
    """
    pending = [value]
    while pending:
        match pending.pop():
            case str(text):
                return clean(text)
            case list(items):
                pending += reversed(items)
            case {"gen_args_0": {"arg_0": prompt}}:
                pending.append(prompt)
    return None


def _is_likelihood(responses: Any) -> bool:
    """Tell whether responses are likelihoods of given answers: (log-likelihood, greedy) each.

    lm-evaluation-harness writes both as text.
    """
    return (
        isinstance(responses, list)
        and len(responses) > 0
        and all(isinstance(one, list) and len(one) == 2 for one in responses)
        and all(
            all(map(_is_number, one))
            or (str(one[1]) in ("True", "False") and LIKELIHOOD.fullmatch(str(one[0])))
            for one in responses
        )
    )


def _brief(value: Any) -> str:
    return reprlib.repr(value)
