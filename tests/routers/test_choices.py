"""Choices of a router from elsewhere: measured like the others, and checked before."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mmroute import persistence
from mmroute.catalogue import build
from mmroute.errors import InputError
from mmroute.evaluation.curve import steps_of, trace
from mmroute.evaluation.exact import evaluate
from mmroute.predictions import Predictions
from mmroute.routers import choices as module
from mmroute.routers.choices import Choices
from mmroute.training import cross_fit, predict_test, train, train_and_predict

GRID = np.array([-2.5, 0.0, 1.0, 30.0])


@pytest.fixture
def setting(make_table, make_setting):
    """Return 60 test samples, then 60 of training; some pairs are missing."""
    table = make_table(n_samples=120)
    gone = np.random.default_rng(1).random(table.utility.shape) < 0.1
    gone[:, 1] = False
    table.utility[gone] = table.cost[gone] = np.nan
    return make_setting(table.take(np.arange(60)), table.take(np.arange(60, 120)), 2.0)


def predicted(setting, grid=None):
    """Return what a router predicts of test and training samples."""
    generator = np.random.default_rng(3)

    def of(table):
        shape = table.utility.shape
        scores = None if grid is None else generator.random((len(grid), *shape))
        u_hat, c_hat = generator.random((2, 1, *shape))
        return Predictions(table.samples["sample_id"], u_hat, c_hat, grid, scores)

    return of(setting.table), of(setting.training)


def choices_of(table, predictions, thresholds):
    """Lay out as a table what predictions choose at some thresholds."""
    steps = steps_of(predictions, 0, np.isfinite(table.utility), "lambda")
    names = np.array(table.model_names)
    return pd.concat(
        pd.DataFrame(
            {
                "sample_id": predictions.sample_ids,
                "model": names[steps.choices(at)],
                "threshold": at,
            }
        )
        for at in thresholds
    )


@pytest.fixture
def told(tmp_path):
    """Return a function that writes a table of choices, and returns their router."""

    def write(rows, name="theirs.csv"):
        path = tmp_path / name
        suffix = path.suffix[1:]
        if suffix == "jsonl":
            path.write_text("\n".join(map(json.dumps, rows.to_dict("records"))))
        elif suffix == "parquet":
            rows.to_parquet(path)
        else:
            rows.to_csv(path, index=False)
        return build("routers", "choices", {"choices": str(path)})

    return write


def measured(setting, router):
    train(router, setting.benchmark, None)
    parts = (
        predict_test(router, setting.benchmark, None),
        cross_fit(router, setting.benchmark, None),
    )
    return evaluate(setting, *parts)


def replicates(evaluation, but=()):
    rows = evaluation.replicates
    rows = rows[~rows["metric"].isin(but)]
    keys = zip(rows["dataset"], rows["point"], rows["metric"], strict=True)
    return dict(zip(keys, rows["replicates"], strict=True))


UTILITIES = ("auroc", "brier", "ece")
"""Metrics of predicted utilities, which choices are not."""


@pytest.mark.parametrize("policy", ["lambda", "budget"])
def test_another_rows_choices_have_its_values_and_its_thresholds(setting, told, policy):
    setting = replace(setting, policy=policy)
    test, training = predicted(setting, GRID)
    rows = [
        choices_of(setting.table, test, GRID[::-1]),
        choices_of(setting.training, training, GRID),
    ]
    own, theirs = evaluate(setting, test, training), measured(setting, told(pd.concat(rows)))
    expected, found = replicates(own, UTILITIES), replicates(theirs, UTILITIES)
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        np.testing.assert_array_equal(found[key], values, err_msg=str(key))
    pd.testing.assert_frame_equal(theirs.frontiers, own.frontiers)
    assert set(theirs.frontiers["threshold"]) <= set(GRID)


@pytest.mark.parametrize("name", ["theirs.csv", "theirs.jsonl", "theirs.parquet"])
def test_every_point_of_a_policys_curve_is_reached(setting, told, name):
    test, _ = predicted(setting)
    table, observed = setting.table, np.isfinite(setting.table.utility)
    curve = trace(steps_of(test, 0, observed, "lambda"), table.utility, table.cost, "lambda")
    router = told(choices_of(table, test, curve.threshold), name)
    theirs = predict_test(router, setting.benchmark, None)
    found = trace(steps_of(theirs, 0, observed, "lambda"), table.utility, table.cost, "lambda")
    for part in ("threshold", "cost", "utility"):
        np.testing.assert_array_equal(getattr(found, part), getattr(curve, part))


def constant(setting, model):
    return pd.DataFrame({"sample_id": setting.benchmark.table.samples["sample_id"], "model": model})


@pytest.mark.filterwarnings("ignore:.*without an outcome there")
def test_one_model_for_all_is_the_row_of_that_model(setting, told):
    cheapest = build("routers", "cheapest", {})
    test = train_and_predict(cheapest, setting.benchmark, None)
    crossfit = replace(
        predict_of(cheapest, setting), sample_ids=setting.training.samples["sample_id"]
    )
    names = setting.table.model_names
    router = told(constant(setting, names[cheapest.order_[0]]))
    expected = replicates(evaluate(setting, test, crossfit))
    found = replicates(measured(setting, router))
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        np.testing.assert_array_equal(found[key], values, err_msg=str(key))


def predict_of(router, setting):
    u_hat, c_hat = router.predict(np.empty((len(setting.training.samples), 0)))
    return Predictions(setting.training.samples["sample_id"], u_hat[None], c_hat[None])


def test_without_training_samples_only_what_was_chosen_there_is_undefined(setting, told):
    test, training = predicted(setting, GRID)
    rows = choices_of(setting.table, test, GRID)
    own, theirs = evaluate(setting, test, training), measured(setting, told(rows))
    expected, found = replicates(own, UTILITIES), replicates(theirs, UTILITIES)
    chosen = {"parity_honest", "qnc_honest", "saving_90", "saving_95", "saving_100"}
    for key, values in expected.items():
        if key[2].endswith("_honest") or key[2] in chosen:
            assert np.isnan(found[key]).all()
        else:
            np.testing.assert_array_equal(found[key], values, err_msg=str(key))
    assert theirs.replicates["training"].isna().all()


def test_a_model_without_an_outcome_gives_way_to_the_cheapest_with_one(setting, told):
    table = setting.table
    mean = np.nanmean(setting.training.cost, axis=0)
    router = told(constant(setting, "model-0"))
    with pytest.warns(
        UserWarning, match=r"choices are of a model without an outcome there"
    ) as said:
        theirs = predict_test(router, setting.benchmark, None)
    lacking = np.isnan(setting.benchmark.table.utility[:, 0])
    assert f"{lacking.sum()} of 120 choices" in str(said[0].message)
    observed = np.isfinite(table.utility)
    chosen = steps_of(theirs, 0, observed, "lambda").choices(0.0)
    others = np.where(observed, mean, np.inf).argmin(axis=1)
    np.testing.assert_array_equal(chosen, np.where(observed[:, 0], 0, others))


def test_samples_of_no_benchmark_are_counted_and_leave_the_others_as_they_are(setting, told):
    rows = constant(setting, "model-1")
    before = predict_test(told(rows), setting.benchmark, None)
    more = pd.DataFrame({"sample_id": ["new 1", "new 2"], "model": ["unknown", "model-0"]})
    with pytest.warns(UserWarning, match=r"2 samples are not in the benchmark.*'new 1'"):
        after = predict_test(told(pd.concat([more, rows])), setting.benchmark, None)
    np.testing.assert_array_equal(before.scores, after.scores)


def of(rows, **columns):
    return rows.assign(**columns)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda rows: rows.drop(columns="model"), ["no column 'model'", "sample_id, threshold"]),
        (lambda rows: rows.drop(columns="sample_id"), ["no column 'sample_id'"]),
        (lambda rows: rows.iloc[:0], ["holds no rows"]),
        (
            lambda rows: rows.assign(model=rows["model"].where(rows["sample_id"] != "A_4", "gpt")),
            ["column 'model' of 'A_4' holds 'gpt'", "not in the pool", "model-0, model-1, model-2"],
        ),
        (lambda rows: rows.assign(model=""), ["column 'model' is empty in row 1"]),
        (lambda rows: rows.assign(sample_id=""), ["column 'sample_id' is empty in row 1"]),
        (
            lambda rows: rows.assign(sample_id="x" + rows["sample_id"]),
            ["names no sample of the benchmark", "'xA_0'", "'A_0'"],
        ),
        (
            lambda rows: pd.concat([rows, rows.iloc[3:5].assign(threshold="0.50")]),
            ["column 'sample_id' has 'B_3' twice at the threshold 0.5", "keep one row"],
        ),
        (
            lambda rows: pd.concat([rows, rows.iloc[3:5]]).drop(columns="threshold"),
            ["has 'A_0' twice; keep one row, or tell operating points apart by a column"],
        ),
        (
            lambda rows: rows[~rows["sample_id"].isin(["B_1", "A_2", "A_100"])],
            ["no choice for 2 of the 60 test samples (salt 0), such as 'B_1'", "add rows"],
        ),
        (
            lambda rows: rows[(rows["threshold"] != 7) | ~rows["sample_id"].isin(["B_5", "A_100"])],
            ["no choice at the threshold 7 for 2 samples", "'B_5'", "add their rows"],
        ),
        *(
            (
                lambda rows, word=word: rows.astype({"threshold": str}).assign(threshold=word),
                ["column 'threshold' of 'A_0' holds", repr(word), "no finite number"],
            )
            for word in ("high", "nan", "inf", "1,5", "1_0")
        ),
        (lambda rows: rows.assign(threshold=""), ["column 'threshold' is empty in row 1"]),
    ],
)
def test_what_cannot_be_measured_is_named(setting, told, change, parts):
    rows = pd.concat(constant(setting, "model-1").assign(threshold=at) for at in (0.5, 7))
    router = told(change(rows.reset_index(drop=True)))
    for take in (predict_test, cross_fit):
        with pytest.raises(InputError) as error:
            take(router, setting.benchmark, None)
        for part in ("theirs.csv: ", *parts):
            assert part in str(error.value)


def test_training_samples_may_be_there_in_part(setting, told):
    rows = constant(setting, "model-1").iloc[:70]
    crossfit = cross_fit(told(rows), setting.benchmark, None)
    np.testing.assert_array_equal(np.isfinite(crossfit.scores).all(axis=2), [np.arange(60) < 10])


def test_more_thresholds_than_fit_into_memory_are_refused(setting, told, monkeypatch):
    monkeypatch.setattr(module, "MOST_SCORES", 3 * 120 * 3)
    rows = constant(setting, "model-1")
    router = told(pd.concat(rows.assign(threshold=at) for at in range(4)))
    with pytest.raises(InputError, match=r"has 4 values, too many for 120 samples .* keep 3 of"):
        predict_test(router, setting.benchmark, None)


def test_no_file_is_no_traceback(setting, tmp_path):
    with pytest.raises(InputError, match=r"gone\.csv"):
        Choices(str(tmp_path / "gone.csv")).read(setting.benchmark)


def test_a_row_of_choices_is_stored_as_its_parameters(told, setting, tmp_path):
    router = told(constant(setting, "model-1"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(router, setting.benchmark, None)
    persistence.write(tmp_path / "router.safetensors", router)
    stored = persistence.read(tmp_path / "router.safetensors", Choices)
    assert vars(stored) == {"choices": router.choices}
