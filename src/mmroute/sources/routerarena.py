"""RouterArena: what models answered to its queries, one JSON object a line and one file a model."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from mmroute.errors import InputError
from mmroute.outcome_table import OutcomeTable
from mmroute.sources.gathered import Gathered
from mmroute.sources.json_records import number, records, text
from mmroute.sources.release import Release, clean, scenarios
from mmroute.sources.survey import Survey

_CACHED = re.compile(r"(?:.*/)?cached_results/[^/]+\.jsonl")
TOKENS = {"input_tokens": "prompt_tokens", "output_tokens": "completion_tokens"}


class RouterArena(Release):
    """RouterArena's cached results, or any in their layout.

    ``cached_results/<model>.jsonl``, or else all ``<model>.jsonl`` of the folder. A line has
    ``global_index``, ``question``, ``token_usage``, ``generated_answer``, or ``generated_result``
    which is the answer or holds it with its tokens, and ``evaluation_result`` with ``score`` in
    [0, 1], ``ground_truth`` and ``inference_cost`` in USD.

    What stands before the first ``_`` of a ``global_index`` is the data set, as in RouterArena's
    evaluation; what stands between that and the number is the tag ``subject``. The scenario is
    what stands before a ``-`` of a data set if another one begins alike, as with ``WMT19-...``.
    Calls that failed and answers
    that were not evaluated are missing outcomes. A score between -1
    and 0, which RouterArena's METEOR gives once in the 809 lines of ``claude-3-haiku-20240307``:
    it counts as 0. Warnings count both. Of several lines of one query the last that was
    evaluated counts.

    Parameters
    ----------
    path
        A folder with the files, such as RouterArena's own, or one of them.
    """

    name = "routerarena"

    def __init__(
        self, path: str | None = None, repo: str | None = None, revision: str | None = None
    ) -> None:
        super().__init__(path, repo, revision)

    @classmethod
    def is_own(cls, there: Survey, name: str) -> bool:
        """Tell by the keys of the lines."""
        return "global_index" in there.keys(name)

    @property
    def wanted(self) -> str:
        """The files' paths."""
        return "cached_results/<model>.jsonl or <model>.jsonl"

    def choose(self, paths: Sequence[str]) -> list[str]:
        """Pick the files of all models."""
        cached = sorted(path for path in paths if _CACHED.fullmatch(path))
        return cached or sorted(path for path in paths if re.fullmatch(r"[^/]+\.jsonl", path))

    def read(self, root: Path) -> OutcomeTable:
        """Read the files line by line."""
        gathered = Gathered(root)
        for path in self.files(root):
            _read(path, gathered)
        table = gathered.table()
        table.samples["scenario"] = scenarios(table.samples["dataset"], "-").to_numpy()
        return table


def _read(path: Path, gathered: Gathered) -> None:
    """Add a model's outcomes."""
    samples: dict[str, dict[str, str]] = {}
    outcomes: dict[str, dict[str, Any]] = {}
    for where, record in records(path):
        sample = _describe(record, where)
        sample_id = sample["sample_id"]
        samples.setdefault(sample_id, sample)
        remark = partial(gathered.remark, example=f"{sample_id} in {path.name}")
        outcome = _judge(record, where, remark)
        if outcome is None:
            continue
        if sample_id in outcomes:
            remark("lines repeat a query of their file; the last one counts")
        outcomes[sample_id] = outcome
    if not samples:
        raise InputError(f"{path}: holds no lines; give a file with at least one")
    told = pd.DataFrame(
        [outcomes.get(sample_id, {}) for sample_id in samples],
        pd.Index(list(samples), dtype=object),
        columns=["utility", "cost", *TOKENS.values(), "prediction"],
    )
    told["prediction"] = told["prediction"].astype(object).fillna("").astype("str")
    rows = gathered.describe(pd.DataFrame(list(samples.values())))
    gathered.add(path.stem, rows, told, path)


def _describe(record: Mapping[str, Any], where: str) -> dict[str, str]:
    """Return what a line says of its sample."""
    index = record.get("global_index")
    if not isinstance(index, str) or not all(index.partition("_")):
        raise InputError(
            f"{where}: key 'global_index' holds {index!r:.80}; name the query <dataset>_<number>"
        )
    judged = record.get("evaluation_result")
    index = clean(index)
    dataset, _, rest = index.partition("_")
    return {
        "sample_id": index,
        "dataset": dataset,
        "scenario": "",
        "question": text(record.get("question")),
        "answer": text(judged.get("ground_truth")) if isinstance(judged, dict) else "",
        "tag_subject": rest.rpartition("_")[0],
    }


def _judge(
    record: Mapping[str, Any], where: str, remark: Callable[[str], None]
) -> dict[str, Any] | None:
    """Return a line's outcome; None where there is none, which is remarked."""
    generated = record.get("generated_result")
    if isinstance(generated, dict):
        record, generated = {**record, **generated}, None
    if record.get("success") is False:
        remark("calls failed; their outcomes are missing")
        return None
    judged = record.get("evaluation_result")
    judged = judged if isinstance(judged, dict) else {}
    score = judged.get("score")
    if score is None:
        remark("answers were not evaluated; their outcomes are missing")
        return None
    if isinstance(score, float) and -1 < score < 0:
        remark("scores are below 0, as those of METEOR can be here, and count as 0")
        score = 0.0
    used = record.get("token_usage")
    used = used if isinstance(used, dict) else {}
    return {
        "utility": number(score, "evaluation_result.score", where, highest=1),
        "cost": number(judged.get("inference_cost"), "evaluation_result.inference_cost", where),
        **{
            ours: number(used.get(key), f"token_usage.{key}", where) for key, ours in TOKENS.items()
        },
        "prediction": text(generated or record.get("generated_answer")),
    }
