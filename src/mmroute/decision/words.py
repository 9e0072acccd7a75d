"""What was decided, in words: does routing pay, what to run, and what would change that."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mmroute.decision.decide import ALL_BUDGETS, BUDGET, SETTLED, SHARE, TODAY, WHAT_IF
from mmroute.outcome_table import LATENCY
from mmroute.presentation.looks import largest_shares


@dataclass(frozen=True)
class Card:
    """One thing that was asked, and what to run for it.

    Attributes
    ----------
    asked, run
        In a few words.
    facts
        Name to value, with its interval: what to expect.
    told
        What happens without a router, and how sure all that is.
    """

    asked: str
    run: str
    facts: dict[str, str]
    told: str


@dataclass(frozen=True)
class Offer:
    """What a budget buys.

    Attributes
    ----------
    asked
        The budget, in words.
    usd
        The same in USD per 1,000 queries.
    rows
        What is advised, the static mixture ``zero``, and the best single model that the budget
        allows: cells in the order of ``OFFER_COLUMNS``.
    points
        Their costs in USD per 1,000 queries, and their accuracies.
    """

    asked: str
    usd: float
    rows: list[list[str]]
    points: list[list[float]]


OFFER_COLUMNS = ("run", "traffic", "accuracy", "USD per 1,000 queries", "saving")


def offers(table: pd.DataFrame) -> list[Offer]:
    """What each budget of a ladder buys, as from ``ladder.ladder``."""
    return [_offer(row) for _, row in table.iterrows()]


def _offer(row: pd.Series) -> Offer:
    sure = "" if row["feasible"] else ": nothing surely keeps it, this comes nearest"
    routed = isinstance(row["router"], str) and bool(row["router"])
    mixed = _mixed(row)
    names = {
        "": (f"advised: {row['router'] if routed else 'no router'}", _traffic(row)),
        "mixture_": ("zero (no router)", mixed),
        "single_": ("best single model within it", f"always {row['single']}"),
    }
    rows = [
        [
            *told,
            _percent(row, f"{prefix}accuracy"),
            _usd(row, f"{prefix}cost_usd_per_1000"),
            _percent(row, f"{prefix}saving"),
        ]
        for prefix, told in names.items()
    ]
    points = [[row[f"{one}cost_usd_per_1000"], row[f"{one}accuracy"]] for one in names]
    return Offer(_budget(row) + sure, row["limit"], rows, points)


def answers(table: pd.DataFrame) -> list[str]:
    """Whether routing pays here, in a sentence or two for each set of prices."""
    return [_answer(row) for _, row in table[table["asked"] == ALL_BUDGETS].iterrows()]


def _answer(row: pd.Series) -> str:
    gain = (
        f"against the best static mixtures of models, {row['router']} gains "
        f"{_points(row, 'routed_gain')} in accuracy at the same cost, on average over the budgets"
    )
    prices = "" if row["prices"] == TODAY else "With the other prices: "
    if row["routed_gain_low"] > 0:
        return f"{prices}Routing pays here: {gain}."
    if row["routed_gain_high"] < SETTLED[0]:
        return f"{prices}Routing does not pay here: {gain}."
    return (
        f"{prices}Whether routing pays here cannot be told with {row['labels']:,.0f} labelled "
        f"queries: {gain}."
    )


def changes(table: pd.DataFrame) -> str:
    """What would change the advice: labels, prices, models."""
    today = table[table["prices"] == TODAY]
    overall = today[today["asked"] == ALL_BUDGETS]
    if overall.empty:
        return ""
    row = overall.iloc[0]
    told = "More labels: the router did as the mixtures did, so that none would show a gain."
    if row[f"labels_for_{100 * SETTLED[0]:.0f}"] > 0:
        needed = [
            f"a gain of {100 * gain:.0f} point{'s' if gain > SETTLED[0] else ''} takes about "
            f"{_rounded(row[f'labels_for_{100 * gain:.0f}'])}"
            for gain in SETTLED
        ]
        told = (
            f"More labels: to show {needed[0]} labelled queries, {needed[1]}, {needed[2]} (with "
            f"80 % power at the 5 % level; there are {row['labels']:,.0f}; by how its gain varies "
            "with the queries alone, while the interval has how the advice varies, too)."
        )
    priced = table[table["prices"] == WHAT_IF]
    if priced.empty:
        told += " Other prices: what_if_prices in the config decides once more with them."
    else:
        pairs = zip(
            (used(own) for own in _requests(today)),
            (used(own) for own in _requests(priced)),
            strict=True,
        )
        differing = sum(before != after for before, after in pairs)
        told += (
            f" The other prices of the config change what to run for {differing} of "
            f"{len(list(_requests(today)))} things asked."
        )
    return told + " Another model: its outcomes on the same queries, as one more column of the log."


def _rounded(number: float) -> str:
    """A number of labels to two digits: it is an estimate."""
    scale = 10 ** max(int(np.floor(np.log10(number))) - 1, 0)
    return f"{round(number / scale) * scale:,.0f}"


def _requests(table: pd.DataFrame) -> Iterator[pd.Series]:
    return (row for _, row in table[table["asked"] != ALL_BUDGETS].iterrows())


def cards(table: pd.DataFrame) -> list[Card]:
    """A card for each thing asked; other prices follow."""
    return [_card(row) for row in _requests(table)]


def _card(row: pd.Series) -> Card:
    facts = {
        "accuracy": _percent(row, "accuracy"),
        "USD per 1,000 queries": _usd(row, "cost_usd_per_1000"),
        "saved against the best single model": _percent(row, "saving"),
        "mostly goes to": _traffic(row),
    }
    prices = "" if row["prices"] == TODAY else "With the other prices, "
    if LATENCY in row.index:
        facts["seconds per query"] = _seconds(row)
    asked = f"{prices}{_asked(row)}"
    told = " ".join(filter(None, (_told(row), _too_slow(row))))
    return Card(asked[0].upper() + asked[1:], used(row), facts, told)


def _seconds(row: pd.Series) -> str:
    """The mean latency, and of which share of the queries where it is not known of all."""
    if np.isnan(row[LATENCY]):
        return "–"
    share, shown = row["latency_coverage"], _usd(row, LATENCY)
    return shown if share == 1 else f"{shown}, of the {share:.0%} whose latency is known"


def _too_slow(row: pd.Series) -> str:
    """Which models were no candidates, as they do not surely answer in time."""
    slow = row.get("too_slow")
    if not isinstance(slow, str) or not slow:
        return ""
    limit = f"{row['max_latency']:g} s on average"
    if row["latency_feasible"]:
        return f"Not surely within {limit}, and left out: {slow}."
    return f"No model surely answers within {limit}: {slow}; the fastest is taken."


def _told(row: pd.Series) -> str:
    """How sure the advice is, against what needs no router."""
    labels = f"{row['labels']:,.0f} labelled queries"
    gain = _points(row, "routed_gain")
    if isinstance(row["router"], str) and row["router"]:
        without = (
            f"Without a router: {_mixed(row)}, for {_percent(row, 'mixture_accuracy')} accuracy at "
            f"{_usd(row, 'mixture_cost_usd_per_1000')} USD per 1,000 queries."
        )
        if row["asked"] != BUDGET:
            return f"{without} {_settling(row)}".rstrip()
        sure = (
            "proved"
            if row["routed_gain_low"] > 0
            else "more likely better than not, not proved"
            if row["routed_gain"] > 0
            else "chosen on the labels, not confirmed where it was measured"
        )
        return f"The router gains {gain} on the best mixture: {sure}. {without}"
    if not row["feasible"]:
        return "Nothing surely keeps what was asked; this comes nearest."
    if row["asked"] != BUDGET:
        if alone := _alone(row):
            told = f"Nothing cheaper than {alone} surely has this accuracy; cheaper choices may, "
            return f"{told}but {labels} cannot tell. {_settling(row)}".rstrip()
        told = "Routing was tried: the router surely has this accuracy nowhere, or not cheaper."
        return f"{told} {_settling(row)}".rstrip()
    if np.isnan(row["threshold"]):
        return f"Routing was tried: on {labels}, the router surely keeps this nowhere."
    told = f"Routing was tried and is not used: on {labels} its gain was {gain}."
    needed = row[f"labels_for_{100 * SETTLED[1]:.0f}"]
    if not needed > 0:
        return told
    return f"{told} About {_rounded(needed)} would show a gain of {100 * SETTLED[1]:.0f} points."


def _settling(row: pd.Series) -> str:
    """How many labels would settle whether an accuracy can be had for less."""
    needed = row["labels_for_target"]
    if not np.isfinite(needed):
        return ""
    return (
        f"Whether the router has it for a tenth less would be settled by about {_rounded(needed)} "
        "labelled queries, if it is as accurate as it looks."
    )


def present(table: pd.DataFrame) -> pd.DataFrame:
    """Lay the decisions out for people; with other prices they follow in rows of their own."""
    rows = list(_requests(table))
    shown = pd.DataFrame(
        {
            "Asked": [_asked(row) for row in rows],
            "Run": [used(row) for row in rows],
            "Accuracy": [_percent(row, "accuracy") for row in rows],
            "USD per 1,000": [_usd(row, "cost_usd_per_1000") for row in rows],
            "Limit kept in": [f"{row['kept']:.0%} of resamples" for row in rows],
            "Router against the mixture": [
                # Where it keeps nothing that was asked, it is not run.
                "–" if np.isnan(row["threshold"]) else _points(row, "routed_gain")
                for row in rows
            ],
        }
    )
    if LATENCY in table:
        shown.insert(4, "Seconds", [_seconds(row) for row in rows])
    if any(row["prices"] == WHAT_IF for row in rows):
        shown.insert(0, "Prices", [row["prices"] for row in rows])
    return shown


def used(row: pd.Series) -> str:
    """What a row of the table advises, in words."""
    if isinstance(row["router"], str) and row["router"]:
        return str(row["router"])
    return _mixed(row)


def _alone(row: pd.Series) -> str:
    """The one model that a mixture always takes; empty where it is of two."""
    if row["first"] == row["second"] or row["second_share"] in (0, 1):
        return str(row["first"] if row["second_share"] == 0 else row["second"])
    return ""


def _mixed(row: pd.Series) -> str:
    share = row["second_share"]
    if alone := _alone(row):
        return f"always {alone}"
    return f"{row['first']} for {1 - share:.0%} and {row['second']} for {share:.0%}, at random"


def _asked(row: pd.Series) -> str:
    """Say what was asked, and that nothing surely kept it on the labels."""
    if row["asked"] == BUDGET:
        text, reached = _budget(row), row["cost_usd_per_1000"] <= row["limit"]
    else:
        text = f"an accuracy of {row['limit']:.1%}{_of_best(row, 'accuracy')}"
        reached = row["accuracy"] >= row["limit"]
    if "max_latency" in row.index:
        text += f" and {row['max_latency']:g} s a query"
    if row["feasible"]:
        return text
    return f"{text}: {'not sure' if reached else 'out of reach'}, this comes nearest"


def _budget(row: pd.Series) -> str:
    return f"at most ${row['limit']:.3g} per 1,000 queries{_of_best(row, 'cost')}"


def _of_best(row: pd.Series, what: str) -> str:
    amount = str(row["amount"])
    return f" ({amount} of the best single model's {what})" if amount.endswith("%") else ""


def _points(row: pd.Series, name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return f"{100 * row[name]:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]"


def _usd(row: pd.Series, name: str) -> str:
    return f"{row[name]:.3g} [{row[f'{name}_low']:.3g}, {row[f'{name}_high']:.3g}]"


def _percent(row: pd.Series, name: str) -> str:
    if np.isnan(row[name]):
        return "–"
    return f"{row[name]:.1%} [{row[f'{name}_low']:.1%}, {row[f'{name}_high']:.1%}]"


def _traffic(row: pd.Series) -> str:
    """Name the models that get most queries."""
    shares = row[[name for name in row.index if name.startswith(SHARE)]].astype(float)
    return ", ".join(
        f"{shares.index[model].removeprefix(SHARE)} {share:.0%}"
        for model, share in largest_shares(shares.to_numpy())
    )
