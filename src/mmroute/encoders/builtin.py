"""Features computed from the text and the pixels alone: nothing is downloaded."""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from mmroute.encoders import Encoder
from mmroute.images import Picture, decode, quiet_decoding

TEXT_WIDTH = 512
TEXTS_AT_ONCE = 4096
WORD_COLUMNS = 256
# What is counted in a text, per character.
CHARACTER_CUES = [
    re.compile(pattern)
    for pattern in (r"\d", r"[A-Z]", r"\s", r"[^\w\s]", r"[\\$^_{}]", r"[-+*/=<>]", r"[^\x00-\x7f]")
]
# What is counted in a text as a whole: words, lines, sentences, questions, answer options.
TEXT_CUES = [
    re.compile(pattern)
    for pattern in (r"\w+", r"\n", r"[.!]\s", r"\?", r"(?m)^[ \t]{0,9}\(?[A-Z][).:]|\([A-Z]\)")
]
CHARACTER_COLUMNS = TEXT_WIDTH - WORD_COLUMNS - len(CHARACTER_CUES) - len(TEXT_CUES) - 1

# Larger images are shrunk to this many pixels a side: print of a full page can still be told
# from empty paper.
LONGEST_SIDE = 512
SQUARE_SIDE = 128
GRID = 4
COLOUR_BITS = 2
ORIENTATIONS = 8
# In grey levels of 255: what the noise of a JPEG does not reach.
EDGE = 12
STROKE = 48
# The bins of run lengths double from 1 pixel to more than 128.
RUN_LENGTHS = 8
FREQUENCIES = 8


class Builtin(Encoder):
    """Hashed n-grams of a text; shape, colours, edges, text density and structure of an image.

    A row is made of blocks of comparable size, so that none of them dominates
    once it is normalised. Its norm tells how much there is to read or to see:
    log(1 + characters) for a text, log(2 + strokes) for an image.
    """

    name = "builtin"

    @property
    def key(self) -> str:
        """Return "builtin"."""
        return self.name

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Encode N texts, none of them empty, as float32 (N, 512)."""
        rows = np.empty((len(texts), TEXT_WIDTH), np.float32)
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            chunk = texts[start : start + TEXTS_AT_ONCE]
            rows[start : start + TEXTS_AT_ONCE] = _text_features(chunk)
        return rows

    def encode_images(self, paths: Sequence[Path], threads: int) -> np.ndarray:
        """Encode N image files as float32 (N, d); NaN where one cannot be decoded."""
        rows = np.full((len(paths), IMAGE_WIDTH), np.nan, np.float32)
        with quiet_decoding(), ThreadPoolExecutor(threads) as pool:
            features = tqdm(
                pool.map(_image_features, paths),
                "builtin images",
                len(paths),
                mininterval=5,
                disable=len(paths) < 500,
            )
            for row, feature in zip(rows, features, strict=True):
                if feature is not None:
                    row[:] = feature
        return rows


def _text_features(texts: Sequence[str]) -> np.ndarray:
    folded = [re.sub(r"\d", "0", text.lower()) for text in texts]
    words = _hashed(folded, WORD_COLUMNS, analyzer="word", ngram_range=(1, 2))
    characters = _hashed(folded, CHARACTER_COLUMNS, analyzer="char_wb", ngram_range=(3, 4))
    cues = np.array([_text_cues(text) for text in texts])
    lengths = np.array([len(text) for text in texts])
    blocks = np.hstack([_unit(words), _unit(characters), cues])
    return _unit(blocks) * np.log1p(lengths)[:, None]


def _hashed(
    texts: Sequence[str], columns: int, analyzer: str, ngram_range: tuple[int, int]
) -> np.ndarray:
    """Count n-grams in hashed columns, with the sign of the hash and sublinearly: (N, columns)."""
    # Imported where it is used: every start of the workflow builds its encoders.
    from sklearn.feature_extraction.text import HashingVectorizer

    counts = HashingVectorizer(
        analyzer=analyzer,
        ngram_range=ngram_range,
        # Single letters, digits and operators are words of a formula.
        token_pattern=r"\w+|[^\w\s]",
        lowercase=False,
        n_features=columns,
        norm=None,
    ).transform(texts)
    counts.data = np.sign(counts.data) * np.log1p(np.abs(counts.data))
    return counts.toarray()


def _text_cues(text: str) -> list[float]:
    length = len(text)
    shares = [len(pattern.findall(text)) / length for pattern in CHARACTER_CUES]
    counts = [np.log1p(len(pattern.findall(text))) / 6 for pattern in TEXT_CUES]
    return [*shares, *counts, np.log1p(length) / 6]


def _image_features(path: Path) -> np.ndarray | None:
    picture = decode(path, LONGEST_SIDE)
    if picture is None:
        return None
    grey = np.asarray(picture.image.convert("L"), np.int16)
    across, down = _strokes(grey), _strokes(grey.T)
    square = picture.image.resize((SQUARE_SIDE, SQUARE_SIDE), Image.Resampling.BOX)
    blocks = [
        _shape(picture, grey),
        _colours(square),
        _edges(np.asarray(square.convert("L"), np.float64)),
        *(_density(strokes) for strokes in (across, down)),
        *(_run_lengths(strokes) for strokes in (across, down)),
        _structure(np.asarray(square.convert("L"), np.float64)),
    ]
    strokes = np.count_nonzero(across) + np.count_nonzero(down)
    return _unit(np.concatenate(blocks)) * np.log(2 + strokes)


IMAGE_WIDTH = (
    8
    + 2 ** (3 * COLOUR_BITS)
    + GRID**2 * (ORIENTATIONS + 1)
    + 2 * GRID**2
    + 2 * RUN_LENGTHS
    + FREQUENCIES**2
    - 1
)


def _shape(picture: Picture, grey: np.ndarray) -> np.ndarray:
    """Size and aspect ratio, then brightness, contrast, paper, ink and saturation: (8,)."""
    aspect = np.log2(picture.width / picture.height)
    saturation = np.asarray(picture.image.convert("HSV").getchannel("S"))
    return np.array(
        [
            # 0 for 512 x 512 pixels, 1 for four times the width and height.
            (np.log2(picture.width * picture.height) - 18) / 4,
            aspect / 2,
            np.abs(aspect) / 2,
            grey.mean() / 255,
            grey.std() / 128,
            (grey > 240).mean(),
            (grey < 64).mean(),
            saturation.mean() / 255,
        ]
    )


def _colours(square: Image.Image) -> np.ndarray:
    """Joint histogram of red, green and blue, as square roots: (64,), of norm 1."""
    levels = np.asarray(square).reshape(-1, 3).astype(np.intp) >> (8 - COLOUR_BITS)
    codes = np.ravel_multi_index(tuple(levels.T), (2**COLOUR_BITS,) * 3)
    return np.sqrt(np.bincount(codes, minlength=2 ** (3 * COLOUR_BITS)) / codes.size)


def _edges(grey: np.ndarray) -> np.ndarray:
    """Strength of edges by grid cell and orientation, flat parts beside them: (144,), of norm 1.

    Histograms of oriented gradients, as square roots.
    """
    across = grey[1:-1, 2:] - grey[1:-1, :-2]
    down = grey[2:, 1:-1] - grey[:-2, 1:-1]
    strength = np.hypot(across, down)
    sector = np.arctan2(down, across) / np.pi * ORIENTATIONS
    orientation = np.rint(sector).astype(np.intp) % ORIENTATIONS
    orientation[strength < EDGE] = ORIENTATIONS
    bins = _cells(grey.shape[0] - 2, grey.shape[1] - 2) * (ORIENTATIONS + 1) + orientation
    histogram = np.bincount(
        bins.ravel(), np.maximum(strength, EDGE).ravel(), GRID**2 * (ORIENTATIONS + 1)
    )
    return np.sqrt(histogram / histogram.sum())


def _strokes(grey: np.ndarray) -> np.ndarray:
    """Mark the abrupt steps along each row, of which print is full: bool (height, width - 1)."""
    return np.abs(np.diff(grey, axis=1)) > STROKE


def _density(strokes: np.ndarray) -> np.ndarray:
    """Share of strokes among the pixels of each grid cell, as square roots: (16,)."""
    cells = _cells(*strokes.shape)
    count = np.bincount(cells[strokes], minlength=GRID**2)
    return np.sqrt(count / np.maximum(1, np.bincount(cells.ravel(), minlength=GRID**2)))


def _run_lengths(strokes: np.ndarray) -> np.ndarray:
    """Histogram of the distances between strokes of a row, as square roots: (8,), norm <= 1/2."""
    row, column = np.nonzero(strokes)
    runs = np.diff(column)[np.diff(row) == 0]
    bins = np.minimum(np.log2(runs).astype(np.intp), RUN_LENGTHS - 1)
    return np.sqrt(np.bincount(bins, minlength=RUN_LENGTHS) / max(1, runs.size)) / 2


def _structure(grey: np.ndarray) -> np.ndarray:
    """Low frequencies of the image, without its mean: (63,), of norm < 1."""
    from scipy.fft import dctn

    spectrum = dctn(grey / 255, norm="ortho") / SQUARE_SIDE
    low = spectrum[:FREQUENCIES, :FREQUENCIES].ravel()[1:]
    # The constant keeps the noise of an empty image from being blown up to a structure.
    return low / (np.linalg.norm(low) + 0.05)


def _cells(height: int, width: int) -> np.ndarray:
    """Give each pixel the number of its grid cell: int (height, width)."""
    rows = np.arange(height) * GRID // max(1, height)
    columns = np.arange(width) * GRID // max(1, width)
    return rows[:, None] * GRID + columns


def _unit(rows: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
