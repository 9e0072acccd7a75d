"""A config for logs passes the check, and says what was guessed and what is missing."""

import errno
import os
import warnings
from pathlib import Path

import pandas as pd
import pytest
import yaml
from miniatures import MINIATURES, MODELS, SAFE_MODELS, cost, question, right, tokens

from mmroute.checks import check
from mmroute.checks.proposed import propose
from mmroute.config import load
from mmroute.errors import InputError

ONES = [1.0, 1.0]
PUBLISHED = {"GPT4o": [2.5, 10], "Gemma3-27B": [0.35, 0.5], "Janus-Pro-1B": [0.05, 0.05]}
SAFE = {model: ONES for model in sorted(SAFE_MODELS)}
KEYS = {
    "table": {
        "columns": {
            "sample_id": "id",
            "model": "model_name",
            "utility": "score",
            "question": "prompt",
            "cost": "cost_usd",
        },
        "scale": 100,
    },
    "vlmevalkit": {"prices": SAFE},
    "lmms_eval": {
        "metrics": {"vqa_val": "exact_match"},
        "prices": {f"org__{model}": ONES for model in SAFE},
    },
    "lm_evaluation_harness": {
        "filter": "strict-match",
        "prices": {f"org__{model}": ONES for model in SAFE},
    },
    "inspect_ai": {
        "metrics": {"gsm8k": "match"},
        "prices": {f"openai/{model}": ONES for model in SAFE},
    },
    "helm": {"prices": {f"org/{model}": ONES for model in SAFE}},
    "opencompass": {"prices": SAFE},
    "vl_release": {"prices": PUBLISHED},
    "vl_release_archive": {"prices": PUBLISHED},
    "routerbench": {"file": "routerbench_5shot.pkl"},
    "routereval": {"level": "easy", "pool_size": 3, "group": "all_strong", "prices": SAFE},
    "embedllm": {"prices": dict.fromkeys(MODELS, ONES)},
    "mixinstruct": {"prices": dict.fromkeys(MODELS, ONES)},
    "llmrouterbench": {"prices": SAFE},
    "r2bench": {
        "prices": {
            f"{model}@budget={budget}": ONES
            for model in ("Qwen/Qwen3-0.6B", "glm")
            for budget in (10, 100)
        }
    },
}
"""What the sources have to be told beside kind and path."""


def proposed(path, results):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        proposal = propose(path, results)
        assert yaml.safe_load(proposal.text()) == proposal.content
        config = load(proposal.content, "proposed")
        return proposal, check(config, results / config.name / "source")


def said(proposal, key):
    return " ".join(text for about, text in proposal.said if about == key)


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def rows(**more):
    """60 questions to two models; a value is a function of both, or the same everywhere."""
    return [
        {"sample_id": f"s{i}", "model": model, "utility": right(i, j), "question": question(i)}
        | {name: value(i, j) if callable(value) else value for name, value in more.items()}
        for i in range(60)
        for j, model in enumerate("ab")
    ]


@pytest.mark.parametrize("name", MINIATURES)
def test_a_config_for_each_layout_passes_the_check(tmp_path, name):
    kind, make = MINIATURES[name]
    make(tmp_path / name)
    proposal, found = proposed(tmp_path / name, tmp_path / "results")
    assert (proposal.kind, proposal.problem) == (kind, "")
    assert [remark.message for remark in found.errors] == []
    source = dict(proposal.content["source"])
    for key in {"path", "outcomes"} & set(source):
        assert Path(source.pop(key)).is_relative_to(tmp_path / name)
    assert source == {"kind": kind} | KEYS.get(name, {})
    assert proposal.content["name"] == name
    assert set(proposal.content) == {"name", "source"}
    for key in KEYS.get(name, {}):
        about = {"pool_size": "level", "group": "level"}.get(key, key)
        assert key == "file" or said(proposal, f"source.{about}")


def test_prices_that_nobody_gave_are_missing_and_one_for_all(tmp_path):
    write(tmp_path / "t.csv", rows(prompt_tokens=lambda i, j: tokens(i, j)[0], completion_tokens=9))
    proposal, found = proposed(tmp_path / "t.csv", tmp_path / "results")
    assert proposal.content["source"]["prices"] == {"a": ONES, "b": ONES}
    assert "MISSING: USD per million" in said(proposal, "source.prices")
    assert any("tokens cost the same" in remark.message for remark in found.remarks)


def test_a_price_table_beside_the_logs_counts(tmp_path):
    write(tmp_path / "logs/t.csv", rows(prompt_tokens=9, completion_tokens=lambda i, _: i))
    header = ["model", "usd_per_1m_prompt_tokens", "usd_per_1m_completion_tokens"]
    prices = [dict(zip(header, row, strict=True)) for row in (("a", 1, 2), ("b", 3, 4))]
    write(tmp_path / "logs/prices.csv", prices)
    for logs in ("logs", "logs/t.csv"):
        proposal, found = proposed(tmp_path / logs, tmp_path / "results")
        assert proposal.content["source"]["prices"] == str(tmp_path / "logs/prices.csv")
        assert not found.errors


def test_without_costs_tokens_and_answers_a_call_has_a_price(tmp_path):
    proposal, found = proposed(write(tmp_path / "t.csv", rows()), tmp_path / "results")
    assert proposal.content["source"]["prices"] == {"a": 1.0, "b": 1.0}
    assert "MISSING: USD per call" in said(proposal, "source.prices")
    assert not found.errors


def test_models_that_cannot_be_priced_are_left_out(tmp_path):
    costs = [row | {"cost": None if row["model"] == "c" else 0.5} for row in rows()]
    costs += [row | {"model": "c", "cost": None} for row in costs[::2]]
    proposal, found = proposed(write(tmp_path / "t.csv", costs), tmp_path / "results")
    assert proposal.content["pool"] == ["a", "b"]
    assert said(proposal, "pool").endswith("not to be had: c")
    assert not found.errors


def test_models_of_few_samples_and_few_samples_have_a_word(tmp_path):
    own = rows(cost=lambda i, j: cost(i, j))
    few = [row for row in own if int(row["sample_id"][1:]) < (24 if row["model"] == "b" else 60)]
    proposal, found = proposed(write(tmp_path / "t.csv", few), tmp_path / "results")
    assert proposal.content["min_coverage"] == 0.4
    assert not found.errors
    proposal, found = proposed(write(tmp_path / "u.csv", own[:6]), tmp_path / "results")
    assert 0 < proposal.content["split"]["train"] < 1
    assert said(proposal, "split")
    assert not found.errors


def test_a_column_that_tells_groups_is_declared(tmp_path):
    own = [
        row | {"question": f"{question(k)} {part}", "variants": f"v{k}", "utility": right(k, 0)}
        for row in rows(cost=lambda i, j: cost(i, j))
        for k, part in [divmod(int(row["sample_id"][1:]), 3)]
    ]
    proposal, found = proposed(write(tmp_path / "t.csv", own), tmp_path / "results")
    assert proposal.content["source"]["columns"] == {"group": "variants"}
    assert not found.errors
    assert not any("not declared" in remark.message for remark in found.remarks)


def test_text_in_another_encoding_is_said(tmp_path):
    own = write(tmp_path / "t.csv", rows(cost=0.5, note="é"))
    own.write_bytes(own.read_text("utf-8").encode("cp1252"))
    proposal, _ = proposed(own, tmp_path / "results")
    assert proposal.content["source"]["encoding"] == "cp1252"
    assert "is no UTF-8, and may be cp1252" in said(proposal, "source.encoding")


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("a: b # c", "a-b-c"),
        ("'\"x\n- y", "x-y"),
        ("#日本", "logs"),
        ("{{}} *&! %@`", "logs"),
        ("-é-", "logs"),
        ("null", "null"),
        ("x" * 200, "logs"),
    ],
)
def test_hostile_names_are_written_as_safe_yaml(tmp_path, folder, name):
    model = "m: [1\n# é\u202e"
    own = [row | {"model": row["model"] + model} for row in rows()]
    path = write(tmp_path / folder / f"{folder[:20]}.csv", own)
    proposal, _ = proposed(tmp_path / folder, tmp_path / "results")
    assert proposal.content["name"] == name
    assert proposal.content["source"]["path"] == str(path)
    keys = {line.split(":")[0] for line in proposal.text().splitlines() if line[:1].isalpha()}
    assert keys == {"name", "source"}
    assert proposal.text().replace("\n", "").isprintable()


def test_logs_that_cannot_be_used_are_shown_with_the_reason(tmp_path):
    own = [row | {"question": ""} for row in rows(cost=0.5)]
    proposal, found = proposed(write(tmp_path / "t.csv", own), tmp_path / "results")
    assert "question" in proposal.problem
    assert "# NOT USABLE YET: " in proposal.text()
    assert proposal.content["source"]["path"] == str(tmp_path / "t.csv")
    assert found.errors


def test_scores_that_no_way_of_reading_fits_end(tmp_path):
    own = write(tmp_path / "t.csv", rows(cost=0.5, utility=lambda i, j: 3 * i * j - 5))
    proposal, _ = proposed(own, tmp_path / "results")
    assert "no finite number" in proposal.problem


def test_where_nothing_is_recognised_it_is_said_what_is_there_and_what_is_known(tmp_path):
    for name in ("notes.txt", "sub/x.bin", "Makefile"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    with pytest.raises(InputError) as caught:
        propose(tmp_path, tmp_path / "results")
    message = str(caught.value)
    assert (
        "it has 3 files (no suffix, .txt, .bin), such as Makefile, notes.txt, sub/x.bin" in message
    )
    assert {kind for kind, _ in MINIATURES.values()} <= set(message.replace(":", " ").split())
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="it has no files"):
        propose(tmp_path / "none", tmp_path / "results")


def test_of_tables_alone_it_is_said_which_columns_they_have(tmp_path):
    own = write(tmp_path / "t.csv", [{"who": "m", "what": "q", "how": 1}])
    for path in (own, tmp_path):
        with pytest.raises(InputError, match=r"/t\.csv is a table with the columns who, what, how"):
            propose(path, tmp_path / "results")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match="it has 2 files"):
        propose(tmp_path, tmp_path / "results")


def test_a_folder_above_names_the_one_that_is_meant(tmp_path):
    MINIATURES["lmms_eval"][1](tmp_path / "runs/lmms")
    with pytest.raises(InputError, match=f"but {tmp_path}/runs/lmms is read as lmms_eval"):
        propose(tmp_path / "runs", tmp_path / "results")


def test_a_folder_that_may_not_be_read_is_left_out_but_not_the_first(tmp_path, monkeypatch):
    shut, scandir = tmp_path / "shut", os.scandir
    shut.mkdir()
    (shut / "hidden.csv").write_text("x")

    def listed(folder):
        # Root reads every folder, whatever its mode.
        if Path(folder) == shut:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", listed)
    with pytest.raises(InputError, match="it has no files"):
        propose(tmp_path, tmp_path / "results")
    with pytest.raises(OSError, match="denied"):
        propose(tmp_path / "shut", tmp_path / "results")
