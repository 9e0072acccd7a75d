"""How hard queries are and what models can do, as item response theory tells it.

Of the router ``irt`` (Song et al., ACL 2025, arXiv 2506.01048), whose logit of being right is
a(x) theta_j - b(x). Adding one vector to all abilities theta_j changes nothing if b(x) makes up
for it, so abilities are taken to be 0 on average over the pool, as is usual. Then a query's
difficulty b(x) is minus the mean of its logits over the models, and what a model can do on a set
of queries, a(x) theta_j averaged over them, is the mean of its logits plus that of difficulties:
both can be read off what the router predicts.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import logit

from mmroute.evaluation.setting import Setting, slices
from mmroute.experiments import Experiment
from mmroute.predictions import Predictions
from mmroute.presentation.figures import shorten
from mmroute.presentation.tables import format_interval

KEYS = ["kind", "name"]
LONGEST_NAME = 28
NEARLY = 1e-6
"""A predicted chance is at least so far from 0 and from 1: logits are finite."""
CONSTANT = 1e-20
"""A product of variances that is rounding."""
POINTS = {
    "model": ("ability", "o", "what a model can do: ability"),
    "dataset": ("difficulty", "s", "how hard its queries are: difficulty"),
}
"""What is drawn of which rows, and how."""


class ItemResponse(Experiment):
    """Difficulties of queries and abilities of models, and whether outcomes bear them out."""

    name = "item_response"
    output = "item_response"
    title = "How hard queries are, and what models can do"
    question = (
        "Difficulty of a query and ability of a model in logits, as item response theory has "
        "them: a model of the pool's mean ability, 0, is right on a query of difficulty 0 as often "
        "as wrong. Difficulties are foreseen from the query alone; accuracies are what happened."
    )
    studied = False
    routers = ("irt",)
    figure = True

    def findings(
        self,
        setting: Setting,
        predictions: Mapping[str, Predictions],
        crossfit: Mapping[str, Predictions],
    ) -> pd.DataFrame:
        """Measure abilities and difficulties on the evaluation samples.

        Parameters
        ----------
        setting
            What to measure with.
        predictions
            Of the router ``irt``, of the evaluation samples.
        crossfit
            Not used.

        Returns
        -------
        Findings with the keys ``kind`` and ``name``. Of each ``model``: ``ability`` and
        ``accuracy``, its mean utility. Of each ``dataset`` and of ``full``: ``difficulty``,
        ``accuracy`` of all models, and ``correlation`` of difficulties with the samples' mean
        utilities; undefined where either is constant.
        """
        (own,) = predictions.values()
        table = setting.table
        logits = logit(np.clip(own.u_hat[0], NEARLY, 1 - NEARLY))
        difficulty = -logits.mean(axis=1)
        solved = np.nanmean(table.utility, axis=1)
        weights = setting.weights().astype(float)
        rows = []
        for model, name in enumerate(table.model_names):
            seen = np.isfinite(table.utility[:, model])
            told = table.utility[seen, model]
            ability = _mean(weights, logits[:, model] + difficulty)
            rows += [
                ("model", name, "ability", "", ability),
                ("model", name, "accuracy", "", _mean(weights[:, seen], told)),
            ]
        for part in slices(table.samples):
            kind = "full" if part.level == "full" else "dataset"
            found = _measured(weights[:, part.rows], difficulty[part.rows], solved[part.rows])
            rows += [(kind, part.name, metric, "", values) for metric, values in found]
        return pd.DataFrame(rows, columns=[*KEYS, "metric", "minus", "replicates"])

    def present(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return, for people, the ablest models and then the hardest data sets.

        Parameters
        ----------
        table
            The summary of ``findings``.
        """
        shown = map(format_interval, table["value"], table["low"], table["high"])
        cells = table.assign(shown=list(shown)).set_index([*KEYS, "metric"])["shown"]
        rows = []
        for kind, name in [*_ordered(table, "model"), *_ordered(table, "dataset"), ("full",) * 2]:
            rows.append(
                {
                    "Of": {"model": "model", "dataset": "data set"}.get(kind, "all queries"),
                    "Name": "" if kind == "full" else name,
                    "Ability": cells.get((kind, name, "ability"), "–"),
                    "Difficulty": cells.get((kind, name, "difficulty"), "–"),
                    "Accuracy": cells[kind, name, "accuracy"],
                    "Correlation of difficulty and accuracy": cells.get(
                        (kind, name, "correlation"), "–"
                    ),
                }
            )
        return pd.DataFrame(rows)

    def draw(self, table: pd.DataFrame, title: str) -> Figure:
        """Draw models by ability above data sets by difficulty, on one scale.

        Parameters
        ----------
        table
            The summary of ``findings``.
        title
            What the figure shows.
        """
        counts = [len(_ordered(table, kind)) for kind in POINTS]
        figure, panels = plt.subplots(
            2,
            1,
            figsize=(7.5, 1.6 + 0.24 * sum(counts)),
            height_ratios=counts,
            sharex=True,
            layout="constrained",
        )
        for axes, kind in zip(panels, POINTS, strict=True):
            _points(axes, table, kind)
        figure.supxlabel("logits, with 95 % interval", fontsize="medium")
        figure.suptitle(title)
        return figure


def _mean(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the (1 + B,) weighted means of (n,) values; NaN where nothing has a weight."""
    with np.errstate(invalid="ignore"):
        means: np.ndarray = weights @ values / weights.sum(axis=1)
    return means


def _measured(
    weights: np.ndarray, difficulty: np.ndarray, solved: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the metrics of a set of n samples."""
    hard, right = _mean(weights, difficulty), _mean(weights, solved)
    yield "difficulty", hard
    yield "accuracy", right
    one, other = difficulty - hard[0], solved - right[0]
    covariance, *variances = (
        _mean(weights, left * right) - _mean(weights, left) * _mean(weights, right)
        for left, right in ((one, other), (one, one), (other, other))
    )
    product = np.prod(variances, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        yield "correlation", np.where(product > CONSTANT, covariance / np.sqrt(product), np.nan)


def _ordered(table: pd.DataFrame, kind: str) -> list[tuple[str, str]]:
    """Return the keys of a kind's rows, the largest value first."""
    metric, *_ = POINTS[kind]
    own = table[(table["kind"] == kind) & (table["metric"] == metric)]
    names = own.sort_values("value", ascending=False, kind="stable")["name"]
    return [(kind, name) for name in names]


def _points(axes: Axes, table: pd.DataFrame, kind: str) -> None:
    metric, marker, label = POINTS[kind]
    names = [name for _, name in _ordered(table, kind)][::-1]
    own = table[(table["kind"] == kind) & (table["metric"] == metric)]
    own = own.set_index("name").loc[names]
    places = range(len(names))
    axes.hlines(places, own["low"], own["high"], color="0.5", lw=1.5)
    axes.plot(own["value"], places, marker, color="black", ms=5)
    axes.set_yticks(places, [shorten(name, LONGEST_NAME) for name in names])
    axes.set_ylim(-0.7, len(names) - 0.3)
    axes.set_title(label, loc="left", fontsize="medium")
    axes.tick_params(axis="x", labelbottom=True)
