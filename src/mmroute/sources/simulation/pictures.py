"""Drawing: what a picture holds comes in, an image goes out.

Every function draws flat content that the questions ask about; layout and
colours come from the generator it is given.
"""

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from textwrap import wrap
from typing import NamedTuple, TypeVar

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageStat

MARK = "simulated"
"""Printed in a corner of every image."""

COLOURS = {
    "red": (200, 55, 50),
    "blue": (50, 95, 185),
    "green": (50, 145, 80),
    "orange": (230, 140, 40),
    "purple": (125, 75, 160),
    "white": (240, 240, 235),
}

_FONTS = Path(matplotlib.get_data_path(), "fonts", "ttf")
_Option = TypeVar("_Option")
_Colour = tuple[int, int, int]

_INK = (35, 35, 40)
_PAPERS = ((253, 252, 247), (246, 241, 228), (238, 243, 248), (250, 250, 250))


class Thing(NamedTuple):
    """An object of a scene: a car, a tree, a person or a ball, in a named colour."""

    kind: str
    colour: str


@cache
def _font(face: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(_FONTS / f"DejaVu{face}.ttf", size)


def _choose(rng: np.random.Generator, options: Sequence[_Option]) -> _Option:
    return options[int(rng.integers(len(options)))]


def page(
    rng: np.random.Generator, heading: str, words: Sequence[str], density: float
) -> Image.Image:
    """Draw a printed page: heading, rule, running text; denser text is smaller."""
    size = round(17 - 7 * density)
    width, height = int(rng.integers(360, 440)), int(rng.integers(440, 500))
    image = Image.new("RGB", (width, height), _choose(rng, _PAPERS))
    draw = ImageDraw.Draw(image)
    face = _choose(rng, ("Serif", "Sans"))
    draw.text((28, 24), heading, fill=_INK, font=_font(f"{face}-Bold", 19))
    draw.line((28, 54, width - 28, 54), fill=_choose(rng, ((120, 120, 120), (160, 60, 50))))
    columns = (width - 56) // (size * 0.62)
    text = "\n".join(wrap(" ".join(words), int(columns)))
    draw.multiline_text((28, 66), text, fill=_INK, font=_font(face, size), spacing=size // 3)
    draw.text(
        (width // 2, height - 28), f"– {rng.integers(1, 90)} –", fill=_INK, font=_font(face, 9)
    )
    return image


def receipt(rng: np.random.Generator, shop: str, items: Sequence[tuple[str, int]]) -> Image.Image:
    """Draw a till receipt lying on a table: a shop's name and a price per item."""
    size = round(np.interp(len(items), (3, 26), (16, 10)))
    step = size + 5
    width, height = int(rng.integers(320, 400)), max(300, 110 + step * len(items))
    shade = int(rng.integers(90, 170))
    image = Image.new("RGB", (width, height), (shade + 30, shade + 5, shade - 25))
    draw = ImageDraw.Draw(image)
    draw.rectangle((27, 19, width - 21, height - 13), fill=(shade - 40, shade - 50, shade - 60))
    draw.rectangle((22, 14, width - 26, height - 18), fill=_PAPERS[0])
    draw.text((width // 2, 36), shop, fill=_INK, font=_font("SansMono-Bold", 17), anchor="mm")
    draw.text(
        (width // 2, 56),
        "- - - - - - - - - - -",
        fill=_INK,
        font=_font("SansMono", 11),
        anchor="mm",
    )
    for row, (item, price) in enumerate(items):
        y = 70 + row * step
        draw.text((36, y), item, fill=_INK, font=_font("SansMono", size))
        draw.text((width - 40, y), f"{price}", fill=_INK, font=_font("SansMono", size), anchor="ra")
    return image


def sign(rng: np.random.Generator, text: str, clutter: float) -> Image.Image:
    """Draw a lettered plate in front of a wall; clutter puts twigs and posters before it."""
    width, height = int(rng.integers(360, 460)), int(rng.integers(260, 320))
    wall = rng.integers(120, 190, 3)
    image = Image.new("RGB", (width, height), tuple(map(int, wall)))
    draw = ImageDraw.Draw(image)
    mortar = tuple(map(int, wall - 14))
    for y in range(0, height, 20):
        draw.line((0, y, width, y), fill=mortar)
        for x in range((y // 20 % 2) * 22, width, 44):
            draw.line((x, y, x, y + 20), fill=mortar)
    for _ in range(round(8 * clutter)):
        x, y = int(rng.integers(0, width - 60)), int(_choose(rng, (4, height - 50)))
        draw.rectangle((x, y, x + 58, y + 44), fill=_choose(rng, list(COLOURS.values())))
        draw.text(
            (x + 6, y + 14),
            "".join(rng.choice(list("AEKLMNRST"), 5)),
            fill=_INK,
            font=_font("Sans", 11),
        )
    colour = COLOURS[str(rng.choice(["blue", "green", "red"]))]
    font = _font("Sans-Bold", round(38 - 14 * clutter))
    x, y = width // 2, height // 2
    left, top, right, bottom = draw.textbbox((x, y), text, font=font, anchor="mm")
    plate = (left - 18, top - 14, right + 18, bottom + 14)
    draw.rounded_rectangle(plate, 9, fill=colour, outline=(245, 245, 245), width=3)
    draw.text((x, y), text, fill=(245, 245, 245), font=font, anchor="mm")
    for _ in range(round(14 * clutter)):
        start, end = rng.integers(int(left) - 40, int(right) + 40, 2)
        draw.line(
            (start, top - 40, end, bottom + 40), fill=(70, 60, 45), width=int(rng.integers(1, 4))
        )
    return image


def bar_chart(
    rng: np.random.Generator, title: str, labels: Sequence[str], values: Sequence[int]
) -> Image.Image:
    """Draw a horizontal bar chart with an axis, grid lines and the values at the bars' ends."""
    step = round(np.interp(len(labels), (3, 18), (46, 17)))
    width, height = int(rng.integers(420, 500)), 84 + step * len(labels)
    image = Image.new("RGB", (width, height), (255, 255, 255))
    draw = ImageDraw.Draw(image)
    left, right, top, bottom = 112, width - 44, 40, height - 36
    size = min(13, step - 6)
    draw.text((width // 2, 20), title, fill=_INK, font=_font("Sans-Bold", 14), anchor="mm")
    ticks = range(0, 101, 20)
    for tick in ticks:
        x = left + (right - left) * tick // 100
        draw.line((x, top, x, bottom), fill=(220, 220, 225))
        draw.text((x, bottom + 10), f"{tick}", fill=_INK, font=_font("Sans", 10), anchor="mm")
    colour = COLOURS[str(rng.choice(list(COLOURS)[:5]))]
    for row, (label, value) in enumerate(zip(labels, values, strict=True)):
        y = top + row * step + step // 2
        x = left + (right - left) * value // 100
        draw.rectangle((left, y - step // 3, x, y + step // 3), fill=colour)
        draw.text((left - 6, y), label, fill=_INK, font=_font("Sans", size), anchor="rm")
        draw.text((x + 5, y), f"{value}", fill=_INK, font=_font("Sans", size), anchor="lm")
    draw.line((left, top, left, bottom, right, bottom), fill=_INK, width=2)
    return image


def line_chart(
    rng: np.random.Generator, title: str, labels: Sequence[str], values: Sequence[int]
) -> Image.Image:
    """Draw a line chart with a marker and a value at every label."""
    width, height = int(rng.integers(440, 500)), int(rng.integers(320, 370))
    image = Image.new("RGB", (width, height), (255, 255, 255))
    draw = ImageDraw.Draw(image)
    left, right, top, bottom = 42, width - 18, 44, height - 78
    draw.text((width // 2, 20), title, fill=_INK, font=_font("Sans-Bold", 14), anchor="mm")
    for tick in range(0, 101, 20):
        y = bottom - (bottom - top) * tick // 100
        draw.line((left, y, right, y), fill=(222, 222, 226))
        draw.text((left - 6, y), f"{tick}", fill=_INK, font=_font("Sans", 10), anchor="rm")
    draw.line((left, top, left, bottom, right, bottom), fill=_INK, width=2)
    colour = COLOURS[str(rng.choice(list(COLOURS)[:5]))]
    step = (right - left) / len(labels)
    points = [
        (left + (index + 0.5) * step, bottom - (bottom - top) * value / 100)
        for index, value in enumerate(values)
    ]
    draw.line(points, fill=colour, width=2)
    size = round(np.interp(len(labels), (3, 18), (12, 9)))
    for (x, level), label, value in zip(points, labels, values, strict=True):
        draw.ellipse((x - 3, level - 3, x + 3, level + 3), fill=colour)
        draw.text((x, level - 9), f"{value}", fill=_INK, font=_font("Sans", size), anchor="mm")
        _slanted(image, (int(x), bottom + 6), label, _font("Sans", size))
    return image


def _slanted(
    image: Image.Image, corner: tuple[int, int], text: str, font: ImageFont.FreeTypeFont
) -> None:
    """Print text that runs down to the left of ``corner``, so that long labels fit."""
    _, _, right, bottom = font.getbbox(text)
    label = Image.new("L", (int(right) + 2, int(bottom) + 2))
    ImageDraw.Draw(label).text((0, 0), text, fill=255, font=font)
    turned = label.rotate(42, expand=True, resample=Image.Resampling.BILINEAR)
    image.paste(_INK, (corner[0] - turned.width + 4, corner[1]), turned)


def town_map(
    rng: np.random.Generator, places: Sequence[str], roads: Sequence[tuple[int, int]]
) -> Image.Image:
    """Draw a map of named places and the roads between them.

    Places stand on a jittered grid, ``MAP_COLUMNS`` to a row.
    """
    rows = -(-len(places) // MAP_COLUMNS)
    width, height = 460, max(240, 60 + 62 * rows)
    image = Image.new("RGB", (width, height), (226, 236, 214))
    draw = ImageDraw.Draw(image)
    for _ in range(3):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        draw.ellipse((x - 50, y - 30, x + 50, y + 30), fill=(200, 222, 186))
    river = [
        (x, height * 0.5 + 26 * math.sin(x / 60 + rng.random())) for x in range(0, width + 30, 30)
    ]
    draw.line(river, fill=(160, 196, 226), width=11, joint="curve")
    cell = (width - 40) / MAP_COLUMNS, (height - 40) / rows
    spots = [
        (
            20 + cell[0] * (index % MAP_COLUMNS + rng.uniform(0.25, 0.75)),
            20 + cell[1] * (index // MAP_COLUMNS + rng.uniform(0.35, 0.65)),
        )
        for index in range(len(places))
    ]
    for start, end in roads:
        draw.line((*spots[start], *spots[end]), fill=(150, 130, 105), width=4)
        draw.line((*spots[start], *spots[end]), fill=(250, 240, 200), width=2)
    for (east, south), place in zip(spots, places, strict=True):
        spot = (east - 5, south - 5, east + 5, south + 5)
        draw.ellipse(spot, fill=(190, 50, 45), outline=_INK)
        draw.text((east, south + 13), place, fill=_INK, font=_font("Sans", 11), anchor="mm")
    return image


MAP_COLUMNS = 4
"""Places in a row of a map."""


def scene(rng: np.random.Generator, day: bool, things: Sequence[Thing]) -> Image.Image:
    """Draw a street with houses, by day or by night, and things in front of them."""
    width, height = int(rng.integers(420, 500)), int(rng.integers(300, 350))
    sky, ground = ((150, 195, 235), (135, 160, 110)) if day else ((28, 32, 66), (52, 62, 56))
    image = Image.new("RGB", (width, height), sky)
    draw = ImageDraw.Draw(image)
    horizon = height * 2 // 5
    x = int(rng.integers(30, width - 60))
    draw.ellipse((x, 14, x + 34, 48), fill=(250, 215, 90) if day else (228, 228, 210))
    draw.rectangle((0, horizon, width, height), fill=ground)
    for x in range(int(rng.integers(-20, 10)), width, 92):
        top = horizon - int(rng.integers(30, 62))
        draw.rectangle((x, top, x + 66, horizon + 8), fill=(205, 186, 160) if day else (88, 80, 84))
        draw.polygon((x - 6, top, x + 33, top - 24, x + 72, top), fill=(140, 76, 62))
        for window in (x + 12, x + 40):
            pane = (120, 150, 180) if day else (246, 220, 120)
            draw.rectangle((window, top + 9, window + 13, top + 23), fill=pane)
    draw.rectangle((0, horizon + 26, width, horizon + 62), fill=(98, 98, 102))
    rows = np.sort(rng.uniform(horizon + 44, height - 14, len(things)))
    columns = (rng.permutation(len(things)) + rng.uniform(0.3, 0.7, len(things))) / len(things)
    for thing, x, y in zip(things, columns * (width - 50) + 25, rows, strict=True):
        _DRAWN[thing.kind](
            draw, x, y, (y - horizon) / (height - horizon) * 0.6 + 0.6, COLOURS[thing.colour]
        )
    return image


def _car(draw: ImageDraw.ImageDraw, x: float, y: float, s: float, fill: _Colour) -> None:
    draw.rounded_rectangle(
        (x - 12 * s, y - 23 * s, x + 12 * s, y - 8 * s), 5 * s, fill=fill, outline=_INK
    )
    draw.rectangle((x - 8 * s, y - 20 * s, x + 8 * s, y - 13 * s), fill=(190, 215, 230))
    draw.rounded_rectangle(
        (x - 23 * s, y - 14 * s, x + 23 * s, y - 2 * s), 4 * s, fill=fill, outline=_INK
    )
    for wheel in (x - 13 * s, x + 13 * s):
        draw.ellipse((wheel - 5 * s, y - 7 * s, wheel + 5 * s, y + 3 * s), fill=(25, 25, 28))


def _tree(draw: ImageDraw.ImageDraw, x: float, y: float, s: float, fill: _Colour) -> None:
    draw.rectangle((x - 3 * s, y - 22 * s, x + 3 * s, y), fill=(105, 76, 50))
    draw.ellipse((x - 15 * s, y - 52 * s, x + 15 * s, y - 16 * s), fill=fill, outline=_INK)


def _person(draw: ImageDraw.ImageDraw, x: float, y: float, s: float, fill: _Colour) -> None:
    draw.line((x - 4 * s, y, x, y - 14 * s, x + 4 * s, y), fill=_INK, width=max(1, round(3 * s)))
    draw.rounded_rectangle(
        (x - 6 * s, y - 28 * s, x + 6 * s, y - 11 * s), 3 * s, fill=fill, outline=_INK
    )
    draw.ellipse((x - 5 * s, y - 38 * s, x + 5 * s, y - 28 * s), fill=(226, 184, 150), outline=_INK)


def _ball(draw: ImageDraw.ImageDraw, x: float, y: float, s: float, fill: _Colour) -> None:
    draw.ellipse((x - 7 * s, y - 14 * s, x + 7 * s, y), fill=fill, outline=_INK)
    draw.arc((x - 3 * s, y - 14 * s, x + 10 * s, y), 100, 260, fill=_INK)


_DRAWN = {"car": _car, "tree": _tree, "person": _person, "ball": _ball}
THINGS = tuple(_DRAWN)


def polygon(
    rng: np.random.Generator, sides: Sequence[int], unit: str, auxiliary: int
) -> Image.Image:
    """Draw a convex polygon with lettered corners and written side lengths, not to scale.

    ``auxiliary`` lines cross it that have nothing to do with any question.
    """
    width, height = int(rng.integers(380, 460)), int(rng.integers(320, 380))
    image = Image.new("RGB", (width, height), (255, 255, 255))
    draw = ImageDraw.Draw(image)
    count = len(sides)
    turn = rng.uniform(0, 2 * math.pi)
    angles = turn + (np.arange(count) + rng.uniform(-0.2, 0.2, count)) * 2 * math.pi / count
    centre = np.array([width / 2, height / 2])
    spokes = np.column_stack([np.cos(angles), np.sin(angles)])
    corners = centre + spokes * min(width, height) * 0.35
    for _ in range(auxiliary):
        ends = corners[rng.integers(count, size=2)] + rng.uniform(-45, 45, (2, 2))
        draw.line(ends.ravel().tolist(), fill=(150, 165, 190))
    outline = [tuple(corner) for corner in corners]
    draw.polygon(outline, outline=_INK, width=2)
    font = _font("Sans", 13 if count < 9 else 10)
    for index, side in enumerate(sides):
        x, y = corners[index] + spokes[index] * 14
        draw.text((x, y), CORNERS[index], fill=_INK, font=_font("Serif-Italic", 15), anchor="mm")
        middle = (corners[index] + corners[(index + 1) % count]) / 2
        outward = (middle - centre) / np.linalg.norm(middle - centre)
        x, y = middle + outward * 20
        draw.text((x, y), f"{side} {unit}", fill=(40, 70, 150), font=font, anchor="mm")
    return image


CORNERS = "ABCDEFGHJKLMN"
"""Letters of a polygon's corners, in order."""


def grid(rng: np.random.Generator, shaded: np.ndarray) -> Image.Image:
    """Draw a square grid with some cells shaded; ``shaded`` is a 2-D boolean array."""
    rows, columns = shaded.shape
    cell = min(330 // max(rows, columns), 52)
    image = Image.new("RGB", (columns * cell + 60, rows * cell + 60), (255, 255, 255))
    draw = ImageDraw.Draw(image)
    colour = COLOURS[str(rng.choice(list(COLOURS)[:5]))]
    for row, column in np.ndindex(rows, columns):
        x, y = 30 + column * cell, 30 + row * cell
        fill = colour if shaded[row, column] else None
        draw.rectangle((x, y, x + cell, y + cell), fill=fill, outline=_INK)
    return image


def plot(rng: np.random.Generator, curve: np.ndarray, others: Sequence[np.ndarray]) -> Image.Image:
    """Draw the graph of a piecewise linear function f over a grid of integers, 0 to 10.

    ``curve`` is (11,): the values of f at 0, 1, ..., 10; ``others`` are drawn
    thinner, in grey.
    """
    side = int(rng.integers(340, 400))
    image = Image.new("RGB", (side, side), (255, 255, 255))
    draw = ImageDraw.Draw(image)
    low, high = 34, side - 22
    unit = (high - low) / 10
    for tick in range(11):
        at = low + tick * unit
        draw.line((at, side - low, at, side - high), fill=(225, 228, 234))
        draw.line((low, side - at, high, side - at), fill=(225, 228, 234))
        draw.text((at, side - low + 11), f"{tick}", fill=_INK, font=_font("Sans", 10), anchor="mm")
        draw.text((low - 11, side - at), f"{tick}", fill=_INK, font=_font("Sans", 10), anchor="mm")
    draw.line((low, side - high, low, side - low, high, side - low), fill=_INK, width=2)
    draw.text((high + 10, side - low), "x", fill=_INK, font=_font("Serif-Italic", 13), anchor="mm")
    draw.text((low, side - high - 10), "y", fill=_INK, font=_font("Serif-Italic", 13), anchor="mm")
    for values in others:
        draw.line(_polyline(values, low, unit, side), fill=(150, 155, 165))
    colour = COLOURS[str(rng.choice(["blue", "red", "green"]))]
    points = _polyline(curve, low, unit, side)
    draw.line(points, fill=colour, width=3)
    x, y = points[-1]
    draw.text((x - 8, y - 12), "f", fill=colour, font=_font("Serif-BoldItalic", 16), anchor="mm")
    return image


def _polyline(values: np.ndarray, low: float, unit: float, side: int) -> list[tuple[float, float]]:
    return [(low + x * unit, side - low - y * unit) for x, y in enumerate(values.tolist())]


def with_question(image: Image.Image, question: str) -> Image.Image:
    """Print a question above an image."""
    font = _font("Sans", 12)
    lines = [
        line
        for paragraph in question.splitlines()
        for line in wrap(paragraph, image.width // 8) or [""]
    ]
    strip = 17 * len(lines) + 16
    taller = Image.new("RGB", (image.width, image.height + strip), (255, 255, 255))
    ImageDraw.Draw(taller).multiline_text(
        (10, 8), "\n".join(lines), fill=_INK, font=font, spacing=3
    )
    taller.paste(image, (0, strip))
    return taller


def faded(image: Image.Image, fade: float) -> Image.Image:
    """Take contrast and sharpness away; 0 leaves the image as it is, 1 hardly legible."""
    pale = ImageEnhance.Contrast(image).enhance(1 - 0.8 * fade)
    return pale.filter(ImageFilter.GaussianBlur(2.0 * fade))


def marked(image: Image.Image) -> Image.Image:
    """Print ``MARK`` small into the lower right corner, dark on light or light on dark."""
    right, bottom = image.width - 4, image.height - 3
    ground = ImageStat.Stat(image.crop((right - 46, bottom - 9, right, bottom)).convert("L")).mean[
        0
    ]
    shade = int(ground) + (-80 if ground > 128 else 80)
    draw = ImageDraw.Draw(image)
    draw.text((right, bottom), MARK, fill=(shade,) * 3, font=_font("Sans", 9), anchor="rs")
    return image
