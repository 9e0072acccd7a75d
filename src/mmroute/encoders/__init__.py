"""Encoders: a text or an image in, a vector out. One module each."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from mmroute.storage import digest_listing

Modality = Literal["text", "image"]


class Encoder(ABC):
    """Turns texts and images into vectors.

    A subclass sets ``name``, as the config gives it below ``encoders``; its
    constructor arguments are the encoder's parameters.
    """

    name: ClassVar[str]
    gpu: ClassVar[bool] = False
    """Whether it wants a GPU."""
    offline: bool = False
    """Whether nothing may be fetched, so that what is missing raises InputError."""

    @property
    @abstractmethod
    def key(self) -> str:
        """Return a file-safe name that tells this encoder and its parameters from others."""

    def local_files(self) -> list[Path]:
        """List the user's own files that it is made from: a checkpoint, a model config.

        Raises InputError if one of them is no file.
        """
        return []

    def fingerprint(self) -> str:
        """Return a digest that changes when one of ``local_files`` does; "" if there are none."""
        files = self.local_files()
        return digest_listing(files) if files else ""

    @abstractmethod
    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Encode N texts, none of them empty, as float32 (N, d), not normalised."""

    @abstractmethod
    def encode_images(self, paths: Sequence[Path], threads: int) -> np.ndarray:
        """Encode N image files as float32 (N, d), not normalised.

        The row of a file that is missing or cannot be decoded is NaN throughout.
        The result does not depend on ``threads``.
        """
