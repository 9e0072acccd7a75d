"""EmbedLLM: who answers which of 36,000 prompts correctly, one CSV row per prompt and model."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import shorten
from typing import Annotated

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
from annotated_types import Ge

from mmroute.confined import reading
from mmroute.errors import InputError, raise_disk_fault
from mmroute.outcome_table import OutcomeTable
from mmroute.sources.cells import (
    CORRECTNESS_WORDS,
    CSV_BLOCK_BYTES,
    column_names,
    numbers,
)
from mmroute.sources.release import Release, scenarios
from mmroute.sources.survey import Survey
from mmroute.sources.token_counts import without_counts

FILES = ("train.csv", "val.csv", "test.csv")
PROMPT_ID, PROMPT, LABEL = "prompt_id", "prompt", "label"
# The first that is there: a name rather than a number.
MODEL = ("model_name", "model_id")
CATEGORY = ("category", "category_id")


class EmbedLlm(Release):
    """The EmbedLLM release, or any data in its layout.

    CSV files with a row per prompt and model: ``prompt_id``, ``prompt``, ``label`` in
    [0, 1], ``model_name`` or else ``model_id``, and ``category`` or else
    ``category_id``, which is the data set. The scenario is what stands before the
    first ``_`` of a category if another one begins alike, as with ``mmlu_...``. The
    release's own splits are joined; the file's stem is the tag ``split``.

    There are neither costs nor token counts. Prompt tokens are estimated from the
    prompt, completion tokens are assumed, and a price table prices them.

    Parameters
    ----------
    path
        A folder with ``train.csv``, ``val.csv`` and ``test.csv`` or some of them, or one
        such file.
    completion_tokens
        Tokens of each answer.
    """

    name = "embedllm"

    def __init__(
        self,
        path: str | None = None,
        repo: str | None = None,
        revision: str | None = None,
        completion_tokens: Annotated[float, Ge(0)] = 100.0,
    ) -> None:
        super().__init__(path, repo, revision)
        self.completion_tokens = completion_tokens

    @classmethod
    def is_own(cls, there: Survey, name: str) -> bool:
        """Tell by the columns."""
        columns = there.columns(name)
        one_of = (MODEL, CATEGORY, (PROMPT_ID,), (PROMPT,), (LABEL,))
        return all(any(name in columns for name in names) for names in one_of)

    @property
    def wanted(self) -> str:
        """The CSV files' names."""
        return " or ".join(FILES)

    def choose(self, paths: Sequence[str]) -> list[str]:
        """Pick the CSV files of all splits."""
        return [name for name in FILES if name in paths]

    def read(self, root: Path) -> OutcomeTable:
        """Read the files in blocks; only one copy of each prompt is kept."""
        rows = _Rows()
        for path in self.files(root):
            for block in _blocks(path):
                rows.add(block, path)
        utility = rows.utility(root)
        described = pd.DataFrame(
            list(rows.described.values()), columns=["dataset", "question", "tag_split"]
        )
        samples = described.assign(
            sample_id=described["dataset"] + "_" + pd.Series(list(rows.described)),
            scenario=scenarios(described["dataset"], "_"),
            answer=None,
            image=None,
            image_digest=None,
        )
        return without_counts(root, samples, list(rows.models), utility, self.completion_tokens)


class _Rows:
    """What is kept of the rows read so far.

    Attributes
    ----------
    described
        Prompt id to category, prompt and split, in the order of first appearance.
    models
        Model to its column.
    """

    def __init__(self) -> None:
        self.described: dict[str, tuple[str, str, str]] = {}
        self.models: dict[str, int] = {}
        self._position: dict[str, int] = {}
        self._outcomes: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def add(self, block: pa.Table, path: Path) -> None:
        """Add rows with the columns prompt_id, model, category, label and prompt as text.

        Raises InputError if a row cannot be used, or describes its prompt otherwise than
        an earlier one.
        """
        for name in (PROMPT_ID, MODEL[0], CATEGORY[0]):
            if "" in block[name].unique().to_pylist():
                raise InputError(f"{path}: column {name!r} is empty in a row; fill it")
        distinct = block.group_by([PROMPT_ID, CATEGORY[0], PROMPT], use_threads=False).aggregate([])
        for prompt_id, *told in zip(*(column.to_pylist() for column in distinct), strict=True):
            facts = (*told, path.stem)
            known = self.described.setdefault(prompt_id, facts)
            if known != facts:
                first, second = next(
                    pair for pair in zip(known, facts, strict=True) if pair[0] != pair[1]
                )
                raise InputError(
                    f"{path}: prompt_id {prompt_id!r} stands for both {first!r:.80} and "
                    f"{second!r:.80}; give each prompt of one file and category its own"
                )
        ids = block[PROMPT_ID].to_pandas()
        label = pd.Series(block[LABEL].to_pandas().to_numpy(), index=ids, name=LABEL)
        self._outcomes.append(
            (
                _codes(ids, self._position),
                _codes(block[MODEL[0]].to_pandas(), self.models),
                numbers(label, path, CORRECTNESS_WORDS, highest=1),
            )
        )

    def utility(self, origin: Path) -> np.ndarray:
        """Return the (N, K) labels; raise InputError if a prompt and a model meet twice."""
        i, j, label = (np.concatenate(parts) for parts in zip(*self._outcomes, strict=True))
        twice = np.flatnonzero(pd.Series(i * len(self.models) + j).duplicated())
        if twice.size:
            prompt_id, model = list(self._position)[i[twice[0]]], list(self.models)[j[twice[0]]]
            raise InputError(
                f"{origin}: {twice.size} rows repeat a prompt and a model, such as prompt_id "
                f"{prompt_id!r} with {model!r}; keep one row for each pair"
            )
        order = {prompt_id: row for row, prompt_id in enumerate(self.described)}
        rows = np.array([order[prompt_id] for prompt_id in self._position])
        utility = np.full((len(order), len(self.models)), np.nan)
        utility[rows[i], j] = label
        return utility


def _codes(values: pd.Series, known: dict[str, int]) -> np.ndarray:
    """Return the values' numbers, known ones or the next, which then are known."""
    codes, distinct = pd.factorize(values)
    return np.array([known.setdefault(value, len(known)) for value in distinct])[codes]


def _blocks(path: Path) -> Iterator[pa.Table]:
    """Yield a file's rows as text, under the first of our names for each column."""
    names = column_names(path)
    ours = {}
    for options in ((PROMPT_ID,), MODEL, CATEGORY, (LABEL,), (PROMPT,)):
        found = next((name for name in options if name in names), None)
        if found is None:
            raise InputError(
                f"{path}: no column {' or '.join(map(repr, options))}; EmbedLLM's layout needs it"
            )
        if names.count(found) > 1:
            raise InputError(f"{path}: column {found!r} appears twice; rename one")
        ours[found] = options[0]
    empty = True
    try:
        with (
            reading(path),
            pa.csv.open_csv(
                path,
                read_options=pa.csv.ReadOptions(block_size=CSV_BLOCK_BYTES),
                parse_options=pa.csv.ParseOptions(newlines_in_values=True),
                convert_options=pa.csv.ConvertOptions(
                    include_columns=list(ours),
                    column_types=dict.fromkeys(ours, pa.string()),
                    null_values=[],
                ),
            ) as reader,
        ):
            for batch in reader:
                if batch.num_rows:
                    empty = False
                    yield pa.Table.from_batches([batch]).rename_columns(list(ours.values()))
    except (OSError, pa.ArrowException) as error:
        raise_disk_fault(error, path)
        reason = shorten(str(error), 200, placeholder=" ...")
        raise InputError(f"{path}: not readable as CSV ({reason}); give a whole file") from error
    if empty:
        raise InputError(f"{path}: holds no rows; give a table with at least one")
