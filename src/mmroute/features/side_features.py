"""Side features: what the form of a question and the look of its image tell without an encoder.

Length, numbers, formulas and answer options of the text, size and texture of the
image (ours). They say how much there is to read, to see and to compute, which
embeddings of length one hide, and do so alike for every encoder.
"""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from mmroute.images import Picture, decode, each, quiet_decoding

LONGEST_SIDE = 256
"""Pixels that an image is shrunk to; print of a page still stands out from empty paper."""
STROKE = 48
"""Step between neighbouring pixels, of 255 grey levels, that JPEG noise does not reach."""

# Scripts written without spaces count one word per character.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7af]|[^\W\d_]+|\d+")
_COUNTED = {
    "log_lines": re.compile(r"\n"),
    "log_sentences": re.compile(r"[.!?]\s|[。！？।؟]"),
    "log_numbers": re.compile(r"\d+"),
    "log_question_marks": re.compile(r"[?？؟]"),
    "log_options": re.compile(r"(?m)^[ \t]{0,9}\(?[A-Z][).:]|\([A-Z]\)"),
    "log_latex_commands": re.compile(r"\\[a-zA-Z]{2,20}|\$"),
    "log_operators": re.compile(r"[-+*/=<>^×÷≤≥√∑∫π°∠△]"),
    "log_quotes_and_brackets": re.compile(r"[\"'“”«»„\[\]{}`]"),
}
_SHARES: dict[str, Callable[[str], bool]] = {
    "digit_share": str.isdigit,
    "capital_share": str.isupper,
    "letter_share": str.isalpha,
    "space_share": str.isspace,
    "non_ascii_share": lambda character: character > "\x7f",
}
_TEXT = (
    "log_characters",
    "log_words",
    "word_length",
    "distinct_words",
    "log_largest_number",
    *_COUNTED,
    *_SHARES,
)
_IMAGE = (
    "log_width",
    "log_height",
    "log_area",
    "log_aspect",
    "brightness",
    "contrast",
    "white_share",
    "black_share",
    "colourfulness",
    "grey_levels",
    "strokes_across",
    "strokes_down",
    "edge_density",
    "filled_cells",
)
SIDE_FEATURES: tuple[str, ...] = ("has_text", "log_images", *_TEXT, *_IMAGE)
"""Names of the S columns. ``log_images`` is log2(1 + images): 0 without an image, 1 with one."""


def side_features(samples: pd.DataFrame, root: Path) -> np.ndarray:
    """Measure the questions and images of N samples.

    Parameters
    ----------
    samples
        N rows with ``question`` and ``image`` (a path, or null).
    root
        Folder that ``image`` is relative to.

    Returns
    -------
    (N, S) float32 in the order of ``SIDE_FEATURES``. Those of the text are NaN
    where there is none, those of the image where there is none or it cannot be
    decoded. Of several images those that can be are counted, and what they tell is averaged.
    """
    rows = np.full((len(samples), len(SIDE_FEATURES)), np.nan, np.float32)
    rows[:, :2] = 0
    text, image = slice(2, 2 + len(_TEXT)), slice(2 + len(_TEXT), None)
    pairs = zip(samples["question"], samples["image"], strict=True)
    bar = tqdm(pairs, "side features", len(rows), mininterval=5, disable=len(rows) < 500)
    with quiet_decoding():
        for row, (question, images) in zip(rows, bar, strict=True):
            if question and not question.isspace():
                row[0] = 1
                row[text] = _text_features(question)
            pictures = (decode(root / path, LONGEST_SIDE) for path in each(images))
            told = [_image_features(picture) for picture in pictures if picture is not None]
            if told:
                row[1] = np.log2(1 + len(told))
                # So that of a single image a negative zero stays one.
                row[image] = np.sum(told, axis=0, initial=-0.0) / len(told)
    return rows


def asked_otherwise(side: np.ndarray, questions: pd.Series) -> np.ndarray:
    """The (N, S) side features of the same N samples with other questions."""
    told = side_features(pd.DataFrame({"question": questions, "image": None}), Path())
    of_text = np.isin(SIDE_FEATURES, ["has_text", *_TEXT])
    return np.where(of_text, told, side)


def _text_features(text: str) -> list[float]:
    words = _WORD.findall(text)
    # More digits than these are no quantity to compute with.
    numbers = [float(number[:15]) for number in re.findall(r"[0-9]+", text)]
    return [
        np.log1p(len(text)),
        np.log1p(len(words)),
        sum(map(len, words)) / max(1, len(words)),
        len({word.lower() for word in words}) / max(1, len(words)),
        np.log1p(max(numbers, default=0.0)),
        *(np.log1p(len(pattern.findall(text))) for pattern in _COUNTED.values()),
        *(sum(map(is_one, text)) / len(text) for is_one in _SHARES.values()),
    ]


def _image_features(picture: Picture) -> list[float]:
    pixels = np.asarray(picture.image, np.int16)
    grey = np.asarray(picture.image.convert("L"), np.int16)
    red_green = pixels[..., 0] - pixels[..., 1]
    yellow_blue = (pixels[..., 0] + pixels[..., 1]) / 2 - pixels[..., 2]
    across, down = np.abs(np.diff(grey, axis=1)), np.abs(np.diff(grey, axis=0))
    levels = np.bincount(grey.ravel() // 8, minlength=32) / grey.size
    return [
        np.log2(picture.width),
        np.log2(picture.height),
        np.log2(picture.width * picture.height),
        np.log2(picture.width / picture.height),
        grey.mean() / 255,
        grey.std() / 128,
        (grey > 240).mean(),
        (grey < 64).mean(),
        _colourfulness(red_green, yellow_blue),
        -(levels * np.log2(np.maximum(levels, 1e-12))).sum(),
        _mean(across > STROKE),
        _mean(down > STROKE),
        _mean(across > STROKE / 4) + _mean(down > STROKE / 4),
        _filled(across > STROKE),
    ]


def _colourfulness(red_green: np.ndarray, yellow_blue: np.ndarray) -> float:
    """Return the M3 measure of Hasler and Suesstrunk 2003, 1 for "highly colourful"."""
    spread = np.hypot(red_green.std(), yellow_blue.std())
    mean = np.hypot(red_green.mean(), yellow_blue.mean())
    return (spread + 0.3 * mean) / 100


def _filled(strokes: np.ndarray) -> float:
    """Return the share of 16 x 16 pixel cells that have a stroke in them."""
    height, width = (-(-side // 16) * 16 for side in strokes.shape)
    padded = np.zeros((height, width), bool)
    padded[: strokes.shape[0], : strokes.shape[1]] = strokes
    return _mean(padded.reshape(height // 16, 16, width // 16, 16).max(axis=(1, 3)))


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else 0.0
