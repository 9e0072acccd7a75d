"""Small whole inputs in the layouts of releases and of applications' logs, and what they say."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import inputs
from inputs import DATASETS, MODELS, PRICES, SAMPLES, SIZE, WRITERS, Numbers, Pair, Table

NOTED = "2025-01-02T03-04-05.678901"


@dataclass
class Layout:
    """What a source reads.

    Attributes
    ----------
    source
        The config's ``source``; ``prices.csv`` is there if it names it.
    files
        By path a table, the lines of a JSONL, the content of a JSON, or bytes.
    numbers
        What the files say.
    pairs
        Of each file, the pairs that it says something of.
    """

    source: dict[str, Any]
    files: dict[str, Any] = field(default_factory=dict)
    numbers: Numbers = field(default_factory=dict)
    pairs: dict[str, set[Pair]] = field(default_factory=dict)

    def add(self, path: str, content: Any, numbers: Numbers) -> None:
        """Add a file and what it says."""
        self.files[path] = content
        self.pairs[path] = set(numbers)
        self.numbers |= numbers

    def contents(self) -> dict[str, bytes]:
        """Return the files as they are written, and the prices."""
        files = {path: written(path, content) for path, content in self.files.items()}
        if "prices" in self.source:
            models = sorted({model for _, model in self.numbers})
            rates = ([model, *PRICES[model.split("@")[0]]] for model in models)
            files["prices.csv"] = Table(inputs.PRICE_HEADER, rates).text()
        return files

    def write(self, folder: Path) -> None:
        """Write the files below a folder."""
        for path, content in self.contents().items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)


def written(path: str, content: Any) -> bytes:
    """Return a file's bytes."""
    if isinstance(content, bytes):
        return content
    if isinstance(content, Table):
        return WRITERS[Path(path).suffix](content)
    if path.endswith(".jsonl"):
        return "".join(json.dumps(line) + "\n" for line in content).encode()
    return json.dumps(content, indent=1).encode()


def _of(dataset: str) -> Iterator[tuple[int, str]]:
    """Yield the samples of a data set with their numbers over all data sets."""
    return ((i, name) for i, name in enumerate(SAMPLES) if name.startswith(dataset))


def _each() -> Iterator[tuple[int, str, str]]:
    return ((j, model, dataset) for j, model in enumerate(MODELS) for dataset in DATASETS)


def _priced(model: str, prompt: int, completion: int) -> float:
    rates = PRICES[model]
    return (prompt * rates[0] + completion * rates[1]) / 1e6


def _tokens_of(text: str) -> int:
    return -(-len(text.encode()) // 4)


def _answer(i: int, j: int) -> str:
    return f"answer {i} {j}"


def _by_tokens(model: str, j: int, dataset: str) -> Numbers:
    return {
        (name, model): (inputs.utility(i, j), _priced(model, *inputs.tokens(i, j)))
        for i, name in _of(dataset)
    }


def _by_texts(model: str, j: int, dataset: str) -> Numbers:
    return {
        (name, model): (
            inputs.utility(i, j),
            _priced(model, _tokens_of(inputs.question(i)), _tokens_of(_answer(i, j))),
        )
        for i, name in _of(dataset)
    }


def helm() -> Layout:
    layout = Layout({"kind": "helm", "path": "runs", "prices": "prices.csv"})
    for j, model, dataset in _each():
        run, own = f"runs/{dataset},model={model}", _by_tokens(model, j, dataset)
        stats = [
            {
                "instance_id": str(i % SIZE),
                "train_trial_index": 0,
                "stats": [
                    {"name": {"name": name}, "count": 1, "sum": value, "mean": value}
                    for name, value in (
                        ("exact_match", inputs.utility(i, j)),
                        ("num_prompt_tokens", inputs.tokens(i, j)[0]),
                        ("num_output_tokens", inputs.tokens(i, j)[1]),
                    )
                ],
            }
            for i, _ in _of(dataset)
        ]
        states = [
            {
                "instance": {
                    "id": str(i % SIZE),
                    "input": {"text": inputs.question(i)},
                    "references": [{"output": {"text": "A"}, "tags": ["correct"]}],
                },
                "train_trial_index": 0,
                "result": {"success": True, "completions": [{"text": _answer(i, j)}]},
            }
            for i, _ in _of(dataset)
        ]
        spec = {"name": f"{dataset}:model={model}", "adapter_spec": {"model": model}}
        layout.add(f"{run}/per_instance_stats.json", stats, own)
        layout.add(f"{run}/run_spec.json", spec, own)
        layout.add(f"{run}/scenario_state.json", {"request_states": states}, own)
    return layout


def inspect_ai(packed: bool = False) -> Layout:
    layout = Layout({"kind": "inspect_ai", "path": "logs", "prices": "prices.csv"})
    for j, model, dataset in _each():
        samples = [
            {
                "id": i % SIZE,
                "epoch": 1,
                "input": inputs.question(i),
                "target": "A",
                "output": {"choices": [{"message": {"content": _answer(i, j)}}]},
                "scores": {"match": {"value": inputs.utility(i, j)}},
                "model_usage": {
                    model: dict(
                        zip(("input_tokens", "output_tokens"), inputs.tokens(i, j), strict=True)
                    )
                },
            }
            for i, _ in _of(dataset)
        ]
        head = {
            "status": "success",
            "eval": {"task": dataset, "model": model, "created": "2025-01-02T03:04:05"},
        }
        content: Any = head | {"samples": samples}
        if packed:
            members = {
                f"samples/{own['id']}_epoch_1.json": json.dumps(own).encode() for own in samples
            }
            content = zipped({"header.json": json.dumps(head).encode(), **members})
        path = f"logs/{dataset}_{model}.{'eval' if packed else 'json'}"
        layout.add(path, content, _by_tokens(model, j, dataset))
    return layout


def zipped(members: dict[str, bytes]) -> bytes:
    """Return a zip of members."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def promptfoo() -> Layout:
    layout = Layout({"kind": "promptfoo", "path": "results"})
    for dataset in DATASETS:
        rows, numbers = [], {}
        for i, _ in _of(dataset):
            asked = [inputs.question(i), {"number": i}]
            own = json.dumps(asked, sort_keys=True).encode()
            sample = f"{dataset}_{hashlib.blake2b(own, digest_size=16).hexdigest()[:16]}"
            for j, model in enumerate(MODELS):
                numbers[sample, model] = (inputs.utility(i, j), inputs.cost(i, j))
                rows.append(
                    {
                        "prompt": {"raw": asked[0], "label": "p"},
                        "vars": asked[1],
                        "provider": {"id": model, "label": ""},
                        "response": {
                            "output": _answer(i, j),
                            "cost": inputs.cost(i, j),
                            "tokenUsage": {"prompt": 3, "completion": 4},
                        },
                        "score": inputs.utility(i, j),
                        "namedScores": {},
                        "failureReason": 0,
                    }
                )
        content = {
            "results": {"timestamp": "2025-01-02", "results": rows},
            "config": {"description": dataset},
        }
        layout.add(f"results/{dataset}.json", content, numbers)
    return layout


def opencompass() -> Layout:
    layout = Layout({"kind": "opencompass", "path": "outputs", "prices": "prices.csv"})
    run = f"outputs/{inputs.DATE}"
    for j, model, dataset in _each():
        numbers = _by_texts(model, j, dataset)
        details = {
            str(i % SIZE): {"pred": "A", "correct": inputs.utility(i, j)} for i, _ in _of(dataset)
        }
        said = {
            str(i % SIZE): {
                "origin_prompt": [{"role": "HUMAN", "prompt": inputs.question(i)}],
                "prediction": _answer(i, j),
                "gold": "A",
            }
            for i, _ in _of(dataset)
        }
        layout.add(
            f"{run}/results/{model}/{dataset}.json", {"accuracy": 50.0, "details": details}, numbers
        )
        layout.add(f"{run}/predictions/{model}/{dataset}.json", said, numbers)
    return layout


def lm_eval() -> Layout:
    layout = Layout({"kind": "lmms_eval", "path": "logs", "prices": "prices.csv"})
    for j, model, dataset in _each():
        lines = [
            {
                "doc_id": i % SIZE,
                "doc": {"question": inputs.question(i)},
                "target": "A",
                "arguments": {"gen_args_0": {"arg_0": inputs.question(i), "arg_1": {"until": []}}},
                "resps": [[_answer(i, j)]],
                "filtered_resps": [_answer(i, j)],
                "filter": "none",
                "metrics": ["exact_match"],
                "doc_hash": "d",
                "prompt_hash": "p",
                "target_hash": "t",
                "exact_match": inputs.utility(i, j),
            }
            for i, _ in _of(dataset)
        ]
        path = f"logs/{model}/samples_{dataset}_{NOTED}.jsonl"
        layout.add(path, lines, _by_texts(model, j, dataset))
    return layout


def older_lmms_eval() -> Layout:
    layout = Layout({"kind": "lmms_eval", "path": "logs", "prices": "prices.csv"})
    for j, model, dataset in _each():
        records = [
            {
                "doc_id": i % SIZE,
                "doc": {"question": inputs.question(i)},
                "target": "A",
                "resps": [[_answer(i, j)]],
                "filtered_resps": [_answer(i, j)],
                "exact_match": inputs.utility(i, j),
            }
            for i, _ in _of(dataset)
        ]
        content = {"args": {}, "logs": records}
        path = f"logs/0102_0304_{model}/{dataset}.json"
        layout.add(path, content, _by_texts(model, j, dataset))
    return layout


def llmrouterbench() -> Layout:
    layout = Layout({"kind": "llmrouterbench", "path": "release"})
    for j, model, dataset in _each():
        numbers = {
            (f"{dataset}_test_{i % SIZE}", model): (inputs.utility(i, j), inputs.cost(i, j))
            for i, _ in _of(dataset)
        }
        records = [
            {
                "index": i % SIZE,
                "origin_query": inputs.question(i),
                "prompt": inputs.question(i),
                "prediction": _answer(i, j),
                "ground_truth": "A",
                "score": inputs.utility(i, j),
                "prompt_tokens": 3,
                "completion_tokens": 4,
                "cost": inputs.cost(i, j),
            }
            for i, _ in _of(dataset)
        ]
        path = f"release/bench/{dataset}/test/{model}/{model}_{inputs.DATE}.json"
        layout.add(path, {"demo": False, "records": records}, numbers)
    return layout


def xroutebench() -> Layout:
    layout = Layout({"kind": "xroutebench", "path": "release"})
    columns = (
        *("embedding_id", "task_name", "query", "model_name", "performance"),
        *("input_tokens", "output_tokens", "response"),
    )
    for dataset in DATASETS:
        for split, part in (("train", range(SIZE // 2)), ("test", range(SIZE // 2, SIZE))):
            rows, numbers = [], {}
            for i, _ in _of(dataset):
                for j, model in enumerate(MODELS):
                    if i % SIZE in part:
                        utility, tokens = inputs.utility(i, j), inputs.tokens(i, j)
                        rows.append(
                            [i, dataset, inputs.question(i), model, utility, *tokens, _answer(i, j)]
                        )
                        numbers[f"{dataset}_{split}_{i}", model] = (
                            utility,
                            _priced(model, *tokens),
                        )
            layout.add(f"release/{dataset}/{split}.parquet", Table(columns, rows), numbers)
    prices = Table(
        ("model_name", "input_price_per_1m", "output_price_per_1m"),
        ([model, *rates] for model, rates in PRICES.items()),
    )
    layout.add("release/llm_candidates/train.parquet", prices, dict(layout.numbers))
    return layout


def r2bench() -> Layout:
    layout = Layout({"kind": "r2bench", "path": "release", "prices": "prices.csv"})
    for j, model in enumerate(MODELS):
        rows, numbers = [], {}
        for i, name in enumerate(SAMPLES):
            used = inputs.tokens(i, j)[1]
            rows.append([name, inputs.question(i), used, inputs.utility(i, j)])
            paid = _priced(model, _tokens_of(inputs.question(i)), used)
            numbers[name, f"{model}@budget=100"] = (inputs.utility(i, j), paid)
        columns = ("key", "original_prompt", "actual_token_count", "correctness_score")
        layout.add(f"release/data/{model}/100_judge.csv", Table(columns, rows), numbers)
    return layout


def routerarena() -> Layout:
    layout = Layout({"kind": "routerarena", "path": "release"})
    for j, model in enumerate(MODELS):
        lines, numbers = [], {}
        for i, name in enumerate(SAMPLES):
            lines.append(
                {
                    "global_index": name,
                    "question": inputs.question(i),
                    "generated_answer": _answer(i, j),
                    "token_usage": {"input_tokens": 3, "output_tokens": 4},
                    "success": True,
                    "evaluation_result": {
                        "score": inputs.utility(i, j),
                        "ground_truth": "A",
                        "inference_cost": inputs.cost(i, j),
                    },
                }
            )
            numbers[name, model] = (inputs.utility(i, j), inputs.cost(i, j))
        layout.add(f"release/cached_results/{model}.jsonl", lines, numbers)
    return layout


def mmr_v2() -> Layout:
    layout = Layout({"kind": "mmr_release", "path": "release"})
    for j, model, dataset in _each():
        numbers = {
            (name, model): (inputs.utility(i, j), inputs.cost(i, j)) for i, name in _of(dataset)
        }
        rows = [
            [name, model, *numbers[name, model], "USD", "ok", _answer(i, j)]
            for i, name in _of(dataset)
        ]
        columns = ("sample_id", "model_id", "score", "cost", "cost_unit", "status", "prediction")
        layout.add(f"release/data/results/{model}/{dataset}.parquet", Table(columns, rows), numbers)
    for dataset in DATASETS:
        rows = [[name, dataset, inputs.question(i), [f"{i}.png"], "A"] for i, name in _of(dataset)]
        columns = ("sample_id", "benchmark", "prompt_text", "images", "answer")
        own = {pair: told for pair, told in layout.numbers.items() if pair[0].startswith(dataset)}
        layout.add(f"release/data/instances/{dataset}.parquet", Table(columns, rows), own)
    return layout


def decision_log() -> Layout:
    """A log that went on in a new file, and so did the outcomes beside it."""
    own = {"kind": "decision_log", "path": "logs/log.jsonl", "outcomes": "logs/judged.jsonl"}
    layout = Layout(own)
    for dataset, part in zip(DATASETS, ("-0001", ""), strict=True):
        decided, judged, numbers = [], [], {}
        for i, name in _of(dataset):
            called = i % len(MODELS)
            decided.append(
                {
                    "id": name,
                    "time": f"2026-01-02T03:04:{i:02}+00:00",
                    "model": MODELS[called],
                    "candidates": [*MODELS],
                    "utility": {model: 0.5 for model in MODELS},
                    "cost_usd": {model: inputs.cost(i, j) for j, model in enumerate(MODELS)},
                    "paid_usd": inputs.cost(i, called),
                    "propensity": 1 / len(MODELS),
                    "dataset": dataset,
                    "text": inputs.question(i),
                }
            )
            for j, model in enumerate(MODELS):
                told = {"utility": inputs.utility(i, j)}
                if j != called:
                    told |= {"model": model, "cost_usd": inputs.cost(i, j)}
                judged.append({"id": name} | told)
                numbers[name, model] = (inputs.utility(i, j), inputs.cost(i, j))
        layout.add(f"logs/log{part}.jsonl", decided, numbers)
        layout.add(f"logs/judged{part}.jsonl", judged, numbers)
    return layout


LAYOUTS: dict[str, Callable[[], Layout]] = {
    "helm": helm,
    "inspect_ai": inspect_ai,
    "inspect_ai, packed": lambda: inspect_ai(packed=True),
    "promptfoo": promptfoo,
    "opencompass": opencompass,
    "lm-evaluation-harness": lm_eval,
    "older lmms-eval": older_lmms_eval,
    "llmrouterbench": llmrouterbench,
    "xroutebench": xroutebench,
    "r2bench": r2bench,
    "routerarena": routerarena,
    "mmr_v2": mmr_v2,
    "decision_log": decision_log,
}
