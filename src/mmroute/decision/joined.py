"""New models that join a trained router by labels of their own, without retraining it."""

from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from mmroute.errors import InputError
from mmroute.evaluation.shrinkage import Shrinkage
from mmroute.outcome_table import PRICE_COLUMNS, OutcomeTable, validate
from mmroute.outcomes.splits import fold_of
from mmroute.predictions import Predictions
from mmroute.routers import DynamicRouter
from mmroute.sources.cells import CORRECTNESS_WORDS, numbers
from mmroute.training import Inputs, take

TOKENS = ("prompt_tokens", "completion_tokens")


@dataclass(frozen=True)
class Joining:
    """What is known of R new models beside the K of a trained router.

    Attributes
    ----------
    table
        Outcomes of the K + R models, the new ones last, on the n samples that any of these was
        labelled on.
    inputs
        What the router reads of them.
    unit
        USD of a normalised cost of 1.
    n_new
        R.
    path
        The file of their labels, for messages.
    """

    table: OutcomeTable
    inputs: Inputs
    unit: float
    n_new: int
    path: Path

    @classmethod
    def of(
        cls, table: OutcomeTable, inputs: Inputs, unit: float, n_old: int, path: Path
    ) -> "Joining":
        """Keep the samples that a new model is labelled on.

        Raises InputError, naming the file of labels, if another has no outcome on any of them.
        """
        rows = np.isfinite(table.utility[:, n_old:]).any(axis=1)
        unseen = np.isnan(table.utility[rows]).all(axis=0)
        if unseen.any():
            raise InputError(
                f"{path}: model {table.model_names[int(unseen.argmax())]!r:.80} of the pool has no "
                "outcome on the samples labelled there; label others"
            )
        return cls(table.take(rows), take(inputs, rows), unit, len(table.models) - n_old, path)

    @property
    def names(self) -> list[str]:
        """Of the new models."""
        return self.table.model_names[-self.n_new :]

    def extended(self, shrinkage: Shrinkage) -> Shrinkage:
        """Return a shrinkage of the K models for the new ones, too: to their means, as far."""
        means = np.nanmean(self.table.utility[:, -self.n_new :], axis=0)
        return replace(shrinkage, means=np.append(shrinkage.means, means))

    def to(self, router: DynamicRouter, samples: np.ndarray | None = None) -> DynamicRouter:
        """Return a copy that the new models have joined, by labels of some of the n samples."""
        router = deepcopy(router)
        for utility, cost in zip(
            self.table.utility.T[-self.n_new :], self.table.cost.T[-self.n_new :], strict=True
        ):
            seen = np.isfinite(utility) & (True if samples is None else samples)
            router.add_model(take(self.inputs, seen), utility[seen], cost[seen] / self.unit)
        return router

    def cross_fit(
        self, router: DynamicRouter, crossfit: Predictions, shrinkage: Shrinkage | None
    ) -> Predictions:
        """Predict the n samples, each without its own fold's labels of the new models.

        Parameters
        ----------
        router
            The trained one.
        crossfit
            What is predicted of the K models, the n samples among others; shrunk if there is a
            shrinkage.
        shrinkage
            Of the K models; None: predictions stay as they are.

        Raises
        ------
        InputError
            If all labels of a model are in one fold.
        """
        ids = self.table.samples["sample_id"]
        crossfit = crossfit.take(np.flatnonzero(crossfit.sample_ids.isin(ids)))
        u_hat, c_hat = (
            np.concatenate([old, np.full((1, len(ids), self.n_new), np.nan)], axis=2)
            for old in (crossfit.u_hat, crossfit.c_hat)
        )
        joined = replace(crossfit, u_hat=u_hat, c_hat=c_hat)
        fold = fold_of(self.table.samples["group"])
        labelled = np.isfinite(self.table.utility[:, -self.n_new :])
        for held in np.unique(fold):
            rows = fold == held
            alone = ~labelled[~rows].any(axis=0)
            if alone.any():
                raise InputError(
                    f"{self.path}: model {self.names[int(alone.argmax())]!r:.80} has too few "
                    "labels: none is left where some are put aside to measure by; label more"
                )
            own = Predictions(
                ids[rows], *self.to(router, ~rows).predict_trials(take(self.inputs, rows))
            )
            if shrinkage:
                own = self.extended(shrinkage).apply(own)
            for matrix, predicted in ((u_hat, own.u_hat), (c_hat, own.c_hat)):
                matrix[:, rows, -self.n_new :] = predicted[..., -self.n_new :]
        return joined


def with_labels(table: OutcomeTable, cells: pd.DataFrame, path: Path) -> OutcomeTable:
    """Add the new models of a file of labels to the outcomes of N samples.

    Parameters
    ----------
    table
        Outcomes of the samples that can be labelled.
    cells
        The file's cells, as text: ``sample_id``, ``model`` and ``utility``; ``cost`` in USD, or
        ``prompt_tokens`` and ``completion_tokens`` with the model's prices,
        ``usd_per_1m_prompt_tokens`` and ``usd_per_1m_completion_tokens``. Other columns are not
        read.
    path
        The file, for messages.

    Returns
    -------
    The table with the new models as its last ones, missing where they have no label.

    Raises
    ------
    InputError
        If a column is missing, a sample is none of the table's, a model one of its, a pair stands
        there twice, or a number is missing or out of range.
    """
    by_tokens = "cost" not in cells and TOKENS[0] in cells
    costs = (*TOKENS, *PRICE_COLUMNS) if by_tokens else ("cost",)
    for column in ("sample_id", "model", "utility", *costs):
        if column not in cells:
            instead = f", or {', '.join((*TOKENS, *PRICE_COLUMNS))}" if column == "cost" else ""
            raise InputError(f"{path}: no column {column!r}; add it{instead}")
    row = pd.Index(table.samples["sample_id"]).get_indexer(cells["sample_id"])
    for column, wrong, cure in (
        ("sample_id", row < 0, "is no sample that the router was trained on; label some of those"),
        ("model", cells["model"].str.strip() == "", "is no name; name the model"),
        (
            "model",
            cells["model"] != cells["model"].str.strip(),
            "has space around it; take it away",
        ),
        ("model", cells["model"].isin(table.model_names), "is in the pool already; rename it"),
        ("sample_id", cells.duplicated(["sample_id", "model"]), "stands twice; keep one row"),
    ):
        _refuse(path, cells, column, np.asarray(wrong), cure)
    told = {
        column: _numbers(cells, column, path)
        for column in ("utility", "cost", *TOKENS, *PRICE_COLUMNS)
        if column in cells
    }
    for column in ("utility", *costs):
        _refuse(path, cells, column, np.isnan(told[column]), "is missing; give it, or no row")
    model, names = pd.factorize(cells["model"])
    models = pd.DataFrame({"model": names})
    for column in PRICE_COLUMNS:
        price = told.get(column, np.full(len(cells), np.nan))
        models[column] = price[np.unique(model, return_index=True)[1]]
        other = ~np.isnan(price) & (price != models[column].to_numpy()[model])
        _refuse(path, cells, column, other, "is not the price of the model's first row; give one")
    if by_tokens:
        pairs = zip(TOKENS, PRICE_COLUMNS, strict=True)
        told["cost"] = np.sum([told[count] * told[usd] for count, usd in pairs], axis=0) / 1e6
    matrices = {}
    for name, old in table.matrices.items():
        new = np.full((len(old), len(names)), None if name == "prediction" else np.nan, old.dtype)
        if name in told:
            new[row, model] = told[name]
        matrices[name] = np.hstack([old, new])
    models = pd.concat([table.models, models], ignore_index=True)
    grown = OutcomeTable(table.samples, models, **matrices)
    validate(grown, str(path))
    return grown


def _numbers(cells: pd.DataFrame, column: str, path: Path) -> np.ndarray:
    by_id = cells.set_index("sample_id")[column]
    if column == "utility":
        return numbers(by_id, path, CORRECTNESS_WORDS, highest=1)
    return numbers(by_id, path)


def _refuse(path: Path, cells: pd.DataFrame, column: str, wrong: np.ndarray, cure: str) -> None:
    """Raise InputError naming the first row of a mask."""
    if wrong.any():
        index = int(wrong.argmax())
        raise InputError(
            f"{path}, row {index + 1}: {column} is {cells[column].iloc[index]!r:.80}, which {cure}"
        )
