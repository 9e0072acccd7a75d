"""Labels of points, each where its own point is the nearest."""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Text

_SIDES = np.array(
    [
        *[(1, 0), (1, 1), (1, -1), (0, 1), (0, -1), (-1, 0), (-1, 1), (-1, -1)],
        *[(0.5, 1), (0.5, -1), (-0.5, 1), (-0.5, -1)],
    ]
)
_DISTANCES = (5, 8, 12, 17, 23)
"""From a point to its label, in points of 1/72 inch."""
_CLEAR = 1.6
"""How many times as far every other point is from it."""
_WORTH = 5
"""Points of lines that may be covered to come nearer by a point."""


def label_points(
    axes: Axes,
    points: np.ndarray,
    names: Sequence[str],
    lines: Sequence[tuple[float, float, str, str]] = (),
    size: float = 8,
) -> None:
    """Write names beside points and labels beside lines, none over another.

    Where a name has no place at which its own point is the nearest, a number stands for it, and
    the panel's right side tells which.

    Parameters
    ----------
    axes
        With its final limits and all its lines.
    points
        (P, 2) in data coordinates.
    names
        (P,) of the points.
    lines
        Labels of lines: a point of each in data coordinates, text and colour.
    size
        Of the font.
    """
    anchors = np.array([*points, *(line[:2] for line in lines)], float).reshape(-1, 2)
    axes.autoscale_view()
    anchors = axes.transData.transform(anchors)
    own = anchors[: len(names)]
    bounds = np.array(axes.get_window_extent().extents)
    lines_at = [axes.transData.transform(line.get_xydata()) for line in axes.lines]
    crossed = np.concatenate([np.empty((0, 2)), *lines_at])
    pixel = axes.figure.dpi / 72
    taken: list[np.ndarray] = []

    def put(text: Text, at: int) -> bool:
        box = _place(text, at, anchors[at], own, taken, bounds, crossed, pixel)
        if box is not None:
            taken.append(box)
            x, y = axes.transData.inverted().transform(box[:2])
            text.set_position((x, y))
        return box is not None

    texts = [
        axes.text(x, y, name, fontsize=size, va="bottom", zorder=6)
        for (x, y), name in zip(points, names, strict=True)
    ]
    left = [at for at in _crowded_first(own) if not put(texts[at], at)]
    for number, at in enumerate(sorted(left), 1):
        texts[at].set_text(f"{number}")
        if not put(texts[at], at):
            # On the point itself.
            texts[at].set(ha="center", va="center", color="white", fontsize=size - 2)
            texts[at].set_position(points[at])
    for at, (x, y, label, colour) in enumerate(lines, len(names)):
        text = axes.text(x, y, label, fontsize=size, va="bottom", zorder=6, color=colour)
        put(text, at)
    if left:
        told = "\n".join(f"{number}: {names[at]}" for number, at in enumerate(sorted(left), 1))
        axes.annotate(told, (1.01, 0), xycoords="axes fraction", fontsize=size, va="bottom")


def _crowded_first(points: np.ndarray) -> list[int]:
    apart = np.hypot(*(points[:, None] - points[None]).T)
    np.fill_diagonal(apart, np.inf)
    return [int(at) for at in np.argsort(apart.min(axis=0, initial=np.inf), kind="stable")]


def _place(
    text: Text,
    at: int,
    anchor: np.ndarray,
    points: np.ndarray,
    taken: Sequence[np.ndarray],
    bounds: np.ndarray,
    crossed: np.ndarray,
    pixel: float,
) -> np.ndarray | None:
    """The free box (left, bottom, right, top) that is near and covers little of the lines."""
    best, least = None, np.inf
    others = np.delete(points, at, axis=0) if at < len(points) else points
    extent = text.get_window_extent()
    for distance, box in _boxes(anchor, extent.width, extent.height, pixel):
        inside = (box[:2] >= bounds[:2]).all() and (box[2:] <= bounds[2:]).all()
        covered = any((box[:2] < one[2:]).all() and (one[:2] < box[2:]).all() for one in taken)
        own = _CLEAR * _gap(box, anchor[None]).item() if at < len(points) else 0.0
        if inside and not covered and (_gap(box, others) > max(own, 4 * pixel)).all():
            cost = distance + (_gap(box, crossed) == 0).sum() / _WORTH
            if cost < least:
                best, least = box, cost
    return best


def _boxes(
    anchor: np.ndarray, width: float, height: float, pixel: float
) -> Iterator[tuple[int, np.ndarray]]:
    size = np.array([width, height])
    for distance in _DISTANCES:
        for side in _SIDES:
            slant = 0.75 if side.all() else 1.0
            corner = anchor + side * distance * pixel * slant - size * (1 - side) / 2
            yield distance, np.concatenate([corner, corner + size])


def _gap(box: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(P,) distances of points from a box, 0 within."""
    beyond = np.maximum(np.maximum(box[:2] - points, points - box[2:]), 0)
    return np.hypot(beyond[:, 0], beyond[:, 1])
