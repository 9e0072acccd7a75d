"""Experiments beyond the main table: one class each, in a file of its own (definitions, section 7).

To add one, put a module here with a subclass of ``Experiment`` and name it in the config, below
``experiments``. One from outside the package is a row of any name: ``mine: {class:
"my_module:Mine"}``. Its table and its figure are targets of the workflow, and sections of the
report.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pandas as pd

from mmroute.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mmroute.outcome_table import OutcomeTable
    from mmroute.outcomes.benchmark import Benchmark

Problem = tuple[Literal["warning", "note"], str]
"""What a check finds, and how much it matters."""


@dataclass(frozen=True)
class TextOnly:
    """The second source: samples without images, of other data sets.

    Attributes
    ----------
    table
        Outcomes of its M samples.
    features
        By router, the (M, d) features that a fusion makes of them that was fitted on the
        benchmark's training split. The image is masked.
    """

    table: "OutcomeTable"
    features: Mapping[str, np.ndarray]


class Experiment(ABC):
    """Measures something on every split, and lays it out as a table and a figure.

    The workflow reads the class attributes without importing the module, so they are literals
    in the body of the class. Constructor arguments are the experiment's own options, which the
    config validates by their types, as it does a router's.
    """

    name: ClassVar[str]
    """As the config gives it below ``experiments``."""
    output: ClassVar[str]
    """The paper's name of its table and figure; without one, its name in the config."""
    title: ClassVar[str]
    """What the report and the figure are headed with."""
    question: ClassVar[str]
    """What the report says above its results."""
    protocol: ClassVar[str] = "{policy} policy; nAUC over the costs of the single models"
    """Its policy, training scope and metrics, as they stand beside published values; ``{policy}``
    is the config's."""
    trains: ClassVar[bool] = False
    """Whether it trains routers anew; otherwise it reads what the trained ones predict."""
    studied: ClassVar[bool] = True
    """Whether it takes the routers that the config has below ``studied``."""
    routers: ClassVar[tuple[str, ...]] = ()
    """Routers that it takes beside those, by name."""
    fusions: ClassVar[tuple[str, ...]] = ()
    """Fusions to train every router on, as published; none: each router reads its own."""
    reads_table: ClassVar[bool] = False
    """Whether ``summarise`` takes the main table too, and so waits until that is there."""
    text_only: ClassVar[bool] = False
    """Whether it takes the config's ``text_only`` source."""
    perturbed: ClassVar[bool] = False
    """Whether it takes what the trained routers, which read features all, predict of perturbed
    questions too."""
    figure: ClassVar[bool] = False
    """Whether it has a figure."""
    images: ClassVar[bool] = False
    """Whether its table has a column ``image``; ``draw`` and ``cards`` get paths to open there."""

    draw: Callable[[pd.DataFrame, str], "Figure"]
    """A method that an experiment with a ``figure`` has: of a table as for ``present``, and a title
    that says what the figure shows, it makes the figure."""

    def __init_subclass__(cls) -> None:
        """Refuse a class that says that it has a figure, and cannot draw it."""
        if cls.figure and not hasattr(cls, "draw"):
            raise InputError(
                f"{cls.__module__}:{cls.__name__}: figure is True, and there is no draw; "
                "write it, or set figure = False"
            )

    @abstractmethod
    def findings(self, *given: Any, **more: Any) -> pd.DataFrame:
        """Measure on one split.

        Parameters
        ----------
        given
            If it ``trains``: the ``Benchmark``, with no development samples in its training
            split; features of all N samples by the names of the ``fusions``, or by router, where
            one that uses none has None; and routers by name, to be copied before they are
            trained. Otherwise: the ``Setting``; and by router the ``Predictions`` of the
            evaluation and, cross-fitted, of the training samples.
        more
            If it ``trains``: ``policy``, ``n_resamples`` and ``seed``, which a ``Setting``
            holds; ``text_only``, a ``TextOnly``, if the class asks for it. Otherwise, if it
            does: ``perturbed``, by kind of ``mmroute.features.perturbation`` and by router the
            ``Predictions`` of the evaluation samples with perturbed questions.

        Returns
        -------
        Key columns, then ``metric``, ``minus`` and ``replicates``, see
        ``mmroute.experiments.findings``.
        """

    def summarise(self, findings: Sequence[pd.DataFrame], *main: pd.DataFrame) -> pd.DataFrame:
        """Make a table of the findings of every salt: by default values with intervals."""
        from mmroute.experiments.findings import summarise

        return summarise(findings)

    @abstractmethod
    def present(self, table: pd.DataFrame) -> pd.DataFrame:
        """Lay the table out for people.

        Parameters
        ----------
        table
            What ``summarise`` made, read again from its file.
        """

    def cards(self, table: pd.DataFrame) -> list[dict[str, Any]]:
        """Single queries that the report shows instead of the figure; none by default."""
        return []

    def problems(
        self, benchmark: "Benchmark", text_only: "OutcomeTable | None"
    ) -> Iterator[Problem]:
        """Yield what ``mmroute check`` says of the data: a level and a line each.

        ``warning``: nothing would come of it. What would stop a run raises InputError.

        Parameters
        ----------
        benchmark
            Outcomes under the first split.
        text_only
            Outcomes of the second source, if there is one that can be read.
        """
        yield from ()
