"""Logs of pairwise votes: who was asked what, and which of two answers people preferred."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from mmroute.confined import reading
from mmroute.errors import InputError
from mmroute.outcome_table import OutcomeTable
from mmroute.sources import Source
from mmroute.sources.cells import outcome_table


class Votes(Source):
    """A JSONL file, ``{"id", "question", "winner", "loser", "usd": {model: cost}}`` a line."""

    name: ClassVar[str] = "votes"

    def __init__(self, path: str) -> None:
        self.path = path

    def local_files(self) -> Iterable[Path]:
        """List the file, which must be there."""
        if not Path(self.path).is_file():
            raise InputError(f"source.path: {self.path}: no such file; name the votes' JSONL file")
        return [Path(self.path)]

    def fetch(self, folder: Path) -> Path:
        """Leave the file where it is: its folder is the root, and nothing is downloaded."""
        (path,) = self.local_files()
        return path.parent

    def origin(self, root: Path) -> Path:
        """Name the file in messages."""
        return root / Path(self.path).name

    def read(self, root: Path) -> OutcomeTable:
        """Read the votes: utility 1 for the winner, 0 for the loser, all others unobserved."""
        path = self.origin(root)
        with reading(path):
            lines = path.read_text(encoding="utf-8").splitlines()
        votes = [_vote(line, number, path) for number, line in enumerate(lines, start=1)]
        models = sorted({model for vote in votes for model in vote["usd"]})
        column = {model: index for index, model in enumerate(models)}
        utility, cost = np.full((2, len(votes), len(models)), np.nan)
        for row, vote in enumerate(votes):
            utility[row, column[vote["winner"]]] = 1
            utility[row, column[vote["loser"]]] = 0
            for model, usd in vote["usd"].items():
                cost[row, column[model]] = usd
        samples = pd.DataFrame(
            {
                "sample_id": [f"votes_{vote['id']}" for vote in votes],
                "dataset": "votes",
                "scenario": "Preferences",
                "question": [vote["question"] for vote in votes],
                **dict.fromkeys(("answer", "image", "image_digest")),
            }
        )
        unknown = np.full(utility.shape, np.nan)
        return outcome_table(
            samples,
            models,
            {
                "utility": utility,
                "cost": cost,
                "prompt_tokens": unknown,
                "completion_tokens": unknown,
                "prediction": np.full(utility.shape, None, dtype=object),
            },
        )


def _vote(line: str, number: int, path: Path) -> dict:
    """Parse one line; a file that others made may hold anything."""
    try:
        vote = json.loads(line)
        complete = {vote["winner"], vote["loser"]} == set(vote["usd"]) and vote["question"]
    except (ValueError, TypeError, KeyError, RecursionError):
        complete = False
    if not complete:
        raise InputError(
            f"{path}, line {number}: {line[:80]!r} is no vote; give an object with id, question, "
            "winner, loser, and usd with the cost of these two models"
        )
    return vote
