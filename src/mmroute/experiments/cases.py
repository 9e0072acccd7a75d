"""The queries on which routing pays most (Fig. S2 of MMR-Bench; definitions, section 7).

Two kinds. A ``saving``: the strongest model is right, and so is the cheaper one that the
router chose. A ``rescue``: the strongest model is wrong, and the router's choice right.
The strongest model is the best single one on the training split. Cases are picked by
their outcomes to show what happens, not how often.
"""

import base64
import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from annotated_types import Ge
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from mmroute.evaluation.curve import steps_of
from mmroute.evaluation.metrics import single_models
from mmroute.evaluation.setting import Setting
from mmroute.experiments import Experiment
from mmroute.experiments.difficulty import training_points
from mmroute.images import decode, each, quiet_decoding
from mmroute.predictions import Predictions
from mmroute.presentation.figures import shorten

SAVING, RESCUE = "saving", "rescue"
HEADINGS = {
    SAVING: "Savings: both right, the chosen model cheaper",
    RESCUE: "Rescues: only the chosen model right",
}
PIXELS = 400
"""Longest side of a shown image."""
WIDTH = 52
"""Characters in a line of a panel."""
LONGEST_QUESTION, LONGEST_ANSWER, LONGEST_NAME = 300, 70, 28
LONGEST_REPORTED, LONGEST_TITLE = 1000, 120
PANEL_HEIGHT, HEADER_HEIGHT = 2.6, 0.65
"""In inches."""
NO_IMAGE = "no image"


class Cases(Experiment):
    """The largest savings and rescues of the best router, in the first split.

    Parameters
    ----------
    per_kind
        How many cases of each kind, if there are as many.
    """

    name = "cases"
    output = "figS2"
    title = "Cases"
    question = (
        "Queries of the test split on which routing pays most. A saving: a cheaper model was "
        "right as well as the strongest. A rescue: the strongest was wrong, the chosen one right. "
        "They show what happens, not how often."
    )
    routers = ("ensemble",)
    reads_table = True
    figure = True
    images = True

    def __init__(self, per_kind: Annotated[int, Ge(1)] = 3) -> None:
        self.per_kind = per_kind

    def findings(
        self,
        setting: Setting,
        predictions: Mapping[str, Predictions],
        crossfit: Mapping[str, Predictions],
    ) -> pd.DataFrame:
        """Pick the cases of every router.

        Parameters
        ----------
        setting
            What to measure with.
        predictions, crossfit
            By router, of the evaluation samples and, cross-fitted, of the training samples.

        Returns
        -------
        The cases, see ``pick``, and their ``router``.
        """
        return pd.concat(
            [
                pick(setting, own, crossfit[router], self.per_kind).assign(router=router)
                for router, own in predictions.items()
            ],
            ignore_index=True,
        )

    def summarise(self, findings: Sequence[pd.DataFrame], *main: pd.DataFrame) -> pd.DataFrame:
        """Take the cases of the router with the best ``nauc_honest``, in the first split.

        Parameters
        ----------
        findings
            By split.
        main
            The main table; a router that is not in it ranks last.
        """
        table = main[0].query("dataset == 'full' and metric == 'nauc_honest'")
        routers = findings[0]["router"].unique()
        ranking = table.set_index("router")["value"].reindex(routers).fillna(-1)
        cases = findings[0]
        if len(cases):
            cases = cases[cases["router"] == ranking.idxmax()]
        return cases.reset_index(drop=True)

    def present(self, table: pd.DataFrame) -> pd.DataFrame:
        """Lay out whom each query went to, beside the strongest model."""
        shown: dict[str, pd.Series | list[str]] = {
            "Router": table["router"],
            "Kind": table["kind"],
            "Data set": table["dataset"],
            "Query": table["sample_id"],
        }
        for role, heading in (("chosen", "Chosen"), ("reference", "Strongest")):
            shown[heading] = table[role]
            shown[f"{heading}, USD"] = [_usd(cost) for cost in table[f"{role}_cost_usd"]]
        return pd.DataFrame(shown)

    def draw(self, table: pd.DataFrame, title: str) -> Figure:
        """Draw savings in the left column and rescues in the right one.

        Parameters
        ----------
        table
            The cases. A character that the font lacks is a box; the report has it.
        title
            What the figure shows.
        """
        by_kind = {kind: table[table["kind"] == kind] for kind in HEADINGS}
        rows = max(1, *(len(part) for part in by_kind.values()))
        height = PANEL_HEIGHT * rows + HEADER_HEIGHT
        figure = plt.figure(figsize=(13, height))
        grid = figure.add_gridspec(
            rows,
            4,
            width_ratios=(1, 1.45, 1, 1.45),
            wspace=0.06,
            hspace=0.12,
            left=0.01,
            right=0.99,
            bottom=0.01,
            top=1 - HEADER_HEIGHT / height,
        )
        for column, (kind, heading) in enumerate(HEADINGS.items()):
            for row, case in enumerate(_records(by_kind[kind])):
                _show_image(figure.add_subplot(grid[row, 2 * column]), case["image"])
                _show_text(figure.add_subplot(grid[row, 2 * column + 1]), case)
            text = heading if len(by_kind[kind]) else f"{heading}: none"
            corner = grid[0, 2 * column].get_position(figure)
            figure.text(
                corner.x0,
                corner.y1 + 0.1 / height,
                text,
                fontsize=11,
                fontweight="bold",
                va="bottom",
            )
        figure.suptitle(shorten(title, LONGEST_TITLE), y=1 - 0.05 / height, va="top")
        return figure

    def cards(self, table: pd.DataFrame) -> list[dict[str, Any]]:
        """Take from each case what the report shows; its template escapes the texts.

        Returns
        -------
        A dictionary per case with the columns of ``table``. Texts are cleaned and, beyond
        1,000 characters, shortened; missing ones are empty. ``image`` is a data URI of a JPEG
        encoded from the decoded pixels, so that nothing else of the file gets into the
        report, or None.
        """
        shown = []
        for case in _records(table):
            texts = {
                name: shorten(value, LONGEST_REPORTED)
                for name, value in case.items()
                if not name.endswith("_usd")
            }
            shown.append(case | texts | {"image": _data_uri(_pixels(case["image"]))})
        return shown


def pick(
    setting: Setting, predictions: Predictions, crossfit: Predictions, per_kind: int
) -> pd.DataFrame:
    """Pick the largest savings and rescues of one router, from different data sets if it can.

    Parameters
    ----------
    setting
        What to measure with.
    predictions, crossfit
        The router's, of the evaluation samples and, cross-fitted, of the training
        samples; of a router that draws, the first trial. It works at the point
        ``half_cost`` of its training frontier, or at ``peak`` where there is none.
    per_kind
        How many cases of each kind, if there are as many.

    Returns
    -------
    A row per case: ``kind``, ``sample_id``, ``dataset``, ``question``, ``answer``,
    ``image`` (path below the source's root), and of the ``chosen`` and the
    ``reference`` model the name and, with the suffixes ``_answer`` and ``_cost_usd``,
    its answer and the cost of its call. Unknown texts are None. A saving is large in
    USD; a rescue in utility, then in USD saved; ties go by sample id. A model is right
    where its utility is above 0.5.
    """
    table, training = setting.table, setting.training
    rows = np.arange(len(table.samples))
    points = training_points(setting, crossfit, predictions)
    steps = steps_of(predictions, 0, np.isfinite(table.utility), setting.policy)
    choice = steps.choices(points.get("half_cost", points["peak"]))
    reference = int(single_models(training.utility, training.cost).best[0])
    names = np.array(table.model_names, object)
    cases = table.samples[["sample_id", "dataset", "question", "answer", "image"]].assign(
        chosen=names[choice],
        chosen_answer=table.prediction[rows, choice],
        chosen_cost_usd=table.cost[rows, choice],
        reference=names[reference],
        reference_answer=table.prediction[:, reference],
        reference_cost_usd=table.cost[:, reference],
    )
    saved = table.cost[:, reference] - table.cost[rows, choice]
    gained = table.utility[rows, choice] - table.utility[:, reference]
    is_right = table.utility[rows, choice] > 0.5
    both = is_right & (table.utility[:, reference] > 0.5) & (saved > 0)
    only = is_right & (table.utility[:, reference] <= 0.5)
    return pd.concat(
        [
            _largest(cases[both], [saved[both]], per_kind).assign(kind=SAVING),
            _largest(cases[only], [gained[only], saved[only]], per_kind).assign(kind=RESCUE),
        ],
        ignore_index=True,
    )[["kind", *cases.columns]]


def _largest(cases: pd.DataFrame, sizes: list[np.ndarray], count: int) -> pd.DataFrame:
    """Return the largest cases, one of each data set before a second of any."""
    order = np.lexsort([cases["sample_id"].to_numpy(str), *(-size for size in reversed(sizes))])
    ranked = cases.iloc[order]
    return ranked.iloc[
        np.argsort(ranked.groupby("dataset").cumcount().to_numpy(), kind="stable")[:count]
    ]


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): case[name] for name in case} for case in table.to_dict("records")]


def _show_text(axes: Axes, case: dict[str, Any]) -> None:
    axes.set_axis_off()
    heading = (
        f"{shorten(case['dataset'], LONGEST_NAME)} · {shorten(case['sample_id'], LONGEST_NAME)}"
    )
    question = shorten(case["question"], LONGEST_QUESTION) or "(no text)"
    lines = [
        *textwrap.wrap(question, WIDTH),
        "",
        *_wrapped("answer: ", case["answer"]),
        *_outcome("chosen", case, is_right=True),
        *_outcome("reference", case, is_right=case["kind"] == SAVING),
    ]
    axes.text(0, 1, heading, fontsize=9, fontweight="bold", va="top", clip_on=True)
    axes.text(0, 0.9, "\n".join(lines), fontsize=8, va="top", linespacing=1.2, clip_on=True)


def _outcome(role: str, case: dict[str, Any], is_right: bool) -> list[str]:
    title = {"chosen": "chosen", "reference": "strongest"}[role]
    cost = _usd(case[f"{role}_cost_usd"])
    return [
        f"{'✓' if is_right else '✗'} {title}: {shorten(case[role], LONGEST_NAME)}, USD {cost}",
        *_wrapped("    answers ", case[f"{role}_answer"]),
    ]


def _usd(cost: float) -> str:
    return np.format_float_positional(cost, 2, fractional=False, trim="-")


def _wrapped(label: str, text: str | None) -> list[str]:
    """Return a labelled text in lines, none where it is missing."""
    known = shorten(text, LONGEST_ANSWER)
    return textwrap.wrap(label + known, WIDTH, subsequent_indent="    ") if known else []


def _show_image(axes: Axes, images: str | None) -> None:
    axes.set(xticks=[], yticks=[])
    pixels = _pixels(images)
    if pixels is None:
        axes.text(0.5, 0.5, NO_IMAGE, ha="center", va="center", color="0.5")
    else:
        axes.imshow(pixels)
        axes.set_anchor("N")


def _pixels(images: str | float | None) -> np.ndarray | None:
    """Return the (h, w, 3) pixels of a sample's image, None if there is none to be decoded.

    Several share the room of one, in order, row by row; the place of a broken one is empty.
    """
    paths = each(images)
    across = math.isqrt(max(0, len(paths) - 1)) + 1
    with quiet_decoding():
        pictures = [decode(Path(path), PIXELS // across) for path in paths]
    shown = {place: picture.image for place, picture in enumerate(pictures) if picture}
    if len(paths) < 2 or not shown:
        return np.asarray(shown[0]) if shown else None
    side = PIXELS // across
    sheet = Image.new("RGB", (across * side, -(-len(paths) // across) * side), "white")
    for place, image in shown.items():
        row, column = divmod(place, across)
        sheet.paste(image, (column * side, row * side))
    return np.asarray(sheet)


def _data_uri(pixels: np.ndarray | None) -> str | None:
    if pixels is None:
        return None
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(encoded.getvalue()).decode()
