"""Models of transformers through the real loader, on tiny ones that are made here."""

import json
import os
import pickle
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from PIL import Image

from mmroute.encoders.hugging_face import HuggingFace
from mmroute.errors import InputError

pytestmark = pytest.mark.slow

COMMIT = "0" * 40
WORDS = ["what", "is", "which", "company", "issued", "the", "invoice", "word", *"0123456789+?"]
TEXTS = [
    "What is 3 + 4?",
    "which company issued the invoice?",
    "word " * 500,
    "is",
    "the invoice is 7",
]
MODULES = ["models.Transformer", "models.Pooling", "models.Normalize"]


@pytest.fixture(scope="module", autouse=True)
def quiet():
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()


def write_modules(folder, classes):
    """List modules of sentence-transformers as its releases up to 5 did; pool the first token."""
    modules = [
        {
            "idx": index,
            "name": str(index),
            "path": f"{index}_{name.split('.')[-1]}" if index else "",
            "type": f"sentence_transformers.{name}",
        }
        for index, name in enumerate(classes)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    pooling = {"word_embedding_dimension": 32, "pooling_mode_cls_token": True}
    (folder / "1_Pooling/config.json").write_text(
        json.dumps(pooling | {"pooling_mode_mean_tokens": False})
    )
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 16}')


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """Hold a BERT without modules of sentence-transformers."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("models") / "bert"
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    tokenizer = BertTokenizerFast({word: index for index, word in enumerate(vocabulary)})
    tokenizer.model_max_length = 64
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = BertConfig(
        vocab_size=len(vocabulary), intermediate_size=64, max_position_embeddings=64, **shape
    )
    model = BertModel(config)
    # As trained: no two texts have one norm.
    torch.nn.init.normal_(model.encoder.layer[1].output.LayerNorm.weight)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def bge(bert):
    """Hold the same BERT as BGE-M3 comes: pickled weights, pooled by the first token."""
    from safetensors.torch import load_file

    folder = bert.with_name("bge")
    shutil.copytree(bert, folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    write_modules(folder, MODULES)
    return folder


@pytest.fixture(scope="module")
def dino(bert):
    from transformers import BitImageProcessor, Dinov2Config, Dinov2Model

    folder = bert.with_name("dino")
    shape = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    torch.manual_seed(0)
    model = Dinov2Model(Dinov2Config(image_size=28, patch_size=14, initializer_range=0.5, **shape))
    model.save_pretrained(folder)
    size = {"height": 28, "width": 28}
    BitImageProcessor(size={"shortest_edge": 32}, crop_size=size).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Return seven images, the fourth of which is broken."""
    folder = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    for index in range(7):
        pixels = generator.integers(0, 256, (20 + 10 * index, 50, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    (folder / "3.png").write_bytes(b"no image")
    return [folder / f"{index}.png" for index in range(7)]


def copied(folder, tmp_path, **changes):
    """Copy a model, and change keys of its config."""
    copy = shutil.copytree(folder, tmp_path / folder.name)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | changes))
    return copy


def message_of(encoder, images=None):
    with pytest.raises(InputError) as caught:
        encoder.encode_texts(["a text"]) if images is None else encoder.encode_images(images, 1)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_texts_are_pooled_as_sentence_transformers_does_and_keep_their_norms(bge):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(bge), device="cpu")
    rows = HuggingFace(str(bge), batch_size=2).encode_texts(TEXTS)
    assert rows.dtype == np.float32
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    assert norms.std() > 1e-3
    np.testing.assert_allclose(rows / norms, model.encode(TEXTS), atol=1e-5)
    features = model[1](model[0](model[0].preprocess(TEXTS)))
    np.testing.assert_allclose(rows, features["sentence_embedding"].detach(), atol=1e-5)


def test_without_modules_a_text_is_the_mean_of_its_tokens(bert):
    from sentence_transformers import SentenceTransformer
    from transformers import AutoModel, AutoTokenizer

    rows = HuggingFace(str(bert)).encode_texts(TEXTS)
    np.testing.assert_allclose(
        rows, SentenceTransformer(str(bert), device="cpu").encode(TEXTS), atol=1e-5
    )
    tokens = AutoTokenizer.from_pretrained(bert)(TEXTS[1], return_tensors="pt")
    with torch.inference_mode():
        states = AutoModel.from_pretrained(bert).eval()(**tokens).last_hidden_state
    np.testing.assert_allclose(rows[1], states[0].mean(axis=0), atol=1e-5)


def test_dense_layers_and_the_default_prompt_are_the_models(bge, tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense

    folder = copied(bge, tmp_path)
    write_modules(folder, [*MODULES[:2], "models.Dense"])
    (folder / "2_Dense").mkdir()
    Dense(32, 12).save(str(folder / "2_Dense"))
    prompts = {"prompts": {"query": "which word: "}, "default_prompt_name": "query"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    rows = HuggingFace(str(folder)).encode_texts(TEXTS)
    assert rows.shape == (5, 12)
    expected = SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(rows, expected, atol=1e-5)


def test_of_an_encoder_and_decoder_the_encoder_is_taken(bert, tmp_path):
    from transformers import T5Config, T5EncoderModel

    folder = shutil.copytree(bert, tmp_path / "t5")
    (folder / "model.safetensors").unlink()
    shape = {"d_model": 32, "d_ff": 64, "d_kv": 16, "num_layers": 1, "num_heads": 2}
    T5EncoderModel(T5Config(vocab_size=40, **shape)).save_pretrained(folder)
    assert HuggingFace(str(folder)).encode_texts(TEXTS).shape == (5, 32)


def test_images_are_the_class_token_of_dinov2_and_nan_where_there_is_none(dino, images):
    from transformers import AutoImageProcessor, AutoModel

    rows = HuggingFace(str(dino), batch_size=2).encode_images(images, 1)
    assert rows.shape == (7, 24)
    assert rows.dtype == np.float32
    assert np.isnan(rows).all(axis=1).tolist() == [index == 3 for index in range(7)]
    model = AutoModel.from_pretrained(dino).eval()
    processor = AutoImageProcessor.from_pretrained(dino)
    with torch.inference_mode():
        for index in (0, 1, 2, 4, 5, 6):
            pixels = processor(images=Image.open(images[index]), return_tensors="pt")
            expected = model(**pixels).last_hidden_state[0, 0]
            np.testing.assert_allclose(rows[index], expected, atol=1e-5)


def test_without_weights_for_the_pooler_the_class_token_stands_in(dino, images, tmp_path):
    from transformers import AutoImageProcessor, AutoModel, ViTConfig, ViTModel

    folder = copied(dino, tmp_path)
    shape = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = ViTConfig(image_size=28, patch_size=14, intermediate_size=32, **shape)
    ViTModel(config, add_pooling_layer=False).save_pretrained(folder)
    rows, again = (HuggingFace(str(folder)).encode_images(images[:1], 1) for _ in range(2))
    np.testing.assert_array_equal(rows, again)
    pixels = AutoImageProcessor.from_pretrained(folder)(Image.open(images[0]), return_tensors="pt")
    with torch.inference_mode():
        states = AutoModel.from_pretrained(folder).eval()(**pixels).last_hidden_state
    np.testing.assert_allclose(rows[0], states[0, 0], atol=1e-5)


def test_images_of_clip_are_projected(dino, images, tmp_path):
    from transformers import CLIPConfig, CLIPModel

    shape = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 1}
    shape |= {"num_attention_heads": 2}
    vision = shape | {"image_size": 28, "patch_size": 14}
    config = CLIPConfig(text_config=shape, vision_config=vision, projection_dim=10)
    folder = copied(dino, tmp_path)
    CLIPModel(config).save_pretrained(folder)
    assert HuggingFace(str(folder)).encode_images(images, 1).shape == (7, 10)


def test_a_convolutional_network_has_its_global_mean(dino, images, tmp_path):
    from transformers import ResNetConfig, ResNetModel

    folder = copied(dino, tmp_path)
    shape = {"embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 1]}
    ResNetModel(ResNetConfig(layer_type="basic", **shape)).save_pretrained(folder)
    assert HuggingFace(str(folder)).encode_images(images, 1).shape == (7, 12)


def test_the_number_of_threads_changes_no_byte_of_an_image(dino, images):
    encoder = HuggingFace(str(dino), batch_size=2)
    one, three = (encoder.encode_images(images, threads).tobytes() for threads in (1, 3))
    assert one == three


def test_the_number_of_cores_changes_no_byte_of_a_text(bge):
    encoder = HuggingFace(str(bge), batch_size=2)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = encoder.encode_texts(TEXTS * 10).tobytes()
        torch.set_num_threads(3)
        assert encoder.encode_texts(TEXTS * 10).tobytes() == one
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("model", ["bert", "bge"])
def test_what_a_text_is_encoded_with_changes_rounding_at_most(model, request):
    encoder = HuggingFace(str(request.getfixturevalue(model)))
    together = encoder.encode_texts(TEXTS)
    alone = np.concatenate([encoder.encode_texts([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_texts(TEXTS[::-1])[::-1], together, atol=1e-5)


def test_nothing_to_encode_gives_no_rows(bert, dino):
    assert HuggingFace(str(bert)).encode_texts([]).shape == (0, 32)
    assert HuggingFace(str(dino)).encode_images([], 1).shape == (0, 24)


def test_images_none_of_which_can_be_decoded_are_rows_of_nan(dino, images, tmp_path):
    encoder = HuggingFace(str(dino))
    assert np.isnan(encoder.encode_images([images[3], tmp_path / "missing.png"], 1)).all()


def test_the_key_names_model_and_commit(bert):
    commit = "5617a9f61b028005a4858fdac845db406aefb181"
    assert HuggingFace("BAAI/bge-m3", commit).key == "hugging_face-BAAI-bge-m3-5617a9f61b02"
    assert HuggingFace(str(bert)).key == "hugging_face-bert"


def test_the_fingerprint_follows_the_files_of_a_folder(bge, tmp_path):
    folder = copied(bge, tmp_path)
    encoder = HuggingFace(str(folder))
    prints = [encoder.fingerprint()]
    for name in ("config.json", "pytorch_model.bin", "1_Pooling/config.json", "tokenizer.json"):
        with (folder / name).open("ab") as stream:
            stream.write(b" ")
        prints.append(encoder.fingerprint())
    (folder / "README.md").write_text("not read")
    (folder / "training_args.bin").write_text("not read")
    assert encoder.fingerprint() == prints[-1]
    assert len({*prints, ""}) == 6
    assert HuggingFace("BAAI/bge-m3", COMMIT).fingerprint() == ""


def test_key_and_fingerprint_cost_no_import_of_torch(bert):
    program = (
        "import sys; from mmroute.encoders.hugging_face import HuggingFace;"
        f"encoder = HuggingFace({str(bert)!r}); encoder.key, encoder.fingerprint();"
        "sys.exit(bool({'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


@pytest.mark.parametrize("module", ["sentence_transformers", "transformers"])
def test_without_the_extra_the_command_that_brings_it_is_named(bert, monkeypatch, module):
    for name in [module, *(name for name in sys.modules if name.split(".")[0] == module)]:
        monkeypatch.setitem(sys.modules, name, None)
    message = message_of(HuggingFace(str(bert)))
    assert message == (
        f"encoder 'hugging_face' needs {module}: pip install \"mmroute[transformers]\""
    )


def test_a_missing_folder_and_a_name_without_a_commit_are_told_the_way(tmp_path):
    for model in ("BAAI/bge-m3", str(tmp_path / "missing")):
        encoder = HuggingFace(model)
        with pytest.raises(InputError, match="is no folder; correct `model`, or give `revision`"):
            encoder.fingerprint()
        assert model in message_of(encoder)


@pytest.mark.parametrize("revision", ["main", "v1.0", "5617a9f", "A" * 40])
def test_what_is_no_commit_is_refused(revision):
    with pytest.raises(InputError, match="40 hexadecimal digits"):
        HuggingFace("BAAI/bge-m3", revision)


def test_a_batch_holds_one_at_least():
    with pytest.raises(InputError, match="batch_size is 0"):
        HuggingFace("BAAI/bge-m3", batch_size=0)


@pytest.mark.parametrize("lost", ["config.json", "model.safetensors"])
def test_a_folder_that_holds_no_model_is_named(bert, tmp_path, lost):
    folder = copied(bert, tmp_path)
    (folder / lost).unlink()
    assert str(folder) in message_of(HuggingFace(str(folder)))


def test_a_text_model_asked_for_images_is_refused_and_the_other_way_round(bert, dino, images):
    assert str(bert) in message_of(HuggingFace(str(bert)), images)
    assert str(dino) in message_of(HuggingFace(str(dino)))


def test_a_checkpoint_that_lacks_weights_is_refused(bert, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = copied(bert, tmp_path)
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    message = message_of(HuggingFace(str(folder)))
    assert "lack encoder.layer.1.output.dense.weight" in message


def test_what_a_text_needs_not_of_the_weights_may_be_missing(bert, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = copied(bert, tmp_path)
    weights = load_file(folder / "model.safetensors")
    bare = {name: array for name, array in weights.items() if not name.startswith("pooler.")}
    assert len(bare) == len(weights) - 2
    save_file(bare, folder / "model.safetensors", {"format": "pt"})
    np.testing.assert_array_equal(
        HuggingFace(str(folder)).encode_texts(TEXTS), HuggingFace(str(bert)).encode_texts(TEXTS)
    )


class Intruder:
    def __reduce__(self):
        return os.mkdir, ("intruded",)


INTRUSION = "import os\nos.mkdir('intruded')\nclass BertModel: pass\nclass Pooling: pass\n"


def pickled(folder):
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"embeddings": Intruder()}, 2))


def pickled_and_allowed(folder):
    pickled(folder)
    allowed = {"model_args": {"weights_only": False}, "model_kwargs": {"weights_only": False}}
    (folder / "sentence_bert_config.json").write_text(json.dumps(allowed))
    change_config(folder, weights_only=False)


def change_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


def own_code(folder):
    classes = {"AutoConfig": "code.BertModel", "AutoModel": "code.BertModel"}
    change_config(folder, auto_map=classes, model_type="stranger", trust_remote_code=True)
    (folder / "code.py").write_text(INTRUSION)


def own_tokenizer(folder):
    file = folder / "tokenizer_config.json"
    change = {"auto_map": {"AutoTokenizer": ["code.BertModel", "code.BertModel"]}}
    change |= {"tokenizer_class": "BertModel", "trust_remote_code": True}
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    (folder / "tokenizer.json").unlink()
    (folder / "code.py").write_text(INTRUSION)


def module_of_another_package(folder):
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["type"] = "code_of_a_stranger.Pooling"
    (folder / "modules.json").write_text(json.dumps(modules))
    for place in (folder, folder.parent):
        (place / "code_of_a_stranger.py").write_text(INTRUSION)


def module_elsewhere(folder):
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["path"] = "../1_Pooling"
    (folder / "modules.json").write_text(json.dumps(modules))


def another_module(folder):
    write_modules(folder, ["models.Transformer", "util.misc.importlib"])


def weights_elsewhere(folder):
    (folder / "pytorch_model.bin").rename(folder.parent / "pytorch_model.bin")
    index = {"metadata": {}, "weight_map": {"pooler.dense.bias": "../pytorch_model.bin"}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    (folder / "pytorch_model-00001-of-00001.bin").write_bytes(b"")


def pipe(folder):
    (folder / "pytorch_model.bin").unlink()
    os.mkfifo(folder / "pytorch_model.bin")


def endless(folder):
    (folder / "pytorch_model.bin").unlink()
    (folder / "pytorch_model.bin").symlink_to("/dev/zero")


def vast(folder):
    change_config(folder, hidden_size=10**7, intermediate_size=10**9)


def vast_vocabulary(folder):
    change_config(folder, vocab_size=10**12)


def nested(folder):
    (folder / "config.json").write_text("[" * 10**5)


def backbone(folder):
    change_config(folder, model_type="dpt", backbone="someone/tiny", use_pretrained_backbone=True)


def too_short_for_a_word(folder):
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 1}))


def without_numbers(folder):
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder)
    next(model.parameters()).data.fill_(float("nan"))
    model.save_pretrained(folder)
    (folder / "pytorch_model.bin").unlink(missing_ok=True)


HOSTILE = [
    too_short_for_a_word,
    without_numbers,
    pickled,
    pickled_and_allowed,
    own_code,
    own_tokenizer,
    module_of_another_package,
    module_elsewhere,
    another_module,
    weights_elsewhere,
    pipe,
    endless,
    vast,
    vast_vocabulary,
    nested,
    backbone,
]


@pytest.mark.parametrize("change", HOSTILE, ids=lambda change: change.__name__)
def test_a_hostile_folder_is_refused_and_runs_nothing(
    bge, model_hub, tmp_path, monkeypatch, change
):
    folder = copied(bge, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    change(folder)
    assert str(folder) in message_of(HuggingFace(str(folder)))
    assert not list(tmp_path.rglob("intruded"))
    assert model_hub.listings == model_hub.transfers == 0


def test_a_kernel_that_a_config_names_is_not_looked_for(bge, tmp_path):
    folder = copied(bge, tmp_path, attn_implementation="stranger/kernel")
    np.testing.assert_array_equal(
        HuggingFace(str(folder)).encode_texts(TEXTS), HuggingFace(str(bge)).encode_texts(TEXTS)
    )


@pytest.fixture
def published(model_hub, bge):
    """Have the hub hold the model as BGE-M3's repository does, and what is not needed of it."""
    paths = [path for path in bge.rglob("*") if path.is_file()]
    model_hub.files = {path.relative_to(bge).as_posix(): path.read_bytes() for path in paths}
    model_hub.files |= {"onnx/model.onnx": b"no", "colbert_linear.pt": b"no", "README.md": b"no"}
    return model_hub


def stored(server):
    snapshot = server.cache / "models--someone--tiny/snapshots" / COMMIT
    return {path.relative_to(snapshot).as_posix() for path in snapshot.rglob("*") if path.is_file()}


def test_a_model_of_the_hub_is_fetched_once_and_what_it_needs_only(published, bge):
    rows = HuggingFace("someone/tiny", COMMIT).encode_texts(TEXTS)
    np.testing.assert_array_equal(rows, HuggingFace(str(bge)).encode_texts(TEXTS))
    unneeded = {"onnx/model.onnx", "colbert_linear.pt", "README.md"}
    assert stored(published) == set(published.files) - unneeded
    transfers = published.transfers
    encoder = HuggingFace("someone/tiny", COMMIT)
    encoder.offline = True
    np.testing.assert_array_equal(encoder.encode_texts(TEXTS), rows)
    assert (published.transfers, published.listings) == (transfers, 1)


def test_safe_weights_are_preferred(published, bert, bge):
    published.files["model.safetensors"] = (bert / "model.safetensors").read_bytes()
    rows = HuggingFace("someone/tiny", COMMIT).encode_texts(TEXTS)
    np.testing.assert_array_equal(rows, HuggingFace(str(bge)).encode_texts(TEXTS))
    assert "model.safetensors" in stored(published)
    assert "pytorch_model.bin" not in stored(published)


@pytest.mark.parametrize("fault", [429, 500, "wrong"])
def test_a_file_that_comes_only_the_second_time_is_used(published, caplog, fault):
    published.faults = [None, fault]
    HuggingFace("someone/tiny", COMMIT).encode_texts(TEXTS)
    assert published.transfers == len(stored(published)) + 1


def test_a_file_that_never_comes_is_named_and_the_model_not_taken_for_whole(published, caplog):
    published.faults = [500] * 10
    message = message_of(HuggingFace("someone/tiny", COMMIT))
    assert re.search(
        r"'someone/tiny' at revision 0{40} could not be fetched .* status 500", message
    )
    assert "tried 5 times" in message
    assert "local folder" in message
    published.faults = []
    HuggingFace("someone/tiny", COMMIT).encode_texts(TEXTS)


def test_wrong_content_in_the_cache_is_fetched_again(published, caplog):
    HuggingFace("someone/tiny", COMMIT).encode_texts(TEXTS)
    transfers = published.transfers
    (link,) = published.cache.rglob("pytorch_model.bin")
    link.resolve().write_bytes(b"rotten")
    HuggingFace("someone/tiny", COMMIT).encode_texts(TEXTS)
    assert published.transfers == transfers + 1


def test_a_model_that_the_hub_has_not_is_named(published):
    published.files = {}
    message = message_of(HuggingFace("someone/tiny", COMMIT))
    assert "config.json" in message
    assert "correct `model` or `revision`" in message


@pytest.mark.parametrize("model", ["", "some/one/tiny", "../tiny", "https://hub/someone/tiny"])
def test_what_is_no_name_of_a_model_is_refused_in_one_line(published, model):
    message = message_of(HuggingFace(model, COMMIT))
    assert f"model {model!r} at revision" in message
    assert "correct `model` or `revision`" in message
    assert "\n" not in message


def test_offline_a_model_comes_from_the_cache_only(published):
    encoder = HuggingFace("someone/tiny", COMMIT)
    encoder.offline = True
    assert "not in the hub's cache, and the network is not allowed" in message_of(encoder)
    assert (published.transfers, published.listings) == (0, 0)
    assert not constants.HF_HUB_OFFLINE
