"""The outcome table: what it holds, what it refuses, splits, pool and prices."""

import os
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmroute.errors import InputError
from mmroute.outcome_table import MATRICES, OutcomeTable, validate, validate_samples
from mmroute.outcomes.datasets import join, read_samples, write_datasets
from mmroute.outcomes.pool import (
    assemble,
    choose_pool,
    cost_unit,
    mask_unpriced,
    price_origin,
    read_prices,
    reprice,
    require_benchmark,
)
from mmroute.storage import LONGEST_NAME, folder_name, read_json, write_text


def with_cell(table, name, value):
    matrix = getattr(table, name).copy()
    matrix[1, 2] = value
    return replace(table, **{name: matrix})


def with_sample(table, column, value):
    samples = table.samples.copy()
    samples.loc[1, column] = value
    return replace(table, samples=samples)


def same(first, second):
    pd.testing.assert_frame_equal(first.samples, second.samples.astype(first.samples.dtypes))
    assert first.model_names == second.model_names
    for name in MATRICES:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_survives_writing_and_reading(make_table, tmp_path):
    table = make_table()
    table.utility[3, 1] = table.cost[3, 1] = np.nan
    table.prediction[0, 0] = "=1+1 é\n"
    table.write(tmp_path)
    same(OutcomeTable.read(tmp_path), table)


def test_some_rows_and_some_matrices_are_read_alone(make_table, tmp_path):
    table = make_table()
    table.write(tmp_path)
    part = OutcomeTable.read(tmp_path, slice(3, 7), ("utility", "cost"))
    expected = table.take(np.arange(3, 7))
    for name in ("prompt_tokens", "completion_tokens"):
        getattr(expected, name)[:] = np.nan
    expected.prediction[:] = None
    same(part, expected)


def test_a_damaged_file_is_named(make_table, tmp_path):
    make_table().write(tmp_path)
    file = tmp_path / "utility.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"utility\.parquet: not readable as Parquet"):
        OutcomeTable.read(tmp_path)


def test_a_whole_table_is_accepted(make_table):
    validate(make_table(), "file.csv")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.take(columns=[]), "no model columns"),
        (lambda t: t.take(np.array([], int)), "no samples"),
        (lambda t: with_sample(t, "sample_id", "A_0"), "sample id 'A_0' occurs more than once"),
        (
            lambda t: with_sample(t, "dataset", "\x1b[31mA"),
            r"the name of data set '\\x1b\[31mA' has an invisible character",
        ),
        (
            lambda t: replace(t, models=t.models.replace("model-1", "a\u202eb")),
            r"the name of model 'a\\u202eb' has an invisible character",
        ),
        (lambda t: with_cell(t, "utility", 1.5), "utility of model 'model-2' .* 'B_1' is 1.5"),
        (lambda t: with_cell(t, "utility", -0.1), "utility of model 'model-2' .* is -0.1"),
        (lambda t: with_cell(t, "cost", -2), "cost of model 'model-2' .* is -2"),
        (lambda t: with_cell(t, "cost", np.inf), "cost of model 'model-2' .* is inf"),
        (lambda t: with_cell(t, "prompt_tokens", -1), "prompt_tokens of model 'model-2'"),
        (
            lambda t: replace(t, utility=np.where([True, False, True], t.utility, np.nan)),
            "model 'model-1' has no outcome at all",
        ),
    ],
)
def test_bad_tables_are_refused_with_file_place_and_value(make_table, spoil, message):
    with pytest.raises(InputError, match=message) as caught:
        validate(spoil(make_table()), "file.csv")
    assert str(caught.value).startswith("file.csv: ")


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("dataset", "full", "'full' is the name of an aggregate"),
        ("question", " ", "'B_1' has neither a question nor an image"),
        ("image", "//".join(["a.png"] * 1001), "'B_1' has 1,001 images, of 1,000 .* leave some"),
    ],
)
def test_bad_samples_are_refused_with_file_and_value(make_table, column, value, message):
    samples = with_sample(make_table(), column, value).samples
    with pytest.raises(InputError, match=message) as caught:
        validate_samples(samples, "file.csv")
    assert str(caught.value).startswith("file.csv: ")


def test_joining_aligns_models_by_name(make_table):
    first, second = make_table(datasets=("A",)), make_table(datasets=("B",))
    second.models["model"] = ["model-2", "new", "model-0"]
    table = join([first, second])
    assert table.model_names == ["model-0", "model-1", "model-2", "new"]
    np.testing.assert_array_equal(table.utility[12:, [2, 3, 0]], second.utility)
    assert np.isnan(table.utility[12:, 1]).all()
    assert np.isnan(table.utility[:12, 3]).all()


def test_the_pool_is_taken_in_its_own_order(make_table):
    table, left_out = choose_pool(make_table(), ["model-2", "model-0"], 0.9)
    assert table.model_names == ["model-2", "model-0"]
    assert left_out == ["model-1 is not in the pool"]


def test_models_below_the_coverage_are_left_out_with_a_notice(make_table):
    table = make_table()
    table.utility[:6, 1] = np.nan
    smaller, left_out = choose_pool(table, None, 0.9)
    assert smaller.model_names == ["model-0", "model-2"]
    assert left_out == ["model-1 was left out: coverage 50.0% is below min_coverage 90%"]


def test_an_unknown_model_in_the_pool_is_refused(make_table):
    with pytest.raises(InputError, match="config key pool: no model 'gpt' in the source"):
        choose_pool(make_table(), ["gpt"], 0.9)


def test_a_model_that_stands_twice_in_the_pool_is_refused(make_table):
    with pytest.raises(InputError, match="config key pool: model 'model-1' stands there twice;"):
        choose_pool(make_table(), ["model-1", "model-0", "model-1"], 0.9)


PRICES = pd.DataFrame(
    {
        "model": ["model-1", "model-0", "model-2", "other"],
        "usd_per_1m_prompt_tokens": [1.0, 2.0, 3.0, 4.0],
        "usd_per_1m_completion_tokens": [10.0, 20.0, 30.0, 40.0],
    }
)


def test_repricing_multiplies_tokens_by_prices(make_table):
    table = make_table()
    priced = reprice(table, PRICES, "prices.csv")
    expected = (table.prompt_tokens * [2, 1, 3] + table.completion_tokens * [20, 10, 30]) / 1e6
    np.testing.assert_allclose(priced.cost, expected)


def test_prices_of_a_config_are_those_of_a_table(make_table):
    table = make_table()
    listed = {"model-0": [2, 20], "model-1": [1, 10], "model-2": 0.25, "other": [1, 1]}
    priced = reprice(table, read_prices(listed), price_origin(listed))
    tokens = (table.prompt_tokens * [2, 1, 0] + table.completion_tokens * [20, 10, 0]) / 1e6
    np.testing.assert_allclose(priced.cost[:, :2], tokens[:, :2])
    assert (priced.cost[:, 2] == 0.25).all()
    with pytest.raises(InputError, match="key source.prices: .* model 'model-2' is nan; give"):
        reprice(table, read_prices({"model-0": [2, 20], "model-1": [1, 1]}), price_origin(listed))


def test_costs_without_token_counts_stay_as_given(make_table):
    table = make_table()
    table.prompt_tokens[0, 0] = np.nan
    assert reprice(table, PRICES, "prices.csv").cost[0, 0] == table.cost[0, 0]


def test_a_price_per_call_stands_for_tokens_or_beside_them(make_table, tmp_path):
    table = make_table()
    for name in ("cost", "prompt_tokens", "completion_tokens"):
        getattr(table, name)[:, :2] = np.nan
    table.utility[0, 0] = np.nan
    path = tmp_path / "prices.csv"
    path.write_text(
        "model,usd_per_1m_prompt_tokens,usd_per_1m_completion_tokens,usd_per_call\n"
        "model-0,,,0.25\nmodel-1,1,2,0.5\nmodel-2,1,2,0.125\n"
    )
    priced = reprice(table, read_prices(path), str(path))
    assert np.isnan(priced.cost[0, 0])
    assert (priced.cost[1:, 0] == 0.25).all()
    assert np.isnan(priced.cost[:, 1]).all()
    tokens = (table.prompt_tokens[:, 2] + 2 * table.completion_tokens[:, 2]) / 1e6
    np.testing.assert_allclose(priced.cost[:, 2], tokens + 0.125)
    assert priced.models["usd_per_call"].tolist() == [0.25, 0.5, 0.125]
    priced.write(tmp_path / "table")
    same(OutcomeTable.read(tmp_path / "table"), priced)
    path.write_text("model,usd_per_call\nmodel-0,0.25\nmodel-1,0\nmodel-2,1\n")
    priced = reprice(table, read_prices(path), str(path))
    np.testing.assert_array_equal(priced.cost[1], [0.25, 0, 1])
    path.write_text("model,usd_per_call\nmodel-0,0.25\nmodel-1,none\nmodel-2,1\n")
    with pytest.raises(InputError, match="usd_per_call: the price of model 'model-1' is none"):
        reprice(table, read_prices(path), str(path))


@pytest.mark.parametrize(
    ("prices", "message"),
    [
        (PRICES.drop(columns="model"), "no column 'model'"),
        (PRICES.assign(model=["model-1", "model-1", "a", "b"]), "'model-1' stands twice"),
        (PRICES[PRICES["model"] != "model-2"], "price of model 'model-2' is nan"),
        (PRICES.assign(usd_per_1m_prompt_tokens="free"), "price of model 'model-0' is free"),
        (PRICES.assign(usd_per_1m_prompt_tokens=-1.0), "price of model 'model-0' is -1"),
    ],
)
def test_bad_price_tables_are_refused(make_table, prices, message):
    with pytest.raises(InputError, match=rf"^prices\.csv: .*{message}"):
        reprice(make_table(), prices, "prices.csv")


def test_a_price_file_that_is_no_table_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv: not readable as CSV"):
        read_prices(tmp_path / "none.csv")


def test_a_price_that_is_a_word_or_a_column_that_stands_twice_is_refused(make_table, tmp_path):
    path = tmp_path / "prices.csv"
    PRICES.assign(usd_per_1m_prompt_tokens=True).to_csv(path, index=False)
    with pytest.raises(InputError, match="the price of model 'model-0' is True"):
        reprice(make_table(), read_prices(path), str(path))
    path.write_text("model,model\nm,n\n")
    with pytest.raises(InputError, match="column 'model' stands twice"):
        read_prices(path)


def test_an_outcome_without_a_cost_is_not_observed(make_table):
    table = make_table()
    table.cost[2, 1] = np.nan
    masked = mask_unpriced(table, "the source")
    assert np.isnan(masked.utility[2, 1])
    with pytest.raises(InputError, match="model 'model-0' has no outcome with a known cost"):
        mask_unpriced(replace(table, cost=np.full_like(table.cost, np.nan)), "the source")


def test_a_normalised_cost_of_one_is_the_most_expensive_models_mean():
    assert cost_unit(np.array([[1.0, 4.0], [3.0, np.nan]])) == 4.0
    assert cost_unit(np.zeros((2, 2))) == 1.0


def test_data_sets_are_written_apart_and_assembled_again(make_table, tmp_path):
    table = make_table(datasets=("Z", "../A"))
    write_datasets(table, tmp_path / "data", 100)
    index = read_json(tmp_path / "data/index.json")
    assert [dataset["name"] for dataset in index["datasets"]] == ["Z", "../A"]
    assemble(tmp_path / "data", None, None, 0.9, tmp_path / "outcomes")
    order = [*range(0, 12, 2), *range(1, 12, 2)]
    same(OutcomeTable.read(tmp_path / "outcomes"), table.take(np.array(order)))
    assert read_samples(tmp_path / "data")["sample_id"].tolist() == [
        table.samples["sample_id"][row] for row in order
    ]


def test_a_data_set_whose_outcomes_have_not_come_yet_waits(make_table, tmp_path):
    table = make_table()
    alone = table.samples["dataset"].to_numpy() == "A"
    table.utility[alone] = np.nan
    write_datasets(table, tmp_path / "data", 100)
    assert OutcomeTable.read(tmp_path / "data/A").utility.shape == (6, 0)
    assemble(tmp_path / "data", None, None, 0.1, tmp_path / "outcomes")
    read = OutcomeTable.read(tmp_path / "outcomes")
    assert np.isnan(read.utility[:6]).all()
    np.testing.assert_array_equal(read.utility[6:], table.utility[~alone])


def test_a_data_sets_digests_tell_what_changed(make_table, tmp_path):
    def index(table, name):
        write_datasets(table, tmp_path / name, 4)
        return read_json(tmp_path / name / "index.json")["datasets"]

    before = index(make_table(), "before")
    question = index(with_sample(make_table(), "question", "Another?"), "question")
    image = index(with_sample(make_table(), "image_digest", "ff"), "image")
    group = index(with_sample(make_table(), "group", "other"), "group")
    outcome = index(with_cell(make_table(), "cost", 77), "outcome")
    assert before[0] == question[0] == image[0] == group[0] == outcome[0]
    changed = [
        {key for key in before[1] if before[1][key] != after[1][key]}
        for after in (question, image, group, outcome)
    ]
    embedded = [{"text", "all", "shards"}, {"image", "all", "shards"}]
    assert changed == [*embedded, {"split", "all"}, {"all"}]
    shards = [[shard["text"] for shard in entry[1]["shards"]] for entry in (before, question)]
    assert [len(texts) for texts in shards] == [2, 2]
    assert [old == new for old, new in zip(*shards, strict=True)] == [False, True]


@given(st.text(min_size=1, max_size=20))
def test_no_data_set_name_leaves_its_folder(name):
    folder = folder_name(name)
    assert "/" not in folder
    assert not folder.startswith(".")


def test_the_names_of_long_data_sets_fit_a_file_system_and_differ(tmp_path):
    names = ["多模态" * 100, "多模态" * 100 + "!", "a" * 1000, "." * 200, "-" * 20]
    folders = [folder_name(name) for name in names]
    assert len(set(folders)) == len(names)
    for folder in folders:
        write_text(tmp_path / folder / f"{folder}.12345.parquet", "")
    longest = "ab" + "a" * 18 + "b" * (LONGEST_NAME - 40) + "c" * 19 + "d"
    assert len(longest) == LONGEST_NAME
    assert folder_name(longest) == longest


def test_a_pipe_in_place_of_a_price_table_is_refused(tmp_path):
    os.mkfifo(tmp_path / "prices.csv")
    with pytest.raises(InputError, match=r"prices\.csv: is a pipe"):
        read_prices(tmp_path / "prices.csv")


def timed(table):
    """Take a table with latencies of all outcomes but one."""
    latency = np.arange(table.utility.size, dtype=float).reshape(table.utility.shape)
    latency[1, 2] = np.nan
    return replace(table, latency_s=latency)


def test_a_table_without_latencies_has_no_file_and_no_matrix_of_them(make_table, tmp_path):
    table = replace(make_table(), latency_s=np.full((12, 3), np.nan))
    assert table.latency_s is None
    table.write(tmp_path)
    assert {path.stem for path in tmp_path.iterdir()} == {"samples", "models", *MATRICES}
    assert OutcomeTable.read(tmp_path).latency_s is None
    assert list(table.matrices) == list(MATRICES)


def test_latencies_are_written_read_and_taken(make_table, tmp_path):
    table = timed(make_table())
    table.write(tmp_path)
    read = OutcomeTable.read(tmp_path)
    same(read, table)
    np.testing.assert_array_equal(read.latency_s, table.latency_s)
    np.testing.assert_array_equal(
        OutcomeTable.read(tmp_path, slice(1, 3)).latency_s, table.latency_s[1:3]
    )
    assert OutcomeTable.read(tmp_path, matrices=("utility", "cost")).latency_s is None
    taken = table.take(np.array([1, 4]), [2, 0])
    np.testing.assert_array_equal(taken.latency_s, [[np.nan, 3], [14, 12]])
    assert table.take(np.array([1]), [2]).latency_s is None


@pytest.mark.parametrize("value", [-1, np.inf])
def test_what_is_no_latency_is_refused(make_table, value):
    table = with_cell(timed(make_table()), "latency_s", value)
    with pytest.raises(InputError, match=r"latency_s of model 'model-2' on sample 'B_1' is"):
        validate(table, "file.csv")


def test_data_sets_with_and_without_latencies_are_joined(make_table):
    plain, other = make_table(datasets=("A",)), timed(make_table(datasets=("T",), n_models=3))
    joined = join([plain, other])
    assert np.isnan(joined.latency_s[:12]).all()
    np.testing.assert_array_equal(joined.latency_s[12:], other.latency_s)
    assert join([plain, plain]).latency_s is None


def test_an_outcome_that_does_not_count_has_no_latency(make_table):
    table = timed(make_table())
    table.cost[0, 1] = np.nan
    masked = mask_unpriced(table, "here")
    assert np.isnan(masked.latency_s[0, 1])
    assert masked.latency_s[0, 0] == 0


def test_a_limit_in_seconds_takes_latencies_before_anything_is_trained(make_table):
    given = 0.5, [0], None, None, 0.0
    table = make_table(n_samples=40)
    require_benchmark(table, *given)
    with pytest.raises(InputError, match=r"decision\.max_latency: no outcome .* column latency_s"):
        require_benchmark(table, *given, max_latency=2.0)
    require_benchmark(timed(table), *given, max_latency=2.0)
