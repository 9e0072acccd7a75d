"""Batches through a network, on every core, with the same result on any number of them."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from mmroute.images import decode, quiet_decoding

if TYPE_CHECKING:
    import torch


class Batches(NamedTuple):
    """How a network takes texts or images.

    Batches are independent of each other: each thread prepares one and runs it on one core, so
    that every core is used and the result does not depend on their number. With CUDA the threads
    share the device: while it computes one batch, others are decoded and copied.

    Attributes
    ----------
    title
        What the progress bar says.
    size
        Texts or images in one forward pass.
    width
        Of the network's embeddings.
    device
        Where it computes.
    """

    title: str
    size: int
    width: int
    device: str

    def embed(
        self, embed: Callable[[Sequence[Any]], np.ndarray], items: Sequence[Any], threads: int
    ) -> np.ndarray:
        """Return the float32 (N, width) rows of N items, by what embeds a batch of them."""
        import torch

        starts = range(0, len(items), self.size)
        batches = [items[start : start + self.size] for start in starts]
        # With a GPU one thread waits for it while the others prepare.
        workers = threads + (self.device == "cuda")
        rows = np.empty((len(items), self.width), np.float32)
        torch_threads = torch.get_num_threads()
        try:
            with (
                # Where torch splits a product among cores, its rounding can depend on their number.
                ThreadPoolExecutor(workers, "", torch.set_num_threads, (1,)) as pool,
                tqdm(
                    desc=self.title, total=len(items), mininterval=5, disable=len(items) < 500
                ) as bar,
            ):
                for start, embedded in zip(starts, pool.map(embed, batches), strict=True):
                    rows[start : start + len(embedded)] = embedded
                    bar.update(len(embedded))
        finally:
            torch.set_num_threads(torch_threads)
        return rows

    def embed_images(
        self,
        embed: Callable[[list[Image.Image]], np.ndarray],
        paths: Sequence[Path],
        threads: int,
    ) -> np.ndarray:
        """Return the float32 (N, width) rows of N image files; NaN where one cannot be decoded."""

        def embed_readable(batch: Sequence[Path]) -> np.ndarray:
            pictures = enumerate(map(decode, batch))
            readable = {index: picture.image for index, picture in pictures if picture}
            rows = np.full((len(batch), self.width), np.nan, np.float32)
            if readable:
                rows[list(readable)] = embed(list(readable.values()))
            return rows

        with quiet_decoding():
            return self.embed(embed_readable, paths, threads)


def on_device(batch: "torch.Tensor", device: str) -> "torch.Tensor":
    """Return a batch where a network computes, copied there beside other threads' computing."""
    import torch

    if device != "cuda":
        return batch
    computing, copying = torch.cuda.current_stream(), _copying_stream()
    with torch.cuda.stream(copying):
        # From other than pinned memory the device would wait for the copy.
        copied = batch.pin_memory().to(device, non_blocking=True)
    computing.wait_stream(copying)
    copied.record_stream(computing)
    return copied


@cache
def _copying_stream() -> "torch.cuda.Stream":
    import torch

    return torch.cuda.Stream()
