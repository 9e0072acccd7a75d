"""The frontier as a chart that answers: it tells what a point is, and brings a router forward."""

from collections.abc import Hashable, Sequence
from typing import Any

import altair as alt
import pandas as pd
import vl_convert

from mmroute.evaluation.static import STATIC, ZERO
from mmroute.presentation.looks import (
    ACCURACY_LABEL,
    USD_LABEL,
    Look,
    as_mixed,
    largest_shares,
    looks,
    usd_per_1000,
)

LIBRARY = """
const settings = { ast: true, actions: false, renderer: "svg", tooltip: { theme: "custom" } };
window.draw = (node, spec) => vegaEmbed(node, spec, settings);
"""
"""What a page calls; ``ast``: no function is made from text, which the page's policy forbids."""
AS_DATA = "application/vnd.vegalite.v6+json"
"""The type of a notebook's output that is a chart; Altair's own names no JSON, which it is."""
INK = "currentColor"
_FRONT = "front === '' || datum.router === front"
_WIDTH, _HEIGHT = 760, 420
OFFERED = {"advised": "circle", "zero": "triangle-up", "single": "cross"}
"""Marks of what a budget buys."""

_Rows = list[dict[Hashable, Any]]


def frontier_chart(
    lines: pd.DataFrame,
    models: pd.DataFrame,
    prominent: Sequence[str],
    *,
    dataset: str = "full",
    chosen_on: str = "train",
) -> alt.LayerChart:
    """Draw the routers' lines with their intervals, the single models and their static mixtures.

    A point tells its router, threshold, accuracy with interval, costs and traffic. The parameters
    ``front`` and ``bands`` bring a router forward, and show the intervals; where the chart is
    shown by itself they have controls below it. Its data are named ``points``, ``lines``,
    ``static``, ``models``, ``budget`` and ``offered``, of which the report fills the last two.

    Parameters
    ----------
    lines
        ``router``, and as ``Evaluation.lines``.
    models
        As from ``evaluate_singles``: of ``full`` in the order of the traffic.
    prominent
        Routers that have a colour of their own, see ``tables.prominent``.
    dataset, chosen_on
        What is drawn: of which data set, and the frontier on the ``test`` split, or the points
        that were chosen on ``train``, which do not flatter.
    """
    names = list(models["model"][models["dataset"] == "full"])
    own = models[models["dataset"] == dataset]
    kept = lines[(lines["dataset"] == dataset) & (lines["chosen_on"] == chosen_on)]
    unit = usd_per_1000(own)
    points = _points(kept, names, unit)
    shown = looks(list(lines["router"].unique()), prominent)
    return _layers(
        shown,
        points=points,
        lines=_mixed(kept, ["router"], unit),
        static=_static(own, unit),
        models=[
            {**row, "usd": unit * row["cost"], "label": row["model"], "dx": 7, "dy": 0}
            for row in own.dropna(subset="cost")
            .rename(columns={"utility_low": "low", "utility_high": "high"})[
                ["model", "cost", "utility", "low", "high"]
            ]
            .to_dict("records")
        ],
        budget=[],
        offered=[],
    )


def _points(lines: pd.DataFrame, names: Sequence[str], unit: float) -> _Rows:
    sizes = lines.groupby("router").size()
    rows = lines[["router", "cost", "utility", "low", "high", "threshold"]].to_dict("records")
    return [
        {
            **row,
            "usd": unit * row["cost"],
            "threshold": f"{row['threshold']:.4g}",
            "traffic": ", ".join(f"{names[k]} {share:.0%}" for k, share in largest_shares(traffic)),
            "alone": bool(sizes[row["router"]] == 1),
        }
        for row, traffic in zip(rows, lines["traffic"], strict=True)
    ]


def _mixed(lines: pd.DataFrame, keys: list[str], unit: float) -> _Rows:
    """What mixing neighbours reaches: straight over cost, and so curved on a log axis."""
    rows: _Rows = []
    for _, line in lines.groupby(keys, sort=False):
        named = {key: line[key].iloc[0] for key in keys}
        mixed = as_mixed(line["cost"].to_numpy(), line["utility"].to_numpy())
        rows += [
            named | {"cost": cost, "usd": unit * cost, "utility": utility}
            for cost, utility in zip(*mixed, strict=True)
        ]
    return rows


def _static(models: pd.DataFrame, unit: float) -> _Rows:
    ends = []
    for name in STATIC:
        own = models[models[name]].sort_values("cost")
        last = own.tail(1).assign(cost=models["cost"].max())
        ends.append(pd.concat([own, last]).assign(static=name))
    return _mixed(pd.concat(ends), ["static"], unit)


def _layers(shown: dict[str, Look], **rows: _Rows) -> alt.LayerChart:
    data = {name: alt.NamedData(name) for name in rows}
    front = alt.param(
        name="front",
        value="",
        bind=alt.binding_select(
            options=["", *shown], labels=["all", *shown], name="bring forward: "
        ),
    )
    bands = alt.param(name="bands", value=True, bind=alt.binding_checkbox(name="95 % intervals "))
    told = [
        alt.Tooltip("router:N"),
        alt.Tooltip("threshold:N"),
        alt.Tooltip("utility:Q", title="accuracy", format=".1%"),
        alt.Tooltip("low:Q", title="from", format=".1%"),
        alt.Tooltip("high:Q", title="to", format=".1%"),
        alt.Tooltip("usd:Q", title=USD_LABEL, format=".4g"),
        alt.Tooltip("cost:Q", title="normalised cost", format=".4g"),
        alt.Tooltip("traffic:N"),
    ]
    dashes = alt.Scale(
        domain=list(shown), range=[list(look.dash) or [1, 0] for look in shown.values()]
    )
    line = alt.Chart(data["lines"]).encode(
        detail="router:N", strokeDash=alt.StrokeDash("router:N", scale=dashes)
    )
    dots = alt.Chart(data["points"])
    singles = alt.Chart(data["models"]).encode(color=alt.value(INK))
    budget = alt.Chart(data["budget"]).encode(color=alt.value(INK))
    offered = alt.Chart(data["offered"]).encode(color=alt.value(INK))
    layers = [
        alt.Chart(data["points"])
        .mark_area(clip=True, interpolate="linear")
        .encode(
            y=alt.Y("low:Q"),
            y2="high:Q",
            detail="router:N",
            opacity=alt.condition(f"bands && ({_FRONT})", alt.value(0.13), alt.value(0)),
        ),
        alt.Chart(data["static"])
        .mark_line(clip=True, strokeWidth=1.4, opacity=0.75)
        .encode(
            color=alt.value(INK),
            detail="static:N",
            strokeDash=alt.condition(
                f"datum.static === '{ZERO}'", alt.value([8, 4]), alt.value([2, 3])
            ),
        ),
        line.mark_line(clip=True, strokeWidth=2).encode(
            opacity=alt.condition(_FRONT, alt.value(1), alt.value(0.15))
        ),
        line.mark_line(clip=True, strokeWidth=14, opacity=0),
        dots.mark_point(clip=True, filled=True).encode(
            shape=alt.condition("datum.alone", alt.value("diamond"), alt.value("circle")),
            size=alt.condition("datum.alone", alt.value(70), alt.value(10)),
            opacity=alt.condition(_FRONT, alt.value(1), alt.value(0.15)),
        ),
        singles.mark_point(filled=True, shape="square", size=34, opacity=0.85, clip=True),
        singles.mark_text(
            fontSize=11,
            align="left",
            baseline="middle",
            clip=True,
            dx=alt.expr("datum.dx"),
            dy=alt.expr("datum.dy"),
        ).encode(text="label:N"),
        budget.mark_rule(strokeWidth=1.5).encode(y=alt.value(0), y2=alt.value("height")),
        offered.mark_point(clip=True, size=110, strokeWidth=2).encode(
            shape=alt.Shape(
                "which:N",
                scale=alt.Scale(domain=[*OFFERED], range=[*OFFERED.values()]),
                legend=None,
            ),
            tooltip=[alt.Tooltip("run:N", title="under the budget"), told[2], told[5]],
        ),
        dots.mark_point(clip=True, filled=True, size=130, opacity=0).encode(tooltip=told),
        singles.mark_point(clip=True, filled=True, size=130, opacity=0).encode(
            tooltip=[alt.Tooltip("model:N", title="single model"), *told[2:7]]
        ),
    ]
    return (
        alt.layer(*layers, datasets=rows)
        .encode(
            x=alt.X(
                "usd:Q", title=USD_LABEL, scale=alt.Scale(type="symlog"), axis=alt.Axis(format="~g")
            ),
            y=alt.Y(
                "utility:Q",
                title=ACCURACY_LABEL,
                scale=alt.Scale(zero=False),
                axis=alt.Axis(format=".1~%"),
            ),
            color=alt.Color(
                "router:N",
                scale=alt.Scale(domain=list(shown), range=[look.colour for look in shown.values()]),
                legend=alt.Legend(symbolOpacity=1),
            ),
        )
        .properties(width="container", height=_HEIGHT)
        .add_params(front, bands)
        .configure(background="transparent")
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=INK,
            titleColor=INK,
            gridColor=INK,
            gridOpacity=0.12,
            domainColor=INK,
            tickColor=INK,
            titleFontWeight="normal",
            labelFontSize=12,
            titleFontSize=12,
        )
        .configure_legend(labelColor=INK, titleColor=INK)
    )


def library() -> str:
    """Vega-Lite and all that it needs, as one script that loads nothing and defines ``draw``."""
    return str(vl_convert.javascript_bundle(LIBRARY))


def show_in_notebook() -> None:
    """Let a notebook keep its charts as data, and as pictures for where nothing draws them."""
    alt.renderers.register(
        "kept",
        lambda spec: {
            AS_DATA: spec,
            "image/svg+xml": vl_convert.vegalite_to_svg(spec | {"width": _WIDTH}),
        },
    )
    alt.renderers.enable("kept")


def empty_chart() -> dict[str, Any]:
    """A chart without data, as the report fills it."""
    columns = ["router", "dataset", "chosen_on", "cost", "utility", "low", "high", "threshold"]
    measured = ["cost", "cost_usd", "utility", "utility_low", "utility_high"]
    models = pd.DataFrame(columns=["dataset", "model", *measured, *STATIC])
    lines = pd.DataFrame(columns=[*columns, "traffic"])
    return frontier_chart(lines, models.astype(dict.fromkeys(STATIC, bool)), []).to_dict()
