"""A decision log of ``mmroute``, with outcomes as they came in: what use tells of the models."""

import re
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from mmroute.decision_log import files_of, read_log
from mmroute.errors import InputError
from mmroute.outcome_table import LATENCY, OutcomeTable
from mmroute.sources import Source
from mmroute.sources.cells import nullable, outcome_table
from mmroute.sources.release import clean
from mmroute.sources.survey import Recognised, Survey

DECIDED = {"id", "time", "model", "propensity"}
JUDGED = ({"id", "utility"}, {"id", "correct"})
_NUMBER = re.compile(r"-\d{4,}(?=\.jsonl$)")


class DecisionLogs(Source):
    """A log of decisions and what came of them, see ``mmroute.decision_log``.

    A sample is a query that was decided, a model one whose answer to it was judged: mostly the
    one that was called, so that most outcomes are missing. Costs and latencies are what was paid
    and taken. Where the log has no texts, a table of them is joined by ``sample_id``.

    Parameters
    ----------
    path
        The log, as it was written to; the files that it went on from lie beside it.
    outcomes
        A log of outcomes beside it.
    """

    name = "decision_log"

    def __init__(self, path: str, outcomes: str | None = None) -> None:
        self.path = Path(path)
        self.outcomes = None if outcomes is None else Path(outcomes)

    @classmethod
    def recognise(cls, there: Survey) -> Recognised | None:
        """Recognise the one log of a folder, and the outcomes beside it."""
        names = there.some(".jsonl")
        decided = {_NUMBER.sub("", name) for name in names if there.keys(name) >= DECIDED}
        if there.path.is_file():
            decided = set(names) if decided else set()
        if len(decided) != 1:
            return None
        judged = sorted(
            name
            for name in names
            if "time" not in there.keys(name) and any(there.keys(name) >= one for one in JUDGED)
        )
        path = {"path": str(there.root / decided.pop())}
        if not judged:
            return Recognised(path)
        outcomes = str(there.root / judged[0])
        said = (("outcomes", f"{judged[0]} has outcomes"),)
        return Recognised(path | {"outcomes": outcomes}, said)

    @property
    def wanted(self) -> str:
        """What the log is called."""
        return "a decision log, a JSON object a line with id, time, model and propensity"

    def local_files(self) -> Iterable[Path]:
        """List the log's files, and those of the outcomes."""
        return [*files_of(self.path), *(files_of(self.outcomes) if self.outcomes else [])]

    def fetch(self, folder: Path) -> Path:
        """Return the log's folder; nothing is copied."""
        files_of(self.path)
        return self.path.parent

    def origin(self, root: Path) -> Path:
        """Return the log."""
        return self.path

    def read(self, root: Path) -> OutcomeTable:
        """Read all decisions, and the outcomes of them."""
        log = read_log(self.path, self.outcomes)
        judged = [model for (_, model), known in log.outcomes.items() if "utility" in known]
        models = list(dict.fromkeys(judged))
        if not models:
            raise InputError(
                f"{self.path}: no outcome says how good an answer was; give lines with id and "
                "utility or correct, here or by source.outcomes"
            )
        unjudged = sorted({model for _, model in log.outcomes} - set(models))
        if unjudged:
            log.remarks.append(
                f"{self.path}: {len(unjudged):,} models have no judged answer and are left out "
                f"(such as {unjudged[0]!r:.80})"
            )
        log.remarks.append(
            f"{self.path}: a model's outcomes are known where it was called; unless that was at "
            "random, its queries are others than another model's, and so are its means"
        )
        for remark in log.remarks:
            warnings.warn(remark, stacklevel=2)
        decisions = log.decisions
        dataset = [clean(one.dataset) for one in decisions]
        samples = pd.DataFrame(
            {
                "sample_id": [one.id for one in decisions],
                "dataset": dataset,
                "scenario": dataset,
                "group": [clean(one.group) for one in decisions],
                "question": [clean(one.text or "") for one in decisions],
                "image_digest": nullable(pd.Series([one.image_digest or "" for one in decisions])),
            }
        ).assign(answer=None, image=None)
        unknown = np.full((len(decisions), len(models)), np.nan)
        return outcome_table(
            samples,
            models,
            {
                "utility": log.outcome("utility", models),
                "cost": log.outcome("cost_usd", models),
                "prompt_tokens": unknown,
                "completion_tokens": unknown.copy(),
                "prediction": np.full(unknown.shape, None, object),
                LATENCY: log.outcome("latency_s", models),
            },
        )
