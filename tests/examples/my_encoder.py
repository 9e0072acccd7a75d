"""An encoder by shares: which letters a text is made of, which grey levels an image."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from string import ascii_lowercase
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge

from mmroute.encoders import Encoder
from mmroute.images import decode, quiet_decoding


class Shares(Encoder):
    """Letters of a text, and grey levels of an image in so many ``bins``, as shares."""

    name: ClassVar[str] = "shares"

    def __init__(self, bins: Annotated[int, Ge(2)] = 16) -> None:
        self.bins = bins

    @property
    def key(self) -> str:
        """A file-safe name that tells it, and its parameters, from other encoders."""
        return f"{self.name}-{self.bins}"

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Encode N texts as float32 (N, 27): the last column is what is no letter."""
        counts = [
            [text.lower().count(letter) for letter in ascii_lowercase]
            + [sum(not character.isascii() or not character.isalpha() for character in text)]
            for text in texts
        ]
        rows = np.array(counts, np.float32).reshape(len(texts), 27)
        return rows / np.maximum(rows.sum(axis=1, keepdims=True), 1)

    def encode_images(self, paths: Sequence[Path], threads: int) -> np.ndarray:
        """Encode N image files as float32 (N, bins); NaN where there is no image to decode."""
        with quiet_decoding(), ThreadPoolExecutor(threads) as pool:
            rows = list(pool.map(self._grey_levels, paths))
        return np.array(rows, np.float32).reshape(len(paths), self.bins)

    def _grey_levels(self, path: Path) -> np.ndarray:
        picture = decode(path, longest_side=256)
        if picture is None:
            return np.full(self.bins, np.nan)
        pixels = np.asarray(picture.image.convert("L"))
        counts, _ = np.histogram(pixels, bins=self.bins, range=(0, 256))
        return counts / pixels.size
