"""xRouteBench: what models answer in several scenarios, with token counts and prices."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mmroute.errors import InputError
from mmroute.outcome_table import LATENCY, PRICE_COLUMNS, OutcomeTable
from mmroute.sources.cells import column_names, numbers, read_cells
from mmroute.sources.gathered import Gathered, require_columns
from mmroute.sources.release import Release

CANDIDATES = "llm_candidates/train.parquet"
_OUTCOMES = re.compile(r"[^/]+(?<!_queries)/(train|test)\.parquet")
"""Tables of queries alone repeat what those of outcomes say."""
LAYOUT = "xRouteBench's layout"
PRICES = ("input_price_per_1m", "output_price_per_1m")
TOKENS = {"input_tokens": "prompt_tokens", "output_tokens": "completion_tokens"}
TIME = "response_time"
"""Of a call that failed it is 0 (github.com/ulab-uiuc/LLMRouter,
``llmrouter/data/api_calling_evaluation.py``)."""
MAYBE = ("ground_truth", "response", "conversation_id", TIME)
COLUMNS = ("embedding_id", "task_name", "query", "model_name", "performance", *TOKENS)


class XRouteBench(Release):
    """The xRouteBench release, or any data in its layout.

    ``<scenario>/train.parquet`` and ``<scenario>/test.parquet`` have a row for each sample and
    model: ``embedding_id``, ``task_name``, which is the data set, ``query``, ``model_name``,
    ``performance`` in [0, 1], ``input_tokens`` and ``output_tokens``, and maybe ``ground_truth``,
    ``response``, ``conversation_id``, which is the group, and ``response_time`` in seconds, where
    0 stands for none. Of a scenario whose tables have no
    performance, such as one of preferences between pairs, a warning says that it is left out.
    ``llm_candidates/train.parquet`` has the models' prices in USD per million tokens, from which
    costs are computed unless the config names a price table.

    A sample is called ``<scenario>_<split>_<embedding_id>``; the release's own split is the tag
    ``split``. All queries are text, also those that describe an image or a video.

    Parameters
    ----------
    path
        A folder with the release's layout.
    """

    name = "xroutebench"

    def __init__(
        self, path: str | None = None, repo: str | None = None, revision: str | None = None
    ) -> None:
        super().__init__(path, repo, revision)

    @property
    def wanted(self) -> str:
        """The tables' paths."""
        return f"<scenario>/train.parquet or <scenario>/test.parquet beside {CANDIDATES}"

    def choose(self, paths: Sequence[str]) -> list[str]:
        """Pick the prices, then the tables of all scenarios."""
        tables = [path for path in sorted(paths) if _OUTCOMES.fullmatch(path)]
        if CANDIDATES not in tables or len(tables) == 1:
            return []
        tables.remove(CANDIDATES)
        return [CANDIDATES, *tables]

    def files(self, root: Path) -> list[Path]:
        """List the files to read below ``root``; raise InputError if there is none."""
        if self.path is not None and self.path.is_file():
            raise InputError(
                f"{self.path}: is a file; set source.path to the folder that holds {self.wanted}"
            )
        return super().files(root)

    def read(self, root: Path) -> OutcomeTable:
        """Read the prices and each scenario's tables."""
        candidates, *tables = self.files(root)
        prices = _prices(candidates)
        gathered = Gathered(root)
        for path in tables:
            _read(path, prices, candidates, gathered)
        table = gathered.table()
        table.samples["dataset"] = _datasets(table.samples)
        table.models[list(PRICE_COLUMNS)] = prices.loc[table.model_names].to_numpy()
        return table


def _prices(path: Path) -> pd.DataFrame:
    """Return both prices by model."""
    require_columns(path, column_names(path), ("model_name", *PRICES), LAYOUT)
    cells = read_cells(path, ["model_name", *PRICES]).set_index("model_name")
    twice = cells.index[cells.index.duplicated()]
    if len(twice):
        raise InputError(
            f"{path}: column 'model_name' holds {twice[0]!r:.80} twice; keep one row a model"
        )
    return pd.DataFrame({name: numbers(cells[name], path) for name in PRICES}, cells.index)


def _read(path: Path, prices: pd.DataFrame, candidates: Path, gathered: Gathered) -> None:
    """Add the outcomes of one split of a scenario."""
    names = column_names(path)
    if not {"model_name", "performance"} <= set(names):
        gathered.remark(
            "tables hold no model's performance and are left out", f"{path.parent.name}/{path.name}"
        )
        return
    require_columns(path, names, COLUMNS, LAYOUT)
    cells = read_cells(path, [*COLUMNS, *(name for name in MAYBE if name in names)])
    for name in ("embedding_id", "task_name", "model_name"):
        empty = np.flatnonzero(cells[name] == "")
        if empty.size:
            raise InputError(f"{path}: column {name!r} is empty in row {empty[0] + 1}; fill it")
    scenario, split = path.parent.name, path.stem
    samples = pd.DataFrame(
        {
            "sample_id": f"{scenario}_{split}_" + cells["embedding_id"],
            "dataset": cells["task_name"],
            "scenario": scenario,
            "group": cells.get("conversation_id", ""),
            "question": cells["query"],
            "answer": cells.get("ground_truth", ""),
            "tag_split": split,
        }
    )
    rows = gathered.describe(samples)
    cells.index = pd.Index(samples["sample_id"])
    outcomes = pd.DataFrame(
        {
            "utility": numbers(cells["performance"], path, highest=1),
            **{ours: numbers(cells[theirs], path) for theirs, ours in TOKENS.items()},
        },
        cells.index,
    )
    if "response" in cells:
        outcomes["prediction"] = cells["response"]
    if TIME in cells:
        seconds = numbers(cells[TIME], path)
        outcomes[LATENCY] = np.where(seconds > 0, seconds, np.nan)
    unknown = ~cells["model_name"].isin(prices.index)
    if unknown.any():
        raise InputError(
            f"{path}: column 'model_name' of {unknown.idxmax()!r:.80} holds "
            f"{cells['model_name'][unknown].iloc[0]!r:.80}, which has no price in {candidates}; "
            "add it there"
        )
    priced = prices.loc[cells["model_name"]].to_numpy()
    tokens = outcomes[list(TOKENS.values())].to_numpy()
    outcomes["cost"] = (tokens * priced).sum(axis=1) / 1e6
    for model, places in cells.reset_index().groupby("model_name", sort=False).indices.items():
        gathered.add(str(model), rows[places], outcomes.iloc[places], path)


def _datasets(samples: pd.DataFrame) -> pd.Series:
    """Name each sample's data set after its task, and its scenario where another has it too."""
    shared = samples.groupby("dataset")["scenario"].transform("nunique") > 1
    return samples["dataset"].where(~shared, samples["scenario"] + "_" + samples["dataset"])
