"""Outcomes that come file by file, laid out as N samples by K models at the end."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mmroute.errors import InputError
from mmroute.outcome_table import LATENCY, MATRICES, OutcomeTable
from mmroute.sources.cells import LONGEST_ANSWER, nullable, outcome_table


class Gathered:
    """The samples and outcomes of the files read so far.

    Parameters
    ----------
    origin
        What is read, for messages.

    Attributes
    ----------
    samples
        What is known of each of N samples by column, in the order of first appearance.
    models
        The rows that each of K models has outcomes in, in the order of first appearance.
    remarks
        What a reader has to know: for each kind how often and the first example.
    """

    def __init__(self, origin: Path) -> None:
        self.origin = origin
        self.samples: list[dict[str, str]] = []
        self.models: dict[str, set[int]] = {}
        self.remarks: dict[str, tuple[int, str]] = {}
        self._rows: dict[str, int] = {}
        self._outcomes: list[tuple[str, np.ndarray, pd.DataFrame]] = []

    def remark(self, kind: str, example: str, count: int = 1) -> None:
        """Count what is said once in the end, with the first example."""
        before, first = self.remarks.get(kind, (0, example))
        if count:
            self.remarks[kind] = (before + count, first)

    def describe(self, samples: pd.DataFrame) -> np.ndarray:
        """Note samples, of which what is known already counts; return the row of each.

        Questions are one if they differ in blanks only, and the one with the most lines is
        kept. Where a sample's question is another one its row is -1, as an outcome on it is
        none on the sample.

        Parameters
        ----------
        samples
            n rows of text: ``sample_id``, ``question`` and other columns of samples.
        """
        rows = np.empty(len(samples), int)
        for position, facts in enumerate(samples.to_dict("records")):
            row = self._rows.setdefault(facts["sample_id"], len(self.samples))
            if row == len(self.samples):
                self.samples.append({str(name): value for name, value in facts.items()})
            known, question = self.samples[row]["question"], facts["question"]
            if known != question and "".join(known.split()) != "".join(question.split()):
                row = -1
                self.remark(
                    "outcomes are left out, as their sample's id has another question in an "
                    "earlier file",
                    facts["sample_id"],
                )
            elif question.count("\n") > known.count("\n"):
                self.samples[row]["question"] = question
            rows[position] = row
        return rows

    def add(self, model: str, rows: np.ndarray, outcomes: pd.DataFrame, path: Path) -> None:
        """Add a model's outcomes.

        Parameters
        ----------
        rows
            (n,) row of each one's sample; -1 for one that is left out.
        outcomes
            n rows indexed by sample id, with columns among ``MATRICES`` and ``LATENCY``;
            predictions are text.
        path
            Where they come from, for the message.

        Raises
        ------
        InputError
            If the model has two outcomes on one sample.
        """
        rows, outcomes = rows[rows >= 0], outcomes[rows >= 0]
        taken = self.models.setdefault(model, set())
        for row, sample_id in zip(rows.tolist(), outcomes.index, strict=True):
            if row in taken:
                raise InputError(
                    f"{path}: sample {sample_id!r:.80} stands twice for model {model!r:.80}; keep "
                    "one row for each pair"
                )
            taken.add(row)
        if "prediction" in outcomes:
            answers = outcomes["prediction"]
            long = answers.str.len() > LONGEST_ANSWER
            if long.any():
                self.remark(
                    f"answers were cut after {LONGEST_ANSWER:,} characters",
                    str(long.idxmax()),
                    int(long.sum()),
                )
                outcomes = outcomes.assign(prediction=answers.str[:LONGEST_ANSWER])
        self._outcomes.append((model, rows, outcomes))

    def table(self, samples: pd.DataFrame | None = None) -> OutcomeTable:
        """Lay out the models that have an outcome, and warn of what has to be known.

        Parameters
        ----------
        samples
            N rows as ``cells.outcome_table`` wants them; made of ``samples`` if None, without
            images.

        Raises
        ------
        InputError
            If there is no outcome.
        """
        models = {model: column for column, model in enumerate(self.models)}
        shape = (len(self.samples), len(models))
        timed = any(LATENCY in outcomes for _, _, outcomes in self._outcomes)
        matrices = {
            name: np.full(shape, None, object) if name == "prediction" else np.full(shape, np.nan)
            for name in (*MATRICES, *[LATENCY] * timed)
        }
        for model, rows, outcomes in self._outcomes:
            for name in outcomes:
                cells = outcomes[name]
                matrices[str(name)][rows, models[model]] = (
                    nullable(cells) if name == "prediction" else cells
                )
        observed = np.isfinite(matrices["utility"]).any(axis=0)
        for model, column in models.items():
            if not observed[column]:
                self.remark("models have no outcome and are left out", model)
        self.warn()
        if not observed.any():
            raise InputError(f"{self.origin}: no model has an outcome; give judged results")
        kept = [model for model, column in models.items() if observed[column]]
        own = {name: matrix[:, observed] for name, matrix in matrices.items()}
        return outcome_table(self._described() if samples is None else samples, kept, own)

    def _described(self) -> pd.DataFrame:
        frame = pd.DataFrame(self.samples)
        frame["answer"] = nullable(frame["answer"]) if "answer" in frame else None
        return frame.assign(image=None, image_digest=None)

    def warn(self) -> None:
        """Say what a reader has to know, each kind once."""
        for kind, (count, example) in self.remarks.items():
            warnings.warn(
                f"{self.origin}: {count:,} {kind} (such as {example!r:.300})", stacklevel=4
            )


def require_columns(path: Path, names: Sequence[str], needed: Sequence[str], layout: str) -> None:
    """Raise InputError if a table lacks a column of its layout or has it twice."""
    for name in needed:
        if name not in names:
            raise InputError(
                f"{path}: no column {name!r}; {layout} needs it, this file has "
                f"{', '.join(names):.500}"
            )
        if list(names).count(name) > 1:
            raise InputError(f"{path}: column {name!r} appears twice; rename one")
