"""The results of promptfoo: one JSON file per evaluation, one object per call."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mmroute.errors import InputError
from mmroute.sources.calls import Call, CallLogs, Log, amount, at, read_json_file, scored, text
from mmroute.sources.survey import Recognised, Survey
from mmroute.storage import digest_bytes

MS_PER_SECOND = 1000
ERROR = 2
"""Of ``failureReason``: the call itself failed, not an assertion about its answer."""


class Promptfoo(CallLogs):
    """Results that promptfoo has written, ``promptfoo eval -o results.json`` for instance.

    A model is a provider, by its label if it has one. A sample is a prompt as sent with its
    variables; the prompts of one set of variables are a group. Calls of equal prompts,
    ``--repeat``, are averaged. The data set is the evaluation's description, else the file's
    name. The utility is ``score``, of all assertions, or ``namedScores.<name>`` if
    ``metrics`` says so. An answer from promptfoo's cache costs what the call did that it is of,
    which is unknown where none is stated, and how long it took is unknown; else a call took
    ``latencyMs``.

    The layout is that of promptfoo's ``EvaluateResult`` (github.com/promptfoo/promptfoo,
    ``src/types/index.ts``).
    """

    name = "promptfoo"

    @classmethod
    def recognise(cls, there: Survey) -> Recognised | None:
        """Recognise results by their results' providers."""
        own = any("results.results.provider" in there.keys(name) for name in there.some(".json"))
        return Recognised({"path": str(there.path)}) if own else None

    @property
    def wanted(self) -> str:
        """What the logs are called."""
        return "results of promptfoo, a JSON with 'results' that has 'results'"

    def find(self, root: Path) -> list[Path]:
        """List the JSON files."""
        return list(root.rglob("*.json"))

    def read_log(self, path: Path, remark: Callable[[str, str], None]) -> Log | None:
        """Read one evaluation."""
        content = read_json_file(path)
        rows = at(content, "results", "results")
        if not isinstance(rows, list):
            return None
        dataset = text(at(content, "config", "description")) or path.stem
        calls = []
        for number, row in enumerate(rows, 1):
            place = f"{path}: result {number}"
            call = _call(row, dataset, place)
            if at(row, "response", "cached") and np.isnan(call.cost):
                remark("answers came from promptfoo's cache, and their cost is unknown", place)
            calls.append(call)
        return Log(path, True, text(at(content, "results", "timestamp")), calls)


def _call(row: Any, dataset: str, place: str) -> Call:
    raw, variables, answer = (
        at(row, "prompt", "raw"),
        at(row, "vars"),
        at(row, "response", "output"),
    )
    written = answer if isinstance(answer, str) or answer is None else json.dumps(answer)
    sample = json.dumps([raw, variables], sort_keys=True)
    provider = at(row, "provider")
    model = text(at(provider, "label")) or text(at(provider, "id")) or text(provider)
    if not model:
        raise InputError(f"{place}: names no provider; remove it or run the evaluation again")
    named = at(row, "namedScores")
    named = (
        {f"namedScores.{name}": own for name, own in named.items()}
        if isinstance(named, dict)
        else {}
    )
    return Call(
        sample=digest_bytes(sample.encode("utf-8", "replace"))[:16],
        dataset=dataset,
        scenario=dataset,
        group=digest_bytes(json.dumps(variables, sort_keys=True).encode()) if variables else "",
        question=text(raw),
        answer="",
        model=model,
        scores=scored({"score": at(row, "score"), **named}),
        main=("score",),
        cost=_cost(row),
        prompt_tokens=amount(at(row, "response", "tokenUsage", "prompt")),
        completion_tokens=amount(at(row, "response", "tokenUsage", "completion")),
        prediction=written,
        failed=at(row, "failureReason") == ERROR or not (written or "").strip(),
        place=place,
        latency_s=np.nan
        if at(row, "response", "cached")
        else amount(at(row, "latencyMs")) / MS_PER_SECOND,
    )


def _cost(row: Any) -> float:
    """Return the cost in USD; unknown where it is 0 and the provider states none."""
    stated, noted = amount(at(row, "response", "cost")), amount(at(row, "cost")) or np.nan
    if at(row, "response", "cached"):
        stated = stated or np.nan
    return stated if stated == stated else noted
