"""Your own table of outcomes: long or wide, in any common table format."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from annotated_types import Gt

from mmroute.errors import InputError, Undecided
from mmroute.images import counts
from mmroute.outcome_table import LATENCY, MATRICES, OutcomeTable
from mmroute.sources import Source
from mmroute.sources.cells import (
    FAILED,
    PACKED,
    column_names,
    first_line,
    is_encoding,
    nullable,
    numbers,
    outcome_table,
    read_cells,
    utilities,
)
from mmroute.sources.image_cells import image_file, write_images
from mmroute.sources.image_files import locate, paths_below, relative_paths, spelled_each
from mmroute.sources.image_tables import entries
from mmroute.sources.survey import Recognised, Survey
from mmroute.sources.token_counts import BYTES_PER_TOKEN, estimate
from mmroute.sources.wide import (
    LATENCY_SUFFIX,
    NUMBER_SUFFIXES,
    PREDICTION_SUFFIX,
    UTILITY_SUFFIX,
    find_models,
    model_columns,
    read_matrices,
)
from mmroute.storage import is_file, link_to

CORE_COLUMNS = ("dataset", "scenario", "group", "question", "answer", "image")
NUMBER_COLUMNS = ("cost", "prompt_tokens", "completion_tokens")
ALSO_CALLED = {
    "sample_id": (
        *("id", "question_id", "query_id", "prompt_id", "doc_id", "qid", "uid", "uuid", "index"),
        *("idx", "example_id", "item_id"),
    ),
    "model": ("model_name", "model_id", "llm", "llm_name", "engine", "provider"),
    "utility": (
        *("score", "accuracy", "acc", "correct", "is_correct", "correctness", "performance"),
        *("hit", "reward", "label"),
    ),
    "cost": ("cost_usd", "total_cost", "cost_in_usd", "usd"),
    "prompt_tokens": ("input_tokens", "num_prompt_tokens", "n_prompt_tokens", "tokens_in"),
    "completion_tokens": (
        *("output_tokens", "num_completion_tokens", "n_completion_tokens", "tokens_out"),
    ),
    "latency_s": ("latency_seconds", "latency_sec", "duration_s", "response_time_s", "elapsed_s"),
    "prediction": ("model_response", "model_answer", "completion", "generation", "output"),
    "question": (
        *("prompt", "query", "instruction", "input", "text"),
        *("question_text", "query_text", "prompt_text"),
    ),
    "answer": ("ground_truth", "reference", "target", "gold"),
    "image": ("image_path", "img_path", "image_file", "images", "image_paths", "image_files"),
    "dataset": ("data_set", "benchmark", "task", "task_name", "eval_name"),
    "group": ("group_id", "conversation_id", "seed_question", "g_index"),
}
"""What others call our columns, the likeliest first; case does not count."""
ID_SUFFIX = "_id"
SEPARATORS = {".csv": ",", ".tsv": "\t"}
LONGEST_HEADER = 2**16
LINK = "beside"
"""What links to the table's folder from that of the images which it holds itself."""
OUTCOME_COLUMNS = ("model", "utility", *NUMBER_COLUMNS, LATENCY, "prediction", "response")


class TableSource(Source):
    """A table of outcomes in CSV, TSV, JSONL, JSON (a list of objects), Parquet, Feather or Excel.

    The suffix tells; of the first four there may be ``.gz`` behind it.

    ``long`` has one row per sample and model: ``sample_id``, ``model``,
    ``utility``, and ``cost`` in USD or ``prompt_tokens`` and
    ``completion_tokens``; the model's answer may stand in ``prediction`` or
    ``response``, and the seconds that it took in ``latency_s``. Where there are neither costs
    nor counts, tokens are estimated from the answer and the question; where there is no answer
    either, only a price per call is left.
    ``wide`` has one row per sample, ``sample_id`` or ``dataset_idx``, and the model columns
    of ``mmroute.sources.wide``, of which ``<model>_correct`` is enough.

    A long table without any of these columns describes samples of other sources that it is
    joined with.

    Columns of the sample are ``dataset`` (else the file's name), ``scenario``
    (else the data set), ``group`` (what samples that are variants of each other have in
    common), ``question``, ``answer`` and ``image``, a path below the table's folder
    or an image in base64, or a list of several; how many are no file is said by a warning. Any
    other column is a tag.

    Parameters
    ----------
    path
        The table.
    shape
        One row per sample and model, or one per sample.
    samples
        A second file with the columns of the samples, by ``sample_id``.
    columns
        Our name of a column to the table's name of it.
    encoding
        Of a CSV, TSV, JSONL or JSON that is no UTF-8 and does not begin with a byte order mark.
    scale
        The utility of the best possible answer in the table: 100 for percent.

    Raises
    ------
    InputError
        If ``shape``, a key of ``columns`` or ``encoding`` is unknown.
    """

    name = "table"
    general = True

    def __init__(
        self,
        path: str,
        shape: Literal["long", "wide"] = "long",
        samples: str | None = None,
        columns: dict[str, str] | None = None,
        encoding: str = "utf-8",
        scale: Annotated[float, Gt(0)] = 1.0,
    ) -> None:
        if shape not in ("long", "wide"):
            raise InputError(f"source.shape: {shape!r} is unknown; use 'long' or 'wide'")
        known = ("sample_id", *CORE_COLUMNS, *(OUTCOME_COLUMNS if shape == "long" else ()))
        for ours in columns or {}:
            if ours not in known:
                raise InputError(
                    f"source.columns: {ours!r} is no column of a {shape} table; "
                    f"use {', '.join(known)}"
                )
        if not is_encoding(encoding):
            raise InputError(
                f"source.encoding: {encoding!r:.80} is no encoding of text; give one such as "
                "'cp1252', 'latin-1', 'shift_jis' or 'gb18030'"
            )
        self.path = Path(path)
        self.encoding = encoding
        self.scale = scale
        self.shape = shape
        self.samples = None if samples is None else Path(samples)
        self.columns = columns or {}

    @classmethod
    def recognise(cls, there: Survey) -> Recognised | None:
        """Recognise a table of outcomes by its columns, and one of their samples beside it.

        Raises InputError for a lone table with another separator than its suffix says.
        """
        if there.path != there.root:
            _check_separator(there.path)
        found = {name: _recognised(there.columns(name)) for name in there.tables()}
        tables = [name for name, own in found.items() if own]
        own = found[tables[0]] if tables else None
        if own is None:
            return None
        described = _described_in(there, tables[0], own.keys)
        keys = {"path": str(there.root / tables[0])}
        if described:
            keys["samples"] = str(there.root / described)
        others = ", ".join(tables[1:])
        told = f"{tables[0]} is read, and not {others:.300}; 'join' reads several"
        beside = (("path", told),)
        return Recognised(keys | own.keys, own.guesses + (beside if others else ()))

    @property
    def wanted(self) -> str:
        """What the table needs."""
        return "a table with sample_id, model and utility, or with M_correct for each model M"

    def local_files(self) -> list[Path]:
        """List the table and the samples' file."""
        files = [self.path, *([] if self.samples is None else [self.samples])]
        for file in files:
            _require_file(file)
            _check_separator(file)
        return files

    def image_names(self) -> Iterator[str]:
        """Read the image column of the table and of the samples' file."""
        image = self.columns.get("image", "image")
        for file in self.local_files():
            if image in column_names(file, self.encoding):
                cells = self._images(file, image)
                yield from paths_below(self.path.parent, cells[cells.map(image_file).isna()])

    def image_files(self, names: Sequence[str]) -> list[Path]:
        """List the images, below the table's folder."""
        return [self.path.parent / name for name in names]

    def fetch(self, folder: Path) -> Path:
        """Return the table's own folder; or make files of the images that it holds itself.

        These then lie in ``folder/images``, and ``folder`` is the root.
        """
        _require_file(self.path)
        image = self.columns.get("image", "image")
        held: dict[str, None] = {}
        for file in filter(is_file, filter(None, (self.path, self.samples))):
            _check_separator(file)
            if image in column_names(file, self.encoding):
                held |= dict.fromkeys(filter(image_file, self._images(file, image)))
        if not held:
            return self.path.parent
        write_images(held, folder)
        link_to(folder / LINK, self.path.parent)
        return folder

    def _images(self, file: Path, column: str) -> pd.Series:
        """Return each image that a file names or holds once."""
        cells = read_cells(file, [column], encoding=self.encoding, lists=[column])[column]
        return pd.Series(
            list(dict.fromkeys(e for c in cells.unique() for e in entries(c))), dtype=str
        )

    def origin(self, root: Path) -> Path:
        """Return the table's file."""
        return self.path

    def read(self, root: Path) -> OutcomeTable:
        """Read the table and gather what it says about each sample."""
        rows, description = self._read_files(root)
        models: list[str] = []
        if self.shape == "long" and not set(OUTCOME_COLUMNS) & set(rows):
            ids, stated = pd.Index(rows["sample_id"].unique()), rows
            matrices = {name: np.empty((len(ids), 0)) for name in MATRICES}
        elif self.shape == "long":
            if "answer" not in self.columns:
                _require_one_answer(rows, self.path)
            models, matrices, ids = _pivot(rows, self.path, self.scale)
            stated = rows.drop(columns=[name for name in OUTCOME_COLUMNS if name in rows])
        else:
            models = find_models(rows.columns, self.path, alone=True)
            by_id = rows.set_index("sample_id", drop=False)
            matrices = read_matrices(by_id, models, self.path, self.scale)
            ids = pd.Index(rows["sample_id"])
            stated = rows.drop(columns=list(model_columns(models) & set(rows.columns)))
        facts = _gather(stated, description, ids, self.path)
        _warn_of_silence(matrices, models, ids, self.path)
        self._estimate(matrices, models, facts)
        return outcome_table(self._describe(facts, root), models, matrices)

    def _estimate(
        self, matrices: dict[str, np.ndarray], models: list[str], facts: pd.DataFrame
    ) -> None:
        """Estimate the tokens of models without costs and counts from texts, and say so."""
        cost, prompt, completion = (np.isfinite(matrices[name]) for name in NUMBER_COLUMNS)
        untold = ~(cost | (prompt & completion)).any(axis=0)
        answers = [pd.Series(column, dtype=object) for column in matrices["prediction"].T]
        answered = untold & np.array([own.notna().any() for own in answers], bool)
        seen = np.isfinite(matrices["utility"])
        for column in np.flatnonzero(answered):
            texts = {
                "prompt_tokens": facts.get("question"),
                "completion_tokens": answers[column],
            }
            for name, own in texts.items():
                counts = matrices[name][:, column]
                if own is not None and np.isnan(counts).all():
                    counts[:] = np.where(seen[:, column], estimate(own), np.nan)
        if answered.any():
            warnings.warn(
                f"{self.path}: neither costs nor token counts of "
                f"{', '.join(np.array(models)[answered]):.500}; tokens are estimated from the "
                f"question and the answer, {BYTES_PER_TOKEN} bytes each, without images",
                stacklevel=3,
            )

    def _read_files(self, root: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Read the outcomes' rows and the samples' rows, under our names."""
        rows = self._cells(self.path)
        description = None if self.samples is None else self._cells(self.samples)
        present = {*rows.columns, *([] if description is None else description.columns)}
        for ours, theirs in self.columns.items():
            if theirs not in present:
                raise InputError(
                    f"source.columns: {self.path} has no column {theirs!r} to use as {ours!r}; "
                    f"it has {', '.join(sorted(present)):.500}"
                )
        rows = self._rename(rows)
        if self.shape == "wide" and "sample_id" not in rows:
            rows = rows.rename(columns={"dataset_idx": "sample_id"})
        _require_ids(rows, self.path)
        rows = self._located(rows, root, self.path)
        if description is None or self.samples is None:
            return rows, rows.iloc[:0][["sample_id"]]
        description = self._rename(description)
        _require_ids(description, self.samples)
        description = self._located(description, root, self.samples)
        unknown = ~rows["sample_id"].isin(description["sample_id"])
        if unknown.any():
            raise InputError(
                f"{self.samples}: column 'sample_id' lacks "
                f"{rows['sample_id'][unknown].iloc[0]!r:.80} "
                f"of {self.path}; add a row for it"
            )
        return rows, description

    def _cells(self, path: Path) -> pd.DataFrame:
        _check_separator(path)
        known = {"sample_id", "dataset_idx", *CORE_COLUMNS, *OUTCOME_COLUMNS}
        image = self.columns.get("image", "image")
        return read_cells(path, None, known | set(self.columns.values()), self.encoding, [image])

    def _rename(self, cells: pd.DataFrame) -> pd.DataFrame:
        found = {ours: theirs for ours, theirs in self.columns.items() if theirs in cells}
        renamed = cells.assign(**{ours: cells[theirs] for ours, theirs in found.items()})
        return renamed.drop(columns=[name for name in found.values() if name not in found])

    def _located(self, rows: pd.DataFrame, root: Path, file: Path) -> pd.DataFrame:
        """Spell the images from ``root``: the paths, and the files made of what is no path."""
        if "image" not in rows:
            return rows

        def spell(cells: pd.Series) -> pd.Series:
            made = cells.map({cell: image_file(cell) for cell in cells.unique()})
            paths = relative_paths(cells.where(made.isna(), ""), self.path.parent, file)
            if root.resolve() != self.path.parent.resolve():
                paths = paths.where(paths == "", f"{LINK}/" + paths)
            return made.where(made.notna(), paths)

        distinct = rows.drop_duplicates("image").set_index("sample_id")["image"]
        spelled = spelled_each(distinct.astype(object).map(entries), spell)
        return rows.assign(image=rows["image"].map(dict(zip(distinct, spelled, strict=True))))

    def _describe(self, facts: pd.DataFrame, root: Path) -> pd.DataFrame:
        """Lay out what is known of the samples as the outcome table wants it."""
        empty = pd.Series("", index=facts.index)
        dataset = facts.get("dataset", empty)
        scenario = facts.get("scenario", empty)
        named = facts.get("image", empty)
        image, image_digest, lost = locate(named, root)
        if len(lost):
            warnings.warn(
                f"{self.path}: column {self.columns.get('image', 'image')!r}: {len(lost):,} of "
                f"{counts(named).sum():,} images named there are no files, such as "
                f"{lost.iloc[0]!r:.80} of {lost.index[0]!r:.80}; their samples have no image, or "
                "fewer",
                stacklevel=2,
            )
        tags = [name for name in facts if name not in (*CORE_COLUMNS, "sample_id")]
        return pd.DataFrame(
            {
                "sample_id": facts.index,
                "dataset": dataset,
                "scenario": scenario.where(scenario != "", dataset),
                "group": facts.get("group", empty),
                "question": facts.get("question", empty),
                "answer": nullable(facts.get("answer", empty)),
                "image": image,
                "image_digest": image_digest,
                **{f"tag_{name}": facts[name] for name in tags},
            }
        )


def _recognised(columns: Sequence[str]) -> Recognised | None:
    """Tell how columns can be a table of outcomes, the path aside; None if they are not."""
    by_models = {
        model + suffix
        for column in columns
        if (model := column.removesuffix(UTILITY_SUFFIX)) not in ("", column)
        for suffix in (UTILITY_SUFFIX, PREDICTION_SUFFIX, LATENCY_SUFFIX, *NUMBER_SUFFIXES.values())
        if model + suffix in columns
    }
    is_wide = any(not column.endswith(UTILITY_SUFFIX) for column in by_models) or (
        len(by_models) > 1 and "model" not in columns
    )
    needed = ["sample_id", *(() if is_wide else ("model", "utility"))]
    known = [*needed, *CORE_COLUMNS, *(() if is_wide else (*NUMBER_COLUMNS, LATENCY, "prediction"))]
    free = [column for column in columns if not is_wide or column not in by_models]
    named = {ours: ours for ours in known if ours in free}
    if is_wide and "dataset_idx" in free:
        named.setdefault("sample_id", "dataset_idx")
    if "prediction" in known and "response" in free:
        named.setdefault("prediction", "response")
    guessed: dict[str, str] = {}
    for ours in known:
        left = {
            column.strip().lower(): column
            for column in free
            if column not in (*named.values(), *guessed.values())
        }
        theirs = next((left[one] for one in (ours, *ALSO_CALLED.get(ours, ())) if one in left), "")
        if ours not in named and theirs:
            guessed[ours] = theirs
    both = named | guessed
    likely = [c for c in free if c not in both.values() and c.lower().endswith(ID_SUFFIX)]
    if "sample_id" not in both and len(likely) == 1:
        guessed["sample_id"] = likely[0]
    elif "sample_id" not in both and "question" in both:
        guessed["sample_id"] = both["question"]
        guessed["question"] = both["question"]
    if not set(needed) <= set(named | guessed):
        return None
    keys: dict[str, Any] = {"shape": "wide"} if is_wide else {}
    if not guessed:
        return Recognised(keys)
    listed = ", ".join(f"{theirs!r:.80} for our {ours}" for ours, theirs in guessed.items())
    told = f"columns are taken by their names: {listed}"
    return Recognised(keys | {"columns": guessed}, (("columns", told),))


def _described_in(there: Survey, table: str, keys: Mapping[str, Any]) -> str | None:
    """Find the table with the questions or images of one that has neither."""
    columns = keys.get("columns", {})
    told = {columns.get(name, name) for name in ("question", "image")}
    sample_id = columns.get("sample_id", "sample_id")
    if told & set(there.columns(table)):
        return None
    return next(
        (
            name
            for name in there.tables()
            if name != table
            and sample_id in there.columns(name)
            and told & set(there.columns(name))
        ),
        None,
    )


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"{path}: no such file; set source.path (or source.samples) to a table")


def _check_separator(path: Path) -> None:
    """Raise InputError if the first line of a CSV or TSV has another separator only."""
    kind = path.with_suffix("") if path.suffix.lower() == PACKED else path
    own = SEPARATORS.get(kind.suffix.lower())
    if own is None:
        return
    header = first_line(path, LONGEST_HEADER)
    other = next((mark for mark in ";\t|," if mark in header), None)
    if own not in header and other is not None:
        raise InputError(
            f"{path}: a {kind.suffix[1:].upper()} has {own!r} between its columns, this file "
            f"{other!r}; save it with {own!r}, and with '.' in its numbers"
        )


def _require_ids(cells: pd.DataFrame, path: Path) -> None:
    if "sample_id" not in cells:
        raise InputError(f"{path}: no column 'sample_id'; add it, or name yours in source.columns")
    nameless = np.flatnonzero(cells["sample_id"] == "")
    if nameless.size:
        raise InputError(
            f"{path}: column 'sample_id' is empty in row {nameless[0] + 1}; name the sample"
        )


def _pivot(
    rows: pd.DataFrame, path: Path, scale: float
) -> tuple[list[str], dict[str, np.ndarray], pd.Index]:
    """Turn one row per pair into N x K matrices, in the order of first appearance."""
    for column in ("model", "utility"):
        if column not in rows:
            raise InputError(
                f"{path}: no column {column!r}; add it, or name yours in source.columns"
            )
    nameless = np.flatnonzero(rows["model"] == "")
    if nameless.size:
        raise InputError(
            f"{path}: column 'model' is empty in row {nameless[0] + 1}; name the model"
        )
    i, ids = pd.factorize(rows["sample_id"])
    j, models = pd.factorize(rows["model"])
    twice = np.flatnonzero(pd.Series(i * len(models) + j).duplicated())
    if twice.size:
        raise InputError(
            f"{path}: row {twice[0] + 1} repeats sample {ids[i[twice[0]]]!r:.80} with model "
            f"{models[j[twice[0]]]!r:.80}; keep one row for each pair"
        )
    numeric = [column for column in (*NUMBER_COLUMNS, LATENCY) if column in rows]
    by_id = rows[["sample_id", "utility", *numeric]].set_index("sample_id")
    shape = (len(ids), len(models))
    matrices = {name: np.full(shape, np.nan) for name in ("utility", *NUMBER_COLUMNS, *numeric)}
    matrices["utility"][i, j] = utilities(by_id["utility"], path, scale)
    for column in numeric:
        matrices[column][i, j] = numbers(by_id[column], path)
    matrices["prediction"] = np.full(shape, None, dtype=object)
    answer = next((name for name in ("prediction", "response") if name in rows), None)
    if answer is not None:
        matrices["prediction"][i, j] = nullable(rows[answer])
    return list(models), matrices, ids


def _require_one_answer(rows: pd.DataFrame, path: Path) -> None:
    """Raise Undecided if ``answer`` differs by model, and no other column holds their answers."""
    if "answer" not in rows or {"prediction", "response"} & set(rows):
        return
    told = rows.loc[rows["answer"] != "", ["sample_id", "answer"]].drop_duplicates()
    twice = told["sample_id"][told["sample_id"].duplicated()]
    if len(twice):
        raise Undecided(
            f"{path}: column 'answer' differs between the rows of sample {twice.iloc[0]!r:.80}, as "
            "what the models answered does; write columns: {prediction: answer}, or, if it is the "
            "right answer, make the rows equal",
            {"columns": {"prediction": "answer"}},
        )


def _warn_of_silence(
    matrices: Mapping[str, np.ndarray], models: Sequence[str], ids: pd.Index, path: Path
) -> None:
    """Say of which models failed calls and, beside other answers, empty ones count as wrong."""
    if "prediction" not in matrices:
        return
    answers, wrong = matrices["prediction"], matrices["utility"] == 0
    empty = pd.isna(answers)
    none = wrong & empty & ~empty.all(axis=0)
    told = wrong & ~empty
    none[told] = pd.Series(answers[told], dtype=str).str.startswith(FAILED)
    if none.any():
        of = ", ".join(f"{m} {n}" for m, n in zip(models, none.sum(axis=0), strict=True) if n)
        warnings.warn(
            f"{path}: {none.sum()} answers that are empty, or {FAILED!r}, count as wrong "
            f"({of:.500}), such as that for {ids[none.any(axis=1)][0]!r:.80}; where a call failed, "
            "leave its utility empty",
            stacklevel=3,
        )


def _gather(
    stated: pd.DataFrame, description: pd.DataFrame, ids: pd.Index, path: Path
) -> pd.DataFrame:
    """Collect each sample's facts from all rows that state them.

    Parameters
    ----------
    stated
        The columns of the outcomes' rows that describe samples.
    description
        The rows of the samples' own file.
    ids
        (N,) the samples to describe.
    path
        The table's file, for messages.

    Returns
    -------
    pandas.DataFrame
        N rows indexed by sample id. An empty cell states nothing. A column that
        is none of ours and differs between the rows of a sample describes
        outcomes, not samples: it is left out with a warning.

    Raises
    ------
    InputError
        If two rows state a different ``dataset``, ``scenario``, ``group``, ``question``,
        ``answer`` or ``image`` of one sample.
    """
    rows = pd.concat([stated, description], ignore_index=True).fillna("")
    sample, known = pd.factorize(rows["sample_id"])
    wanted = known.get_indexer(ids)
    facts, left_out = {}, []
    for column, cells in rows.drop(columns="sample_id").items():
        values = cells.to_numpy(object)
        told = np.flatnonzero(values != "")
        # Of several rows that state it the first counts, which is written last.
        first = np.full(len(known), "", object)
        first[sample[told[::-1]]] = values[told[::-1]]
        contradicting = told[values[told] != first[sample[told]]]
        if not contradicting.size:
            facts[column] = pd.array(first[wanted], dtype="str")
        elif column in CORE_COLUMNS:
            row = contradicting[0]
            raise InputError(
                f"{path}: column {column!r:.80} of sample {known[sample[row]]!r:.80} holds both "
                f"{first[sample[row]]!r:.80} and {values[row]!r:.80}; make them equal"
            )
        else:
            left_out.append(str(column))
    if left_out:
        warnings.warn(
            f"{path}: the columns {', '.join(left_out):.500} differ between the rows of a sample "
            "and are not kept as tags",
            stacklevel=2,
        )
    return pd.DataFrame(facts, index=ids)
