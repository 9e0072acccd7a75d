"""Checks before a run, as a whole."""

import sys

import numpy as np
import pytest

from mmroute.checks import DATASET_COLUMNS, MODEL_COLUMNS


def test_of_sound_data_there_is_nothing_to_say_but_how_costs_are_known(bench):
    found = bench.check()
    assert [remark.level for remark in found.remarks] == ["note"]
    found.one("prompt tokens are unknown")
    assert found.errors == []


def test_what_a_run_would_use_is_told(bench):
    bench.rows = bench.rows[~(bench.of("c") & (bench.number < 100))]
    bench.tokens_for_costs()
    bench.price_file("a,1,2", "b,3,4", "c,5,6")
    found = bench.check()
    assert list(found.datasets) == list(DATASET_COLUMNS)
    assert found.datasets["dataset"].tolist() == ["A", "B", "full"]
    full = found.datasets.iloc[-1]
    assert (full["samples"], full["text"], full["image"]) == (400, 400, 0)
    assert full["train"] + full["test"] == 400
    assert 0.15 < full["train"] / 400 < 0.25
    assert list(found.models) == list(MODEL_COLUMNS)
    models = found.models.set_index("model")
    assert models["used"].to_dict() == {"a": True, "b": True, "c": False}
    assert models["coverage"].to_dict() == {"a": 1, "b": 1, "c": 0.75}
    assert models["accuracy"]["a"] == bench.rows[bench.of("a")]["utility"].mean()
    own = bench.rows[bench.of("b")]
    usd = (3 * own["prompt_tokens"] + 4 * own["completion_tokens"]).mean() / 1e6
    assert models["cost_usd"]["b"] == pytest.approx(usd)
    assert models.loc["b", "usd_per_1m_completion_tokens"] == 4
    assert models["cost_from"].tolist()[:2] == ["tokens", "tokens"]
    assert np.isnan(models["cost_usd"]["c"])


def test_nothing_is_written_for_local_data_and_torch_stays_out(bench):
    modules = set(sys.modules)
    bench.check()
    assert not (bench.folder / "results").exists()
    assert "torch" not in set(sys.modules) - modules


def test_all_of_them_at_once(bench):
    bench.tokens_for_costs()
    bench.rows.loc[bench.number == 7, "question"] = " "
    bench.price_file("a,1,1")
    found = bench.check(pool=["a", "b", "zebra"], decision={"what_if_prices": {"q": 2}})
    for part in ("'zebra'", "neither a question", "no price", "no model q"):
        assert found.one(part).level == "error"
    assert found.text().endswith("4 errors, 0 warnings, 0 notes\n")
