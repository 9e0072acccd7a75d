"""Checks before hours of work: what a run would use, what would stop it, what looks wrong.

A check reads the sources and takes the steps of a run up to the training split, by the
same functions. Where one of them refuses the data, the check says so, with a cure, and
goes on without what was refused.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mmroute.checks import reading, repeats, settings, suspicious, undeclared
from mmroute.checks.layout import text_of
from mmroute.checks.reading import DATASET_COLUMNS, MODEL_COLUMNS
from mmroute.checks.remark import LEVELS, Remark
from mmroute.config import Config

__all__ = ["Check", "Remark", "check"]


@dataclass(frozen=True)
class Check:
    """What a run would use, and what was found.

    Attributes
    ----------
    name
        Of the run.
    datasets
        A row per data set and a last one for ``full``, with ``DATASET_COLUMNS``: counts
        of samples, of those that train and test under the first salt, and of those with
        a text and with an image; the observed share of all pairs. Empty if the source
        cannot be read.
    models
        A row per model of the source, with ``MODEL_COLUMNS``: whether the run uses it,
        the share of the samples it was observed on, mean utility, mean cost of a call
        in USD, prices in USD per million tokens, and where the costs come from:
        ``tokens``, ``source`` or ``mixed``, empty if unknown; and the mean latency of a call in
        seconds. What a model costs or takes that is not used stays unknown.
    remarks
        Errors first, then warnings, then notes.
    """

    name: str
    datasets: pd.DataFrame
    models: pd.DataFrame
    remarks: list[Remark]

    @property
    def errors(self) -> list[Remark]:
        """What would stop a run."""
        return [remark for remark in self.remarks if remark.level == "error"]

    def text(self) -> str:
        """Lay the check out for a terminal of 100 columns."""
        return text_of(self.name, self.datasets, self.models, self.remarks)


def check(config: Config, folder: Path) -> Check:
    """Read the sources of a config and find what is wrong before a run does.

    Parameters
    ----------
    config
        The validated config.
    folder
        ``results/<name>/source``, where a run has what it downloads or generates. That
        of a text-only source lies in ``results/<name>/text_only/source``. Nothing else
        is written.

    Returns
    -------
    Check
        Bad data is a remark; it raises nothing.
    """
    found: list[Remark] = []
    datasets, models = pd.DataFrame(columns=DATASET_COLUMNS), pd.DataFrame(columns=MODEL_COLUMNS)
    settings.checkpoints(config, found)
    source = reading.read("source", config.source, folder, found)
    text_only = reading.text_only(config, folder.parent / "text_only" / folder.name, found)
    if source is not None:
        whole, files = source.table, source.files
        pool = reading.chosen(config, whole, found)
        table = reading.priced("source", config.source, source, pool, found)
        splits = reading.splits(config, whole.samples, found)
        datasets, models = reading.described(whole, pool, table, splits)
        found += reading.told(config, source, pool, datasets)
        found += suspicious.images(whole.samples, source.root, config.seed)
        found += suspicious.questions(whole.samples, files)
        found += repeats.repeats(whole.samples, splits, files)
        found += undeclared.undeclared(config.source, whole, files)
        found += suspicious.outcomes(pool, files)
        if table is not None:
            found += suspicious.costs(table, files)
            by_salt = settings.benchmarks(table, splits)
            found += settings.unmeasured(by_salt)
            found += settings.settings(config, pool.model_names, by_salt)
            settings.choices(config, by_salt, found)
            found += settings.latencies(config, next(iter(by_salt.values())))
            found += settings.experiments(config, next(iter(by_salt.values())), text_only)
    found.sort(key=lambda remark: LEVELS.index(remark.level))
    return Check(config.name, datasets[list(DATASET_COLUMNS)], models, found)
