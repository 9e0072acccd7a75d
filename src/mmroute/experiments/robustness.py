"""Does a router choose alike when a question is worded otherwise (definitions, sections 5 and 7).

RouterArena's robustness. Questions of the evaluation samples are perturbed without changing their
meaning (``mmroute.features.perturbation``) and embedded anew; the routers, trained on questions
as they are, choose again at the same thresholds.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from mmroute.evaluation.curve import steps_of
from mmroute.evaluation.policy_metrics import of_chosen
from mmroute.evaluation.setting import Setting
from mmroute.experiments import Experiment
from mmroute.experiments.difficulty import training_points
from mmroute.experiments.findings import difference
from mmroute.features.perturbation import KINDS, perturb
from mmroute.predictions import Predictions
from mmroute.presentation.figures import panels
from mmroute.presentation.tables import format_interval

KEYS = ["router", "point", "kind", "metric", "minus"]
UNPERTURBED = "unperturbed"
COLOURS = dict(zip(KINDS, sns.color_palette("colorblind"), strict=False))


class Robustness(Experiment):
    """Each router's choices on perturbed questions against those on the questions as they are."""

    name = "robustness"
    output = "robustness"
    title = "Perturbed questions"
    question = (
        "How many choices stay the same, and what the others cost, when questions lose their "
        "capitals, get wider spaces or typing errors, or are asked by a template. Numbers, "
        "formulas, code and answer options stay as they are. Routers that read questions and "
        "images themselves are left out."
    )
    routers = ("ensemble",)
    perturbed = True
    figure = True

    def findings(
        self,
        setting: Setting,
        predictions: Mapping[str, Predictions],
        crossfit: Mapping[str, Predictions],
        perturbed: Mapping[str, Mapping[str, Predictions]],
    ) -> pd.DataFrame:
        """Compare the choices, at operating points that were chosen in training.

        Parameters
        ----------
        setting
            What to measure with; its seed is that of the perturbations.
        predictions, crossfit
            Per router, of the evaluation samples and, cross-fitted, of the training samples.
        perturbed
            Per kind of perturbation and router, of the evaluation samples.

        Returns
        -------
        Findings with the keys ``router``, ``point`` and ``kind``. ``perturbed``: the share of
        the questions that the perturbation changes, ``router`` and ``point`` empty. Over these
        questions: ``same_choice``, the share of equal choices; ``accuracy``, ``cost``
        (normalised) and ``cost_usd`` with perturbed questions, and ``minus`` those of the
        ``unperturbed``. A point that a router's training frontier does not have is left out.
        Means over the trials of a router that draws; each choice and its twin are of one trial.
        """
        table = setting.table
        asked = table.samples["question"].tolist()
        ids = table.samples["sample_id"].tolist()
        weights = setting.weights().astype(float)
        changed = {
            kind: np.array(perturb(asked, ids, kind, setting.seed)) != np.array(asked)
            for kind in KINDS
        }
        rows = [
            ("", "", kind, "perturbed", "", weights @ own / weights.sum(axis=1))
            for kind, own in changed.items()
        ]
        for router, own in predictions.items():
            trials = range(len(own.u_hat))
            points = [training_points(setting, crossfit[router], own, trial) for trial in trials]
            before = [_outcomes(setting, own, trial, points[trial]) for trial in trials]
            for kind, others in perturbed.items():
                after = [
                    _outcomes(setting, others[router], trial, points[trial]) for trial in trials
                ]
                inside = weights * changed[kind]
                for point in points[0]:
                    compared = [
                        _compared(old[point], new[point])
                        for old, new in zip(before, after, strict=True)
                    ]
                    with np.errstate(invalid="ignore"):
                        means = inside @ np.mean(compared, axis=0) / inside.sum(axis=1)[:, None]
                    rows += [
                        (router, point, kind, *row) for row in _measured(means.T, setting.unit)
                    ]
        return pd.DataFrame(rows, columns=[*KEYS, "replicates"])

    def present(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return, for people, equal choices and changes by router, point and perturbation.

        Parameters
        ----------
        table
            The summary of ``findings``.
        """
        table = table.fillna({"router": "", "point": "", "minus": ""})
        shown = map(format_interval, table["value"], table["low"], table["high"])
        table = table.assign(shown=list(shown))
        shares = table[table["metric"] == "perturbed"].set_index("kind")["value"]
        rows = []
        for (router, point, kind), own in table[table["router"] != ""].groupby(
            ["router", "point", "kind"], sort=False
        ):
            cells = own.set_index(["metric", "minus"])["shown"]
            usd = own[(own["metric"] == "cost_usd") & (own["minus"] != "")]
            change = 1000 * usd[["value", "low", "high"]].to_numpy()[0]
            rows.append(
                {
                    "Router": router,
                    "Operating point": str(point).replace("_", " "),
                    "Perturbation": kind,
                    "Questions changed": f"{shares[str(kind)]:.1%}",
                    "Equal choices": cells["same_choice", ""],
                    "Accuracy, change": cells["accuracy", UNPERTURBED],
                    "USD per 1,000 queries, change": format_interval(*change),
                }
            )
        return pd.DataFrame(rows)

    def draw(self, table: pd.DataFrame, title: str) -> Figure:
        """Draw the share of equal choices with its interval, one panel an operating point.

        Parameters
        ----------
        table
            The summary of ``findings``.
        title
            What the figure shows.
        """
        equal = table[table["metric"] == "same_choice"]
        names = list(equal["router"].unique())
        points = list(equal.groupby("point", sort=False))
        figure, grid = panels(len(points), 3, 2.6, 0.6 * len(names) + 0.6, (1.8, 0.6))
        for axes, (point, of_point) in zip(grid, points, strict=False):
            for offset, (kind, colour) in enumerate(COLOURS.items()):
                own = of_point[of_point["kind"] == kind]
                rows = np.array([names.index(name) for name in own["router"]])
                ends = [own["value"] - own["low"], own["high"] - own["value"]]
                axes.errorbar(
                    own["value"],
                    rows + (offset - (len(COLOURS) - 1) / 2) * 0.18,
                    xerr=np.maximum(ends, 0),
                    fmt="o",
                    ms=3.5,
                    lw=1,
                    color=colour,
                    label=kind,
                )
            axes.set_title(str(point).replace("_", " "))
            axes.xaxis.set_major_formatter(PercentFormatter(1))
        if points:
            grid[0].set_yticks(range(len(names)), names)
            grid[0].set_ylim(len(names) - 0.5, -0.5)
            handles, labels = grid[0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside right upper", frameon=False)
        figure.supxlabel("questions with the same choice", fontsize="medium")
        figure.suptitle(title)
        return figure


def _outcomes(
    setting: Setting, predictions: Predictions, trial: int, points: Mapping[str, float]
) -> dict[str, np.ndarray]:
    """(3, N) choice, utility and normalised cost at each operating point."""
    table = setting.table
    steps = steps_of(predictions, trial, np.isfinite(table.utility), setting.policy)
    paid = predictions.paid(table.cost / setting.unit)
    choices = {point: steps.choices(threshold) for point, threshold in points.items()}
    return {
        point: np.stack([choice, of_chosen(table.utility, choice), of_chosen(paid, choice)])
        for point, choice in choices.items()
    }


def _compared(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(N, 5): whether the choice is the same; utility and cost after, and before."""
    return np.stack([before[0] == after[0], *after[1:], *before[1:]], axis=1)


def _measured(means: np.ndarray, unit: float) -> list[tuple[str, str, np.ndarray]]:
    same, accuracy, cost, accuracy_before, cost_before = means
    saved = difference(cost, cost_before)
    return [
        ("same_choice", "", same),
        ("accuracy", "", accuracy),
        ("accuracy", UNPERTURBED, difference(accuracy, accuracy_before)),
        ("cost", "", cost),
        ("cost", UNPERTURBED, saved),
        ("cost_usd", "", cost * unit),
        ("cost_usd", UNPERTURBED, saved * unit),
    ]
