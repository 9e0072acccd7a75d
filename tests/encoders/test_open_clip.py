"""OpenCLIP models through the real loader, on a tiny model whose checkpoint is saved here."""

import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import save_file

from mmroute import hub
from mmroute.encoders.open_clip import OpenClip
from mmroute.errors import InputError

pytestmark = pytest.mark.slow

CONFIG = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
TEXTS = ["What is 3 + 4?", "Which company issued the invoice?", "word " * 500, "\\frac{1}{2}"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Hold tiny.json, tiny.pt, tiny.safetensors and images, one of them broken."""
    import open_clip

    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny.json").write_text(json.dumps(CONFIG))
    open_clip.add_model_config(folder / "tiny.json")
    torch.manual_seed(0)
    weights = open_clip.create_model("tiny").state_dict()
    torch.save(weights, folder / "tiny.pt")
    save_file(weights, folder / "tiny.safetensors")
    generator = np.random.default_rng(0)
    for index in range(7):
        pixels = generator.integers(0, 256, (20 + 10 * index, 50, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    (folder / "3.png").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="module")
def encoder(folder):
    return OpenClip(str(folder / "tiny.json"), str(folder / "tiny.pt"), batch_size=2)


@pytest.fixture(scope="module")
def images(folder):
    return [folder / f"{index}.png" for index in range(7)]


def message_of(encoder):
    with pytest.raises(InputError) as caught:
        encoder.encode_texts(["a text"])
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_texts_are_what_open_clip_gives(folder, encoder):
    import open_clip

    model, _, _ = open_clip.create_model_and_transforms("tiny", str(folder / "tiny.pt"))
    with torch.inference_mode():
        expected = model.eval().encode_text(open_clip.get_tokenizer("tiny")(TEXTS)).numpy()
    rows = encoder.encode_texts(TEXTS)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, expected, atol=1e-5)


def test_images_are_what_open_clip_gives_and_nan_where_there_is_none(folder, encoder, images):
    import open_clip

    model, _, preprocess = open_clip.create_model_and_transforms("tiny", str(folder / "tiny.pt"))
    rows = encoder.encode_images(images, 1)
    assert rows.shape == (7, 24)
    assert rows.dtype == np.float32
    assert np.isnan(rows).all(axis=1).tolist() == [index == 3 for index in range(7)]
    with torch.inference_mode():
        for index in (0, 1, 2, 4, 5, 6):
            pixels = preprocess(Image.open(images[index]))[None]
            expected = model.eval().encode_image(pixels)[0].numpy()
            np.testing.assert_allclose(rows[index], expected, atol=1e-5)


def test_rows_are_not_normalised(encoder):
    norms = np.linalg.norm(encoder.encode_texts(TEXTS), axis=1)
    assert norms.std() > 1e-4
    assert not np.allclose(norms, 1)


def test_the_number_of_threads_changes_no_byte(encoder, images):
    one, three = (encoder.encode_images(images, threads).tobytes() for threads in (1, 3))
    assert one == three


def test_the_number_of_cores_changes_no_byte_of_a_text(encoder):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = encoder.encode_texts(TEXTS).tobytes()
        torch.set_num_threads(3)
        assert encoder.encode_texts(TEXTS).tobytes() == one
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_the_batch_size_changes_rounding_at_most(encoder, images):
    whole = OpenClip(encoder.model, encoder.pretrained)
    np.testing.assert_allclose(
        whole.encode_images(images, 1), encoder.encode_images(images, 1), atol=1e-5
    )
    np.testing.assert_allclose(whole.encode_texts(TEXTS), encoder.encode_texts(TEXTS), atol=1e-5)


def test_nothing_to_encode_gives_no_rows(encoder):
    assert encoder.encode_texts([]).shape == (0, 24)
    assert encoder.encode_images([], 1).shape == (0, 24)


def test_images_none_of_which_can_be_decoded_are_rows_of_nan(encoder, images, tmp_path):
    assert np.isnan(encoder.encode_images([images[3], tmp_path / "missing.png"], 1)).all()


def test_safetensors_hold_the_same_model(folder, encoder):
    other = OpenClip(encoder.model, str(folder / "tiny.safetensors"))
    np.testing.assert_allclose(other.encode_texts(TEXTS), encoder.encode_texts(TEXTS), atol=1e-5)


def test_the_key_names_model_and_weights(encoder):
    assert OpenClip("ViT-B-32", "openai").key == "open_clip-ViT-B-32-openai"
    assert encoder.key == "open_clip-tiny-tiny"
    assert OpenClip("ViT-B-32", "some folder/my weights.pt").key == "open_clip-ViT-B-32-my-weights"


def test_the_fingerprint_follows_checkpoint_and_config(tmp_path):
    config, checkpoint = tmp_path / "a.json", tmp_path / "a.pt"
    config.write_text("{}")
    checkpoint.write_text("weights")
    encoder = OpenClip(str(config), str(checkpoint))
    first = encoder.fingerprint()
    checkpoint.write_text("other weights")
    second = encoder.fingerprint()
    config.write_text('{"embed_dim": 3}')
    assert len({first, second, encoder.fingerprint(), ""}) == 4


def test_a_tag_has_no_fingerprint():
    assert OpenClip("ViT-B-32", "openai").fingerprint() == ""


def test_key_and_fingerprint_cost_no_import_of_torch():
    program = (
        "import sys; from mmroute.encoders.open_clip import OpenClip;"
        "encoder = OpenClip('ViT-B-32', 'openai'); encoder.key, encoder.fingerprint();"
        "sys.exit('torch' in sys.modules or 'open_clip' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_a_missing_checkpoint_is_named(tmp_path):
    missing = str(tmp_path / "missing.pt")
    encoder = OpenClip("ViT-B-32", missing)
    with pytest.raises(InputError, match="no file"):
        encoder.fingerprint()
    assert missing in message_of(encoder)


def test_an_unknown_model_is_named_with_names_like_it():
    message = message_of(OpenClip("ViT-B32", "openai"))
    assert "'ViT-B32'" in message
    assert "ViT-B-32" in message.replace("'ViT-B32'", "")


def test_an_unknown_tag_is_named_with_those_there_are():
    message = message_of(OpenClip("ViT-B-32", "opnai"))
    assert "'opnai'" in message
    assert "openai, " in message


def test_weights_that_cannot_be_fetched_are_named_with_the_way_out(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    message = message_of(OpenClip("ViT-B-32", "laion2b_s34b_b79k"))
    assert "laion/CLIP-ViT-B-32-laion2B-s34B-b79K" in message
    assert "OfflineModeIsEnabled" in message
    assert "`pretrained` to the path of a local checkpoint" in message


@pytest.fixture
def model_hub(model_hub, folder, monkeypatch):
    """Have the hub hold the tiny model's weights; open_clip knows them as tag ``release``."""
    model_hub.files = {"open_clip_pytorch_model.bin": (folder / "tiny.pt").read_bytes()}
    tags = {"tiny": {"release": {"hf_hub": "someone/tiny/"}}}
    monkeypatch.setattr("open_clip.pretrained._PRETRAINED", tags)
    return model_hub


def stored(server):
    return [path for path in server.cache.rglob("*") if "blobs" in path.parts and path.is_file()]


@pytest.mark.parametrize("fault", [429, 500, "wrong"])
def test_weights_that_come_only_the_second_time_are_used(model_hub, encoder, caplog, fault):
    model_hub.faults = [fault]
    rows = OpenClip("tiny", "release").encode_texts(TEXTS)
    np.testing.assert_array_equal(rows, OpenClip("tiny", encoder.pretrained).encode_texts(TEXTS))
    assert model_hub.transfers == 2
    assert [path.read_bytes() for path in stored(model_hub)] == list(model_hub.files.values())


@pytest.mark.parametrize("fault", [500, "wrong"])
def test_weights_that_never_come_are_given_up_and_not_kept(model_hub, caplog, fault):
    model_hub.faults = [fault] * 10
    message = message_of(OpenClip("tiny", "release"))
    for part in ("'release'", "someone/tiny", "open_clip_pytorch_model.bin", "tried 5 times"):
        assert part in message
    assert ("status 500" if fault == 500 else "another hash") in message
    assert model_hub.transfers == 5
    assert stored(model_hub) == []
    lines = [record.getMessage() for record in caplog.records if record.name == "mmroute"]
    assert [line.split()[-2] for line in lines] == ["0.01", "0.02", "0.04", "0.08"]


def test_wrong_weights_in_the_cache_are_fetched_again(model_hub):
    OpenClip("tiny", "release").encode_texts(TEXTS)
    (blob,) = stored(model_hub)
    blob.write_bytes(bytes(blob.stat().st_size))
    OpenClip("tiny", "release").encode_texts(TEXTS)
    assert model_hub.transfers == 2
    assert stored(model_hub) == [blob]


def test_weights_in_the_cache_need_no_hub(model_hub, monkeypatch):
    rows = OpenClip("tiny", "release").encode_texts(TEXTS)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    np.testing.assert_array_equal(OpenClip("tiny", "release").encode_texts(TEXTS), rows)
    assert model_hub.transfers == 1


def test_safetensors_are_preferred(model_hub, folder):
    weights = {"open_clip_model.safetensors": (folder / "tiny.safetensors").read_bytes()}
    model_hub.files = weights | model_hub.files
    OpenClip("tiny", "release").encode_texts(TEXTS)
    assert [path.read_bytes() for path in stored(model_hub)] == list(weights.values())


def test_a_checkpoint_of_another_model_is_refused(folder, encoder, tmp_path):
    weights = torch.load(folder / "tiny.pt", weights_only=True)
    del weights["token_embedding.weight"]
    torch.save(weights, tmp_path / "other.pt")
    message = message_of(OpenClip(encoder.model, str(tmp_path / "other.pt")))
    assert "other.pt" in message
    assert "token_embedding.weight" in message


class Intruder:
    def __reduce__(self):
        return os.mkdir, ("intruded",)


@pytest.mark.parametrize(
    "content",
    [b"", b"no checkpoint", pickle.dumps(["a list"], 2), pickle.dumps({"visual": Intruder()}, 2)],
    ids=["empty", "text", "list", "intruder"],
)
def test_a_file_that_is_no_checkpoint_is_refused_and_runs_nothing(
    encoder, tmp_path, monkeypatch, content
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hostile.pt").write_bytes(content)
    assert "hostile.pt" in message_of(OpenClip(encoder.model, "./hostile.pt"))
    assert not (tmp_path / "intruded").exists()


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("{", "bad.json"),
        ("[1]", "embed_dim"),
        ('{"embed_dim": 8, "text_cfg": {}}', "vision_cfg"),
        ('{"embed_dim": 8, "text_cfg": 3, "vision_cfg": {}}', "bad.json"),
    ],
)
def test_a_bad_model_config_is_named(folder, tmp_path, content, named):
    (tmp_path / "bad.json").write_text(content)
    message = message_of(OpenClip(str(tmp_path / "bad.json"), str(folder / "tiny.pt")))
    assert "bad.json" in message
    assert named in message


def test_a_batch_holds_one_at_least():
    with pytest.raises(InputError, match="batch_size is 0"):
        OpenClip("ViT-B-32", "openai", batch_size=0)


@pytest.mark.parametrize("stem", ["hf-hub:stranger", "local-dir:release", "a:b"])
def test_a_config_whose_name_is_an_address_is_refused(tmp_path, stem):
    config = {"embed_dim": 8, "text_cfg": {}, "vision_cfg": {}}
    (tmp_path / f"{stem}.json").write_text(json.dumps(config))
    (tmp_path / "weights.pt").write_bytes(b"weights")
    encoder = OpenClip(str(tmp_path / f"{stem}.json"), str(tmp_path / "weights.pt"))
    with pytest.raises(InputError, match="a config's name has no colon"):
        encoder.encode_texts(["a"])


@pytest.mark.parametrize(
    "config",
    [
        {"vision_cfg": {"timm_model_name": "hf-hub:stranger/model"}, "text_cfg": {}},
        {"vision_cfg": {"timm_model_name": "local-dir:folder"}, "text_cfg": {}},
        {"vision_cfg": {}, "text_cfg": {"hf_model_name": "stranger/model"}},
        {"vision_cfg": {}, "text_cfg": {"hf_tokenizer_name": "stranger/model"}},
    ],
)
def test_offline_a_model_that_needs_a_hub_is_refused_before_it_is_built(tmp_path, config):
    (tmp_path / "stranger.json").write_text(json.dumps({"embed_dim": 8} | config))
    (tmp_path / "weights.pt").write_bytes(b"weights")
    for use in (lambda encoder: encoder.network, lambda encoder: encoder.untrained()):
        encoder = OpenClip(str(tmp_path / "stranger.json"), str(tmp_path / "weights.pt"))
        encoder.offline = True
        with pytest.raises(InputError, match="from a hub, and the network is not allowed"):
            use(encoder)


def test_offline_a_tags_weights_come_from_the_cache_only(monkeypatch):
    monkeypatch.setattr(hub, "cached_model_file", lambda repo, names: None)
    encoder = OpenClip("ViT-B-32", "openai")
    encoder.offline = True
    with pytest.raises(InputError, match="are not in the hub's cache, and the network is not"):
        encoder.encode_texts(["a"])
