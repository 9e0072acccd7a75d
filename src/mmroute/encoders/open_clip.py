"""Any OpenCLIP model, from a tag's weights or a local checkpoint."""

import difflib
import json
import logging
import os
import re
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from mmroute.encoders import Encoder
from mmroute.encoders.batches import Batches, on_device
from mmroute.errors import InputError, one_line, raise_disk_fault
from mmroute.storage import file_name, read_json

if TYPE_CHECKING:
    import torch

# Importing torch and open_clip takes seconds: the methods that compute do it, so that a workflow
# can ask for ``key`` and ``fingerprint`` at no cost.


class Network(NamedTuple):
    """An OpenCLIP model, and what prepares images and texts for it.

    Attributes
    ----------
    width
        Of its embeddings.
    device
        Where it computes.
    """

    model: Any
    preprocess: Callable[..., "torch.Tensor"]
    tokenizer: Callable[[list[str]], "torch.Tensor"]
    width: int
    device: str


class OpenClip(Encoder):
    """The text and image towers of an OpenCLIP model.

    With CUDA it computes in half precision.

    Parameters
    ----------
    model
        An architecture that open_clip lists, or the path of an OpenCLIP model
        config ending in ``.json``.
    pretrained
        A tag that open_clip lists for the model, or the path of a checkpoint.
    batch_size
        Texts or images in one forward pass.
    """

    name = "open_clip"
    gpu = True

    def __init__(self, model: str, pretrained: str, batch_size: int = 64) -> None:
        if batch_size < 1:
            raise InputError(f"open_clip: batch_size is {batch_size}; give 1 or more")
        self.model = model
        self.pretrained = pretrained
        self.batch_size = batch_size

    @property
    def key(self) -> str:
        """Return the model's and the weights' names, such as "open_clip-ViT-B-32-openai"."""
        weights = self._checkpoint.stem if self._checkpoint else self.pretrained
        key = re.sub(r"[^\w.-]+", "-", f"{self.name}-{self._architecture}-{weights}")
        return file_name(key)

    def local_files(self) -> list[Path]:
        """List the checkpoint and the model config that are local.

        Raises InputError if one of them is no file.
        """
        files = [path for path in (self._checkpoint, self._config) if path]
        for path in files:
            if not path.is_file():
                raise InputError(
                    f"encoder open_clip: {path} is no file; correct `model` or `pretrained`"
                )
        return files

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Encode N texts as float32 (N, d), cut off where the model's context ends.

        Raises InputError if the model cannot be loaded.
        """
        import torch

        network = self.network

        def embed(batch: Sequence[str]) -> np.ndarray:
            return _forward(network, "encode_text", network.tokenizer(list(batch)))

        # Snakemake tells a job the number of its cores through the variables that torch reads.
        return self._batches.embed(embed, texts, torch.get_num_threads())

    def encode_images(self, paths: Sequence[Path], threads: int) -> np.ndarray:
        """Encode N image files as float32 (N, d); NaN where one cannot be decoded.

        Raises InputError if the model cannot be loaded.
        """
        import torch

        network = self.network

        def embed(images: list[Image.Image]) -> np.ndarray:
            pixels = torch.stack([network.preprocess(image) for image in images])
            return _forward(network, "encode_image", pixels)

        return self._batches.embed_images(embed, paths, threads)

    @property
    def _batches(self) -> Batches:
        return Batches(self.key, self.batch_size, self.network.width, self.network.device)

    @property
    def _checkpoint(self) -> Path | None:
        # No tag of open_clip has a dot or a slash.
        path = Path(self.pretrained)
        return path if path.suffix or len(path.parts) > 1 else None

    @property
    def _config(self) -> Path | None:
        return Path(self.model) if self.model.endswith(".json") else None

    @property
    def _architecture(self) -> str:
        return self._config.stem if self._config else self.model

    @cached_property
    def network(self) -> Network:
        """The loaded model with its preprocessing, read on first use."""
        self.local_files()
        architecture = self._known_architecture()
        weights = self._checkpoint or self._tagged_weights(architecture)
        return self._network(architecture, weights)

    def untrained(self) -> Network:
        """Return the model as ``network``, but with weights that are still to come."""
        # That no weights were asked for is no news.
        disabled = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            return self._network(self._known_architecture(), None)
        finally:
            logging.disable(disabled)

    def _network(self, architecture: str, weights: Path | None) -> Network:
        import open_clip
        import torch

        tokenizer = self._tokenizer(architecture)
        tag = {} if self._checkpoint else self._tag(architecture)
        device = "cuda" if torch.cuda.is_available() and weights else "cpu"
        try:
            model, _, preprocess = open_clip.create_model_and_transforms(
                architecture,
                weights and str(weights),
                device=device,
                # Some tags were trained with another activation than their model's config has,
                # or on images prepared otherwise.
                force_quick_gelu=tag.get("quick_gelu", False),
                image_mean=tag.get("mean"),
                image_std=tag.get("std"),
                image_interpolation=tag.get("interpolation"),
                image_resize_mode=tag.get("resize_mode"),
                pretrained_text=False,
                weights_only=True,
            )
        # A checkpoint is anybody's file; what torch and open_clip raise on one that does not fit
        # ranges from KeyError to UnpicklingError.
        except MemoryError:
            raise
        except Exception as error:
            raise_disk_fault(error, Path(self.pretrained))
            raise InputError(
                f"encoder open_clip: model {self.model} cannot be built with pretrained "
                f"{self.pretrained} ({one_line(error)}); give weights saved from this model"
            ) from error
        width = open_clip.get_model_config(architecture)["embed_dim"]
        return Network(model.eval(), preprocess, tokenizer, width, device)

    def _known_architecture(self) -> str:
        import open_clip

        if self._config:
            config = read_json(self._config)
            for key in ("embed_dim", "text_cfg", "vision_cfg"):
                if not isinstance(config, dict) or key not in config:
                    raise InputError(
                        f"{self._config}: no key {key!r}; give an OpenCLIP model config"
                    )
            if ":" in self._architecture:
                # open_clip would take it for the address of another config.
                raise InputError(f"{self._config}: a config's name has no colon; rename the file")
            open_clip.add_model_config(self._config)
        elif self.model not in open_clip.list_models():
            close = difflib.get_close_matches(self.model, open_clip.list_models(), 5, 0)
            raise InputError(
                f"encoder open_clip: unknown model {self.model!r}; give one that open_clip lists, "
                f"such as {', '.join(close)}, or the path of a model config ending in .json"
            )
        self._require_local()
        return self._architecture

    def _require_local(self) -> None:
        import open_clip

        content = json.dumps(open_clip.get_model_config(self._architecture))
        elsewhere = re.search(r'"hf_\w+_name"|"timm_model_name": "[^"]*:', content)
        if self.offline and (elsewhere or "siglip" in self._architecture.lower()):
            raise InputError(
                f"encoder open_clip: the model {self.model} takes its text tower or its tokenizer "
                "from a hub, and the network is not allowed; allow it, or choose another model"
            )

    def _tokenizer(self, architecture: str) -> Callable[[list[str]], "torch.Tensor"]:
        import open_clip

        try:
            return open_clip.get_tokenizer(architecture)
        # It may need a package that is not there, or files from the hub, or be misconfigured.
        except Exception as error:
            raise_disk_fault(error, Path(self.model))
            raise InputError(
                f"encoder open_clip: the tokenizer of model {self.model} cannot be had "
                f"({one_line(error)}); put that right or choose another model"
            ) from error

    def _tag(self, architecture: str) -> dict[str, Any]:
        """Return what open_clip knows of the tag."""
        import open_clip
        from open_clip import pretrained

        tag = pretrained.get_pretrained_cfg(architecture, self.pretrained)
        if not tag:
            tags = open_clip.list_pretrained_tags_by_model(architecture)
            raise InputError(
                f"encoder open_clip: unknown tag {self.pretrained!r} in `pretrained` for model "
                f"{architecture}; give one of: {', '.join(tags) or '(none)'}, or the path of a "
                "checkpoint"
            )
        return tag

    def _tagged_weights(self, architecture: str) -> Path:
        """Return the tag's weights in the hub's cache, where they are fetched to."""
        from open_clip import pretrained
        from open_clip.constants import HF_WEIGHTS_NAME

        from mmroute import hub

        repo, name = os.path.split(self._tag(architecture)["hf_hub"])
        name = name or HF_WEIGHTS_NAME
        names = [*pretrained._get_safe_alternatives(name), name]
        if self.offline:
            if weights := hub.cached_model_file(repo, names):
                return weights
            raise InputError(
                f"encoder open_clip: the weights {self.pretrained!r} of {architecture} are not in "
                "the hub's cache, and the network is not allowed; allow it"
            )
        try:
            return hub.cache_model_file(repo, names)
        except (hub.FetchError, OSError) as error:
            raise_disk_fault(error, Path(repo, name))
            raise InputError(
                f"encoder open_clip: could not fetch the weights {self.pretrained!r} of "
                f"{architecture} from {repo} ({one_line(error)}); "
                "try again, or set `pretrained` to the path of a local checkpoint"
            ) from error


def _forward(network: Network, tower: str, batch: "torch.Tensor") -> np.ndarray:
    import torch

    half = torch.autocast("cuda", torch.float16, enabled=network.device == "cuda")
    with torch.inference_mode(), half:
        features = getattr(network.model, tower)(on_device(batch, network.device))
    return features.float().cpu().numpy()
