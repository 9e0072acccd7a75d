"""Measure the evaluation core beside plain baselines: `python tests/bench [scaling.png]`.

Prints a Markdown table and draws how the exact curve's time grows with the samples.
Figures are of the machine it runs on; nothing here passes or fails a test.
"""

import math
import sys
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import advice
import served
from cases import CASES
from measure import Case, Figures, in_fresh_process
from scaling import draw_scaling
from taken_away import CASES as IN_USE

HEADER = (
    "case",
    "size",
    "time",
    "MB beyond input",
    "MB in all",
    "baseline",
    "its time",
    "times faster",
    "must reach",
    "reached",
)


def cells(case: Case, measured: Figures, baseline: Figures) -> list[str]:
    """Return one row of the table."""
    baseline_seconds = baseline.seconds * case.parts
    ratio = baseline_seconds / measured.seconds
    limits = {
        f"≤ {duration(case.max_seconds)}": (measured.seconds, case.max_seconds),
        f"≤ {case.max_beyond:,.0f} MB beyond input": (measured.beyond, case.max_beyond),
        f"≤ {case.max_peak:,.0f} MB in all": (measured.peak, case.max_peak),
    }
    asked = {text: value <= limit for text, (value, limit) in limits.items() if limit < math.inf}
    if case.min_ratio:
        asked[f"≥ {case.min_ratio:g} times faster"] = ratio >= case.min_ratio
    return [
        case.name,
        case.size,
        with_parts(measured.seconds, case.parts),
        f"{measured.beyond:,.0f}",
        f"{measured.peak:,.0f}",
        case.beside,
        with_parts(baseline_seconds, case.parts),
        f"{ratio:.2g}",
        ", ".join(asked),
        "yes" if all(asked.values()) else "no",
    ]


def with_parts(seconds: float, parts: int) -> str:
    """Return the time in all, and of one part if there are several."""
    if parts == 1:
        return duration(seconds)
    return f"{duration(seconds)} ({duration(seconds / parts)} a part)"


def duration(seconds: float) -> str:
    """Return a time in the unit that reads well."""
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def print_row(row: Sequence[str]) -> None:
    """Print one row of a Markdown table as soon as it is known."""
    print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    print_row(HEADER)
    print_row(["---"] * len(HEADER))
    for case in [*CASES, *IN_USE]:
        measured = in_fresh_process(case.make_input, case.run, case.parts)
        print_row(cells(case, measured, in_fresh_process(case.make_input, case.baseline)))
    print("\n## A server\n")
    for told in chain([served.HEADER, ["---"] * len(served.HEADER)], served.rows()):
        print_row(told)
    print("\n## What the advice is worth\n")
    for advised in chain([advice.HEADER, ["---"] * len(advice.HEADER)], advice.rows()):
        print_row(advised)
    draw_scaling(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/scaling.png"))
