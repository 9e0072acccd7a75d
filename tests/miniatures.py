"""What each source reads, in miniature and in its real layout: 60 questions, three models."""

import base64
import io
import json
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

SIZE, MODELS = 60, ("Qwen2.5-VL-3B", 'gpt-5: "mini"', "claude-4")
SAFE_MODELS = ("Qwen2.5-VL-3B", "gpt-5-mini", "claude-4")
DATE = "20250102_030405"
_WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in ("r", "n", "st", "mp")]


def question(number: int) -> str:
    """A question that has nothing to do with the others."""
    rng = np.random.default_rng([1, number])
    return " ".join(rng.choice(_WORDS, 12)) + "?"


def answer(number: int, model: int) -> str:
    rng = np.random.default_rng([2, number, model])
    return " ".join(rng.choice(_WORDS, int(rng.integers(3, 12)) + 5 * model))


def right(number: int, model: int) -> int:
    return int(np.random.default_rng([3, number, model]).random() < 0.4 + 0.15 * model)


def cost(number: int, model: int) -> float:
    return round((1 + model) * (1 + number % 7) / 1000, 6)


def tokens(number: int, model: int) -> tuple[int, int]:
    return 20 + number % 9, 5 + number % 11 + 7 * model


def _put(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")


def _lines(path: Path, records: list[dict[str, Any]]) -> None:
    _put(path, "".join(json.dumps(record) + "\n" for record in records))


def _frame(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame(rows)
    match path.suffix:
        case ".csv":
            frame.to_csv(path, index=False)
        case ".parquet":
            frame.to_parquet(path)
        case ".xlsx":
            frame.to_excel(path, index=False)
        case ".pkl":
            frame.astype(object).to_pickle(path)


def picture(number: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (12, 9), (number * 4 % 256, number % 7 * 30, 90)).save(stream, "PNG")
    return stream.getvalue()


def table(folder: Path) -> None:
    rows = [
        {"id": f"q{i}", "model_name": model, "score": 100 * right(i, j), "cost_usd": cost(i, j)}
        | {"prompt": question(i)}
        for i in range(SIZE)
        for j, model in enumerate(MODELS)
    ]
    _frame(folder / "outcomes.csv", rows)


def vlmevalkit(folder: Path) -> None:
    for j, model in enumerate(SAFE_MODELS):
        rows = [
            {"index": i, "question": question(i), "A": "red", "B": "blue", "answer": "A"}
            | {"prediction": answer(i, j), "hit": right(i, j)}
            for i in range(SIZE)
        ]
        run = folder / model / "T20250101_Gabc"
        _frame(run / f"{model}_MMStar_openai_result.xlsx", rows)
        kept = [{key: row[key] for key in ("index", "question", "prediction")} for row in rows]
        _frame(run / f"{model}_MMStar.xlsx", kept)
        _put(run / f"{model}_MMStar_acc.csv", "split,Overall\nnone,0.5\n")


def lmms_eval(folder: Path) -> None:
    for j, model in enumerate(SAFE_MODELS):
        for task in ("vqa_val", "gsm8k"):
            _lines(
                folder / f"org__{model}" / f"{DATE}_samples_{task}.jsonl",
                [
                    {
                        "doc_id": i,
                        "input": question(i + 100 * (task == "gsm8k")),
                        "target": "A",
                        "filtered_resps": [answer(i, j)],
                        "resps": [[answer(i, j)]],
                        "exact_match": float(right(i, j)),
                        "gpt_eval_score": right(i, j) / 2 if task == "vqa_val" else None,
                    }
                    for i in range(SIZE)
                ],
            )


def lm_evaluation_harness(folder: Path) -> None:
    for j, model in enumerate(SAFE_MODELS):
        _lines(
            folder / f"org__{model}" / "samples_gsm8k_2025-01-02T03-04-05.123456.jsonl",
            [
                {
                    "doc_id": i,
                    "doc": {"question": question(i)},
                    "target": "4",
                    "arguments": {"gen_args_0": {"arg_0": question(i), "arg_1": {"until": ["Q:"]}}},
                    "resps": [[answer(i, j)]],
                    "filtered_resps": ["4"],
                    "filter": name,
                    "metrics": ["exact_match"],
                    "exact_match": float(right(i, j + shift)),
                }
                for i in range(SIZE)
                for shift, name in enumerate(("strict-match", "flexible-extract"))
            ],
        )


def inspect_ai(folder: Path) -> None:
    for j, model in enumerate(SAFE_MODELS):
        name = f"openai/{model}"
        spec = {"task": "gsm8k", "model": name, "created": f"2025-01-02T03:04:0{j}+00:00"}
        head = {"version": 2, "status": "success", "eval": spec, "plan": {}, "results": {}}
        samples = [
            {
                "id": i,
                "epoch": 1,
                "input": question(i),
                "target": "4",
                "output": {
                    "choices": [{"message": {"role": "assistant", "content": answer(i, j)}}]
                },
                "scores": {
                    "match": {"value": "IC"[right(i, j)]},
                    "judge": {"value": {"tone": 0.5, "fact": right(i, j)}},
                },
                "model_usage": {
                    name: dict(zip(("input_tokens", "output_tokens"), tokens(i, j), strict=True))
                },
            }
            for i in range(SIZE)
        ]
        folder.mkdir(parents=True, exist_ok=True)
        if j == 0:
            _put(folder / "2025-01-02_gsm8k_a.json", head | {"samples": samples})
            continue
        with zipfile.ZipFile(folder / f"2025-01-02_gsm8k_{j}.eval", "w") as archive:
            archive.writestr("header.json", json.dumps(head))
            for one in samples:
                archive.writestr(f"samples/{one['id']}_epoch_1.json", json.dumps(one))


def promptfoo(folder: Path) -> None:
    rows = [
        {
            "promptIdx": 0,
            "provider": {"id": f"openai:{model}", "label": ""},
            "prompt": {"raw": question(i), "label": "{{q}}"},
            "vars": {"q": question(i)},
            "response": {
                "output": answer(i, j),
                "tokenUsage": dict(zip(("prompt", "completion"), tokens(i, j), strict=True)),
                "cached": False,
            },
            "success": bool(right(i, j)),
            "score": right(i, j),
            "namedScores": {},
            "failureReason": 0,
            "cost": cost(i, j),
        }
        for i in range(SIZE)
        for j, model in enumerate(MODELS)
    ]
    results = {"version": 3, "timestamp": "2025-01-02T03:04:05Z", "results": rows, "stats": {}}
    _put(folder / "results.json", {"evalId": "eval-1", "results": results, "config": {}})


def decision_log(folder: Path) -> None:
    decisions, outcomes = [], []
    for i in range(SIZE):
        told = {"id": f"q{i}", "time": "2026-01-02T03:04:05+00:00", "model": MODELS[i % 3]}
        decisions.append(told | {"propensity": 0.5, "text": question(i), "dataset": "chat"})
        decisions.append({"id": f"q{i}", "cost_usd": cost(i, i % 3), "latency_s": 0.5})
        for j, model in enumerate(MODELS):
            known = {} if i % 3 == j else {"cost_usd": cost(i, j)}
            outcomes.append({"id": f"q{i}", "model": model, "correct": bool(right(i, j))} | known)
    _lines(folder / "log-0001.jsonl", decisions[:60])
    _lines(folder / "log.jsonl", decisions[60:])
    _lines(folder / "judged.jsonl", outcomes)


def helm(folder: Path) -> None:
    for j, model in enumerate(SAFE_MODELS):
        name = f"mmlu:subject=law,model=org_{model}"
        run = folder / "runs/v1" / name
        stats = [
            {
                "instance_id": f"id{i}",
                "train_trial_index": 0,
                "stats": [
                    {"name": {"name": what, "split": "test"}, "count": 1, "sum": value}
                    for what, value in (
                        ("exact_match", right(i, j)),
                        ("num_prompt_tokens", tokens(i, j)[0]),
                        ("num_output_tokens", tokens(i, j)[1]),
                    )
                ],
            }
            for i in range(SIZE)
        ]
        states = [
            {
                "instance": {"id": f"id{i}", "split": "test", "input": {"text": question(i)}}
                | {"references": []},
                "train_trial_index": 0,
                "request": {"model": f"org/{model}"},
                "result": {"success": True, "completions": [{"text": answer(i, j)}]},
            }
            for i in range(SIZE)
        ]
        spec = {"method": "generation", "model": f"org/{model}"}
        _put(run / "per_instance_stats.json", stats)
        _put(run / "run_spec.json", {"name": name, "adapter_spec": spec})
        _put(run / "scenario_state.json", {"adapter_spec": {}, "request_states": states})


def opencompass(folder: Path) -> None:
    for j, model in enumerate(SAFE_MODELS):
        said = {
            str(i): {"origin_prompt": question(i), "prediction": answer(i, j), "gold": "A"}
            for i in range(SIZE)
        }
        verdicts = {str(i): {"pred": "A", "correct": bool(right(i, j))} for i in range(SIZE)}
        _put(folder / DATE / "predictions" / model / "gsm8k.json", said)
        details = {"accuracy": 50.0, "details": {"type": "GEN"} | verdicts}
        _put(folder / DATE / "results" / model / "gsm8k.json", details)


def mmr_release(folder: Path) -> None:
    rows = [
        {"dataset_idx": f"MathVision_{i}", "question": question(i), "answer": "B"}
        | {
            f"{model}_{what}": value
            for j, model in enumerate(MODELS)
            for what, value in (("correct", right(i, j)), ("cost", cost(i, j)))
        }
        for i in range(SIZE)
    ]
    _frame(folder / "MMR_Bench.csv", rows)
    (folder / "MathVision").mkdir()
    for i in range(SIZE):
        (folder / f"MathVision/{i}.png").write_bytes(picture(i))


def mmr_release_v2(folder: Path) -> None:
    described = [
        {"sample_id": f"ERQA_{i}", "benchmark": "ERQA", "prompt_text": question(i)}
        | {"images": [f"images/ERQA/{i}.png"]}
        for i in range(SIZE)
    ]
    _frame(folder / "data/instances/ERQA.parquet", described)
    for j, model in enumerate(SAFE_MODELS):
        rows = [
            {"sample_id": f"ERQA_{i}", "benchmark": "ERQA", "model_id": model, "status": "ok"}
            | {"score": float(right(i, j)), "cost": cost(i, j), "cost_unit": "USD"}
            | {"prediction": answer(i, j)}
            for i in range(SIZE)
        ]
        _frame(folder / f"data/results/{model}/ERQA.parquet", rows)


def vl_release(folder: Path) -> None:
    data = folder / "vlm_router_data"
    for j, model in enumerate(("Janus-Pro-1B", "Gemma3-27B", "GPT4o")):
        rows = [{"index": i, "question": question(i), "hit": right(i, j)} for i in range(SIZE)]
        raw = [{"index": i, "prediction": answer(i, j)} for i in range(SIZE)]
        name = f"{model}/{model}_MMStar"
        _frame(data / f"VLMEvalKit_evaluation/{name}_openai_result.xlsx", rows)
        _frame(data / f"VLMEvalKit_inference/{name}.xlsx", raw)
    cells = [f"{i}\t{base64.b64encode(picture(i)).decode()}" for i in range(SIZE)]
    _put(data / "TSV_images/MMStar.tsv", "\n".join(["index\timage", *cells]) + "\n")


def vl_release_archive(folder: Path) -> None:
    vl_release(folder / "unpacked")
    with tarfile.open(folder / "vlm_router_data.tar.gz", "w:gz") as archive:
        archive.add(folder / "unpacked/vlm_router_data", arcname="vlm_router_data")
    for path in sorted((folder / "unpacked").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (folder / "unpacked").rmdir()


def routerbench(folder: Path) -> None:
    rows = [
        {"sample_id": f"mmlu-law.val.{i}", "prompt": question(i), "eval_name": "mmlu-law"}
        | {
            f"{model}{suffix}": value
            for j, model in enumerate(SAFE_MODELS)
            for suffix, value in (
                ("", float(right(i, j))),
                ("|model_response", answer(i, j)),
                ("|total_cost", cost(i, j)),
            )
        }
        for i in range(SIZE)
    ]
    _frame(folder / "routerbench_5shot.pkl", rows)


def routereval(folder: Path) -> None:
    sizes = {"train": 40, "val": 10, "test": 10}
    starts = {"train": 0, "val": 40, "test": 50}
    pool = {
        "model": list(SAFE_MODELS),
        "data": {
            f"{split}_score": np.array(
                [[right(starts[split] + i, j) for j in range(3)] for i in range(size)]
            )
            for split, size in sizes.items()
        },
    }
    prompts = {
        f"{split}_prompt": [question(starts[split] + i) for i in range(size)]
        for split, size in sizes.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    content = {"prompt": prompts, "easy": {3: {"all_strong": pool}}}
    (folder / "mmlu_router_dataset.pkl").write_bytes(pickle.dumps(content))


def embedllm(folder: Path) -> None:
    rows = [
        {"prompt_id": i, "model_id": j, "category_id": 0, "label": right(i, j)}
        | {"prompt": question(i), "model_name": model, "category": "mmlu_law"}
        for i in range(SIZE)
        for j, model in enumerate(MODELS)
    ]
    _frame(folder / "train.csv", rows[:90])
    _frame(folder / "test.csv", rows[90:])


def mixinstruct(folder: Path) -> None:
    for split, numbers in (("train", range(40)), ("test", range(40, SIZE))):
        _lines(
            folder / f"{split}_data_prepared.jsonl",
            [
                {
                    "id": f"dolly/{i}",
                    "instruction": question(i),
                    "input": "",
                    "output": "a b",
                    "candidates": [
                        {
                            "decoding_method": "top_p_sampling",
                            "model": model,
                            "text": answer(i, j),
                            "scores": {"bertscore": right(i, j) * 0.9, "bartscore": -4.0},
                        }
                        for j, model in enumerate(MODELS)
                    ],
                }
                for i in numbers
            ],
        )


def llmrouterbench(folder: Path) -> None:
    for j, model in enumerate(SAFE_MODELS):
        records = [
            {
                "index": i,
                "origin_query": question(i),
                "prompt": f"Answer this: {question(i)}",
                "prediction": answer(i, j),
                "ground_truth": "4",
                "score": float(right(i, j)),
                "prompt_tokens": tokens(i, j)[0],
                "completion_tokens": tokens(i, j)[1],
                "cost": cost(i, j) if j else None,
            }
            for i in range(SIZE)
        ]
        path = folder / f"bench/aime/test/{model}/aime-test-{model}-20250901_120000.json"
        _put(path, {"performance": 0.5, "demo": False, "records": records})


def xroutebench(folder: Path) -> None:
    prices = {"input_price_per_1m": [0.1, 1.0, 3.0], "output_price_per_1m": [0.2, 2.0, 15.0]}
    candidates = pd.DataFrame({"model_name": MODELS} | prices)
    _frame(folder / "llm_candidates/train.parquet", candidates.to_dict("records"))
    for split, numbers in (("train", range(40)), ("test", range(40, SIZE))):
        rows = [
            {"embedding_id": i, "task_name": "gsm8k", "query": question(i), "model_name": model}
            | {"performance": float(right(i, j)), "response": answer(i, j)}
            | dict(zip(("input_tokens", "output_tokens"), tokens(i, j), strict=True))
            for i in numbers
            for j, model in enumerate(MODELS)
        ]
        _frame(folder / f"generic/{split}.parquet", rows)


def r2bench(folder: Path) -> None:
    for j, model in enumerate(("Qwen/Qwen3-0.6B", "glm")):
        for budget in (10, 100):
            rows = [
                {"key": f"q{i}", "original_prompt": question(i), "response": answer(i, j)}
                | {"actual_token_count": budget + i % 5}
                | {"correctness_score": right(i, j + (budget > 10))}
                for i in range(SIZE)
            ]
            _frame(folder / f"data/{model}/{budget}_judge.csv", rows)


def routerarena(folder: Path) -> None:
    for j, model in enumerate(SAFE_MODELS):
        judged = [{"score": right(i, j), "ground_truth": "B"} for i in range(SIZE)]
        _lines(
            folder / f"cached_results/{model}.jsonl",
            [
                {
                    "global_index": f"AIME_{i}",
                    "question": question(i),
                    "generated_answer": answer(i, j),
                    "token_usage": dict(
                        zip(("input_tokens", "output_tokens"), tokens(i, j), strict=True)
                    ),
                    "success": True,
                    "evaluation_result": judged[i] | {"inference_cost": cost(i, j)},
                }
                for i in range(SIZE)
            ],
        )


MINIATURES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "table": ("table", table),
    "vlmevalkit": ("vlmevalkit", vlmevalkit),
    "lmms_eval": ("lmms_eval", lmms_eval),
    "lm_evaluation_harness": ("lmms_eval", lm_evaluation_harness),
    "inspect_ai": ("inspect_ai", inspect_ai),
    "promptfoo": ("promptfoo", promptfoo),
    "decision_log": ("decision_log", decision_log),
    "helm": ("helm", helm),
    "opencompass": ("opencompass", opencompass),
    "mmr_release": ("mmr_release", mmr_release),
    "mmr_release_v2": ("mmr_release", mmr_release_v2),
    "vl_release": ("vl_release", vl_release),
    "vl_release_archive": ("vl_release", vl_release_archive),
    "routerbench": ("routerbench", routerbench),
    "routereval": ("routereval", routereval),
    "embedllm": ("embedllm", embedllm),
    "mixinstruct": ("mixinstruct", mixinstruct),
    "llmrouterbench": ("llmrouterbench", llmrouterbench),
    "xroutebench": ("xroutebench", xroutebench),
    "r2bench": ("r2bench", r2bench),
    "routerarena": ("routerarena", routerarena),
}
"""By name the kind that reads it, and what writes it into a folder."""
