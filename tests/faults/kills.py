"""Kill the workflow at random moments, resume it, and compare with an undisturbed run."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from small_run import NotSurvived, Tally, Undisturbed

AGAIN = 0.3
"""Probability that a resumed run is killed too."""


def kill(folder: Path, whole: Undisturbed, count: int, seed: int) -> Iterator[Tally]:
    """Kill runs ``count`` times, some of them again while they resume.

    Parameters
    ----------
    folder
        Where a run is copied to, killed, resumed and removed.
    whole
        What it is compared with; the moments are drawn from it.
    count
        How many kills are tried.
    seed
        Another seed draws other moments.
    """
    draw = random.Random(seed)
    tried = 0
    while tried < count:
        run = whole.copy(folder)
        moments = [draw.uniform(0, whole.seconds)]
        while tried + len(moments) < count and draw.random() < AGAIN:
            moments.append(draw.uniform(moments[-1], whole.seconds))
        killed = [moment for moment in moments if run.kill_after(*whole.progress(moment))]
        tried += len(killed)
        try:
            whole.check_finished(run)
            yield Tally(len(killed), len(killed))
        except NotSurvived as error:
            when = ", ".join(f"{moment:.1f} s" for moment in killed)
            yield Tally(len(killed), 0, (f"killed after {when}: {error}",))
        shutil.rmtree(folder)
