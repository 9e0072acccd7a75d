"""Time and peak memory of one benchmark case, in a process of its own."""

import math
import re
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

PATIENCE = 1.0
"""Seconds that the repetitions of a short run fill."""


@dataclass(frozen=True)
class Case:
    """One row of the benchmark.

    Attributes
    ----------
    name, size
        What is computed, and of how much.
    make_input
        Builds the input of one part of the work, by its number.
    run, baseline
        What is measured and what it is compared with; both take the input.
    max_seconds, max_beyond, max_peak, min_ratio
        What must be reached: seconds, MB beyond the input, MB of the whole process,
        and how many times faster than the baseline; infinite or 0 where nothing is asked.
    parts
        Number of parts that the work is done in, one after the other. The baseline
        does the first, and its time is multiplied.
    beside
        What the baseline is.
    """

    name: str
    size: str
    make_input: Callable[[int], Any]
    run: Callable[[Any], object]
    baseline: Callable[[Any], object]
    max_seconds: float = math.inf
    max_beyond: float = math.inf
    max_peak: float = math.inf
    min_ratio: float = 0.0
    parts: int = 1
    beside: str = "sweep over 100 thresholds"


@dataclass(frozen=True)
class Figures:
    """What one process measured.

    Attributes
    ----------
    seconds
        Without building inputs: the median of repeated runs of the first part, plus
        one run of each other.
    beyond, peak
        Peak memory in MB beyond the first input (with what building it left in the
        heap), and of the whole process.
    """

    seconds: float
    beyond: float
    peak: float


def in_fresh_process(
    make_input: Callable[[int], Any], run: Callable[[Any], object], parts: int = 1
) -> Figures:
    """Measure in a new process, so that its peak memory is its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measure, make_input, run, parts).result()


def _measure(make_input: Callable[[int], Any], run: Callable[[Any], object], parts: int) -> Figures:
    given = make_input(0)
    peak_of_input, resident = _megabytes("VmHWM"), _megabytes("VmRSS")
    # The kernel forgets the peak of building the input. (getrusage's maxrss cannot be
    # reset, and a new process inherits it from the one that started it.)
    Path("/proc/self/clear_refs").write_text("5")
    seconds = median_seconds(run, given)
    for part in range(1, parts):
        del given
        given = make_input(part)
        begin = time.perf_counter()
        run(given)
        seconds += time.perf_counter() - begin
    peak = _megabytes("VmHWM")
    return Figures(seconds, peak - resident, max(peak, peak_of_input))


def median_seconds(run: Callable[[Any], object], given: Any) -> float:
    """Return the median of repeated runs: at least three, and as many as fill PATIENCE."""
    taken: list[float] = []
    while len(taken) < 3 or sum(taken) < PATIENCE:
        begin = time.perf_counter()
        run(given)
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def _megabytes(field: str) -> float:
    """Return a memory figure of this process, as Linux reports it."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)[1]) / 1024
