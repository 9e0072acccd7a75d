"""The embedded default: a simulated benchmark in the layout of the MMR-Bench release.

Nothing in it was measured, and it says so in every image, in the CSV's
``simulated`` column and in a README beside it.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pandas as pd
from annotated_types import Ge
from tqdm import tqdm

from mmroute.outcome_table import OutcomeTable
from mmroute.sources import Source
from mmroute.sources.mmr_release import MmrRelease
from mmroute.sources.simulation import pictures
from mmroute.sources.simulation.datasets import DATASETS, DataSet
from mmroute.sources.simulation.pool import prompt_tokens
from mmroute.sources.simulation.questions import STEPS, TASKS, ask
from mmroute.sources.simulation.samples import draw
from mmroute.storage import atomic_folder, write_text

_COMMENT = f"{pictures.MARK} by mmroute".encode()

_README = """\
A simulated benchmark, written by mmroute's `demo` source (seed {seed}).

It has the layout of the MMR-Bench release, its data sets' names, its models'
names and its prices of completion tokens, and on each data set the accuracies of
the best model, of a random choice and of the oracle that the paper reports.
Everything else is made up: pictures, questions, answers, outcomes, token counts
and the prices of prompt tokens. No model was run. Results on it say nothing about
any real model.
"""


class Demo(Source):
    """A simulated benchmark of seven data sets and ten models.

    Parameters
    ----------
    samples
        Samples of each data set, or ``"paper"`` for the sizes of MMR Table S1.
        Samples that exist stay as they are when this grows.
    seed
        Another seed draws other samples of the same population.
    """

    name: ClassVar[str] = "demo"
    simulated: ClassVar[bool] = True

    def __init__(
        self,
        samples: Annotated[int, Ge(1)] | Literal["paper"] = 200,
        seed: Annotated[int, Ge(0)] = 0,
    ) -> None:
        self.samples = samples
        self.seed = seed

    def local_files(self) -> Iterable[Path]:
        """List nothing: all is generated."""
        return []

    def fetch(self, folder: Path) -> Path:
        """Write the simulated release below ``folder``, whole or not at all."""
        root = folder / "MMR-Bench-simulated"
        with atomic_folder(root) as partial:
            self._write(partial)
        return root

    def read(self, root: Path) -> OutcomeTable:
        """Read what ``fetch`` wrote, as any release is read."""
        return MmrRelease(path=str(root)).read(root)

    def _write(self, root: Path) -> None:
        sizes = [
            dataset.paper_size if self.samples == "paper" else self.samples for dataset in DATASETS
        ]
        rows = []
        with tqdm(total=sum(sizes), desc="simulate", mininterval=1) as progress:
            for dataset, size in zip(DATASETS, sizes, strict=True):
                (root / dataset.folder).mkdir()
                for row in _simulate(dataset, size, self.seed, root / dataset.folder):
                    rows.append(row)
                    progress.update()
        pd.DataFrame(rows).to_csv(root / "MMR_Bench.csv", index=False, lineterminator="\n")
        write_text(root / "README.txt", _README.format(seed=self.seed))


def _simulate(dataset: DataSet, size: int, seed: int, folder: Path) -> Iterator[dict[str, Any]]:
    """Write the images of one data set and yield its rows of the CSV."""
    samples = draw(dataset, size, seed)
    drawn = samples.facets
    tasks = [TASKS[name] for name in dataset.tasks]
    for index, rng in enumerate(samples.generators):
        query = ask(
            rng,
            tasks[drawn.task[index]],
            steps=round(drawn.steps[index] * STEPS),
            recall=float(drawn.recall[index]),
            clutter=float(drawn.clutter[index]),
            choice=drawn.choice[index],
        )
        picture = pictures.faded(query.picture, float(drawn.fade[index]))
        question = query.question
        if drawn.picture_only[index]:
            picture, question = pictures.with_question(picture, question), ""
        picture = pictures.marked(picture)
        picture.save(folder / f"{index}.jpg", quality=85, comment=_COMMENT)
        yield {
            "dataset_idx": f"{dataset.prefix}_{index}",
            "question": question,
            "answer": query.answer,
            "level": samples.levels[index],
            "simulated": True,
        } | samples.outcomes(
            index, prompt_tokens(len(question), *picture.size), query.answer, query.wrong
        )
