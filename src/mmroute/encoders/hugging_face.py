"""Any text or vision model of the Hugging Face hub, or of a local folder in its layout."""

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from mmroute.confined import working_on
from mmroute.encoders import Encoder
from mmroute.encoders.batches import Batches
from mmroute.errors import InputError, naming_extra, one_line, raise_disk_fault
from mmroute.storage import file_name, leaves_folder, read_json

if TYPE_CHECKING:
    import torch

# Importing torch and transformers takes seconds: the methods that compute do it, so that a
# workflow can ask for ``key`` and ``fingerprint`` at no cost.

_MODULE = r"(\d+_\w+/)?"
_METADATA = re.compile(_MODULE + r"[^/]+\.(json|jinja|model|txt)")
_SAFE = re.compile(_MODULE + r"model(-\d+-of-\d+)?\.safetensors")
_PICKLED = re.compile(_MODULE + r"pytorch_model(-\d+-of-\d+)?\.bin")
_HANDLED = ("Transformer", "Pooling", "Dense", "Normalize")
"""Modules of sentence-transformers; others would be imported by a name that the model gives."""


class Network(NamedTuple):
    """A model that is ready to embed.

    Attributes
    ----------
    embed
        Turns b texts or images into float32 (b, width).
    width
        Of its embeddings.
    device
        Where it computes.
    """

    embed: Callable[[Sequence[Any]], np.ndarray]
    width: int
    device: str


class HuggingFace(Encoder):
    """A model for texts or for images, as ``transformers`` loads it.

    - Texts: the model's own pooling and dense layers, as ``modules.json`` of sentence-transformers
      lists them; else the mean over the tokens. A final normalisation is left out, so that rows
      keep their norms. The model's default prompt is put before each text.
    - Images: the pooled output, which is the class token of DINOv2; the projected one of CLIP and
      its like. Where a checkpoint has no weights for the pooling layer, the class token stands in.

    Nothing of a model's own code runs: a model that needs some is refused, weights are read as
    tensors only, and so is a checkpoint that lacks some of the model's weights. With CUDA it
    computes in bfloat16.

    Parameters
    ----------
    model
        A model of the hub, such as ``BAAI/bge-m3``; without ``revision`` the path of a folder.
    revision
        The commit of a model of the hub.
    batch_size
        Texts or images in one forward pass.
    """

    name = "hugging_face"
    gpu = True

    def __init__(self, model: str, revision: str = "", batch_size: int = 32) -> None:
        if batch_size < 1:
            raise InputError(f"hugging_face: batch_size is {batch_size}; give 1 or more")
        if revision and not re.fullmatch("[0-9a-f]{40}", revision):
            raise InputError(
                f"hugging_face: revision {revision!r} of {model!r} can change what it stands for; "
                "give a commit, 40 hexadecimal digits, as the model's page on the hub lists them"
            )
        self.model = model
        self.revision = revision
        self.batch_size = batch_size

    @property
    def key(self) -> str:
        """Return the model's name and commit, such as "hugging_face-BAAI-bge-m3-5617a9f61b02"."""
        name = f"{self.model}-{self.revision[:12]}" if self.revision else self._folder.name
        return file_name(re.sub(r"[^\w.-]+", "-", f"{self.name}-{name}"))

    def local_files(self) -> list[Path]:
        """List what is read of a local folder.

        Raises InputError if it is no folder with a ``config.json`` and weights, or one of them
        is no file.
        """
        if self.revision:
            return []
        if not self._folder.is_dir():
            raise InputError(
                f"encoder hugging_face: {self.model} is no folder; correct `model`, or give "
                "`revision`, a commit, for a model of the hub"
            )
        return _model_files(self._folder)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Encode N texts as float32 (N, d), cut off where the model's context ends.

        Raises InputError if the model cannot be loaded.
        """
        import torch

        # Texts of about one length need little padding.
        order = np.argsort([len(text) for text in texts], kind="stable")
        ordered = [texts[index] for index in order]
        network = self._text_network
        rows = np.empty((len(texts), network.width), np.float32)
        batches = self._batches(network)
        rows[order] = batches.embed(network.embed, ordered, torch.get_num_threads())
        return rows

    def encode_images(self, paths: Sequence[Path], threads: int) -> np.ndarray:
        """Encode N image files as float32 (N, d); NaN where one cannot be decoded.

        Raises InputError if the model cannot be loaded.
        """
        network = self._image_network
        return self._batches(network).embed_images(network.embed, paths, threads)

    def _batches(self, network: Network) -> Batches:
        return Batches(self.key, self.batch_size, network.width, network.device)

    @property
    def _folder(self) -> Path:
        return Path(self.model).absolute()

    @cached_property
    def _text_network(self) -> Network:
        with self._loading() as folder:
            return _text_network(folder)

    @cached_property
    def _image_network(self) -> Network:
        with self._loading() as folder:
            return _image_network(folder)

    @contextmanager
    def _loading(self) -> Iterator[Path]:
        """Yield the model's folder; raise InputError for whatever cannot be loaded from it."""
        extra = f"encoder {self.name!r}"
        with naming_extra(extra):
            from mmroute import hub
        folder = self._fetched() if self.revision else self._folder
        self.local_files()
        try:
            # A config can name another model of the hub, as a backbone or a tokenizer.
            with naming_extra(extra), working_on(folder), hub.unreachable(), _without_remarks():
                _require_own_weights(folder)
                yield folder
        except (InputError, MemoryError):
            raise
        # A folder is anybody's; what the libraries raise on one ranges from KeyError to
        # UnpicklingError.
        except Exception as error:
            raise_disk_fault(error, folder)
            raise InputError(
                f"encoder hugging_face: model {self.model} cannot be loaded ({one_line(error)}); "
                "give another model"
            ) from error

    def _fetched(self) -> Path:
        """Return the folder of the hub's model in the client's cache, where it is fetched to."""
        from huggingface_hub.errors import HFValidationError

        from mmroute import hub

        named = f"encoder hugging_face: model {self.model!r} at revision {self.revision}"
        try:
            if folder := hub.cached_model(self.model, self.revision):
                return folder
            if self.offline:
                raise InputError(
                    f"{named} is not in the hub's cache, and the network is not allowed; allow it"
                )
            return hub.cache_model(self.model, self.revision, _chosen)
        except (hub.FetchError, OSError, HFValidationError) as error:
            raise_disk_fault(error, Path(self.model))
            raise InputError(
                f"{named} could not be fetched ({one_line(error)}); correct `model` or "
                "`revision`, try again, or set `model` to a local folder, without `revision`"
            ) from error


def _chosen(names: Iterable[str]) -> list[str]:
    """Choose what is read of a model's files; pickled weights only where there are no others."""
    names = sorted(names)
    safe = [name for name in names if _SAFE.fullmatch(name)]
    having_safe = {name.rpartition("/")[0] for name in safe}
    pickled = [
        name
        for name in names
        if _PICKLED.fullmatch(name) and name.rpartition("/")[0] not in having_safe
    ]
    return [*(name for name in names if _METADATA.fullmatch(name)), *safe, *pickled]


def _model_files(folder: Path) -> list[Path]:
    paths = [*folder.iterdir(), *folder.glob("[0-9]*_*/*")]
    names = _chosen(path.relative_to(folder).as_posix() for path in paths)
    if "config.json" not in names or not any(
        re.fullmatch("model.*safetensors|pytorch_model.*bin", name) for name in names
    ):
        raise InputError(
            f"{folder}: holds no config.json, or no weights in model.safetensors or "
            "pytorch_model.bin; give the folder of a model that transformers has saved"
        )
    for name in names:
        if not (folder / name).is_file():
            raise InputError(f"{folder / name}: is no file; put a file in its place")
    return [folder / name for name in names]


def _text_network(folder: Path) -> Network:
    from sentence_transformers.base.modules import Dense
    from sentence_transformers.sentence_transformer.modules import Pooling
    from transformers import (
        MODEL_FOR_TEXT_ENCODING_MAPPING,
        AutoConfig,
        AutoModel,
        AutoModelForTextEncoding,
        AutoTokenizer,
    )

    modules = _modules(folder)
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    # Of an encoder and decoder only the encoder.
    known = type(config) in MODEL_FOR_TEXT_ENCODING_MAPPING
    model, _, device = _loaded(AutoModelForTextEncoding if known else AutoModel, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    stated = _settings(folder, "sentence_bert_config.json")
    lengths = [
        stated.get("max_seq_length"),
        tokenizer.model_max_length,
        getattr(config, "max_position_embeddings", None),
    ]
    longest = min(length for length in lengths if isinstance(length, int) and length > 0)
    if longest <= tokenizer.num_special_tokens_to_add():
        raise ValueError(f"takes texts of {longest} tokens, none of which is a word's")
    prompts = _settings(folder, "config_sentence_transformers.json")
    prompt = (prompts.get("prompts") or {}).get(prompts.get("default_prompt_name")) or ""
    classes = {"Pooling": Pooling, "Dense": Dense}
    layers = [
        classes[kind].load(str(folder), subfolder=path, local_files_only=True).eval().to(device)
        for kind, path in modules
        if kind in classes
    ] or [Pooling(config.hidden_size)]
    if prompt and not all(getattr(layer, "include_prompt", True) for layer in layers):
        raise ValueError("pools without its prompt")
    # A fast tokenizer is no one's while another thread uses it.
    lock = threading.Lock()

    def forward(texts: Sequence[str]) -> "torch.Tensor":
        prompted = [prompt + text for text in texts]
        if stated.get("do_lower_case"):
            prompted = [text.lower() for text in prompted]
        with lock:
            tokens = tokenizer(
                prompted, padding=True, truncation=True, max_length=longest, return_tensors="pt"
            ).to(device)
        features = {
            "token_embeddings": model(**tokens).last_hidden_state,
            "attention_mask": tokens["attention_mask"],
        }
        for layer in layers:
            features = layer(features)
        return features["sentence_embedding"]

    return _network(forward, ["text"], device)


def _image_network(folder: Path) -> Network:
    from transformers import AutoImageProcessor, AutoModel

    model, lacking, device = _loaded(AutoModel, folder)
    if lacking:
        model.pooler = None
    processor = AutoImageProcessor.from_pretrained(folder, trust_remote_code=False)
    project = getattr(model, "get_image_features", model)

    def forward(images: Sequence[Image.Image]) -> "torch.Tensor":
        outputs = project(**processor(images=list(images), return_tensors="pt").to(device))
        pooled = outputs.pooler_output
        return outputs.last_hidden_state[:, 0] if pooled is None else pooled.flatten(1)

    return _network(forward, [Image.new("RGB", (64, 64))], device)


def _network(
    forward: Callable[[Sequence[Any]], "torch.Tensor"], example: Sequence[Any], device: str
) -> Network:
    import torch

    def embed(batch: Sequence[Any]) -> np.ndarray:
        half = torch.autocast("cuda", torch.bfloat16, enabled=device == "cuda")
        with torch.inference_mode(), half:
            return forward(batch).float().cpu().numpy()

    first = embed(example)
    if not np.isfinite(first).all():
        raise ValueError("embeds as what is no finite number")
    return Network(embed, first.shape[1], device)


def _loaded(loader: Any, folder: Path) -> tuple[Any, list[str], str]:
    """Return a model, the weights of its pooling layer that its checkpoint lacks, its device.

    Raises ValueError if the checkpoint lacks others.
    """
    import torch

    model, report = loader.from_pretrained(
        folder,
        trust_remote_code=False,
        weights_only=True,
        # The default one; a config can name one that is fetched and run.
        attn_implementation=None,
        dtype=torch.float32,
        output_loading_info=True,
    )
    lacking = sorted(report["missing_keys"])
    if others := [name for name in lacking if not name.startswith("pooler.")]:
        raise ValueError(f"its weights lack {', '.join(others)}")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return model.eval().to(device), lacking, device


def _require_own_weights(folder: Path) -> None:
    for index in folder.glob("*.index.json"):
        for name in read_json(index)["weight_map"].values():
            if not (_SAFE.fullmatch(name) or _PICKLED.fullmatch(name)):
                raise InputError(f"{index}: {name!r} is no part of a model; give another model")


def _modules(folder: Path) -> list[tuple[str, str]]:
    """Return the class and the subfolder of each module of sentence-transformers, if it has any.

    Raises InputError for a module that is not one of ``_HANDLED``.
    """
    file = folder / "modules.json"
    if not file.exists():
        return []
    modules = [(str(module["type"]), str(module["path"])) for module in read_json(file)]
    for kind, path in modules:
        package, _, name = kind.rpartition(".")
        own = package.split(".")[0] == "sentence_transformers" and name in _HANDLED
        if not own or leaves_folder(path) or (name == "Transformer") != (path == ""):
            raise InputError(
                f"{file}: module {kind!r} in {path!r} is none of sentence-transformers' "
                f"{', '.join(_HANDLED)} in its place; give another model"
            )
    return [(kind.rpartition(".")[2], path) for kind, path in modules]


def _settings(folder: Path, name: str) -> dict[str, Any]:
    return read_json(folder / name) if (folder / name).exists() else {}


@contextmanager
def _without_remarks() -> Iterator[None]:
    """Keep the libraries' progress bars and reports on loading off the log."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        logging.enable_progress_bar()
