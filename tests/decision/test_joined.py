"""New models join a trained router by a table of labels."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmroute.decision.joined import Joining, with_labels
from mmroute.errors import InputError
from mmroute.evaluation.shrinkage import Shrinkage
from mmroute.outcomes.splits import fold_of
from mmroute.predictions import Predictions
from mmroute.routers.uniroute import UniRoute

FILE = Path("labels.csv")


def cells(**columns):
    """A file's cells: model x on the first two samples, but for what is given."""
    whole = {
        "sample_id": ["A_0", "B_1"],
        "model": ["x", "x"],
        "utility": ["1", "0.5"],
        "cost": ["0.25", "0.75"],
    }
    kept = {name: value for name, value in (whole | columns).items() if value is not None}
    return pd.DataFrame(kept, dtype="str")


def test_labels_are_the_last_columns_of_the_outcomes(make_table):
    table = make_table()
    grown = with_labels(table, cells(), FILE)
    assert grown.model_names == [*table.model_names, "x"]
    np.testing.assert_array_equal(grown.utility[:, :3], table.utility)
    np.testing.assert_array_equal(grown.utility[:, 3], [1, 0.5, *[np.nan] * 10])
    np.testing.assert_array_equal(grown.cost[:, 3], [0.25, 0.75, *[np.nan] * 10])
    assert grown.prediction[:, 3].tolist() == [None] * 12


def test_rows_are_found_by_their_ids_and_models(make_table):
    given = cells(
        sample_id=["A_4", "B_1", "A_4"],
        model=["y", "x", "x"],
        utility=["yes", "0", "wrong"],
        cost=["1", "2", "3"],
    )
    grown = with_labels(make_table(), given, FILE)
    assert grown.model_names[3:] == ["y", "x"]
    np.testing.assert_array_equal(grown.utility[[1, 4], 3:], [[np.nan, 0], [1, 0]])
    np.testing.assert_array_equal(grown.cost[[1, 4], 3:], [[np.nan, 2], [1, 3]])


TOKENS = {
    "cost": None,
    "prompt_tokens": ["1000", "2000"],
    "completion_tokens": ["10", "0"],
    "usd_per_1m_prompt_tokens": ["3", "3"],
    "usd_per_1m_completion_tokens": ["50", "50"],
}


def test_costs_are_of_tokens_where_there_are_none(make_table):
    grown = with_labels(make_table(), cells(**TOKENS), FILE)
    np.testing.assert_allclose(grown.cost[:2, 3], [0.0035, 0.006])
    assert grown.models.iloc[3].tolist() == ["x", 3, 50]
    np.testing.assert_array_equal(grown.prompt_tokens[:2, 3], [1000, 2000])
    # A cost that is given counts.
    grown = with_labels(make_table(), cells(**(TOKENS | {"cost": ["7", "8"]})), FILE)
    np.testing.assert_array_equal(grown.cost[:2, 3], [7, 8])
    assert grown.models.iloc[3].tolist() == ["x", 3, 50]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sample_id": None}, "labels.csv: no column 'sample_id'; add it"),
        ({"model": None}, "no column 'model'"),
        ({"utility": None}, "no column 'utility'; add it"),
        ({"cost": None}, "no column 'cost'; add it, or prompt_tokens, completion_tokens, usd_per"),
        (TOKENS | {"completion_tokens": None}, "no column 'completion_tokens'; add it"),
        (TOKENS | {"usd_per_1m_prompt_tokens": None}, "no column 'usd_per_1m_prompt_tokens'"),
        ({"sample_id": ["A_0", "A_1"]}, "row 2: sample_id is 'A_1', which is no sample that"),
        ({"sample_id": ["", "A_0"]}, "row 1: sample_id is '', which is no sample that"),
        ({"sample_id": ["A_0", "A_0"]}, "row 2: sample_id is 'A_0', which stands twice"),
        ({"model": ["x", " "]}, "row 2: model is ' ', which is no name"),
        ({"model": ["x", "model-1 "]}, "row 2: model is 'model-1 ', which has space around it"),
        ({"model": ["x", "model-1"]}, "row 2: model is 'model-1', which is in the pool already"),
        ({"model": ["x", "a\u202eb"]}, "has an invisible character"),
        ({"utility": ["1", ""]}, "row 2: utility is '', which is missing"),
        ({"utility": ["nan", "1"]}, "row 1: utility is 'nan', which is missing"),
        ({"utility": ["1", "1.01"]}, "column 'utility' of 'B_1' holds '1.01'.* from 0 to 1"),
        ({"utility": ["-0.5", "1"]}, "column 'utility' of 'A_0' holds '-0.5'"),
        ({"utility": ["inf", "1"]}, "column 'utility' of 'A_0' holds 'inf'"),
        ({"utility": ["good", "1"]}, "column 'utility' of 'A_0' holds 'good'"),
        ({"cost": ["1", "NaN"]}, "row 2: cost is 'NaN', which is missing"),
        ({"cost": ["1", "-1"]}, "column 'cost' of 'B_1' holds '-1'"),
        ({"cost": ["1e999", "1"]}, "column 'cost' of 'A_0' holds '1e999'"),
        (TOKENS | {"prompt_tokens": ["1", ""]}, "row 2: prompt_tokens is '', which is missing"),
        (
            TOKENS | {"usd_per_1m_prompt_tokens": ["3", "4"]},
            "row 2: usd_per_1m_prompt_tokens is '4', which is not the price of the model's first",
        ),
    ],
)
def test_what_is_no_label_is_refused(make_table, given, said):
    with pytest.raises(InputError, match=said):
        with_labels(make_table(), cells(**given), FILE)


@pytest.fixture
def trained(make_table):
    """A router of three models, features of 60 samples, and labels of two more on 30 of them."""
    table = make_table(n_samples=60, n_models=5)
    generator = np.random.default_rng(1)
    features = generator.normal(size=(60, 3)).astype(np.float32)
    utility = (features @ generator.normal(size=(3, 5)) > 0).astype(float)
    utility[30:, 3:] = np.nan
    utility[:3, 3] = np.nan
    table = replace(table, utility=utility, cost=np.where(np.isnan(utility), np.nan, table.cost))
    router = UniRoute(samples_per_cluster=10)
    router.fit(features, utility[:, :3], table.cost[:, :3] / 2)
    return router, features, table


def test_models_join_a_copy_by_all_their_labels(trained):
    router, features, table = trained
    joining = Joining.of(table, features, 2.0, 3, FILE)
    assert joining.names == ["model-3", "model-4"]
    assert len(joining.table.samples) == 30
    before = router.predict(features)
    u_hat, c_hat = joining.to(router).predict(features)
    expected = UniRoute(samples_per_cluster=10).fit(
        features, table.utility[:, :3], table.cost[:, :3] / 2
    )
    for model, own in ((3, slice(3, 30)), (4, slice(30))):
        expected.add_model(features[own], table.utility[own, model], table.cost[own, model] / 2)
    for predicted, own in zip((u_hat, c_hat), expected.predict(features), strict=True):
        np.testing.assert_array_equal(predicted, own)
    np.testing.assert_array_equal(u_hat[:, :3], before[0])
    assert router.predict(features)[0].shape == (60, 3)


def test_a_sample_s_own_label_of_a_new_model_has_no_say_in_its_prediction(trained):
    router, features, table = trained
    ids = table.samples["sample_id"]
    old = np.random.default_rng(2).random((1, 60, 3))
    crossfit = Predictions(ids, old, 1 - old)

    def predict(table, shrinkage=None):
        return Joining.of(table, features, 2.0, 3, FILE).cross_fit(router, crossfit, shrinkage)

    own = predict(table)
    assert own.sample_ids.tolist() == ids[:30].tolist()
    np.testing.assert_array_equal(own.u_hat[..., :3], old[:, :30])
    utility = table.utility.copy()
    fold = fold_of(table.samples["group"])[:30]
    changed = fold == fold[5]
    utility[:30, 4][changed] = 1 - utility[:30, 4][changed]
    other = predict(replace(table, utility=utility))
    np.testing.assert_array_equal(own.u_hat[:, changed], other.u_hat[:, changed])
    assert (own.u_hat[:, ~changed, 4] != other.u_hat[:, ~changed, 4]).any()

    shrunk = predict(table, Shrinkage(0.25, np.zeros(3)))
    means = np.nanmean(table.utility[:, 3:], axis=0)
    np.testing.assert_allclose(shrunk.u_hat[..., 3:], means + (own.u_hat[..., 3:] - means) / 4)
    np.testing.assert_array_equal(shrunk.u_hat[..., :3], own.u_hat[..., :3])


def test_labels_of_one_fold_or_beside_a_model_of_the_pool_are_too_few(trained):
    router, features, table = trained
    utility = table.utility.copy()
    utility[4:, 3] = np.nan
    joining = Joining.of(replace(table, utility=utility), features, 2.0, 3, FILE)
    ids = table.samples["sample_id"]
    crossfit = Predictions(ids, np.zeros((1, 60, 3)), np.zeros((1, 60, 3)))
    with pytest.raises(InputError, match="labels.csv: model 'model-3' has too few labels"):
        joining.cross_fit(router, crossfit, None)
    utility[:30, 1] = np.nan
    with pytest.raises(InputError, match="labels.csv: model 'model-1' of the pool has no outcome"):
        Joining.of(replace(table, utility=utility), features, 2.0, 3, FILE)
