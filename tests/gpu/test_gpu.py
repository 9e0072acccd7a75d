"""The script that needs a card, as far as that goes without one."""

import os
import re
import subprocess
import sys
from importlib import util
from pathlib import Path

import numpy as np
import pytest
from parity import Parity, difference
from throughput import Throughput
from written import image_towers

SCRIPT = Path(__file__).with_name("__main__.py")
NETWORKS = {
    *("cmr", "cosinecls", "embedllm", "equirouter", "irt", "linear_vl", "mlp", "mlp_mf"),
    *("mlp_vl", "routerdc", "vlc", "zooter"),
}
EQUAL = Parity("equal", 0.0, 1e-3, on_card=True)
BUSY = Throughput("busy", forward=100.0, prepared=200.0, embedded=96.0)


@pytest.fixture
def script():
    spec = util.spec_from_file_location("gpu_script", SCRIPT)
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(*arguments):
    return subprocess.run(
        [sys.executable, SCRIPT.parent, *arguments],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_a_rehearsal_runs_all_of_it_and_claims_nothing():
    told = run("--rehearse")
    assert told.returncode == 0, told.stderr
    rows = [re.split(r" *\| *", line)[1:-1] for line in told.stdout.splitlines() if line[:1] == "|"]
    named = {row[0] for row in rows}
    assert {"OpenCLIP, text", "OpenCLIP, image", "tiny"} <= named
    assert {f"`{name}`" for name in NETWORKS} <= named
    tuned = {name.split("`")[1] for name in named if "finetune" in name}
    assert tuned == {"cosinecls", "routerdc", "vlc", "zooter"}
    assert "no card: a rehearsal on the CPU" in told.stdout
    assert "Embedding must reach" not in told.stdout
    assert "What this says of a card: nothing." in told.stdout


@pytest.mark.slow
def test_without_a_card_nothing_is_run_and_it_says_so():
    told = run()
    assert told.returncode == 77
    assert told.stderr.endswith("NOT RUN: no CUDA device\n")
    assert told.stdout == ""


@pytest.mark.parametrize(
    ("parity", "throughput", "held"),
    [
        (EQUAL, BUSY, True),
        (EQUAL._replace(difference=2e-3), BUSY, False),
        (EQUAL._replace(difference=float("nan")), BUSY, False),
        (EQUAL._replace(on_card=False), BUSY, False),
        (EQUAL, BUSY._replace(embedded=94.0), False),
        (EQUAL, BUSY._replace(prepared=100.0), False),
    ],
    ids=["all held", "different", "no number", "computed elsewhere", "waiting", "cores too slow"],
)
def test_what_does_not_hold_fails_the_check(
    script, monkeypatch, tmp_path, capsys, parity, throughput, held
):
    monkeypatch.setattr(script, "compare", lambda folder: [EQUAL, parity])
    monkeypatch.setattr(script, "throughputs", lambda folder, rehearsed: [throughput])
    assert script.check(tmp_path, rehearsed=False) == held
    assert f"| busy | 100 | {throughput.prepared:,.0f} |" in capsys.readouterr().out


def test_a_difference_is_relative_to_the_largest_number():
    assert difference(np.array([1.0, -3.9]), np.array([1.0, -4.0])) == pytest.approx(0.025)
    assert np.isnan(difference(np.array([1.0, np.nan]), np.ones(2)))


def test_models_are_tried_until_the_cores_can_feed_one(script, monkeypatch, tmp_path):
    measured = iter([BUSY._replace(forward=1000.0), BUSY, BUSY])
    monkeypatch.setattr(script, "write_model", lambda folder, name, config: name)
    monkeypatch.setattr(script, "measure", lambda *given: next(measured))
    assert len(list(script.throughputs(tmp_path, rehearsed=False))) == 2


def test_the_image_towers_are_of_full_size():
    widths = [config["vision_cfg"]["width"] for config in image_towers().values()]
    assert widths == [768, 1024, 1280]
