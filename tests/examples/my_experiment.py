"""How routers do on close calls, where two models look equally good: an experiment of one's own."""

from collections.abc import Mapping
from typing import Annotated

import numpy as np
import pandas as pd
from annotated_types import Gt
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from mmroute.evaluation.setting import Setting
from mmroute.experiments import Experiment
from mmroute.experiments.findings import difference
from mmroute.predictions import Predictions
from mmroute.presentation.looks import ACCURACY_LABEL
from mmroute.presentation.tables import format_interval

KEYS = ["router", "calls", "metric", "minus", "replicates"]


class CloseCalls(Experiment):
    """How good each router's favourite is on close calls, and on clear ones.

    Parameters
    ----------
    margin
        A call is close where the two best predicted utilities differ by less.
    """

    title = "Close calls"
    question = "Is the favourite model right less often where another looks almost as good?"
    routers = ("ensemble",)
    figure = True

    def __init__(self, margin: Annotated[float, Gt(0)] = 0.05) -> None:
        self.margin = margin

    def findings(
        self,
        setting: Setting,
        predictions: Mapping[str, Predictions],
        crossfit: Mapping[str, Predictions],
    ) -> pd.DataFrame:
        """Measure the share of close calls, and the accuracy on either side."""
        utility, weights = setting.table.utility, setting.weights().astype(float)
        rows = []
        for router, own in predictions.items():
            scores = np.where(np.isfinite(utility), own.u_hat[0], -np.inf)
            second, first = np.sort(scores, axis=1)[:, -2:].T
            is_close = first - second < self.margin
            right = np.take_along_axis(utility, scores.argmax(axis=1)[:, None], axis=1)[:, 0]
            with np.errstate(invalid="ignore"):
                close, clear = (
                    weights @ (part * right) / (weights @ part) for part in (is_close, ~is_close)
                )
            rows += [
                (router, "close", "share", "", weights @ is_close / weights.sum(axis=1)),
                (router, "close", "accuracy", "", close),
                (router, "clear", "accuracy", "", clear),
                (router, "close", "accuracy", "clear", difference(close, clear)),
            ]
        return pd.DataFrame(rows, columns=KEYS)

    def present(self, table: pd.DataFrame) -> pd.DataFrame:
        """Lay out a row a router."""
        minus = table["minus"].fillna("").replace({"clear": " minus clear"})
        column = table["metric"] + ", " + table["calls"] + minus
        shown = map(format_interval, table["value"], table["low"], table["high"])
        cells = table.assign(column=column, shown=list(shown))
        return cells.pivot(index="router", columns="column", values="shown").reset_index()

    def draw(self, table: pd.DataFrame, title: str) -> Figure:
        """Draw both accuracies of each router."""
        values = table[(table["metric"] == "accuracy") & (table["minus"].fillna("") == "")]
        figure, axes = plt.subplots(layout="constrained")
        for calls, own in values.groupby("calls", sort=False):
            axes.plot(own["router"], own["value"], "o", label=calls)
            axes.vlines(own["router"], own["low"], own["high"], alpha=0.4)
        axes.set(ylabel=ACCURACY_LABEL, title=title)
        axes.legend(title="calls")
        return figure
