"""Feature fusion: one vector per sample out of its text and image embeddings.

Definitions, section 3. Two departures from the published method, both there:

1. Prototypes and norm statistics are fitted on the training split and applied to
   every sample. The paper takes them from whatever set is being encoded, so that
   a test sample's feature depends on the other test samples;
   ``statistics="batch"`` reproduces that.
2. The norm cue uses the norms before normalisation. After it every norm is 1 up
   to rounding, and the published cue is standardised floating-point noise. Where
   the raw norms' standard deviation is below 1e-6 of their mean (as it is for an
   encoder that normalises its own output) the cue is the constant 0.5.

If text and image differ in width, ``mean``, ``weighted`` and ``adaptive`` map the
wider modality to the narrower width by an orthonormal projection fitted on the
training split, and normalise again. The published code cuts columns off.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from annotated_types import Ge, Le
from scipy.special import expit, softmax

from mmroute.features.embeddings import Embeddings

CONFIDENCE_TEMPERATURE = 5.0
"""eta of MMR-Bench S5."""
INTERACTION_WEIGHT = 0.5
"""alpha and beta of MMR-Bench S6."""
FLAT_NORMS = 1e-6
"""Standard deviation over mean below which norms carry no signal."""


@dataclass(frozen=True)
class ModalityStatistics:
    """What ``adaptive`` knows of one modality.

    Attributes
    ----------
    prototype
        (d,) mean of the normalised embeddings.
    norm_mean, norm_std
        Moments of the raw norms.
    """

    prototype: np.ndarray
    norm_mean: float
    norm_std: float

    @classmethod
    def of(cls, embeddings: Embeddings) -> "ModalityStatistics":
        """Compute the statistics over the samples that have the modality."""
        present = embeddings.present
        if not present.any():
            return cls(np.zeros(embeddings.vectors.shape[1]), 0.0, 0.0)
        norms = embeddings.norms[present].astype(np.float64)
        prototype = embeddings.vectors[present].mean(axis=0, dtype=np.float64)
        return cls(prototype, float(norms.mean()), float(norms.std()))

    def confidence(self, embeddings: Embeddings) -> np.ndarray:
        """Return the (N,) confidence in [0, 1] (MMR-Bench S2 to S4)."""
        length = np.linalg.norm(self.prototype)
        cosine = embeddings.vectors @ (self.prototype / length if length else self.prototype)
        if self.norm_std <= FLAT_NORMS * self.norm_mean:
            norm_cue: np.ndarray | float = 0.5
        else:
            norm_cue = expit((embeddings.norms - self.norm_mean) / self.norm_std)
        return np.clip(0.5 * (cosine + 1) / 2 + 0.5 * norm_cue, 0, 1)


class Fusion(ABC):
    """Fuses text and image embeddings; fitted on the training split.

    A subclass sets ``name``, as the config gives it; its constructor arguments
    are the fusion's parameters.
    """

    name: ClassVar[str]
    with_side: ClassVar[bool] = False
    """Whether the side features stand beside what is fused."""

    def fit(self, text: Embeddings, image: Embeddings) -> Self:
        """Learn from the training split what the fusion needs to know of it."""
        return self

    @abstractmethod
    def transform(self, text: Embeddings, image: Embeddings) -> np.ndarray:
        """Return the (N, d) float32 features of N samples."""


class Text(Fusion):
    """The text alone; the image is masked."""

    name: ClassVar[str] = "text"

    def transform(self, text: Embeddings, image: Embeddings) -> np.ndarray:
        """Return the text embeddings."""
        return text.vectors


class Image(Fusion):
    """The image alone; the text is masked."""

    name: ClassVar[str] = "image"

    def transform(self, text: Embeddings, image: Embeddings) -> np.ndarray:
        """Return the image embeddings."""
        return image.vectors


class Concat(Fusion):
    """[t ; v] of the normalised embeddings (VL-RouterBench's Normalize-Concat)."""

    name: ClassVar[str] = "concat"

    def transform(self, text: Embeddings, image: Embeddings) -> np.ndarray:
        """Return the embeddings side by side."""
        return np.concatenate([text.vectors, image.vectors], axis=1)


class _Aligned(Fusion):
    """A fusion that needs both modalities in one width."""

    text_projection_: np.ndarray | None
    image_projection_: np.ndarray | None

    def fit(self, text: Embeddings, image: Embeddings) -> Self:
        """Fit the projection of the wider modality."""
        widths = text.vectors.shape[1], image.vectors.shape[1]
        self.text_projection_ = _projection(text, widths[1]) if widths[0] > widths[1] else None
        self.image_projection_ = _projection(image, widths[0]) if widths[1] > widths[0] else None
        return self

    def align(self, text: Embeddings, image: Embeddings) -> tuple[Embeddings, Embeddings]:
        """Return both modalities in the narrower width."""
        return _project(text, self.text_projection_), _project(image, self.image_projection_)


class Tabular(Concat):
    """[t ; v ; s]: the embeddings beside the standardised side features (ours)."""

    name: ClassVar[str] = "tabular"
    with_side: ClassVar[bool] = True


class Pair(_Aligned):
    """[t ; v] in one width, for a router that takes each as a token; a missing one is zero."""

    name: ClassVar[str] = "pair"

    def transform(self, text: Embeddings, image: Embeddings) -> np.ndarray:
        """Return the embeddings side by side."""
        text, image = self.align(text, image)
        return np.concatenate([text.vectors, image.vectors], axis=1).astype(np.float32)


class Weighted(_Aligned):
    """w t + (1 - w) v with w the ``weight``; a missing modality is the zero vector."""

    name: ClassVar[str] = "weighted"
    weight: float

    def __init__(self, weight: Annotated[float, Ge(0), Le(1)] = 0.5) -> None:
        self.weight = weight

    def transform(self, text: Embeddings, image: Embeddings) -> np.ndarray:
        """Return the weighted sum."""
        text, image = self.align(text, image)
        fused = self.weight * text.vectors + (1 - self.weight) * image.vectors
        return fused.astype(np.float32)


class Mean(Weighted):
    """(t + v) / 2; a missing modality is the zero vector (MMR-Bench S10)."""

    name: ClassVar[str] = "mean"

    def __init__(self) -> None:
        super().__init__(weight=0.5)


class Adaptive(_Aligned):
    """Weights by confidence plus interaction terms, L2-normalised (MMR-Bench S2 to S6).

    A missing modality gets weight 0 and no interaction.

    Parameters
    ----------
    statistics
        Whether prototypes and norm moments come from the training split or, as
        published, from each set that is encoded.
    """

    name: ClassVar[str] = "adaptive"
    statistics_: tuple[ModalityStatistics, ModalityStatistics]

    def __init__(self, statistics: Literal["train", "batch"] = "train") -> None:
        self.statistics = statistics

    def fit(self, text: Embeddings, image: Embeddings) -> Self:
        """Fit the projection and the statistics."""
        super().fit(text, image)
        text, image = self.align(text, image)
        self.statistics_ = ModalityStatistics.of(text), ModalityStatistics.of(image)
        return self

    def transform(self, text: Embeddings, image: Embeddings) -> np.ndarray:
        """Return the fused, normalised features."""
        text, image = self.align(text, image)
        statistics = self.statistics_
        if self.statistics == "batch":
            statistics = ModalityStatistics.of(text), ModalityStatistics.of(image)
        present = np.stack([text.present, image.present], axis=1)
        confidence = np.stack(
            [statistics[0].confidence(text), statistics[1].confidence(image)], axis=1
        )
        logits = np.where(present, CONFIDENCE_TEMPERATURE * confidence, -np.inf)
        logits[~present.any(axis=1)] = 0
        weights = softmax(logits, axis=1)
        t, v = text.vectors, image.vectors
        both = present.all(axis=1, keepdims=True)
        interaction = INTERACTION_WEIGHT * (t * v + np.abs(t - v))
        fused = weights[:, :1] * t + weights[:, 1:] * v + both * interaction
        return _normalised(fused).astype(np.float32)


def _projection(embeddings: Embeddings, width: int) -> np.ndarray:
    """Return a (d, width) orthonormal basis of the training rows' principal directions.

    With fewer rows than directions the basis is completed by the coordinate axes,
    made orthogonal in their order. Signs are such that the largest entry of a
    direction is positive: nothing depends on the order of the rows.
    """
    dimension = embeddings.vectors.shape[1]
    rows = embeddings.vectors[embeddings.present].astype(np.float64)
    spread = np.cov(rows, rowvar=False, bias=True) if len(rows) else np.zeros((dimension,) * 2)
    variances, directions = np.linalg.eigh(spread)
    told = directions[:, ::-1][:, variances[::-1] > max(1e-10 * variances[-1], 0)]
    basis = np.linalg.qr(np.hstack([told, np.eye(dimension)]))[0][:, :width]
    largest = np.take_along_axis(basis, np.abs(basis).argmax(axis=0)[None], axis=0)
    return basis * np.sign(largest)


def _project(embeddings: Embeddings, projection: np.ndarray | None) -> Embeddings:
    if projection is None:
        return embeddings
    vectors = _normalised(embeddings.vectors @ projection)
    return Embeddings(vectors, embeddings.norms, embeddings.present)


def _normalised(rows: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1)


@dataclass(frozen=True)
class Features:
    """A fusion fitted on a training split, with the scales of the side features there.

    Attributes
    ----------
    fusion
        The fitted fusion.
    side_mean, side_spread
        (s,) moments of the side features; empty if the fusion has none beside it.
    """

    fusion: Fusion
    side_mean: np.ndarray
    side_spread: np.ndarray

    @classmethod
    def fit(cls, fusion: Fusion, text: Embeddings, image: Embeddings, side: np.ndarray) -> Self:
        """Fit a fusion to n training samples; arguments as for ``transform``."""
        known = np.isfinite(side)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, side, 0.0).sum(axis=0) / count
        spread = np.sqrt((np.where(known, side - mean, 0.0) ** 2).sum(axis=0) / count)
        return cls(fusion.fit(text, image), mean, spread)

    def transform(self, text: Embeddings, image: Embeddings, side: np.ndarray) -> np.ndarray:
        """Return the (N, d) float32 features of N samples.

        Parameters
        ----------
        text, image
            Embeddings; those of a masked modality are ``Embeddings.masked``.
        side
            (N, s) side features, NaN where they are unknown; not read unless the fusion
            has them beside it.
        """
        fused = self.fusion.transform(text, image)
        return np.hstack([fused, self._standardised(side)]) if self.fusion.with_side else fused

    def _standardised(self, side: np.ndarray) -> np.ndarray:
        """Scale the side features to rows of norm 1 on average.

        Unknown and constant ones are 0. Values beyond five standard deviations are cut.
        """
        scaled = (side - self.side_mean) / np.where(self.side_spread > 0, self.side_spread, np.inf)
        scaled = np.clip(np.nan_to_num(scaled), -5, 5)
        return (scaled / np.sqrt(max(side.shape[1], 1))).astype(np.float32)

    def of_splits(
        self, text: Embeddings, image: Embeddings, side: np.ndarray, train: np.ndarray
    ) -> np.ndarray:
        """Return the (N, d) features of all samples, each split transformed on its own.

        Only ``statistics="batch"`` can tell. Arguments as for ``transform``, and the (N,)
        training mask.
        """
        parts = {
            mask: self.transform(text.take(rows), image.take(rows), side[rows])
            for mask, rows in ((True, train), (False, ~train))
        }
        fused = np.empty((len(train), parts[True].shape[1]), np.float32)
        fused[train], fused[~train] = parts[True], parts[False]
        return fused
