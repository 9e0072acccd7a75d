"""Evaluation in one pass: exact operating curves of a table that fits into memory."""

from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np
import pandas as pd

from mmroute.errors import InputError
from mmroute.evaluation.bootstrap import (
    curve_replicates,
)
from mmroute.evaluation.carrier import Carrier
from mmroute.evaluation.curve import (
    Steps,
    chosen_counts,
    frontier,
    steps_of,
    trace,
    training_frontier,
    training_steps,
)
from mmroute.evaluation.measured import (
    Evaluation,
    Measured,
    choose,
    operating_points,
    reference_rows,
    references_frame,
    singles_frame,
)
from mmroute.evaluation.metrics import row_range, single_models
from mmroute.evaluation.policy_metrics import (
    auroc,
    calibration_sums,
    dearest_models,
    equal_mass_cuts,
    of_chosen,
    policy_sums,
)
from mmroute.evaluation.setting import Setting, Slice, slices
from mmroute.evaluation.static import static_models
from mmroute.outcome_table import OutcomeTable
from mmroute.predictions import Predictions


def evaluate(setting: Setting, predictions: Predictions, crossfit: Predictions) -> Evaluation:
    """Measure a router on every slice, each metric with its resamples.

    Parameters
    ----------
    setting
        What to measure with.
    predictions
        Of the evaluation samples, in order.
    crossfit
        Of the training samples, each by a router trained without it.

    Returns
    -------
    Metrics are means over the trials of a router that draws; its ``auroc``, band and
    calibration are the first trial's.

    Raises
    ------
    InputError
        If the predictions are not of these samples.
    """
    table, training = setting.table, setting.training
    _require_same(predictions, table)
    _require_same(crossfit, training)
    weights = setting.weights()
    cost, training_cost = table.cost / setting.unit, training.cost / setting.unit
    observed = np.isfinite(table.utility)
    trials = [
        (trial, u_hat, steps_of(predictions, trial, observed, setting.policy))
        for trial, u_hat in enumerate(predictions.u_hat)
    ]
    usable, _ = training_steps(crossfit, training.utility, setting.policy)
    carrier = Carrier.of(crossfit, training.utility, training_cost, setting.policy)
    foreseen = [
        carrier.foreseen(steps, predictions.c_hat[trial], setting.policy)
        for trial, _, steps in trials
    ]
    paid = predictions.paid(cost)
    parts = list(slices(table.samples))
    rest = [part.name for part in parts if part.level == "rest"]
    measured = Measured(setting.unit, table.model_names, rest)
    for part, trained in zip(parts, _training_rows(setting, parts), strict=True):
        rows = part.rows
        utility, part_cost, own = table.utility[rows], paid[rows], weights[:, rows]
        singles = single_models(utility, cost[rows], own)
        extremes = row_range(utility, cost[rows], own)
        # So does one without a cross-fitted prediction.
        told = trained[np.isin(trained, usable)]
        told = told if len(told) else usable
        learned = training_frontier(
            crossfit.take(told), training.utility[told], training_cost[told], setting.policy
        )
        known = single_models(training.utility[trained], training_cost[trained])
        for trial, u_hat, all_steps in trials:
            steps = all_steps.take(rows)
            best = frontier(trace(steps, utility, part_cost, setting.policy))
            parameters = carrier.carry(learned.threshold, foreseen[trial])
            chosen = choose(learned, parameters, known, singles)
            curve = curve_replicates(steps, utility, part_cost, own, singles, chosen, extremes)
            shares = partial(_traffic, steps, utility.shape[1])
            measured.add_curve(part.name, trial, best, curve, chosen, shares)
            points = {} if part.level == "rest" else operating_points(best, singles)
            for point, parameter in points.items():
                choice = steps.choices(parameter)
                predicted = of_chosen(u_hat[rows], choice)
                cuts = equal_mass_cuts(predicted)
                given = choice, predicted, utility, cost[rows], own, cuts, dearest_models(singles)
                latency = None if table.latency_s is None else table.latency_s[rows]
                policy = policy_sums(*given, predictions.overhead_of(rows), latency)
                measured.add_policy(part.name, point, policy)
                if part.level == "full" and trial == 0:
                    bins = calibration_sums(choice, predicted, utility, own, cuts)
                    measured.add_calibration(point, bins)
            if trial == 0:
                measured.add(part.name, "", {"auroc": auroc(u_hat[rows], utility, own)})
    return measured.evaluation()


def _traffic(steps: Steps, n_models: int, parameters: np.ndarray) -> np.ndarray:
    return chosen_counts(steps, n_models, parameters) / len(steps.first)


def _require_same(predictions: Predictions, table: OutcomeTable) -> None:
    if not np.array_equal(predictions.sample_ids, table.samples["sample_id"]):
        raise InputError(
            "the predictions are of other samples than the outcome table's split; "
            "delete the router's folder and run again"
        )


def _training_rows(setting: Setting, parts: Iterable[Slice]) -> Iterator[np.ndarray]:
    """Yield the training rows of each slice; of ``full`` all."""
    own = {part.name: part.rows for part in slices(setting.training.samples)}
    for part in parts:
        # One whose training samples were all left out borrows the others' choice.
        yield own.get(part.name, own["full"])


def evaluate_singles(setting: Setting) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure every single model on every slice, and what needs no router as if it were one.

    Returns
    -------
    replicates
        ``router``, then as from ``evaluate``: ``best_single``, the best single model of each
        slice, and the static mixtures ``zero``, of models chosen on the slice's training
        samples, and ``zero_hindsight``, chosen on the slice itself. In a resample they stay
        the models that they were on the sample.
    models
        ``dataset``, ``model``, ``utility``, ``cost``, ``cost_usd``, ``coverage``,
        ``samples`` and the bounds ``utility_low``, ``utility_high``,
        ``cost_usd_low``, ``cost_usd_high``: means over the samples on which the
        model was observed; ``zero``, ``zero_hindsight``: whether it is one of those that
        are mixed.
    """
    table, training, unit = setting.table, setting.training, setting.unit
    weights = setting.weights()
    cost, training_cost = table.cost / unit, training.cost / unit
    replicates, models = [], []
    parts = list(slices(table.samples))
    for part, trained in zip(parts, _training_rows(setting, parts), strict=True):
        utility, part_cost = table.utility[part.rows], cost[part.rows]
        own = weights[:, part.rows]
        singles = single_models(utility, part_cost, own)
        observed = np.isfinite(utility)
        known = single_models(training.utility[trained], training_cost[trained])
        if part.level != "rest":
            zero = static_models(known, singles)
            count, size = observed.sum(axis=0), len(observed)
            models.append(
                singles_frame(part.name, table.model_names, singles, zero, count, size, unit)
            )
        replicates += reference_rows(part.level, part.name, singles, known)
    return references_frame(replicates), pd.concat(models, ignore_index=True)
