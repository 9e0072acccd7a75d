"""OpenCLIP's towers as a trainable part of a router's network."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn import functional

from mmroute.encoders.open_clip import Network, OpenClip
from mmroute.images import decode, each, quiet_decoding
from mmroute.routers.gradients import seeded


class Towers(nn.Module):
    """Samples in, both normalised embeddings side by side out, as the fusion ``pair`` has them.

    An empty question, no image, or one that cannot be decoded is a missing modality,
    whose half is zero. Images are prepared as for encoding, without augmentation, and several
    of a sample averaged as there.

    Parameters
    ----------
    clip_model, pretrained
        ``model`` and ``pretrained`` of the encoder ``open_clip``.

    Raises
    ------
    InputError
        If the model cannot be loaded.
    """

    def __init__(self, clip_model: str, pretrained: str) -> None:
        self._take(OpenClip(clip_model, pretrained).network)

    @classmethod
    def untrained(cls, clip_model: str, pretrained: str) -> Self:
        """Return towers whose weights are still to come; none are looked for."""
        towers = cls.__new__(cls)
        # Real, whatever device a caller builds the rest on: not all that towers compute with is
        # among their weights.
        with torch.device("cpu"), seeded(0):
            loader = OpenClip(clip_model, pretrained)
            loader.offline = True
            towers._take(loader.untrained())
        return towers

    def _take(self, loaded: Network) -> None:
        super().__init__()
        self.clip = loaded.model
        self.preprocess, self.tokenizer = loaded.preprocess, loaded.tokenizer
        self.width = loaded.width

    def forward(self, samples: pd.DataFrame) -> torch.Tensor:
        """Return the (b, 2 width) features of b samples with ``question`` and ``image``."""
        asked = np.flatnonzero(samples["question"].str.strip() != "").tolist()
        texts = self.tokenizer(samples["question"].iloc[asked].tolist()) if asked else ()
        named = [(row, path) for row, own in enumerate(samples["image"]) for path in each(own)]
        with quiet_decoding(), ThreadPoolExecutor(torch.get_num_threads()) as pool:
            pixels = pool.map(lambda one: (one[0], self._pixels(one[1])), named)
            images = [(row, image) for row, image in pixels if image is not None]
        halves = (
            self._embed(self.clip.encode_text, list(zip(asked, texts, strict=True)), len(samples)),
            self._embed(self.clip.encode_image, images, len(samples)),
        )
        return torch.cat(halves, dim=1)

    def _pixels(self, path: str) -> torch.Tensor | None:
        picture = decode(Path(path))
        return self.preprocess(picture.image) if picture else None

    def _embed(
        self,
        encode: Callable[..., torch.Tensor],
        inputs: list[tuple[int, torch.Tensor]],
        n_samples: int,
    ) -> torch.Tensor:
        """Return (n_samples, width) embeddings of inputs by row, zero for the rows without any."""
        device = next(self.parameters()).device
        rows = torch.zeros(n_samples, self.width, device=device)
        if inputs:
            owners, batch = zip(*inputs, strict=True)
            encoded = encode(torch.stack(batch).to(device), normalize=False).to(rows.dtype)
            # The direction of a mean is that of the sum.
            rows = rows.index_add(0, torch.tensor(owners, device=device), encoded)
        return functional.normalize(rows, dim=-1)
