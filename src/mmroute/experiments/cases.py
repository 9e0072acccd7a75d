"""The queries on which routing pays most (Fig. S2 of MMR-Bench; definitions, section 7).

Two kinds. A ``saving``: the strongest model is right, and so is the cheaper one that the
router chose. A ``rescue``: the strongest model is wrong, and the router's choice right.
The strongest model is the best single one on the training split. Cases are picked by
their outcomes to show what happens, not how often.
"""

import numpy as np
import pandas as pd

from mmroute.evaluation.curve import steps_of
from mmroute.evaluation.metrics import single_models
from mmroute.evaluation.setting import Setting
from mmroute.experiments.difficulty import training_points
from mmroute.predictions import Predictions

SAVING, RESCUE = "saving", "rescue"


def findings(
    setting: Setting, predictions: Predictions, crossfit: Predictions, per_kind: int = 3
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
    points = training_points(setting, crossfit)
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
