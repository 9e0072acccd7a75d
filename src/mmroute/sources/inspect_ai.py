"""The logs of Inspect AI: one file per task and model, JSON or a zip of JSON."""

import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mmroute.errors import InputError, raise_disk_fault
from mmroute.sources.calls import (
    Call,
    CallLogs,
    Log,
    amount,
    at,
    load_json,
    read_json_file,
    scored,
    text,
)
from mmroute.sources.survey import Recognised, Survey

MAX_MEMBER_BYTES = 2**30
ZSTANDARD = 93
"""Of a zip's methods; the standard library knows it from Python 3.14 on."""
LOCAL_HEADER = struct.Struct("<4s22xHH")
GRADES = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
WORDS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
"""Inspect's ``value_to_float``: correct, partial, incorrect, no answer; and words for them."""

_UNREADABLE = (
    *(OSError, ValueError, EOFError, RuntimeError, struct.error),
    *(zipfile.BadZipFile, zlib.error, pa.ArrowException),
)


class InspectAi(CallLogs):
    """Logs that Inspect AI has written, ``.eval`` or ``.json``.

    The data set is the task, the sample its id; epochs are averaged. The utility is the value
    of a scorer, or of one part of it, ``scorer.part``, by Inspect's own conversion. Tokens are
    those of the evaluated model alone, those of its cache among the prompt's; the cost is
    ``total_cost`` where it stands. The latency is the time of the evaluated model's calls, added
    up from the sample's events; where these do not tell it, the sample's ``working_time``, which
    holds tools and sandboxes too; unknown where an answer came from Inspect's cache. Of several
    logs of a model on a task one that has not broken off counts, of those with the most samples
    the last. Images are not read.

    The layout is that of ``EvalLog`` (github.com/UKGovernmentBEIS/inspect_ai,
    ``src/inspect_ai/log/_log.py`` and ``_recorders/eval.py``); the library itself is no light
    one, and is not needed.
    """

    name = "inspect_ai"

    @classmethod
    def recognise(cls, there: Survey) -> Recognised | None:
        """Recognise a zip by its suffix, JSON by the task and the model that it names."""
        own = any(zipfile.is_zipfile(there.root / name) for name in there.some(".eval")) or any(
            {"eval.task", "eval.model"} <= there.keys(name) for name in there.some(".json")
        )
        return Recognised({"path": str(there.path)}) if own else None

    @property
    def wanted(self) -> str:
        """What the logs are called."""
        return "logs of Inspect AI, .eval or .json with 'eval' and 'samples'"

    def find(self, root: Path) -> list[Path]:
        """List the files of both formats."""
        return [*root.rglob("*.eval"), *root.rglob("*.json")]

    def read_log(self, path: Path, remark: Callable[[str, str], None]) -> Log | None:
        """Read one log."""
        if path.suffix == ".eval":
            return _read_zip(path, remark)
        content = read_json_file(path)
        samples = at(content, "samples")
        listed = samples if isinstance(samples, list) else []
        named = ((f"{path}: sample {number}", one) for number, one in enumerate(listed, 1))
        return _log(path, content, named, remark)


def _read_zip(path: Path, remark: Callable[[str, str], None]) -> Log | None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = {member.filename: member for member in archive.infolist()}
            head = members.get("header.json") or members.get("_journal/start.json")
            if head is None:
                return None
            samples = (
                (f"{path}: {name!r:.80}", _member(archive, member, path))
                for name, member in sorted(members.items())
                if name.startswith("samples/") and name.endswith(".json")
            )
            return _log(path, _member(archive, head, path), samples, remark)
    except _UNREADABLE as error:
        if isinstance(error, InputError):
            raise
        raise_disk_fault(error, path)
        raise InputError(
            f"{path}: not readable as a zip ({error!s:.200}); give a whole log"
        ) from error


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> Any:
    """Parse a member of a zip, which may have been packed by Zstandard."""
    if member.file_size > MAX_MEMBER_BYTES:
        raise ValueError(f"{member.filename!r:.80} unpacks to more than {MAX_MEMBER_BYTES:,} bytes")
    if member.compress_type != ZSTANDARD:
        content = archive.read(member)
    else:
        with path.open("rb") as stream:
            stream.seek(member.header_offset)
            _, name, extra = LOCAL_HEADER.unpack(stream.read(LOCAL_HEADER.size))
            stream.seek(name + extra, 1)
            packed = stream.read(member.compress_size)
        with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as unpacked:
            content = unpacked.read(member.file_size + 1)
        if len(content) != member.file_size or zlib.crc32(content) != member.CRC:
            raise ValueError(f"{member.filename!r:.80} is damaged")
    return load_json(content, f"{path}: {member.filename!r:.80}")


def _log(
    path: Path,
    head: Any,
    samples: Iterable[tuple[str, Any]],
    remark: Callable[[str, str], None],
) -> Log | None:
    task, model = text(at(head, "eval", "task")), text(at(head, "eval", "model"))
    if not task or not model:
        return None
    whole = at(head, "status") == "success"
    if not whole:
        remark("logs are of runs that broke off; what they lack is missing", str(path))
    calls = [call for place, one in samples for call in _calls(one, task, model, place, remark)]
    return Log(path, whole, text(at(head, "eval", "created")), calls)


def _calls(
    sample: Any, task: str, model: str, place: str, remark: Callable[[str, str], None]
) -> Iterator[Call]:
    name = text(at(sample, "id"))
    question, has_images = _question(sample)
    if has_images:
        remark("samples hold images, which are not read", place)
    usage = at(sample, "model_usage", model) or at(sample, "output", "usage")
    prompt = [
        amount(at(usage, part))
        for part in ("input_tokens", "input_tokens_cache_read", "input_tokens_cache_write")
    ]
    answer = _answer(at(sample, "output"))
    target = at(sample, "target")
    yield Call(
        sample=name,
        dataset=task,
        scenario=task,
        group="",
        question=question,
        answer=text(target[0] if isinstance(target, list) and target else target),
        model=model,
        scores=scored(_values(at(sample, "scores"))),
        main=(),
        cost=amount(at(usage, "total_cost")),
        prompt_tokens=prompt[0] + float(np.nansum(prompt[1:])),
        completion_tokens=amount(at(usage, "output_tokens")),
        prediction=answer,
        failed=at(sample, "error") is not None or answer == "",
        place=place,
        latency_s=_latency(sample, model),
    )


def _latency(sample: Any, model: str) -> float:
    """Return the seconds that the model's calls took, see ``InspectAi``."""
    events = at(sample, "events")
    calls = [
        event
        for event in (events if isinstance(events, list) else [])
        if (at(event, "event"), at(event, "model"), at(event, "role")) == ("model", model, None)
    ]
    if any(at(call, "cache") == "read" for call in calls):
        return np.nan
    seconds = sum((amount(at(call, "output", "time")) for call in calls), 0.0)
    if calls and seconds == seconds:
        return seconds
    return amount(at(sample, "working_time"))


def _question(sample: Any) -> tuple[str, bool]:
    """Return what the user asked last, with the choices, and whether it shows images."""
    asked, has_images = at(sample, "input"), False
    if isinstance(asked, list):
        users = [at(one, "content") for one in asked if at(one, "role") == "user"]
        asked = users[-1] if users else ""
        parts = asked if isinstance(asked, list) else []
        has_images = any(at(part, "type") == "image" for part in parts)
    choices = at(sample, "choices")
    lines = [_text(asked), *(map(text, choices) if isinstance(choices, list) else [])]
    return "\n".join(lines), has_images


def _answer(output: Any) -> str | None:
    """Return the answer, None where the log keeps none or it is a call of tools."""
    choices = at(output, "choices")
    message = at(choices[0], "message") if isinstance(choices, list) and choices else None
    said = _text(at(message, "content")) or text(at(output, "completion"))
    if output is None or (not said.strip() and at(message, "tool_calls")):
        return None
    return said.strip() and said


def _text(content: Any) -> str:
    """Return a message's text, of several parts those that are text."""
    if isinstance(content, list):
        return "\n".join(text(at(part, "text")) for part in content if at(part, "type") == "text")
    return text(content)


def _values(scores: Any) -> dict[str, Any]:
    """Return the values of all scorers, those of an object by ``scorer.part``."""
    values: dict[str, Any] = {}
    for scorer, given in scores.items() if isinstance(scores, Mapping) else ():
        value = at(given, "value")
        if isinstance(value, dict):
            values |= {f"{scorer}.{part}": _number(own) for part, own in value.items()}
        else:
            values[scorer] = _number(value)
    return values


def _number(value: Any) -> Any:
    """Return what a value that is text stands for, and another one as it is."""
    if not isinstance(value, str):
        return value
    if value in GRADES or value.lower() in WORDS:
        return GRADES.get(value, WORDS.get(value.lower()))
    try:
        return float(value)
    except ValueError:
        return None
