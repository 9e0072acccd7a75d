"""Figure S2: single queries with their images, what the router chose, and what it saved.

Questions, answers and images are anybody's. Text is drawn as it stands, without markup,
and images are only shown as decoded pixels.
"""

import base64
import io
import textwrap
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from mmroute.experiments.cases import RESCUE, SAVING
from mmroute.images import decode, quiet_decoding

HEADINGS = {
    SAVING: "Savings: both right, the chosen model cheaper",
    RESCUE: "Rescues: only the chosen model right",
}
PIXELS = 400
"""Longest side of a shown image."""
WIDTH = 52
"""Characters in a line of a panel."""
LONGEST_QUESTION, LONGEST_ANSWER, LONGEST_NAME = 300, 70, 28
LONGEST_REPORTED, LONGEST_TITLE = 1000, 120
PANEL_HEIGHT, HEADER_HEIGHT = 2.6, 0.65
"""In inches."""
NO_IMAGE = "no image"


def draw(cases: pd.DataFrame, root: Path, title: str) -> Figure:
    """Draw savings in the left column and rescues in the right one.

    Parameters
    ----------
    cases
        From ``mmroute.experiments.cases.findings``. A character that the font lacks is
        a box; the report has it.
    root
        Folder that the images' paths start from.
    title
        What the figure shows.
    """
    by_kind = {kind: cases[cases["kind"] == kind] for kind in HEADINGS}
    rows = max(1, *(len(part) for part in by_kind.values()))
    height = PANEL_HEIGHT * rows + HEADER_HEIGHT
    figure = plt.figure(figsize=(13, height))
    grid = figure.add_gridspec(
        rows,
        4,
        width_ratios=(1, 1.45, 1, 1.45),
        wspace=0.06,
        hspace=0.12,
        left=0.01,
        right=0.99,
        bottom=0.01,
        top=1 - HEADER_HEIGHT / height,
    )
    for column, (kind, heading) in enumerate(HEADINGS.items()):
        for row, case in enumerate(by_kind[kind].to_dict("records")):
            _show_image(figure.add_subplot(grid[row, 2 * column]), root, case["image"])
            _show_text(figure.add_subplot(grid[row, 2 * column + 1]), case)
        text = heading if len(by_kind[kind]) else f"{heading}: none"
        corner = grid[0, 2 * column].get_position(figure)
        figure.text(
            corner.x0, corner.y1 + 0.1 / height, text, fontsize=11, fontweight="bold", va="bottom"
        )
    figure.suptitle(shorten(title, LONGEST_TITLE), y=1 - 0.05 / height, va="top")
    return figure


def present(cases: pd.DataFrame, root: Path) -> list[dict[str, Any]]:
    """Return what the HTML report shows of each case; its template escapes the texts.

    Returns
    -------
    A dictionary per case with the columns of ``cases``. Texts are cleaned and, beyond
    1,000 characters, shortened; missing ones are empty. ``image`` is a data URI of a JPEG
    encoded from the decoded pixels, so that nothing else of the file gets into the
    report, or None.
    """
    shown = []
    for case in cases.to_dict("records"):
        texts = {
            name: shorten(value, LONGEST_REPORTED)
            for name, value in case.items()
            if not name.endswith("_usd")
        }
        shown.append(case | texts | {"image": _data_uri(_pixels(root, case["image"]))})
    return shown


def shorten(text: str | float | None, longest: int) -> str:
    """Return text on one line without control and other invisible characters, cut by an ellipsis.

    Those could turn the direction of what follows, or have no place in an SVG file.
    Missing text is empty.
    """
    if pd.isna(text):
        return ""
    visible = (c for c in " ".join(text.split()) if not unicodedata.category(c).startswith("C"))
    line = "".join(visible)
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def _show_text(axes: Axes, case: dict[str, Any]) -> None:
    axes.set_axis_off()
    heading = (
        f"{shorten(case['dataset'], LONGEST_NAME)} · {shorten(case['sample_id'], LONGEST_NAME)}"
    )
    question = shorten(case["question"], LONGEST_QUESTION) or "(no text)"
    lines = [
        *textwrap.wrap(question, WIDTH),
        "",
        *_wrapped("answer: ", case["answer"]),
        *_outcome("chosen", case, is_right=True),
        *_outcome("reference", case, is_right=case["kind"] == SAVING),
    ]
    axes.text(0, 1, heading, fontsize=9, fontweight="bold", va="top", clip_on=True)
    axes.text(0, 0.9, "\n".join(lines), fontsize=8, va="top", linespacing=1.2, clip_on=True)


def _outcome(role: str, case: dict[str, Any], is_right: bool) -> list[str]:
    title = {"chosen": "chosen", "reference": "strongest"}[role]
    cost = np.format_float_positional(case[f"{role}_cost_usd"], 2, fractional=False, trim="-")
    return [
        f"{'✓' if is_right else '✗'} {title}: {shorten(case[role], LONGEST_NAME)}, USD {cost}",
        *_wrapped("    answers ", case[f"{role}_answer"]),
    ]


def _wrapped(label: str, text: str | None) -> list[str]:
    """Return a labelled text in lines, none where it is missing."""
    known = shorten(text, LONGEST_ANSWER)
    return textwrap.wrap(label + known, WIDTH, subsequent_indent="    ") if known else []


def _show_image(axes: Axes, root: Path, image: str | None) -> None:
    axes.set(xticks=[], yticks=[])
    pixels = _pixels(root, image)
    if pixels is None:
        axes.text(0.5, 0.5, NO_IMAGE, ha="center", va="center", color="0.5")
    else:
        axes.imshow(pixels)
        axes.set_anchor("N")


def _pixels(root: Path, image: str | float | None) -> np.ndarray | None:
    """Return the (h, w, 3) pixels of an image file, None if it is missing or not to be decoded."""
    if pd.isna(image):
        return None
    with quiet_decoding():
        picture = decode(root / image, PIXELS)
    return None if picture is None else np.asarray(picture.image)


def _data_uri(pixels: np.ndarray | None) -> str | None:
    if pixels is None:
        return None
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(encoded.getvalue()).decode()
