"""OpenCLIP's towers as part of a router, on a tiny model whose checkpoint is saved here."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from mmroute import persistence
from mmroute.catalogue import build
from mmroute.encoders.open_clip import OpenClip
from mmroute.errors import InputError
from mmroute.features.embeddings import embed
from mmroute.features.fusion import Pair
from mmroute.routers.towers import Towers

pytestmark = pytest.mark.slow

CONFIG = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
ROUTERS = ("cosinecls", "routerdc", "zooter", "vlc")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Hold tiny.json, tiny.pt, and one red, one blue and one broken image."""
    import open_clip

    folder = tmp_path_factory.mktemp("towers")
    (folder / "tiny.json").write_text(json.dumps(CONFIG))
    open_clip.add_model_config(folder / "tiny.json")
    torch.manual_seed(0)
    torch.save(open_clip.create_model("tiny").state_dict(), folder / "tiny.pt")
    for colour in ("red", "blue"):
        Image.new("RGB", (40, 30), colour).save(folder / f"{colour}.png")
    (folder / "broken.png").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return {"clip_model": str(folder / "tiny.json"), "pretrained": str(folder / "tiny.pt")}


def samples_of(folder, questions, images):
    paths = [None if image is None else str(folder / image) for image in images]
    return pd.DataFrame({"question": questions, "image": paths})


@pytest.fixture(scope="module")
def samples(folder):
    """Return 40 questions about a picture; three of six models are right on red ones."""
    questions = [f"Which colour is {index}?" for index in range(40)]
    return samples_of(folder, questions, ["red.png", "blue.png"] * 20)


UTILITY = np.tile(np.eye(2).repeat(3, axis=1), (20, 1))
COST = np.ones((40, 6))


def finetune(name, model, **parameters):
    brief = {"mode": "finetune", "epochs": 1, "finetune_epochs": 1, "lambdas": [0.0]}
    return build("routers", name, model | brief | parameters)


@pytest.fixture(scope="module", params=ROUTERS)
def router(request, model, samples, fit_usd):
    """Return a router whose head was given no time to learn before the towers were trained."""
    rates = {"learning_rate": 1e-9, "finetune_learning_rate": 2e-3}
    router = finetune(request.param, model, finetune_epochs=12, batch_size=12, **rates)
    return fit_usd(router, samples[:24], UTILITY[:24], COST[:24])


def parameters(network):
    return torch.nn.utils.parameters_to_vector(network.parameters())


def test_features_are_the_pairs_of_stored_embeddings(folder, model):
    images = ["red.png", None, "broken.png", "blue.png", "missing.png"]
    frame = samples_of(folder, ["What is it?", "word " * 50, "a", " ", "", ""], [*images, None])
    frame.loc[5, "image"] = "//".join(str(folder / images[place]) for place in (0, 3, 2, 0))
    with torch.inference_mode():
        features = Towers(**model)(frame).numpy()
    encoder = OpenClip(model["clip_model"], model["pretrained"])
    text, image = (embed(encoder, modality, frame, folder, 1) for modality in ("text", "image"))
    expected = Pair().fit(text, image).transform(text, image)
    np.testing.assert_allclose(features, expected, atol=1e-5)
    present = [(features[:, half] != 0).any(axis=1) for half in (slice(24), slice(24, None))]
    np.testing.assert_array_equal(
        present,
        [[True, True, True, False, False, False], [True, False, False, True, False, True]],
    )


def test_samples_without_any_modality_are_rows_of_zeros(folder, model):
    towers = Towers(**model)
    assert towers(samples_of(folder, ["", ""], [None, None])).tolist() == [[0.0] * 48] * 2
    assert towers(samples_of(folder, ["a"], [None])[:0]).shape == (0, 48)


def test_a_model_that_cannot_be_loaded_is_named(model):
    with pytest.raises(InputError, match="ViT-B32"):
        Towers("ViT-B32", model["pretrained"])


def test_finetuning_trains_both_towers(router, model):
    published = Towers(**model)
    towers, _ = router.network_
    for tower in ("visual", "transformer"):
        before, after = (
            parameters(getattr(network.clip, tower)) for network in (published, towers)
        )
        assert not torch.equal(before, after)


def test_finetuning_learns(router, samples):
    chosen = router.predict_scores(samples[24:])[0].argmax(axis=1)
    assert (chosen // 3).tolist() == [0, 1] * 8


def test_a_finetuned_router_predicts_after_it_was_stored(router, folder, tmp_path):
    hard = samples_of(folder, ["What?", "", "a" * 999], [None, "broken.png", "blue.png"])
    persistence.write(tmp_path / "router.safetensors", router)
    stored = persistence.read(tmp_path / "router.safetensors", type(router))
    for before, after in zip(router.predict(hard), stored.predict(hard), strict=True):
        assert before.shape == (3, 6)
        assert np.isfinite(before).all()
        np.testing.assert_array_equal(before, after)


def test_finetuning_twice_gives_the_same_bytes(model, samples, fit_usd):
    first, second = (
        fit_usd(finetune("vlc", model), samples, UTILITY, COST).predict_scores(samples)
        for _ in range(2)
    )
    assert first.tobytes() == second.tobytes()


def test_a_sample_without_an_outcome_is_left_out(model, samples, fit_usd):
    utility, cost = UTILITY.copy(), COST.copy()
    utility[7] = cost[7] = np.nan
    kept = np.arange(40) != 7
    scores = [
        fit_usd(finetune("vlc", model), *given).predict_scores(samples)
        for given in ((samples, utility, cost), (samples[kept], UTILITY[kept], COST[kept]))
    ]
    np.testing.assert_array_equal(*scores)
