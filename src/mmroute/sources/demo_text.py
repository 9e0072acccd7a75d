"""A simulated benchmark without images: the demo's models on three text-only data sets.

Nothing in it was measured, and it says so in the CSV's ``simulated`` column and in a
README beside it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pandas as pd
from annotated_types import Ge

from mmroute.outcome_table import OutcomeTable
from mmroute.sources import Source
from mmroute.sources.mmr_release import MmrRelease
from mmroute.sources.simulation.datasets import TEXT_DATASETS, DataSet
from mmroute.sources.simulation.pool import prompt_tokens
from mmroute.sources.simulation.questions import STEPS
from mmroute.sources.simulation.samples import draw
from mmroute.sources.simulation.text_questions import TEXT_TASKS, ask_text
from mmroute.storage import write_text

_SCENARIO = "Text"
_CSV = "MMR_Bench.csv"
_README = """\
A simulated text-only benchmark, written by mmroute's `demo_text` source (seed {seed}).

It has the layout of the MMR-Bench release, its models' names and its prices of
completion tokens, the names of the data sets of the paper's Table 5, and on each of
them the accuracy of the best model that the table gives. Everything else is made up:
questions, answers, outcomes, token counts, the prices of prompt tokens, and the
accuracies of the other models and of the oracle. No model was run. Results on it say
nothing about any real model.
"""


class DemoText(Source):
    """Three simulated text-only data sets with the ten models of ``demo``.

    Parameters
    ----------
    samples
        Samples of each data set. Samples that exist stay as they are when this grows.
    seed
        Another seed draws other samples of the same population.
    """

    name: ClassVar[str] = "demo_text"
    simulated: ClassVar[bool] = True

    def __init__(
        self, samples: Annotated[int, Ge(1)] = 200, seed: Annotated[int, Ge(0)] = 0
    ) -> None:
        self.samples = samples
        self.seed = seed

    def local_files(self) -> Iterable[Path]:
        """List nothing: all is generated."""
        return []

    def fetch(self, folder: Path) -> Path:
        """Write the simulated release below ``folder``; the CSV is whole or not there."""
        root = folder / "text-only-simulated"
        rows = [
            row for dataset in TEXT_DATASETS for row in _simulate(dataset, self.samples, self.seed)
        ]
        write_text(root / "README.txt", _README.format(seed=self.seed))
        write_text(root / _CSV, pd.DataFrame(rows).to_csv(index=False, lineterminator="\n"))
        return root

    def origin(self, root: Path) -> Path:
        """Return the CSV."""
        return root / _CSV

    def read(self, root: Path) -> OutcomeTable:
        """Read what ``fetch`` wrote, as any release is read, as one scenario."""
        table = MmrRelease(path=str(root)).read(root)
        return replace(table, samples=table.samples.assign(scenario=_SCENARIO))


def _simulate(dataset: DataSet, size: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yield one data set's rows of the CSV."""
    samples = draw(dataset, size, seed)
    facets = samples.facets
    tasks = [TEXT_TASKS[name] for name in dataset.tasks]
    for index, rng in enumerate(samples.generators):
        query = ask_text(
            rng,
            tasks[facets.task[index]],
            steps=round(facets.steps[index] * STEPS),
            recall=float(facets.recall[index]),
            choice=facets.choice[index],
        )
        yield {
            "dataset_idx": f"{dataset.prefix}_{index}",
            "question": query.question,
            "answer": query.answer,
            "level": samples.levels[index],
            "simulated": True,
        } | samples.outcomes(index, prompt_tokens(len(query.question)), query.answer, query.wrong)
