"""The outputs of OpenCompass: predictions and verdicts as JSON, a file per model and data set."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from mmroute.errors import InputError
from mmroute.sources.calls import Call, CallLogs, Log, amount, at, read_json_file, scored, text
from mmroute.sources.survey import TRIED_FILES, Recognised, Survey
from mmroute.storage import is_file

RESULTS = "results"
VERDICTS = ("correct", "is_correct", "score")


class OpenCompass(CallLogs):
    """A work directory of OpenCompass, ``outputs/default`` or a run of it.

    Verdicts are ``<date>/results/<model>/<dataset>.json`` with ``details``, which
    ``--dump-eval-details`` writes, each with ``correct``, or else with ``predictions`` and
    ``references`` if equal ones give the file's ``accuracy``. Questions and answers are in
    ``predictions`` beside ``results``, in one file or in parts ``<dataset>_0.json``,
    ``<dataset>_1.json``. The scenario is what stands before the first ``-`` of a data set. Of
    several dates the last of those with the most samples counts.

    There are neither costs nor token counts: tokens are estimated from the texts. Where given
    answers are compared by their perplexity nothing is completed, and the prompt is what costs.

    The layout is that of OpenCompass (github.com/open-compass/opencompass,
    ``opencompass/tasks/openicl_eval.py``).
    """

    name = "opencompass"

    @classmethod
    def recognise(cls, there: Survey) -> Recognised | None:
        """Recognise results by their place, and by their details or the predictions beside them."""
        names = {there.root / name: name for name in there.names if name.endswith(".json")}
        results = [path for path in names if path.parent.parent.name == RESULTS]
        own = any(
            "details" in there.keys(names[path]) or any(_parts(path))
            for path in results[:TRIED_FILES]
        )
        return Recognised({"path": str(there.path)}) if own else None

    @property
    def wanted(self) -> str:
        """What the logs are called."""
        return "results/<model>/<dataset>.json with details, as --dump-eval-details writes them"

    def find(self, root: Path) -> list[Path]:
        """List the files of verdicts."""
        return [path for path in root.rglob("*.json") if path.parent.parent.name == RESULTS]

    def companions(self, path: Path) -> list[Path]:
        """List the files of predictions."""
        return list(_parts(path))

    def read_log(self, path: Path, remark: Callable[[str, str], None]) -> Log | None:
        """Read a model's verdicts on a data set."""
        content = read_json_file(path)
        details = at(content, "details")
        verdicts = dict(enumerate(details)) if isinstance(details, list) else details
        if not isinstance(verdicts, dict):
            remark(
                "results have no details, and so no verdict per sample; run the evaluation with "
                "--dump-eval-details",
                str(path),
            )
            return Log(path, True, "", [])
        if _is_equality(verdicts, at(content, "accuracy")):
            remark(
                "results have no verdict per sample, and equal answers are right, which gives "
                "their accuracy",
                str(path),
            )
            verdicts = {
                number: one | {"correct": _equal(one)}
                for number, one in verdicts.items()
                if isinstance(one, dict)
            }
        predictions = _predictions(path)
        calls = [
            _call(path, str(number), verdict, predictions.get(str(number), {}))
            for number, verdict in verdicts.items()
            if isinstance(verdict, dict)
        ]
        return Log(path, True, path.parent.parent.parent.name, calls)


def _parts(path: Path) -> Iterator[Path]:
    """Yield the files of predictions that results are of; the first one may be all."""
    folder = path.parent.parent.parent / "predictions" / path.parent.name
    whole = folder / path.name
    if is_file(whole):
        yield whole
        return
    for number in count():
        part = folder / f"{path.stem}_{number}.json"
        if not is_file(part):
            return
        yield part


def _predictions(path: Path) -> dict[str, Any]:
    """Return the predictions by their number over all parts."""
    found: list[Any] = []
    for part in _parts(path):
        content = read_json_file(part)
        own = content if isinstance(content, dict) else {}
        gap = next((number for number in range(len(own)) if str(number) not in own), None)
        if gap is not None:
            raise InputError(
                f"{part}: has {len(own):,} predictions and none with the number {gap}, and those "
                "after it may be of other samples; run the model again"
            )
        found += [own[str(number)] for number in range(len(own))]
    return {str(number): one for number, one in enumerate(found)}


def _call(path: Path, number: str, verdict: dict[str, Any], said: Any) -> Call:
    by_perplexity = isinstance(said, dict) and any(key.startswith("label: ") for key in said)
    answers = (_first(at(said, "prediction")), _first(verdict.get("origin_prediction")))
    answer = next((text(one) for one in answers if isinstance(one, str)), None)
    gold = at(said, "gold") if at(said, "gold") is not None else verdict.get("references")
    return Call(
        sample=number,
        dataset=path.stem,
        scenario=path.stem.split("-")[0],
        group="",
        question=_question(said) or _prompt(verdict.get("prompt")),
        answer=text(_first(gold)),
        model=path.parent.name,
        scores=scored({name: _verdict(verdict.get(name)) for name in VERDICTS}),
        main=(),
        cost=np.nan,
        prompt_tokens=np.nan,
        completion_tokens=0.0 if by_perplexity else np.nan,
        prediction=None if by_perplexity else answer,
        failed=not by_perplexity and answer is not None and not answer.strip(),
        place=f"{path}: details {number}",
    )


def _first(value: Any) -> Any:
    """Return the first of several repeats or answers, and one alone as it is."""
    return value[0] if isinstance(value, list) and value else value


def _verdict(value: Any) -> Any:
    """Return a verdict: text as the bool that it says, of several repeats the mean."""
    if isinstance(value, list):
        own = list(scored({str(place): _verdict(one) for place, one in enumerate(value)}).values())
        return float(np.mean(own)) if own and len(own) == len(value) else None
    return {"True": True, "False": False}.get(value, value) if isinstance(value, str) else value


def _is_equality(verdicts: dict[Any, Any], accuracy: Any) -> bool:
    """Tell whether an accuracy, in percent, is the share of answers that equal their reference."""
    own = [one for one in verdicts.values() if isinstance(one, dict)]
    if not own or any(name in one for one in own for name in VERDICTS):
        return False
    share = 100 * np.mean([_equal(one) for one in own])
    return bool(np.isclose(share, amount(accuracy), atol=0.01))


def _equal(verdict: dict[str, Any]) -> bool:
    answer = verdict.get("predictions")
    return answer is not None and answer == verdict.get("references")


def _question(said: Any) -> str:
    """Return what was asked, of given answers the text before the first one."""
    keys = said if isinstance(said, dict) else {}
    label = next((key for key in keys if key.startswith("label: ")), "")
    return text(at(said, label, "testing input")) or _prompt(at(said, "origin_prompt"))


def _prompt(prompt: Any) -> str:
    """Return a prompt, of a conversation the last turn that is not the model's."""
    if isinstance(prompt, list):
        turns = [turn for turn in prompt if at(turn, "role") not in (None, "BOT")]
        return text(at(turns[-1], "prompt")) if turns else ""
    return text(prompt)
