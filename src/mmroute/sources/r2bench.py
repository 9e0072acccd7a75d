"""R2-Bench: what models answer when told to use at most so many tokens."""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mmroute.errors import InputError
from mmroute.outcome_table import OutcomeTable
from mmroute.sources.cells import CORRECTNESS_WORDS, column_names, numbers, read_cells
from mmroute.sources.gathered import Gathered, require_columns
from mmroute.sources.release import Release
from mmroute.sources.token_counts import BYTES_PER_TOKEN, estimate

_JUDGED = re.compile(r"data/(.+)/(\d+)_judge\.csv")
COLUMNS = ("key", "original_prompt", "actual_token_count", "correctness_score")
DATASET = "R2-Bench"


class R2Bench(Release):
    """The R2-Bench release, or any data in its layout.

    ``data/<model>/<tokens>_judge.csv`` has a row for each sample: ``key``, ``original_prompt``,
    ``actual_token_count`` of the answer and ``correctness_score`` in [0, 1]. A model told to use
    so many tokens is a model of its own, ``<model>@budget=<tokens>``; what it used may be more.

    In some files prompts have lost their line breaks; the one with the most lines is kept. The
    release names no data sets, so that all samples are of one. There are no costs; prompt tokens
    are estimated from the prompt, and a price table prices both.

    Parameters
    ----------
    path
        A folder with the release's layout.
    """

    name = "r2bench"

    def __init__(
        self, path: str | None = None, repo: str | None = None, revision: str | None = None
    ) -> None:
        super().__init__(path, repo, revision)

    @property
    def wanted(self) -> str:
        """The files' paths."""
        return "data/<model>/<tokens>_judge.csv"

    def choose(self, paths: Sequence[str]) -> list[str]:
        """Pick the files of all models and budgets, a model's budgets in their order."""
        named = [found for path in paths if (found := _JUDGED.fullmatch(path))]
        return [found[0] for found in sorted(named, key=lambda found: (found[1], int(found[2])))]

    def files(self, root: Path) -> list[Path]:
        """List the files to read below ``root``; raise InputError if there is none."""
        if self.path is not None and self.path.is_file():
            raise InputError(
                f"{self.path}: is a file; set source.path to the folder that holds {self.wanted}"
            )
        return super().files(root)

    def read(self, root: Path) -> OutcomeTable:
        """Read each model's file of each budget."""
        gathered = Gathered(root)
        for path in self.files(root):
            named = _JUDGED.fullmatch(path.relative_to(root).as_posix())
            if named:
                _read(path, f"{named[1]}@budget={named[2]}", gathered)
        warnings.warn(
            f"{root}: has no counts of prompt tokens; they are estimated from the prompt, "
            f"{BYTES_PER_TOKEN} bytes each",
            stacklevel=2,
        )
        return gathered.table()


def _read(path: Path, model: str, gathered: Gathered) -> None:
    require_columns(path, column_names(path), COLUMNS, "R2-Bench's layout")
    cells = read_cells(path, COLUMNS)
    empty = np.flatnonzero(cells["key"] == "")
    if empty.size:
        raise InputError(f"{path}: column 'key' is empty in row {empty[0] + 1}; fill it")
    question = cells["original_prompt"].str.replace("\r\n", "\n")
    samples = pd.DataFrame(
        {
            "sample_id": cells["key"],
            "dataset": DATASET,
            "scenario": DATASET,
            "question": question,
        }
    )
    cells.index = pd.Index(cells["key"])
    outcomes = pd.DataFrame(
        {
            "utility": numbers(cells["correctness_score"], path, CORRECTNESS_WORDS, highest=1),
            "prompt_tokens": estimate(question),
            "completion_tokens": numbers(cells["actual_token_count"], path),
        },
        cells.index,
    )
    gathered.add(model, gathered.describe(samples), outcomes, path)
