"""What a deployed router makes of a query before it predicts anything."""

import json
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mmroute.cli import _query
from mmroute.decision.deployed import DeployedRouter
from mmroute.encoders.builtin import Builtin
from mmroute.errors import InputError
from mmroute.features.embeddings import embed
from mmroute.features.side_features import side_features
from mmroute.predictions import Predictions


class Watched(DeployedRouter):
    """Goes by embeddings and side features, which it keeps, and predicts nothing."""

    def __init__(self):
        self._router, self._config = object(), SimpleNamespace(reads_samples=False)
        self._features = SimpleNamespace(fusion=SimpleNamespace(with_side=True))
        self._text_encoder = self._image_encoder = Builtin()
        self.models, self.allowed, self._blind = ["any"], np.ones(1, bool), np.zeros(1, bool)
        self._encoding = {name: threading.Lock() for name in ("text", "image")}
        probe = SimpleNamespace(probe=[0.0])
        self.card = SimpleNamespace(encoders={"text": probe, "image": probe})

    def _fused(self, features, text, image, side):
        self.image, self.side = image, side
        return np.zeros((len(side), 1))

    def _predict(self, router, Z):
        nothing = np.zeros((1, len(Z), 1))
        return Predictions(pd.Series(["0"] * len(Z)), nothing, nothing)


@pytest.fixture
def folder(tmp_path):
    for name in ("red", "blue"):
        Image.new("RGB", (40, 30), name).save(tmp_path / f"{name}.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    return tmp_path


def test_a_query_is_embedded_as_the_sample_with_its_images_was(folder):
    sample = pd.DataFrame({"question": ["What?"], "image": "red.png//blue.png"})
    embedded = embed(Builtin(), "image", sample, folder, 1)
    router, red, blue = Watched(), folder / "red.png", folder / "blue.png"
    doubled = f"//{str(blue)[1:].replace('/', '//')}"
    for images in ([red, blue], (str(red), doubled), [red.read_bytes(), blue.read_bytes()]):
        router.foresee_one("What?", images)
        np.testing.assert_array_equal(router.image.vectors, embedded.vectors)
        np.testing.assert_array_equal(router.image.norms, embedded.norms)
        np.testing.assert_array_equal(router.side, side_features(sample, folder))
    router.foresee(
        pd.DataFrame({"image": [np.array([str(red), str(blue)]), None, str(red)]}).assign(
            question="What?"
        )
    )
    np.testing.assert_array_equal(router.image.vectors[0], embedded.vectors[0])
    assert router.image.present.tolist() == [True, False, True]


def test_what_is_wrong_with_one_of_several_images_is_named(folder):
    router, red = Watched(), str(folder / "red.png")
    with pytest.raises(InputError, match=r"query 1: the image .*broken\.png cannot be decoded"):
        router.foresee_one(None, [red, folder / "broken.png", red])
    with pytest.raises(InputError, match=r"query 1: no image 'gone\.png'"):
        router.foresee_one(None, [red, "gone.png"])
    with pytest.raises(InputError, match="query 1: 1,001 images, of 1,000 that a query may have"):
        router.foresee_one(None, [red] * 1001)
    with pytest.raises(InputError, match="query 1: neither text nor image"):
        router.foresee_one(None, [])


def test_a_line_of_queries_may_name_several_images():
    line = json.dumps({"text": "What?", "image": ["a.png", "b.png"]})
    assert _query(line, 1, Path("q.jsonl"), "")["image"] == ["a.png", "b.png"]
    for image in (["a.png", 3], 3, {"a": 1}):
        with pytest.raises(InputError, match=r"q\.jsonl, line 1: image is .*; give text or null"):
            _query(json.dumps({"image": image}), 1, Path("q.jsonl"), "")
