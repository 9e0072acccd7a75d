"""The runs of HELM: folders of JSON, one per scenario and model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mmroute.sources.calls import Call, CallLogs, Log, amount, at, read_json_file, scored, text
from mmroute.sources.survey import Recognised, Survey
from mmroute.storage import is_file

STATS, SPEC = "per_instance_stats.json", "run_spec.json"
STATE, INSTANCES = "scenario_state.json", "instances.json"
SCHEMA = "schema.json"
"""Of a suite, beside its runs, as ``helm-summarize`` writes it."""
MAIN_SPLIT = "test"
"""The ``main_split`` of most of HELM's scenarios."""
MAIN = {
    **dict.fromkeys(("narrative_qa", "natural_qa"), "f1_score"),
    **dict.fromkeys(("commonsense", "mmlu"), "exact_match"),
    **dict.fromkeys(("legalbench", "med_qa"), "quasi_exact_match"),
    **dict.fromkeys(("mmlu_pro", "gpqa"), "chain_of_thought_correctness"),
    "gsm": "exact_match_indicator",
    "math": "math_equiv_chain_of_thought",
    "wmt_14": "bleu_4",
    "ifeval": "ifeval_strict_accuracy",
    "wildbench": "wildbench_score_rescaled",
    "omni_math": "omni_math_accuracy",
}
"""The ``main_name`` of HELM's scenarios (``src/helm/benchmark/static/schema_lite.yaml``,
``schema_capabilities.yaml``)."""
METRICS = (
    *("exact_match", "quasi_exact_match", "prefix_exact_match", "quasi_prefix_exact_match"),
    *("final_number_exact_match", "math_equiv", *dict.fromkeys(MAIN.values())),
)
"""Those of HELM's many statistics that say how good an answer is, and are at most 1."""
TOKENS = {
    "prompt_tokens": ("num_prompt_tokens",),
    "completion_tokens": ("num_completion_tokens", "num_output_tokens"),
}


class Helm(CallLogs):
    """Runs of HELM, a folder ``benchmark_output/runs/<suite>`` or one run of it.

    A run is a folder with ``per_instance_stats.json`` and ``run_spec.json``, and, for
    questions and answers, ``scenario_state.json`` or ``instances.json``. An instance has a row
    of statistics for each of HELM's metrics, which count together. The model is that of
    its adapter; the data set its name without the model, the scenario what stands before the
    name's first colon. The question is the instance's input, with the options of a multiple
    choice, not the prompt with its examples. Perturbed instances are left out; several
    trials are averaged. The metric and the split of instances are what HELM itself reports of a
    scenario: the ``main_name`` and ``main_split`` of its group in the suite's ``schema.json``,
    else ``MAIN``, or one of ``METRICS``, and ``test`` where a run has it. ``metrics`` may name
    another metric. A call took ``inference_runtime`` seconds, of models that answer offline the
    time of the whole batch.

    The layout is that of HELM (github.com/stanford-crfm/helm,
    ``src/helm/benchmark/runner.py``, ``adaptation/request_state.py`` and
    ``presentation/schema.py``).
    """

    name = "helm"

    @classmethod
    def recognise(cls, there: Survey) -> Recognised | None:
        """Recognise a run by its files' names."""
        found = (there.root / name for name in there.some(STATS))
        own = any(path.name == STATS and is_file(path.with_name(SPEC)) for path in found)
        return Recognised({"path": str(there.path)}) if own else None

    @property
    def wanted(self) -> str:
        """What the logs are called."""
        return f"runs of HELM, folders with {STATS} and {SPEC}"

    def find(self, root: Path) -> list[Path]:
        """List the statistics of all runs."""
        return list(root.rglob(STATS))

    def companions(self, path: Path) -> list[Path]:
        """List the run's other files that are read."""
        own = [path.with_name(name) for name in (SPEC, STATE, INSTANCES)]
        return [*own, path.parent.with_name(SCHEMA)]

    def read_log(self, path: Path, remark: Callable[[str, str], None]) -> Log | None:
        """Read a run."""
        rows = read_json_file(path)
        spec = path.with_name(SPEC)
        run = read_json_file(spec) if is_file(spec) else {}
        model, name = text(at(run, "adapter_spec", "model")), text(at(run, "name"))
        if not isinstance(rows, list) or not model:
            return None
        name = name or path.parent.name
        instances, answers = _described(path, at(run, "adapter_spec", "method"))
        main, split = _reported(path.parent.with_name(SCHEMA), _list(at(run, "groups")))
        main = main or MAIN.get(_without_model(name).split(":")[0], "")
        stats: dict[tuple[str, str], list[Any]] = {}
        for row in rows:
            if at(row, "perturbation") is None:
                one = text(at(row, "instance_id")), text(at(row, "train_trial_index"))
                stats.setdefault(one, []).extend(_list(at(row, "stats")))
        splits = {one: _split(own) for one, own in stats.items()}
        found = set(splits.values())
        reported = next(({one} for one in (split, MAIN_SPLIT) if one in found), found)
        calls = []
        for (key, trial), own in stats.items():
            if splits[key, trial] not in reported:
                remark(
                    "instances are of another split than the one that HELM reports, and are left "
                    "out",
                    f"{path}: instance {key!r:.80} of {splits[key, trial]!r:.80}",
                )
                continue
            about, said = instances.get(key, ("", "")), answers.get((key, trial))
            calls.append(_call(path, own, key, model, name, main, about, said))
        return Log(path, True, "", calls)


def _reported(schema: Path, groups: list[Any]) -> tuple[str, str]:
    """Return the metric and the split that HELM reports of a run's groups, empty where unknown."""
    listed = _list(at(read_json_file(schema), "run_groups")) if is_file(schema) else []
    for group in listed:
        main = text(at(group, "environment", "main_name"))
        if main and at(group, "name") in groups:
            return main, text(at(group, "environment", "main_split"))
    return "", ""


def _split(stats: list[Any]) -> str:
    """Return the split of an instance, which each of its statistics names."""
    return next((text(at(one, "name", "split")) for one in stats), "")


def _described(
    path: Path, method: Any
) -> tuple[dict[str, tuple[str, str]], dict[tuple[str, str], tuple[str | None, bool]]]:
    """Return each instance's question and answer, and by instance and trial what was said.

    The latter are the completion, None where the likelihood of given answers was asked for,
    and whether the request failed.
    """
    is_choice = text(method).startswith("multiple_choice")
    state, listed = path.with_name(STATE), path.with_name(INSTANCES)
    requests = at(read_json_file(state), "request_states") if is_file(state) else None
    requests = requests if isinstance(requests, list) else []
    known = read_json_file(listed) if is_file(listed) else []
    described: dict[str, tuple[str, str]] = {}
    said: dict[tuple[str, str], tuple[str | None, bool]] = {}
    for instance in [*(at(one, "instance") for one in requests), *_list(known)]:
        if at(instance, "perturbation") is None:
            described[text(at(instance, "id"))] = _question(instance, is_choice)
    for one in requests:
        if at(one, "instance", "perturbation") is None:
            key = text(at(one, "instance", "id")), text(at(one, "train_trial_index"))
            completions = _list(at(one, "result", "completions"))
            answer = text(at(completions[0], "text")) if completions else ""
            failed = at(one, "result", "success") is not True
            asked = at(one, "reference_index") is not None
            said.setdefault(key, (None if asked else answer, failed or not (asked or answer)))
    return described, said


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _question(instance: Any, is_choice: bool) -> tuple[str, str]:
    """Return an instance's question, with its options if it has any, and its first answer."""
    references = _list(at(instance, "references"))
    options = [text(at(one, "output", "text")) for one in references]
    right = (
        option
        for one, option in zip(references, options, strict=True)
        if "correct" in _list(at(one, "tags"))
    )
    lines = [text(at(instance, "input", "text")), *(options if is_choice else [])]
    return "\n".join(lines), next(right, "")


def _call(
    path: Path,
    listed: list[Any],
    key: str,
    model: str,
    name: str,
    main: str,
    about: tuple[str, str],
    said: tuple[str | None, bool] | None,
) -> Call:
    stats = {
        text(at(one, "name", "name")): at(one, "mean") if "mean" in one else at(one, "sum")
        for one in listed
        if isinstance(one, dict) and at(one, "name", "perturbation") is None
    }
    counts = {
        ours: next((amount(stats[one]) for one in theirs if one in stats), np.nan)
        for ours, theirs in TOKENS.items()
    }
    dataset = _without_model(name)
    answer, failed = said or (None, False)
    return Call(
        sample=key,
        dataset=dataset,
        scenario=dataset.split(":")[0],
        group="",
        question=about[0],
        answer=about[1],
        model=model,
        scores=scored(stats),
        main=(main,) if main and main in stats else METRICS,
        cost=np.nan,
        prediction=answer,
        failed=failed,
        place=f"{path}: instance {key!r:.80}",
        latency_s=amount(stats.get("inference_runtime")),
        **counts,
    )


def _without_model(name: str) -> str:
    """Return a run's name without the model that it names."""
    scenario, _, arguments = name.partition(":")
    kept = [one for one in arguments.split(",") if one and not one.startswith("model")]
    return f"{scenario}:{','.join(kept)}" if kept else scenario
