"""How many images a second the card embeds, beside its forward pass alone and the decoding."""

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

import torch

from mmroute.encoders.open_clip import OpenClip
from mmroute.images import decode

LEAST_SHARE = 0.95
SPARE = 1.1
"""Cores that prepare so many times the images that the forward pass takes can keep it busy."""


class Throughput(NamedTuple):
    """Images a second of one model.

    Attributes
    ----------
    model
        Its architecture.
    forward
        By the forward pass alone, on batches that lie on the device.
    prepared
        Decoded and made ready by all cores, with no forward pass.
    embedded
        From files to rows.
    """

    model: str
    forward: float
    prepared: float
    embedded: float

    @property
    def share(self) -> float:
        """Of the forward pass's throughput, what embedding has."""
        return self.embedded / self.forward

    @property
    def fed(self) -> bool:
        """Whether the cores can keep the forward pass busy at all."""
        return self.prepared >= SPARE * self.forward

    @property
    def held(self) -> bool:
        """Whether embedding keeps it busy."""
        return self.fed and self.share >= LEAST_SHARE


def measure(
    model: str, encoder: OpenClip, images: list[Path], threads: int, seconds: float
) -> Throughput:
    """Measure one model, each throughput over about so many seconds."""
    network, size = encoder.network, encoder.batch_size

    def files(batches: int) -> Iterator[Path]:
        return islice(cycle(images), batches * size)

    def prepare(paths: Iterator[Path]) -> torch.Tensor:
        return torch.stack([network.preprocess(decode(path).image) for path in paths])

    def prepare_all(batches: int) -> None:
        with ThreadPoolExecutor(threads, "", torch.set_num_threads, (1,)) as pool:
            for done in [pool.submit(lambda: len(prepare(files(1)))) for _ in range(batches)]:
                done.result()

    ready = prepare(files(1)).to(network.device)

    @torch.inference_mode()
    def forward(batches: int) -> None:
        for _ in range(batches):
            with torch.autocast("cuda", torch.float16, enabled=network.device == "cuda"):
                rows = network.model.encode_image(ready)
        rows.cpu()

    def embed(batches: int) -> None:
        encoder.encode_images(list(files(batches)), threads)

    works = forward, prepare_all, embed
    return Throughput(model, *(size * per_second(work, 2 * threads, seconds) for work in works))


def per_second(work: Callable[[int], None], batches: int, seconds: float) -> float:
    """Return the batches that ``work`` does in a second, once it is warm."""
    work(batches)
    enough = max(batches, math.ceil(seconds / taken(work, batches) * batches))
    return enough / taken(work, enough)


def taken(work: Callable[[int], None], batches: int) -> float:
    """Return the seconds that ``work`` takes for so many batches."""
    begin = time.perf_counter()
    work(batches)
    return time.perf_counter() - begin
