"""What docs/architecture/extending.md shows: each example is used as the page says."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmroute import catalogue, config
from mmroute.errors import InputError
from mmroute.evaluation.metrics import Frontiers, SingleModels, WeightedCurve
from mmroute.features.embeddings import embed
from mmroute.outcomes.ingestion import fetch, ingest

EXAMPLES = Path(__file__).parent
ROOT = EXAMPLES.parents[1]
VOTES = [
    {"id": 1, "question": "Sum?", "winner": "a", "loser": "b", "usd": {"a": 0.02, "b": 0.01}},
    {"id": 2, "question": "Slope?", "winner": "c", "loser": "a", "usd": {"a": 0.03, "c": 0.04}},
]


@pytest.fixture(autouse=True)
def _beside(monkeypatch):
    """Work where the examples lie, as a user works where his do."""
    monkeypatch.syspath_prepend(EXAMPLES)


def votes_file(folder, lines):
    path = folder / "votes.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_the_source_is_ingested(tmp_path):
    path = votes_file(tmp_path, map(json.dumps, VOTES))
    settings = config.load(
        {"name": "mine", "source": {"kind": "my_source:Votes", "path": str(path)}}, "my.yaml"
    )
    (part,) = settings.source.parts
    source = catalogue.build("sources", part.name, part.parameters)
    read = ingest({part.label: source}, fetch([source], tmp_path / "fetched"))
    assert read.table.model_names == ["a", "b", "c"]
    assert read.table.samples["sample_id"].tolist() == ["votes_1", "votes_2"]
    np.testing.assert_array_equal(read.table.utility, [[1, 0, np.nan], [0, np.nan, 1]])
    np.testing.assert_array_equal(read.table.cost, [[0.02, 0.01, np.nan], [0.03, np.nan, 0.04]])
    before = source.fingerprint()
    votes_file(tmp_path, map(json.dumps, VOTES[:1]))
    assert source.fingerprint() != before


@pytest.mark.parametrize("line", ["no JSON", "[]", '{"id": 1}', json.dumps(VOTES[0] | {"usd": {}})])
def test_the_source_names_the_line_that_it_cannot_read(tmp_path, line):
    path = votes_file(tmp_path, [json.dumps(VOTES[0]), line])
    source = catalogue.build("sources", "my_source:Votes", {"path": str(path)})
    with pytest.raises(InputError, match=re.escape(f"{path}, line 2: ")):
        source.read(tmp_path)


def test_the_encoder_keeps_its_contract(tmp_path, make_table):
    drawn, broken = tmp_path / "drawn.png", tmp_path / "broken.png"
    Image.new("L", (4, 4), 200).save(drawn)
    broken.write_bytes(b"no image")
    samples = make_table(n_samples=3).samples.assign(
        question=["Abba!", "", "x"], image=[drawn.name, broken.name, None]
    )
    settings = config.load(
        {
            "name": "mine",
            "source": {"kind": "demo"},
            "encoders": {"image": {"my_encoder:Shares": {"bins": 4}}, "text": "my_encoder:Shares"},
        },
        "my.yaml",
    )
    encoders = {
        modality: catalogue.build("encoders", named.name, named.parameters)
        for modality, named in (
            ("text", settings.encoders.text),
            ("image", settings.encoders.image),
        )
    }
    assert {encoder.key for encoder in encoders.values()} == {"shares-4", "shares-16"}
    text = embed(encoders["text"], "text", samples, tmp_path, threads=1)
    assert text.present.tolist() == [True, False, True]
    np.testing.assert_allclose(text.vectors[0, [0, 1, 26]], np.array([2, 2, 1]) / 3)
    image = embed(encoders["image"], "image", samples, tmp_path, threads=1)
    assert image.present.tolist() == [True, False, False]
    np.testing.assert_array_equal(image.vectors[0], [0, 0, 0, 1])
    paths = [drawn, broken] * 5
    assert np.array_equal(
        encoders["image"].encode_images(paths, 1),
        encoders["image"].encode_images(paths, 3),
        equal_nan=True,
    )


def test_the_metric_is_measured_and_low_values_of_it_are_better():
    from my_metric import PEAK_COST

    # Frontiers of the sample and of one resample; the single models cost 1 and 4.
    frontier = Frontiers(
        np.array([0, 0, 1]), np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.8, 0.7]), n_rows=2
    )
    singles = SingleModels(np.array([[1.0, 4.0]] * 2), np.array([[0.4, 0.6], [0.6, 0.4]]))
    points = frontier, np.array([0.8, 0.7])
    curve = WeightedCurve(frontier, singles, *points, *points, None)
    np.testing.assert_allclose(PEAK_COST.measure(curve), [2 / 4, 3 / 1])
    assert PEAK_COST.lower_is_better


@pytest.mark.slow
def test_the_router_passes_the_conformance_test():
    result = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", ROOT / "tests/routers/test_conformance.py"),
            *("--router", "my_routers:Kernel", "-k", "Kernel"),
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{EXAMPLES}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-3000:]
    assert re.search(r"\b1[0-9] passed", result.stdout), result.stdout
