"""Do hard queries go to dear models: an open question of the article (definitions, section 7).

Queries are put into strata from easy to hard and models into price tiers. How much of
each stratum goes to each tier is counted at operating points chosen on training data.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from mmroute.evaluation.carrier import Carrier
from mmroute.evaluation.curve import steps_of, training_frontier
from mmroute.evaluation.measured import operating_points
from mmroute.evaluation.metrics import single_models
from mmroute.evaluation.setting import Setting
from mmroute.experiments import Experiment
from mmroute.experiments.findings import difference
from mmroute.outcome_table import OutcomeTable
from mmroute.predictions import Predictions
from mmroute.presentation.figures import panels, shorten
from mmroute.presentation.tables import format_interval

TIERS = ("cheap", "middle", "dear")
POINTS = ("half_cost", "peak")
KEYS = ["router", "point", "stratum", "tier", "metric", "minus"]
MOST_LEVELS = 10
"""A tag with more values than these is no level."""
FAILING = {
    "no model fails": 0.0,
    "up to 1/3 fail": 1 / 3,
    "up to 2/3 fail": 2 / 3,
    "over 2/3 fail": np.nextafter(1.0, 0.0),
    "all models fail": 1.0,
}
"""Strata by the share of models that fail, each with the largest share in it."""
PER_ROW = 4
LONGEST_LABEL = 20
"""Strata are named by the data."""
SHADES = sns.color_palette("YlGnBu", len(TIERS))


class Difficulty(Experiment):
    """Where each router sends the queries of each stratum.

    Parameters
    ----------
    tag
        The data's own difficulty; see ``strata``.
    """

    name = "difficulty"
    output = "difficulty"
    title = "Where hard queries go"
    question = (
        "Shares of easy and of hard queries that go to cheap, middle and dear models, at an "
        "operating point that was chosen in training."
    )
    routers = ("ensemble",)
    figure = True

    def __init__(self, tag: str = "level") -> None:
        self.tag = tag

    def findings(
        self,
        setting: Setting,
        predictions: Mapping[str, Predictions],
        crossfit: Mapping[str, Predictions],
    ) -> pd.DataFrame:
        """Measure where each router sends the queries of each stratum.

        Parameters
        ----------
        setting
            What to measure with.
        predictions, crossfit
            Per router, of the evaluation samples and, cross-fitted, of the training samples.

        Returns
        -------
        Findings with the keys ``router``, ``point``, ``stratum``, the easiest first, and
        ``tier``. ``traffic``: the share of the stratum's queries that the price tier gets,
        the hardest stratum's also ``minus`` the easiest one's. ``accuracy``, ``cost``
        (normalised) and ``cost_usd``: means over the stratum, ``tier`` empty. ``samples``:
        the stratum's share of all strata, ``router`` and ``point`` empty. A row ``oracle``
        is always there. A point that a router's training frontier does not have is left
        out. Metrics are means over the trials of a router that draws.
        """
        table = setting.table
        observed = np.isfinite(table.utility)
        tiers = np.eye(len(TIERS))[price_tiers(setting.training.cost)]
        names, inside = strata(table, setting.training, self.tag)
        weights = setting.weights().astype(float)
        sizes = weights @ inside
        rows = [
            ("", "", name, "", "samples", "", share)
            for name, share in zip(names, (sizes / sizes.sum(axis=1, keepdims=True)).T, strict=True)
        ]
        predictions = {**predictions, "oracle": _oracle(table, setting.unit)}
        crossfit = {**crossfit, "oracle": _oracle(setting.training, setting.unit)}
        for router, own in predictions.items():
            trials = range(len(own.u_hat))
            steps = [steps_of(own, trial, observed, setting.policy) for trial in trials]
            chosen = [training_points(setting, crossfit[router], own, trial) for trial in trials]
            outcomes = table.utility, own.paid(table.cost / setting.unit)
            for point in filter(chosen[0].__contains__, POINTS):
                measured = np.mean(
                    [
                        _measured(one.choices(points[point]), tiers, *outcomes)
                        for one, points in zip(steps, chosen, strict=True)
                    ],
                    axis=0,
                )
                cells = (inside[:, :, None] * measured[:, None]).reshape(len(inside), -1)
                sums = (weights @ cells).reshape(*sizes.shape, -1)
                with np.errstate(invalid="ignore"):
                    means = sums / sizes[:, :, None]
                for name, values in zip(names, np.moveaxis(means, 0, 2), strict=True):
                    *traffic, accuracy, cost = values
                    rows += [
                        (router, point, name, tier, "traffic", "", share)
                        for tier, share in zip(TIERS, traffic, strict=True)
                    ]
                    rows += [
                        (router, point, name, "", "accuracy", "", accuracy),
                        (router, point, name, "", "cost", "", cost),
                        (router, point, name, "", "cost_usd", "", cost * setting.unit),
                    ]
        found = pd.DataFrame(rows, columns=[*KEYS, "replicates"])
        return pd.concat([found, _trend(found, names[0], names[-1])], ignore_index=True)

    def present(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return, for people, the share of each stratum that goes to the dear models.

        Parameters
        ----------
        table
            The summary of ``findings``.
        """
        dear = table[(table["metric"] == "traffic") & (table["tier"] == TIERS[-1])]
        is_trend = dear["minus"].fillna("") != ""
        trends = {
            (trend["router"], trend["point"]): trend for trend in dear[is_trend].to_dict("records")
        }
        rows = []
        for (router, point), own in dear[~is_trend].groupby(["router", "point"], sort=False):
            trend = trends[router, point]
            rows.append(
                {"Router": router, "Operating point": str(point).replace("_", " ")}
                | {
                    f"To dear models: {stratum}": f"{share:.1%}"
                    for stratum, share in zip(own["stratum"], own["value"], strict=True)
                }
                | {
                    f"Difference, {trend['stratum']} minus {trend['minus']}": format_interval(
                        trend["value"], trend["low"], trend["high"]
                    ),
                    "p": f"{trend['p_value']:.3f}",
                }
            )
        return pd.DataFrame(rows)

    def draw(self, table: pd.DataFrame, title: str) -> Figure:
        """Draw stacked traffic shares by stratum, one panel a router, accuracies above the bars.

        A router is shown at ``half_cost``, or at ``peak`` where it has no such point.

        Parameters
        ----------
        table
            The summary of ``findings``.
        title
            What the figure shows.
        """
        values = table[(table["minus"].fillna("") == "") & (table["metric"] != "samples")]
        routers = values["router"].unique()
        figure, grid = panels(len(routers), PER_ROW, 2.7, 2.1, (1, 1))
        for axes, router in zip(grid, routers, strict=False):
            own = values[values["router"] == router]
            point = next(point for point in POINTS if point in set(own["point"]))
            _panel(axes, own[own["point"] == point])
            axes.set_title(f"{router} ({point.replace('_', ' ')})")
        for axes in grid[max(0, len(routers) - PER_ROW) : len(routers)]:
            axes.tick_params(axis="x", rotation=40)
            plt.setp(axes.get_xticklabels(), ha="right", rotation_mode="anchor")
        if len(routers):
            handles, names = grid[0].get_legend_handles_labels()
            figure.legend(
                handles[::-1], names[::-1], title="models", loc="outside right upper", frameon=False
            )
        figure.supxlabel("queries, from easy to hard", fontsize="medium")
        figure.supylabel("share of the queries (above: accuracy in %)", fontsize="medium")
        figure.suptitle(title)
        return figure


def training_points(
    setting: Setting, crossfit: Predictions, predictions: Predictions, trial: int = 0
) -> dict[str, float]:
    """Return the parameter value of each operating point that the training frontier has.

    Parameters
    ----------
    setting
        What to measure with.
    crossfit, predictions
        The router's, of the training samples and of the evaluation samples.
    trial
        Of the latter, which the values are for.
    """
    training = setting.training
    cost = training.cost / setting.unit
    best = training_frontier(crossfit, training.utility, cost, setting.policy)
    points = operating_points(best, single_models(training.utility, cost))
    carrier = Carrier.of(crossfit, training.utility, cost, setting.policy)
    steps = steps_of(predictions, trial, np.isfinite(setting.table.utility), setting.policy)
    foreseen = carrier.foreseen(steps, predictions.c_hat[trial], setting.policy)
    carried = carrier.carry(np.array([*points.values()]), foreseen)
    return dict(zip(points, carried.tolist(), strict=True))


def price_tiers(cost: np.ndarray) -> np.ndarray:
    """Return the (K,) index into ``TIERS`` of each model: terciles of the mean costs.

    Models of one mean cost share a tier, the cheaper one.

    Parameters
    ----------
    cost
        (n, K) of training outcomes, NaN where missing.
    """
    mean = np.nanmean(cost, axis=0)
    thrice_cheaper = 3 * (mean[:, None] > mean).sum(axis=1)
    last = len(mean) - 1
    return (thrice_cheaper > last).astype(int) + (thrice_cheaper > 2 * last)


def strata(table: OutcomeTable, training: OutcomeTable, tag: str) -> tuple[list[str], np.ndarray]:
    """Put samples into strata, from easy to hard.

    By the column ``tag_<tag>`` where it has 2 to ``MOST_LEVELS`` values: numbers in
    their order, other values by the models' mean utility in training, the highest
    first. Samples without a value are in no stratum. Otherwise by the share of the
    observed models whose utility is at most 0.5 (``FAILING``). Those strata are made of
    test outcomes, which no router knows: they are for analysis only. Where all models
    fail nothing is gained by a dear one, and the oracle takes the cheapest.

    Returns
    -------
    names
        Of the S strata that have a sample.
    inside
        (N, S), 1 where the sample is in the stratum.
    """
    values = _values(table, tag)
    levels = values.dropna().unique().tolist()
    if 2 <= len(levels) <= MOST_LEVELS:
        ordered = _from_easy_to_hard(levels, training, tag)
        inside = values.to_numpy(object)[:, None] == np.array(ordered, object)
        return [f"{tag} {level}" for level in ordered], inside.astype(float)
    observed = np.isfinite(table.utility)
    failing = (observed & (table.utility <= 0.5)).sum(axis=1) / observed.sum(axis=1)
    stratum = np.searchsorted(list(FAILING.values()), failing)
    filled = np.unique(stratum)
    return [list(FAILING)[index] for index in filled], (stratum[:, None] == filled).astype(float)


def _values(table: OutcomeTable, tag: str) -> pd.Series:
    """Return the samples' (N,) values of a tag, NaN where there is none."""
    values = table.samples.get(f"tag_{tag}", pd.Series("", table.samples.index)).astype("str")
    return values.where(values.str.strip() != "")


def _from_easy_to_hard(levels: list[str], training: OutcomeTable, tag: str) -> list[str]:
    numbers = pd.to_numeric(pd.Series(levels), errors="coerce")
    if numbers.notna().all():
        return [levels[index] for index in np.argsort(numbers, kind="stable")]
    utility = pd.Series(np.nanmean(training.utility, axis=1))
    accuracy = utility.groupby(_values(training, tag)).mean()
    return sorted(levels, key=lambda level: (-float(accuracy.get(level, 0.0)), level))


def _oracle(table: OutcomeTable, unit: float) -> Predictions:
    """Return the outcomes as predictions; a missing one is never chosen."""
    outcomes = (np.nan_to_num(matrix)[None] for matrix in (table.utility, table.cost / unit))
    return Predictions(table.samples["sample_id"], *outcomes)


def _measured(
    choice: np.ndarray, tiers: np.ndarray, utility: np.ndarray, cost: np.ndarray
) -> np.ndarray:
    """Return (N, 5) of each choice: one-hot price tier, utility, cost."""
    rows = np.arange(len(choice))
    return np.column_stack([tiers[choice], utility[rows, choice], cost[rows, choice]])


def _trend(found: pd.DataFrame, easiest: str, hardest: str) -> pd.DataFrame:
    """Subtract the easiest stratum's traffic from the hardest one's."""
    traffic = found[found["metric"] == "traffic"]
    easy, hard = (traffic[traffic["stratum"] == name] for name in (easiest, hardest))
    pairs = zip(hard["replicates"], easy["replicates"], strict=True)
    return hard.assign(
        minus=easiest,
        replicates=pd.Series([difference(*pair) for pair in pairs], hard.index, object),
    )


def _panel(axes: Axes, own: pd.DataFrame) -> None:
    shares = own[own["metric"] == "traffic"].pivot(index="stratum", columns="tier", values="value")
    shares = shares.reindex(own["stratum"].unique())
    accuracy = own[own["metric"] == "accuracy"].set_index("stratum")["value"]
    positions = range(len(shares))
    below = pd.Series(0.0, shares.index)
    for tier, colour in zip(TIERS, SHADES, strict=True):
        axes.bar(positions, shares[tier], bottom=below, color=colour, width=0.85, label=tier)
        below = below + shares[tier]
    for position, stratum in enumerate(shares.index):
        text = f"{100 * accuracy[stratum]:.0f}"
        axes.text(position, 1.02, text, ha="center", va="bottom", fontsize=7)
    axes.set_xticks(positions, [shorten(name, LONGEST_LABEL) for name in shares.index])
    axes.set_ylim(0, 1.14)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(axis="x", visible=False)
